"""The defaults that a kind of network fills in."""

from wave_jax.models import ModelConfig, sizes


def test_defaults_belong_to_the_kind():
    assert sizes(ModelConfig(dim=256)).ffn_dim == 256
    assert sizes(ModelConfig(kind="transformer", dim=256)).heads == 4
    assert sizes(ModelConfig(kind="fnet", dim=256, ffn_dim=9)).ffn_dim == 9
