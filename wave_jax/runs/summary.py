"""The result of a finished run: summary.json, and the table printed at the end."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
from pathlib import Path

import jax
import numpy as np
from rich.table import Table

from wave_jax.data.tokenize import TokenizedDataset
from wave_jax.runs.files import write_whole
from wave_jax.runs.workdir import SUMMARY_FILE, device_name
from wave_jax.training.compilation import program_bytes
from wave_jax.training.evaluation import EvalResult
from wave_jax.training.state import parameter_counts
from wave_jax.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Summary:
    """The result of a finished run; accuracies and shares are fractions."""

    workdir: str
    device: str  # kind and number
    steps: int
    best_step: int  # of the best validation accuracy; its parameters were tested
    validation_accuracy: float  # of that step
    test_accuracy: float
    test_loss: float  # mean cross-entropy
    test_examples: int
    majority_share: float  # share of the test texts that have the most frequent class
    parameters: int  # padding rows of the table excluded
    parameters_without_table: int
    seconds: float  # of training, without compilation and evaluation
    examples_per_s: float  # over all of it, loading included
    step_bytes: int | None  # of the largest compiled step: arguments, results, temporaries
    process_bytes: int  # peak
    device_bytes: int | None  # peak of the first device, where it is known
    texts_cut: dict[str, int]  # texts longer than `data.max_length` tokens, by split

    def save(self) -> None:
        """Writes summary.json atomically: it marks the run as finished."""
        path = Path(self.workdir) / SUMMARY_FILE
        write_whole(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, workdir: Path) -> Summary:
        """Returns the summary of a finished run."""
        values = json.loads((workdir / SUMMARY_FILE).read_text(encoding="utf-8"))
        return cls(**values | {"workdir": str(workdir)})

    def table(self) -> Table:
        """Returns the table to be printed."""
        memory = {
            "process": self.process_bytes,
            "training step": self.step_bytes,
            "device": self.device_bytes,
        }
        sizes = [f"{k} {v / 2**20:,.0f} MiB" for k, v in memory.items() if v is not None]
        cut = [f"{count:,} in {split}" for split, count in self.texts_cut.items()]
        best = f"{self.validation_accuracy:.2%}, best at step {self.best_step:,} of {self.steps:,}"
        without = f"{self.parameters_without_table:,} without the embedding table"
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_row("test accuracy", f"{self.test_accuracy:.2%} of {self.test_examples:,} texts")
        table.add_row("majority class", f"{self.majority_share:.2%}")
        table.add_row("validation", best)
        table.add_row("parameters", f"{self.parameters:,} ({without})")
        table.add_row("training", f"{self.seconds:.1f} s, {self.examples_per_s:,.0f} examples/s")
        table.add_row("device", self.device)
        table.add_row("peak memory", ", ".join(sizes))
        table.add_row("texts truncated", ", ".join(cut))
        table.add_row("written to", self.workdir)
        return table


def summarize_run(
    workdir: Path, texts: TokenizedDataset, trainer: Trainer, test: EvalResult
) -> Summary:
    """Returns the summary of a training that has ended."""
    progress, task, tested = trainer.progress, trainer.task, texts.splits["test"].labels
    full, without = parameter_counts(trainer.state.params, texts.tokenizer.vocab_size)
    epochs, rest = divmod(progress.step, task.steps_per_epoch)
    examples = epochs * len(texts.splits["train"].labels) + rest * task.config.batch_size
    sizes = [size for size in map(program_bytes, trainer.programs.values()) if size is not None]
    memory = jax.local_devices()[0].memory_stats() or {}
    return Summary(
        workdir=str(workdir),
        device=device_name(),
        steps=progress.step,
        best_step=progress.best_step,
        validation_accuracy=progress.best_accuracy,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_examples=test.examples,
        majority_share=float(np.bincount(tested).max() / len(tested)),
        parameters=full,
        parameters_without_table=without,
        seconds=progress.elapsed,
        examples_per_s=examples / max(progress.elapsed, 1e-9),
        step_bytes=max(sizes, default=None),
        process_bytes=process_peak_bytes(),
        device_bytes=memory.get("peak_bytes_in_use"),
        texts_cut={name: split.tokens.cut for name, split in texts.splits.items()},
    )


def process_peak_bytes() -> int:
    """Returns the peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, except on macOS
