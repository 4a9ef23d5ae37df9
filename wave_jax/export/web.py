"""A trained network as one HTML page that runs it: no server, no network, nothing to install.

The page holds the table of variants that the lookup table squares, 8-bit with a scale a row, and
the small rest of the network; JavaScript inside it tokenizes a text, computes the logits and their
exact gradient at every keystroke, and draws both with the pictures of `wave_jax.probe.page`. Its
data are one safetensors file, compressed and in base64, whose metadata say how to read it.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save

from wave_jax import __version__
from wave_jax.data.ngrams import NgramTokenizer
from wave_jax.errors import UserError
from wave_jax.inference import Classifier
from wave_jax.inference.lookup_table import supports, without_table
from wave_jax.inference.quantisation import quantise
from wave_jax.models import WaveClassifier
from wave_jax.probe.page import SHARED_SCRIPTS, asset, fill
from wave_jax.runs.files import write_whole
from wave_jax.training.compilation import matmul_precision

_ENGINE = ("blake2b.js", "tokenizer.js", "layers.js", "network.js", "analysis.js")
_PLAYGROUND = ("record.js", "dragging.js", "playground.js")
_EXAMPLES = 6  # that the page offers
_EXAMPLES_READ = 500  # texts among which they are looked for
_SURE = 0.8  # probability of an example's answer, so that a word or two can change it
_READABLE = range(30, 240)  # characters of an example


def write_web(
    classifier: Classifier,
    out: Path,
    *,
    learned_from: Sequence[str] = (),
    examples: Sequence[str] = (),
) -> Classifier:
    """Writes one HTML page that runs a trained Wave Network.

    Args:
      classifier: the network, one that a lookup table serves.
      out: the file; it is written whole or not at all, and replaces another one.
      learned_from: the texts that the network learned from. If there are any, tokens that none of
        them has are left out: they have nothing learned, and the page counts them as zeros.
      examples: texts, of which the page offers a few to start from: short ones of different
        classes, each with a clear answer that a word or two can still change.

    Returns:
      The network of the page as a classifier: its logits are the page's, up to rounding.

    Raises:
      UserError: no lookup table serves the network, or the file cannot be written.
    """
    model = classifier.model
    if (why_not := without_table(model, position="none")) or not supports(model):
        raise UserError(f"a page cannot run this network: {why_not}")
    quantised, tensors = _quantised(classifier, model, learned_from)
    about = {**_description(quantised), "examples": _choose(quantised, examples)}
    description = json.dumps(about, ensure_ascii=False)
    packed = gzip.compress(save(tensors, {"page": description}), mtime=0)
    labels = ", ".join(classifier.labels[:8]) + (", ..." if len(classifier.labels) > 8 else "")
    playground = "\n".join([*map(asset, SHARED_SCRIPTS), *map(_asset, _PLAYGROUND)])
    page = fill(
        _asset("playground.html"),
        asset("page.css") + _asset("playground.css"),
        _engine(),
        f"(() => {{\n{playground}\n}})();",
        TITLE=html.escape(labels),
        VERSION=__version__,
        DATA=base64.b64encode(packed).decode("ascii"),
    )
    try:
        write_whole(Path(out), page)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from error
    return quantised


def _engine() -> str:
    """Returns the script that computes, which needs no page: `engine.open(base64)`."""
    library = "/*! @huggingface/tokenizers 0.2.0, Copyright Hugging Face, Apache License 2.0 */\n"
    library += f"const library = {{}};\n((exports, module) => {{{_asset('tokenizers.min.cjs')}\n"
    library += "Object.assign(library, module.exports);})({}, {});"
    parts = "\n".join(map(_asset, _ENGINE))
    return f"const engine = (() => {{\n{library}\n{parts}\nreturn {{ open, Analysis }};\n}})();"


def _quantised(
    classifier: Classifier, model: WaveClassifier, learned_from: Sequence[str]
) -> tuple[Classifier, dict[str, np.ndarray]]:
    """Returns the network with its table rounded to 8 bits, and the page's tensors."""
    tokenizer = classifier.tokenizer
    params = jax.device_get(classifier.params)
    head = {name: leaf for name, leaf in params.items() if name != "embed"}
    rows = params["embed"]["embedding"]
    embeddings, weights = np.split(rows, [rows.shape[1] - model.linear_columns()], axis=1)
    with matmul_precision("float32"):
        project = jax.jit(lambda x: model.apply({"params": head}, x, method="project"))
        parts = {"variants": project(embeddings)}
    if model.linear_path:
        parts["weights"] = weights
    kept = _tokens_to_keep(classifier, learned_from)
    ids = np.flatnonzero(kept)
    tensors: dict[str, np.ndarray] = {}
    columns = []
    for name, part in parts.items():
        values, scales = map(np.asarray, quantise(part[ids]))
        tensors |= {name: values, f"{name}_scale": scales}
        columns.append((values * scales[..., None]).reshape(len(ids), -1))
    table = np.zeros((len(rows), sum(part.shape[1] for part in columns)), np.float32)
    table[ids] = np.concatenate(columns, axis=1)
    pieces = getattr(tokenizer, "pieces", tokenizer.vocab_size)
    tensors["rows"] = np.where(kept[:pieces], np.cumsum(kept[:pieces]) - 1, -1).astype(np.int32)
    if isinstance(tokenizer, NgramTokenizer):
        tensors["ngrams"] = tokenizer.kept
    if model.variants == "dense":
        head["layer_0"] = {k: leaf for k, leaf in head["layer_0"].items() if k != "variants"}
    for path, leaf in jax.tree_util.tree_leaves_with_path(head):
        tensors[jax.tree_util.keystr(path, simple=True, separator="/")] = leaf
    config = classifier.config
    found = Classifier(
        model.clone(variants="table"),
        {**head, "embed": {"embedding": table}},
        tokenizer=tokenizer,
        labels=classifier.labels,
        config=replace(config, model=replace(config.model, variants="table")),
        max_length=classifier.max_length,
    )
    return found, tensors


def _tokens_to_keep(classifier: Classifier, learned_from: Sequence[str]) -> np.ndarray:
    """Returns which tokens have something learned, bool [vocabulary]; special ones are kept too."""
    tokenizer = classifier.tokenizer
    kept = np.full(tokenizer.vocab_size, not learned_from)
    # Every n-gram: two texts or more have each.
    kept[getattr(tokenizer, "pieces", tokenizer.vocab_size) :] = True
    kept[[tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id]] = True
    kept[tokenizer.encode(learned_from, classifier.max_length).ids] = True
    return kept


def _choose(classifier: Classifier, texts: Sequence[str]) -> list[str]:
    """Returns a few texts, first one of each predicted class: about as sure as `_SURE`."""
    short = ([text for text in texts if len(text) in _READABLE] or list(texts))[:_EXAMPLES_READ]
    found = classifier.predict(short)
    doubt = [abs(max(each.probabilities.values()) - _SURE) for each in found]
    order = sorted(range(len(short)), key=doubt.__getitem__)
    nearest = {found[i].label: i for i in reversed(order)}
    chosen = sorted(nearest.values(), key=order.index)
    return [short[i] for i in list(dict.fromkeys([*chosen, *order]))[:_EXAMPLES]]


def _description(classifier: Classifier) -> dict[str, Any]:
    """Returns what the page must know besides the arrays, as JSON's values."""
    model, tokenizer, data = classifier.model, classifier.tokenizer, classifier.config.data
    assert isinstance(model, WaveClassifier)
    return {
        "labels": classifier.labels,
        "readouts": model.readouts,
        "activation": model.activation,
        "norms": model.norms if model.head == "ffn" else 0,
        "dim": model.dim,
        "max_length": classifier.max_length,
        "special": {
            name: getattr(tokenizer, f"{name}_id") for name in ("pad", "unk", "cls", "sep")
        },
        "ngrams": data.ngrams,
        "stems": sorted(set(data.stems)),
        "tokenizer": json.loads(tokenizer.to_json()),
    }


def _asset(name: str) -> str:
    return asset(name, "wave_jax.export")
