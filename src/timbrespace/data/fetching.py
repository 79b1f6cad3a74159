"""The sounds of a source as local files, wherever they lie: those at an address are fetched ahead.

A fetch that fails is tried again, one that stands still is left behind; then the file is skipped
with the reason. Nothing that was fetched outlives its use, but for a bounded cache of the sounds that
somebody listens to.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Protocol

from timbrespace.atomic import temporary_name
from timbrespace.audio.files import Unusable
from timbrespace.data.storage import PAUSES, Storage, cache_folder, is_address, reason, shown

AHEAD = 16  # files that are on their way at a time
FIRST = 4  # and as long as the size of none is known
ROOM = 512 * 2**20  # bytes that files fetched ahead should take at most
STILL = 15.0  # seconds without a byte after which a fetch is given up
LOST = 8  # files in a row that cannot be fetched, after which the storage is taken as gone
KEPT = 2 * 2**30  # bytes of sounds that are kept to be heard again
UNREACHED = "unreached"  # code of a file that could not be fetched; the next prepare tries again

_POLL = 0.2


class Sounds(Protocol):
    """The files of a part, given as local paths one after the other."""

    def local(self, position: int) -> contextlib.AbstractContextManager[Path]: ...


@contextlib.contextmanager
def sounds(
    root: str, files: tuple[str, ...], avoid: Container[int], moved: Callable[[], None]
) -> Iterator[Sounds]:
    """The files below `root`, a path or an address; those at the positions `avoid` are not asked for.

    `moved` is called while a fetch goes on.
    """
    if not is_address(root):
        yield _Here(Path(root), files)
        return
    # A fetch that was left behind may still write.
    with tempfile.TemporaryDirectory(prefix="timbrespace-", ignore_cleanup_errors=True) as folder:
        wanted = [position for position in range(len(files)) if position not in avoid]
        yield _Fetched(Storage(root), files, wanted, Path(folder), moved)


class _Here:
    def __init__(self, root: Path, files: tuple[str, ...]) -> None:
        self.root, self.files = root, files

    @contextlib.contextmanager
    def local(self, position: int) -> Iterator[Path]:
        """Where the file is."""
        yield self.root / self.files[position]


class _Fetched:
    """Files at an address, asked for in the order `wanted`, fetched some ahead by threads."""

    def __init__(
        self, storage: Storage, files: tuple[str, ...], wanted: list[int], folder: Path,
        moved: Callable[[], None],
    ) -> None:  # fmt: skip
        self.storage, self.files, self.folder, self.moved = storage, files, folder, moved
        self._waiting = iter(wanted)
        self._flying: dict[int, _Fetch] = {}
        self._largest = 0  # bytes of a file so far; it says how many more may be on their way
        self._lost = 0

    @contextlib.contextmanager
    def local(self, position: int) -> Iterator[Path]:
        """A copy of the file, removed at the end; Unusable where it cannot be fetched, OSError
        (EHOSTUNREACH) when that was so for many in a row."""
        self._send()
        try:
            path = self._arrived(position)
            self._largest = max(path.stat().st_size, self._largest, 1)
            self._send()
            yield path
        finally:
            with contextlib.suppress(KeyError, OSError):
                self._flying.pop(position).target.unlink()

    def _send(self) -> None:
        most = max(1, min(AHEAD, ROOM // self._largest)) if self._largest else FIRST
        while len(self._flying) < most and (position := next(self._waiting, None)) is not None:
            self._start(position)

    def _start(self, position: int) -> "_Fetch":
        name = self.files[position]
        fetch = _Fetch(self.storage, name, self.folder / temporary_name(str(position)))
        self._flying[position] = fetch
        fetch.start()
        return fetch

    def _arrived(self, position: int) -> Path:
        """Wait for a file; try again where it does not come."""
        error: BaseException | None = None
        for pause in (*PAUSES, None):
            fetch = self._flying.get(position) or self._start(position)
            error = self._awaited(fetch)
            if error is None:
                self._lost = 0
                return fetch.target
            if isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise Unusable("not_found", "there is no such file")
            if isinstance(error, PermissionError):
                raise Unusable(UNREACHED, "the credentials in the environment may not read it")
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EMFILE):
                raise error
            if pause is None:
                break
            time.sleep(pause)
            self.moved()
            del self._flying[position]
        assert error is not None
        self._lost += 1
        if self._lost >= LOST:
            raise OSError(
                errno.EHOSTUNREACH,
                f"{self._lost} sounds in a row could not be fetched from "
                f"{shown(self.storage.address)} ({reason(error)}); check the storage and run the "
                "same command again, what is finished is kept",
            )
        raise Unusable(
            UNREACHED, f"it could not be fetched ({reason(error)}); prepare again to try again"
        )

    def _awaited(self, fetch: "_Fetch") -> BaseException | None:
        while fetch.is_alive():
            fetch.join(_POLL)
            if fetch.look():
                self.moved()
            elif time.monotonic() - fetch.since > STILL:
                return TimeoutError(f"nothing came for {STILL:g} s")
        return fetch.error


class _Fetch(threading.Thread):
    """One try to fetch a file to `target`. `since` is when it was last seen to move."""

    def __init__(self, storage: Storage, name: str, target: Path) -> None:
        super().__init__(daemon=True)  # one that hangs in a library cannot be ended
        self.storage, self.file, self.target = storage, name, target
        self.error: BaseException | None = None
        self.since = time.monotonic()
        self._steps, self._seen = 0, (0, 0)

    def look(self) -> bool:
        """Whether anything came since the last look; some file systems tell, some only write."""
        try:
            size = self.target.stat().st_size
        except OSError:
            size = 0
        moved = (self._steps, size) != self._seen
        if moved:
            self._seen, self.since = (self._steps, size), time.monotonic()
        return moved

    def run(self) -> None:
        def came() -> None:
            self._steps += 1

        try:
            self.storage.try_once(self.file, self.target, came)
        except BaseException as error:  # noqa: BLE001  raised where it is waited for
            self.error = error


@contextlib.contextmanager
def heard(root: str | Path, file: str) -> Iterator[Path]:
    """One sound below `root`, a path or an address, as a local file; Unusable where it is not to be
    had. Those from an address are kept for a while: the last KEPT bytes."""
    if not is_address(root):
        yield Path(root) / file
        return
    storage = Storage(str(root))
    found = storage.look(file)
    if found is None:
        raise Unusable("not_found", "there is no such file")
    key = hashlib.sha256(f"{storage.address}\n{file}\n{found}".encode("utf-8", "surrogateescape"))
    path = cache_folder() / "sounds" / key.hexdigest()[:32]
    if path.is_file():
        with contextlib.suppress(OSError):
            os.utime(path)
    else:
        try:
            storage.get(file, path)
        except FileNotFoundError:
            raise Unusable("not_found", "there is no such file") from None
        _trim(path.parent, path)
    yield path


def _trim(folder: Path, kept: Path) -> None:
    """Remove the files that were not used for longest, until the rest takes KEPT bytes."""
    files = []
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= KEPT:
            return
        if path != str(kept):
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size
