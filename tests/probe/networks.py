"""Small networks of every kind, with texts, for the tests of the probe."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from wave_jax.models import ModelConfig, build_model
from wave_jax.probe import cross_entropy

IDS = np.array(
    [
        [2, 10, 11, 9, 12, 13, 9, 3, 0, 0],
        [2, 10, 9, 15, 16, 17, 18, 19, 20, 3],
        [2, 14, 14, 14, 3, 0, 0, 0, 0, 0],
    ],
    np.int32,
)
MASK = IDS > 0
LABELS = np.array([0, 2, 1], np.int32)
SMALL = {"dim": 8, "ffn_dim": 8}

KINDS = {
    "plain": {},
    "interference": {"op": "interference"},
    # Both operations, so that each is tested with every readout.
    "both-real": {"op": "both", "readout": "real", "layers": 2},
    "both-imag": {"op": "both", "readout": "imag", "position": "learned", "pooling": "mean"},
    "both-magnitude": {"op": "both", "readout": "magnitude", "pooling": "max"},
    "both-phase": {"op": "both", "readout": "phase"},
    "deep": {"layers": 3, "pooling": "mean"},
    "sentences-one-layer": {"scopes": ("sentence", "input")},
    "sentences": {"scopes": ("sentence", "input"), "layers": 2, "position": "sinusoidal"},
}


@lru_cache
def network(kind, *, seed=0, trained=False):
    """(model, float32 parameters)."""
    config = ModelConfig(**SMALL, **KINDS[kind])
    model = build_model(
        config, vocab_size=40, num_classes=3, max_length=12, sentence_end_ids=(9,), sep_id=3
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0), IDS, MASK)["params"]
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda leaf: 0.35 * rng.standard_normal(leaf.shape, np.float32), shapes)
    return model, _fit(model, params) if trained else params


# Compiling takes most of the tests' time, and optimizing does not change what is computed.
QUICK = {"xla_backend_optimization_level": 0}


def double(params):
    """The parameters in float64, under jax.enable_x64."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)


def _fit(model, params, steps=60):
    optimizer = optax.adam(1e-2)

    def loss(params):
        return jnp.mean(cross_entropy(model.apply({"params": params}, IDS, MASK), LABELS))

    def step(_, carry):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    def fit(params):
        return jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))[0]

    return jax.jit(fit, compiler_options=QUICK)(params)


class Bag(nn.Module):
    """A model without waves: a linear classifier of the sum of embeddings."""

    def setup(self):
        self.table = nn.Embed(40, 4)
        self.classifier = nn.Dense(3)

    def __call__(self, ids, mask):
        return self.logits_from_embeddings(self.embed(ids), mask)

    def embed(self, ids):
        return self.table(ids)

    def logits_from_embeddings(self, embeddings, mask, *, deterministic=True):
        return self.classifier(jnp.sum(jnp.where(mask[..., None], embeddings, 0), axis=1))
