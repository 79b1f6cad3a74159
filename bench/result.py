"""How a bench writes what it found: one Markdown file that says when, where and by which command."""

import argparse
import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def options(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the bench's own first words, as they stand there."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def busy() -> float:
    """The load: how many processes wanted a core, as a mean over the last five minutes."""
    return os.getloadavg()[1]


def made_by(command: str, *facts: str, load: float | None = None) -> str:
    """The line above figures: the day, the machine, how busy it was (the load by now unless it is
    given), further facts that the figures hang on, and the command that makes them."""
    told = [
        f"{datetime.date.today()}", platform.machine(), f"{len(os.sched_getaffinity(0))} cores",
        f"load {busy() if load is None else load:.1f}", *facts,
    ]  # fmt: skip
    return f"{', '.join(told)}; `{command}`."


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells are written as they are printed."""
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (headings, *rows)]
    return "\n".join([lines[0], "|---" * len(headings) + "|", *lines[1:]])


def write(path: Path, title: str, *paragraphs: str) -> None:
    """The paragraphs and tables below a title, into the file and onto the screen."""
    text = "\n\n".join((f"# {title}", *paragraphs)) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(text)
