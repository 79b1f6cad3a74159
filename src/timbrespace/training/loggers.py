"""Where the figures of an epoch go: CSV always, TensorBoard and W&B when asked."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.errors import MissingExtra

Logger = Callable[[int, dict[str, float]], None]


def csv_logger(path: Path, keep_epochs: int) -> Logger:
    """history.csv, one line per epoch, replaced as a whole so that no line is ever half-written.

    Lines after `keep_epochs` (from before a crash) are dropped.
    """
    lines: list[dict[str, str]] = []
    if path.is_file():
        with open(path, encoding="utf-8", newline="") as file:
            lines = [line for line in csv.DictReader(file) if float(line["epoch"]) <= keep_epochs]

    def log(epoch: int, figures: dict[str, float]) -> None:
        lines.append({k: repr(v) for k, v in {"epoch": float(epoch), **figures}.items()})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(lines[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        write_text(path, text.getvalue())

    return log


def loggers_of(folder: Path, name: str, *, tensorboard: bool, wandb: bool) -> tuple[Logger, ...]:
    """The loggers that a run in `folder` was asked for, beside its own history."""
    asked: list[Logger] = []
    if tensorboard:
        asked.append(TensorBoard(folder / "tensorboard"))
    if wandb:
        asked.append(wandb_logger(folder, name))
    return tuple(asked)


class TensorBoard:
    """The figures of an epoch, and sounds to hear beside them, for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        """MissingExtra where it is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtra(
                "TensorBoard is not installed: pip install 'timbrespace[tensorboard]'"
            ) from None
        self.writer = SummaryWriter(str(folder))

    def __call__(self, epoch: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def hear(self, epoch: int, sounds: dict[str, np.ndarray], sample_rate: int) -> None:
        """Sounds (n,) by name, such as overdrive/prediction."""
        for name, samples in sounds.items():
            self.writer.add_audio(name, samples[None], epoch, sample_rate)
        self.writer.flush()


def wandb_logger(folder: Path, name: str) -> Logger:
    """Offline runs work too: set WANDB_MODE=offline."""
    try:
        import wandb  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("W&B is not installed: pip install 'timbrespace[wandb]'") from None
    run = wandb.init(project="timbrespace", name=name, dir=str(folder))

    def log(epoch: int, figures: dict[str, float]) -> None:
        run.log(figures, step=epoch)

    return log
