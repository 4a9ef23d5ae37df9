"""Whether what was written says of texts what the network says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wave_jax.errors import UserError

_MOST_DIFFERENT = 0.02  # of the labels, whatever is rounded: more is a fault


@dataclass(frozen=True)
class Check:
    """A comparison of logits; accuracies, of the network and of what was written, as fractions."""

    texts: int
    difference: float  # the largest of two logits
    largest: float  # logit of the network, its absolute value
    agreement: float  # share of equal labels
    accuracy: tuple[float, float] | None

    @classmethod
    def of(cls, expected: np.ndarray, found: np.ndarray, labels: np.ndarray | None) -> Check:
        """Compares logits [texts, classes]; UserError where they have little in common.

        >>> logits = np.array([[1.0, 2.0], [3.0, 0.0]])
        >>> Check.of(logits, logits + 0.5, np.array([1, 1]))
        Check(texts=2, difference=0.5, largest=3.0, agreement=1.0, accuracy=(0.5, 0.5))
        """
        chosen = [logits.argmax(axis=1) for logits in (expected, found)]
        agreement = float((chosen[0] == chosen[1]).mean())
        difference = float(np.abs(expected - found).max())
        if not np.isfinite(difference) or agreement < 1 - _MOST_DIFFERENT:
            raise UserError(
                f"what was written gives {agreement:.1%} of {len(found):,} texts the network's "
                f"label, and logits that differ by up to {difference:.2g}: nothing is kept; this "
                "network cannot be exported in this format"
            )
        right = None
        if labels is not None:
            right = tuple(float((each == labels).mean()) for each in chosen)
        largest = float(np.abs(expected).max())
        return cls(len(found), difference, largest, agreement, right)  # type: ignore[arg-type]

    def lines(self, what: str) -> list[str]:
        """Returns what is said about it: of how many texts, and of which (`what`)."""
        by = "to the bit" if self.difference == 0 else f"within {self.difference:.2g}"
        found = [
            f"checked on {self.texts:,} {what}: logits equal {by} (they reach {self.largest:.2g}), "
            f"labels of {self.agreement:.2%}"
        ]
        if self.accuracy is not None:
            found.append("accuracy {:.2%} before, {:.2%} after".format(*self.accuracy))
        return found
