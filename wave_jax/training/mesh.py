"""The device mesh ('data', 'model'), and the sharding of every array on it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from wave_jax.errors import UserError


def make_mesh(data: int | None = None, model: int = 1) -> Mesh:
    """Returns the mesh ('data', 'model'); `data=None` takes all devices that `model` leaves.

    Axes are Auto: with Explicit ones (the default of `jax.make_mesh`) a lookup by batch-sharded
    ids is a type error. UserError if the mesh does not fit the devices.
    """
    devices, processes = jax.devices(), jax.process_count()
    if model < 1 or (data is not None and data < 1):
        raise UserError(f"expected --mesh.data and --mesh.model of 1 or more, got {data}, {model}")
    if data is None:
        data = max(1, len(devices) // model)
    if data * model > len(devices) or (processes > 1 and data * model < len(devices)):
        raise UserError(
            f"a mesh of {data} x {model} devices was asked for (--mesh.data x --mesh.model), "
            f"but there are {len(devices)}: choose sizes whose product fits"
        )
    names, kinds = ("data", "model"), (AxisType.Auto,) * 2
    if processes == 1:
        chosen = devices[: data * model]
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

    def one(leaf: Any, sharding: NamedSharding) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_process_local_data(sharding, whole, whole.shape)

    return jax.tree.map(one, tree, jax.tree.broadcast(shardings, tree))


def place(batch: Any, mesh: Mesh) -> Any:
    """Puts a host Batch on the devices: rows over 'data', the distinct ids split over 'data'.

    `batch.distinct` is global and the other leaves hold this process's rows; the arrays returned
    are global. An array whose first axis 'data' does not divide is replicated.
    """
    arrays, processes = batch._asdict(), jax.process_count()
    shapes = {
        name: (len(array) * (1 if name == "distinct" else processes), *array.shape[1:])
        for name, array in arrays.items()
    }
    shardings = {
        name: NamedSharding(mesh, P() if shape[0] % mesh.shape["data"] else P("data"))
        for name, shape in shapes.items()
    }
    return type(batch)(**jax.make_array_from_process_local_data(shardings, arrays, shapes))


def state_shardings(mesh: Mesh, tree: Any) -> Any:
    """Returns a sharding for every leaf: parameters split over 'model', the rest replicated.

    Split are the rows of the embedding table and the inner columns of the feed-forward, where
    'model' divides them, and the optimizer's arrays, which carry the parameters' names, alike.
    """

    def one(path: Any, leaf: Any) -> NamedSharding:
        names = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
        return NamedSharding(mesh, _spec(names, leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(one, tree)


def _spec(names: list[str], shape: tuple[int, ...], mesh: Mesh) -> P:
    kernel = names[-1] == "kernel"
    if names[-2:] == ["embed", "embedding"] or "table" in names or ("ffn_out" in names and kernel):
        axis = 0
    elif "ffn_in" in names:
        axis = 1 if kernel else 0
    else:
        return P()
    divides = axis < len(shape) and shape[axis] % mesh.shape["model"] == 0
    return P(*[None] * axis, "model") if divides else P()
