"""How large the experiments are: as in the papers, or small enough for two cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wave_jax.models.config import Kind, ModelConfig

ScaleName = Literal["small", "paper"]


@dataclass(frozen=True)
class Scale:
    """Sizes of all experiments.

    Attributes:
        name: 'small' or 'paper'.
        dim: dimensions of every model's embeddings.
        bert_layers: of the BERT that is trained; measurements without training take BERT base.
        texts: most texts for training and validation together; None for all.
        test_texts: most texts of the test part; None for all.
        max_length: most pieces of a text.
        vocab_size: most pieces of a vocabulary learned from the texts.
        epochs: of the tables' runs.
        long_epochs: of [WN] figure 7.
        quick_steps: batches of [BP] figure 2.
        gradient_steps: batches of the gradients' figures.
        seeds: of the tables.
        learning_rates: tried on validation.
    """

    name: ScaleName
    dim: int
    bert_layers: int
    texts: int | None
    test_texts: int | None
    max_length: int
    vocab_size: int
    epochs: int
    long_epochs: int
    quick_steps: int
    gradient_steps: int
    seeds: int
    learning_rates: tuple[float, ...]


SCALES: dict[ScaleName, Scale] = {
    "small": Scale(
        name="small", dim=128, bert_layers=2, texts=10_000, test_texts=2_000, max_length=64,
        vocab_size=8_000, epochs=4, long_epochs=8, quick_steps=500, gradient_steps=300, seeds=3,
        learning_rates=(3e-4, 1e-3, 3e-3, 1e-2),
    ),
    "paper": Scale(
        name="paper", dim=768, bert_layers=12, texts=None, test_texts=None, max_length=128,
        vocab_size=30_522, epochs=4, long_epochs=100, quick_steps=500, gradient_steps=2_000,
        seeds=5, learning_rates=(1e-4, 3e-4, 1e-3, 3e-3),
    ),
}  # fmt: skip

CONTESTANTS = {
    "interference": "Wave, interference",
    "modulation": "Wave, modulation",
    "transformer": "Transformer, one layer",
    "bert": "BERT",
    "fnet": "FNet",
    "mean": "Mean of embeddings",
}
"""Names of the models, and how the report calls them."""


def contestant(name: str, scale: Scale) -> ModelConfig:
    """Returns a model at the scale's size, with the defaults of its kind."""
    if name in ("interference", "modulation"):
        return ModelConfig(op=name, dim=scale.dim)  # type: ignore[arg-type]
    kind: Kind = name  # type: ignore[assignment]
    return ModelConfig(
        kind=kind, dim=scale.dim, layers=scale.bert_layers if name == "bert" else None
    )
