"""Any tree of audio files: folder names become labels, or a table gives them."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from timbrespace.data.sources import table, walk
from timbrespace.data.sources.listing import SPLIT_NAMES, Files, Label, Listed, Source
from timbrespace.data.sources.nsynth import parse_name


def recognises(root: Path) -> bool:
    """Whether root is a folder."""
    return root.is_dir()


def read(root: Path, labels: Path | None = None) -> Source:
    """All audio files below root, with the labels of a table, or else of their folders.

    The first folder that tells files apart is `family`, its path is `instrument` where folders are
    nested; folders named train, valid and test on top are the split.
    """
    found = walk.tree(root)
    source = Source(root, "folder", [], found.notes)
    if labels is not None:
        source.files, notes = table.label(labels, found.files)
        source.notes += notes
    else:
        source.files = _by_folder(found.files)
    source.settle_labels()
    return source


def _by_folder(files: list[str]) -> Files:
    """The files with what their folders say; a folder is looked at once."""
    folders = {file.rpartition("/")[0] for file in files}
    below = {folder: PurePosixPath(folder).parts for folder in folders}
    # One folder for all says nothing about any of them.
    shared = len(os.path.commonprefix(list(below.values()))) if below else 0
    below = {folder: parts[shared:] for folder, parts in below.items()}
    nested = any(len(parts) > 1 for parts in below.values())
    splits = {f: SPLIT_NAMES.get(parts[0].lower()) if parts else None for f, parts in below.items()}
    named = set(splits.values())
    if named != {None} and (None in named or "train" not in named):
        # Folders called test beside others are labels, not a split.
        splits = dict.fromkeys(below)

    def listed() -> Iterator[Listed]:
        for file in files:
            folder = file.rpartition("/")[0]
            parts, split = below[folder], splits[folder]
            inner = parts if split is None else parts[1:]
            labels: dict[str, Label] = {"family": inner[0] if inner else None}
            if nested:
                labels["instrument"] = "/".join(inner) or None
            known = parse_name(PurePosixPath(file).stem)
            labels.update({name: value for name, value in known.items() if value is not None})
            yield Listed(file, labels, split)

    return Files.of(listed())
