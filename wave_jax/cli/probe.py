"""`python -m wave_jax probe`: gradients through magnitude and phase, for texts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from wave_jax.cli.app import parse, print_table
from wave_jax.cli.texts import TextOptions, is_table, open_with_ids
from wave_jax.data.dataset import SplitName, load_split
from wave_jax.errors import UserError
from wave_jax.inference import Classifier, load
from wave_jax.inference.probing import probe_text
from wave_jax.probe.page import render_page
from wave_jax.probe.result import Of, probe_record
from wave_jax.runs.workdir import check_paths, with_snapshot
from wave_jax.training.compilation import enable_compilation_cache

_DESCRIPTION = """Shows how gradients flow through the two components of a wave, for every token.

Examples:
  python -m wave_jax probe runs/ag --text "Shares rise on Wall Street"
  python -m wave_jax probe runs/ag --text "Shares rise" --label World --of margin --html out.html
  python -m wave_jax probe runs/ag --input texts.txt --json
  python -m wave_jax probe runs/ag --example 17

The gradients are those of the loss (or --of logit, margin) of the predicted class, of --label, or
of an example's own class. --html writes one self-contained page for a browser."""

_MOST_TEXTS = 64  # of one call: each is shown in full
_MOST_ON_PAGE = 8
_BAR = 8  # characters of the longest bar


@dataclass(frozen=True)
class Options(TextOptions):
    """What to probe, and what to show."""

    example: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Index of an example of the run's data set, from 0; may be given several times."""
    split: SplitName = "validation"
    """Split that --example indexes."""
    label: str | None = None
    """Class whose loss, logit or margin is differentiated."""
    of: Of = "loss"
    """What is differentiated: the class's loss, its logit, or its margin over the best other
    one."""
    cut: bool = False
    """Truncate a text that is too long instead of refusing it."""
    json: bool = False
    """Print one JSON object a text instead of tables."""
    html: str | None = None
    """Write a page to this file."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Prints the gradients."""
    options = parse(Options(tyro.MISSING), argv, prog, _DESCRIPTION, "--input")
    options.check()
    if sum(map(bool, (options.text, options.input, options.example))) != 1:
        raise UserError("give the texts in one way: --text, --input FILE, or --example N")
    enable_compilation_cache()
    classifier = load(options.workdir, options.checkpoint, fold=False)
    cut = options.cut or bool(options.example)  # examples are truncated, as in training
    probes = []
    for name, text, label in _texts(options, classifier):
        try:
            probes.append(probe_text(classifier, text, label=label, of=options.of, cut=cut))
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    for record in map(probe_record, probes):
        if options.json:
            print(json.dumps(record))
        else:
            _print_probe(record)
    if options.html is not None:
        page = Path(options.html)
        try:
            page.write_text(render_page(probes), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {page}: {error.strerror}") from error
        if not options.json:
            print(f"Written: {page} ({page.stat().st_size / 1e6:.2f} MB)")


def _texts(options: Options, classifier: Classifier) -> list[tuple[str, str, str | None]]:
    """Returns each text with a name for error messages and the class to probe."""
    what, texts = "text", list(options.text)
    if options.input is not None:
        what = "row" if is_table(Path(options.input)) else "line"
        with open_with_ids(options, classifier.config.data) as chunks:
            rows = itertools.chain.from_iterable(chunks)
            texts = [text for text, _ in itertools.islice(rows, _MOST_TEXTS + 1)]
        if not texts:
            raise UserError(f"{options.input} has no {what}, so there is nothing to probe")
    found = [(f"{what} {i}", text, options.label) for i, text in enumerate(texts, 1)]
    if options.example:
        check_paths(classifier.config.data, Path(options.workdir))
        data = with_snapshot(classifier.config.data, Path(options.workdir))
        split, name = load_split(data, options.split, classifier.labels), options.split
        for index in options.example:
            if not 0 <= index < len(split):
                has = f"the examples 0 to {len(split) - 1}" if len(split) else "no examples"
                raise UserError(f"the {name} split has {has}; got {index}")
            label = options.label or classifier.labels[int(split.labels[index])]
            found.append((f"{name} example {index}", split.texts[index], label))
    most, where = (_MOST_TEXTS, "one call") if options.html is None else (_MOST_ON_PAGE, "a page")
    if len(found) > most:
        raise UserError(f"too many texts for {where}: at most {most} can be shown")
    return found


def _print_probe(record: dict[str, Any]) -> None:
    """Prints the prediction, each token's gradients and attributions, each layer's two paths."""
    layers, gradient = record["layers"], record["gradient"]
    integrated, longest = record["integrated_gradients"], max(gradient) or 1.0
    ranked = sorted(record["probabilities"].items(), key=lambda pair: -pair[1])[:4]
    print(record["text"])
    print("prediction   " + "   ".join(f"{name} {share:.3f}" for name, share in ranked))
    print(f"gradient of  the {record['of']} of {record['label']}: {record['value']:.5g}")
    if record["tokens_cut"]:
        print(f"truncated    by {record['tokens_cut']} tokens beyond the network's length")
    if record["note"]:
        print(f"note         {record['note']}")
    tokens = {
        "token": record["tokens"],
        "": ["█" * round(_BAR * value / longest) for value in gradient],
        "gradient": gradient,
    }
    for index, layer in enumerate(layers):
        number = f" {index}" if len(layers) > 1 else ""
        tokens |= {f"{name}{number}": layer[f"{name}_path"] for name in ("magnitude", "phase")}
    tokens |= {"x input": record["gradient_times_input"], "integrated": integrated["tokens"]}
    title = "Each token: gradient at its embedding, its two paths, attributions"
    print_table(title, tokens, floats=".3g")
    per_layer = {
        "layer": list(range(len(layers))),
        "share of magnitude": [layer["magnitude_share"] for layer in layers],
        "mean |dL/dG|": [layer["mean_abs_d_magnitude"] for layer in layers],
        "mean |dL/dalpha|": [layer["mean_abs_d_phase"] for layer in layers],
    }
    print_table("Each layer, over both variants", per_layer, floats=".3g")
    gap = "unbounded" if integrated["gap"] is None else f"{integrated['gap']:.2%}"
    print(
        f"Integrated gradients {'add up' if integrated['converged'] else 'do NOT add up'} from "
        f"{integrated['baseline_value']:.4g} (all words [UNK]) to {integrated['value']:.4g}: the "
        f"gap is {gap} after {integrated['evaluations']} points of the path"
    )
