"""fastText's text format: `__label__CLASS` and the text, one example a line."""

from __future__ import annotations

from wave_jax.data.inputs import Input, bounded_lines
from wave_jax.data.rows import Errors, Rows, Where, encodable, label_text
from wave_jax.errors import UserError

LABEL = "__label__"


def read_fasttext(source: Input, errors: Errors) -> Rows:
    """Reads lines that begin with one `__label__CLASS`; the rest of the line is the text."""
    rows = Rows([], [], source.name)
    with source.lines(errors, newline="\n") as stream:
        for number, line in enumerate(bounded_lines(stream, source.name), 1):
            if line.isspace():
                continue
            where = Where(source.name, len(rows) + 1, number)
            label, text = _split(line, where)
            rows.texts.append(encodable(text, errors, where))
            rows.labels.append(encodable(label, errors, where))
    if not rows.texts:
        raise UserError(f"{source.name} holds no rows")
    return rows


def _split(line: str, where: Where) -> tuple[str, str]:
    head, _, text = line.strip(" \t\r\n").replace("\t", " ").partition(" ")
    if not head.startswith(LABEL):
        raise UserError(f"{where}: expected {LABEL}CLASS and then the text")
    if text.lstrip().startswith(LABEL):
        raise UserError(f"{where}: several labels; every text must have exactly one")
    return label_text(head[len(LABEL) :], where), text.strip()
