"""A linear model on the same texts, so that nobody is fooled by a number of ours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

_MOST = 1_000_000  # texts times classes: more would take minutes


def tfidf_right(
    texts: Sequence[str], labels: np.ndarray, test_texts: Sequence[str], test_labels: np.ndarray
) -> np.ndarray | None:
    """Returns which test texts TF-IDF with logistic regression gets right, bool [texts].

    Words and pairs of words, sublinear counts, C = 10, one class against the rest. None without
    scikit-learn, for more than a million texts times classes, and for texts without a word.
    """
    if find_spec("sklearn") is None or len(texts) * len(np.unique(labels)) > _MOST:
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
        OneVsRestClassifier(LogisticRegression(C=10, solver="liblinear", dual=True)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about convergence, classes that few texts have
        try:
            return np.asarray(model.fit(texts, labels).predict(test_texts) == test_labels)
        except (ValueError, MemoryError):  # an empty vocabulary, or a huge one
            return None
