"""What every export needs: whole files, what ids and classes mean, and a check of the result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wave_jax import __version__
from wave_jax.data.dataset import MEMORY
from wave_jax.errors import UserError
from wave_jax.inference import Classifier
from wave_jax.runs.files import CONFIG_FILE, EXPORT_FORMAT, MODEL_TYPE, save_tokenizer, write_whole

Logits: TypeAlias = Callable[[Sequence[str]], np.ndarray]
"""From texts to logits float32 [texts, classes]."""

_MOST_DIFFERENT = 0.01  # of the labels, whatever is rounded: more is a fault
_TIES = 2  # labels that may always differ, where two classes are as probable


@contextmanager
def new_output(out: Path) -> Iterator[Path]:
    """Yields a path beside `out`, which gets its name in the end; after an error nothing is left.

    UserError where there is something already, or no room.
    """
    if os.path.lexists(out):
        raise UserError(f"{out} exists already: give a new name, or remove it first")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield part
        part.rename(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)


def write_meaning(folder: Path, classifier: Classifier, results: Mapping[str, Any]) -> None:
    """Writes config.json, without private paths, with `results`, and the tokenizer's files."""
    config, labels = classifier.config, classifier.labels
    places: Any = dict.fromkeys(("test", "vocab", "cache_dir", "tfds_dir", "tfds_manual_dir"))
    config = replace(
        config,
        workdir=None,
        data=replace(config.data, source=MEMORY, **places),
        model=replace(config.model, pretrained=None),
        train=replace(config.train, init_from=None),
    )
    own = {"format": EXPORT_FORMAT, "version": __version__, "config": asdict(config)}
    description = {
        "architectures": [type(classifier.model).__name__],
        "model_type": MODEL_TYPE,
        "id2label": dict(enumerate(labels)),
        "label2id": {name: index for index, name in enumerate(labels)},
        MODEL_TYPE: own | {"results": dict(results)},
    }
    options = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")} | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": classifier.max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "split_special_tokens": True,  # so that no text can forge them
    }
    for name, values in ((CONFIG_FILE, description), ("tokenizer_config.json", options)):
        write_whole(folder / name, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    save_tokenizer(folder, classifier.tokenizer)


def compare(expected: np.ndarray, found: np.ndarray, labels: np.ndarray | None) -> str:
    """Returns how logits [texts, classes] of what was written compare with those expected.

    UserError where they have little in common.
    """
    chosen = [logits.argmax(axis=1) for logits in (expected, found)]
    wrong = int(np.sum(chosen[0] != chosen[1]))
    agreement = 1 - wrong / len(found)
    difference, largest = np.abs(expected - found).max(), np.abs(expected).max()
    if not np.isfinite(difference) or wrong > max(_TIES, _MOST_DIFFERENT * len(found)):
        raise UserError(
            f"what was written gives {agreement:.1%} of {len(found):,} texts the network's label: "
            "it was not kept, this network cannot be exported in this format"
        )
    by = f"within {difference:.2g} of {largest:.2g}" if difference else "to the bit"
    said = f"logits equal {by}, labels of {agreement:.2%}"
    if labels is None:
        return said
    before, after = (np.mean(each == labels) for each in chosen)
    return f"{said}, accuracy {before:.2%} before and {after:.2%} after"
