"""Gradients of whole networks: the two paths add up, and all equal differences and autodiff."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.probe.networks import IDS, KINDS, LABELS, MASK, QUICK, double, network
from wave_jax import ops, probe

OPERATIONS = {"interference": ops.interfere, "modulation": ops.modulate}


@lru_cache
def jitted(model, scalar=None):
    return jax.jit(partial(probe.wave_gradients, model, scalar=scalar), compiler_options=QUICK)


def run(model, params, scalar=None):
    return jitted(model, scalar)(params, IDS, LABELS, mask=MASK)


def polar_loss(model, params):
    """The loss as a function of what each layer's waves are moved to, the rest as it is.

    Takes {layer: [(G, alpha), (G, alpha)]}; layers that are not named keep their waves.
    """
    embeddings = model.apply({"params": params}, IDS, method="embed")
    segments = model.segment_ids(IDS, MASK)
    apply = partial(
        model.apply,
        segment_ids=segments,
        method="logits_from_embeddings",
        mutable=["perturbations"],
    )
    zeros = apply({"params": params}, embeddings, MASK)[1]["perturbations"]

    def loss(moved, gradients):
        shifts = dict(zeros)
        for index, waves in moved.items():
            first, second = (ops.from_polar(*wave) for wave in waves)
            layer = dict(zeros[f"layer_{index}"])
            for op, now in gradients.layers[index].superposed.items():
                new = jnp.where(MASK[..., None], OPERATIONS[op](first, second), 0)
                layer[f"{op}_real"] = new.real - now.real
                layer[f"{op}_imag"] = new.imag - now.imag
            shifts[f"layer_{index}"] = layer
        logits, _ = apply({"params": params, "perturbations": shifts}, embeddings, MASK)
        return jnp.sum(probe.cross_entropy(logits, LABELS))

    return loss


def polar(layer):
    return [(variant.magnitude, variant.phase) for variant in layer.variants]


# Several layers take long to compile; one kind of them stays in the default run.
SLOW = ("both-real", "deep")
CASES = [
    *(pytest.param(k, False, marks=[pytest.mark.slow] * (k in SLOW), id=k) for k in KINDS),
    *(pytest.param(k, True, id=f"{k}-trained") for k in ("plain", "both-magnitude")),
]


@pytest.mark.parametrize(("kind", "trained"), CASES)
def test_paths_add_up_to_the_total(kind, trained):
    model, params = network(kind, trained=trained)
    for wide, tolerance in ((False, 1e-5), (True, 1e-12)):
        with jax.enable_x64(wide):
            gradients = run(model, double(params) if wide else params)
            for layer in gradients.layers:
                for variant in layer.variants:
                    paths = np.asarray([variant.magnitude_path, variant.phase_path])
                    assert paths.dtype == (np.float64 if wide else np.float32)
                    # Of a text: a dimension whose cotangent is small by cancellation has the
                    # rounding of the others, and the compiler may round it twice differently.
                    larger = np.abs(paths).max(axis=(0, 2, 3), keepdims=True)[0]
                    error = np.abs(paths.sum(axis=0) - np.asarray(variant.total))
                    assert (error <= tolerance * larger).all()
                    assert np.isfinite(paths).all()
                    assert not np.any(paths[:, ~MASK])


@pytest.mark.parametrize("kind", ["sentences"])
def test_polar_gradients_equal_central_differences(kind):
    """dL/dG and dL/dalpha: one coordinate of one variant is moved, everything else is held."""
    model, params = network(kind)
    with jax.enable_x64(True):
        params = double(params)
        gradients = run(model, params)
        loss = jax.jit(polar_loss(model, params), compiler_options=QUICK)
        rng = np.random.default_rng(0)
        step = 1e-5  # errors of order step^2 and 1e-16 / step
        for index, layer in enumerate(gradients.layers):
            for _ in range(4):
                v, part = rng.integers(2, size=2)
                variant = layer.variants[v]
                coordinates = (variant.magnitude, variant.phase)[part]
                expected = (variant.d_magnitude, variant.d_phase)[part]
                where = tuple(rng.integers(size) for size in (2, coordinates.shape[1], 8))
                if coordinates.shape[1] > 1:
                    where = (where[0], 0, where[2])  # [CLS]: real in every text
                found = []
                for sign in (1, -1):
                    moved = coordinates.at[where].add(sign * step)
                    if part == 0 and coordinates.shape[1] > 1:  # a scope's G is one number
                        same = model.segment_ids(IDS, MASK)[where[0]] == 1
                        moved = coordinates.at[where[0], :, where[2]].add(sign * step * same)
                    waves = polar(layer)
                    waves[v] = (moved, waves[v][1]) if part == 0 else (waves[v][0], moved)
                    found.append(float(loss({index: waves}, gradients)))
                difference = (found[0] - found[1]) / (2 * step)
                assert float(expected[where]) == pytest.approx(difference, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", ["both-real"])
def test_embedding_gradient_equals_central_differences(kind):
    model, params = network(kind)
    with jax.enable_x64(True):
        params = double(params)
        gradients = run(model, params)
        embeddings = model.apply({"params": params}, IDS, method="embed")

        @partial(jax.jit, compiler_options=QUICK)
        def loss(embeddings):
            logits = model.apply(
                {"params": params}, embeddings, MASK, method="logits_from_embeddings"
            )
            return jnp.sum(probe.cross_entropy(logits, LABELS))

        step = 1e-5
        for where in ((0, 0, 1), (0, 3, 2), (1, 9, 7), (2, 4, 0)):
            up, down = (loss(embeddings.at[where].add(sign * step)) for sign in (1, -1))
            difference = float(up - down) / (2 * step)
            assert float(gradients.embedding[where]) == pytest.approx(
                difference, rel=1e-6, abs=1e-9
            )
        assert float(gradients.loss) == pytest.approx(float(loss(embeddings)), rel=1e-12)


@pytest.mark.parametrize("kind", ["both-real"])
def test_total_equals_autodiff_of_the_literal_formula(kind):
    """arctan2(sqrt(1 - (u/G)^2), u/G) and G exp(i alpha), as the papers write it (eq. 2, 3, 6)."""
    model, params = network(kind)
    with jax.enable_x64(True):
        params = double(params)
        gradients = run(model, params)
        loss = polar_loss(model, params)

        def literal(tokens):
            """The waves of real tokens; at padding, 0."""
            norm = jnp.sqrt(jnp.sum(jnp.where(MASK[..., None], tokens, 0) ** 2, 1, keepdims=True))
            share = jnp.where(MASK[..., None], tokens / norm, 0.5)  # any share: masked later
            return norm, jnp.arctan2(jnp.sqrt(1 - share**2), share)

        for index, layer in enumerate(gradients.layers):
            tokens = tuple(variant.tokens for variant in layer.variants)
            autodiff = jax.jit(
                jax.grad(lambda t, i=index: loss({i: [literal(x) for x in t]}, gradients)),
                compiler_options=QUICK,
            )(tokens)
            for variant, expected in zip(layer.variants, autodiff, strict=True):
                found = variant.magnitude_path + variant.phase_path
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
                np.testing.assert_allclose(variant.total, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_eager_equals_jit():
    model, params = network("interference")
    eager = probe.wave_gradients(model, params, IDS, LABELS, mask=MASK)
    for x, y in zip(jax.tree.leaves(eager), jax.tree.leaves(run(model, params)), strict=True):
        # Rounding goes through the network and back: relative to each array's largest value.
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-4 * np.abs(y).max())


def test_fields_have_their_shapes():
    found = run(*network("both-real"))
    assert found.loss.shape == ()
    assert found.values.shape == (3,)
    assert found.logits.shape == (3, 3)
    assert found.embedding.shape == (3, 10, 8)
    assert len(found.layers) == 2
    assert list(found.layers[0].superposed) == ["interference", "modulation"]
    assert found.layers[1].variants[1].magnitude.shape == (3, 1, 8)
    assert found.layers[1].variants[1].phase_path.shape == (3, 10, 8)


def test_layers_are_in_order_beyond_ten():
    from wave_jax.probe.gradients import _layers

    names = {f"layer_{i}": {"modulation_real": 0, "modulation_imag": 0} for i in (10, 2, 0, 1, 11)}
    assert _layers(names) == ["layer_0", "layer_1", "layer_2", "layer_10", "layer_11"]


@pytest.mark.parametrize("kind", ["both-imag", "sentences"])
def test_singular_texts_are_finite(kind):
    """One token, equal tokens, and embeddings that are all zero."""
    model, params = network(kind)
    ids = np.array([[2, 0, 0, 0], [14, 14, 14, 14], [2, 3, 0, 0]], np.int32)
    zero = jax.tree.map(jnp.zeros_like, params)
    for weights in (params, zero):
        gradients = jitted(model)(weights, ids, LABELS, mask=ids > 0)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_rows_are_the_gradients_of_their_own_example():
    model, params = network("plain")
    together = run(model, params)
    alone = jitted(model)(params, IDS[2:, :5], LABELS[2:])
    np.testing.assert_allclose(together.embedding[2, :5], alone.embedding[0], rtol=1e-4, atol=1e-6)
    assert not np.any(together.embedding[2, 5:])


def test_any_scalar_of_the_logits():
    model, params = network("plain")
    logit = run(model, params, scalar=probe.class_logit)
    np.testing.assert_allclose(logit.values, np.asarray(logit.logits)[range(3), LABELS])
    summed = run(model, params, scalar=lambda logits, labels: jnp.sum(logits[:, 1]))
    assert summed.values.shape == ()
    np.testing.assert_allclose(summed.values, np.sum(summed.logits[:, 1]), rtol=1e-5)
    own = np.asarray(LABELS) == 1  # the text whose logit is the one that was summed
    np.testing.assert_allclose(summed.embedding[own], logit.embedding[own], rtol=1e-4, atol=1e-6)
