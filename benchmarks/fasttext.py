"""For scale: fastText's rates of training and prediction beside ours (its package is optional)."""

from __future__ import annotations

from benchmarks.data import Setting
from benchmarks.report import Figure, Report, workers

_EPOCHS, _LINES = 5, 20_000


def run(setting: Setting, repeats: int) -> Report:
    """Times texts a second of both, in training and in prediction, tokenisation included."""
    report = Report()
    wanted = {
        "fastText": ("benchmarks.contestants.fasttext:Model", setting),
        "ours": ("benchmarks.contestants.prediction:Predictor", setting, True),
        "ours, training": ("benchmarks.contestants.ours:Trainer", setting),
    }
    turns = max(3, repeats // 2)
    with workers(report, wanted) as running:
        if "fastText" not in running:
            return report
        fast, ours, trainer = running["fastText"], running["ours"], running["ours, training"]
        texts = fast.ask("texts") * _EPOCHS
        ours.ask("texts", 2000)
        learned = [texts / fast.call("train", _EPOCHS)[0] for _ in range(turns)]
        steps = [setting.batch_size / trainer.call("step")[0] for _ in range(3 * turns)]
        read = [_LINES / fast.call("predict", _LINES)[0] for _ in range(turns)]
        ours_read = [2000 / ours.call("texts", 2000)[0] for _ in range(turns)]
    report.figures["fastText, training"] = Figure.of(learned, "texts/s")
    report.figures["ours, training"] = Figure.of(steps, "texts/s")
    report.figures["fastText, prediction"] = Figure.of(read, "texts/s")
    report.figures["ours, prediction"] = Figure.of(ours_read, "texts/s")
    for what in ("training", "prediction"):
        ours_rate, theirs = (report.figures[f"{n}, {what}"].median for n in ("ours", "fastText"))
        report.ratios[f"ours / fastText, {what}"] = ours_rate / theirs
    return report
