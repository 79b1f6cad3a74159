"""Folders that lie at an address such as s3://bucket/sounds: whatever fsspec reaches.

An address is listed, and its objects are fetched and put whole; all else works on local copies, so
that neither decoders nor memory maps know of networks. Which credentials and which server: the
environment says it, as each file system of fsspec reads it. An address never holds a password.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbrespace.atomic import temporary_name
from timbrespace.audio.files import printable
from timbrespace.errors import CorpusError, MissingExtra

PAUSES = (0.5, 2.0)  # seconds before each further try
CACHE = "TIMBRESPACE_CACHE"  # the variable of the environment that names the folder of copies

# What a file system may tell of the state of a file, the strongest first.
_MARKS = (
    "etag", "md5hash", "content_md5", "checksum", "generation", "mtime", "lastmodified",
    "last_modified", "modified", "modificationtime", "modify", "updated", "created",
)  # fmt: skip
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


@dataclass(frozen=True)
class Object:
    """What a listing says of a file (or folder): its size in bytes, -1 where unknown, and a text that changes
    with its content as far as the file system tells."""

    size: int
    mark: str
    is_file: bool = True


def is_address(place: str | Path) -> bool:
    """Whether a place is an address rather than a path."""
    return "://" in str(place)


def refuse_address_as_path(place: str | Path) -> None:
    """CorpusError when an address was made a Path, which loses one of its slashes."""
    slashed = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(place))
    if slashed and isinstance(place, Path) and not place.exists():
        raise CorpusError(
            f"{shown(str(place))} looks like an address that was made a Path; give it as text"
        )


def shown(place: str | Path) -> str:
    """A path or address that can be shown: without user, password and what follows a `?`."""
    text = printable(place)
    if ":/" in text:
        text = re.sub(r"(:/{1,2})[^/?#]*@", r"\1", text.partition("?")[0])
    return text


def cache_folder() -> Path:
    """Where copies of what lies at addresses are kept; it may be deleted when nothing runs."""
    named = os.environ.get(CACHE)
    if not named:
        named = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "timbrespace")
    path = Path(named).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(
            f"the folder of copies, {printable(path)}, cannot be made: {error.strerror}; set "
            f"{CACHE} to another"
        ) from None
    return path


class Storage:
    """The files below an address, by names that are relative to it (with /).

    Errors of the storage are CorpusErrors that show the address, after some tries. FileNotFoundError
    stays what it is where it has a meaning.
    """

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        self.fs, root = _reached(self.address)
        self.root = root.rstrip("/")

    def path(self, name: str) -> str:
        """What the file system calls a file."""
        return f"{self.root}/{name}" if name else self.root

    def list(self, folder: str = "", *, deep: bool = True) -> dict[str, Object]:
        """All files below a folder, or the files and folders in it; none when it is not there."""
        start = self.path(folder)
        try:
            if deep:
                found = self._tried("list", folder, self.fs.find, start, detail=True).values()
            else:
                found = self._tried("list", folder, self.fs.ls, start, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return {
            info["name"][len(self.root) + 1 :].rstrip("/"): _object(info)
            for info in found
            if info.get("name", "").rstrip("/").startswith(f"{start}/")
        }

    def look(self, name: str = "") -> Object | None:
        """What is known of one file, None when it is not there."""
        try:
            info = self._tried("find", name, self.fs.info, self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = _object(info)
        return found if found.is_file else None

    def read(self, name: str) -> bytes | None:
        """The content of a small file, None when it is not there."""
        try:
            return self._tried("read", name, self.fs.cat_file, self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get(self, name: str, target: Path) -> None:
        """Copy a file to a local one, which is whole or absent. FileNotFoundError when it is gone."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(temporary_name(target.name))
        try:
            self._tried("fetch", name, self.fs.get_file, self.path(name), str(temporary))
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def try_once(self, name: str, target: Path, came: Callable[[], None]) -> None:
        """Write a file into a local one; `came` is called as bytes arrive, where the file system
        tells. The errors are its own, and what was written stays."""
        from fsspec import Callback

        callback = Callback(hooks={"came": lambda *_, **__: came()})
        self.fs.get_file(self.path(name), str(target), callback=callback)

    def put(self, source: Path, name: str) -> None:
        """Make a local file the file `name`, so that no reader sees half of it."""
        self._whole(name, lambda path: self.fs.put_file(str(source), path))

    def write(self, name: str, data: bytes) -> None:
        """Make some bytes the file `name`, so that no reader sees half of it."""
        self._whole(name, lambda path: self.fs.pipe_file(path, data))

    def remove(self, name: str) -> None:
        """Delete a file; nothing happens when it is not there."""
        with contextlib.suppress(FileNotFoundError):
            self._tried("remove", name, self.fs.rm_file, self.path(name))

    def _whole(self, name: str, write: Callable[[str], None]) -> None:
        from fsspec import AbstractFileSystem

        path = self.path(name)
        if type(self.fs).mv is AbstractFileSystem.mv:
            # Moving would be copying: an object store, which has no folders to be made and shows an
            # object when it is whole.
            self._tried("write", name, write, path)
            return
        temporary = self.path(temporary_name(name))

        def write_and_move() -> None:
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            write(temporary)
            self.fs.mv(temporary, path)

        try:
            self._tried("write", name, write_and_move)
        except BaseException:
            with contextlib.suppress(Exception):
                self.fs.rm_file(temporary)
            raise

    def _tried(
        self, doing: str, name: str, action: Callable[..., Any], *args: Any, **kw: Any
    ) -> Any:
        for pause in (*PAUSES, None):
            self.fs.invalidate_cache()  # what it remembers hides what other machines write
            try:
                return action(*args, **kw)
            except FileNotFoundError:
                if doing != "write":
                    raise
                error: Exception = CorpusError("there is no such place")
            except Exception as failure:  # noqa: BLE001  each file system throws its own
                error = failure
            if pause is None or isinstance(error, (*_FINAL, CorpusError)):
                break
            time.sleep(pause)
        raise CorpusError(
            f"cannot {doing} {shown(f'{self.address}/{name}'.rstrip('/'))}: {reason(error)}"
        ) from None


def reason(error: BaseException) -> str:
    """What a file system says, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(text.split()))[:200]


def _checked(address: str) -> str:
    protocol, _, rest = address.partition("://")
    if "::" in address:
        raise CorpusError(f"{shown(address)} is a chain of addresses; give one address")
    if "@" in rest.partition("/")[0]:
        name = re.sub(r"\W", "_", protocol).upper()
        raise CorpusError(
            f"{shown(address)} was given with a user or password, which would be written into the "
            f"corpus; leave them out and set FSSPEC_{name}_USERNAME and FSSPEC_{name}_PASSWORD, or "
            "what else your storage reads from the environment"
        )
    return address.rstrip("/") if rest.strip("/") else address


def _reached(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    try:
        import fsspec
    except ImportError:
        raise MissingExtra(
            f"{shown(address)} is an address, which needs fsspec: pip install "
            "'timbrespace[remote]', or give the path of a folder"
        ) from None
    try:
        return fsspec.url_to_fs(address)
    except ImportError as error:  # the protocol's own package; fsspec names it
        raise MissingExtra(f"{shown(address)} cannot be reached: {reason(error)}") from None
    except Exception as error:  # noqa: BLE001  unknown protocols, missing settings
        raise CorpusError(f"{shown(address)} cannot be reached: {reason(error)}") from None


def _object(info: dict[str, Any]) -> Object:
    lower = {key.lower(): value for key, value in info.items()}
    mark = next((str(lower[key]) for key in _MARKS if lower.get(key) is not None), "")
    size = lower.get("size")
    return Object(-1 if size is None else int(size), mark, info.get("type") != "directory")


@contextlib.contextmanager
def renamed(path: str | Path, address: str) -> Iterator[None]:
    """Errors about a local copy become errors about the address that it stands for."""
    try:
        yield
    except (CorpusError, MissingExtra) as error:
        text = str(error).replace(printable(path), shown(address))
        raise type(error)(text) from None
