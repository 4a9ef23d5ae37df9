"""Arithmetic and memory from compiled programs."""

from __future__ import annotations

import numpy as np
import pytest

from wave_jax.experiments.bp_complexity import _config, exponent
from wave_jax.experiments.bp_parameters import FORMULAE
from wave_jax.experiments.costs import (
    attention_cost,
    count_parameters,
    gradient_cost,
    plain_step_cost,
    row_step_cost,
)
from wave_jax.experiments.scale import SCALES, contestant

LENGTHS = (512, 1024, 2048)


def test_waves_are_linear_in_the_length_and_attention_tends_to_its_square() -> None:
    waves = [gradient_cost(_config("modulation", 32), n).flops for n in LENGTHS]
    assert exponent(LENGTHS, waves) <= 1.05
    attention = [attention_cost(32, n).flops for n in LENGTHS]
    assert abs(exponent(LENGTHS, attention) - 2) < 0.02
    # forward and backward products of n x n x d: 2 and 4, at 2 operations each
    assert attention[-1] > 12 * LENGTHS[-1] ** 2 * 32


@pytest.mark.slow
def test_a_wave_saves_nine_tenths_of_bert_bases_memory_and_arithmetic() -> None:
    """At the papers' batch of 64 and 128 tokens; the wave in both ways of computing a step."""
    paper = SCALES["paper"]
    bert = plain_step_cost(contestant("bert", paper), 64, 128)
    wave = contestant("modulation", paper)
    for cost in (plain_step_cost(wave, 64, 128), row_step_cost(wave, 64, 128, 64 * 128)):
        assert cost.bytes <= 0.1 * bert.bytes
        assert cost.flops <= 0.1 * bert.flops
    # 6 operations a weight and token, without the table: 85.6 million weights, 8,192 tokens
    assert bert.flops > 6 * 85.6e6 * 8192


@pytest.mark.parametrize("name", FORMULAE)
def test_the_formulae_of_parameters_give_what_is_counted(name: str) -> None:
    formula = FORMULAE[name].replace("d²", "* D**2").replace(" d", " * D").replace("12 (", "12 * (")
    formula = formula.removeprefix("* ").replace("+ * ", "+ ")
    config = contestant(name, SCALES["paper"])
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
    assert least < gradient_cost(_config(name, d), n).flops < 1.25 * least


def test_parameters_are_counted_with_and_without_the_table() -> None:
    full, without = count_parameters(contestant("bert", SCALES["paper"]))
    assert full - without == 30_522 * 768
    assert full == 109_482_240 + 769 * 4  # BERT base and a head of 4 classes
    np.testing.assert_allclose(count_parameters(contestant("mean", SCALES["paper"]))[1], 769 * 4)
