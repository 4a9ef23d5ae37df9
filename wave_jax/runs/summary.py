"""The result of a finished run: summary.json, and the table printed at the end."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
from pathlib import Path

from rich.table import Table

from wave_jax.errors import UserError
from wave_jax.runs.files import write_whole

SUMMARY_FILE = "summary.json"


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
        """Returns the summary of a finished run; UserError where it cannot be read."""
        path = workdir / SUMMARY_FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")) | {"workdir": str(workdir)})
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{path} is not the summary of a run: {error}") from None

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


def process_peak_bytes() -> int:
    """Returns the peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, except on macOS
