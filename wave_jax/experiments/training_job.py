"""A training run as a job."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from wave_jax.data.config import DataConfig
from wave_jax.experiments.jobs import Measured, Plan, make_key
from wave_jax.experiments.scale import contestant
from wave_jax.experiments.sources import PreparedSource
from wave_jax.experiments.watches import make_watches
from wave_jax.models.config import ModelConfig, sizes
from wave_jax.runs.job import train
from wave_jax.runs.metrics_log import read_rows
from wave_jax.runs.summary import Summary
from wave_jax.training.config import Config, TrainConfig

BERT_RATE = 2e-5  # of the papers, for fine-tuning
BERT_RATE_FROM_SCRATCH = 3e-4  # a random BERT learns next to nothing at 2e-5
RATE = 1e-3  # of the papers, for waves and the Transformer

# Texts a second on two cores at 128 dimensions and 64 tokens, for estimates only.
_TEXTS_PER_SECOND = {"wave": 3500, "transformer": 900, "bert": 500, "fnet": 900, "mean": 9000}
_OVERHEAD = 8.0  # seconds to read, compile and test
_RESULTS = (
    "steps", "best_step", "validation_accuracy", "test_accuracy", "test_loss", "test_examples",
    "majority_share", "parameters", "parameters_without_table", "step_bytes", "texts_cut",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Training:
    """A network trained on a data set, and what is watched meanwhile.

    Attributes:
        name: the contestant, or whatever the record's name begins with.
        dataset: the texts.
        setting: the run; where the texts lie is filled in when it runs.
        checkpoint: what the records call the checkpoint that it starts from.
        watches: see `make_watches`.
    """

    name: str
    dataset: PreparedSource
    setting: Config
    watches: tuple[tuple[str, int], ...] = ()
    checkpoint: str | None = None

    @property
    def seed(self) -> int:
        """That of the run."""
        return self.setting.seed

    @property
    def key(self) -> str:
        """Name of the record: a digest of what differs from the defaults.

        So that an option added later, at its default, leaves the names as they are.
        """
        config = self.config()
        return make_key(f"{self.name}-{self.dataset.slug}-s{self.seed}", essentials(config))

    @property
    def steps(self) -> int:
        """Steps of the run."""
        train = self.setting.train
        return train.steps or train.epochs * -(-self.dataset.train // train.batch_size)

    @property
    def seconds(self) -> float:
        """Estimated from the number of texts and the network's size."""
        model, size = self.setting.model, sizes(self.setting.model)
        work = (model.dim / 128) ** 2 * self.setting.data.max_length / 64
        if model.kind == "bert":
            work *= size.layers / 2
        rate = _TEXTS_PER_SECOND[model.kind] / work
        texts: float = self.steps * self.setting.train.batch_size
        watched = dict(self.watches)
        texts += self.dataset.test * (self.steps // watched["test"]) / 3 if "test" in watched else 0
        return _OVERHEAD + texts / rate

    def config(self) -> dict[str, Any]:
        """Returns the run's configuration, the texts told by their fingerprint."""
        config = dataclasses.asdict(self.setting)
        del config["workdir"]
        config["model"]["pretrained"] = self.checkpoint
        config["data"]["source"] = f"{self.dataset.source} {self.dataset.fingerprint[:16]}"
        return config | {"watches": dict(self.watches)}

    def measure(self, work: Path, console: Console) -> Measured:
        """Trains, or goes on with a training that was interrupted."""
        folder = work / "runs" / self.key
        data = dataclasses.replace(self.setting.data, source=self.dataset.folder)
        setting = dataclasses.replace(self.setting, data=data)
        if (folder / "summary.json").is_file():  # finished, yet without a record: do it again
            shutil.rmtree(folder)
        watches = make_watches(setting, dict(self.watches))
        quiet = console if console.is_terminal else Console(quiet=True)
        summary = train(setting, workdir=folder, console=quiet, callbacks=watches)
        result, times = _result(summary, folder)
        shutil.rmtree(folder)
        return Measured(result, times)


def training(
    plan: Plan,
    name: str,
    seed: int,
    *,
    dataset: PreparedSource | None = None,
    rate: float | None = None,
    model: ModelConfig | None = None,
    watches: tuple[tuple[str, int], ...] = (),
    given: bool | None = None,
    **train_options: Any,
) -> Training:
    """Returns the run of a contestant with the papers' settings, but for what is given.

    Args:
        rate: learning rate; by default the papers'.
        model: instead of the contestant's own network.
        given: start from the checkpoint, if there is one; by default BERT alone does.
        train_options: fields of `TrainConfig`.
    """
    dataset, scale = dataset or plan.datasets[0], plan.scale
    model = model or contestant(name, scale)
    checkpoint = plan.pretrained if (name == "bert" if given is None else given) else None
    if checkpoint is not None:
        model = dataclasses.replace(model, pretrained=checkpoint.folder)
    if name == "bert":
        rate = rate or (BERT_RATE if checkpoint else BERT_RATE_FROM_SCRATCH)
    options: dict[str, Any] = {
        "epochs": scale.epochs, "batch_size": 32 if name == "bert" else 64,
        "learning_rate": rate or RATE, "log_every": 50,
    }  # fmt: skip
    return Training(
        name,
        dataset,
        Config(
            data=DataConfig(max_length=scale.max_length, vocab_size=scale.vocab_size),
            model=model,
            train=TrainConfig(**(options | train_options)),
            seed=seed,
        ),
        watches,
        checkpoint.label if checkpoint else None,
    )


def essentials(config: dict[str, Any], default: Any = None) -> dict[str, Any]:
    """Returns the part of a configuration, nested dicts, that differs from the defaults."""
    default = dataclasses.asdict(Config()) if default is None else default
    found = {}
    for name, value in config.items():
        if isinstance(value, dict) and isinstance(default.get(name), dict):
            if inner := essentials(value, default[name]):
                found[name] = inner
        elif name not in default or _plain(value) != _plain(default[name]):
            found[name] = value
    return found


def _plain(value: Any) -> Any:
    """Returns the value as JSON would: config comes from a run or from its record."""
    return list(value) if isinstance(value, tuple) else value


def _result(summary: Summary, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = list(read_rows(folder))
    for row in rows:
        row.pop("examples_per_s", None)  # differs from run to run
    result = {name: getattr(summary, name) for name in _RESULTS} | {"rows": rows}
    times = {
        "seconds": summary.seconds,
        "examples_per_s": summary.examples_per_s,
        "process_bytes": summary.process_bytes,
        "device_bytes": summary.device_bytes,
    }
    return result, times
