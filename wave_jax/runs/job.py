"""The whole job, top to bottom: dataset, network, training, test, summary."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from rich.console import Console

from wave_jax.data.dataset import Dataset, Split
from wave_jax.data.tokenize import TokenizedDataset, merge_validation
from wave_jax.errors import Interrupted, UserError
from wave_jax.models import build_model, read_pretrained
from wave_jax.runs import metrics_log
from wave_jax.runs.baseline import tfidf_right
from wave_jax.runs.cautions import cautions
from wave_jax.runs.checkpoints import FOLDER, Checkpoints, finished_steps, restore_params
from wave_jax.runs.files import explaining_disk_errors
from wave_jax.runs.initial import load_initial
from wave_jax.runs.inputs import count_learned, eval_batches, read_dataset, train_batches
from wave_jax.runs.progress import ProgressDisplay
from wave_jax.runs.signals import Interrupt
from wave_jax.runs.workdir import REFIT, Summary, check_shared, claim, device_name, lock
from wave_jax.training import distributed
from wave_jax.training.callbacks import Callback, CallbackFactory, DivergenceGuard, GradientProbe
from wave_jax.training.compilation import enable_compilation_cache, keep_freed_memory
from wave_jax.training.config import Config, check_config
from wave_jax.training.mesh import make_mesh, put, state_shardings
from wave_jax.training.metrics import NonFiniteError, balanced_weights
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
    """Trains according to `config` in `workdir`; resumes where an earlier call was stopped.

    A finished run gives the summary that it has.

    Args:
        workdir: a new folder, an empty one, or that of the same run.
        resume_command: shown after an interruption.
        callbacks: each makes a `Callback` for the task.

    Raises:
        PeerLost: another process of the same run has ended.
        UserError: a user-fixable error; what was saved before stays.
        Interrupted: SIGINT or SIGTERM; the state is saved.
    """
    console, workdir = console or Console(), Path(workdir)
    check_config(config)
    made = config.workdir is None or not workdir.exists()
    found = distributed.on_primary(lambda: claim(workdir, config))
    check_shared(workdir)
    if not distributed.is_primary():
        console.quiet = True
    if found == "finished":
        console.print(f"The run in {workdir} is finished:", markup=False, highlight=False)
        summary = Summary.load(workdir)
        console.print(summary.table())
        return summary
    enable_compilation_cache()
    keep_freed_memory()
    with Interrupt() as interrupt, ExitStack() as stack:
        distributed.on_primary(lambda: stack.enter_context(lock(workdir)))
        if found == "new" and distributed.is_primary():
            stack.push(partial(_empty_unbegun, workdir, made))
        stack.enter_context(distributed.noticing_lost_peers())
        stack.enter_context(explaining_disk_errors(workdir, "what was saved before stays"))
        try:
            summary = _run(config, workdir, console, interrupt, callbacks)
        except Interrupted as error:
            kept, again = f"; what was learned so far is kept in {workdir}", "resume"
            if not finished_steps(workdir / FOLDER):
                kept, again = " before anything was learned and saved", "start again"
            text = f"Stopped by {error.signal.name}{kept}. To {again}:"
            _say(console, text, f"  {resume_command or 'repeat the call'}")
            raise
    console.print(summary.table())
    return summary


def _empty_unbegun(workdir: Path, made: bool, kind: type | None, *_: object) -> None:
    """Empties a new folder in which nothing was learned, so that the next try may name it again.

    A folder that was `made` for the run goes, too. Several processes do so after a UserError alone,
    which all of them have.
    """
    begun = bool(finished_steps(workdir / FOLDER) or metrics_log.read_rows(workdir))
    begun = begun or (workdir / "nonfinite").exists()
    if kind and not begun and (distributed.alone() or issubclass(kind, UserError)):
        with suppress(OSError):
            for path in workdir.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if made:
                workdir.rmdir()


def _run(
    config: Config,
    workdir: Path,
    console: Console,
    interrupt: Interrupt,
    factories: Sequence[CallbackFactory],
) -> Summary:
    mesh = make_mesh(config.mesh.data, config.mesh.model)
    if distributed.is_primary():
        metrics_log.check_trackers(config.train)
    dataset, texts = distributed.primary_first(lambda: read_dataset(config, workdir))
    task = make_task(config, texts, mesh)
    _announce(console, dataset, texts, task)
    if (origin := config.train.init_from) is not None:
        initial, new = load_initial(workdir)
        task = dataclasses.replace(task, initial=initial)
        held = [*dataset.validation.texts, *dataset.test.texts]
        known = count_learned(workdir, held, refit=False) or 0  # no digests: not counted
        silent = Path(origin).is_dir() and count_learned(Path(origin), (), refit=True) is None
        shown = "not known" if silent else f"{known:,} of {len(held):,}"
        what = f"and held-out texts that it has learned from: {shown}"
        _say(console, f"Starts from the parameters of {origin}; classes new to it: {new}, {what}")
    callbacks: list[Callback] = [make(task) for make in factories]
    if every := config.probe.every:
        callbacks.insert(0, GradientProbe(task.model, texts.splits["validation"], mesh, every))
    trainer = _fit(config, task, workdir, console, interrupt, callbacks)
    folder, refit, learned = workdir, None, dataset.train
    if config.train.refit:
        task, folder = _refit_task(config, texts, trainer), workdir / REFIT
        learned = Split.joined(dataset.train, dataset.validation)
        what = f"the {len(learned):,} training and validation texts together"
        _say(console, f"Refitting on {what}: {task.total_steps:,} steps")
        folder.mkdir(exist_ok=True)
        refit = _fit(config, task, folder, console, interrupt).progress
    params, _ = restore_params(folder, "best")
    params = put(params, state_shardings(mesh, {"params": params})["params"])
    test = None
    if len(dataset.test):
        tested = eval_batches(texts, "test", config, mesh, trainer.task.validation.shapes)
        test = trainer.evaluator(params, tested)
    summary = Summary.of(workdir, texts, trainer, test, refit)
    if distributed.is_primary():
        if not console.quiet:  # nobody watches
            metrics_log.draw_curves(workdir)
        summary.save()
    if config.train.baseline and test:
        _say(console, "Fitting TF-IDF to compare with" if find_spec("sklearn") else None)
        pairs = learned.texts, learned.labels, dataset.test.texts, dataset.test.labels

        def accuracy() -> float | None:
            right = tfidf_right(*pairs)
            return None if right is None else float(right.mean())

        summary = dataclasses.replace(summary, baseline_accuracy=distributed.on_primary(accuracy))
        if distributed.is_primary():
            summary.save()
    return summary


def _fit(
    config: Config,
    task: Task,
    folder: Path,
    console: Console,
    interrupt: Interrupt,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """Trains to the end, with checkpoints and metrics in `folder`, from the newest one there."""
    with (
        Checkpoints(folder, config.train.keep) as checkpoints,
        ProgressDisplay(console, task.total_steps) as display,
        ExitStack() as stack,
    ):
        trainer = Trainer(
            task,
            checkpoints,
            display=display,
            interrupt=interrupt,
            config=dataclasses.asdict(config),
            callbacks=callbacks,
        )
        if trainer.restore():
            display.line(f"Resuming from the checkpoint of step {trainer.progress.step:,}")
        if distributed.is_primary():
            metrics_log.trim(folder, trainer.progress.step)
            trainer.writers += metrics_log.make_writers(folder, config)
        trainer.writers.append(DivergenceGuard(display.line, seen=metrics_log.read_rows(folder)))
        for writer in trainer.writers:
            stack.callback(writer.close)
        try:
            trainer.run()
        except NonFiniteError as error:
            path = metrics_log.save_batch(folder, task.batches, error, jax.process_index())
            distributed.meet()  # before the first to leave takes the others along
            raise UserError(f"{error}. The batch is kept in {path}") from error
    return trainer


def _refit_task(config: Config, texts: TokenizedDataset, trainer: Trainer) -> Task:
    """Returns the task of learning anew from all texts, for as many epochs as before."""
    step, total = trainer.progress.step, trainer.task.total_steps
    epochs = (step if step == total else trainer.progress.best_step) / trainer.task.steps_per_epoch
    merged = merge_validation(texts)
    per_epoch = -(-len(merged.splits["train"].labels) // config.train.batch_size)
    learning = dataclasses.replace(config.train, steps=max(1, round(epochs * per_epoch)))
    task = make_task(dataclasses.replace(config, train=learning), merged, trainer.task.mesh)
    return dataclasses.replace(task, validation=None, initial=trainer.task.initial)


def make_task(config: Config, texts: TokenizedDataset, mesh: Mesh) -> Task:
    """Returns the task that `config` describes, on the dataset."""
    vocab_size, max_length, initial = texts.tokenizer.vocab_size, config.data.max_length, None
    model = build_model(
        config.model,
        vocab_size=vocab_size,
        num_classes=len(texts.label_names),
        max_length=max_length,
        sentence_end_ids=texts.tokenizer.sentence_end_ids,
        sep_id=texts.tokenizer.sep_id,
    )
    if config.model.pretrained is not None:
        example = jax.ShapeDtypeStruct((1, 4), jnp.int32)
        like = jax.eval_shape(model.init, jax.random.key(0), example)["params"]
        initial = read_pretrained(
            config.model, vocab_size=vocab_size, max_length=max_length, like=like
        )
    classes, labels = len(texts.label_names), texts.splits["train"].labels
    balanced = config.train.class_weights == "balanced"
    return Task(
        config=config.train,
        seed=config.seed,
        model=model,
        mesh=mesh,
        batches=train_batches(texts, config, mesh),
        validation=eval_batches(texts, "validation", config, mesh),
        initial=initial,
        class_weights=balanced_weights(labels, classes) if balanced else None,
    )


def _announce(console: Console, dataset: Dataset, texts: TokenizedDataset, task: Task) -> None:
    train, validation, test = (len(split.labels) for split in texts.splits.values())
    _say(
        console,
        texts.description,
        *texts.notes,
        f"{train:,} texts for training, {validation:,} for validation, "
        f"{f'{test:,} for the test' if test else 'no test split'}; "
        f"{texts.tokenizer.vocab_size:,} tokens in the vocabulary",
        f"{task.total_steps:,} steps of {task.config.batch_size} texts, "
        f"{task.total_steps / task.steps_per_epoch:.3g} epochs, on {device_name()}",
        *cautions(dataset, task.config),
    )


def _say(console: Console, *lines: str | None) -> None:
    for line in filter(None, lines):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
