"""A folder in the layout of Hugging Face's hub, with a model card."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path, PurePath
from textwrap import indent
from typing import Any

from wave_jax import __version__
from wave_jax.export.files import write_meaning
from wave_jax.inference import Classifier, load
from wave_jax.models.weights import WEIGHTS, save_weights
from wave_jax.runs.files import write_whole

_RESULTS = "test_accuracy test_macro_f1 test_examples majority_share baseline_accuracy parameters"


def write_hub(classifier: Classifier, folder: Path, summary: dict[str, Any]) -> Classifier:
    """Writes a new folder, with results from a run's summary.json; returns what loads from it."""
    folder.mkdir()
    write_meaning(folder, classifier)
    save_weights(folder / WEIGHTS, classifier.params)
    write_whole(folder / "README.md", model_card(classifier, summary))
    return load(folder, max_length=classifier.max_length, fold=classifier.folded_bytes > 0)


def model_card(classifier: Classifier, summary: dict[str, Any]) -> str:
    """Returns README.md: metadata, and what a reader must know.

    Names of classes and of data stand in indented blocks, where markup is text.
    """
    from huggingface_hub import EvalResult, ModelCardData

    config = classifier.config
    source = "".join(c for c in PurePath(config.data.source).name if c.isprintable())
    metadata: dict[str, Any] = {"library_name": "wave_jax", "tags": ["wave-network", "jax"]}
    metadata["pipeline_tag"] = task = "text-classification"
    if (accuracy := summary.get("test_accuracy")) is not None:
        result = EvalResult(task, source, source, "accuracy", accuracy)
        metadata |= {"model_name": "Wave Network", "eval_results": [result]}
    network = f"{config.model.kind}, {config.model.dim} dimensions"
    facts = {"data": source, "seed": config.seed, "network": network, "wave_jax": __version__}
    facts |= {name: summary[name] for name in _RESULTS.split() if summary.get(name) is not None}
    template = (files("wave_jax.export") / "assets" / "card.md").read_text("utf-8")
    return template.format(
        metadata=ModelCardData(**metadata).to_yaml(),
        classes=_block(classifier.labels),
        facts=_block(facts),
        length=classifier.max_length,
    )


def _block(values: Any) -> str:
    return indent(json.dumps(values, indent=2, ensure_ascii=False), "    ")
