"""TextClassifier: scikit-learn's conventions, with scikit-learn itself."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as checks
from sklearn.utils.validation import validate_data

import wave_jax
from wave_jax import TextClassifier
from wave_jax.data.dataset import load_dataset
from wave_jax.errors import Interrupted, UserError
from wave_jax.runs.files import load_config
from wave_jax.runs.initial import read_origin
from wave_jax.runs.recipes import load_recipe

WORDS = {"sea": ["waves", "tide", "ship", "sail"], "land": ["hill", "field", "grass", "road"]}
LABELS = [*WORDS] * 10
TINY = {"dim": 2, "epochs": 2, "batch_size": 8, "learning_rate": 0.05}


def _texts(seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[label], 5)) for label in LABELS]


TEXTS = _texts()


def tiny(**params: Any) -> TextClassifier:
    """Without a refit, which would take as long again."""
    config = load_recipe("default")
    config = replace(config, train=replace(config.train, refit=False))
    return TextClassifier(**TINY | {"config": config} | params)


@pytest.fixture(scope="module", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keeps the user's cache out, and shows which temporary folders are left."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    return TextClassifier(**TINY).fit(TEXTS, LABELS)


def test_learns_from_lists_of_strings(fitted: TextClassifier) -> None:
    assert fitted.classes_.tolist() == ["land", "sea"]
    assert fitted.predict(["a tide of waves", "grass on the hill"]).tolist() == ["sea", "land"]
    shares = fitted.predict_proba(_texts(1))
    assert shares.shape == (20, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (fitted.classes_[shares.argmax(axis=1)] == fitted.predict(_texts(1))).all()
    assert fitted.score(_texts(1), LABELS) == 1
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict_proba([]).shape == (0, 2)


def test_the_default_recipe_is_that_of_the_command(fitted: TextClassifier) -> None:
    recipe, found = load_recipe("default"), fitted.classifier_.config
    assert found.model == replace(recipe.model, dim=2)
    own = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "baseline": False}
    assert found.train == replace(recipe.train, **own)
    assert found.data.ngrams == recipe.data.ngrams


def test_a_clone_learns_the_same_quietly_and_leaves_nothing(
    fitted: TextClassifier, own_folders: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = clone(fitted)
    assert not hasattr(again, "classes_")
    again.fit(np.array(TEXTS), np.array(LABELS, object))
    assert again.classes_.dtype == object
    assert (again.predict_proba(TEXTS) == fitted.predict_proba(TEXTS)).all(), "bit for bit"
    assert capfd.readouterr() == ("", "")
    assert list(own_folders.iterdir()) == []


def test_parameters_reach_the_run_and_are_kept_as_given() -> None:
    stems, config = [3], load_recipe("default", "paper")
    model = TextClassifier(stems=stems, epochs=np.int64(3), random_state=5, config=config)
    assert model.get_params()["stems"] is stems
    assert model.get_params()["config"] is config
    made = model._make_config(Path("texts"))
    assert (made.data.stems, made.train.epochs, made.seed) == ((3,), 3, 5)
    assert made.model == config.model
    assert model.set_params(dim=8, random_state=None)._make_config(Path("texts")).model.dim == 8
    assert is_classifier(model)


def test_threads_cross_validate_whole_numbers() -> None:
    with joblib.parallel_backend("threading"):
        found = cross_val_score(tiny(), TEXTS, np.array([7, -1] * 10), cv=2, n_jobs=2)
    assert found.tolist() == [1, 1]


@pytest.mark.slow
def test_processes_cross_validate() -> None:
    assert cross_val_score(tiny(), TEXTS, LABELS, cv=2, n_jobs=2).tolist() == [1, 1]


def test_a_grid_search_over_a_pipeline_with_truth_values() -> None:
    upper = FunctionTransformer(lambda texts: [text.upper() for text in texts])
    grid = {"textclassifier__epochs": np.arange(2, 3)}
    search = GridSearchCV(make_pipeline(upper, tiny()), grid, cv=2, error_score="raise")
    search.fit(TEXTS, [label == "sea" for label in LABELS])
    found = search.predict(["waves tide", "hill road"])
    assert (found.dtype, found.tolist()) == (bool, [True, False])
    assert search.best_score_ == 1


def test_saved_and_pickled_models_are_the_same(tmp_path: Path) -> None:
    """Also with labels that a file would not tell apart, and [CLS] as words of a text."""
    labels = np.array([" sea", "sea"] * 10, object)
    texts = [*TEXTS, "[CLS] waves [SEP]", "a \ud800 tide"]
    model = tiny().fit(TEXTS, labels)
    assert set(model.predict(texts)) == {" sea", "sea"}
    expected = model.predict_proba(texts)
    assert (pickle.loads(pickle.dumps(model)).predict_proba(texts) == expected).all()
    model.save(tmp_path / "saved")
    loaded = TextClassifier.load(tmp_path / "saved")
    assert (loaded.predict_proba(texts) == expected).all()
    assert loaded.classes_.tolist() == [" sea", "sea"]
    assert loaded.classes_.dtype == object
    assert loaded.config.model == model.classifier_.config.model
    assert loaded.config.train == model.classifier_.config.train
    assert wave_jax.load(tmp_path / "saved").labels == ("0", "1")
    with pytest.raises(UserError, match="holds a model already"):
        model.save(tmp_path / "saved")
    with pytest.raises(UserError, match="no texts beside it: give some with --data.source"):
        load_dataset(load_config(tmp_path / "saved").data)
    config = model.classifier_.config
    onward = replace(config, train=replace(config.train, init_from=str(tmp_path / "saved")))
    assert read_origin(onward).vocab_size > 4
    drawn = tiny(random_state=np.random.RandomState(3))._make_config(tmp_path)
    assert drawn.seed == np.random.RandomState(3).randint(1 << 31)


def test_without_scikit_learn_one_line_says_what_to_do() -> None:
    code = """
import sys
sys.modules["sklearn"] = None
import wave_jax
try:
    wave_jax.TextClassifier
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "TextClassifier needs scikit-learn: pip install scikit-learn\n", (
        done.stderr
    )


def test_a_workdir_keeps_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="--model.dim must be at least 1, got 0"):
        tiny(workdir=tmp_path / "run", dim=0).fit(TEXTS, LABELS)
    assert os.listdir(tmp_path) == [], "nothing is left of a run that was refused"
    model = tiny(workdir=tmp_path / "run", verbose=True).fit(TEXTS, LABELS)
    assert "2 classes: land 10" in capsys.readouterr().out
    expected = model.predict_proba(TEXTS)
    assert (clone(model).fit(TEXTS, LABELS).predict_proba(TEXTS) == expected).all()
    assert "is finished" in capsys.readouterr().out
    run = TextClassifier.load(tmp_path / "run")
    assert run.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()
    with pytest.raises(UserError, match="holds a run on other texts: give another workdir"):
        clone(model).fit(_texts(1), LABELS)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").touch()
    with pytest.raises(UserError, match="not empty and not the folder of a run"):
        tiny(workdir=tmp_path / "foreign").fit(TEXTS, LABELS)
    assert os.listdir(tmp_path / "foreign") == ["file"]


@pytest.mark.parametrize(
    ("texts", "labels", "error", "said"),
    [
        ("one text", ["a"], TypeError, "a list or a column of texts, got one str"),
        (np.array([["a"], ["b"]]), ["a", "b"], TypeError, "got one ndarray"),
        (["a", b"b"], ["a", "b"], TypeError, "text 1 is not a str but bytes"),
        (["a", float("nan")], ["a", "b"], TypeError, "text 1 is not a str but float"),
        (TEXTS, LABELS[1:], ValueError, "1d array of 20 labels, got shape \\(19,\\)"),
        (TEXTS, None, ValueError, "1d array of 20 labels"),
        (TEXTS, [[label] for label in LABELS], ValueError, "1d array of 20 labels"),
        (TEXTS, [*LABELS[1:], None], ValueError, "label 19 is None"),
        (TEXTS, [*LABELS[1:], float("nan")], ValueError, "label 19 is nan"),
        (TEXTS, [*LABELS[1:], 3], ValueError, "Unknown label type"),
        (TEXTS, [0.5, 1.0] * 10, ValueError, "Unknown label type"),
        (TEXTS, ["sea"] * 20, ValueError, "two classes or more, got 1 class"),
        (TEXTS, [1.0, float("inf")] * 10, ValueError, "Unknown label type"),
        ([], [], ValueError, "two classes or more, got no class"),
        (["a", "b", "b  ", "c"], [1, 2, 2, 3], ValueError, "no class has two different texts"),
    ],
)
def test_wrong_input_is_named(texts: Any, labels: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        tiny().fit(texts, labels)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"epochs": "3"}, "train.epochs is '3', expected int"),
        ({"op": "modulaton"}, "model.op is 'modulaton', expected one of 'interference'"),
    ],
)
def test_wrong_parameters_are_named_at_fit(params: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        tiny(**params).fit(TEXTS, LABELS)


def test_ctrl_c_is_what_python_raises_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **named: Any) -> None:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("wave_jax.inference.estimator.train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny().fit(TEXTS, LABELS)


def test_before_fit_and_with_weights() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        TextClassifier().predict(TEXTS)
    with pytest.raises(TypeError, match="sample_weight"):
        TextClassifier().fit(TEXTS, LABELS, sample_weight=np.ones(20))  # type: ignore[call-arg]


# Of scikit-learn's checks, those that need no numbers, or raise before they look at them.
@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_estimator_tags_renamed,
        checks.check_valid_tag_types,
        checks.check_estimator_repr,
        checks.check_no_attributes_set_in_init,
        checks.check_mixin_order,
        checks.check_do_not_raise_errors_in_init_or_set_params,
        checks.check_estimators_unfitted,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
    ],
)
def test_scikit_learns_checks(check: Callable[[str, Any], None]) -> None:
    check("TextClassifier", TextClassifier())


class _OfNumbers(TextClassifier):
    """Reads rows of numbers as texts: scikit-learn's other checks know no texts."""

    def fit(self, X: Any, y: Any) -> TextClassifier:
        return super().fit(self._as_texts(X, reset=True), y)

    def predict(self, X: Any) -> np.ndarray:
        return super().predict(self._as_texts(X, reset=False))

    def predict_proba(self, X: Any) -> np.ndarray:
        return super().predict_proba(self._as_texts(X, reset=False))

    def _as_texts(self, X: Any, reset: bool) -> list[str]:
        if not reset:
            self._fitted()
        rows = validate_data(self, X, reset=reset, dtype=float)
        return [" ".join(f"a{i}x{v:.0f} b{i}x{10 * v:.0f}" for i, v in enumerate(r)) for r in rows]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = False, True
        return tags


_NUMBERS = "about arrays of numbers, which `_OfNumbers` looks at and not TextClassifier"
NOT_APPLICABLE = {
    **dict.fromkeys(
        ("check_complex_data", "check_dtype_object", "check_estimators_dtypes"), _NUMBERS
    ),
    **dict.fromkeys(("check_estimators_nan_inf", "check_positive_only_tag_during_fit"), _NUMBERS),
    **dict.fromkeys(("check_estimator_sparse_tag", "check_estimator_sparse_array"), _NUMBERS),
    **dict.fromkeys(("check_estimator_sparse_matrix", "check_readonly_memmap_input"), _NUMBERS),
    **dict.fromkeys(("check_n_features_in", "check_n_features_in_after_fitting"), _NUMBERS),
    **dict.fromkeys(("check_fit1d", "check_fit2d_1feature", "check_fit2d_predict1d"), _NUMBERS),
    "check_supervised_y_2d": "a column vector of labels is refused, not flattened with a warning",
}


def _name(each: Any) -> str:
    return getattr(getattr(each, "func", each), "__name__", type(each).__name__)


CHECKS = list(
    checks.estimator_checks_generator(
        _OfNumbers(**TINY), expected_failed_checks=NOT_APPLICABLE, mark="skip"
    )
)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=_name)
def test_scikit_learns_checks_on_rows_read_as_texts(estimator: Any, check: Any) -> None:
    check(estimator)
