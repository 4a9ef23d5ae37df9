"""Everything that decides a run, in one place; presets override, nothing derived is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from wave_jax.data.config import DataConfig
from wave_jax.models.config import ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """How the parameters are learned."""

    epochs: int = 4
    """Passes over the training texts (the papers: 4)."""
    steps: int | None = None
    """Steps in all; replaces epochs where given."""
    batch_size: int = 64
    """Texts a step, over all devices."""
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
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """A loss or gradient that is not finite: stop and keep the batch, or skip the step and count
    it."""
    table_optimizer: Literal["rows", "dense"] = "rows"
    """AdamW of the embedding table: on the rows that a batch touches, or on all rows every step."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of matrix products; sums and parameters stay in float32."""
    eval_every: int | None = None
    """Steps between validations; by default at the end of every epoch."""
    early_stopping: int = 0
    """Validations without a better accuracy after which training ends; 0 switches this off."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; by default at the end of every epoch."""
    keep: int = 2
    """Newest checkpoints kept, besides the best one."""
    log_every: int = 50
    """Steps between training rows in metrics.jsonl."""
    eval_batch_size: int = 256
    """Texts a step of evaluation."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs the package tensorboardX)."""
    wandb: bool = False
    """Also log to Weights & Biases (needs the package wandb)."""


@dataclass(frozen=True)
class MeshConfig:
    """How devices are laid out."""

    data: int | None = None
    """Devices over which a batch is split; by default all that `model` leaves."""
    model: int = 1
    """Devices over which embedding rows and feed-forward columns are split."""


@dataclass(frozen=True)
class ProbeConfig:
    """Gradients through magnitude and phase, watched while training."""

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
