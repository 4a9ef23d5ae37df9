"""What a run keeps of a batch whose loss was not finite."""

from __future__ import annotations

import json

import numpy as np

from tests.training.small import Texts
from wave_jax.runs.metrics_log import save_batch
from wave_jax.training.metrics import NonFiniteError


def test_the_batch_is_kept_by_each_process_and_described_by_the_first(tmp_path):
    texts, error = Texts(90, 16), NonFiniteError(8, ["classifier"], 6)
    path = save_batch(tmp_path, texts, error, 0)
    assert path.name == "batch-9-0.npz"
    with np.load(path) as kept:
        for name, array in texts.batch(8)._asdict().items():
            np.testing.assert_array_equal(kept[name], array)
    facts = json.loads((tmp_path / "nonfinite" / "step-9.json").read_text())
    assert facts["texts"] == texts.examples(8).tolist()
    assert (facts["step"], facts["groups"], facts["saved"]) == (8, ["classifier"], 6)
    save_batch(tmp_path, texts, error, 1)
    names = {file.name for file in (tmp_path / "nonfinite").iterdir()}
    assert names == {"batch-9-0.npz", "batch-9-1.npz", "step-9.json"}
