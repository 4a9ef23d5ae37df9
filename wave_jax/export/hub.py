"""A folder in the layout of Hugging Face's hub, with a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path, PurePath
from textwrap import indent
from typing import Any

from wave_jax import __version__
from wave_jax.data.config import HUB, TFDS
from wave_jax.export.files import write_meaning
from wave_jax.inference import Classifier, load
from wave_jax.models.weights import WEIGHTS, save_weights
from wave_jax.runs.files import exported, write_whole
from wave_jax.runs.workdir import SUMMARY_FILE
from wave_jax.training.config import Config

_RESULTS = "test_accuracy test_macro_f1 test_examples majority_share baseline_accuracy parameters"


def write_hub(classifier: Classifier, folder: Path, results: Mapping[str, Any]) -> Classifier:
    """Writes a new folder, with `read_results`; returns what loads from it."""
    folder.mkdir()
    write_meaning(folder, classifier, results)
    save_weights(folder / WEIGHTS, classifier.params)
    write_whole(folder / "README.md", model_card(classifier, results))
    return load(folder, max_length=classifier.max_length, fold=classifier.folded_bytes > 0)


def read_results(folder: Path, config: Config) -> dict[str, Any]:
    """Returns the name of the data and the accuracies of a run, or what its export kept of them."""
    if own := exported(folder):
        return dict(own.get("results", {}))
    path, source = folder / SUMMARY_FILE, config.data.source
    if not source.startswith((HUB, TFDS)):  # a path, which is private
        source = PurePath(source).name
    summary = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    results = {name: summary[name] for name in _RESULTS.split() if summary.get(name) is not None}
    return {"data": "".join(c for c in source if c.isprintable()), **results}


def model_card(classifier: Classifier, results: Mapping[str, Any]) -> str:
    """Returns README.md: metadata, and what a reader must know.

    Names of classes and of data stand in indented blocks, where markup is text.
    """
    from huggingface_hub import EvalResult, ModelCardData

    config = classifier.config
    metadata: dict[str, Any] = {"library_name": "wave_jax", "tags": ["wave-network", "jax"]}
    metadata["pipeline_tag"] = task = "text-classification"
    if (accuracy := results.get("test_accuracy")) is not None:
        source = results["data"]
        result = EvalResult(task, source.removeprefix(HUB), source, "accuracy", accuracy)
        metadata |= {"model_name": "Wave Network", "eval_results": [result]}
    network = f"{config.model.kind}, {config.model.dim} dimensions"
    facts = {"seed": config.seed, "network": network, "wave_jax": __version__, **results}
    template = (files("wave_jax.export") / "assets" / "card.md").read_text("utf-8")
    return template.format(
        metadata=ModelCardData(**metadata).to_yaml(),
        classes=_block(classifier.labels),
        facts=_block(facts),
        length=classifier.max_length,
    )


def _block(values: Any) -> str:
    return indent(json.dumps(values, indent=2, ensure_ascii=False), "    ")
