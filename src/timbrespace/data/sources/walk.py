"""Looking into folders: which audio files they hold, in an order that does not change."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from timbrespace.audio.files import SUFFIXES, printable
from timbrespace.data.sources.listing import counted
from timbrespace.errors import CorpusError

_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".tfrecord")
# What layouts read beside the sounds, in small letters; at an address, only these are fetched to list
# the sounds.
LISTS = {
    "examples.json", "gtzanindex.txt", "speaker-info.txt",
    *(f"{name}{form}.txt" for name in ("train", "valid", "test") for form in ("", "_filtered")),
}  # fmt: skip
_DEEP = 3  # folders that hold nothing but one folder, as archives are unpacked
_GONE = (PermissionError, FileNotFoundError, NotADirectoryError)


def is_audio(name: str) -> bool:
    """Whether a file of this name is read as sound."""
    return name.lower().endswith(SUFFIXES)


def is_archive(name: str) -> bool:
    """Whether a file of this name has to be extracted before its sounds can be read."""
    return name.lower().endswith(_PACKED)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CorpusError(
            f"{printable(folder)} cannot be read: {error.strerror}; change its permissions, or "
            "pass another folder"
        ) from None


def audio_names(folder: Path) -> list[str]:
    """Names of the audio files in a folder, sorted; CorpusError when it may not be read."""
    return [entry.name for entry in _entries(folder) if is_audio(entry.name)]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, linked ones too, sorted; hidden ones are left out."""
    return [
        folder / entry.name
        for entry in _entries(folder)
        if not entry.name.startswith(".") and entry.name != "__MACOSX" and _is_folder(entry)
    ]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _archives(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if is_archive(entry.name)]


def nested(root: Path) -> list[Path]:
    """root, and the folder in it when that is all it holds, and so on."""
    chain = [root]
    while len(chain) <= _DEEP:
        inner = subfolders(chain[-1])
        if len(inner) != 1 or audio_names(chain[-1]):
            break
        chain.append(inner[0])
    return chain


def below(root: Path, folder: Path) -> str:
    """The path of a folder at or below root, relative to it, with / and with one at its end."""
    relative = os.path.relpath(folder, root).replace(os.sep, "/")
    return "" if relative == "." else f"{relative}/"


@dataclass
class Tree:
    """Audio files below a folder, relative to it and sorted, and what was not looked into."""

    files: list[str]
    notes: list[str] = field(default_factory=list)


def tree(root: Path) -> Tree:
    """All audio files below root. Hidden and linked folders are not entered.

    CorpusError when root may not be read, or when the disk fails on the way.
    """
    found: list[str] = []
    closed: list[OSError] = []
    links: list[str] = []
    for folder, inner, names in os.walk(root, onerror=closed.append):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        prefix = below(root, Path(folder))
        links += [prefix + name for name in inner if os.path.islink(os.path.join(folder, name))]
        found += [prefix + name for name in names if is_audio(name)]
    for error in closed:
        if not isinstance(error, _GONE) or os.fspath(error.filename) == os.fspath(root):
            raise CorpusError(
                f"{printable(str(error.filename))} cannot be read: {error.strerror}; "
                "change its permissions or move it away"
            )
    notes = []
    if closed:
        first = printable(str(closed[0].filename))
        notes.append(
            f"{counted(len(closed), 'folder')} that may not be read, the sounds left out (the first: "
            f"{first}: {closed[0].strerror}); change the permissions"
        )
    if links:
        notes.append(
            f"{counted(len(links), 'link')} to folders, not followed (the first: "
            f"{printable(links[0])}); copy what is meant, or prepare it on its own"
        )
    return Tree(sorted(found), notes)


def left_out(root: Path, taken: Iterable[str]) -> list[str]:
    """A note when the tree below root holds audio files that a layout did not take."""
    taken = set(taken)
    others = [file for file in tree(root).files if file not in taken]
    if not others:
        return []
    return [
        f"{counted(len(others), 'audio file')} elsewhere than the layout has them, left out (the "
        f"first: {printable(others[0])}); layout folder takes them all"
    ]


def refuse_endless(path: Path) -> None:
    """CorpusError when a list is a pipe or a device, whose reading may never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # told by who opens it
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise CorpusError(f"{printable(path)} is a pipe or a device; save it as a regular file")


def not_of(root: Path, name: str, expected: str) -> CorpusError:
    """The error for a folder that is not of a layout, or has yet to be extracted."""
    if packed := _archives(root):
        return unextracted(root, packed[0])
    return CorpusError(
        f"{printable(root)} is not of {name}'s layout: expected {expected}; use layout folder"
    )


def without_sounds(root: Path) -> CorpusError:
    """The error for a folder in which no audio file was found."""
    for folder in nested(root):
        if packed := _archives(folder):
            return unextracted(folder, packed[0])
    return CorpusError(
        f"{printable(root)} holds no audio files; these are read: {' '.join(SUFFIXES)}"
    )


def unextracted(folder: Path, archive: str) -> CorpusError:
    """The error for a download that is still packed."""
    where, shown = printable(folder), printable(archive)
    if archive.lower().endswith(".tfrecord"):
        return CorpusError(
            f"{where} holds {shown}, which is not read; download the json/wav form of the data set"
        )
    return CorpusError(
        f"{where} holds {shown}, which is still packed; extract it (tar -xf or unzip) and pass the "
        "folder that comes out"
    )
