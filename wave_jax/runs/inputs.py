"""The dataset of a run, tokenized, its batches, and the files that the workdir keeps of it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jax import process_count, process_index
from jax.sharding import Mesh

from wave_jax.data.batches import EvalBatches, TrainBatches
from wave_jax.data.config import DataConfig
from wave_jax.data.dataset import Dataset, load_dataset, write_snapshot
from wave_jax.data.layouts import LABELS
from wave_jax.data.shapes import TOKEN_COST, Shapes
from wave_jax.data.table import folded
from wave_jax.data.tokenize import TokenizedDataset, tokenize_dataset
from wave_jax.errors import UserError
from wave_jax.models import ordered
from wave_jax.models.bert import lowercases, vocabulary_file
from wave_jax.models.config import sizes, table_rows
from wave_jax.runs.files import TOKENIZER_FILE, load_tokenizer, save_tokenizer, write_whole
from wave_jax.runs.initial import read_origin, save_initial
from wave_jax.runs.workdir import (
    SNAPSHOT,
    check_paths,
    final_folder,
    record_environment,
    with_snapshot,
)
from wave_jax.training.config import Config, epochs_for

DIGESTS_FILE = "texts.npz"  # 8 bytes a text, by which `count_learned` knows it

# Each further shape pads less but takes as long to compile as some tens of steps.
_STEPS_PER_SHAPE, _MOST_SHAPES, _EVAL_SHAPES = 250, 7, 2


def read_dataset(config: Config, workdir: Path) -> tuple[Dataset, TokenizedDataset]:
    """Returns the run's texts, which a resumed run must have unchanged, and their tokens.

    Writes tokenizer.json, labels.json, environment.json, texts.npz, and what it starts from if any.
    """
    check_paths(config.data, workdir)
    known, onward = (workdir / TOKENIZER_FILE).is_file(), config.train.init_from is not None
    tokenizer = load_tokenizer(workdir, config.data) if known else None
    tokenizer = read_origin(config) if onward and not known else tokenizer
    dataset = load_dataset(with_snapshot(config.data, workdir))
    record_environment(workdir, dataset)
    if not (workdir / DIGESTS_FILE).is_file():
        learned, chosen = map(_digests, (dataset.train.texts, dataset.validation.texts))
        before = _learned(Path(config.train.init_from), True) if config.train.init_from else None
        learned = learned if before is None else np.concatenate([learned, before])
        np.savez(file := io.BytesIO(), train=learned, validation=chosen, allow_pickle=False)
        write_whole(workdir / DIGESTS_FILE, file.getvalue())
    if dataset.snapshot:
        write_snapshot(dataset, workdir / SNAPSHOT)
    data, refit = with_vocabulary(config), config.train.refit
    tokenized = tokenize_dataset(data, dataset, tokenizer, validation_too=refit)
    if not known:  # the tokenizer last: while it is missing all are written again
        labels = json.dumps(list(dataset.label_names), ensure_ascii=False, indent=0)
        write_whole(workdir / LABELS, labels + "\n")
        if onward:
            save_initial(config, dataset.label_names, workdir)
        save_tokenizer(workdir, tokenized.tokenizer)
    return dataset, tokenized


def count_learned(workdir: Path, texts: Iterable[str], refit: bool) -> int | None:
    """Counts the texts that the run learned from, white space folded.

    By kept digests, so that it need not find its files again; None where none are kept. `refit`:
    whether a refit counts, which learned from the validation texts too.
    """
    known = _learned(workdir, refit and final_folder(workdir) != workdir)
    return None if known is None else int(np.isin(_digests(texts), known).sum())


def _learned(workdir: Path, validation_too: bool) -> np.ndarray | None:
    """Returns the digests of a run's training texts and of those of the run it started from."""
    try:
        with (workdir / DIGESTS_FILE).open("rb") as file, np.load(file) as arrays:
            names = ["train", "validation"] if validation_too else ["train"]
            return np.concatenate([arrays[name] for name in names])
    except Exception:  # whatever NumPy, zipfile and zlib raise
        return None


def with_vocabulary(config: Config) -> DataConfig:
    """Returns the data options, with the vocabulary of the checkpoint that a model starts from."""
    folder = config.model.pretrained
    reason = "--model.pretrained has none of them" if folder else ordered(config.model)
    if config.data.has_ngrams and reason:
        raise UserError(
            f"--data.ngrams and --data.stems add tokens without a place in the text, but {reason}: "
            "use --data.ngrams 1 --data.stems, or --preset adapted"
        )
    if folder is None:
        return config.data
    if config.data.vocab is not None:
        raise UserError(
            f"--model.pretrained {folder} has a vocabulary of its own: leave --data.vocab out"
        )
    lowercase = lowercases(folder)
    if lowercase not in (None, config.data.lowercase):
        option = "--data.lowercase" if lowercase else "--data.no-lowercase"
        raise UserError(f"the checkpoint in {folder} was made with {option}: give it too")
    return dataclasses.replace(config.data, vocab=str(vocabulary_file(folder)))


def train_batches(texts: TokenizedDataset, config: Config, mesh: Mesh) -> TrainBatches:
    """Returns the training batches, of this process its own rows."""
    split = texts.splits["train"]
    epochs = config.train.epochs or epochs_for(len(split.labels))
    steps = config.train.steps or epochs * -(-len(split.labels) // config.train.batch_size)
    return TrainBatches(
        split.tokens,
        split.labels,
        batch_size=config.train.batch_size,
        seed=config.seed,
        max_shapes=min(max(steps // _STEPS_PER_SHAPE, 2), _MOST_SHAPES),
        # the network draws it where a scope is a sentence, which ends at words that may be dropped
        word_dropout=0.0 if "sentence" in config.model.scopes else sizes(config.model).word_dropout,
        **_layout(texts, config, mesh),
    )


def eval_batches(
    texts: TokenizedDataset,
    split_name: str,
    config: Config,
    mesh: Mesh,
    shapes: Shapes | None = None,
) -> EvalBatches:
    """Returns the batches of 'validation' or 'test', in `shapes` that are compiled already."""
    split = texts.splits[split_name]
    return EvalBatches(
        split.tokens,
        split.labels,
        batch_size=config.train.eval_batch_size,
        shapes=shapes,
        max_shapes=_EVAL_SHAPES,
        **_layout(texts, config, mesh),
    )


def _digests(texts: Iterable[str]) -> np.ndarray:
    """Returns 64 bits of each text, white space folded, uint64 [texts]."""
    folds = (folded(text).encode("utf-8", "replace") for text in texts)
    found = (hashlib.blake2b(fold, digest_size=8).digest() for fold in folds)
    return np.frombuffer(b"".join(found), "<u8")


def _layout(texts: TokenizedDataset, config: Config, mesh: Mesh) -> dict[str, Any]:
    """Returns the arguments of batches that depend on the model and the devices."""
    model = config.model
    one_wave_a_text = model.kind == "wave" and model.pooling == "cls" and sizes(model).layers == 1
    return {
        "table_rows": table_rows(texts.tokenizer.vocab_size),
        "process_index": process_index(),
        "process_count": process_count(),
        "mesh_multiple": mesh.shape["data"],
        # what a padded position costs beside a padded distinct row, see `Shapes.fitted`
        "token_cost": TOKEN_COST if one_wave_a_text or model.kind in ("mean", "linear") else 1.0,
    }
