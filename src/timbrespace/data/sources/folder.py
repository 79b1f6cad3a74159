"""Any tree of audio files: folder names become labels, or a table gives them."""

import os
from pathlib import Path, PurePosixPath

from timbrespace.data.sources import table, walk
from timbrespace.data.sources.listing import SPLIT_NAMES, Label, Listed, Source
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


def _by_folder(files: list[str]) -> list[Listed]:
    parents = [PurePosixPath(file).parent.parts for file in files]
    shared = len(os.path.commonprefix(parents)) if parents else 0
    # One folder for all says nothing about any of them.
    parents = [parts[shared:] for parts in parents]
    nested = any(len(parts) > 1 for parts in parents)
    listing = []
    for file, parts in zip(files, parents, strict=True):
        split = SPLIT_NAMES.get(parts[0].lower()) if parts else None
        if split is not None:
            parts = parts[1:]
        labels: dict[str, Label] = {"family": parts[0] if parts else None}
        if nested:
            labels["instrument"] = "/".join(parts) or None
        labels.update(
            {k: v for k, v in parse_name(PurePosixPath(file).stem).items() if v is not None}
        )
        listing.append(Listed(file, labels, split))
    named = {listed.split for listed in listing}
    if named != {None} and (None in named or "train" not in named):
        # Folders called test beside others are labels, not a split.
        for listed, parts in zip(listing, parents, strict=True):
            if listed.split is not None:
                listed.labels["family"] = parts[0]
                listed.split = None
    return listing
