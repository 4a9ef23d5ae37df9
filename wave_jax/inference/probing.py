"""Every gradient of a trained network for one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from wave_jax.errors import UserError, nearest
from wave_jax.inference.classifier import Classifier
from wave_jax.probe import class_logit, cross_entropy, margin, unknown_baseline
from wave_jax.probe.result import ProbeResult, probe_batch
from wave_jax.probe.scalars import Scalar
from wave_jax.probe.text import Of, TextProbe
from wave_jax.training.compilation import matmul_precision

_SCALARS: dict[str, Scalar] = {"loss": cross_entropy, "logit": class_logit, "margin": margin}
_SHORTEST = 16  # tokens that a text is padded to at least, so that few shapes are compiled
_ALL = 1 << 30  # pieces: more than any text has


def probe_text(
    classifier: Classifier,
    text: str,
    *,
    label: str | None = None,
    of: Of = "loss",
    cut: bool = False,
) -> TextProbe:
    """Returns every gradient of a trained Wave Network for one text.

    Args:
      classifier: as `wave_jax.load(workdir)` gives it.
      label: the class whose loss, logit or margin is differentiated; by default the predicted one.
      of: what is differentiated: the 'loss', the class's 'logit', or the 'margin' between it and
        the best other class.
      cut: read only as much of a long text as the network was made for, instead of refusing it.

    Raises:
      UserError: the text is empty or too long, the label unknown, or the network has no waves.
    """
    if of not in _SCALARS:
        raise UserError(f"of must be one of {', '.join(get_args(Of))}; got {of!r}")
    ids, lost = _ids(classifier, text, cut)
    width = _SHORTEST
    while width < len(ids):
        width *= 2
    width = max(len(ids), min(width, classifier.max_length))
    row, mask = np.zeros((1, width), np.int32), np.zeros((1, width), bool)
    row[0, : len(ids)], mask[0, : len(ids)] = ids, True
    tokenizer = classifier.tokenizer
    baseline = unknown_baseline(
        jnp.asarray(row), tokenizer.unk_id, (tokenizer.cls_id, tokenizer.sep_id)
    )
    if label is None:
        logits = classifier.model.apply({"params": classifier.params}, row, mask)
        target = int(np.argmax(logits[0]))
    else:
        target = _index(classifier.labels, label)
    with matmul_precision("float32"):
        found = _jitted(classifier.model, of)(
            classifier.params, row, np.array([target]), mask=mask, baseline_ids=baseline
        )
    return TextProbe(
        text=text,
        tokens=tuple(tokenizer.tokens(ids)),
        cut=lost,
        label=target,
        labels=classifier.labels,
        of=of,
        examination=_without_padding(jax.device_get(found), len(ids), width),
    )


@lru_cache(maxsize=8)
def _jitted(model: Any, of: Of) -> Any:
    return jax.jit(partial(probe_batch, model, scalar=_SCALARS[of]))


def _ids(classifier: Classifier, text: str, cut: bool) -> tuple[np.ndarray, int]:
    """Returns the ids that are read, and how many tokens were cut off."""
    tokenizer, longest = classifier.tokenizer, classifier.max_length
    whole = tokenizer.encode([text], _ALL)[0]
    if len(whole) <= 2:
        raise UserError(
            f"the text {text[:40]!r} is empty: it has no tokens but [CLS] and [SEP], and so no "
            "gradients to show; give at least one word"
        )
    lost = max(0, len(whole) - longest)
    if lost and not cut:
        raise UserError(
            f"{lost} of the text's {len(whole)} tokens would be cut: the network reads {longest}, "
            "[CLS] and [SEP] included; shorten the text, or accept this with --cut (cut=True)"
        )
    return (tokenizer.encode([text], longest)[0] if lost else whole), lost


def _index(labels: Sequence[str], label: str) -> int:
    if label not in labels:
        raise UserError(
            f"no class {label!r}{nearest(label, labels)}; the classes are {', '.join(labels)}"
        )
    return list(labels).index(label)


def _without_padding(found: ProbeResult, length: int, width: int) -> ProbeResult:
    """Cuts the axes over tokens: the second of three, the third too of couplings, and of [1, n]."""

    def cut(leaf: np.ndarray) -> np.ndarray:
        return leaf[:, :length] if leaf.ndim == 3 and leaf.shape[1] == width else leaf

    rest: ProbeResult = jax.tree.map(cut, found)
    integrated = rest.integrated
    return ProbeResult(
        rest.gradients,
        rest.gradient_times_input[:, :length],
        replace(integrated, tokens=integrated.tokens[:, :length]),
        jax.tree.map(lambda leaf: leaf[:, :, :length], rest.couplings),
    )
