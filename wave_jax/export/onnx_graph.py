"""A network as an ONNX graph over its lookup table, which runs without JAX.

[CLS] is the first token of every text, so that its variants are constants. The rows of the other
tokens are added up, padding with a weight of 0; n-grams and stems are ids as words are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

from wave_jax import __version__
from wave_jax.errors import UserError
from wave_jax.export.files import Logits, write_meaning
from wave_jax.inference import Classifier
from wave_jax.inference.lookup_table import Bag, Kept, LookupTable, without_table
from wave_jax.models import WaveClassifier

FILE = "model.onnx"
_MOST_BYTES = 2_000_000_000  # a protocol buffer has 2 GiB at most
_AT_ONCE = 16  # texts, of whose tokens the rows are in memory together
_OPSET, _IR = 20, 9  # the first that have Gelu
_FLOAT, _INT64 = 1, 7  # of onnx.TensorProto
_NORM_EPSILON = 1e-6  # Flax's
_ACTIVATIONS = {"gelu": "Gelu", "relu": "Relu", "tanh": "Tanh"}
_TO_END = np.iinfo(np.int64).max

Value: TypeAlias = str | np.ndarray | np.generic  # the name of a node's output, or a constant


class Graph:
    """Nodes and constants, in the order in which they are computed."""

    def __init__(self) -> None:
        import onnx  # an extra

        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, op: str, *inputs: Value | list[int], name: str = "", **options: Any) -> str:
        """Adds a node, whose arrays become constants, and returns the name of its output."""
        name = name or f"{op.lower()}_{len(self.nodes)}"
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        self.nodes.append(self.onnx.helper.make_node(op, names, [name], name=name, **options))
        return name

    def _constant(self, value: np.ndarray | np.generic | list[int]) -> str:
        array = np.array(value, np.int64) if isinstance(value, list) else np.asarray(value)
        name = f"constant_{len(self.constants)}"
        tensor = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        self.constants.append(tensor)
        return name


def write_onnx(classifier: Classifier, folder: Path, kept: Kept = "float32") -> Logits:
    """Writes model.onnx, and the files that say what ids and classes mean, into a new folder.

    Returns what computes logits from the file, by onnxruntime.

    Raises:
      UserError: no lookup table serves the network, it is too large, or a package is missing.
    """
    if why_not := without_table(classifier.model, position="none"):
        raise UserError(f"--format onnx writes a lookup table: {why_not}")
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        what = f"--format onnx needs the package {error.name}"
        raise UserError(f"{what}: pip install onnx onnxruntime (the extra 'export')") from None
    model = make_graph(classifier, kept)
    if (size := model.ByteSize()) > _MOST_BYTES:
        way = "give --table int8" if kept == "float32" else "that needs a smaller vocabulary"
        raise UserError(f"the table has {size / 1e9:.1f} GB, an ONNX file at most 2: {way}")
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir()
    write_meaning(folder, classifier, {})
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


def make_graph(classifier: Classifier, kept: Kept) -> Any:
    """Returns the model: `input_ids` and `attention_mask`, int64 [b, n], to `logits` [b, c]."""
    model, params = classifier.model, jax.device_get(classifier.params)
    assert isinstance(model, WaveClassifier)
    at = {"cls_id": classifier.tokenizer.cls_id, "longest": 1}  # without positions
    table = LookupTable(model, params, **at, kept=kept).table
    rows, g = classifier.tokenizer.vocab_size, Graph()
    ids = g("Slice", "input_ids", [1], [_TO_END], [1])
    real = g("Cast", g("Slice", "attention_mask", [1], [_TO_END], [1]), to=_FLOAT)
    rest = []
    for k in range(2):
        total = _total(g, table.variants, np.s_[:rows, k], ids, real, squares=True)
        rest.append(g("Mul", g("Sqrt", total), np.asarray(table.scale[k])))
    out = _head(g, model, params, list(np.asarray(table.cls)), rest)
    if model.linear_path:
        count = g("Max", g("ReduceSum", real, [1]), np.float32(1))
        total = _total(g, table.weights, np.s_[:rows], ids, real, squares=False)
        out = g("Add", out, g("Mul", total, g("Pow", count, np.float32(-0.25))))
    g("Identity", out, name="logits")
    return _model(g, len(classifier.labels))


def _total(g: Graph, bag: Bag, at: Any, ids: str, real: str, *, squares: bool) -> str:
    """Adds up each text's rows, [batch, columns]; int8 ones are scaled, and squared on demand."""
    rows = g("Gather", np.asarray(bag.values[at]), ids)
    if bag.scales is not None:
        rows, scales = g("Cast", rows, to=_FLOAT), np.asarray(bag.scales[at])
        rows, scales = (g("Mul", rows, rows), scales**2) if squares else (rows, scales)
        real = g("Mul", real, g("Gather", scales, ids))
    return g("Squeeze", g("MatMul", g("Unsqueeze", real, [1]), rows), [1])


def _head(
    g: Graph, model: WaveClassifier, params: Any, own: list[np.ndarray], rest: list[str]
) -> str:
    """Returns the logits without the linear path, from u_0 and r_0 of both variants."""
    layer, parts = params.get("layer_0", {}), []
    for i, (op, kind) in enumerate(model.readouts):
        part = _readout(g, *_superpose(g, op, own, rest), kind)
        norm = layer.get(f"norm_in_{i}")
        parts.append(part if norm is None else _norm(g, part, norm))
    if len(parts) > 1:
        shares = np.exp(layer["mix"] - layer["mix"].max())
        weighted = zip(shares / shares.sum(), parts, strict=True)
        parts = [g("Sum", *(g("Mul", part, share) for share, part in weighted))]
    x = parts[0]
    if "ffn_in" in layer:
        hidden = g(_ACTIVATIONS[model.activation], _dense(g, x, layer["ffn_in"]))
        x = _norm(g, _dense(g, hidden, layer["ffn_out"]), layer["norm_out"])
    return _dense(g, x, params["classifier"])


def _superpose(g: Graph, op: str, own: list[np.ndarray], rest: list[str]) -> tuple[Value, str]:
    """Returns real and imaginary part of two waves u_0 + i r_0, added or multiplied."""
    (u1, u2), (r1, r2) = own, rest
    if op == "interference":
        return u1 + u2, g("Add", r1, r2)
    real = g("Sub", u1 * u2, g("Mul", r1, r2))
    return real, g("Add", g("Mul", u1, r2), g("Mul", r1, u2))


def _readout(g: Graph, real: Value, imag: str, kind: str) -> Value:
    if kind in ("real", "imag"):
        return real if kind == "real" else imag
    if kind == "magnitude":
        return g("Sqrt", g("Add", g("Mul", real, real), g("Mul", imag, imag)))
    # ONNX has no atan2: the angle in the first quadrant, then reflected; at 0 it is 0.
    zero, size = np.float32(0), [g("Abs", each) for each in (real, imag)]
    nowhere = g("Equal", g("Max", *size), zero)
    ratio = g("Div", size[1], g("Where", nowhere, np.float32(1), size[0]))
    angle = g("Atan", ratio)
    behind = g("Sub", np.float32(math.pi), angle)
    angle = g("Where", g("Less", real, zero), behind, angle)
    return g("Where", g("Less", imag, zero), g("Neg", angle), angle)


def _dense(g: Graph, x: Value, leaf: Any) -> str:
    return g("Add", g("MatMul", x, leaf["kernel"]), leaf["bias"])


def _norm(g: Graph, x: Value, leaf: Any) -> str:
    return g("LayerNormalization", x, leaf["scale"], leaf["bias"], epsilon=_NORM_EPSILON)


def _model(g: Graph, classes: int) -> Any:
    helper, shape = g.onnx.helper, ["batch", "tokens"]
    inputs = [
        helper.make_tensor_value_info(name, _INT64, shape)
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", _FLOAT, ["batch", classes])
    graph = helper.make_graph(g.nodes, "wave_network", inputs, [output], g.constants)
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR)
    model.producer_name, model.producer_version = "wave_jax", __version__
    return model
