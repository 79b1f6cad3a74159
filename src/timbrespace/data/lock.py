"""One process at a time in a folder. The lock dies with its process: a stale one never blocks."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from timbrespace.errors import CorpusError

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for the length of the block; CorpusError names the process that has it."""
    try:
        import fcntl
    except ImportError:  # Windows: the renames keep every file whole, only the warning is missing
        yield
        return
    path = folder / NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise CorpusError(
                f"{folder} is being prepared by process {holder or 'unknown'}; "
                "wait for it to finish, or stop it"
            ) from None
        # The last holder may have removed the file between our open and our lock.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
