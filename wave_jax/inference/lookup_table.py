"""Prediction of a one-layer network from a table of squared variants, without the projection.

Under [CLS] pooling and with the whole text as scope, a text's logits depend on two vectors per
variant: u_0 of [CLS], always the same, and r_0 = sqrt(sum_j u_j^2) over its other tokens. So the
squares of every token's variants E W + b are computed once, and prediction is an embedding bag and
a small feed-forward: the network's numbers, up to rounding. A linear path's weights are another
bag. In int8 the variants themselves are kept, and squared when they are read; so they are with
positions, where u_j is (E W + b) + P W, of which the second depends on j alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, Num

from wave_jax import ops
from wave_jax.data.tokenizer import Tokens
from wave_jax.inference.quantisation import quantise
from wave_jax.models import WaveClassifier
from wave_jax.models.base import scale_linear
from wave_jax.training.compilation import matmul_precision

Kept: TypeAlias = Literal["float32", "int8"]
"""What a table's rows are kept in."""

_UNROLLED = 4  # tokens of a text that are added per iteration
_ROWS = (1, 64, 256)  # texts per batch
_SHORTEST = 32  # padded length; the others are 4, 16, ... times as long, as padding is cheap


def supports(model: nn.Module) -> TypeGuard[WaveClassifier]:
    """Returns whether a model can predict from a lookup table."""
    return without_table(model) is None


def without_table(model: nn.Module, **more: Any) -> str | None:
    """Returns why a model cannot predict from a lookup table, None where it can.

    `more` are fields of the model, and what else they have to be.
    """
    serves = "a lookup table serves waves"
    if not isinstance(model, WaveClassifier):
        return f"{serves}, this network is a {type(model).__name__}"
    needed = {"layers": 1, "pooling": "cls", "scopes": ("input", "input"), **more}
    for name, value in needed.items():
        if (found := getattr(model, name)) != value:
            return f"{serves} with --model.{name} {value}, this network has {found}"
    return None


def table_bytes(model: WaveClassifier, table_rows: int, longest: int, kept: Kept) -> int:
    """Returns the memory of a lookup table that has every row and position."""
    columns, linear = 2 * model.dim + model.linear_columns(), model.linear_path
    row = 4 * columns if kept == "float32" else columns + 4 * (2 + linear)
    return row * (table_rows + 1) + 8 * model.dim * longest * (model.position != "none")


class Bag(NamedTuple):
    """Rows to be added up: float32 values, or int8 ones with a scale for the last axis of each."""

    values: Num[Array, "w ..."]
    scales: Float[Array, "w ..."] | None = None

    @classmethod
    def of(cls, rows: Float[Array, "v ..."], kept: Kept) -> Bag:
        """Returns the rows, with one of zeros at the end for padding."""
        parts = (rows,) if kept == "float32" or not rows.shape[-1] else quantise(rows)
        return cls(*(jnp.pad(part, ((0, 1), *[(0, 0)] * (part.ndim - 1))) for part in parts))

    def read(self, ids: Int[Array, " b"]) -> Float[Array, "b ..."]:
        """Returns these rows in float32."""
        values = self.values.at[ids].get(mode="promise_in_bounds")
        if self.scales is None:
            return values
        scales = self.scales.at[ids].get(mode="promise_in_bounds")
        return values.astype(jnp.float32) * scales[..., None]


class Table(NamedTuple):
    """What the logits are computed from, besides a head; the last row of both bags is zero."""

    variants: Bag  # [w, 2, d]: (u / scale)^2 of every token; in int8 or with positions u / scale
    weights: Bag  # [w, c], those in the linear path, if any
    scale: Float[Array, "2 d"]  # powers of two, so that no square overflows or vanishes
    cls: Float[Array, "2 d"]  # the variants of [CLS]
    places: Float[Array, "n 2 d"] | None  # what positions add to u / scale


class LookupTable:
    """A model's variants of every token, and prediction from them.

    In int8, the products that follow have operands in bfloat16, with sums in float32: at 768
    dimensions they are what takes the time. `head` holds the parameters after the projection.
    """

    def __init__(
        self,
        model: WaveClassifier,
        params: Any,
        *,
        cls_id: int,
        longest: int,
        kept: Kept = "float32",
    ) -> None:
        """Computes the table of a model that `supports` one, for texts of `longest` tokens."""
        self.head = {name: leaf for name, leaf in params.items() if name != "embed"}
        make = jax.jit(partial(make_table, model, cls_id=cls_id, longest=longest, kept=kept))
        with matmul_precision("float32"):
            self.table: Table = make(params)
        if kept == "int8":
            narrow = partial(jnp.asarray, dtype=jnp.bfloat16)
            self.head = jax.tree.map(lambda x: narrow(x) if x.ndim == 2 else x, self.head)
        self._forward: Callable[..., jax.Array] = jax.jit(partial(_logits, model))

    def __call__(self, tokens: Tokens) -> np.ndarray:
        """Returns the logits float32 [texts, classes] of texts that begin with [CLS]."""
        others = tokens.lengths - 1  # all but [CLS]
        order = np.argsort(others, kind="stable")
        batches = np.split(order, range(_ROWS[-1], len(order), _ROWS[-1]))
        results = [self._run(tokens, others, chosen) for chosen in batches]  # all are dispatched
        found = np.concatenate(jax.device_get(results))[: len(order)]
        return found[np.argsort(order)]

    def _run(self, tokens: Tokens, others: np.ndarray, chosen: np.ndarray) -> jax.Array:
        """Returns the logits of the chosen texts, followed by those of padding rows."""
        most = int(others[chosen].max())
        width = _SHORTEST
        while width <= most:
            width *= 4
        rows = next(size for size in _ROWS if len(chosen) <= size)
        ids = np.full((rows, width), self.table.variants.values.shape[0] - 1, np.int32)
        for row, text in enumerate(chosen.tolist()):
            end = tokens.offsets[text + 1]
            ids[row, : others[text]] = tokens.ids[end - others[text] : end]
        with matmul_precision("float32"):
            return self._forward(self.head, self.table, ids, -(-most // _UNROLLED))


def make_table(
    model: WaveClassifier, params: Any, *, cls_id: int, longest: int, kept: Kept
) -> Table:
    """Returns the table of a model that `supports` one, for every row of its embeddings."""

    def run(method: str, argument: Any) -> Any:
        return model.apply({"params": params}, argument, method=method)

    embeddings = params["embed"]["embedding"]
    embeddings, weights = jnp.split(embeddings, [embeddings.shape[1] - model.linear_columns()], 1)
    variants, positions = run("project", embeddings), run("positions", longest)
    every, cls, places = variants, variants[cls_id], None
    if positions is not None:
        places = run("project_positions", positions)
        every, cls = jnp.concatenate([variants, places]), cls + places[0]
    squares, scale = (
        each.reshape(-1, 2, model.dim) for each in ops.scaled_squares(every.reshape(len(every), -1))
    )
    squared = kept == "float32" and places is None
    rows = Bag.of(squares if squared else variants / scale, kept)
    places = None if places is None else places / scale
    return Table(rows, Bag.of(weights, kept), scale[0], cls, places)


def _logits(
    model: WaveClassifier, head: Any, table: Table, ids: Int[Array, "b n"], loops: Int[Array, ""]
) -> Float[Array, "b c"]:
    """Sums the rows of each text's tokens, `_UNROLLED` per iteration, and runs the model's rest."""
    places, padding = table.places, table.variants.values.shape[0] - 1

    def squares(at: Int[Array, " b"], place: Array) -> Float[Array, "b 2 d"]:
        row = table.variants.read(at)
        if places is not None:
            there = row + places.at[place].get(mode="clip")
            return jnp.where((at < padding)[:, None, None], there, 0) ** 2
        return row if table.variants.scales is None else row**2

    def add(i: Array, totals: tuple[Array, Array]) -> tuple[Array, Array]:
        at = jax.lax.dynamic_slice_in_dim(ids, i * _UNROLLED, _UNROLLED, axis=1)
        waves = sum(squares(at[:, k], 1 + i * _UNROLLED + k) for k in range(_UNROLLED))
        weights = sum(table.weights.read(at[:, k]) for k in range(_UNROLLED))
        return totals[0] + waves, totals[1] + weights

    shapes = table.cls.shape, table.weights.values.shape[1:]
    zeros = tuple(jnp.zeros((len(ids), *shape), jnp.float32) for shape in shapes)
    total, weights = jax.lax.fori_loop(0, loops, add, zeros)
    rest = ops.norm_from_squares(total, table.scale)
    own = jnp.broadcast_to(table.cls, rest.shape)
    count = jnp.sum(ids < padding, axis=1)
    with nn.intercept_methods(_narrow_product):
        linear = scale_linear(weights, count)
        found: Any = model.apply({"params": head}, own, rest, linear, method="logits_of_first")
    return jnp.asarray(found, jnp.float32)


def _narrow_product(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Multiplies by a kernel in bfloat16, which Flax would turn back into float32."""
    if not isinstance(context.module, nn.Dense) or context.method_name != "__call__":
        return call(*args, **kwargs)
    kernel: Array = context.module.get_variable("params", "kernel")
    if kernel.dtype == jnp.float32:
        return call(*args, **kwargs)
    x = args[0].astype(kernel.dtype)
    product = jnp.dot(x, kernel, preferred_element_type=jnp.float32)
    return product + context.module.get_variable("params", "bias")
