"""Command-line options of a dataclass: every field is one, typing errors are named with a mend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import tyro

from wave_jax.cli.values import check_values, takes
from wave_jax.errors import UserError, nearest

_T = TypeVar("_T")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Option(NamedTuple):
    """A field on the command line: its type, and its name in --help where it is a position."""

    kind: Any
    position: str | None = None
    repeated: bool = False
    """Whether it takes one value each time that it is given."""


def parse(
    default: _T,
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    also: Sequence[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> _T:
    """Returns `default` with the fields that `argv` names replaced.

    `also` names options that were taken out of `argv` before, for near names; `elsewhere` options
    that this command does not have, and why. A nested field is `--outer.inner VALUE`; hyphens and
    underscores are the same, and a flag may be written `--flag`, `--no-flag` or `--flag true`.

    Raises:
      UserError: an option that does not exist, or a value that it does not take; the nearest name
        is given.
      SystemExit: `--help` (0).
    """
    arguments = list(argv)
    if not {"--help", "-h"} & set(arguments):
        known = options(type(default))
        reader = _Reader(known, also, elsewhere or {}, prog)
        arguments = reader.checked(arguments)
        reader.check_positions(default)
    return tyro.cli(
        type(default), default=default, args=arguments, prog=prog, description=description
    )


def options(cls: type, prefix: str = "--") -> dict[str, Option]:
    """Returns each option of a dataclass: {'--model.op': Option(Literal[...]), ...}."""
    hints = get_type_hints(cls, include_extras=True)
    found: dict[str, Option] = {}
    for field in dataclasses.fields(cls):
        name = prefix + field.name.replace("_", "-")
        kind, *marks = (
            get_args(hints[field.name])
            if get_origin(hints[field.name]) is Annotated
            else (hints[field.name],)
        )
        if dataclasses.is_dataclass(kind):
            found |= options(kind, f"{name}.")  # type: ignore[arg-type]
            continue
        shown = [mark.metavar for mark in marks if getattr(mark, "metavar", None)]
        position = (*shown, field.name.upper())[0] if tyro.conf.Positional in marks else None
        found[name] = Option(kind, position, tyro.conf.UseAppendAction in marks)
    return found


class _Reader:
    """Goes through the arguments once, in the user's order."""

    def __init__(
        self,
        known: Mapping[str, Option],
        also: Sequence[str],
        elsewhere: Mapping[str, str],
        prog: str,
    ) -> None:
        self._positions = {
            name: option.position for name, option in known.items() if option.position
        }
        self._known = {name: option for name, option in known.items() if not option.position}
        flags = [name for name, option in self._known.items() if option.kind is bool]
        self._negated = {_negated(name): name for name in flags}
        self._names = [*also, *self._known, "--help"]
        self._elsewhere, self._prog = elsewhere, prog
        self._free: list[str] = []
        self._seen: set[str] = set()

    def checked(self, argv: list[str]) -> list[str]:
        """Returns `argv` in the spelling that tyro takes, or says which argument is wrong."""
        result: list[str] = []
        start = 0
        while start < len(argv):
            argument = argv[start]
            start += 1
            if not argument.startswith("--") or argument == "--":
                self._free.append(argument)
                self._check_number(argument)
                result.append(argument)
                continue
            name, equals, value = argument.partition("=")
            following = [value] if equals else _values(argv, start)
            taken, words = self._option(name.replace("_", "-"), following, bool(equals))
            result += words
            start += 0 if equals else taken
        return result

    def check_positions(self, default: Any) -> None:
        """Refuses a command line that lacks what must be given by position."""
        for place, (name, shown) in enumerate(self._positions.items()):
            missing = getattr(default, name.removeprefix("--").replace("-", "_")) is tyro.MISSING
            if missing and len(self._free) <= place:
                raise UserError(f"{shown} is missing: {self._prog} {shown}; --help has examples")

    def _option(self, name: str, following: list[str], equals: bool) -> tuple[int, list[str]]:
        """Returns how many of the values that follow belong to the option, and how to write it."""
        if name in self._negated and not equals:
            return 0, [name]
        if name not in self._known:
            if name in self._elsewhere:
                raise UserError(f"{name} cannot be given here: {self._elsewhere[name]}")
            if name in self._positions:
                shown = self._positions[name]
                raise UserError(f"{shown} stands without {name}: {self._prog} {shown}")
            raise UserError(
                f"unknown option {name}{nearest(name, self._names)}; --help tells all options"
            )
        option = self._known[name]
        if option.kind is bool:
            if following and following[0].lower() in _TRUTH:
                return 1, [name if _TRUTH[following[0].lower()] else _negated(name)]
            if equals:
                raise UserError(f"{name} takes true or false; got {following[0]!r}")
            return 0, [name]
        kind = get_args(option.kind)[0] if option.repeated else option.kind
        most = takes(kind)
        if most is None and name in self._seen:
            raise UserError(f"{name} is given twice: give all its values after one")
        self._seen.add(name)
        given = following if most is None else following[:most]
        check_values(name, kind, given)
        if len(given) == 1 and most == 1:
            return 1, [f"{name}={given[0]}"]  # so that a value may begin with a hyphen
        return len(given), [name, *given]

    def _check_number(self, argument: str) -> None:
        if len(self._free) <= len(self._positions):
            return
        near = nearest(f"--{argument.lstrip('-')}", self._names)
        takes_file = [name for name in ("--input", "--data.source") if name in self._known]
        if takes_file and Path(argument).exists():
            near = f", did you mean '{takes_file[0]} {argument}'?"
        place = "".join(f"{shown}, " for shown in self._positions.values())
        raise UserError(
            f"unexpected argument {argument!r}{near}; expected {place}options that begin with --, "
            "and values with spaces in quotes (--help has examples)"
        )


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
