"""A folder with model.onnx, which runs without JAX, and files that say what its ids mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wave_jax.errors import UserError
from wave_jax.export.files import write_meaning
from wave_jax.inference import Classifier
from wave_jax.inference.lookup_table import Kept, table_bytes, without_table
from wave_jax.models import WaveClassifier

FILE = "model.onnx"
_MOST_BYTES = 2_000_000_000  # a protocol buffer has 2 GiB at most
_AT_ONCE = 16  # texts, of whose tokens the rows are in memory together

Logits = Callable[[Sequence[str]], np.ndarray]


def check_onnx(classifier: Classifier, kept: Kept) -> None:
    """Raises UserError where the network cannot be exported, or a package is missing."""
    model = classifier.model
    if why_not := without_table(model):
        raise UserError(f"--format onnx writes a lookup table: {why_not}")
    assert isinstance(model, WaveClassifier)
    size = table_bytes(model, classifier.tokenizer.vocab_size, kept)
    if size > _MOST_BYTES:
        way = "give --table int8" if kept == "float32" else "that needs a smaller vocabulary"
        raise UserError(f"the table has {size / 1e9:.1f} GB, an ONNX file at most 2: {way}")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        what = f"--format onnx needs the package {error.name}"
        raise UserError(f"{what}: pip install onnx onnxruntime (the extra 'export')") from None


def write_onnx(classifier: Classifier, folder: Path, kept: Kept = "float32") -> Logits:
    """Writes a new folder, after `check_onnx`.

    Returns a function from texts to the logits, float32 [texts, classes], that onnxruntime computes
    from the file. Raises UserError as `check_onnx` does.
    """
    check_onnx(classifier, kept)
    import onnx
    import onnxruntime

    from wave_jax.export.onnx_graph import make_graph

    folder.mkdir()
    write_meaning(folder, classifier)
    model = make_graph(classifier, kept)
    onnx.checker.check_model(model, full_check=True)
    (folder / FILE).write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(folder / FILE, providers=["CPUExecutionProvider"])

    def logits(texts: Sequence[str]) -> np.ndarray:
        found = []
        for start in range(0, len(texts), _AT_ONCE):
            ids, mask = classifier.encode(texts[start : start + _AT_ONCE])
            inputs = {"input_ids": ids.astype(np.int64), "attention_mask": mask.astype(np.int64)}
            found += session.run(["logits"], inputs)
        return np.concatenate(found)

    return logits
