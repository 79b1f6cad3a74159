"""What sounds a source holds and what is known of them: public layouts, folders, tables, one file.

A new layout is a module with `recognises(path)` and `read(path)`, and a line in LAYOUTS.
"""

from pathlib import Path

from timbrespace.audio.files import SUFFIXES, printable
from timbrespace.data.sources import folder, gtzan, nsynth, single, table, vctk, walk
from timbrespace.data.sources.listing import (
    MIDI,
    RESERVED,
    SPLIT_NAMES,
    Files,
    Label,
    Listed,
    Source,
)
from timbrespace.data.sources.nsynth import parse_name
from timbrespace.errors import CorpusError

__all__ = [
    "LAYOUTS", "MIDI", "RESERVED", "SPLIT_NAMES", "Files", "Label", "Listed", "Source",
    "list_source", "parse_name",
]  # fmt: skip


# In the order in which they are tried.
LAYOUTS = {
    "nsynth": nsynth, "gtzan": gtzan, "vctk": vctk, "folder": folder, "table": table,
    "file": single,
}  # fmt: skip


def list_source(path: Path, layout: str, labels: Path | None) -> Source:
    """Everything a source holds; CorpusError when it is missing, empty or not of the layout.

    path: a folder, a table or a sound. layout: auto or a name in LAYOUTS. labels: a table for the
    sounds of a folder.
    """
    shown = printable(path)
    if not path.exists():
        raise CorpusError(f"there is no folder or file {shown}; pass the folder of your sounds")
    if layout not in ("auto", *LAYOUTS):
        raise CorpusError(f"layout should be auto, {', '.join(LAYOUTS)}; got {layout!r}")
    if labels is not None:
        if layout not in ("auto", "folder") or not path.is_dir():
            raise CorpusError(
                "a table of labels goes with a folder and layout folder; other layouts have their own"
            )
        source = folder.read(path, labels)
    else:
        name = _recognised(path) if layout == "auto" else layout
        if not path.is_dir() and name not in ("table", "file"):
            raise CorpusError(
                f"{shown} is a file; layout {name} wants the folder that holds the sounds"
            )
        source = LAYOUTS[name].read(path)
    if not source.files:
        raise walk.without_sounds(path)
    return source


def _recognised(path: Path) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(path):
            return name
    if walk.is_archive(path.name):
        raise walk.unextracted(path.parent, path.name)
    raise CorpusError(
        f"{printable(path)} is neither a folder, a sound ({' '.join(SUFFIXES)}) nor a table "
        f"({' '.join(table.SUFFIXES)}); pass one of them"
    )
