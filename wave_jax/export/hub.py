"""A folder in the layout of Hugging Face's hub, with a model card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from wave_jax import __version__
from wave_jax.export.files import write_meaning
from wave_jax.inference import Classifier, load
from wave_jax.models.weights import WEIGHTS, save_weights
from wave_jax.runs.files import write_whole

_CARD = """---
{metadata}
---
# A Wave Network that labels texts

A text classifier by wave_jax, after the [Wave Network](https://arxiv.org/abs/2411.02674): each
token is a complex wave, whose magnitude is what the whole text says in a dimension and whose phase
is the token's own share of it.

```python
import wave_jax

classifier = wave_jax.load("hf:OWNER/NAME")  # or this folder; nothing of it is executed
classifier.predict("A text.").label
```

## Classes

{classes}

## Training and results

{facts}

Accuracies are shares of texts, as the training measured them. `config.json` has every setting.

## Limits

- It reads the first {length:,} pieces of a text and knows the words, the language and the kind of
  text that it learned from; another kind gets one of the classes all the same.
- Probabilities are a softmax of logits; they are not calibrated.
- What the training texts are biased towards, it is biased towards.
- `transformers.AutoTokenizer` gives the ids of the pieces.{ngrams}
"""
_RESULTS = (
    *("test_accuracy", "test_macro_f1", "test_examples", "majority_share", "baseline_accuracy"),
    *("validation_accuracy", "parameters"),
)
_NGRAMS = """ Runs of words and beginnings of words are tokens
  of their own, behind [SEP]: `ngrams.npz` has them, and wave_jax adds their ids."""


def write_hub(classifier: Classifier, folder: Path, summary: dict[str, Any]) -> Classifier:
    """Writes the folder, with results from a run's summary.json, and returns what loads from it."""
    folder.mkdir()
    write_meaning(folder, classifier)
    save_weights(folder / WEIGHTS, classifier.params)
    write_whole(folder / "README.md", model_card(classifier, summary))
    return load(folder, max_length=classifier.max_length, fold=classifier.folded_bytes > 0)


def model_card(classifier: Classifier, summary: dict[str, Any]) -> str:
    """Returns README.md: metadata in YAML, and what a reader must know.

    Names of classes and of data stand in indented blocks, where markup is text.
    """
    from huggingface_hub import EvalResult, ModelCardData

    config, data = classifier.config, classifier.config.data
    source = "".join(c for c in PurePath(data.source).name if c.isprintable())
    metadata: dict[str, Any] = {}
    if (accuracy := summary.get("test_accuracy")) is not None:
        of: dict[str, Any] = {
            "task_type": "text-classification",
            "dataset_type": source,
            "dataset_name": source,
        }
        result = EvalResult(**of, metric_type="accuracy", metric_value=accuracy)
        metadata = {"model_name": "Wave Network", "eval_results": [result]}
    tags = ["wave-network", "jax"]
    metadata |= {"library_name": "wave_jax", "pipeline_tag": "text-classification", "tags": tags}
    network = f"{config.model.kind}, {config.model.dim} dimensions"
    facts = {"data": source, "seed": config.seed, "network": network, "wave_jax": __version__}
    facts |= {name: summary[name] for name in _RESULTS if summary.get(name) is not None}
    return _CARD.format(
        metadata=ModelCardData(**metadata).to_yaml(),
        classes=_block(map(_json, classifier.labels)),
        facts=_block(f"{name}: {_json(value)}" for name, value in facts.items()),
        length=classifier.max_length,
        ngrams=_NGRAMS if data.has_ngrams else "",
    )


def _block(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
