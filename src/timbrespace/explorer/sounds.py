"""Where the sounds come from that effects are played on: given files, a corpus, the built-in instruments,
and files dropped on the page."""

from __future__ import annotations

import tempfile
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.audio.files import Audio, read
from timbrespace.errors import AudioError, TimbrespaceError
from timbrespace.explorer.view import NotHere
from timbrespace.matching.pairing import comparable

if TYPE_CHECKING:
    from timbrespace.data.corpus import Corpus

PLAYED = 10.0  # seconds that are played of a sound: a render has to stay instant
DROPPED_BYTES = 32 * 2**20
DROPPED_SECONDS = 600.0
KEPT_DROPPED = 16  # files dropped on the page that are kept
KEPT = 32  # sounds kept ready
FIRST_WET = (
    5 * 10**8
)  # ids from here on are the wet sounds of pairs, in the order of their dry ones
FIRST_DROPPED = 10**9  # and from here on dropped files; those below are the source's own
LONGEST_NAME = 120  # characters
LEVEL = 10.0 ** (-12.0 / 20.0)  # peak of a built-in note: room for what an effect adds

# General MIDI program and key: what sounds different under the same effect
NOTES = (
    ("Electric guitar, E3", 27, 52), ("Steel guitar, A2", 25, 45), ("Grand piano, C4", 0, 60),
    ("Electric piano, F3", 4, 53), ("Organ, C3", 16, 48), ("Bass, E1", 33, 28), ("Violin, A4", 40, 69),
    ("Choir, C4", 52, 60), ("Trumpet, G4", 56, 67), ("Saxophone, D4", 65, 62), ("Flute, C5", 73, 72),
    ("Synthesizer lead, C4", 81, 60), ("Vibraphone, F4", 11, 65),
)  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """A sound as it is played: samples (1 or 2, n) float32 at a rate that browsers play; `whole` is its
    length in seconds before it was cut."""

    name: str
    samples: np.ndarray
    sample_rate: int
    whole: float

    @property
    def seconds(self) -> float:
        return self.samples.shape[1] / self.sample_rate


class Source(ABC):
    """Sounds by id; an id is the same as long as the page is served."""

    words: str  # what the sounds are, for the head of their list

    @abstractmethod
    def names(self) -> list[tuple[int, str]]:
        """All ids with a name each, in order."""

    @abstractmethod
    def audio(self, number: int) -> Audio:
        """The sound of an id; NotHere where there is none, AudioError where it cannot be read."""

    def wet(self, number: int) -> Audio:
        """The same sound with an effect; NotHere where the source has none."""
        raise _missing(number)


class Files(Source):
    """Files that were named when the page was started."""

    words = "The given files"

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def names(self) -> list[tuple[int, str]]:
        return [(number, path.name) for number, path in enumerate(self.paths)]

    def audio(self, number: int) -> Audio:
        if number >= len(self.paths):
            raise _missing(number)
        return read(self.paths[number])


class Rows(Source):
    """The sounds of a corpus, by row id, of one of pairs the dry ones; `find` gives the corpus as it is
    now."""

    words = "The corpus"

    def __init__(self, find: Callable[[], Corpus]) -> None:
        self.find = find

    def names(self) -> list[tuple[int, str]]:
        try:
            rows = self.find().rows
            return [(row, name) for row in range(len(rows)) if (name := rows.name(row))]
        except (TimbrespaceError, OSError):
            return []  # it moved away: files can still be dropped

    def audio(self, number: int) -> Audio:
        return self._audio(number, 0)

    def wet(self, number: int) -> Audio:
        return self._audio(number, 1)

    def _audio(self, number: int, part: int) -> Audio:
        """Of a pair the dry (0) or the wet (1) part, of any other sound its only one."""
        from timbrespace.data.pairs import FACTS, dry_and_wet, facts_in

        corpus = self.find()
        if number >= len(corpus.rows):
            raise _missing(number)
        facts = facts_in(corpus.path / FACTS)
        if facts is not None:
            rate, samples = (facts["request"][name] for name in ("sample_rate", "samples"))
            return Audio(dry_and_wet(corpus, number, rate, samples)[part, None], rate)
        if part:
            raise _missing(number)
        return corpus.audio(number)


class BuiltIn(Source):
    """A few notes of the built-in instruments, rendered when they are first asked for."""

    words = "Built-in instruments"

    def names(self) -> list[tuple[int, str]]:
        return [(number, name) for number, (name, _, _) in enumerate(NOTES)]

    def audio(self, number: int) -> Audio:
        from timbrespace.data.instruments import SAMPLE_RATE
        from timbrespace.data.notes import built_in

        if number >= len(NOTES):
            raise _missing(number)
        (note,) = built_in([NOTES[number][1:]], SAMPLE_RATE)
        return Audio((note * (LEVEL / np.abs(note).max()))[None], SAMPLE_RATE)


class Shelf:
    """The sounds of a source and those dropped on the page, as they are played."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._ready: OrderedDict[int, Sound] = OrderedDict()
        self._dropped: OrderedDict[int, Sound] = OrderedDict()
        self._next = FIRST_DROPPED
        self._names: dict[int, str] = {}
        self._guard = threading.Lock()

    def names(self) -> list[tuple[int, str]]:
        """Dropped files first, the newest before the others, then the source's sounds."""
        with self._guard:
            dropped = [(number, sound.name) for number, sound in reversed(self._dropped.items())]
        known = self.source.names()
        self._names = dict(known)
        return dropped + known

    def sound(self, number: int) -> Sound:
        """NotHere where there is none of this id, AudioError where it cannot be read."""
        with self._guard:
            for kept in (self._dropped, self._ready):
                if number in kept:
                    return kept[number]
        if number >= FIRST_DROPPED:
            raise NotHere("This file is not kept any more; drop it again.")
        own, is_wet = number % FIRST_WET, number >= FIRST_WET
        audio = self.source.wet(own) if is_wet else self.source.audio(own)
        if not self._names:
            self.names()
        name = self._names.get(own, f"sound {own}")
        sound = played(f"{name}, with the effect" if is_wet else name, audio)
        with self._guard:
            self._ready[number] = sound
            while len(self._ready) > KEPT:
                self._ready.popitem(last=False)
        return sound

    def wet(self, number: int) -> int | None:
        """The id of the same sound with an effect, where the source has it: of a pair."""
        if number >= FIRST_WET:
            return None
        try:
            self.sound(FIRST_WET + number)
        except NotHere:
            return None
        return FIRST_WET + number

    def drop(self, name: str, data: bytes) -> int:
        """Keep a file that was dropped on the page; its id. AudioError where it is no usable sound."""
        shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())[
            :LONGEST_NAME
        ]
        with tempfile.TemporaryDirectory(prefix="timbrespace-") as folder:
            path = Path(folder) / "sound"  # never the name that the client gives
            path.write_bytes(data)
            try:
                audio = read(path, max_seconds=DROPPED_SECONDS)
            except AudioError as error:
                words = str(error).removeprefix(f"{path}: ")
                raise AudioError(f"{shown or 'This file'} cannot be played: {words}") from None
        return self.keep(played(shown or "dropped file", audio))

    def keep(self, sound: Sound) -> int:
        """Keep a sound beside the source's own, until others have taken its place; its id."""
        with self._guard:
            number, self._next = self._next, self._next + 1
            self._dropped[number] = sound
            while len(self._dropped) > KEPT_DROPPED:
                self._dropped.popitem(last=False)
        return number


def played(name: str, audio: Audio) -> Sound:
    """A sound as it is played: its beginning, mono or stereo, at a rate at which it can be matched, which are
    those that browsers play."""
    rate = comparable(audio.sample_rate)
    samples = audio.samples if len(audio.samples) <= 2 else audio.mono()[None]
    cut = Audio(
        np.asarray(samples[:, : round(PLAYED * audio.sample_rate)], np.float32), audio.sample_rate
    )
    return Sound(name, cut.at(rate).samples, rate, audio.seconds)


def _missing(number: int) -> NotHere:
    return NotHere(f"There is no sound {number} here.")
