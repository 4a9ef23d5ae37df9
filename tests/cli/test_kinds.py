"""Every kind of network is trained, evaluated and used by the same commands."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, assert_refused
from wave_jax.runs.checkpoints import restore_params

BERT = Path(__file__).parents[1] / "golden" / "bert"
SHAPE = ["--model.dim", "16", "--train.batch-size", "16", "--data.max-length", "10"]
SIZES = ["--model.layers", "2", "--model.heads", "2", "--model.ffn-dim", "24"]


def _train(command: Command, folder: Path, source: list[str], *options: str) -> None:
    steps = ["--train.steps", "2", "--train.eval-batch-size", "64"]
    done = command("train", *source, *SHAPE, *steps, *options, "--workdir", folder)
    assert done.status == 0, done.err


@pytest.mark.parametrize("kind", ["transformer", "mean"])
def test_kinds_learn_and_predict(
    kind: str, command: Command, tmp_path: Path, source: list[str]
) -> None:
    _train(command, tmp_path / "run", source, "--model.kind", kind)
    done = command("predict", tmp_path / "run", "--text", "waves and ships")
    assert done.status == 0, done.err
    assert "probabilities" in done.out
    assert_refused(
        command("probe", tmp_path / "run", "--text", "waves"), "has no waves, so no phases"
    )


def test_bert_starts_from_a_checkpoint(command: Command, tmp_path: Path, source: list[str]) -> None:
    """At a learning rate too small to leave a trace, training ends where it began."""
    options = ["--model.kind", "bert", "--model.pretrained", str(BERT), *SIZES]
    _train(command, tmp_path / "run", source, *options, "--train.learning-rate", "1e-12")
    from safetensors.numpy import load_file

    weights = load_file(BERT / "model.safetensors")
    params, _ = restore_params(tmp_path / "run")
    table = weights["bert.embeddings.word_embeddings.weight"]
    assert abs(params["embed"]["embedding"][: len(table)] - table).max() < 1e-6
    kernel = weights["bert.encoder.layer.1.intermediate.dense.weight"].T
    assert abs(params["layer_1"]["ffn_in"]["kernel"] - kernel).max() < 1e-6
    done = command("evaluate", tmp_path / "run", "--json")
    assert done.status == 0, done.err
    vocabulary = (BERT / "vocab.txt").read_text().split()
    assert '"vocab_size"' not in done.out
    assert len(vocabulary) == len(table)


def test_checkpoints_that_do_not_fit_are_refused(
    command: Command, tmp_path: Path, source: list[str]
) -> None:
    folder = tmp_path / "run"
    options = [*source, *SHAPE, "--model.kind", "bert", "--workdir", str(folder)]
    nowhere = [*options, *SIZES, "--model.pretrained", str(tmp_path / "none")]
    assert_refused(command("train", *nowhere), "holds no model.safetensors")
    narrow = [*options, "--model.pretrained", str(BERT), "--model.layers", "2"]
    assert_refused(command("train", *narrow), "intermediate_size is 24", "--model.ffn-dim 24")
    both = [*options, *SIZES, "--model.pretrained", str(BERT), "--data.vocab", "vocab.txt"]
    assert_refused(command("train", *both), "leave --data.vocab out")
    assert not folder.exists()
    probing = [*options, *SIZES, "--probe.every", "1"]
    assert_refused(command("train", *probing), "--model.kind bert has none")
