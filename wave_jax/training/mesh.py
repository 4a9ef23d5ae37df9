"""The device mesh ('data', 'model'), and the sharding of every array on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from wave_jax.errors import UserError


def make_mesh(
    data: int | None = None, model: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
    """Returns the mesh ('data', 'model'); `data=None` takes all devices that `model` leaves.

    Axes are Auto: with Explicit ones (the default of `jax.make_mesh`) a lookup by batch-sharded
    ids is a type error.

    Raises:
        UserError: the mesh does not fit the devices.
    """
    devices = jax.devices() if devices is None else devices
    if model < 1 or (data is not None and data < 1):
        raise UserError(f"expected --mesh.data and --mesh.model of 1 or more, got {data}, {model}")
    if data is None:
        data = max(1, len(devices) // model)
    if data * model > len(devices) or (jax.process_count() > 1 and data * model < len(devices)):
        raise UserError(
            f"a mesh of {data} x {model} devices was asked for (--mesh.data x --mesh.model), "
            f"but there are {len(devices)}: choose sizes whose product fits"
        )
    names, kinds = ("data", "model"), (AxisType.Auto,) * 2
    if jax.process_count() == 1:
        chosen = list(devices)[: data * model]
        return jax.make_mesh((data, model), names, axis_types=kinds, devices=chosen)
    if jax.local_device_count() % model:
        raise UserError(
            f"--mesh.model {model} does not divide the {jax.local_device_count()} devices of a "
            "process: each process needs whole rows of the mesh, for its own share of a batch"
        )
    # in this order process i holds the i-th share of a batch's rows, as the batches are built
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered).reshape(data, model), names, axis_types=kinds)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds whole."""
    return NamedSharding(mesh, P())


def put(tree: Any, shardings: Any) -> Any:
    """Puts host arrays, whole on every process, on the devices by a sharding or a tree of them."""
    if isinstance(shardings, NamedSharding):
        shardings = jax.tree.map(lambda leaf: shardings, tree)

    def one(leaf: Any, sharding: NamedSharding) -> jax.Array:
        # not device_put, which cannot reach the devices of other processes
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(one, tree, shardings)


def place(batch: Any, mesh: Mesh) -> Any:
    """Puts a host Batch on the devices: rows over 'data', the distinct ids split over 'data'.

    In a run of several processes `batch.distinct` is global and the other leaves hold this
    process's rows; the arrays returned are global. An array whose first axis 'data' does not
    divide is replicated.
    """
    if jax.process_count() == 1:
        return jax.device_put(batch, jax.tree.map(lambda leaf: _over_data(leaf.shape, mesh), batch))

    def put_share(name: str, local: np.ndarray) -> jax.Array:
        if name == "distinct":
            placed: jax.Array = put(local, _over_data(local.shape, mesh))
            return placed
        shape = (local.shape[0] * jax.process_count(), *local.shape[1:])
        return jax.make_array_from_process_local_data(_over_data(shape, mesh), local, shape)

    return type(batch)(**{name: put_share(name, leaf) for name, leaf in batch._asdict().items()})


def state_shardings(mesh: Mesh, tree: Any) -> Any:
    """Returns a sharding for every leaf: parameters split over 'model', the rest replicated.

    Split are the rows of the embedding table and the inner columns of the feed-forward, where
    'model' divides them, and the optimizer's arrays, which carry the parameters' names, alike.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: NamedSharding(mesh, _spec(path_names(path), leaf.shape, mesh)), tree
    )


def path_names(path: tuple[Any, ...]) -> list[str]:
    """Returns the keys, fields and indices of a leaf's path in a pytree as strings."""
    return [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in path]


def _over_data(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    divides = shape and shape[0] % mesh.shape["data"] == 0
    return NamedSharding(mesh, P("data") if divides else P())


def _spec(names: list[str], shape: tuple[int, ...], mesh: Mesh) -> P:
    kernel = names[-1:] == ["kernel"]
    if names[-2:] == ["embed", "embedding"] or ("table" in names and shape):
        spec = P("model")
    elif "ffn_in" in names:
        spec = P(None, "model") if kernel else P("model")
    elif "ffn_out" in names and kernel:
        spec = P("model")
    else:
        return P()
    split = next(i for i, axis in enumerate(spec) if axis == "model")
    return spec if shape and shape[split] % mesh.shape["model"] == 0 else P()
