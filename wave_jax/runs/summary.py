"""What a finished run amounts to: summary.json, and the table printed at the end."""

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
    """A finished run.

    Attributes:
        workdir: where everything lies.
        device: kind and number of the devices.
        steps: steps made.
        best_step: step of the best validation accuracy, whose parameters were tested.
        validation_accuracy: a fraction, of that step.
        test_accuracy: a fraction.
        test_loss: mean cross-entropy.
        test_examples: how many there are.
        majority_share: share of the test texts that have the most frequent class.
        parameters: all, padding rows of the table not counted.
        parameters_without_table: all but the embedding table.
        seconds: of training, without compilation and evaluation.
        examples_per_s: training texts a second over all of it, loading included.
        step_bytes: device memory of the largest compiled step: arguments, results, temporaries.
        process_bytes: most memory that the process held.
        device_bytes: most memory held on the first device, where it says.
        texts_cut: texts longer than `data.max_length` pieces, by split.
    """

    workdir: str
    device: str
    steps: int
    best_step: int
    validation_accuracy: float
    test_accuracy: float
    test_loss: float
    test_examples: int
    majority_share: float
    parameters: int
    parameters_without_table: int
    seconds: float
    examples_per_s: float
    step_bytes: int | None
    process_bytes: int
    device_bytes: int | None
    texts_cut: dict[str, int]

    def save(self) -> None:
        """Writes summary.json, whole or not at all: it marks the run as finished."""
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
        """Returns what is printed."""
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_row("test accuracy", f"{self.test_accuracy:.2%} of {self.test_examples:,} texts")
        table.add_row("majority class", f"{self.majority_share:.2%}")
        best = f"{self.validation_accuracy:.2%}, best at step {self.best_step:,} of {self.steps:,}"
        table.add_row("validation", best)
        without = f"{self.parameters_without_table:,} without the embedding table"
        table.add_row("parameters", f"{self.parameters:,} ({without})")
        table.add_row("training", f"{self.seconds:.1f} s, {self.examples_per_s:,.0f} examples/s")
        table.add_row("device", self.device)
        table.add_row("peak memory", self._memory())
        cut = ", ".join(f"{count:,} in {split}" for split, count in self.texts_cut.items())
        table.add_row("texts cut", cut)
        table.add_row("written to", self.workdir)
        return table

    def _memory(self) -> str:
        parts = [f"process {_megabytes(self.process_bytes)}"]
        if self.step_bytes is not None:
            parts.append(f"training step {_megabytes(self.step_bytes)}")
        if self.device_bytes is not None:
            parts.append(f"device {_megabytes(self.device_bytes)}")
        return ", ".join(parts)


def process_peak_bytes() -> int:
    """Returns the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, except on macOS


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
