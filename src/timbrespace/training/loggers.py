"""Where the figures of an epoch go: CSV always, TensorBoard and W&B when asked."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

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
    asked = []
    if tensorboard:
        asked.append(tensorboard_logger(folder / "tensorboard"))
    if wandb:
        asked.append(wandb_logger(folder, name))
    return tuple(asked)


def tensorboard_logger(folder: Path) -> Logger:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra(
            "TensorBoard is not installed: pip install 'timbrespace[tensorboard]'"
        ) from None
    writer = SummaryWriter(str(folder))

    def log(epoch: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    return log


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
