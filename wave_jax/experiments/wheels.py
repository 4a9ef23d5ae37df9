"""Tokens of one dimension as arrows in the complex plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def wheel(axes: Axes, waves: np.ndarray, tokens: Sequence[str]) -> None:
    """Draws complex numbers [n] as numbered arrows, the numbers explained beside them."""
    reach = 1.25 * max(np.abs(waves).max(), 1e-12)
    shades = np.linspace(0.0, 0.7, len(waves))
    for number, (wave, shade) in enumerate(zip(waves, shades, strict=True), start=1):
        color = (0.0, 0.31 + 0.5 * shade, 0.49 + 0.4 * shade)
        axes.annotate(
            "", (wave.real, wave.imag), (0, 0), arrowprops={"arrowstyle": "->", "color": color}
        )
        axes.text(1.1 * wave.real, 1.1 * wave.imag, str(number), fontsize=7, ha="center")
    legend = "\n".join(f"{number} {token}" for number, token in enumerate(tokens, start=1))
    low = min(-0.12 * reach, 1.25 * float(waves.imag.min()))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(low - 0.95 * reach, reach)
    axes.text(-0.97 * reach, low - 0.03 * reach, legend, fontsize=6, va="top")
    axes.axhline(0, color="#999999", linewidth=0.6)
    axes.axvline(0, color="#999999", linewidth=0.6)
    axes.set_xlabel("real part")
    axes.set_ylabel("imaginary part")
    axes.spines[["top", "right"]].set_visible(False)
