"""Files of a corpus: written only where they would change, so that a rerun touches nothing."""

import contextlib
import errno
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from timbrespace.atomic import replacing, write_bytes
from timbrespace.audio.files import printable
from timbrespace.errors import CorpusError


def digest_of(path: Path) -> str:
    """The SHA-256 of a file; OSError when it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_blocks(blocks: Iterable[bytes]) -> str:
    """The SHA-256 of blocks one after the other."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def write_changed(path: Path, content: str | bytes) -> None:
    """Write `content` unless `path` holds it already."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    write_bytes(path, data)


def write_changed_blocks(path: Path, digest: str, blocks: Callable[[], Iterable[bytes]]) -> None:
    """Write blocks, whose SHA-256 is `digest`, unless `path` holds them already."""
    with contextlib.suppress(OSError):
        if digest_of(path) == digest:
            return
    with replacing(path) as file:
        for block in blocks():
            file.write(block)


def disk_error(path: Path, error: OSError) -> CorpusError:
    """The sentence for a disk that refuses, or a storage that is gone; finished parts are kept."""
    if error.errno == errno.EHOSTUNREACH and error.strerror:
        return CorpusError(error.strerror)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CorpusError(
            f"the disk of {printable(path)} is full; free some space and run the same command "
            "again, what is finished is kept"
        )
    return CorpusError(f"{printable(path)} cannot be written: {error.strerror or error}")
