"""The keyboard: names of notes, which keys share a sample, which velocities share a layer."""

import re
from dataclasses import dataclass

from timbrespace.errors import RunError

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LOUDEST = 127  # MIDI
USUAL = 100  # the velocity of a single layer
_NOTE = r"(?:[A-Ga-g][#b]?-?\d+|\d+)"


@dataclass(frozen=True)
class Zone:
    """The keys low..high (MIDI) that play the sample of `root`."""

    root: int
    low: int
    high: int


@dataclass(frozen=True)
class Layer:
    """The velocities low..high that play the sample of `velocity`; `place` from 0, the softest, to 1."""

    velocity: int
    low: int
    high: int
    place: float


def note_name(key: int) -> str:
    """The name of a MIDI number; 60 is C4."""
    return f"{NAMES[key % 12]}{key // 12 - 1}"


def key_of(text: str) -> int:
    """The MIDI number of a note: "C4", "f#3", "Bb-1" or "60". RunError for anything else."""
    found = re.fullmatch(r"([A-Ga-g])([#b]?)(-?\d+)|(\d+)", text)
    key = -1
    if found and found[4]:
        key = int(found[4])
    elif found:
        step = {"#": 1, "b": -1, "": 0}[found[2]]
        key = NAMES.index(found[1].upper()) + step + 12 * (int(found[3]) + 1)
    if not 0 <= key <= 127:
        raise RunError(f"{text!r} is no key; give a note such as C4 or F#3, or a number 0 to 127")
    return key


def key_range(text: str) -> tuple[int, int]:
    """Lowest and highest key of "C2-C6", "36-84" or one note alone."""
    found = re.fullmatch(rf"\s*({_NOTE})\s*(?:-\s*({_NOTE})\s*)?", text)
    if not found:
        raise RunError(f"keys should look like C2-C6 or 36-84, got {text!r}")
    low = key_of(found[1])
    high = key_of(found[2]) if found[2] else low
    if high < low:
        raise RunError(f"keys should go from low to high, got {text!r}")
    return low, high


def zones(low: int, high: int, every: int) -> list[Zone]:
    """Roots at every `every`-th key from `low`; each key belongs to the root that is nearest."""
    if every < 1:
        raise RunError(f"a sample is for every 1 or more semitones, got {every}")
    roots = range(low, high + 1, every)
    below, above = (every - 1) // 2, every // 2
    return [
        Zone(root, max(low, root - below), high if root == roots[-1] else root + above)
        for root in roots
    ]


def layers(count: int) -> list[Layer]:
    """`count` even parts of the velocities 1..127, each with the sample of its middle."""
    if not 1 <= count <= 16:
        raise RunError(f"an instrument has 1 to 16 layers of velocity, got {count}")
    if count == 1:
        return [Layer(USUAL, 1, LOUDEST, 0.0)]
    borders = [round(i * LOUDEST / count) for i in range(count + 1)]
    return [
        Layer((low + 1 + high) // 2, low + 1, high, index / (count - 1))
        for index, (low, high) in enumerate(zip(borders[:-1], borders[1:], strict=True))
    ]
