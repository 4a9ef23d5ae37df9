"""Gradient norms against separate gradients of the mean loss, and the summary for training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.networks import IDS, LABELS, MASK, QUICK, Bag, network
from wave_jax import probe
from wave_jax.probe import model_api


def mean_loss(model, params, embeddings):
    logits = model.apply({"params": params}, embeddings, MASK, method="logits_from_embeddings")
    return jnp.mean(-jnp.take_along_axis(jax.nn.log_softmax(logits), LABELS[:, None], 1))


def l2(tree):
    return np.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in jax.tree.leaves(tree)))


@pytest.mark.parametrize("kind", ["plain", "both-real", "bag"])
def test_norms_equal_those_of_the_gradients(kind):
    if kind == "bag":
        model = Bag()
        params = model.init(jax.random.key(0), IDS, MASK)["params"]
    else:
        model, params = network(kind)
    norms = jax.jit(partial(probe.gradient_norms, model), compiler_options=QUICK)(
        params, IDS, LABELS, mask=MASK
    )

    @partial(jax.jit, compiler_options=QUICK)
    def expected(params):
        embeddings = model.apply({"params": params}, IDS, method="embed")
        at = jax.grad(partial(mean_loss, model, params))(embeddings)

        def whole(p):
            return mean_loss(model, p, model.apply({"params": p}, IDS, method="embed"))

        return at, jax.grad(whole)(params)

    at, by_params = expected(params)
    assert float(norms.pop("cls")) == pytest.approx(l2(at[:, 0]), rel=1e-5)
    assert float(norms.pop("input")) == pytest.approx(l2(at), rel=1e-5)
    assert "classifier" in norms
    for name, norm in norms.items():
        group = by_params
        for part in name.split("/"):
            group = group[part]
        assert float(norm) == pytest.approx(l2(group), rel=1e-5), name
    top = [float(norm) ** 2 for name, norm in norms.items() if "/" not in name]
    assert np.sqrt(sum(top)) == pytest.approx(l2(by_params), rel=1e-5)


def test_the_summary_has_the_numbers_of_the_probe():
    model, params = network("sentences")

    @partial(jax.jit, compiler_options=QUICK)
    def run(params):
        options = {"mask": MASK}
        return (
            probe.summarize(model, params, IDS, LABELS, **options),
            probe.gradient_norms(model, params, IDS, LABELS, **options),
            probe.wave_gradients(model, params, IDS, LABELS, **options),
        )

    found, norms, gradients = run(params)
    for name in ("cls", "input", "classifier", "embed", "layer_1"):
        assert float(found[f"gradient_norm/{name}"]) == pytest.approx(float(norms[name]), rel=1e-4)
    assert not any("layer_0/variants" in name for name in found)
    texts = len(IDS)  # the mean loss: each text's gradient is a third
    assert float(found["loss"]) == pytest.approx(float(gradients.loss) / texts, rel=1e-5)
    both = gradients.layers[0].variants
    share = probe.magnitude_share(
        np.stack([v.magnitude_path for v in both]), np.stack([v.phase_path for v in both])
    )
    assert float(found["layer_0/magnitude_share"]) == pytest.approx(float(share), rel=1e-4)
    sizes = [np.abs(v.d_phase)[MASK] / texts for v in both]
    assert float(found["layer_0/mean_abs_d_phase"]) == pytest.approx(np.mean(sizes), rel=1e-4)
    # The first variant has a magnitude for each token's sentence, the second one for the text.
    rows = np.concatenate([np.abs(both[0].d_magnitude)[MASK], np.abs(both[1].d_magnitude)[:, 0]])
    found_mean = float(found["layer_0/mean_abs_d_magnitude"])
    assert found_mean == pytest.approx(np.mean(rows) / texts, rel=1e-4)
    # How many tokens a token is coupled to, in effect, by the first layer's own scopes.
    segments = model_api.variant_segments(model, IDS, MASK)
    for op in gradients.layers[0].superposed:
        real, imag = probe.coupling(*(v.tokens for v in both), op, segment_ids=segments)
        effective, pairs = 0.0, 0
        for text, length in enumerate(MASK.sum(axis=1)):
            pairs += length * (length - 1)
            for j in range(length):
                squares = np.square(real[text, j]) + np.square(imag[text, j])
                squares = np.delete(squares, j)
                effective += squares.sum() ** 2 / max((squares**2).sum(), 1e-30)
        assert 0 < effective < pairs
        assert float(found[f"layer_0/coupling/{op}"]) == pytest.approx(effective / pairs, rel=1e-4)
