"""The configuration of a run; presets override it, nothing derived is stored in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from wave_jax.data.config import DataConfig
from wave_jax.errors import UserError
from wave_jax.models.config import ModelConfig

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainConfig:
    """How the parameters are learned."""

    epochs: int | None = 4
    """Passes over the training texts (the papers: 4); None chooses them by the number of texts,
    see `epochs_for`."""
    steps: int | None = None
    """Steps in all, instead of epochs."""
    batch_size: int = 64
    """Texts per step, over all devices."""
    learning_rate: float = 1e-3
    """Peak learning rate (the papers: 1e-3)."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate after the warm-up: unchanged, or falling to zero along a cosine."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from zero; at most a tenth of all steps is used."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices and embeddings; biases and norms have none."""
    clip_norm: float = 1.0
    """Largest L2 norm of the whole gradient; 0 switches clipping off."""
    b1: float = 0.9
    """AdamW's decay of the first moment."""
    b2: float = 0.999
    """AdamW's decay of the second moment."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight of a text in the loss: 1, or N / (classes x texts of its class), so that every class
    weighs alike. Reported losses and accuracies are unweighted."""
    table_optimizer: Literal["rows", "dense", "frozen"] = "rows"
    """AdamW of the embedding table: on the rows that a batch contains, on all rows, or not at
    all."""
    precision: Precision = "float32"
    """Precision of matrix products; sums and parameters stay in float32."""
    eval_every: int | None = None
    """Steps between validations; by default at the end of every epoch."""
    select_by: Literal["accuracy", "macro-f1", "loss"] = "accuracy"
    """What makes a validation the best one: the highest accuracy or mean F1 over the classes, or
    the lowest loss."""
    init_from: str | None = None
    """Folder of a finished run to start from: its vocabulary and parameters, those of the output
    for the classes of the same name. The network must be the same; the optimizer starts anew."""
    refit: bool = False
    """After the validated training, train anew on training and validation texts together, for as
    many epochs (up to the best one, if it was stopped early): its last parameters are the run's.
    A vocabulary is learned from both, too."""
    baseline: bool = True
    """At the end, also print the accuracy of TF-IDF with logistic regression on the same texts
    (needs the package scikit-learn; for at most a million texts times classes)."""
    early_stopping: int = 0
    """Validations without a better one (see --train.select-by) after which training ends; 0
    switches this off."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; by default at the end of every epoch."""
    keep: int = 2
    """Newest checkpoints kept, besides the best one."""
    log_every: int = 50
    """Steps between training rows in metrics.jsonl."""
    eval_batch_size: int = 256
    """Texts per step of evaluation."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs the package tensorboardX)."""
    wandb: bool = False
    """Also log to Weights & Biases (needs the package wandb)."""


@dataclass(frozen=True)
class MeshConfig:
    """The layout of the devices."""

    data: int | None = None
    """Devices over which a batch is split; all that `model` leaves by default."""
    model: int = 1
    """Devices over which embedding rows and feed-forward columns are split."""


@dataclass(frozen=True)
class ProbeConfig:
    """Gradients through magnitude and phase, measured while training."""

    every: int = 0
    """Steps between probes of a few validation texts; 0 switches them off."""


@dataclass(frozen=True)
class Config:
    """A whole run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    seed: int = 0
    """Seed of the initialisation, the order of the batches and all dropout."""
    workdir: str | None = None
    """Folder for all that the run produces; by default a new one under runs/."""


def epochs_for(texts: int) -> int:
    """Returns the epochs for so many texts: 100,000 / texts, but 2 to 8, or 10,000 / texts if more.

    >>> [epochs_for(texts) for texts in (250, 3_000, 20_000, 100_000)]
    [40, 8, 5, 2]
    """
    return max(min(max(round(100_000 / texts), 2), 8), round(10_000 / texts))


def check_config(config: Config) -> None:
    """Raises UserError for a training or probing option out of its range, by its name."""
    train, probe = config.train, config.probe
    counts = "epochs steps batch_size eval_batch_size log_every keep eval_every checkpoint_every"
    least = dict.fromkeys(counts.split(), 1)
    least |= dict.fromkeys(("early_stopping", "warmup_steps", "weight_decay", "clip_norm"), 0)
    for name, value in vars(train).items():
        option = f"--train.{name.replace('_', '-')}"
        if name in least and value is not None and not value >= least[name]:
            raise UserError(f"{option} is {value}, expected {least[name]} or more")
        if name in ("b1", "b2", "label_smoothing") and not 0 <= value < 1:
            raise UserError(f"{option} is {value}, expected 0 <= value < 1")
    if not 0 < train.learning_rate < float("inf"):
        raise UserError(f"--train.learning-rate is {train.learning_rate}, expected more than 0")
    if train.learning_rate * train.weight_decay >= 1:
        raise UserError(
            "--train.learning-rate times --train.weight-decay is 1 or more: every step would wipe "
            "the parameters out"
        )
    if probe.every < 0:
        raise UserError(f"--probe.every is {probe.every}, expected 0 (never) or a number of steps")
    if probe.every and (kind := config.model.kind) != "wave":
        raise UserError(
            f"--probe.every probes waves, and --model.kind {kind} has none: leave it out"
        )
