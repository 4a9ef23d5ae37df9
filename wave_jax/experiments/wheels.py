"""Tokens of one dimension as arrows in the complex plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RINGS = (1.08, 1.22, 1.36, 1.5)  # where numbers stand, in turn, so that neighbours do not overlap


def wheel(axes: Axes, waves: np.ndarray) -> None:
    """Draws complex numbers [n] as arrows, numbered from 1 in the order of the tokens."""
    radius = max(float(np.abs(waves).max()), 1e-12)
    shades = np.linspace(0.0, 0.7, len(waves))
    places = np.argsort(np.argsort(np.angle(waves)))
    for number, (wave, shade, place) in enumerate(zip(waves, shades, places, strict=True), start=1):
        color = (0.0, 0.31 + 0.5 * shade, 0.49 + 0.4 * shade)
        arrow = {"arrowstyle": "->", "color": color, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (wave.real, wave.imag), (0, 0), arrowprops=arrow)
        at = _RINGS[place % len(_RINGS)] * wave
        axes.text(at.real, at.imag, str(number), fontsize=7, ha="center", va="center")
    reach = 1.62 * radius
    axes.set_xlim(-reach, reach)
    axes.set_ylim(min(-0.15 * radius, 1.62 * float(waves.imag.min())), reach)
    axes.set_aspect("equal")
    axes.axhline(0, color="#999999", linewidth=0.6)
    axes.axvline(0, color="#999999", linewidth=0.6)
    axes.set_xlabel("real part")
    axes.set_ylabel("imaginary part")
    axes.spines[["top", "right"]].set_visible(False)


def numbered(tokens: Sequence[str]) -> list[str]:
    """Returns the tokens with their numbers before them.

    >>> numbered(["[CLS]", "sea"])
    ['1 [CLS]', '2 sea']
    """
    return [f"{number} {token}" for number, token in enumerate(tokens, start=1)]
