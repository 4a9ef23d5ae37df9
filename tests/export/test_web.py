"""The page that runs a network: its numbers are JAX's, and nothing of a text leaves its place."""

import base64
import gzip
import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.export.web_networks import LABELS, SENTENCES, answers, make, odd_texts
from tests.real_data import DATA
from wave_jax.data.tokenizer import WordPiece
from wave_jax.errors import UserError
from wave_jax.export.web import write_web
from wave_jax.inference.probing import probe_text
from wave_jax.models import ModelConfig
from wave_jax.probe import margin

# float32's rounding, in sums of up to a thousand tokens; the page computes in float64
TOLERANCE = 1e-5
DEFAULT = ModelConfig(dim=16, variants="table", head="linear", linear_path=True)
NGRAMS = {"ngrams": 3, "stems": (2, 4)}
KINDS = {
    "default": (DEFAULT, NGRAMS),
    "both, dense": (ModelConfig(dim=24, op="both", linear_path=True), {}),
    "imag, one norm": (
        ModelConfig(dim=16, op="interference", readout="imag", norms=1, activation="tanh"),
        {"stems": (3,)},
    ),
    "phase, relu": (ModelConfig(dim=16, readout="phase", ffn_dim=8, activation="relu"), {}),
}
MOST_BYTES = 6_000_000


def relative(found, expected):
    """The largest difference over the largest number."""
    expected = np.asarray(expected, np.float64)
    return np.abs(np.asarray(found) - expected).max() / max(np.abs(expected).max(), 1e-30)


@partial(jax.jit, static_argnums=0)
def _run(model, params, ids, mask, labels):
    def total(embeddings):
        logits = model.apply({"params": params}, embeddings, mask, method="logits_from_embeddings")
        return jnp.sum(margin(logits, labels)), logits

    embeddings = model.apply({"params": params}, ids, method="embed")
    gradients, logits = jax.grad(total, has_aux=True)(embeddings)
    return logits, gradients


def run(classifier, texts, labels=None, dropped=()):
    """JAX's logits, and the gradients of the labels' margins at the embeddings; ids, and lengths.

    Batches are padded to a few shapes, so that one compilation serves several tests.
    """
    ids, mask = classifier.encode(texts)
    rows, width = (-len(ids) % 64, -ids.shape[1] % 128)
    padding = ((0, rows), (0, width))
    ids, mask = np.pad(ids, padding), np.pad(mask, padding)
    mask[len(texts) :, 0] = True  # a network needs a token
    lengths = mask.sum(axis=1)
    mask[:, list(dropped)] = False
    labels = np.pad(np.zeros(len(texts), int) if labels is None else labels, padding[0])
    logits, gradients = _run(classifier.model, classifier.params, ids, mask, labels)
    return np.asarray(logits)[: len(texts)], np.asarray(gradients), ids, lengths


def assert_equal_numbers(page, classifier, texts):
    labels = [i % len(classifier.labels) for i in range(len(texts))]
    requests = [{"text": t, "label": k} for t, k in zip(texts, labels, strict=True)]
    found = answers(page, requests)
    logits, gradients, ids, lengths = run(classifier, texts, labels)
    for i, (text, one) in enumerate(zip(texts, found, strict=True)):
        length = lengths[i]
        assert one["ids"] == ids[i, :length].tolist(), text[:80]
        assert one["names"] == classifier.tokenizer.tokens(one["ids"]), text[:80]
        assert relative(one["logits"], logits[i]) <= TOLERANCE, text[:80]
        assert relative(one["gradient"], gradients[i, :length]) <= TOLERANCE, text[:80]


QUICK = ("default", "both, dense")  # the others take seconds of compilation, too


@pytest.fixture(
    scope="module",
    params=[pytest.param(k, marks=[] if k in QUICK else pytest.mark.slow) for k in KINDS],
)
def exported(request, tmp_path_factory):
    """A page, and its network as a classifier."""
    model, data = KINDS[request.param]
    page = tmp_path_factory.mktemp("page") / "page.html"
    return page, write_web(make(model, **data), page)


def test_logits_and_gradients_are_those_of_jax(exported):
    short = [text[:200] for text in odd_texts()[::3]]
    assert_equal_numbers(*exported, [*SENTENCES, *short])


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "page.html"
    model, data = KINDS["default"]
    return page, write_web(make(model, **data), page, examples=SENTENCES)


@pytest.mark.slow
def test_all_that_the_probe_says(default):
    page, classifier = default
    text = SENTENCES[2]
    probe = probe_text(classifier, text, label=LABELS[1], of="margin")
    (one,) = answers(page, [{"text": text, "of": "margin", "label": 1}])
    layer = probe.result.gradients.layers[0]
    joined = {
        name: np.concatenate([getattr(v, name)[0] for v in layer.variants], axis=-1)
        for name in ("phase", "d_phase", "magnitude_path", "phase_path")
    }
    joined |= {
        name: np.concatenate([getattr(v, name)[0, 0] for v in layer.variants])
        for name in ("magnitude", "d_magnitude")
    }
    integrated = probe.result.integrated
    assert one["integrated"]["evaluations"] == int(integrated.evaluations)
    assert one["integrated"]["converged"]
    joined["gradient_times_input"] = probe.result.gradient_times_input[0]
    joined["gradient_norm"] = np.linalg.norm(probe.result.gradients.embedding[0], axis=-1)
    for name, expected in joined.items():
        assert relative(one[name], expected) <= TOLERANCE, name
    assert relative(one["integrated"]["tokens"], integrated.tokens[0]) <= TOLERANCE
    assert one["value"] == pytest.approx(float(probe.result.gradients.loss), rel=TOLERANCE)


def test_dropped_tokens_are_as_if_absent(default):
    page, classifier = default
    text, dropped = SENTENCES[1], [2, 5, 11]
    asked = {"text": text, "label": 0}
    whole, one = answers(page, [{**asked, "of": "logit"}, {**asked, "dropped": dropped}])
    logits, gradients, *_ = run(classifier, [text], dropped=dropped)
    assert relative(one["logits"], logits[0]) <= TOLERANCE
    assert relative(one["gradient"], gradients[0, : len(one["ids"])]) <= TOLERANCE
    without = run(classifier, [text], dropped=[7])[0][0, 0]
    assert whole["without"][7] == pytest.approx(float(without), rel=TOLERANCE)


def test_predictions_hardly_change_in_8_bits(default):
    """The table's rounding: half a 254th of each row's range."""
    _, rounded = default
    exact = make(DEFAULT, **NGRAMS)
    assert relative(run(rounded, SENTENCES)[0], run(exact, SENTENCES)[0]) < 0.02


def test_pieces_that_the_training_never_met_are_left_out(tmp_path):
    whole = make(DEFAULT, **NGRAMS)
    page = tmp_path / "page.html"
    learned = write_web(whole, page, learned_from=SENTENCES[:3])
    texts = ["blue waves", "naïve cafés and the sea"]
    found = answers(page, [{"text": text} for text in texts])
    assert [any(one["unseen"]) for one in found] == [False, True]
    for one, expected in zip(found, run(learned, texts)[0], strict=True):
        assert relative(one["logits"], expected) <= TOLERANCE
    everything = tmp_path / "everything.html"
    write_web(whole, everything)
    assert answers(everything, [{"text": texts[0]}])[0]["logits"] == found[0]["logits"]
    assert page.stat().st_size < everything.stat().st_size


def test_labels_examples_and_texts_stay_in_the_data(default):
    page = default[0].read_text("utf-8")
    assert page.count("<script") == page.count("</script>") == 3
    assert "<b>land</b>" not in page
    assert "&lt;b&gt;land&lt;/b&gt;" in page  # in the title
    assert "default-src &#x27;none&#x27;" in page
    links = set(re.findall(r"https?://[^\"'` )]+", page))
    assert links == {"http://www.w3.org/2000/svg"}  # a name, not an address to be fetched
    assert "Copyright Hugging Face" in page


def test_the_same_network_gives_the_same_page(default, tmp_path):
    again = tmp_path / "again.html"
    model, data = KINDS["default"]
    write_web(make(model, **data), again, examples=SENTENCES)
    assert again.read_bytes() == default[0].read_bytes()


def test_128_dimensions_and_8000_pieces_stay_below_6_mb(tmp_path):
    words = tmp_path / "vocab.txt"
    rng = np.random.default_rng(0)
    letters = ["".join(map(chr, row)) for row in rng.integers(97, 123, (7996, 9)).tolist()]
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters]))
    page = tmp_path / "page.html"
    write_web(make(ModelConfig(dim=128), tokenizer=WordPiece.from_file(words)), page)
    assert page.stat().st_size < MOST_BYTES


def test_networks_without_a_table_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"page cannot run this network: .*--model.pooling cls"):
        write_web(make(ModelConfig(dim=8, pooling="mean")), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        write_web(make(DEFAULT), tmp_path / "missing" / "page.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_web(make(DEFAULT), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_examples_are_of_different_answers(default):
    data = re.search(r'id="data">(.*?)</script>', default[0].read_text("utf-8"), re.DOTALL)[1]
    packed = gzip.decompress(base64.b64decode(data))
    header = json.loads(packed[8 : 8 + int.from_bytes(packed[:8], "little")])
    examples = json.loads(header["__metadata__"]["page"])["examples"]
    assert sorted(examples) == sorted(SENTENCES)
    first = [p.label for p in default[1].predict(examples)]
    distinct = list(dict.fromkeys(first))
    assert first[: len(distinct)] == distinct


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real texts in {DATA}")
def test_a_thousand_real_texts_and_a_hundred_odd_ones(tmp_path):
    import csv

    with (DATA / "ag_news_csv" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = [f"{row[1]} {row[2]}" for row in csv.reader(file)]
    page = tmp_path / "page.html"
    network = make(
        ModelConfig(dim=16, variants="table", head="linear", linear_path=True, table_scale=0.03),
        texts=rows[1000:3000], vocab_size=8000, max_length=128, scale=0.3, ngrams=2, stems=(4,),
    )  # fmt: skip
    classifier = write_web(network, page)
    assert_equal_numbers(page, classifier, rows[:1000])
    assert_equal_numbers(page, classifier, odd_texts())
