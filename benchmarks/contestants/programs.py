"""What XLA says of a compiled program: memory and arithmetic, the same in every run."""

from __future__ import annotations

from typing import Any

_BYTES = {
    "temporaries": "temp_size_in_bytes",
    "arguments": "argument_size_in_bytes",
    "results": "output_size_in_bytes",
    "shared": "alias_size_in_bytes",
}


def program_facts(program: Any) -> dict[str, float]:
    """Returns bytes of each kind and 'flops'; whatever the backend does not tell is left out."""
    memory, cost = program.memory_analysis(), program.cost_analysis() or {}
    facts = {} if memory is None else {k: float(getattr(memory, v)) for k, v in _BYTES.items()}
    cost = cost[0] if isinstance(cost, list) else cost
    return facts | ({"flops": float(cost["flops"])} if "flops" in cost else {})
