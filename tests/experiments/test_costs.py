"""Arithmetic, memory and time of compiled programs."""

from __future__ import annotations

import dataclasses

import pytest

from wave_jax.experiments.costs import (
    count_parameters,
    plain_step_cost,
    row_step_cost,
    step_seconds,
)
from wave_jax.experiments.plan import SCALES, model_config

PAPER = SCALES["paper"]


@pytest.mark.slow
def test_a_wave_saves_nine_tenths_of_bert_bases_memory_and_arithmetic() -> None:
    """At the papers' batch of 64 and 128 tokens; the wave in both ways of computing a step."""
    bert = plain_step_cost(model_config("bert", PAPER), 64, 128)
    wave = model_config("modulation", PAPER)
    for cost in (plain_step_cost(wave, 64, 128), row_step_cost(wave, 64, 128)):
        assert cost["bytes"] <= 0.1 * bert["bytes"]
        assert cost["flops"] <= 0.1 * bert["flops"]
    # 6 operations a weight and token, without the table: 85.6 million weights, 8,192 tokens
    assert bert["flops"] > 6 * 85.6e6 * 8192


def test_parameters_are_counted_with_and_without_the_table() -> None:
    full, without = count_parameters(model_config("bert", PAPER))
    assert full - without == 30_522 * 768
    assert full == 109_482_240 + 769 * 4  # BERT base and a head of 4 classes
    assert count_parameters(model_config("mean", PAPER))[1] == 769 * 4


def test_a_plain_step_runs_and_is_timed() -> None:
    config = dataclasses.replace(model_config("modulation", PAPER), dim=8)
    times = step_seconds(config, batch=2, length=4, steps=2)
    assert 0 < times["step_seconds"] < times["first"], "the first one compiles"
