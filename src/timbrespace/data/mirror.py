"""Where a corpus is: in a folder, or at an address with a local copy.

A part is named by a digest of its inputs and never changes; everything else is replaced whole, and
corpus.json last. So a reader copies what it asks for into a folder of its own for each state of the
corpus and maps it into memory there, and a writer makes files locally and puts each as one object.

corpora/<digest of the address>/making/            what a prepare on this machine works in
corpora/<digest of the address>/<digest of corpus.json>/    what readers on this machine map
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from timbrespace.atomic import TEMPORARY, remove_abandoned, write_bytes
from timbrespace.audio.files import printable
from timbrespace.data.lock import locked
from timbrespace.data.part import read_part
from timbrespace.data.storage import (
    Storage,
    cache_folder,
    is_address,
    refuse_address_as_path,
    renamed,
    shown,
)
from timbrespace.errors import CorpusError

LOCK = ".lock"
TABLE = "corpus.json"
UNREAD = ("report.jsonl", LOCK)  # what readers do without
BEAT = 5.0  # seconds between the signs of life of who holds the lock
DEAD = 15.0  # seconds without one after which the holder is taken as dead
KEPT = 30 * 86_400.0  # seconds that the copy of an earlier state is kept after its last opening
MAKING = "making"  # the copy that a prepare works in
_AT_ONCE = 8  # objects on their way
_WAIT = 3600.0  # seconds that another process of this machine may take to copy what we want too


class Home:
    """The folder of a corpus. What `Mirror` does beyond it is nothing here."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """What opens the corpus, from any folder."""
        return str(self.path.resolve())

    @property
    def told(self) -> str:
        """What to call it in a sentence."""
        return printable(self.path)

    def table(self) -> bytes | None:
        """Its corpus.json, None before there is one."""
        try:
            return (self.path / TABLE).read_bytes()
        except OSError:
            return None

    def address(self, folder: Path) -> str | None:
        """The address of one of its folders, where it has one."""

    def tops(self) -> list[str]:
        """Names of what is in it, sorted; OSError when it cannot be read."""
        return sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the corpus; CorpusError when another process has it."""
        with locked(self.path / LOCK, "prepared", CorpusError):
            yield

    def begin(self) -> None:
        """What a prepare starts with."""

    def begin_store(self, folder: Path, stems: Iterable[str]) -> None:
        """What the making of a store of the parts `stems` starts with."""

    def made(self, folder: Path, stem: str, *, here: bool) -> None:
        """A part of a store is made, `here` or by a worker of a cluster."""

    def publish(self, folder: Path | None = None) -> None:
        """All is made (in `folder` alone)."""

    def check_current(self) -> None:
        """CorpusError when the corpus is not the one that was opened any more."""

    def copy_store(self, folder: Path) -> None:
        """What the reading of a store starts with."""


def home_of(place: str | Path) -> Home:
    """Where the corpus of a path or an address is made."""
    refuse_address_as_path(place)
    return Mirror.to_make(str(place)) if is_address(place) else Home(Path(place))


class Mirror(Home):
    """Local files in `path` and those at an address, of one corpus."""

    def __init__(self, storage: Storage, path: Path) -> None:
        super().__init__(path)
        self.storage = storage
        self._there: set[str] = set()  # names at the address whose files here are the same
        self._sums: dict[str, str] = {}  # of those that may be replaced, as they are at the address

    @classmethod
    def to_make(cls, address: str) -> "Mirror":
        """The folder where a corpus for an address is made."""
        mirror = cls(*_place(address, MAKING))
        mirror.path.mkdir(parents=True, exist_ok=True)
        return mirror

    @classmethod
    def to_read(cls, address: str) -> "Mirror":
        """A copy of the present table of the corpus at an address, without its pictures.

        CorpusError when there is no corpus, or it is replaced meanwhile.
        """
        storage = Storage(address)
        facts = storage.read(TABLE)
        if facts is None:
            told = shown(storage.address)
            if storage.list("features"):
                raise CorpusError(f"{told} is not finished; run the same prepare again")
            raise CorpusError(f"{told} is not a corpus; make one with: timbrespace prepare")
        mirror = cls(*_place(address, hashlib.sha256(facts).hexdigest()[:16]))
        mirror.path.mkdir(parents=True, exist_ok=True)
        with mirror._alone():
            if not (mirror.path / TABLE).is_file():
                mirror._get(n for n in mirror._top() if n not in (*UNREAD, TABLE))
                write_bytes(mirror.path / TABLE, facts)
        os.utime(mirror.path)
        mirror._forget_old()
        return mirror

    def _forget_old(self) -> None:
        """Remove the copies of earlier states that nobody has opened for long."""
        for copy in self.path.parent.iterdir():
            with contextlib.suppress(OSError):
                old = time.time() - copy.stat().st_mtime > KEPT
                if old and copy.is_dir() and copy.name != MAKING:
                    shutil.rmtree(copy)

    @property
    def place(self) -> str:
        """The address."""
        return self.storage.address

    @property
    def told(self) -> str:
        """The address, as it may be shown."""
        return shown(self.storage.address)

    def table(self) -> bytes | None:
        """The corpus.json at the address, None before there is one."""
        return self.storage.read(TABLE)

    def name(self, path: Path) -> str:
        """The name at the address of a local file or folder."""
        return path.relative_to(self.path).as_posix()

    def address(self, folder: Path) -> str:
        """The address of a local folder."""
        return f"{self.storage.address}/{self.name(folder)}"

    def tops(self) -> list[str]:
        """Names of what is at the address, sorted."""
        return sorted(self.storage.list(deep=False))

    def _top(self) -> list[str]:
        """Names of the tables at the address."""
        found = self.storage.list(deep=False).items()
        return [name for name, facts in found if facts.is_file and TEMPORARY not in name]

    # Reading

    def copy_store(self, folder: Path) -> None:
        """Copy all parts of a store, and check them; CorpusError for one that is damaged."""
        if (folder / "feature.json").is_file():
            return
        with self._alone():
            there = [n for n in self.storage.list(self.name(folder)) if TEMPORARY not in n]
            if not there:
                return
            last = f"{self.name(folder)}/feature.json"
            self._get(n for n in there if n != last)
            for name in (n for n in there if _is_part(PurePosixPath(n).name)):
                path = self.path / name
                if path.suffix == ".jsonl" and not read_part(folder, path.stem, verify=True):
                    for suffix in (".npy", ".jsonl"):  # not from another copy
                        self.storage.get(
                            f"{self.name(folder)}/{path.stem}{suffix}", path.with_suffix(suffix)
                        )
                    if not read_part(folder, path.stem, verify=True):
                        told = shown(f"{self.storage.address}/{name}")
                        raise CorpusError(f"{told} is damaged; run the same prepare again")
            if last in there:
                self._get([last])

    # Making

    def begin(self) -> None:
        """Copy the tables that lie at the address; those of an earlier time here are dropped."""
        remove_abandoned(self.path)
        for path in self.path.iterdir():
            if path.is_file() and path.name != LOCK:
                path.unlink()
        self._get((name for name in self._top() if name != LOCK), replaced=True)

    def begin_store(self, folder: Path, stems: Iterable[str]) -> None:
        """Copy what lies at the address of a store that is about to be made: the parts called
        `stems`, and the tables."""
        remove_abandoned(folder)
        wanted = {f"{stem}{suffix}" for stem in stems for suffix in (".npy", ".jsonl")}
        parts, tables = [], []
        for name, found in self.storage.list(self.name(folder)).items():
            file = PurePosixPath(name).name
            if TEMPORARY in file:
                continue
            if not _is_part(file):
                tables.append(name)
            elif file in wanted:
                with contextlib.suppress(OSError):
                    if (self.path / name).stat().st_size == found.size:
                        self._there.add(name)
                        continue
                parts.append(name)
        self._get(parts)
        self._get(tables, replaced=True)

    def made(self, folder: Path, stem: str, *, here: bool) -> None:
        """Put a part that was made here, or get one that a worker has put there."""
        names = [f"{self.name(folder)}/{stem}{suffix}" for suffix in (".npy", ".jsonl")]
        if here:
            for name in names:
                self._put(name)
        else:
            for name in names:
                (self.path / name).unlink(missing_ok=True)
            self._get(names)

    def publish(self, folder: Path | None = None) -> None:
        """Put all that is new (in `folder` alone), what names others after them, and remove parts
        that nothing names."""
        files = [p for p in (folder or self.path).rglob("*") if p.is_file()]
        files = [path for path in files if TEMPORARY not in path.name]
        names = [self.name(path) for path in files if path.name != LOCK]
        changed = [name for name in names if not self._same(name)]
        for name in sorted(changed, key=_rank):
            self._put(name)
        for store in {PurePosixPath(n).parent for n in names if _is_part(PurePosixPath(n).name)}:
            for name in self.storage.list(str(store)):
                if name not in names:
                    self.storage.remove(name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the corpus: among the processes of this machine by a lock of the system, beyond it
        by an object that is renewed all the time. CorpusError when another has it."""
        with contextlib.ExitStack() as stack:
            with renamed(self.path, self.storage.address):
                stack.enter_context(locked(self.path / LOCK, "prepared", CorpusError))
            mine = self._owner()
            self._wait_for(mine)
            over = threading.Event()
            self.storage.write(LOCK, mine + b" 0")
            renewal = threading.Thread(target=self._renew, args=(mine, over), daemon=True)
            renewal.start()
            try:
                yield
            finally:
                over.set()
                renewal.join()
                with contextlib.suppress(CorpusError):
                    self.storage.remove(LOCK)

    def _owner(self) -> bytes:
        """A name for all who share our lock of the system, so that the object of a dead one of them
        keeps nobody waiting."""
        path = self.path.parent / "owner"
        if not path.is_file():
            write_bytes(path, secrets.token_hex(16).encode())
        return path.read_bytes()

    def _wait_for(self, mine: bytes) -> None:
        """Return when nobody holds the object; who does not renew it is dead."""
        before = self.storage.read(LOCK)
        deadline = time.monotonic() + DEAD
        while before is not None and not before.startswith(mine):
            time.sleep(DEAD / 10)
            now = self.storage.read(LOCK)
            if now is not None and now != before:
                raise CorpusError(
                    f"{shown(self.storage.address)} is being prepared by another machine; wait for "
                    "it to finish, or stop it"
                )
            if now is None or time.monotonic() > deadline:
                return

    def _renew(self, mine: bytes, over: threading.Event) -> None:
        count = 0
        while not over.wait(BEAT):
            count += 1
            with contextlib.suppress(CorpusError):
                self.storage.write(LOCK, mine + b" %d" % count)

    def check_current(self) -> None:
        """CorpusError when the corpus at the address is not the one that was opened any more."""
        if self.storage.read(TABLE) != (self.path / TABLE).read_bytes():
            raise CorpusError(
                f"{shown(self.storage.address)} has been prepared anew since it was opened; open it "
                "again"
            )

    # Files

    def _get(self, names: Iterable[str], *, replaced: bool = False) -> None:
        """Copy files, some at once; from another copy on this machine where it has that part."""

        def get(name: str) -> None:
            target = self.path / name
            if not (_is_part(target.name) and self._linked(target, name)):
                self.storage.get(name, target)
            self._there.add(name)
            if replaced:
                self._sums[name] = _sum(target)

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for _ in pool.map(get, names):
                    pass
        except FileNotFoundError:
            raise CorpusError(
                f"{shown(self.storage.address)} was replaced while it was copied; run the same "
                "command again"
            ) from None

    def _linked(self, target: Path, name: str) -> bool:
        if target.is_file():
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
        for other in self.path.parent.glob(f"*/{name}"):
            with contextlib.suppress(OSError):
                os.link(other, target)
                return True
        return False

    def _put(self, name: str) -> None:
        self.storage.put(self.path / name, name)
        self._there.add(name)
        self._sums[name] = _sum(self.path / name)

    def _same(self, name: str) -> bool:
        if name not in self._there:
            return False
        return _is_part(PurePosixPath(name).name) or self._sums.get(name) == _sum(self.path / name)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process of this machine copies at a time; the others then find it done."""
        with locked(self.path / ".copying", "copied", CorpusError, patience=_WAIT):
            yield


def _place(address: str, state: str) -> tuple[Storage, Path]:
    storage = Storage(address)
    folder = hashlib.sha256(storage.address.encode()).hexdigest()[:16]
    return storage, cache_folder() / "corpora" / folder / state


def _is_part(name: str) -> bool:
    return name.startswith("part-")


def _rank(name: str) -> tuple[bool, bool, bool, str]:
    """In the order of their putting: parts, tables, what names tables, and corpus.json at the end."""
    file = PurePosixPath(name)
    return name == TABLE, file.suffix == ".json", not _is_part(file.name), name


def _sum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
