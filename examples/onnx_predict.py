"""Labels texts with a network that was exported to ONNX: no JAX, and nothing of wave_jax.

    python -m wave_jax export runs/mine mine_onnx --format onnx
    pip install numpy onnxruntime tokenizers
    python examples/onnx_predict.py mine_onnx "Great value." "Broke at once."

The folder holds model.onnx (ids and mask in, logits out), tokenizer.json and config.json, with the
names of the classes. Where the network knows pairs of words and beginnings of words (the default
recipe's does), these are further ids behind [SEP], in any order: `extra_ids` finds them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

BITS = (1 << 64) - 1
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class Predictor:
    """A folder that `export --format onnx` wrote.

    Attributes:
      labels: names of the classes, in the order of the logits.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        options = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        self.labels = [config["id2label"][str(k)] for k in range(len(config["id2label"]))]
        self.room = options["model_max_length"] - 2  # pieces between [CLS] and [SEP]
        self.session = onnxruntime.InferenceSession(folder / "model.onnx")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = True  # a typed "[SEP]" is text
        vocabulary = self.tokenizer.get_vocab()
        self.tokens = {index: token for token, index in vocabulary.items()}
        data = config["wave_jax"]["config"]["data"]
        self.ngrams, self.stems = data["ngrams"], sorted(set(data["stems"]))
        self.kept, self.first = np.zeros(0, np.uint64), max(vocabulary.values()) + 1
        if self.ngrams > 1 or self.stems:
            self.kept = np.load(folder / "ngrams.npz", allow_pickle=False)["kept"]

    def logits(self, texts: list[str]) -> np.ndarray:
        """Returns the logits of the texts, float32 [texts, classes]."""
        rows = [self.ids(text) for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)], mask[i, : len(row)] = row, 1
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    def ids(self, text: str) -> list[int]:
        """Returns [CLS], the ids of the pieces, [SEP], and those of what pieces make together."""
        cls, sep = (self.tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        pieces = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.room]
        return [cls, *pieces, sep, *self.extra_ids(pieces)]

    def extra_ids(self, pieces: list[int]) -> list[int]:
        """Returns the ids of runs of words and of beginnings of words, by their hashes."""
        hashes: list[int] = []
        for run in self.runs(pieces):  # words with nothing unknown between them
            words = [mix(sum(mix(k, place) for place, k in enumerate(word))) for word in run]
            for n in range(2, self.ngrams + 1):
                for at in range(len(run) - n + 1):
                    parts = (mix(w, k and k + 1) for k, w in enumerate(words[at : at + n]))
                    hashes.append(mix(sum(parts)))
            for word in run:
                letters = "".join(self.tokens[k].removeprefix("##") for k in word)
                hashes += [stem(letters[:size]) for size in self.stems if len(letters) > size]
        places = np.searchsorted(self.kept, np.array(hashes, np.uint64))
        pairs = zip(places.tolist(), hashes, strict=True)
        return [
            self.first + at for at, h in pairs if at < len(self.kept) and int(self.kept[at]) == h
        ]

    def runs(self, pieces: list[int]) -> list[list[list[int]]]:
        """Returns the words of each stretch without special tokens, each as its pieces."""
        found: list[list[list[int]]] = [[]]
        for k in pieces:
            token, run = self.tokens[k], found[-1]
            if token in SPECIAL:
                found.append([])
            elif token.startswith("##") and run:
                run[-1].append(k)
            else:
                run.append([k])
        return found


def mix(value: int, salt: int = 0) -> int:
    """Scrambles a 64-bit number (the end of SplitMix64)."""
    x = (value + (salt + 1) * 0x9E3779B97F4A7C15) & BITS
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & BITS
    return x ^ (x >> 31)


def stem(letters: str) -> int:
    """Returns the hash of a word's first letters."""
    digest = hashlib.blake2b(letters.encode(), digest_size=8, person=b"stem").digest()
    return int.from_bytes(digest, "little")


def main() -> None:
    """Prints label and probabilities of each text, as `python -m wave_jax predict` does."""
    if len(sys.argv) < 3:
        sys.exit("usage: python onnx_predict.py FOLDER TEXT [TEXT ...]")
    if not Path(sys.argv[1], "model.onnx").is_file():
        sys.exit(f"{sys.argv[1]} holds no model.onnx: expected what `export --format onnx` wrote")
    predictor = Predictor(sys.argv[1])
    for logits in predictor.logits(sys.argv[2:]).astype(np.float64):
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        named = dict(zip(predictor.labels, shares.tolist(), strict=True))
        record = {"label": predictor.labels[int(logits.argmax())], "probabilities": named}
        print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
