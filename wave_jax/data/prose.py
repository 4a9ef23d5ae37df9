"""The prose of a docstring: its sentences, without code, tables and lists of parameters."""

from __future__ import annotations

import re

# Sections that list names, values or code. What follows their heading is left out: up to the next
# heading in NumPy's style, up to the end of the indented block in Google's.
_LISTING = (
    "parameters|other parameters|args|arguments|keyword args|keyword arguments|kwargs|returns|"
    "return|yields|raises|attributes|methods|examples?|usage|see also|references|citations?|"
    "call arguments|inputs?|outputs?|attrs|fields|todo|receives|warns|class attributes"
)
_GOOGLE = re.compile(rf"\s*(?:{_LISTING})(?: usage)?\s*:\s*", re.IGNORECASE)
_HEADING = re.compile(rf"\s*(?:{_LISTING})\s*:?\s*", re.IGNORECASE)
_UNDERLINE = re.compile(r"\s*([-=~^*#+\"'])\1{2,}\s*")
_FIELD = re.compile(
    r"\s*[:@](?:param|arg|type|returns?|rtype|raises?|keyword|var|ivar|cvar|yield)\b"
)
_DIRECTIVE = re.compile(r"\s*\.\. +[\w:.+-]+::|\s*\.\. +(?:_|\[)")
_ENTRY = re.compile(r"\s*\*{0,2}\w[\w, *]* : \S.*")
_CODE = re.compile(
    r"\s+(?:[\w.\[\]'\", ]+ [-+*/]?= \S.*|[\w.]+\(.*\)|(?:from|import|def|class|@)\b.*)"
)
_TABLE = re.compile(r"\s*[|+].*|[\s=+|:-]*|.*\s\|\s.*\s\|\s.*")
_ROLE = re.compile(r":[\w:.+-]+:`~?([^`<]*?)(?:\s*<[^`>]*>)?`")
_MARKS = re.compile(r"`+|\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|\|(?=\w)|(?<=\w)\|_?")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|<?https?://\S+>?")
_MARKUP_LINE = re.compile(r"\s*(?:#+ |[-*] +$)")


def prose(docstring: str) -> str:
    """Returns the sentences of a docstring on one line; may be empty.

    >>> prose('''Adds two waves.
    ...
    ... The sum is :func:`~waves.real` where ``phase`` vanishes.
    ...
    ... Args:
    ...   a: the first wave.
    ... >>> add(1, 2)
    ... 3
    ... ''')
    'Adds two waves. The sum is waves.real where phase vanishes.'
    """
    kept = _without_sections(_without_code(docstring.expandtabs().splitlines()))
    text = " ".join(" ".join(kept).split())
    text = _LINK.sub(lambda match: match.group(1) or "", text)
    text = _MARKS.sub("", _ROLE.sub(r"\1", text))
    return " ".join(text.split())


def _without_code(lines: list[str]) -> list[str]:
    """Drops fenced code, doctests with their output, directives and literal blocks."""
    kept: list[str] = []
    block: int | None = None  # the indentation over which lines belong to a dropped block
    fenced = doctest = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        blank = not line.strip()
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
            continue
        if block is not None and not blank and indent <= block:
            block = None
        doctest = not blank and (doctest or line.lstrip().startswith(">>>"))
        if fenced or doctest or block is not None:
            continue
        if _DIRECTIVE.match(line):
            block = indent
        elif line.rstrip().endswith("::"):
            kept.append(line.rstrip()[:-1])
            block = indent
        else:
            kept.append(line)
    return kept


def _without_sections(lines: list[str]) -> list[str]:
    """Drops listing sections, headings, fields and tables."""
    kept: list[str] = []
    block: int | None = None
    listing = False
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        blank = not line.strip()
        following = lines[i + 1] if i + 1 < len(lines) else ""
        if not blank and _UNDERLINE.fullmatch(following):
            listing = _HEADING.fullmatch(line) is not None
            block = None
            continue
        if block is not None and not blank and indent <= block:
            block = None
        if listing or block is not None:
            continue
        if _GOOGLE.fullmatch(line) or _FIELD.match(line) or _ENTRY.fullmatch(line):
            block = indent
        elif (
            not _CODE.fullmatch(line)
            and not _TABLE.fullmatch(line)
            and not _MARKUP_LINE.match(line)
        ):
            kept.append(line)
    return kept
