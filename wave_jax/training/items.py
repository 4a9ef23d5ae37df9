"""What a checkpoint holds.

- `params`: the parameters, of a row-wise table with weight decay outstanding;
- `decay`: what settles that table (absent where optax updates the table);
- `optimizer`: the rest of the state;
- `data`: the data iterator's position (JSON);
- `meta`: `Position`, sums of the training row under way, configuration (JSON).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from wave_jax.training.rows import RowsState
from wave_jax.training.state import State

ARRAYS, TEXTS = ("params", "decay", "optimizer"), ("data", "meta")


def open_manager(folder: Path, options: ocp.CheckpointManagerOptions) -> ocp.CheckpointManager:
    """Returns Orbax's manager of a folder, which knows all items."""
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    for item in ARRAYS:
        registry.add(item, ocp.args.StandardSave)
        registry.add(item, ocp.args.StandardRestore)
    for item in TEXTS:
        registry.add(item, ocp.args.JsonSave)
        registry.add(item, ocp.args.JsonRestore)
    return ocp.CheckpointManager(folder, options=options, handler_registry=registry)


def split_items(state: State) -> dict[str, Any]:
    """Splits a state into what prediction needs and what only training does."""
    optimizer: dict[str, Any] = {"step": state.step, "optax": state.opt_state}
    items = {"params": state.params, "optimizer": optimizer}
    if state.table is not None:
        table = dict(vars(state.table))
        items["decay"] = {name: table.pop(name) for name in ("decay", "settled")}
        optimizer["table"] = table
    return items


def join_items(items: dict[str, Any]) -> State:
    """Returns the state that `split_items` took apart."""
    optimizer = items["optimizer"]
    table = None
    if "decay" in items:
        table = RowsState(**items["decay"], **optimizer["table"])
    return State(optimizer["step"], items["params"], optimizer["optax"], table)


def stored_shapes(manager: Any, step: int, item: str) -> Any:
    """Returns the shapes and dtypes of an item on disk, as nested containers."""
    return manager.item_metadata(step)[item].tree
