"""Command-line options of a dataclass: every field is one, typing errors are named with a mend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from wave_jax.errors import UserError, nearest

_T = TypeVar("_T")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse(
    default: _T,
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    also: Sequence[str] = (),
) -> _T:
    """Returns `default` with the fields that `argv` names replaced.

    `also` names options that were taken out of `argv` before, for near names. A nested field is
    `--outer.inner VALUE`; hyphens and underscores are the same, and a flag may be written `--flag`,
    `--no-flag` or `--flag true`.

    Raises:
      UserError: an option that does not exist, or a value outside a fixed choice; the nearest name
        is given.
      SystemExit: `--help` (0), or a value of the wrong type (2), after a message.
    """
    known = options(type(default))
    return tyro.cli(
        type(default),
        default=default,
        args=_checked(list(argv), known, also),
        prog=prog,
        description=description,
    )


def options(cls: type, prefix: str = "--") -> dict[str, Any]:
    """Returns each option of a dataclass with its type: {'--model.op': Literal[...], ...}."""
    hints = get_type_hints(cls)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        name = prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(hints[field.name]):
            found |= options(hints[field.name], f"{name}.")
        else:
            found[name] = hints[field.name]
    return found


def _checked(argv: list[str], known: Mapping[str, Any], also: Sequence[str]) -> list[str]:
    """Returns `argv` in the spelling that tyro takes, or says which argument is wrong."""
    result = []
    position = 0
    while position < len(argv):
        argument = argv[position]
        position += 1
        if not argument.startswith("--") or argument == "--":
            result.append(argument)
            continue
        name, equals, value = argument.partition("=")
        name = name.replace("_", "-")
        if not _exists(name, known):
            raise UserError(
                f"unknown option {name}{nearest(name, [*also, *known])}; --help tells all options"
            )
        kind = known.get(name)
        given = [value] if equals else _values(argv, position)
        if kind is bool and given and given[0].lower() in _TRUTH:
            result.append(name if _TRUTH[given[0].lower()] else _negated(name))
            position += 0 if equals else 1
            continue
        _check_choice(name, kind, given)
        result.append(name + equals + value)
    return result


def _exists(name: str, known: Mapping[str, Any]) -> bool:
    negatable = {_negated(option) for option, kind in known.items() if kind is bool}
    return name in known or name in negatable or name == "--help" or name.startswith("--tyro-")


def _negated(name: str) -> str:
    head, dot, last = name.rpartition(".")
    return f"{head}.no-{last}" if dot else f"--no-{name.removeprefix('--')}"


def _values(argv: list[str], start: int) -> list[str]:
    values = []
    for argument in argv[start:]:
        if argument.startswith("--"):
            break
        values.append(argument)
    return values


def _check_choice(name: str, kind: Any, given: list[str]) -> None:
    """Refuses a value that is not among a Literal's, or a tuple of Literals'."""
    parts = get_args(kind) if get_origin(kind) is tuple else (kind,)
    for part, value in zip(parts, given, strict=False):
        choices = [str(choice) for choice in get_args(part)] if get_origin(part) is Literal else []
        if choices and value not in choices:
            raise UserError(
                f"{name} takes {', '.join(choices)}; got {value!r}{nearest(value, choices)}"
            )
