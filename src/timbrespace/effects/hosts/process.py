"""A plug-in in a process of its own: what it breaks is its own, and it can be ended.

Requests and replies are a line of JSON and, where there is sound, raw little-endian float32 behind it,
over the worker's standard input and output; nothing is pickled. `worker.py` is the other side.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any, NamedTuple

import numpy as np

from timbrespace.errors import EffectError
from timbrespace.machine import given_back

WARM = 16  # plug-ins whose processes are kept; beyond it the one that rested longest is ended
LOAD_SECONDS = 30.0  # a plug-in may take to load
# Fresh memory is zero where the C library is glibc: of 136 LV2 plug-ins tried, five read some before they
# wrote it, and gave another sound with every call.
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0",
}
LINE = 1_000_000  # bytes of the longest reply line


class _Silent(Exception):
    """The worker ended, or said something that is no reply."""


class Reply(NamedTuple):
    """What a worker said: words, and sound where some was asked for."""

    words: dict[str, Any]
    sound: np.ndarray | None


class Worker:
    """The process of one plug-in: `place` as the host's `module` knows it.

    It is started when it is first needed, and again after it ended.
    """

    def __init__(self, name: str, module: str, place: str) -> None:
        self.name = name
        self.command = [
            sys.executable, "-P", "-m", "timbrespace.effects.hosts.worker", module, place,
        ]  # fmt: skip
        self.lock = threading.RLock()
        self.process: subprocess.Popen[bytes] | None = None
        self.words: dict[str, Any] = {}

    def render(
        self, samples: np.ndarray, sample_rate: int, values: dict[str, float], limit: float
    ) -> np.ndarray:
        """samples (channels, n) float32 through the plug-in within `limit` seconds; EffectError where it
        crashes, hangs, refuses, or gives another number of samples."""
        header = {"sample_rate": sample_rate, "shape": samples.shape, "values": values}
        request = json.dumps(header).encode() + b"\n" + samples.astype("<f4").tobytes()
        with self.lock:
            self.start()
            sound = self._ask(limit, request, samples.shape).sound
        assert sound is not None
        return sound

    def facts(self) -> dict[str, Any]:
        """What the plug-in says of itself."""
        with self.lock:
            self.start()
            return self.words

    def start(self) -> None:
        """Start the process and load the plug-in, unless that is done."""
        if self.process and self.process.poll() is None:
            return
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=given_back() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **SURROUNDINGS},
            start_new_session=True,  # what it starts itself can be ended with it
        )  # fmt: skip
        self.words = self._ask(LOAD_SECONDS).words

    def end(self) -> None:
        """End the process; its exit code is that of whatever ended it first."""
        with self.lock:
            if self.process:
                _kill(self.process)
                self.process.wait()
                for pipe in (self.process.stdin, self.process.stdout):
                    with contextlib.suppress(OSError):  # what it had no time to read
                        assert pipe
                        pipe.close()

    def _ask(
        self, limit: float, request: bytes = b"", shape: tuple[int, ...] | None = None
    ) -> Reply:
        """The reply to a request. The process is ended by whatever goes wrong, Ctrl-C included: half a
        reply would be taken for the next one's. A refusal in words leaves it as it is."""
        assert self.process
        late = threading.Event()
        alarm = threading.Timer(limit, lambda process: (late.set(), _kill(process)), [self.process])
        alarm.start()
        try:
            reply = self._exchange(self.process, request, shape)
        except (_Silent, OSError):
            self.end()
            what = f"gave no answer in {limit:g} s" if late.is_set() else self._ending()
            raise EffectError(
                f"{self.name} {what}; it runs in a process of its own, which the next call starts anew"
            ) from None
        except BaseException:
            self.end()
            raise
        finally:
            alarm.cancel()
        if "error" in reply.words:
            raise EffectError(f"{self.name}: {reply.words['error']}")
        return reply

    def _exchange(
        self, process: subprocess.Popen[bytes], request: bytes, shape: tuple[int, ...] | None
    ) -> Reply:
        assert process.stdin and process.stdout
        process.stdin.write(request)
        process.stdin.flush()
        try:
            words = json.loads(process.stdout.readline(LINE))
        except ValueError:
            raise _Silent from None
        if shape is None or "error" in words:
            return Reply(words, None)
        if tuple(words["shape"]) != shape:
            raise EffectError(
                f"{self.name} gave sound of shape {tuple(words['shape'])} for {shape} (channels, samples); "
                "equally many were expected, so its result is not used"
            )
        size = 4 * shape[0] * shape[1]
        raw = process.stdout.read(size)
        if len(raw) < size:
            raise _Silent
        return Reply(words, np.frombuffer(raw, "<f4").reshape(shape))

    def _ending(self) -> str:
        assert self.process
        code = self.process.returncode
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        return f"ended with code {code} where an answer was expected"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it started itself, which may hold on to its pipes."""
    process.kill()
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


class _Pool:
    """The workers of this process, the last used one last."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.workers: dict[tuple[str, str], Worker] = {}

    def get(self, name: str, module: str, place: str) -> Worker:
        with self.lock:
            worker = self.workers.pop((module, place), None) or Worker(name, module, place)
            self.workers[module, place] = worker
            rested = self.workers.pop(next(iter(self.workers))) if self.full else None
        if rested:
            rested.end()
        return worker

    @property
    def full(self) -> bool:
        return len(self.workers) > WARM


_pool = _Pool()


def worker(name: str, module: str, place: str) -> Worker:
    """The worker of a plug-in, one for each in this process; `name` is for sentences."""
    global _pool
    if _pool.pid != os.getpid():  # a fork's copy: held locks stay held, workers answer the parent
        _pool = _Pool()
    return _pool.get(name, module, place)
