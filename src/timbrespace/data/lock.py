"""One process at a time. A lock is a file that its process holds: a dead one never blocks."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from timbrespace.errors import TimbrespaceError

PATIENCE = 0.1  # seconds; long enough for somebody who only looks (see `is_held`)


@contextlib.contextmanager
def locked(
    path: Path, doing: str, error: type[TimbrespaceError], *, patience: float = PATIENCE
) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block.

    When another process has it for `patience` seconds: `error`, as "PARENT is being DOING by process
    N".
    """
    try:
        import fcntl
    except ImportError:  # Windows: the renames keep every file whole, only the warning is missing
        yield
        return
    deadline = time.monotonic() + patience
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if time.monotonic() < deadline:
                time.sleep(PATIENCE / 10)
                continue
            raise error(
                f"{path.parent} is being {doing} by process {owner or 'unknown'}; "
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


def is_held(path: Path) -> bool:
    """Whether a process that lives holds the lock file `path`."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
