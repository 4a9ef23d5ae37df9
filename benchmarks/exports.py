"""Sizes, loading and speed of the formats that a run is exported in, beside fastText's.

    python -m benchmarks.exports runs/mine

On the run's own texts: all formats label its test texts, and fastText learns from what the run
learned from. Each format has a process of its own, which takes turns with the others; times are
of the processor, so that other processes do not count. fastText gets its texts in lower case and
with spaces around punctuation, which is not timed. Needs the extra 'export', and fasttext.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import environment
from benchmarks.cross_validation.models import spaced
from benchmarks.fasttext import load_library
from wave_jax.data.dataset import load_dataset
from wave_jax.export.hub import write_hub
from wave_jax.export.onnx_graph import write_onnx
from wave_jax.inference import load
from wave_jax.runs.files import load_config
from wave_jax.runs.workdir import with_snapshot

_TURNS, _TEXTS = 3, 2000
_EXAMPLES = Path(__file__).parents[1] / "examples"

# What a process measures: PREPARE gives `label`, from texts to the indices of their classes.
_PROCESS = """
import json, sys, time
texts, path = json.loads(sys.stdin.read()), sys.argv[1]
start = time.process_time()
{prepare}
label(texts[:1])
loaded = time.process_time() - start
label(texts)
seconds = []
for _ in range(3):
    start = time.process_time()
    found = label(texts)
    seconds.append(time.process_time() - start)
print(json.dumps([loaded, len(texts) / min(seconds), list(map(int, found))]))
"""
_OURS = """
import wave_jax
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory
enable_compilation_cache()
keep_freed_memory()
classifier = wave_jax.load(path, table="{table}")
label = lambda texts: classifier.logits(texts).argmax(axis=1)
"""
_ONNX = f"""
sys.path.insert(0, {str(_EXAMPLES)!r})
from onnx_predict import Predictor
predictor = Predictor(path)
def label(texts):
    chunks = (texts[at : at + 16] for at in range(0, len(texts), 16))
    return [k for chunk in chunks for k in predictor.logits(chunk).argmax(axis=1)]
"""
_FASTTEXT = """
import fasttext
model = fasttext.load_model(path)
def label(texts):
    return [int(model.f.predict(text + "\\n", 1, 0.0, "strict")[0][1][9:]) for text in texts]
"""


def main(workdir: Path) -> None:
    """Prints a table in Markdown."""
    config = load_config(workdir)
    dataset = load_dataset(with_snapshot(config.data, workdir))
    texts, labels = dataset.test.texts[:_TEXTS], dataset.test.labels[:_TEXTS]
    with tempfile.TemporaryDirectory() as folder:
        formats = _write(workdir, dataset, Path(folder))
        turns: dict[str, list[Any]] = {name: [] for name in formats}
        for _ in range(_TURNS):
            for name, (path, prepare) in formats.items():
                given = map(spaced, texts) if prepare == _FASTTEXT else texts
                turns[name].append(_measure(path, prepare, list(given)))
        sizes = {}
        for name, (path, _) in formats.items():
            inside = path.iterdir() if path.is_dir() else [path]
            sizes[name] = sum(file.stat().st_size for file in inside)
    print("| format | size, MB | load and first text, s | texts a second | accuracy |")
    print("|---|---:|---:|---:|---:|")
    for name, found in turns.items():
        loaded, rate = (float(np.median([turn[i] for turn in found])) for i in range(2))
        right = float((np.array(found[0][2]) == labels).mean())
        print(f"| {name} | {sizes[name] / 1e6:.2f} | {loaded:.2f} | {rate:,.0f} | {right:.2%} |")


def _write(workdir: Path, dataset: Any, folder: Path) -> dict[str, tuple[Path, str]]:
    """Writes every format; returns where each lies, and what reads it."""
    classifier, formats = load(workdir), {}
    write_hub(classifier, folder / "hub", {})
    for table in ("float32", "int8"):
        formats[f"`hub`, wave_jax, table {table}"] = folder / "hub", _OURS.format(table=table)
    for table in ("float32", "int8"):
        write_onnx(classifier, folder / table, table)  # type: ignore[arg-type]
        formats[f"`onnx`, table {table}, without wave_jax"] = folder / table, _ONNX
    lines = []
    for split in (dataset.train, dataset.validation):
        rows = zip(split.texts, split.labels.tolist(), strict=True)
        lines += [f"__label__{label} {spaced(text)}\n" for text, label in rows]
    source = folder / "texts.txt"
    np.random.default_rng(0).shuffle(lines)  # fastText reads them in order, epoch after epoch
    source.write_text("".join(lines), encoding="utf-8")
    options = {"lr": 0.5, "epoch": 25, "wordNgrams": 2, "seed": 0}
    options |= {"bucket": 200_000, "thread": 1, "verbose": 0}
    model = load_library().train_supervised(str(source), **options)
    model.save_model(str(folder / "model.bin"))
    model.quantize(input=str(source), retrain=True, cutoff=100_000, qnorm=True, thread=1)
    model.save_model(str(folder / "model.ftz"))
    formats["fastText, pairs of words"] = folder / "model.bin", _FASTTEXT
    formats["fastText, quantised"] = folder / "model.ftz", _FASTTEXT
    return formats


def _measure(path: Path, prepare: str, texts: list[str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS.format(prepare=prepare), str(path)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env=environment(),
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
