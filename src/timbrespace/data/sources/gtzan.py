"""GTZAN: genres/<genre>/<genre>.NNNNN.au, or .wav as on Kaggle (Data/genres_original/<genre>/...).

The fault-filtered split is used when its lists lie beside the genres: train_filtered.txt,
valid_filtered.txt and test_filtered.txt, a line such as `blues/blues.00029.wav` a track; what is in
none of them is one of the known faults and is left out. GTZANindex.txt, where it lies there too,
gives artists and titles.

Sources: Tzanetakis & Cook 2002; Sturm 2013, "The GTZAN dataset: its contents, its faults"; Kereliuk,
Sturm & Larsen 2015, "Deep Learning and Music Adversaries" (the filtered split).
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from timbrespace.audio.files import printable
from timbrespace.data.sources import walk
from timbrespace.data.sources.listing import Doubts, Label, Listed, Source, counted
from timbrespace.errors import CorpusError

GENRES = (
    "blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock",
)  # fmt: skip

_INDEX = "GTZANindex.txt"
_INDEX_LINE = re.compile(r"\s*(\w+\.\d{5})(?:\.\w+)?\s*:::\s*(.*?)\s*:::\s*(.*?)\s*$")
_SPLITS = ("train", "valid", "test")
_INSIDE = ("genres", "genres_original", "Data/genres_original")
_OWN = ("genres", "genres_original", "Data")


def recognises(root: Path) -> bool:
    """Whether root is, or holds, the folder of genres."""
    return root.is_dir() and _find(root) is not None


def read(root: Path) -> Source:
    """All tracks below root, with their genre; CorpusError when there are none."""
    folder = _find(root)
    if folder is None:
        raise walk.not_of(
            root, "GTZAN", "a folder a genre with files such as blues/blues.00000.wav"
        )
    files: list[Listed] = []
    source = Source(root, "gtzan", files)
    doubts = Doubts()
    taken = []
    for genre in walk.subfolders(folder):
        prefix, names = walk.below(root, genre), walk.audio_names(genre)
        if names and genre.name not in GENRES:
            doubts.add("folder", "none of GTZAN's genres; taken as one more", genre.name)
        taken += [prefix + name for name in names]
        for name in _one_format(names, doubts):
            if not _is_track(genre.name, name):
                doubts.add("file", "not named as GTZAN names its tracks; taken all the same", name)
            files.append(Listed(prefix + name, {"genre": genre.name}))
    source.notes += doubts.notes()
    places = _places(root, folder)
    _add_artists(source, places)
    if not _add_splits(source, places):
        source.notes.append(
            "GTZAN repeats and mislabels tracks; for the fault-filtered split put train_filtered"
            ".txt, valid_filtered.txt and test_filtered.txt beside the folder of genres"
        )
    source.notes += walk.left_out(root, taken)
    source.settle_labels()
    return source


def _find(root: Path) -> Path | None:
    """The folder whose folders are the genres."""
    for base in walk.nested(root):
        for folder in (base, *(base / inner for inner in _INSIDE)):
            for genre in GENRES:
                if any(_is_track(genre, name) for name in walk.audio_names(folder / genre)):
                    return folder
    return None


def _is_track(genre: str, name: str) -> bool:
    return re.fullmatch(re.escape(genre) + r"\.\d{5}", _stem(name)) is not None


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _one_format(names: list[str], doubts: Doubts) -> list[str]:
    """One file a track, the .wav where there is one: people convert the .au files in place, and a
    track in two formats would be in two splits."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names, key=lambda name: (not name.lower().endswith(".wav"), name)):
        by_stem[_stem(name)].append(name)
    for _, *others in by_stem.values():
        for name in others:
            doubts.add("file", "another format of a track that is taken; left out", name)
    return sorted(first for first, *_ in by_stem.values())


def _places(root: Path, folder: Path) -> list[Path]:
    """Where lists may lie: the folder of genres and those around it, from the inside out; above
    root too when that is a folder of GTZAN's own."""
    places = [folder, *folder.parents]
    places = places[: places.index(root) + 1]
    whole = root.absolute()
    return [*places, whole.parent] if whole.name in _OWN else places


def _add_artists(source: Source, places: list[Path]) -> None:
    path = next((p / _INDEX for p in places if (p / _INDEX).is_file()), None)
    if path is None:
        return
    by_stem = {_stem(listed.file): listed for listed in source.files}
    lines = (_INDEX_LINE.match(line) for line in _text(path).splitlines())
    for match in filter(None, lines):
        if (listed := by_stem.get(match[1])) is not None:
            known: dict[str, Label] = {"artist": match[2], "track": match[3]}
            listed.labels.update({k: v for k, v in known.items() if v and v != "?"})
    found = sum("artist" in listed.labels for listed in source.files)
    source.notes.append(f"artists from {_INDEX}, for {counted(found, 'track')}")


def _add_splits(source: Source, places: list[Path]) -> bool:
    """Keep the tracks of the lists, with their splits; False where there are no lists."""
    for place in places:
        for form in ("{}_filtered.txt", "{}.txt"):
            lists = {name: place / form.format(name) for name in _SPLITS}
            if lists["train"].is_file() and lists["valid"].is_file():
                break
        else:
            continue
        split_of = _splits({n: path for n, path in lists.items() if path.is_file()})
        kept = [f for f in source.files if _stem(f.file) in split_of]
        if not any(split_of[_stem(f.file)] == "train" for f in kept):
            source.notes.append(
                f"{printable(lists['train'])} is not used: it names no track that is here"
            )
            return True
        lost = len(split_of) - len(kept)
        source.notes.append(
            f"split by {lists['train'].name} and its like; "
            f"{counted(len(source.files) - len(kept), 'track')} in none of them, left out"
            + (f"; {counted(lost, 'track')} of the lists not here" if lost else "")
        )
        for listed in kept:
            listed.split = split_of[_stem(listed.file)]
        source.files = kept
        return True
    return False


def _splits(lists: dict[str, Path]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for split, path in lists.items():
        for line in filter(None, map(str.strip, _text(path).splitlines())):
            key = _stem(line.replace("\\", "/"))
            if split_of.setdefault(key, split) != split:
                raise CorpusError(
                    f"{printable(path)} has {printable(line)}, which is in the list of "
                    f"{split_of[key]} too; keep it in one"
                )
    return split_of


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise CorpusError(f"{printable(path)} cannot be read: {error.strerror}") from None
