"""Which point of the space an instrument plays: that of a sound, of a row, of all that are alike."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.errors import RunError, suggestion
from timbrespace.geometry.neighbours import nearest
from timbrespace.mapping import Space
from timbrespace.render.synth import Encoded

NAMED = 8  # values that are named when another is asked for


@dataclass(frozen=True)
class Point:
    """A latent (Z,), the pitch (MIDI) at which it was heard, None where that is unknown, how loud it
    was (RMS, dBFS), the labels that the model is told with it, a short name, and in words where it
    comes from."""

    latent: np.ndarray
    pitch: float | None
    rms_db: float
    labels: dict[str, Any]
    name: str
    about: str


def of_sound(encoded: Encoded, file: Path) -> Point:
    """The first window of a sound."""
    level = float(encoded.rms_db[0])
    return Point(encoded.mean[0], encoded.pitch, level, encoded.labels, file.stem, file.name)


def of_row(space: Space, row: int, told: tuple[str, ...]) -> Point:
    """A sound of the corpus, with its labels of the names `told`."""
    found = np.flatnonzero(space.rows == row)
    if not len(found):
        raise RunError(f"the space has the rows 0 to {int(space.rows.max())}, but not {row}")
    at = int(found[0])
    pitch = space.labels["pitch"][at] if "pitch" in space.labels else None
    labels = {
        name: space.labels[name][at] for name in told if name in space.labels and name != "pitch"
    }
    level, words = float(space.rms_db[at]), f"row {row} of the corpus"
    return Point(space.mean[at], pitch, level, labels, f"row-{row}", words)


def of_label(space: Space, text: str, told: tuple[str, ...]) -> Point:
    """The sound that lies nearest to the middle of all with a label, given as "family=brass"."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise RunError(f"near should look like family=brass, got {text!r}")
    if name not in space.labels:
        known = ", ".join(space.labels) or "none"
        raise RunError(
            f"the corpus has no label {name!r}; "
            + suggestion(name, space.labels, f"its labels: {known}")
        )
    values = [str(v) for v in space.labels[name]]
    same = np.flatnonzero([v == value for v in values])
    if not len(same):
        known = sorted(set(values))
        some = ", ".join(known[:NAMED]) + (", ..." if len(known) > NAMED else "")
        raise RunError(
            f"no sound has {name} {value!r}; " + suggestion(value, known, f"there are: {some}")
        )
    points = space.mean[same]
    row = int(space.rows[same[nearest(points, points.mean(0)[None], 1)[1][0, 0]]])
    about = f"row {row} of the corpus, the middle of {len(same)} sounds with {name} {value}"
    return replace(of_row(space, row, told), name=value, about=about)
