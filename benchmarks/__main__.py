"""Speed and memory, each figure a ratio measured within one run.

    python -m benchmarks                                  # on the embedded texts
    python -m benchmarks --data ag_news_csv --vocab vocab.txt --json out.json
    python -m benchmarks --list
    python -m benchmarks --only step --only parts --repeats 5 --preset paper
    python -m benchmarks --only baselines --data-root FOLDER      # accuracy, see --help

Implementations take turns, each in a process of its own, so that all of them suffer alike from
whatever else the machine does. Medians are given with quartiles, beside the machine's own limits.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks import cross_validation
from benchmarks.setting import Setting
from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError, nearest

# name -> whether it runs by default
BENCHMARKS = {
    "step": True,
    "parts": True,
    "throughput": True,
    "prediction": True,
    "scaling": True,
    "encoders": True,
    "fasttext": True,
    "guards": False,
    "accuracy": False,
    "baselines": False,
}
_BASELINES = "baselines"


@dataclass(frozen=True)
class Options:
    """What to measure, and on which texts."""

    list: bool = False
    """List the benchmarks and exit."""
    only: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A benchmark to run, by default all but the slow ones; may be given several times."""
    json: str | None = None
    """File to write the results to, as JSON; '-' for standard output."""
    data: str | None = None
    """Folder or file of labelled texts; by default the embedded ones."""
    vocab: str | None = None
    """Vocabulary (vocab.txt) for them; by default one is learned."""
    preset: Literal["paper", "adapted"] = "adapted"
    """The network of the paper to the letter (positions, one norm), or of `--preset adapted`."""
    dim: int = 768
    """Dimensions of an embedding."""
    batch_size: int = 64
    """Texts per step."""
    repeats: int = 7
    """Turns of each implementation; one more, to warm up, is not counted."""
    baselines: tyro.conf.OmitArgPrefixes[cross_validation.Options] = field(
        default_factory=cross_validation.Options
    )


def main(options: Options) -> int:
    """Runs the benchmarks; returns the exit status."""
    if options.list:
        for name, usual in BENCHMARKS.items():
            summary = (_module(name).__doc__ or "").split("\n")[0]
            print(f"{name:<12} {summary}{'' if usual else ' (slow: not run by default)'}")
        return 0
    names = options.only or tuple(name for name, usual in BENCHMARKS.items() if usual)
    for name in names:
        if name not in BENCHMARKS:
            raise UserError(f"no benchmark {name!r}{nearest(name, tuple(BENCHMARKS))}; see --list")
    data = DataConfig(source=options.data or DataConfig().source, vocab=options.vocab)
    sizes = {"dim": options.dim, "batch_size": options.batch_size}
    setting = Setting(**sizes, preset=options.preset, data=data)
    results: dict[str, Any] = {"machine": _machine()}
    if set(names) != {_BASELINES}:  # which have texts of their own
        results["texts"] = setting.tokenized.description
    out = sys.stderr if options.json == "-" else sys.stdout
    print("\n".join(results.values()), file=out)
    for name in names:
        start = time.perf_counter()
        given = (options.baselines,) if name == _BASELINES else (setting, options.repeats)
        report = _module(name).run(*given)
        results[name] = dataclasses.asdict(report)
        print(f"{name} ({time.perf_counter() - start:.0f} s)", file=out)
        print("\n".join(report.lines()), file=out, flush=True)
        _write(results, options.json)
    if options.json == "-":
        print(json.dumps(results))
    return 0


def _module(name: str) -> Any:
    return importlib.import_module(
        "benchmarks.cross_validation" if name == _BASELINES else f"benchmarks.{name}"
    )


def _write(results: dict[str, Any], path: str | None) -> None:
    """Saves the results so far, as a later benchmark may be interrupted."""
    if path is not None and path != "-":
        Path(path).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options, description=__doc__, prog="python -m benchmarks")))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
