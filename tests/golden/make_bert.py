"""Makes tests/golden/bert: a tiny BERT with random weights, and what Hugging Face computes with it.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/make_bert.py

Made in float64 and rounded, so that the expected outputs are those of the weights as committed.
Weights are an order of magnitude larger than those of a fresh BERT: with these every layer,
position and bias shows in the outputs. Nothing here is needed to run the tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

FOLDER = Path(__file__).parent / "bert"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "!", "?"]
PIECES += [f"word{k}" for k in range(28)] + ["##s", "##ed"]
LENGTHS, LABELS = (10, 6, 3), (0, 2, 1)


def main() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=12,
        num_labels=3,
    )
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            at = 1.0 if "LayerNorm.weight" in name else 0.0
            parameter.copy_(at + 0.3 * torch.randn(parameter.shape))
    model.save_pretrained(FOLDER)
    (FOLDER / "vocab.txt").write_text("\n".join(PIECES) + "\n")

    mask = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    ids = np.where(mask, np.random.default_rng(0).integers(4, len(PIECES), mask.shape), 0)
    ids[:, 0] = 2
    ids[np.arange(len(LENGTHS)), np.array(LENGTHS) - 1] = 3
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask.astype(int))}
    model.double()
    found = model(**inputs, labels=torch.tensor(LABELS), output_hidden_states=True)
    found.loss.backward()
    table = model.bert.embeddings.word_embeddings.weight.grad
    np.savez(
        FOLDER / "expected.npz",
        ids=ids.astype(np.int32),
        mask=mask,
        labels=np.array(LABELS, np.int32),
        hidden=found.hidden_states[-1].detach().numpy(),
        logits=found.logits.detach().numpy(),
        loss=found.loss.detach().numpy(),
        table_gradient=table.numpy(),
    )


if __name__ == "__main__":
    main()
