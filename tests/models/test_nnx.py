"""The networks, which are Flax Linen, taken over by NNX through Flax's own bridge."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.nnx import bridge

from tests.probe.networks import IDS, LABELS, MASK, QUICK
from wave_jax import probe
from wave_jax.models import ModelConfig, build_model


def loss_of(logits):
    return jnp.mean(probe.cross_entropy(logits, LABELS))


def test_nnx_takes_a_network():
    config = ModelConfig(dim=4, ffn_dim=4, pooling="mean")
    model = build_model(config, vocab_size=40, num_classes=3, max_length=12)
    wrapped = bridge.ToNNX(model, rngs=nnx.Rngs(0))
    wrapped.embed = nnx.data({})  # the table, else taken for the method of the same name
    wrapped.lazy_init(IDS, MASK)

    params = nnx.to_pure_dict(nnx.state(wrapped, nnx.Param))
    shapes = jax.eval_shape(model.init, jax.random.key(0), IDS, MASK)["params"]
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)

    # parameters of one's own, such as a trained network's
    trained = jax.tree.map(lambda leaf: leaf + 0.125, params)
    nnx.update(wrapped, trained)
    step = nnx.jit(nnx.value_and_grad(lambda model: loss_of(model(IDS, MASK))))
    value, gradients = step(wrapped)

    def linen(params):
        return loss_of(model.apply({"params": params}, IDS, MASK))

    expected = jax.jit(jax.value_and_grad(linen), compiler_options=QUICK)(trained)
    # the same arithmetic, compiled in two programs
    both = zip(jax.tree.leaves(expected), [value, *jax.tree.leaves(gradients)], strict=True)
    for ours, theirs in both:
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-6)
    assert np.any(gradients["embed"]["embedding"][...])
