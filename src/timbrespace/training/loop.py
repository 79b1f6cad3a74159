"""The loop: epochs of steps, validation, checkpoints; start and resume are one code path."""

import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save

from timbrespace.batches import Pictures, order
from timbrespace.data.atomic import write_bytes, write_text
from timbrespace.data.lock import locked
from timbrespace.errors import RunError
from timbrespace.machine import use_bfloat16
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.recipe import Recipe, build
from timbrespace.runs import Run
from timbrespace.training import checkpoint
from timbrespace.training.augment import training_batch
from timbrespace.training.loggers import Logger, csv_logger
from timbrespace.training.state import State
from timbrespace.training.step import objective_of, train_step
from timbrespace.training.validation import Validation, validate

Progress = Callable[[str, int, int, dict[str, float]], None]
CHECKPOINT_SECONDS = 60.0  # between checkpoints inside an epoch; when one is made changes no result


def train_run(
    run: Run, *, resume: bool = False, progress: Progress | None = None,
    loggers: tuple[Logger, ...] = (), device: torch.device | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    """Train `run` to the end of its recipe, from its last checkpoint when `resume`.

    Ctrl-C (or SIGTERM) writes a checkpoint before KeyboardInterrupt goes on, so nothing is lost.
    On a CPU with the same number of threads, a resumed training gives the same bits as one that
    was never interrupted. RunError when the loss is no longer finite, or another process trains.
    """
    recipe = run.recipe
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    autocast = use_bfloat16(recipe.train.precision, device)
    corpus = run.corpus
    store = corpus.features(run.feature, progress=None)
    names = recipe.model.condition.labels
    train_rows, valid_rows = corpus.split_rows("train"), corpus.split_rows("valid")
    if not len(train_rows) or not len(valid_rows):
        raise RunError(
            f"{corpus.path} has {len(train_rows)} training and {len(valid_rows)} validation sounds; "
            "both are needed: prepare it again with more sounds"
        )
    pictures = Pictures.of(corpus, store, train_rows, names)
    valid = Pictures.of(corpus, store, valid_rows, names)

    state = State.fresh(recipe, device)
    checkpoints = run.path / "checkpoints"
    if resume:
        state.unpack(*checkpoint.load_newest(checkpoints))
    batch = min(recipe.train.batch, len(pictures))
    per_epoch = len(pictures) // batch
    steps = per_epoch * recipe.train.epochs
    objective = objective_of(recipe)
    log_csv = csv_logger(run.path / "history.csv", state.epoch)
    kl_csv = csv_logger(run.path / "history_kl.csv", state.epoch)
    stopped_early = bool(recipe.train.patience) and (
        state.epoch - state.best_epoch >= recipe.train.patience > 0
    )

    with locked(run.lock_path, "trained", RunError), _SignalStop() as stop:
        while state.epoch < recipe.train.epochs and not stopped_early:
            positions = order(recipe.seed, state.epoch, len(pictures))
            began, begun_at, saved = time.monotonic(), state.position, time.monotonic()
            while state.position < per_epoch:
                here = positions[state.position * batch : (state.position + 1) * batch]
                x, labels = training_batch(pictures, here, recipe, state.step, device)
                figures = train_step(
                    state, recipe, objective, x, labels, steps=steps, autocast=autocast
                )
                state.position += 1
                if not math.isfinite(figures["total"]):
                    raise RunError(
                        f"the loss became {figures['total']} at step {state.step} (epoch "
                        f"{state.epoch + 1}); the last checkpoint is kept: lower train.learning_rate "
                        "or set train.clip, and start again or --resume"
                    )
                for name, value in figures.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                speed = (state.position - begun_at) * batch / (time.monotonic() - began)
                if progress:
                    progress("train", state.step, steps, {
                        "rmse_db": figures["mse"] ** 0.5 * -recipe.feature.floor_db / 2.0,
                        "bits": figures["kl_raw"] / math.log(2.0),
                        "sounds_per_second": speed, "epoch": state.epoch + 1,
                    })  # fmt: skip
                if stop.asked or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    checkpoint.save(checkpoints / "last", *state.pack())
                    saved = time.monotonic()
                if stop.asked:
                    raise KeyboardInterrupt
            averaged = {k: v / per_epoch for k, v in state.sums.items()}
            model = _with_weights(recipe, state, device)
            result = validate(
                model, valid, seed=recipe.seed, floor_db=recipe.feature.floor_db, device=device,
                autocast=autocast,
            )  # fmt: skip
            state.epoch, state.position, state.sums = state.epoch + 1, 0, {}
            better = result.mse < state.best
            if better:
                state.best, state.best_epoch = result.mse, state.epoch
            line = _history_line(state, averaged, result, time.monotonic() - began, speed)
            checkpoint.save(checkpoints / "last", *state.pack())
            if better:
                _save_weights(state, checkpoints / "best.safetensors")
            _save_weights(state, run.weights_path)
            for log in (log_csv, *loggers):
                log(state.epoch, line)
            kl_csv(state.epoch, {f"nats_{d}": float(v) for d, v in enumerate(result.kl)})
            if recipe.train.patience and state.epoch - state.best_epoch >= recipe.train.patience:
                stopped_early = True
                shutil.copyfile(checkpoints / "best.safetensors", run.weights_path)
            _write_status(run.path, recipe, state, line, finished=stopped_early)
            if progress:
                progress("validate", state.epoch, recipe.train.epochs, line)
            if after_epoch:
                after_epoch(state.epoch)
    run.reload()


def _with_weights(recipe: Recipe, state: State, device: torch.device) -> Autoencoder:
    """The model to measure: a copy that carries the averaged weights, or the model itself."""
    if state.average is None:
        return state.model
    model = build(recipe).to(device).to(memory_format=torch.channels_last)
    model.load_state_dict(state.average)
    return model


def _history_line(
    state: State, means: dict[str, float], result: Validation, seconds: float, speed: float
) -> dict[str, float]:
    return {
        "step": float(state.step), "seconds": seconds, "sounds_per_second": speed,
        "learning_rate": state.optimizer.param_groups[0]["lr"], "beta": means["beta"],
        "train_reconstruction": means["reconstruction"], "train_kl_nats": means["kl_raw"],
        "train_kl": means["kl"], "train_total": means["total"], "train_mse": means["mse"],
        "valid_mse": result.mse, "valid_rmse_db": result.rmse_db,
        "valid_rmse_db_at_mean": result.rmse_db_at_mean, "valid_nats": result.nats,
        "valid_bits": result.bits, "valid_active_units": float(result.active_units),
    }  # fmt: skip


def _save_weights(state: State, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({k: v.detach().cpu().contiguous() for k, v in state.weights().items()}))


def _write_status(
    folder: Path, recipe: Recipe, state: State, line: dict[str, float], *, finished: bool
) -> None:
    status = {
        "epoch": state.epoch, "epochs": recipe.train.epochs, "best_epoch": state.best_epoch,
        "finished": finished or state.epoch >= recipe.train.epochs, "figures": line,
    }  # fmt: skip
    write_text(folder / "status.json", json.dumps(status, indent=1))


class _SignalStop:
    """Turns Ctrl-C and SIGTERM into a flag that the loop reads between steps (main thread only)."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "_SignalStop":
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.old = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        if self.main:
            for number, handler in self.old.items():
                signal.signal(number, handler)
