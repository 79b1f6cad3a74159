"""The loop: epochs of steps, validation, checkpoints; start and resume are one code path."""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from timbrespace.atomic import write_bytes, write_text
from timbrespace.batches import Pictures, order, shared_tensor, together
from timbrespace.data.lock import locked
from timbrespace.errors import RunError
from timbrespace.machine import SignalStop, use_bfloat16
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.recipe import Recipe, build
from timbrespace.recipe.objective import GATHERS
from timbrespace.runs import Run
from timbrespace.training import checkpoint
from timbrespace.training.augment import training_batch
from timbrespace.training.listening import Listening
from timbrespace.training.loggers import Logger, TensorBoard, csv_logger
from timbrespace.training.parallel import Ranks
from timbrespace.training.perceptual import Anchors
from timbrespace.training.start import begin
from timbrespace.training.state import State
from timbrespace.training.step import NotFinite, train_step
from timbrespace.training.through import Through
from timbrespace.training.validation import Validation, calibration, validate

Progress = Callable[[str, int, int, dict[str, float]], None]
CHECKPOINT_SECONDS = 60.0  # between checkpoints inside an epoch; when one is made changes no result


def train_run(
    run: Run, *, resume: bool = False, progress: Progress | None = None,
    loggers: tuple[Logger, ...] = (), after_epoch: Callable[[int], None] | None = None,
    ranks: Ranks | None = None,
) -> None:  # fmt: skip
    """Train `run` to the end of its recipe, from its last checkpoint when `resume`.

    With several `ranks` every one calls this; the first alone validates, writes and reports.
    Ctrl-C (or SIGTERM) writes a checkpoint before KeyboardInterrupt goes on, so nothing is lost.
    On a CPU with the same number of threads and ranks, a resumed training gives the same bits as one
    that was never interrupted. RunError when another process trains, or something becomes NaN or
    infinite: the last checkpoint stays.
    """
    ranks, recipe = ranks or Ranks(), run.recipe
    autocast = use_bfloat16(recipe.train.precision, ranks.device)
    pictures, valid = _pictures(run)
    anchors, through = Anchors.of(run, pictures), Through.of(run)
    batch = min(recipe.train.batch, len(pictures))
    share = ranks.share(batch)
    state = State.fresh(recipe, ranks.device, run.vocabulary)
    if not resume:
        begin(state, recipe, pictures, ranks)
    else:
        state.unpack(*ranks.from_first(lambda: checkpoint.load_newest(run.path / "checkpoints")))
    per_epoch = len(pictures) // batch
    steps = per_epoch * recipe.train.epochs
    book = _Book(run, valid, ranks.device, state.epoch, loggers) if ranks.leads else None
    stopped_early = book is not None and book.is_stuck(state)

    lock = locked(run.lock_path, "trained", RunError) if book else contextlib.nullcontext()
    with lock, SignalStop() as stop:
        while not ranks.any(stopped_early or state.epoch >= recipe.train.epochs):
            positions = order(recipe.seed, state.epoch, len(pictures))
            if "invariance" in pictures.labels:
                positions = together(positions, pictures.labels["invariance"])
            begun_at, began, speed = state.position, time.monotonic(), 0.0
            saved = began
            while state.position < per_epoch:
                here = positions[state.position * batch : (state.position + 1) * batch]
                x, labels = training_batch(pictures, here, recipe, state.step, ranks.device, share)
                try:
                    figures = train_step(
                        state, recipe, x, labels, steps=steps, autocast=autocast, share=share,
                        anchors=anchors, through=through,
                    )  # fmt: skip
                except NotFinite as fault:
                    raise _no_number(run, state, pictures.rows[here.numpy()], fault) from None
                state.position += 1
                for name, value in figures.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                speed = (state.position - begun_at) * batch / (time.monotonic() - began)
                if progress and book:
                    progress("train", state.step, steps, {
                        **run.feature.distortion(figures["mse"]),
                        "bits": figures["kl_raw"] / math.log(2.0),
                        "sounds_per_second": speed, "epoch": state.epoch + 1,
                    })  # fmt: skip
                stopping = ranks.any(stop.asked)
                if book and (stopping or time.monotonic() - saved > CHECKPOINT_SECONDS):
                    book.save(state)
                    saved = time.monotonic()
                if stopping:
                    ranks.any(True)  # waits until it is written
                    raise KeyboardInterrupt
            means = {k: v / per_epoch for k, v in state.sums.items()}
            state.epoch, state.position, state.sums = state.epoch + 1, 0, {}
            if book:
                line = book.close_epoch(state, means, began, speed)
                stopped_early = book.is_stuck(state)
                if progress:
                    progress("validate", state.epoch, recipe.train.epochs, line)
                if after_epoch:
                    after_epoch(state.epoch)
    run.reload()


def _pictures(run: Run) -> tuple[Pictures, Pictures]:
    """The training and the validation pictures; all ranks read the same map, nothing is copied."""
    corpus = run.corpus
    store = corpus.features(run.feature, progress=None)
    train, valid = corpus.split_rows("train"), corpus.split_rows("valid")
    if not len(train) or not len(valid):
        raise RunError(
            f"{corpus.place} has {len(train)} training and {len(valid)} validation sounds; "
            "both are needed: prepare it again with more sounds"
        )
    pictures = Pictures.of(corpus, store, train, run.vocabulary)
    for term, shared in GATHERS.items():
        if run.recipe.objective.weights.get(term):
            pictures.labels[term] = shared_tensor(corpus, shared, train)
    if run.recipe.objective.through:
        pictures.labels["row"] = torch.from_numpy(train)
    return pictures, Pictures.of(corpus, store, valid, run.vocabulary)


def _no_number(run: Run, state: State, rows: np.ndarray, fault: NotFinite) -> RunError:
    """What a person needs to know of a step in which something was no number."""
    bad = rows[fault.sounds.numpy()]
    if 0 < len(bad) < len(rows):
        named = ", ".join(f"{row} ({run.corpus.rows[int(row)].file})" for row in bad[:3])
        which = f"in {len(bad)} of the batch's {len(rows)} sounds: row {named}"
        which += " and more" if len(bad) > 3 else ""
    else:
        which = "in all sounds of the batch" if len(bad) else "in the sum over the batch alone"
    advice = "lower train.learning_rate, or set train.clip, and start again"
    if fault.where[0] == "the picture":
        advice = "prepare the corpus again, without these sounds if they stay as they are"
    last = run.path / "checkpoints" / "last"
    kept = f"{last} is kept as it was before" if last.is_dir() else "there was no checkpoint yet"
    return RunError(
        f"step {state.step + 1} (epoch {state.epoch + 1}) came to NaN or infinity, first in "
        f"{fault.where[0]}, {which}; not finite were: {', '.join(fault.where)}. Nothing was learnt of "
        f"it and {kept}: {advice}"
    )


class _Book:
    """What is measured after each epoch, and written: the first rank's work."""

    def __init__(
        self, run: Run, valid: Pictures, device: torch.device, epochs: int,
        loggers: tuple[Logger, ...],
    ) -> None:  # fmt: skip
        """`epochs` are finished already: what the history says of later ones is dropped."""
        self.run, self.valid, self.device = run, valid, device
        self.loggers = (csv_logger(run.path / "history.csv", epochs), *loggers)
        self.kl_csv = csv_logger(run.path / "history_kl.csv", epochs)
        self.checkpoints = run.path / "checkpoints"
        self.listening = Listening(run, valid) if run.recipe.model.heads.knobs else None

    def save(self, state: State) -> None:
        checkpoint.save(self.checkpoints / "last", *state.pack())

    def is_stuck(self, state: State) -> bool:
        """Whether the recipe's patience with epochs that are no better is at its end."""
        return 0 < self.run.recipe.train.patience <= state.epoch - state.best_epoch

    def close_epoch(
        self, state: State, means: dict[str, float], began: float, speed: float
    ) -> dict[str, float]:
        """Validate and write all that an epoch leaves; returns its line of the history."""
        recipe, run = self.run.recipe, self.run
        model = _with_weights(run, state, self.device)
        result = validate(
            model, self.valid, seed=recipe.seed, feature=run.feature, device=self.device,
            autocast=use_bfloat16(recipe.train.precision, self.device),
        )  # fmt: skip
        better = result.mse < state.best
        if better:
            state.best, state.best_epoch = result.mse, state.epoch
        line = _history_line(state, means, result, time.monotonic() - began, speed)
        self.save(state)
        if better:
            _save_weights(state, self.checkpoints / "best.safetensors")
        _save_weights(state, run.weights_path)
        for log in self.loggers:
            log(state.epoch, line)
        if self.listening is not None:
            sounds = self.listening.hear(model, state.epoch, self.device)
            for log in self.loggers:
                if isinstance(log, TensorBoard):
                    log.hear(state.epoch, sounds, run.feature.sample_rate)
        self.kl_csv(state.epoch, {f"nats_{d}": float(v) for d, v in enumerate(result.kl)})
        stuck = self.is_stuck(state)
        if stuck:
            shutil.copyfile(self.checkpoints / "best.safetensors", run.weights_path)
        finished = stuck or state.epoch >= recipe.train.epochs
        if finished and model.heads is not None:
            trained = run.load_model(run.weights_path).to(self.device)
            run.keep_calibration(calibration(trained, self.valid, self.device))
        _write_status(run.path, recipe, state, line, finished=finished)
        return line


def _with_weights(run: Run, state: State, device: torch.device) -> Autoencoder:
    """The model to measure: a copy that carries the averaged weights, or the model itself."""
    if state.average is None:
        return state.model
    model = build(run.recipe, run.vocabulary).to(device).to(memory_format=torch.channels_last)
    model.load_state_dict(state.weights())
    return model


def _history_line(
    state: State, means: dict[str, float], result: Validation, seconds: float, speed: float
) -> dict[str, float]:
    named = {"beta", "reconstruction", "kl_raw", "kl", "total", "mse"}
    active = {} if result.active_units is None else {"active_units": float(result.active_units)}
    return {
        "step": float(state.step), "seconds": seconds, "sounds_per_second": speed,
        "learning_rate": state.optimizer.param_groups[0]["lr"], "beta": means["beta"],
        "train_reconstruction": means["reconstruction"], "train_kl_nats": means["kl_raw"],
        "train_kl": means["kl"], "train_total": means["total"], "train_mse": means["mse"],
        "valid_mse": result.mse, "valid_rmse_db": result.rmse_db,
        "valid_rmse_db_at_mean": result.rmse_db_at_mean, "valid_nats": result.nats,
        "valid_bits": result.bits,
        **{f"valid_{name}": value for name, value in {**active, **result.figures}.items()},
        **{f"train_{name}": value for name, value in means.items() if name not in named},
    }  # fmt: skip


def _save_weights(state: State, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({k: v.detach().cpu().contiguous() for k, v in state.weights().items()}))


def _write_status(
    folder: Path, recipe: Recipe, state: State, line: dict[str, float], *, finished: bool
) -> None:
    status = {
        "epoch": state.epoch, "epochs": recipe.train.epochs, "best_epoch": state.best_epoch,
        "finished": finished, "figures": line,
    }  # fmt: skip
    write_text(folder / "status.json", json.dumps(status, indent=1))
