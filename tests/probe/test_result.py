"""The probe of a batch is what its functions return on their own; the record is plain values."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from tests.probe.fabricated import fabricate
from tests.probe.networks import IDS, LABELS, MASK, QUICK, network
from wave_jax import probe
from wave_jax.probe.result import probe_batch, probe_record

BASELINE = np.asarray(probe.unknown_baseline(jnp.asarray(IDS), unk_id=1, keep=(2, 3)))


def test_a_batch_has_the_results_of_the_single_functions():
    model, params = network("sentences")
    inputs = params, IDS, LABELS

    @partial(jax.jit, compiler_options=QUICK)
    def both(params, ids, labels):
        found = probe_batch(model, params, ids, labels, mask=MASK, baseline_ids=BASELINE)
        product = probe.gradient_times_input(model, params, ids, labels, mask=MASK)
        u1, u2 = (variant.tokens for variant in found.gradients.layers[1].variants)
        pair = jnp.where(MASK, model.segment_ids(ids, MASK), 0), None
        return found, product, probe.coupling(u1, u2, "modulation", segment_ids=pair)

    found, product, coupling = both(*inputs)
    np.testing.assert_allclose(found.gradient_times_input, product, rtol=1e-4, atol=1e-6)
    assert found.integrated.converged.all()
    assert [list(each) for each in found.couplings] == [["modulation"]] * 2
    for x, y in zip(found.couplings[1]["modulation"], coupling, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_the_record_is_json():
    probed = fabricate(["[CLS]", "wave", "[SEP]"], 8, layers=2)
    unbounded = replace(probed.result.integrated, gap=np.float32([np.inf]))
    probed = replace(probed, result=replace(probed.result, integrated=unbounded))
    record = json.loads(json.dumps(probe_record(probed), allow_nan=False))
    assert record["tokens"] == ["[CLS]", "wave", "[SEP]"]
    assert record["predicted"] == record["label"] == "<i>land</i>"
    assert abs(sum(record["probabilities"].values()) - 1) < 1e-9  # float64 shares
    assert record["integrated_gradients"]["gap"] is None
    variants = probed.result.gradients.layers[1].variants
    both = np.stack([v.phase_path[0].astype(float) for v in variants])
    expected = np.sqrt(np.sum(both**2, axis=(0, 2)))
    np.testing.assert_allclose(record["layers"][1]["phase_path"], expected, rtol=1e-6)
    assert len(record["gradient"]) == len(record["integrated_gradients"]["tokens"]) == 3


def test_a_network_that_reads_no_phase_but_that_of_cls_says_so():
    probed = fabricate(["[CLS]", "wave", "[SEP]"], 8)
    assert "phases of all tokens but [CLS] have gradient 0" in probe_record(probed)["note"]
    (layer,) = probed.result.gradients.layers
    read = layer.variants[0].replace(d_phase=np.ones_like(layer.variants[0].d_phase))
    layer = layer.replace(variants=(read, layer.variants[1]))
    gradients = probed.result.gradients.replace(layers=(layer,))
    assert (
        probe_record(replace(probed, result=replace(probed.result, gradients=gradients)))["note"]
        is None
    )
