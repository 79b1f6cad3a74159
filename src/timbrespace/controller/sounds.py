"""The dry sounds that a controller is made on, and one that is kept back to measure it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbrespace.audio.files import read
from timbrespace.controller.heard import SAMPLE_RATE
from timbrespace.data.corpus import Corpus
from timbrespace.data.notes import built_in
from timbrespace.data.pair_parts import DRY_PEAK
from timbrespace.data.storage import is_address
from timbrespace.errors import EffectError

MADE_ON = 3  # sounds, at most: each costs a render a setting
NOTES = ((0, 48), (48, 60), (61, 55), (24, 52))  # built-in: General MIDI program and key


@dataclass(frozen=True)
class DrySounds:
    """Sounds (n,), mono, at SAMPLE_RATE and a peak of -12 dBFS: `made_on`, and the one that is `kept` back,
    which is the first of `made_on` (and `apart` False) where there is no other."""

    made_on: list[np.ndarray]
    kept: list[np.ndarray]
    apart: bool
    about: str


def dry_sounds(places: Sequence[str | Path] = (), *, seed: int = 0) -> DrySounds:
    """Those of a corpus (of the training split, and one of the test split), or of files, of which the last is
    kept back; without any, four notes of the built-in instruments.

    EffectError where a corpus comes with other places, AudioError and CorpusError where a sound cannot be read.
    """
    corpora = [p for p in places if is_address(p) or (Path(p) / "corpus.json").is_file()]
    if corpora and len(places) > 1:
        raise EffectError(f"{corpora[0]} is a corpus; give one corpus, or sound files, not both")
    if corpora:
        return _of_corpus(Corpus.open(corpora[0]), seed)
    if places:
        last = len(places) - 1
        chosen = [*range(min(MADE_ON, max(last, 1))), last]
        sounds = [read(places[i], sample_rate=SAMPLE_RATE).mono() for i in chosen]
        return _split(sounds, f"{len(set(chosen))} of {len(places)} files", apart=last > 0)
    return _split(built_in(NOTES, SAMPLE_RATE), "notes of the built-in instruments", apart=True)


def _of_corpus(corpus: Corpus, seed: int) -> DrySounds:
    rng = np.random.default_rng(seed)
    made_on = rng.permutation(corpus.split_rows("train"))[:MADE_ON].tolist()
    kept = rng.permutation(corpus.split_rows("test"))[:1].tolist()
    rows = [*made_on, *(kept or made_on[:1])]
    sounds = [corpus.audio(row, sample_rate=SAMPLE_RATE).mono() for row in rows]
    if not made_on:
        raise EffectError(f"{corpus.path} has no training sounds; give files instead")
    return _split(sounds, f"rows {', '.join(map(str, rows))} of {corpus.path}", apart=bool(kept))


def _split(sounds: list[np.ndarray], about: str, *, apart: bool) -> DrySounds:
    levelled = [_level(sound) for sound in sounds]
    return DrySounds(levelled[:-1], levelled[-1:], apart, about)


def _level(sound: np.ndarray) -> np.ndarray:
    """At the peak of -12 dBFS that pairs have, since effects hear how loud a sound is; silence stays silence,
    which is refused where it is listened to."""
    peak = float(np.abs(sound).max(initial=0.0))
    return sound * np.float32(DRY_PEAK / peak) if peak > 1e-6 else sound
