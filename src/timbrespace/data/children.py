"""Jobs done by child processes, one thread each, that speak lines of JSON.

Plain child processes, not multiprocessing: they need no guard in the caller's script, and share no
lock with a training that runs beside.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from timbrespace.errors import CorpusError, TimbrespaceError

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Tell = Callable[[int], None]
Work = Callable[[Any, Tell], Any]


def share(
    serve: Callable[[], None], given: Any, jobs: Sequence[Any], workers: int, tell: Tell,
    finished: Callable[[int, Any], None],
) -> None:  # fmt: skip
    """Give `jobs`, plain values, to `workers` processes that run `serve`, a function of a module's top.

    Each is `given` the same first (see `answer`). `finished` hears the place and the result of every
    job, `tell` what it did on the way; both are called in threads, one at a time. CorpusError where a
    child says one or ends early; jobs that are finished stay finished.
    """
    queue: SimpleQueue[int] = SimpleQueue()
    for place in range(len(jobs)):
        queue.put(place)
    failures: list[CorpusError] = []
    lock = threading.Lock()
    children = [_start(serve, given) for _ in range(min(workers, len(jobs)))]

    def feed(child: subprocess.Popen[str]) -> None:
        assert child.stdin is not None and child.stdout is not None
        while not failures:
            try:
                place = queue.get_nowait()
            except Empty:
                return
            try:
                child.stdin.write(json.dumps(jobs[place]) + "\n")
                child.stdin.flush()
                for line in child.stdout:
                    message = json.loads(line)
                    if "error" in message:
                        failures.append(CorpusError(message["error"]))
                        return
                    with lock:
                        if "result" in message:
                            finished(place, message["result"])
                            break
                        tell(message["done"])
                else:
                    raise BrokenPipeError
            except OSError:
                failures.append(
                    CorpusError(
                        "a worker process ended early (out of memory?); start again with fewer "
                        "workers, what is finished is kept"
                    )
                )
                return

    threads = [threading.Thread(target=feed, args=(child,), daemon=True) for child in children]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for child in children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
    if failures:
        raise failures[0]


def _start(serve: Callable[[], None], given: Any) -> subprocess.Popen[str]:
    packages = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ, **dict.fromkeys(ONE_THREAD, "1"),
        "PYTHONPATH": os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    code = f"from {serve.__module__} import {serve.__name__}; {serve.__name__}()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # one that ended at once is noticed when it is given a job
        child.stdin.write(json.dumps(given) + "\n")
        child.stdin.flush()
    return child


def answer(prepared: Callable[[Any], Work]) -> None:
    """The body of a child: `prepared` makes of what all were given the work, which then makes a result of
    each job and tells how far it is."""

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    try:
        work = prepared(json.loads(sys.stdin.readline()))
        for line in sys.stdin:
            say({"result": work(json.loads(line), lambda done: say({"done": done}))})
    except TimbrespaceError as error:
        say({"error": str(error)})
    except (BrokenPipeError, KeyboardInterrupt):  # the parent is gone or going
        return
