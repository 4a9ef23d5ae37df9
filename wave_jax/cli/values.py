"""Whether the words after an option are values of its type."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from wave_jax.errors import UserError, nearest


def takes(kind: Any) -> int | None:
    """Returns how many values an option of this type takes; None is any number.

    >>> takes(int), takes(tuple[str, str]), takes(tuple[str, ...])
    (1, 2, None)
    """
    if get_origin(kind) is not tuple:
        return 1
    parts = get_args(kind)
    return None if Ellipsis in parts else len(parts)


def check_values(name: str, kind: Any, given: list[str]) -> None:
    """Refuses values that the option `name` does not take.

    Raises:
      UserError: too few, or one of another type; the text says what is taken and what came.
    """
    parts = get_args(kind) if get_origin(kind) is tuple else (kind,)
    most = takes(kind)
    kinds = [parts[0]] * len(given) if most is None else list(parts)
    for part, value in zip(kinds, given, strict=False):
        _check(name, part, value)
    if most is not None and len(given) < most:
        number = "" if most == 1 else f"{most} values, each "
        came = f"; got {' '.join(given)}" if given else ""
        hint = f"; one that begins with -- is written {name}=VALUE" if parts[0] is str else ""
        raise UserError(f"{name} needs {number}{_described(parts[0])}{came}{hint}")


def _check(name: str, kind: Any, value: str) -> None:
    plain = _plain(kind)
    if plain is not kind and value == "None":
        return
    if get_origin(plain) is Literal:
        choices = [str(choice) for choice in get_args(plain)]
        if value not in choices:
            near = nearest(value, choices)
            raise UserError(f"{name} takes {', '.join(choices)}; got {value!r}{near}")
    elif plain in (int, float):
        try:
            plain(value)
        except ValueError:
            raise UserError(f"{name} takes {_described(plain)}; got {value!r}") from None


def _plain(kind: Any) -> Any:
    """Returns T of an optional T."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    return next(part for part in get_args(kind) if part is not type(None))


def _described(kind: Any) -> str:
    plain = _plain(kind)
    if get_origin(plain) is Literal:
        return f"one of {', '.join(map(str, get_args(plain)))}"
    return {int: "a whole number", float: "a number"}.get(plain, "a value")
