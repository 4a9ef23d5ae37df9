"""`python -m wave_jax export`: a trained network in formats that others read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from wave_jax.cli.app import parse
from wave_jax.data.dataset import Dataset, load_dataset
from wave_jax.data.sources.hub import locate
from wave_jax.errors import UserError, shorten
from wave_jax.export.files import Logits, compare, new_output
from wave_jax.inference import Classifier, load
from wave_jax.inference.lookup_table import Kept
from wave_jax.runs.files import exported, load_config
from wave_jax.runs.initial import is_finished
from wave_jax.runs.workdir import check_paths, check_unchanged, with_snapshot
from wave_jax.training.compilation import enable_compilation_cache

_DESCRIPTION = """Writes a trained network in a format that others read, and checks it on its texts.

Examples:
  python -m wave_jax export runs/ag ag_hub --format hub
  python -m wave_jax export runs/ag ag_onnx --format onnx --table int8
  python -m wave_jax export runs/ag ag.html --format web

'hub' is a folder for `hf upload`, which wave_jax.load reads back; 'onnx' one that runs without JAX;
'web' a page that runs the network in a browser, offline. See docs/EXPORT.md."""

_MOST_TEXTS = 2000  # that are checked, evenly spread over the test texts


@dataclass(frozen=True)
class Options:
    """What to export, and how."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """Folder of a trained run or of what --format hub wrote, also hf:OWNER/NAME[@REVISION]."""
    out: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder or page to write; it must not exist yet."""
    format: Literal["hub", "onnx", "web"]
    """What to write."""
    table: Kept | None = None
    """Numbers of the table in 'onnx': float32, or int8 in a quarter to a third of the size."""
    examples: bool = True
    """Puts a few of the run's test texts into 'web', to start from."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Writes the network and prints how what was written compares with it."""
    blank: Any = tyro.MISSING
    options = parse(Options(blank, blank, blank), argv, prog, _DESCRIPTION, "--format hub")
    if options.table is not None and options.format != "onnx":
        raise UserError("--table is for --format onnx: hub keeps float32, web int8")
    if not options.examples and options.format != "web":
        raise UserError("--no-examples is for --format web: hub and onnx hold no texts")
    enable_compilation_cache()
    if not (out := Path(options.out)).parent.is_dir():
        raise UserError(f"no folder {out.parent}: make it first, or give another name than {out}")
    with new_output(out) as part:
        folder = locate(options.workdir, check=load_config)
        classifier = load(folder, fold=options.format == "hub" and "auto")
        dataset, why = _own_texts(folder, classifier)
        logits = _write(options, classifier, dataset, folder, part)
        texts, labels = _checked_texts(dataset, classifier)
        found = compare(classifier.logits(texts), logits(texts), labels)
    if not is_finished(folder):
        print("The run is not finished: this is what it has validated best so far")
    what = "test texts" if labels is not None else f"texts of random tokens ({why})"
    size = sum(file.stat().st_size for file in (out.iterdir() if out.is_dir() else [out]))
    print(f"Written: {out} ({size / 1e6:.2f} MB)")
    print(f"checked on {len(texts):,} {what}: {found}")
    if options.format == "web" and options.examples and labels is not None:
        print("It shows a few of the run's test texts (--no-examples leaves them out)")


def _write(
    options: Options, classifier: Classifier, dataset: Dataset | None, folder: Path, part: Path
) -> Logits:
    """Writes `part`; returns a function from texts to the logits of what was written."""
    if options.format == "onnx":
        from wave_jax.export.onnx_graph import write_onnx

        return write_onnx(classifier, part, options.table or "float32")
    if options.format == "hub":
        from wave_jax.export.hub import read_results, write_hub

        return write_hub(classifier, part, read_results(folder, classifier.config)).logits
    from wave_jax.export.web import write_web

    learned = list[str]()
    tests = list(dataset.test.texts) if dataset is not None and options.examples else []
    if dataset is not None and classifier.config.train.init_from is None:  # or of more than these
        learned = [*dataset.train.texts, *dataset.validation.texts]
    return write_web(classifier, part, learned_from=learned, examples=tests).logits


def _own_texts(folder: Path, classifier: Classifier) -> tuple[Dataset | None, str]:
    """Returns the texts of the run, or None and why they cannot be read."""
    data = classifier.config.data
    if exported(folder):
        return None, "an exported model has no others"
    try:
        check_paths(data, folder)
        dataset = load_dataset(with_snapshot(data, folder))
        check_unchanged(folder, dataset)
    except UserError as error:
        return None, shorten(str(error), 120)
    return dataset, "the run has no test texts"


def _checked_texts(data: Dataset | None, model: Classifier) -> tuple[list[str], np.ndarray | None]:
    """Returns texts to check with, and their labels: the test's, or else tokens at random."""
    if data is not None and (count := len(data.test)):
        chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_TEXTS)).astype(int))
        return [data.test.texts[i] for i in chosen], data.test.labels[chosen]
    rng, tokenizer = np.random.default_rng(0), model.tokenizer
    ids = rng.integers(tokenizer.vocab_size, size=(200, 64))
    rows = (tokenizer.tokens(row[: rng.integers(64)]) for row in ids)
    return [" ".join(row).replace(" ##", "") for row in rows], None
