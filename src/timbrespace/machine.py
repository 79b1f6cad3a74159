"""What this machine grants us, and when it asks us to stop."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


KEPT = {  # glibc's names (mallopt(3)): number, environment of child processes, bytes
    "M_MMAP_THRESHOLD": (-3, "MALLOC_MMAP_THRESHOLD_", 2**25),  # the most that it takes by itself
    "M_TRIM_THRESHOLD": (-1, "MALLOC_TRIM_THRESHOLD_", 2**29),
}


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads a torch operation within, in threads that begin there too."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_bfloat16(precision: str, device: "torch.device") -> bool:
    """Whether to compute in bfloat16: `auto` takes it where the hardware multiplies it natively."""
    import torch

    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()


def keep_memory() -> None:
    """Have this process, and those that it starts, keep up to 0.5 GB that is freed for what comes next.

    glibc gives it back, and arrays of a megabyte or so, made and freed all the time, then wait longer
    for empty pages than for the sums in them (`bench/memory.py`). Elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    for number, variable, size in KEPT.values():
        if variable not in os.environ:  # what the user has set stays
            mallopt(number, size)
            os.environ[variable] = str(size)


def given_back() -> dict[str, str]:
    """The environment of a child process that gives back what it frees, as it would without us."""
    set_here = {variable: str(size) for _, variable, size in KEPT.values()}
    return {name: text for name, text in os.environ.items() if set_here.get(name) != text}


class SignalStop:
    """Turns Ctrl-C and SIGTERM into a flag that is read between steps (main thread only)."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "SignalStop":
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
