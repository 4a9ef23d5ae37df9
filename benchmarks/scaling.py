"""How the time of a training step grows with the length of texts and with their number."""

from __future__ import annotations

import numpy as np

from benchmarks.implementations.wave import WaveTraining
from benchmarks.report import Report
from benchmarks.setting import Setting, make_tokens
from benchmarks.workers import take_turns, workers
from wave_jax.data.batches import TrainBatches
from wave_jax.models import table_rows

_LENGTHS, _TEXTS = (64, 256, 1024, 4096, 16_384), 8
_BATCHES, _TOKENS = (16, 64, 256, 1024), 64
_SPECIAL = 4  # ids before the first word's
_CLS = 2


def run(setting: Setting, repeats: int) -> Report:
    """Times steps of several lengths, then of several numbers of texts, each set in turn."""
    report = Report()
    turns = max(3, repeats // 2)
    _measure(report, setting, turns, "tokens a text", {n: (_TEXTS, n) for n in _LENGTHS})
    _measure(report, setting, turns, "texts a batch", {b: (b, _TOKENS) for b in _BATCHES})
    report.notes.append(
        f"lengths with {_TEXTS} texts, numbers of texts with {_TOKENS} tokens each; the exponent "
        "is the slope of a line through the logarithms"
    )
    return report


def _measure(
    report: Report, setting: Setting, turns: int, what: str, sizes: dict[int, tuple[int, int]]
) -> None:
    target = "benchmarks.scaling:SyntheticTraining"
    wanted = {f"{size:,} {what}": (target, setting, *given) for size, given in sizes.items()}
    with workers(wanted, report.notes) as running:
        seconds = take_turns({name: (worker, "step") for name, worker in running.items()}, turns)
        largest = list(running.values())[-1].peak_bytes()
    report.facts[f"peak memory of the process with most {what}, MB"] = largest / 1e6
    for name, values in seconds.items():
        report.add(name, 1e3 * values, "ms")
    medians = np.log([report.figures[name].median for name in wanted])
    logs = np.log(list(sizes))
    report.ratios[f"exponent in {what}"] = float(np.polyfit(logs, medians, 1)[0])
    local = np.diff(medians) / np.diff(logs)
    report.ratios[f"largest exponent between two neighbours, {what}"] = float(local.max())


class SyntheticTraining(WaveTraining):
    """Steps on a batch of synthetic texts of one length: ids by Zipf's law, as in real texts."""

    def __init__(self, setting: Setting, texts: int, length: int) -> None:
        vocab_size = setting.tokenized.tokenizer.vocab_size
        words = np.arange(_SPECIAL, vocab_size)
        share = 1 / (words - _SPECIAL + 2.7)
        rng = np.random.default_rng(0)
        ids = rng.choice(words, (texts, length), p=share / share.sum()).astype(np.int32)
        ids[:, 0] = _CLS
        batches = TrainBatches(
            make_tokens(list(ids)),
            rng.integers(0, len(setting.tokenized.label_names), texts),
            batch_size=texts,
            seed=0,
            table_rows=table_rows(vocab_size),
        )
        super().__init__(setting, batches=batches)
