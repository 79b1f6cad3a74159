"""How a file becomes sounds: its beginning, chunks that overlap, or one sound from each onset."""

import difflib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from timbrespace.audio.files import Sound, resample
from timbrespace.audio.onsets import find_onsets
from timbrespace.errors import CorpusError

Kind = Literal["start", "chunks", "onsets"]
SHORTEST = 0.02  # seconds
_LONGEST = 600.0
_MARGIN = 0.5  # seconds on both sides that keep the resampler's end effects out of a sound
_BLOCK = 30.0  # seconds that onsets are looked for in at a time
_CONTEXT = 1.0  # seconds around them that they are judged by


@dataclass(frozen=True)
class Cut:
    """What of a file is a sound.

    start: one sound, the file from its beginning; what a picture does not show is not analysed.
    chunks: sounds of `seconds` that begin every `hop` seconds, until all of the file is in one; the
        last is completed with silence.
    onsets: a sound from each onset to the next, at most `seconds` long.
    None for `seconds` is what a picture shows; None for `hop` is half of it.
    """

    kind: Kind = "start"
    seconds: float | None = None
    hop: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            near = difflib.get_close_matches(str(self.kind), get_args(Kind), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise CorpusError(f"cut should be start, chunks or onsets, got {self.kind!r}{hint}")
        if self.kind == "start" and (self.seconds is not None or self.hop is not None):
            raise CorpusError("cut start takes no seconds and no hop; use cut chunks")
        if self.kind == "onsets" and self.hop is not None:
            raise CorpusError("cut onsets takes no hop; its sounds begin at the onsets")
        for name in ("seconds", "hop"):
            value = getattr(self, name)
            if value is not None and not SHORTEST <= value <= _LONGEST:
                raise CorpusError(
                    f"{name} should be from {SHORTEST} to {_LONGEST:g}, got {value:g}"
                )
        if self.hop is not None and self.seconds is not None and self.hop > self.seconds:
            raise CorpusError(
                f"a hop of {self.hop:g} s leaves gaps between chunks of {self.seconds:g} s, and what "
                "lies in them would be lost; use a hop of at most their length"
            )

    def settings(self) -> dict[str, Any]:
        """What `from_settings` needs."""
        return asdict(self)

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Cut":
        """The cut of `settings`."""
        return cls(**{f.name: settings[f.name] for f in fields(cls) if f.name in settings})


@dataclass(frozen=True)
class Piece:
    """One sound of a file: where it begins and how long it is, in samples of the file, its largest
    absolute sample, and mono samples (n,) at the rate that was asked for."""

    start: int
    length: int
    peak: float
    samples: np.ndarray


def pieces(sound: Sound, cut: Cut, sample_rate: int, seen: int) -> Iterator[Piece]:
    """The sounds of an open file, in order, mono at `sample_rate` Hz.

    Each has at most the `seen` samples at that rate that a picture shows. The file passes by in
    blocks: memory does not grow with its length. What `start` does not need is still read, so that
    the whole file is checked.
    """
    if cut.kind == "start":
        yield _beginning(sound, sample_rate, seen)
        return
    rate = sound.sample_rate
    longest = round(rate * (cut.seconds or seen / sample_rate))
    tape = _Tape(sound)
    if cut.kind == "chunks":
        places = _chunks(tape, longest, max(1, round(rate * cut.hop) if cut.hop else longest // 2))
    else:
        places = _onsets(tape, longest)
    for start, length in places:
        own = tape.slice(start, start + length)
        shown = own
        if rate != sample_rate:
            before = min(start, tape.margin)
            tape.advance(start + length + tape.margin)
            around = tape.slice(start - before, start + length + tape.margin)
            first = round(before * sample_rate / rate)
            last = first + math.ceil(length * sample_rate / rate)
            shown = resample(around, rate, sample_rate)[first:last]
        peak = float(np.abs(own).max(initial=0.0))
        yield Piece(start, len(own), peak, np.ascontiguousarray(shown[:seen]))


def _beginning(sound: Sound, sample_rate: int, seen: int) -> Piece:
    rate, kept, n = sound.sample_rate, [], 0
    same = rate == sample_rate
    needed = seen if same else math.ceil(seen * rate / sample_rate) + round(_MARGIN * rate)
    for block in sound:
        if n < needed:
            part = block[:, : needed - n]
            kept.append(part[0] if len(part) == 1 else part.mean(axis=0))
        n += block.shape[1]
    mono = kept[0] if len(kept) == 1 else np.concatenate(kept)
    samples = mono if same else resample(mono, rate, sample_rate)[:seen]
    return Piece(0, n, sound.facts.peak, samples)


class _Tape:
    """The mono sound of a file that passes by, as far as it was heard and not yet forgotten."""

    def __init__(self, sound: Sound) -> None:
        self.rate = sound.sample_rate
        self.margin = round(_MARGIN * self.rate)
        self.heard = 0
        self._blocks = iter(sound)
        self._mono = np.zeros(0, np.float32)

    def advance(self, until: int) -> bool:
        """Hear everything before sample `until`; False when the sound has fewer."""
        while self.heard < until:
            block = next(self._blocks, None)
            if block is None:
                return False
            mono = block[0] if len(block) == 1 else block.mean(axis=0)
            self._mono = np.concatenate([self._mono, mono])
            self.heard += len(mono)
        return True

    def slice(self, start: int, stop: int) -> np.ndarray:
        """The samples from `start` to before `stop`; fewer where the sound ends."""
        first = self.heard - len(self._mono)
        return self._mono[max(0, start - first) : max(0, stop - first)]

    def forget(self, before: int) -> None:
        """Samples before `before` will not be asked for any more."""
        spare = before - (self.heard - len(self._mono))
        if spare > len(self._mono) // 2:  # seldom, since the rest is copied
            self._mono = self._mono[spare:].copy()


def _chunks(tape: _Tape, length: int, hop: int) -> Iterator[tuple[int, int]]:
    start = 0
    while tape.advance(start + length + 1):
        yield start, length
        start += hop
        tape.forget(start - tape.margin)
    yield start, tape.heard - start


def _onsets(tape: _Tape, longest: int) -> Iterator[tuple[int, int]]:
    block, context = round(_BLOCK * tape.rate), round(_CONTEXT * tape.rate)
    shortest = round(SHORTEST * tape.rate)
    open_, done, more = None, 0, True
    while more:
        more = tape.advance(done + block + context)
        end = done + block if more else tape.heard
        first = max(0, done - context)
        found = find_onsets(tape.slice(first, end + context), tape.rate) + first
        for onset in found[(found >= done) & (found < end)].tolist():
            if open_ is not None:
                yield open_, min(longest, onset - open_)
            open_ = onset
        done = end
        if open_ is not None and done - open_ >= longest:
            yield open_, longest
            open_ = None
        tape.forget((done if open_ is None else open_) - context - tape.margin)
    if open_ is not None and tape.heard - open_ >= shortest:
        yield open_, min(longest, tape.heard - open_)
