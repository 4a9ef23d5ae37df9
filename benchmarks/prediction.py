"""Prediction: batches of tokenised texts, one text, texts as they are, and a long stream."""

from __future__ import annotations

from benchmarks.data import USUAL_PADDING, Setting
from benchmarks.report import Figure, Report, workers
from benchmarks.workers import take_turns

_OURS = "benchmarks.contestants.prediction:Predictor"
_TORCH = "benchmarks.contestants.torch_wave:Trainer"
_TEXTS, _SINGLES = 2000, 300
_STREAMS = (50_000, 100_000)


def run(setting: Setting, repeats: int) -> Report:
    """Times batches of every contestant in turn, then what ours alone is asked."""
    report = Report()
    batch = setting.batch_size
    wanted = {
        "ours, folded": (_OURS, setting, True),
        "ours, not folded": (_OURS, setting, False),
        f"PyTorch, padded to {USUAL_PADDING}": (_TORCH, setting, USUAL_PADDING),
    }
    with workers(report, wanted) as running:
        for worker in running.values():
            for start in (0, 64, 128):
                worker.ask("predict", start, batch)
        turns = {name: (worker, "predict", (0, batch)) for name, worker in running.items()}
        for name, values in take_turns(turns, 2 * repeats).items():
            report.figures[f"{name}, batch of {batch}"] = Figure.of(batch / values, "texts/s")
        for name in ("ours, folded", "ours, not folded"):
            worker = running[name]
            worker.ask("one", _SINGLES)
            report.figures[f"{name}, one text after tokenisation"] = Figure.of(
                [1e3 * seconds for seconds in worker.ask("one", _SINGLES)], "ms"
            )
            worker.ask("texts", _TEXTS)
            seconds = [worker.call("texts", _TEXTS)[0] for _ in range(3)]
            report.figures[f"{name}, tokenisation included"] = Figure.of(
                [_TEXTS / value for value in seconds], "texts/s"
            )
        report.facts["lookup table, MB"] = running["ours, folded"].ask("table_bytes") / 1e6
        streams = running["ours, folded"].ask("memory_of_lines", list(_STREAMS))
    for count, (seconds_taken, peak) in zip(_STREAMS, streams, strict=True):
        report.facts[f"stream of {count:,} short lines, s"] = seconds_taken
        report.facts[f"peak memory after {count:,} short lines, MB"] = peak / 1e6
    rates = {name: figure.median for name, figure in report.figures.items() if "batch" in name}
    first, *others = rates
    for other in others:
        report.ratios[f"{first} / {other.removeprefix('ours, ')}"] = rates[first] / rates[other]
    return report
