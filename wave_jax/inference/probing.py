"""Every gradient of a trained network for one text."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax.errors import UserError, nearest
from wave_jax.inference.classifier import Classifier
from wave_jax.probe import class_logit, cross_entropy, margin, unknown_baseline
from wave_jax.probe.model_api import Scalar
from wave_jax.probe.result import Of, ProbeResult, TextProbe, probe_batch
from wave_jax.training.compilation import matmul_precision

_SCALARS: dict[str, Scalar] = {"loss": cross_entropy, "logit": class_logit, "margin": margin}
_SHORTEST = 16  # tokens that a text is padded to; longer ones to 32, 64, ..., for few compilations


def probe_text(
    classifier: Classifier,
    text: str,
    *,
    label: str | None = None,
    of: Of = "loss",
    cut: bool = False,
) -> TextProbe:
    """Returns every gradient of a trained Wave Network for one text.

    Differentiated is the loss, logit, or margin over the best other class (`of`) of the class
    `label`, by default the predicted one. `cut` truncates a text too long for the network.

    Raises:
      UserError: the text is empty or too long, the label unknown, or the network has no waves.
    """
    if of not in _SCALARS:
        raise UserError(f"of must be one of {', '.join(get_args(Of))}; got {of!r}")
    if label is not None and label not in classifier.labels:
        raise UserError(
            f"no class {label!r}{nearest(label, classifier.labels)}; the classes are "
            f"{', '.join(classifier.labels)}"
        )
    ids, tokens_cut = _encode(classifier, text, cut)
    longest = classifier.tokenizer.longest(classifier.max_length)
    width = min(max(_SHORTEST, 1 << (len(ids) - 1).bit_length()), longest)
    mask = np.arange(width)[None] < len(ids)
    row = np.zeros((1, width), np.int32)
    row[mask] = ids
    tokenizer, model, params = classifier.tokenizer, classifier.model, classifier.params
    special = (tokenizer.cls_id, tokenizer.sep_id)
    baseline = unknown_baseline(jnp.asarray(row), tokenizer.unk_id, special)
    index = classifier.labels.index(classifier.predict(text).label if label is None else label)
    with matmul_precision("float32"):
        probe = _jitted(model, of)
        found = probe(params, row, np.array([index]), mask=mask, baseline_ids=baseline)
    result = _without_padding(jax.device_get(found), len(ids), width)
    tokens = tuple(tokenizer.tokens(ids))
    return TextProbe(text, tokens, tokens_cut, index, classifier.labels, of, result)


@lru_cache(maxsize=8)
def _jitted(model: Any, of: Of) -> Any:
    return jax.jit(partial(probe_batch, model, scalar=_SCALARS[of]))


def _encode(classifier: Classifier, text: str, cut: bool) -> tuple[np.ndarray, int]:
    """Returns the ids that are read, and how many tokens are not."""
    tokenizer, longest = classifier.tokenizer, classifier.max_length
    whole = tokenizer.encode([text], 1 << 30)[0]  # unlimited
    length = whole.tolist().index(tokenizer.sep_id) + 1  # n-grams may follow
    if length <= 2:
        raise UserError(
            f"the text {text[:40]!r} is empty: it has no tokens but [CLS] and [SEP], and so no "
            "gradients to show; give at least one word"
        )
    excess = max(0, length - longest)
    if excess and not cut:
        raise UserError(
            f"{excess} of the text's {length} tokens would be cut: the network reads {longest},"
            " [CLS] and [SEP] included; shorten the text, or accept this with --cut (cut=True)"
        )
    return (tokenizer.encode([text], longest)[0] if excess else whole), excess


def _without_padding(result: ProbeResult, length: int, width: int) -> ProbeResult:
    def trim(x: np.ndarray) -> np.ndarray:  # [1, width, d], unlike logits and a text's magnitude
        return x[:, :length] if x.ndim == 3 and x.shape[1] == width else x

    return ProbeResult(
        jax.tree.map(trim, result.gradients),
        result.gradient_times_input[:, :length],
        result.integrated.replace(tokens=result.integrated.tokens[:, :length]),  # type: ignore
        jax.tree.map(lambda x: x[:, :length, :length], result.couplings),
    )
