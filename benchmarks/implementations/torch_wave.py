"""The Wave Network in plain PyTorch, written from the paper in the usual way.

Modules, autograd, `torch.optim.AdamW`, batches padded to a fixed length: what one has after an
evening with the paper. Same layers and dropout as in wave_jax.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from benchmarks.implementations import sinusoids
from benchmarks.setting import USUAL_PADDING, Setting, ids_and_mask
from benchmarks.workers import NotInstalled

if importlib.util.find_spec("torch") is None:
    raise NotInstalled("PyTorch is not installed: its Wave Network is left out (pip install torch)")

import torch
from torch import nn

_SMALL = 1e-8


class WaveNetwork(nn.Module):
    """Embedding -> two linear variants -> waves -> product -> norm -> feed-forward -> norm -> head.

    With positions, [length, dim], as in the paper: they are added to the embeddings, and there is
    no norm before the feed-forward.
    """

    def __init__(
        self,
        vocab_size: int,
        num_classes: int,
        dim: int,
        dropout: float,
        positions: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim, padding_idx=0)
        given = None if positions is None else torch.from_numpy(positions)
        self.register_buffer("positions", given, persistent=False)
        self.first, self.second = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_in = nn.LayerNorm(dim) if given is None else nn.Identity()
        self.norm_out = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )
        self.drop = nn.Dropout(dropout)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns logits [b, c] for ids [b, n] and mask [b, n]."""
        x = self.embedding(ids)
        if self.positions is not None:
            x = x + self.positions[: ids.shape[1]]
        kept = mask.unsqueeze(-1)
        first, second = _wave(self.first(x) * kept), _wave(self.second(x) * kept)
        x = self.norm_in((first * second).real)
        x = self.drop(self.norm_out(self.feed_forward(x)))
        return self.classifier(x[:, 0])


def _wave(w: torch.Tensor) -> torch.Tensor:
    magnitude = torch.sqrt((w**2).sum(dim=1, keepdim=True) + _SMALL)
    share = w / magnitude
    alpha = torch.atan2(torch.sqrt(torch.clamp(1 - share**2, min=_SMALL)), share)
    return torch.polar(magnitude.expand_as(alpha).contiguous(), alpha)


class TorchTraining:
    """Training steps and predictions of the plain PyTorch network.

    Args:
        setting: sizes and data.
        padding: tokens that every text is padded to; by default as in wave_jax's batches.
    """

    def __init__(self, setting: Setting, padding: int | None = None) -> None:
        torch.manual_seed(0)
        texts = setting.tokenized
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batches, self._padding = setting.batches(), padding
        sizes = texts.tokenizer.vocab_size, len(texts.label_names), setting.dim
        positions = sinusoids(setting.data.max_length, setting.dim) if setting.paper else None
        network = WaveNetwork(*sizes, setting.dropout, positions)
        self._model = network.to(self._device)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-3, weight_decay=0.01)
        self._loss = nn.CrossEntropyLoss()
        self._example = self._inputs(self._batches.batch(setting.example))
        self._held_out = texts.splits["validation"].tokens

    def step(self) -> None:
        """Makes a step on the example batch."""
        self._run(*self._example)

    def train(self, start: int, count: int) -> None:
        """Makes steps on new batches, each made when it is needed."""
        for step in range(start, start + count):
            self._run(*self._inputs(self._batches.batch(step)))

    def warm_up(self) -> None:
        """Nothing is compiled."""

    def costs(self) -> dict[str, float]:
        """Nothing is compiled, so no compiler reports costs."""
        return {}

    def predict(self, start: int, count: int) -> np.ndarray:
        """Returns the logits of held-out texts, already tokenized, in one batch."""
        length = self._padding or USUAL_PADDING
        ids = np.zeros((count, length), np.int64)
        mask = np.zeros((count, length), bool)
        for row in range(count):
            text = self._held_out[(start + row) % len(self._held_out)][:length]
            ids[row, : len(text)], mask[row, : len(text)] = text, True
        self._model.eval()
        with torch.no_grad():
            logits = self._model(*(torch.from_numpy(a).to(self._device) for a in (ids, mask)))
        self._model.train()
        found: np.ndarray = logits.cpu().numpy()
        return found

    def _inputs(self, batch: Any) -> list[torch.Tensor]:
        arrays = (*ids_and_mask(batch, self._padding), batch.labels)
        return [torch.from_numpy(np.array(a)).to(self._device) for a in arrays]

    def _run(self, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> None:
        self._optimizer.zero_grad()
        loss = self._loss(self._model(ids.long(), mask), labels.long())
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
