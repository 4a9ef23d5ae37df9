"""How much of a long text must be tokenised for its first pieces to come out exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SEPARATORS = r" \t\n\r!-/:-@\[-`{-~"  # white space and ASCII punctuation
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_LONG_RUN = re.compile("[^\\W_\u0530-\U0010ffff]{1000,}")  # letters and digits of old scripts
_RUN_KEPT = 600
_LONGEST_WORD = 500
_MARGIN = 64
_CHARACTERS_PER_PIECE = 8
_LEAST_BOUND = 512
_LONG_TEXT = 50_000


@dataclass(frozen=True)
class Cutter:
    """Cuts long texts before they are tokenised, so that a 10 MB line costs little.

    BERT's rules make pieces word by word, and white space, ASCII punctuation and Han characters
    always end a word: the pieces of a text cut before one of them are exactly the first pieces of
    the whole. Of other tokenizers that is not known; there the last `margin` pieces of a head are
    not trusted.
    """

    boundary: re.Pattern[str] | None
    """A character that ends a word in any context; None where the rules are not BERT's."""
    shortens_runs: bool
    """Whether any word beyond 500 characters is one [UNK], whatever it is."""

    @classmethod
    def for_tokenizer(cls, spec: Mapping[str, Any]) -> Cutter:
        """Chooses the rules for a parsed tokenizer.json."""
        normalizer = spec.get("normalizer") or {}
        splitter = spec.get("pre_tokenizer") or {}
        model = spec["model"]
        plain = all(token["special"] for token in spec.get("added_tokens") or ())
        if (
            normalizer.get("type") != "BertNormalizer"
            or splitter.get("type") != "BertPreTokenizer"
            or not plain
        ):
            return cls(boundary=None, shortens_runs=False)
        han = _HAN if normalizer["handle_chinese_chars"] else ""
        return cls(
            boundary=re.compile(f"[{_SEPARATORS}{han}]"),
            shortens_runs=model["type"] == "WordPiece"
            and model["max_input_chars_per_word"] <= _LONGEST_WORD,
        )

    @property
    def margin(self) -> int:
        """Pieces at the end of a head that the missing rest might change."""
        return 0 if self.boundary else _MARGIN

    def first_bound(self, pieces: int) -> int:
        """Returns how many characters most likely hold more than `pieces` pieces."""
        return max(_LEAST_BOUND, _CHARACTERS_PER_PIECE * (pieces + self.margin))

    def shortened(self, text: str) -> str:
        """Returns a text with the same pieces, without its endless runs of letters."""
        if not self.shortens_runs or len(text) < _LONG_TEXT:
            return text
        return _LONG_RUN.sub(lambda run: run.group()[:_RUN_KEPT], text)

    def head(self, text: str, bound: int) -> str:
        """Returns the text itself, or a head of about `bound` characters if it is longer."""
        if len(text) <= bound:
            return text
        if self.boundary is None:
            return text[:bound]
        start = max(0, bound - 256)
        for end in range(bound, start, -1):
            if self.boundary.match(text, end):
                return text[:end]
        found = self.boundary.search(text, bound)
        return text[: found.start()] if found else text
