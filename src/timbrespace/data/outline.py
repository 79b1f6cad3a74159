"""A source at an address, as a local tree that every layout reads like a folder.

The address is listed once. Each sound becomes an empty file, whose time stands for the size and the
change mark of its object, so that a changed object is noticed as a changed file is; the lists and
tables that layouts read are fetched whole.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from timbrespace.audio.files import printable
from timbrespace.data.sources import table, walk
from timbrespace.data.sources.listing import Source, counted
from timbrespace.data.storage import (
    Object,
    Storage,
    cache_folder,
    is_address,
    refuse_address_as_path,
    renamed,
    shown,
)
from timbrespace.errors import CorpusError

_LONGEST = 255  # bytes of a name that file systems hold
_ABANDONED = 86_400.0  # seconds after which nobody reads an outline any more


class Outline:
    """A folder, table or sound at `address`, with a local `path` that stands for it; without an
    address, just the path."""

    def __init__(self, path: Path, address: str | None = None) -> None:
        self.path, self.address = path, address
        self.notes: list[str] = []

    @property
    def given(self) -> str:
        """What the user gave, in the one form that it always has."""
        return self.address or os.path.realpath(self.path)

    @property
    def told(self) -> str:
        """What to call it in a sentence."""
        return shown(self.address or self.path)

    def place(self, root: Path) -> str:
        """The path or address of the folder that sounds are relative to: `path` or its parent."""
        if self.address is None:
            return str(root.resolve())
        return self.address if root == self.path else self.address.rpartition("/")[0]

    def listed(self, read: Callable[[Path], Source]) -> Source:
        """What a layout reads there; its errors and notes name the address."""
        if self.address is None:
            return read(self.path)
        with renamed(self.path, self.address):
            source = read(self.path)
        local, told = printable(self.path), shown(self.address)
        source.notes = [*self.notes, *(note.replace(local, told) for note in source.notes)]
        return source


@contextlib.contextmanager
def outlined(source: str | Path) -> Iterator[Outline]:
    """The outline of a source, for the length of the block; a path is its own.

    CorpusError when the address cannot be listed, or holds nothing.
    """
    refuse_address_as_path(source)
    if not is_address(source):
        yield Outline(Path(source))
        return
    storage = Storage(str(source))
    for left in cache_folder().glob("outline-*"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="outline-", dir=cache_folder()) as folder:
        yield _drawn(storage, Path(folder))


@contextlib.contextmanager
def fetched(place: str | Path | None) -> Iterator[Path | None]:
    """A file or folder of lists as a local one, fetched whole where it is an address."""
    refuse_address_as_path(place or "")
    if place is None or not is_address(place):
        yield None if place is None else Path(place)
        return
    storage = Storage(str(place))
    # Always the same folder: what depends on the lists depends on their path.
    digest = hashlib.sha256(storage.address.encode()).hexdigest()[:16]
    path = cache_folder() / "lists" / digest / _name(storage)
    shutil.rmtree(path.parent, ignore_errors=True)
    try:
        if storage.look() is not None:
            storage.get("", path)
        for name, found in storage.list(deep=False).items():
            if found.is_file and name.lower().endswith((".txt", ".csv")):
                storage.get(name, path / name)
    except FileNotFoundError:
        raise CorpusError(
            f"{shown(storage.address)} was replaced while it was read; run the same command again"
        ) from None
    with renamed(path, storage.address):
        yield path


def _name(storage: Storage) -> str:
    return PurePosixPath(storage.root).name or "sounds"


def _drawn(storage: Storage, folder: Path) -> Outline:
    outline = Outline(folder / _name(storage), storage.address)
    alone = storage.look()
    if alone is not None and outline.path.name.lower().endswith(table.SUFFIXES):
        above = Storage(storage.address.rpartition("/")[0])
        outline.notes = _draw(above, folder, {outline.path.name.lower()})
    elif alone is not None:
        _stand_in(outline.path, alone)
    else:
        outline.notes = _draw(storage, outline.path, walk.LISTS)
        if not outline.path.exists():
            raise CorpusError(
                f"there is nothing at {shown(storage.address)}; check the address and what the "
                "credentials in the environment may list"
            )
    return outline


def _draw(storage: Storage, folder: Path, whole: set[str]) -> list[str]:
    """Lay out what lies at an address, the files named `whole` with their content, and say what
    could not be."""
    strange: list[str] = []
    made: set[str] = set()
    for name, found in storage.list().items():
        path = PurePosixPath(name)
        if not found.is_file:
            continue
        if any(p in ("", ".", "..") or "\0" in p or len(os.fsencode(p)) > _LONGEST
               for p in name.split("/")):  # fmt: skip
            strange.append(name)
            continue
        try:
            parent = str(path.parent)
            if parent not in made:
                (folder / parent).mkdir(parents=True, exist_ok=True)
                made.add(parent)
            if path.name.lower() in whole:
                storage.get(name, folder / name)
            elif walk.is_audio(path.name) or walk.is_archive(path.name):
                _stand_in(folder / name, found)
        except OSError as error:
            if isinstance(error, (FileExistsError, NotADirectoryError, FileNotFoundError)):
                strange.append(name)  # an object whose name is also a folder's
                continue
            raise CorpusError(
                f"{printable(folder)} cannot be written: {error.strerror}; a file of no size is "
                "made there for each sound"
            ) from None
    if not strange:
        return []
    return [
        f"{counted(len(strange), 'object')} whose name no file can have, left out (the first: "
        f"{printable(strange[0])[:80]})"
    ]


def _stand_in(path: Path, found: Object) -> None:
    """An empty file whose time, of 60 bits in nanoseconds, is a digest of what the listing says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr((found.size, found.mark)).encode()).digest()
    mark = int.from_bytes(digest[:8], "big") >> 4
    path.touch(exist_ok=False)
    os.utime(path, ns=(mark, mark))
