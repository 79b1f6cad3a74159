"""Parts made by several processes, one thread each, that may hang or die without harm.

Workers are plain child processes that speak lines of JSON, not multiprocessing: a caller's script
needs no `if __name__ == "__main__"`, nothing is forked beside torch's threads, and a decoder that
spins for ever in C is killed, its file is reported, and the rest goes on.
"""

import contextlib
import os
import queue
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from timbrespace.data.part import Job, make
from timbrespace.errors import CorpusError
from timbrespace.machine import torch_threads

PATIENCE = 60.0  # seconds that one file may take without moving on
START = 120.0  # seconds that a worker may take to start, on a machine that does much else
POLL = 0.5
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

Done = Callable[[Job], None]


def make_parts(jobs: Sequence[Job], workers: int, done: Done) -> None:
    """Make every job's part; `done` is told, in the caller's thread, as each is finished.

    Without workers this process does it, with one torch thread: a decoder that hangs or crashes then
    takes it along. OSError when parts cannot be written, CorpusError when workers cannot start,
    KeyboardInterrupt passes through; parts finished before any of these stay.
    """
    if workers < 1 or not sys.executable:
        _here(jobs, done)
    else:
        _Pool(jobs, workers, done).run()


def _here(jobs: Iterable[Job], done: Done) -> None:
    with torch_threads(1):
        for job in jobs:
            make(job)
            done(job)


@dataclass
class Child:
    """One worker process; `since` is when it was last seen to move."""

    process: subprocess.Popen[bytes]
    progress: Path
    ready: bool = False
    busy: bool = False
    position: int = -1
    progress_seen: bytes = b""
    since: float = 0.0
    killed: bool = False

    def look(self) -> None:
        """Take note of where the worker is."""
        with contextlib.suppress(OSError, struct.error):
            seen = self.progress.read_bytes()
            if seen != self.progress_seen:
                self.progress_seen, self.since = seen, time.monotonic()
                self.position = struct.unpack("<q", seen[:8])[0]

    def ask(self, job: Job) -> bytes:
        """The worker's answer to a job, a line; nothing when it died of it."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        self.since, self.busy = time.monotonic(), True
        try:
            stdin.write(job.to_json().encode() + b"\n")
            stdin.flush()
            return stdout.readline()
        except OSError:
            return b""
        finally:
            self.busy = False


class _Pool:
    def __init__(self, jobs: Sequence[Job], workers: int, done: Done) -> None:
        self.jobs = iter(jobs)  # a job is made when it is asked for, and gone when it is done
        self.asking = threading.Lock()
        self.count = len(jobs)
        self.workers = min(workers, self.count)
        self.done = done
        self.news: queue.SimpleQueue[Job | BaseException] = queue.SimpleQueue()
        self.children: dict[int, Child] = {}
        self.stopping = False

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="timbrespace-") as folder:
            threads = [
                threading.Thread(target=self._serve, args=(n, Path(folder)), daemon=True)
                for n in range(self.workers)
            ]
            for thread in threads:
                thread.start()
            try:
                while self.count:
                    try:
                        news = self.news.get(timeout=POLL)
                    except queue.Empty:
                        self._kill_the_stuck()
                        continue
                    if isinstance(news, BaseException):
                        raise news
                    self.count -= 1
                    self.done(news)
            finally:
                self.stopping = True
                for child in list(self.children.values()):
                    with contextlib.suppress(OSError):
                        child.process.kill()
                for thread in threads:
                    thread.join()

    def _kill_the_stuck(self) -> None:
        for child in list(self.children.values()):
            kill_if_stuck(child)

    def _serve(self, number: int, folder: Path) -> None:
        """Feed one worker after another until no job is left; runs in its own thread."""
        child = None
        try:
            while not self.stopping:
                with self.asking:
                    job = next(self.jobs, None)
                if job is None:
                    break
                while not self.stopping:
                    if child is None:
                        child = self.children[number] = start(folder / str(number))
                        child.ready = child.process.stdout.readline().strip() == b"ready"  # type: ignore[union-attr]
                        if not child.ready:
                            if self.stopping:
                                return
                            raise CorpusError(
                                "a worker process could not start "
                                f"({last_words(child)}); try again with one worker"
                            )
                    answer = child.ask(job)
                    if answer:
                        self._report(answer, job)
                        break
                    if self.stopping:
                        return
                    child.process.wait()
                    child.look()
                    job = without(job, child)
                    child = None
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread, raised there
            self.news.put(error)
        finally:
            if child is not None:
                stop(child)

    def _report(self, answer: bytes, job: Job) -> None:
        import json

        failure = json.loads(answer)
        if failure:
            raise OSError(failure["errno"], failure["strerror"])
        self.news.put(job)


def kill_if_stuck(child: Child) -> None:
    """Kill a worker that has not moved on for too long."""
    child.look()
    limit = PATIENCE if child.ready else START
    waiting = child.busy or not child.ready
    if waiting and time.monotonic() - child.since > limit:
        child.killed = True
        with contextlib.suppress(OSError):
            child.process.kill()


def without(job: Job, child: Child) -> Job:
    """The job without the file that the worker did not survive."""
    position = child.position
    if position < 0:
        raise CorpusError(
            f"a worker process died ({last_words(child)}); try again with fewer workers"
        )
    if child.killed:
        reason = ("timeout", f"decoding it took longer than {PATIENCE:g} s; it is damaged")
    else:
        reason = ("crash", "the decoder crashed on it; it is damaged, or memory ran out")
    return replace(job, avoid={**job.avoid, position: reason})


def start(progress: Path) -> Child:
    """A new worker, which keeps its position in the file `progress`."""
    progress.write_bytes(struct.pack("<qq", -1, 0))
    path = os.pathsep.join(os.path.abspath(p) for p in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(_ONE_THREAD, "1")}
    errors = open(f"{progress}.stderr", "w+b")  # noqa: SIM115  the child keeps it
    with errors:
        # Its own session: Ctrl-C is ours to handle. When we die, its stdin closes and it ends.
        process = subprocess.Popen(
            [sys.executable, "-m", "timbrespace.data.part", str(progress)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env=environment, start_new_session=True,
        )  # fmt: skip
    return Child(process, progress, since=time.monotonic())


def stop(child: Child) -> None:
    """End a worker, whatever it does."""
    for pipe in (child.process.stdin, child.process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    child.process.kill()  # it is idle, or its part is not wanted any more
    child.process.wait()


def last_words(child: Child) -> str:
    """The last line that a worker said as it failed; it is ended."""
    child.process.kill()
    child.process.wait()
    try:
        text = Path(f"{child.progress}.stderr").read_text(errors="replace").strip()
    except OSError:
        text = ""
    return text.splitlines()[-1] if text else f"exit code {child.process.returncode}"
