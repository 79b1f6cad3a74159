"""Which values the labels of sounds have, and the number by which the networks know each of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from timbrespace.effects.knobs import Knob

MIDI = 128  # pitch and velocity are whole numbers 0..127
NUMBERS = ("pitch", "velocity")


@dataclass(frozen=True)
class Vocabulary:
    """The labels of a model by name, each with its values in a fixed order; a value's number is its
    place. Pitch and velocity are MIDI numbers, which need no list: theirs is empty.

    The number after the last, `count`, stands for "unknown". `knobs` are those of each effect, a value of
    the label "effect", where a model reads them off pairs.
    """

    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    knobs: dict[str, tuple[Knob, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, labels: Mapping[str, Iterable[Any]], knobs: dict[str, tuple[Knob, ...]] | None = None
    ) -> "Vocabulary":
        """The distinct values of each label, sorted; whole numbers by size, all else as text."""

        def ordered(values: Iterable[Any]) -> tuple[str, ...]:
            known = {v for v in values if v is not None and v != ""}
            whole = all(isinstance(v, int) for v in known)
            return tuple(map(str, sorted(known if whole else {str(v) for v in known})))

        words = {name: () if name in NUMBERS else ordered(v) for name, v in labels.items()}
        return cls(words, knobs or {})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.words)

    @property
    def knob_columns(self) -> list[tuple[str, Knob]]:
        """Every knob of every effect in a fixed order, with the corpus' column that has its values,
        such as overdrive.drive."""
        return [
            (f"{effect}.{knob.name}", knob)
            for effect in self.words.get("effect", ())
            for knob in self.knobs.get(effect, ())
        ]

    @property
    def knob_places(self) -> dict[str, slice]:
        """Where the knobs of each effect lie in `knob_columns`."""
        places, start = {}, 0
        for effect in self.words.get("effect", ()):
            places[effect] = slice(start, start + len(self.knobs.get(effect, ())))
            start = places[effect].stop
        return places

    def count(self, name: str) -> int:
        """How many values the label has; a label that is not here has none."""
        return MIDI if name in NUMBERS else len(self.words.get(name, ()))

    def number(self, name: str, value: Any) -> float:
        """The number of a value. None, empty text, a word that is not listed, and what is no MIDI
        number are unknown; MIDI numbers may have a fraction."""
        unknown = self.count(name)
        if value is None or value == "":
            return unknown
        if name not in NUMBERS:
            words = self.words.get(name, ())
            return words.index(str(value)) if str(value) in words else unknown
        try:
            found = float(value)
        except (TypeError, ValueError):
            return unknown
        return found if math.isfinite(found) and 0.0 <= found <= MIDI - 1 else unknown
