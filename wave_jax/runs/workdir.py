"""The folder of a run: whose it is, its lock, and the records in it, as of what a run gave."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from rich.table import Table

import wave_jax
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import DOCSTRINGS, Dataset
from wave_jax.data.layouts import LABELS
from wave_jax.data.streams import user_path
from wave_jax.data.tokenize import TokenizedDataset
from wave_jax.errors import UserError, one_line
from wave_jax.models.weights import WEIGHTS, load_weights
from wave_jax.runs.checkpoints import restore_params
from wave_jax.runs.files import (
    CONFIG_FILE,
    differences,
    exported,
    load_config,
    save_config,
    write_whole,
)
from wave_jax.runs.system import lock_file, process_peak_bytes
from wave_jax.training.compilation import program_bytes
from wave_jax.training.config import Config
from wave_jax.training.evaluation import EvalResult
from wave_jax.training.state import Params, parameter_counts
from wave_jax.training.trainer import Trainer, TrainProgress

ENVIRONMENT_FILE, SUMMARY_FILE = "environment.json", "summary.json"
REFIT = "refit"  # a folder with metrics and checkpoints of its own
SNAPSHOT = "corpus"  # a copy of texts that exist nowhere else as files
_PACKAGES = "jax jaxlib flax optax orbax-checkpoint numpy tokenizers tensorflow-datasets"


def claim(workdir: Path, config: Config) -> Literal["new", "unfinished", "finished"]:
    """Creates the folder or checks that it is this run's; returns the state of the run.

    A new or empty folder gets config.json. UserError where the folder holds something else or a run
    whose configuration differs in more than paths, devices and trackers.
    """
    try:
        if workdir.is_file():
            raise UserError(f"{workdir} is a file: expected a folder for --workdir")
        if not (workdir / CONFIG_FILE).is_file():
            workdir.mkdir(parents=True, exist_ok=True)
            if any(path.suffix != ".part" for path in workdir.iterdir()):  # a killed process's
                raise UserError(
                    f"{workdir} is not empty and not the folder of a run (no {CONFIG_FILE} in it): "
                    "give a new or empty folder as --workdir"
                )
            save_config(config, workdir)
            return "new"
    except OSError as error:
        raise UserError(f"cannot write to --workdir {workdir}: {error.strerror}") from None
    if different := differences(load_config(workdir), config):
        raise UserError(
            f"{workdir} holds a run of another configuration ({'; '.join(different)}): give the "
            "same options to resume it, or another --workdir. A run cannot be made longer by "
            "raising epochs or steps, as its schedule depends on them"
        )
    return "finished" if (workdir / SUMMARY_FILE).is_file() else "unfinished"


@contextmanager
def lock(workdir: Path) -> Iterator[None]:
    """Locks a claimed folder; UserError if another training has done so.

    The lock is the operating system's, on config.json: it ends with the process, however that ends.
    """
    with (workdir / CONFIG_FILE).open("r+") as file:
        if not lock_file(file):
            raise UserError(
                f"another training is running in {workdir}: wait for it, stop it, or give another "
                "--workdir"
            )
        yield


def final_folder(workdir: Path) -> Path:
    """Returns the folder whose checkpoints count: that of a finished run's refit, if it has one."""
    refitted = workdir / REFIT
    return refitted if (workdir / SUMMARY_FILE).is_file() and refitted.is_dir() else workdir


def final_params(
    folder: Path, which: Literal["best", "last"] = "best", *, refit: bool = True
) -> Params:
    """Returns the parameters of a run, or of a model that `export --format hub` wrote.

    `which` as in `restore_params`; `refit`: of a refit, where there is one. UserError without any.
    """
    if (folder / WEIGHTS).is_file():
        return load_weights(folder / WEIGHTS)
    if exported(folder):
        expected = "a run, or all that `export --format hub` wrote"
        raise UserError(f"{folder} is an exported model without {WEIGHTS}: expected {expected}")
    return restore_params(final_folder(folder) if refit else folder, which)[0]


def check_shared(workdir: Path) -> None:
    """Raises UserError where this process does not see the folder that process 0 made."""
    if not (workdir / CONFIG_FILE).is_file():
        raise UserError(
            f"process {jax.process_index()} does not see {workdir.absolute()} / {CONFIG_FILE} that "
            "process 0 wrote: several processes need a --workdir that all of them share"
        )


def device_name() -> str:
    """Returns kind and number of the devices, as "cpu x 1"."""
    devices = jax.devices()
    return f"{devices[0].device_kind} x {len(devices)}"


def record_environment(workdir: Path, dataset: Dataset) -> None:
    """Writes environment.json, or compares the texts with those of the run that is resumed."""
    path = workdir / ENVIRONMENT_FILE
    if path.is_file():
        check_unchanged(workdir, dataset)
        return
    facts = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "wave_jax": wave_jax.__version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES.split()},
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "device": device_name(),
        "processes": jax.process_count(),
        "folder": str(Path.cwd()),  # that relative paths start from
        "data": dataset.description,
        "data_hash": dataset.fingerprint,
    }
    write_whole(path, json.dumps(facts, indent=2) + "\n")


def check_unchanged(workdir: Path, dataset: Dataset) -> None:
    """Raises UserError if the texts are not those that environment.json was written for.

    Changed texts are split differently: some that were trained on would be tested on.
    """
    if _environment(workdir)["data_hash"] != dataset.fingerprint:
        raise UserError(
            f"the texts have changed since the run in {workdir} began, or an earlier version split "
            f"them ({dataset.description}): bring the old ones back, start anew with another "
            "--workdir, or evaluate on a file of its own with --data.test"
        )


def check_paths(data: DataConfig, workdir: Path) -> None:
    """Raises UserError where a relative path leads nowhere here, but where the run began."""
    began = Path(_environment(workdir).get("folder", ""))
    for name in {data.source, data.test or data.source} - {DOCSTRINGS}:
        path = user_path(name)
        if not path.exists() and (began / path).exists():
            where = f"the current folder, {Path.cwd()}, but in {began}, where the run began"
            raise UserError(f"{path} is not in {where}: give the command there")


def with_snapshot(data: DataConfig, workdir: Path) -> DataConfig:
    """Returns the data options, with the workdir's snapshot of docstrings as source if any."""
    folder = workdir / SNAPSHOT
    kept = data.source == DOCSTRINGS and (folder / LABELS).is_file()
    return dataclasses.replace(data, source=str(folder)) if kept else data


def _environment(workdir: Path) -> dict[str, Any]:
    path = workdir / ENVIRONMENT_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}): start anew") from error


@dataclasses.dataclass(frozen=True)
class Summary:
    """The result of a finished run; accuracies and shares are fractions."""

    workdir: str
    device: str  # kind and number
    steps: int
    best_step: int  # of the best validation; tested, unless there was a refit
    validation_accuracy: float  # of that step
    test_accuracy: float | None  # this and the next are None without a test split
    test_loss: float | None  # mean cross-entropy
    test_examples: int
    majority_share: float | None  # share of the test texts that have the most frequent class
    parameters: int  # padding rows of the table excluded
    parameters_without_table: int
    seconds: float  # of training, without compilation and evaluation
    examples_per_s: float  # over all of it, loading included
    step_bytes: int | None  # of the largest compiled step: arguments, results, temporaries
    process_bytes: int | None  # peak, where the system tells it
    device_bytes: int | None  # peak of the first device, where it is known
    texts_cut: dict[str, int]  # texts longer than `data.max_length` tokens, by split
    refit_steps: int = 0  # made on training and validation texts together
    baseline_accuracy: float | None = None  # of TF-IDF with logistic regression, if measured
    selected_by: str = "accuracy"  # what made a validation the best one, `train.select_by`
    validation_score: float | None = None  # its accuracy, macro F1 or loss; None in old runs
    test_macro_f1: float | None = None

    @classmethod
    def of(
        cls,
        workdir: Path,
        texts: TokenizedDataset,
        trainer: Trainer,
        test: EvalResult | None,
        refit: TrainProgress | None,
    ) -> Summary:
        """Returns the summary of a training that has ended, of its test and of its refit."""
        progress, task, tested = trainer.progress, trainer.task, texts.splits["test"].labels
        full, without = parameter_counts(trainer.state.params, texts.tokenizer.vocab_size)
        epochs, rest = divmod(progress.step, task.steps_per_epoch)
        examples = epochs * len(texts.splits["train"].labels) + rest * task.config.batch_size
        sizes = filter(None, map(program_bytes, trainer.programs.values()))
        memory = jax.local_devices()[0].memory_stats() or {}
        return cls(
            workdir=str(workdir),
            device=device_name(),
            steps=progress.step,
            best_step=progress.best_step,
            validation_accuracy=progress.best_accuracy,
            test_accuracy=test.accuracy if test else None,
            test_loss=test.loss if test else None,
            test_macro_f1=test.macro_f1 if test else None,
            test_examples=len(tested),
            majority_share=float(np.bincount(tested).max() / len(tested)) if test else None,
            selected_by=task.config.select_by,
            validation_score=abs(progress.best_score),
            parameters=full,
            parameters_without_table=without,
            seconds=progress.elapsed + (refit.elapsed if refit else 0),
            examples_per_s=examples / max(progress.elapsed, 1e-9),
            step_bytes=max(sizes, default=None),
            process_bytes=process_peak_bytes(),
            device_bytes=memory.get("peak_bytes_in_use"),
            texts_cut={name: split.tokens.cut for name, split in texts.splits.items()},
            refit_steps=refit.step if refit else 0,
        )

    def save(self) -> None:
        """Writes summary.json, which marks the run as finished."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        write_whole(Path(self.workdir) / SUMMARY_FILE, text)

    @classmethod
    def load(cls, workdir: Path) -> Summary:
        """Returns the summary of a finished run."""
        values = json.loads((workdir / SUMMARY_FILE).read_text(encoding="utf-8"))
        return cls(**values | {"workdir": str(workdir)})

    def table(self) -> Table:
        """Returns the table to be printed."""
        memory = (self.process_bytes, self.step_bytes, self.device_bytes)
        used = zip(("process", "training step", "device"), memory, strict=True)
        sizes = [f"{what} {size / 2**20:,.0f} MiB" for what, size in used if size is not None]
        cut = [f"{count:,} in {split}" for split, count in self.texts_cut.items()]
        score = "" if self.selected_by == "accuracy" else f" ({self.validation_score:.4f})"
        best = f"{self.validation_accuracy:.2%}, best {self.selected_by}{score} at step "
        best += f"{self.best_step:,} of {self.steps:,}"
        without = f"{self.parameters_without_table:,} without the embedding table"
        table = Table(show_header=False, box=None, pad_edge=False)
        tested = "no test split"
        if self.test_accuracy is not None:
            f1 = f", macro F1 {self.test_macro_f1:.4f}" if self.test_macro_f1 is not None else ""
            tested = f"{self.test_accuracy:.2%} of {self.test_examples:,} texts{f1}"
        table.add_row("test accuracy", tested)
        if self.baseline_accuracy is not None:
            what = f"{self.baseline_accuracy:.2%}, learned from the same texts"
            table.add_row("TF-IDF + logistic regression", what)
        if self.majority_share is not None:
            above = (self.test_accuracy or 0) > self.majority_share
            note = "" if above else ", which the network does not exceed"
            table.add_row("majority class", f"{self.majority_share:.2%}{note}")
        table.add_row("validation", best)
        if self.refit_steps:
            steps = f"{self.refit_steps:,} steps on training and validation texts together"
            table.add_row("refit", steps)
        table.add_row("parameters", f"{self.parameters:,} ({without})")
        table.add_row("training", f"{self.seconds:.1f} s, {self.examples_per_s:,.0f} examples/s")
        table.add_row("device", self.device)
        table.add_row("peak memory", ", ".join(sizes))
        table.add_row("texts truncated", ", ".join(cut))
        table.add_row("written to", self.workdir)
        return table
