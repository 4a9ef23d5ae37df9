"""The formulae that the report states against what is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.conftest import tiny_plan
from wave_jax.experiments.costs import attention_cost, count_parameters
from wave_jax.experiments.plan import SCALES, model_config
from wave_jax.experiments.resources import (
    PARAMETERS,
    draw_steps,
    exponent,
    flops,
    savings_rows,
)

LENGTHS = (512, 1024, 2048)


def test_waves_are_linear_in_the_length_and_attention_tends_to_its_square() -> None:
    assert exponent(LENGTHS, [flops("modulation", 32, n) for n in LENGTHS]) <= 1.05
    attention = [flops("attention", 32, n) for n in LENGTHS]
    assert attention[0] == attention_cost(32, LENGTHS[0])["flops"]
    assert abs(exponent(LENGTHS, attention) - 2) < 0.02
    # forward and backward products of n x n x d: 2 and 4, at 2 operations each
    assert attention[-1] > 12 * LENGTHS[-1] ** 2 * 32


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_formulae_of_parameters_give_what_is_counted(name: str) -> None:
    formula = PARAMETERS[name].replace("d²", "* D**2").replace(" d", " * D")
    formula = formula.replace("12 (", "12 * (").removeprefix("* ").replace("+ * ", "+ ")
    config = model_config(name, SCALES["paper"])
    assert count_parameters(config)[1] == eval(formula, {"D": 768}) + 769 * 4


@pytest.mark.parametrize(
    ("name", "dense", "mixing"), [("modulation", 8, 0), ("transformer", 24, 4)]
)
def test_the_formulae_of_arithmetic_are_most_of_what_is_counted(
    name: str, dense: int, mixing: int
) -> None:
    """The forward pass and twice that for gradients; what is linear in n and d comes on top."""
    n, d = 256, 256
    least = 3 * (dense * n * d**2 + mixing * n**2 * d)
    assert least < flops(name, d, n) < 1.25 * least


def test_savings_are_relative_to_bert() -> None:
    wave, bert = ([{"result": {"bytes": b, "flops": f}}] for b, f in ((1, 3), (4, 4)))
    found = {("modulation", 64): wave, ("bert", 64): bert}
    rows = {row[0]: row[1:] for row in savings_rows(found)}
    # the papers' are of table 2: 0.32 of 1.28 GB, 147.02 of 1034.99 s
    assert rows["Wave, modulation"] == ["75.00", "75.00", "25.00", "85.80", "–"]
    assert rows["Wave, interference"] == ["76.56", "–", "–", "85.81", "–"]


def test_the_bars_of_a_step_have_their_values(tmp_path: Path) -> None:
    steps = {"bytes": 2**31, "temporary": 0, "flops": 5e8}
    found = {("bert", batch): [{"result": steps}] for batch in (16, 64)}
    section = draw_steps(tiny_plan(tmp_path), found)
    memory, arithmetic = section.figures["bp-resources"].axes
    assert [text.get_text() for text in memory.texts] == ["2,048"]
    assert [text.get_text() for text in arithmetic.texts] == ["0.5"]
    assert [row[:3] for row in section.tables[0][1]] == [
        ["BERT base", "16", "2,048"], ["BERT base", "64", "2,048"],
    ]  # fmt: skip
