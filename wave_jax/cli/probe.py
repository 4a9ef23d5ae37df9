"""`python -m wave_jax probe`: gradients through magnitude and phase, for texts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from wave_jax.cli.app import parse
from wave_jax.cli.tables import print_table
from wave_jax.cli.texts import TextOptions, is_table, open_input
from wave_jax.data.dataset import SplitName, load_split
from wave_jax.errors import UserError
from wave_jax.inference import Classifier, load
from wave_jax.inference.probing import probe_text
from wave_jax.probe.page import render_page
from wave_jax.probe.text import Of, TextProbe, probe_record
from wave_jax.runs.workdir import with_snapshot
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


class _Text(NamedTuple):
    name: str  # in error messages
    text: str
    label: str | None


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints the gradients; returns the exit status."""
    default = Options(tyro.MISSING)
    options = parse(default, argv, prog=prog, description=_DESCRIPTION, file_option="--input")
    options.check()
    if sum(map(bool, (options.text, options.input, options.example))) != 1:
        raise UserError("give the texts in one way: --text, --input FILE, or --example N")
    enable_compilation_cache()
    classifier = load(options.workdir, options.checkpoint, fold=False)
    probes = [_probe(classifier, text, options) for text in _texts(options, classifier)]
    for probe in probes:
        if options.json:
            print(json.dumps(probe_record(probe), ensure_ascii=True))
        else:
            _print_probe(probe_record(probe))
    if options.html is not None:
        page = Path(options.html)
        try:
            page.write_text(render_page(probes), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {page}: {error.strerror}") from error
        if not options.json:
            print(f"Written: {page} ({page.stat().st_size / 1e6:.2f} MB)")
    return 0


def _probe(classifier: Classifier, wanted: _Text, options: Options) -> TextProbe:
    cut = options.cut or bool(options.example)  # examples are truncated, as in training
    try:
        return probe_text(classifier, wanted.text, label=wanted.label, of=options.of, cut=cut)
    except UserError as error:
        raise UserError(f"{wanted.name}: {error}") from error


def _texts(options: Options, classifier: Classifier) -> list[_Text]:
    if options.text:
        texts = [_Text(f"text {i}", text, options.label) for i, text in enumerate(options.text, 1)]
    elif options.input is not None:
        with open_input(options, classifier.config.data) as chunks:
            found = list(itertools.islice(itertools.chain.from_iterable(chunks), _MOST_TEXTS + 1))
        what = "row" if is_table(Path(options.input)) else "line"
        texts = [_Text(f"{what} {i}", text, options.label) for i, text in enumerate(found, 1)]
        if not texts:
            raise UserError(f"{options.input} has no {what}, so there is nothing to probe")
    else:
        texts = _examples(options, classifier)
    most = _MOST_TEXTS if options.html is None else _MOST_ON_PAGE
    if len(texts) > most:
        where = "one call" if options.html is None else "a page"
        raise UserError(f"too many texts for {where}: at most {most} can be shown")
    return texts


def _examples(options: Options, classifier: Classifier) -> list[_Text]:
    data = with_snapshot(classifier.config.data, Path(options.workdir))
    split = load_split(data, options.split, classifier.labels)
    texts = []
    for index in options.example:
        if not 0 <= index < len(split):
            raise UserError(
                f"the {options.split} split has the examples 0 to {len(split) - 1}; got {index}"
            )
        label = options.label or classifier.labels[int(split.labels[index])]
        texts.append(_Text(f"{options.split} example {index}", split.texts[index], label))
    return texts


def _print_probe(record: dict[str, Any]) -> None:
    """Prints the prediction, each token's gradients and attributions, each layer's two paths."""
    ranked = sorted(record["probabilities"].items(), key=lambda pair: -pair[1])[:4]
    print(record["text"])
    print("prediction   " + "   ".join(f"{name} {share:.3f}" for name, share in ranked))
    print(f"gradient of  the {record['of']} of {record['label']}: {record['value']:.5g}")
    if record["tokens_cut"]:
        print(f"truncated    by {record['tokens_cut']} tokens beyond the network's length")
    layers, integrated = record["layers"], record["integrated_gradients"]
    paths = [(name, k) for k, _ in enumerate(layers) for name in ("magnitude", "phase")]
    top = max(record["gradient"]) or 1.0
    print_table(
        "Each token: gradient at its embedding, its two paths, attributions",
        (
            *("token", "", "gradient"),
            *(f"{name} {k}" if len(layers) > 1 else name for name, k in paths),
            *("x input", "integrated"),
        ),
        [
            (
                *(token, "█" * round(_BAR * gradient / top), f"{gradient:.3g}"),
                *(f"{layers[k][f'{name}_path'][i]:.3g}" for name, k in paths),
                f"{record['gradient_times_input'][i]:+.3g}",
                f"{integrated['tokens'][i]:+.3g}",
            )
            for i, (token, gradient) in enumerate(
                zip(record["tokens"], record["gradient"], strict=True)
            )
        ],
        left=2,
    )
    print_table(
        "Each layer, over both variants",
        ("layer", "share of magnitude", "mean |dL/dG|", "mean |dL/dalpha|"),
        [
            (
                *(str(k), f"{layer['magnitude_share']:.3f}"),
                *(f"{layer[f'mean_abs_d_{name}']:.3g}" for name in ("magnitude", "phase")),
            )
            for k, layer in enumerate(layers)
        ],
    )
    print(_completeness(integrated))


def _completeness(integrated: dict[str, Any]) -> str:
    start, end, gap = (integrated[name] for name in ("baseline_value", "value", "gap"))
    return (
        f"Integrated gradients {'add up' if integrated['converged'] else 'do NOT add up'} from "
        f"{start:.4g} (all words [UNK]) to {end:.4g}: the gap is "
        f"{'unbounded' if gap is None else f'{gap:.2%}'} after {integrated['evaluations']} points"
    )
