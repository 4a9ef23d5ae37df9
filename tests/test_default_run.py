"""`python train.py` as it is, beside what a practitioner would try first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_close_to_tfidf_or_better(tmp_path: Path) -> None:
    """Within two points of TF-IDF with logistic regression, on the same texts and cut."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    linear = pytest.importorskip("sklearn.linear_model")
    folder = tmp_path / "run"
    start = [sys.executable, str(ROOT / "train.py"), "--workdir", str(folder)]
    subprocess.run(start, check=True)
    summary = json.loads((folder / "summary.json").read_text())

    parts = {}
    for name in ("train", "test"):
        lines = (folder / "corpus" / f"{name}.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        parts[name] = [row["text"] for row in rows], [row["label"] for row in rows]
    vectors = text.TfidfVectorizer(sublinear_tf=True)
    # C = 10 was the best of 1, 10, 100 on the validation part.
    model = linear.LogisticRegression(C=10, max_iter=1000)
    model.fit(vectors.fit_transform(parts["train"][0]), parts["train"][1])
    baseline = model.score(vectors.transform(parts["test"][0]), parts["test"][1])

    print(f"wave {summary['test_accuracy']:.4f}, TF-IDF {baseline:.4f}")
    assert summary["test_accuracy"] >= baseline - 0.02
    assert summary["test_accuracy"] >= summary["majority_share"] + 0.4
