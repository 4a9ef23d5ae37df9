"""Progress on the screen: a bar on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY = 10.0  # seconds between lines where there is no terminal


class ProgressDisplay:
    """Shows compilation, training and evaluation; a context manager."""

    def __init__(self, console: Console, total_steps: int) -> None:
        self._console, self._total = console, total_steps
        self._last_line = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def compiling(self, what: str) -> Callable[[int, int], None]:
        """Returns a function of (programs compiled, programs in all) that shows them."""
        task = self._bar.add_task(f"compiling {what}", total=None, note="")

        def report(done: int, total: int) -> None:
            self._bar.update(task, completed=done, total=total, visible=done < total)
            self._occasionally(f"compiling {what} {done}/{total}", force=done == total)

        return report

    def training(self, step: int) -> None:
        """Starts the bar of the training steps at `step`."""
        self._started = step, time.monotonic()
        self._task = self._bar.add_task("training", total=self._total, completed=step, note="")

    def step(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=step)

    def row(self, row: Mapping[str, Any]) -> None:
        """Shows a row of metrics of training or validation."""
        if row["split"] not in ("train", "validation"):
            return
        step, note = row["step"], f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}"
        text = f"step {step:>6}/{self._total}  {row['split']:<10}  {note}"
        if row["split"] == "validation":
            self.line(f"{text}  macro F1 {row['macro_f1']:.4f}")
            return
        speed = f"  {row['examples_per_s']:,.0f} examples/s"
        self._bar.update(self._task, note=note + speed)
        first, since = self._started
        left = (time.monotonic() - since) / max(step - first, 1) * (self._total - step)
        self._occasionally(f"{text}{speed}  {timedelta(seconds=round(left))} left")

    def line(self, text: str) -> None:
        """Prints a line, above the bar where there is one."""
        self._console.print(text, markup=False, highlight=False)

    def _occasionally(self, text: str, force: bool = False) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and (force or now - self._last_line >= _LINE_EVERY):
            self._last_line = now
            self.line(text)
