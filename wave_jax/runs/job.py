"""The whole job, top to bottom: texts, network, training, test, summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from rich.console import Console

from wave_jax.data.tokenize import TokenizedDataset
from wave_jax.errors import Interrupted, UserError
from wave_jax.models import build_model, read_pretrained
from wave_jax.runs.checkpoint_files import FOLDER, finished_steps
from wave_jax.runs.checkpoints import Checkpoints, restore_params
from wave_jax.runs.environment import device_name
from wave_jax.runs.files import explaining_disk_errors
from wave_jax.runs.inputs import eval_batches, little_data, read_dataset, train_batches
from wave_jax.runs.metrics_log import MetricsLog, check_trackers, make_trackers, read_rows, trim
from wave_jax.runs.plots import draw_curves, draw_probe
from wave_jax.runs.progress import ProgressDisplay
from wave_jax.runs.signals import Interrupt
from wave_jax.runs.summary import Summary, process_peak_bytes
from wave_jax.runs.workdir import check_shared, claim, occupied, save_batch
from wave_jax.training.callbacks import (
    Callback,
    CallbackFactory,
    DivergenceGuard,
    GradientProbe,
    MetricsWriter,
)
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory, program_bytes
from wave_jax.training.config import Config, check_config
from wave_jax.training.distributed import is_primary, meet, noticing_lost_peers, on_primary
from wave_jax.training.evaluation import EvalResult
from wave_jax.training.mesh import make_mesh, put, state_shardings
from wave_jax.training.metrics import NonFiniteError
from wave_jax.training.state import parameter_counts
from wave_jax.training.task import Task
from wave_jax.training.trainer import Trainer


def train(
    config: Config,
    *,
    workdir: Path,
    console: Console | None = None,
    resume_command: str | None = None,
    callbacks: Sequence[CallbackFactory] = (),
) -> Summary:
    """Trains as `config` says, in `workdir`; goes on where an earlier call was stopped.

    Args:
        config: the resolved configuration.
        workdir: a new folder, an empty one, or that of the same run.
        console: where progress is shown.
        resume_command: shown after an interruption.
        callbacks: each makes a `Callback` for the task.

    Returns:
        The summary; of a finished run the one it had.

    Raises:
        PeerLost: another process of the same run has ended.
        UserError: something the user must mend; what was saved before stays.
        Interrupted: SIGINT or SIGTERM; the state is saved. Uncaught, it ends the process with
            status 130 or 143.
    """
    console, workdir = console or Console(), Path(workdir)
    check_config(config)
    found = on_primary(lambda: claim(workdir, config))
    check_shared(workdir)
    if not is_primary():
        console.quiet = True
    if found == "finished":
        console.print(f"The run in {workdir} is finished:", markup=False, highlight=False)
        summary = Summary.load(workdir)
        console.print(summary.table())
        return summary
    enable_compilation_cache()
    keep_freed_memory()
    with Interrupt() as interrupt, ExitStack() as stack:
        on_primary(lambda: stack.enter_context(occupied(workdir)))
        stack.enter_context(noticing_lost_peers())
        stack.enter_context(explaining_disk_errors(workdir, "what was saved before stays"))
        try:
            summary = _run(config, workdir, console, interrupt, callbacks)
        except Interrupted as error:
            console.print(_farewell(error, workdir, resume_command), markup=False, soft_wrap=True)
            raise
    console.print(summary.table())
    return summary


def _run(
    config: Config,
    workdir: Path,
    console: Console,
    interrupt: Interrupt,
    callbacks: Sequence[CallbackFactory],
) -> Summary:
    mesh = make_mesh(config.mesh.data, config.mesh.model)
    if is_primary():
        check_trackers(tensorboard=config.train.tensorboard, wandb=config.train.wandb)
    texts = read_dataset(config, workdir)
    task = make_task(config, texts, mesh)
    _announce(console, texts, task)
    with ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(workdir, config.train.keep))
        display = stack.enter_context(ProgressDisplay(console, task.total_steps))
        trainer = Trainer(
            task,
            checkpoints,
            display=display,
            interrupt=interrupt,
            config=dataclasses.asdict(config),
            callbacks=[*_probes(config, texts, task), *(make(task) for make in callbacks)],
        )
        if trainer.restore():
            display.line(f"Going on from the checkpoint of step {trainer.progress.step:,}")
        if is_primary():
            trim(workdir, trainer.progress.step)
        for writer in _writers(config, workdir):
            stack.callback(writer.close)
            trainer.writers.append(writer)
        trainer.writers.append(DivergenceGuard(display.line, seen=read_rows(workdir)))
        try:
            trainer.run()
        except NonFiniteError as error:
            path = save_batch(workdir, task.batches, error, jax.process_index())
            meet()  # before the first to leave takes the others along
            raise UserError(f"{error}. The batch is kept in {path}") from error

    params, _ = restore_params(workdir, step=trainer.progress.best_step)
    params = put(params, state_shardings(mesh, {"params": params})["params"])
    batches = eval_batches(texts, "test", config, mesh, task.validation.shapes)
    summary = _summary(workdir, texts, trainer, trainer.evaluator(params, batches))
    if is_primary():
        draw_curves(workdir)
        draw_probe(workdir)
        summary.save()
    return summary


def make_task(config: Config, texts: TokenizedDataset, mesh: Mesh) -> Task:
    tokenizer = texts.tokenizer
    model = build_model(
        config.model,
        vocab_size=tokenizer.vocab_size,
        num_classes=len(texts.label_names),
        max_length=config.data.max_length,
        sentence_end_ids=tokenizer.sentence_end_ids,
        sep_id=tokenizer.sep_id,
    )
    initial = None
    if config.model.pretrained is not None:
        example = jax.ShapeDtypeStruct((1, 4), jnp.int32)
        initial = read_pretrained(
            config.model,
            vocab_size=tokenizer.vocab_size,
            max_length=config.data.max_length,
            like=jax.eval_shape(model.init, jax.random.key(0), example)["params"],
        )
    return Task(
        config=config.train,
        seed=config.seed,
        model=model,
        mesh=mesh,
        batches=train_batches(texts, config, mesh),
        validation=eval_batches(texts, "validation", config, mesh),
        initial=initial,
    )


def _probes(config: Config, texts: TokenizedDataset, task: Task) -> list[Callback]:
    if not config.probe.every:
        return []
    split = texts.splits["validation"]
    return [GradientProbe(task.model, split, task.mesh, config.probe.every)]


def _announce(console: Console, texts: TokenizedDataset, task: Task) -> None:
    train, validation, test = (len(split.labels) for split in texts.splits.values())
    pieces = texts.tokenizer.vocab_size
    console.print(texts.description, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{train:,} texts for training, {validation:,} for validation, {test:,} for the test; "
        f"{pieces:,} pieces; {task.total_steps:,} steps on {device_name()}",
        highlight=False,
        soft_wrap=True,
    )
    if (warning := little_data(texts)) is not None:
        console.print(warning, markup=False, highlight=False, soft_wrap=True)


def _writers(config: Config, workdir: Path) -> list[MetricsWriter]:
    if not is_primary():
        return []
    trackers = make_trackers(
        workdir,
        dataclasses.asdict(config),
        tensorboard=config.train.tensorboard,
        wandb=config.train.wandb,
    )
    return [MetricsLog(workdir), *trackers]


def _summary(workdir: Path, texts: TokenizedDataset, trainer: Trainer, test: EvalResult) -> Summary:
    position, task = trainer.progress, trainer.task
    full, without = parameter_counts(trainer.state.params, texts.tokenizer.vocab_size)
    epochs, rest = divmod(position.step, task.steps_per_epoch)
    examples = epochs * len(texts.splits["train"].labels) + rest * task.config.batch_size
    sizes = [size for size in map(program_bytes, trainer.programs.values()) if size is not None]
    memory = jax.local_devices()[0].memory_stats() or {}
    return Summary(
        workdir=str(workdir),
        device=device_name(),
        steps=position.step,
        best_step=position.best_step,
        validation_accuracy=position.best_accuracy,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_examples=test.examples,
        majority_share=texts.majority_share,
        parameters=full,
        parameters_without_table=without,
        seconds=position.elapsed,
        examples_per_s=examples / max(position.elapsed, 1e-9),
        step_bytes=max(sizes, default=None),
        process_bytes=process_peak_bytes(),
        device_bytes=memory.get("peak_bytes_in_use"),
        texts_cut=texts.texts_cut,
    )


def _farewell(error: Interrupted, workdir: Path, resume_command: str | None) -> str:
    saved = f"Stopped by {error.signal.name}; what was learned so far is kept in {workdir}."
    if not finished_steps(workdir / FOLDER):
        saved = f"Stopped by {error.signal.name} before anything was learned and saved."
    if resume_command is None:
        return f"{saved} The same call goes on from there."
    return f"{saved} To go on:\n  {resume_command}"
