"""The ranks of a training as child processes of this one, for a training on one machine.

They are plain processes that speak lines of JSON, as the workers of `prepare` are: a caller's script
needs no `if __name__ == "__main__"`, and whatever happens to one of them, all end.
"""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NoReturn

from timbrespace import errors
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.machine import SignalStop
from timbrespace.runs import Run
from timbrespace.training.loggers import loggers_of
from timbrespace.training.loop import Progress, train_run
from timbrespace.training.parallel import Place, joined

GRACE = 10.0  # seconds that the others have to end by themselves when one is lost
INTERRUPTED = 130
_POLL = 0.2


def count_of(asked: int | str) -> int:
    """How many processes "gpus" (one for each GPU here) or a number means; RunError for others."""
    if asked == "gpus":
        import torch

        if not torch.cuda.device_count():
            raise RunError("there is no GPU here that torch can use; give a number of processes")
        return torch.cuda.device_count()
    count = int(asked) if str(asked).isdecimal() else 0
    if not 1 <= count <= 1024:
        raise RunError(f"processes should be a number from 1 to 1024, or gpus; got {asked!r}")
    if count > 1:
        Place(0, count, 0, count).device()  # enough GPUs?
    return count


def train_here(
    run: Run, count: int, *, resume: bool = False, tensorboard: bool = False, wandb: bool = False,
    progress: Progress | None = None, after_epoch: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    """`train_run` with `count` ranks on this machine; the callbacks are called in this process.

    Ctrl-C (or SIGTERM) ends as in `train_run`. RunError when a rank is lost: the others end as well,
    and the last checkpoint stays.
    """
    with tempfile.TemporaryDirectory(prefix="timbrespace-") as folder, SignalStop() as stop:
        family = _Family(run, count, f"file://{folder}/meeting", {
            "resume": resume, "tensorboard": tensorboard, "wandb": wandb,
        })  # fmt: skip
        try:
            for words in family.listen(stop):
                if "epoch" in words and after_epoch:
                    after_epoch(words["epoch"])
                if "progress" in words and progress:
                    progress(*words["progress"])
        finally:
            family.end()
        family.judge(stop)
    run.reload()


class _Family:
    """The child processes, what they said last, and how they ended."""

    def __init__(self, run: Run, count: int, meeting: str, options: dict[str, Any]) -> None:
        self.news: queue.SimpleQueue[tuple[int, dict[str, Any] | None]] = queue.SimpleQueue()
        self.children: list[subprocess.Popen[str]] = []
        self.failure: dict[str, Any] | None = None
        self.ended: dict[int, int] = {}  # rank: exit code, in the order in which they ended
        for rank in range(count):
            place = Place(rank, count, rank, count, meeting)
            child = _start({"run": str(run.path), "place": asdict(place), **options})
            self.children.append(child)
            threading.Thread(target=self._hear, args=(rank, child), daemon=True).start()

    def _hear(self, rank: int, child: "subprocess.Popen[str]") -> None:
        assert child.stdout is not None
        with suppress(ValueError, OSError):  # half a line of a process that was killed
            for line in child.stdout:
                self.news.put((rank, json.loads(line)))
        child.wait()
        self.news.put((rank, None))

    def listen(self, stop: SignalStop):
        """What the children report, until all have ended."""
        told, deadline = False, float("inf")
        while len(self.ended) < len(self.children):
            if stop.asked and not told:
                told = True
                for child in self.children:
                    child.terminate()  # it takes SIGTERM as Ctrl-C
            if time.monotonic() > deadline:
                return
            with suppress(queue.Empty):
                rank, words = self.news.get(timeout=_POLL)
                if words is None:
                    self.ended[rank] = self.children[rank].returncode
                    if self.ended[rank]:
                        deadline = min(deadline, time.monotonic() + GRACE)
                elif "error" in words or "errno" in words:
                    self.failure = self.failure or words
                else:
                    yield words

    def end(self) -> None:
        """End whoever is still there."""
        for child in self.children:
            child.kill()
        for child in self.children:
            with child:  # waits for it and closes its pipes
                pass

    def judge(self, stop: SignalStop) -> None:
        """Raise what went wrong, if anything did."""
        codes = {rank: code for rank, code in self.ended.items() if code}
        if not codes:
            return
        if stop.asked or set(codes.values()) == {INTERRUPTED}:
            raise KeyboardInterrupt
        lost = [(rank, code) for rank, code in codes.items() if code < 0]
        if lost or not self.failure:
            rank, code = (lost or list(codes.items()))[0]
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise RunError(
                f"process {rank + 1} of {len(self.children)} {how}; the last checkpoint is kept: "
                "start again with --resume"
            )
        _raise(self.failure)


def _raise(failure: dict[str, Any]) -> NoReturn:
    if "errno" in failure:
        raise OSError(failure["errno"], failure["strerror"], failure["file"])
    raise getattr(errors, failure["kind"])(failure["error"])


def _start(orders: dict[str, Any]) -> "subprocess.Popen[str]":
    path = os.pathsep.join(os.path.abspath(p) for p in sys.path)
    environment = {**os.environ, "PYTHONPATH": path}
    with suppress(OSError, AttributeError, StopIteration):  # nobody else need see what they say
        loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        environment.setdefault("GLOO_SOCKET_IFNAME", loopback)
    # Its own session: Ctrl-C is ours to handle. When we die, its stdin closes and it ends.
    return subprocess.Popen(
        [sys.executable, "-m", "timbrespace.training.launch", json.dumps(orders)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip


def _be_a_rank(orders: dict[str, Any]) -> int:
    """What a child does: its part of the training; returns the exit code."""
    mouth = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no word of ours

    def say(**words: Any) -> None:
        with suppress(BrokenPipeError):  # the parent is gone: see _follow_parent
            print(json.dumps(words), file=mouth, flush=True)

    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        with joined(Place(**orders["place"])) as ranks:
            run = Run.open(orders["run"])
            asked = {name: ranks.leads and orders[name] for name in ("tensorboard", "wandb")}
            train_run(
                run, resume=orders["resume"], loggers=loggers_of(run.path, run.name, **asked),
                progress=lambda *told: say(progress=told),
                after_epoch=lambda epoch: say(epoch=epoch), ranks=ranks,
            )  # fmt: skip
    except TimbrespaceError as error:
        say(error=str(error), kind=type(error).__name__)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        say(errno=error.errno, strerror=error.strerror, file=error.filename)
        return 2
    return 0


def _follow_parent() -> None:
    """Ask this process to end, as Ctrl-C does, when its parent is no more."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_be_a_rank(json.loads(sys.argv[1])))
