"""Thirty seconds of accompaniment in the manner of each of GTZAN's genres, played by the built-in bank.

A genre is a table of patterns (sixteen steps a bar), chords and instruments; a clip draws a key, a
tempo, a progression and instruments from it by its seed. The bank has no drums, so these are made
of sines and noise. It is music by rule, without singers or production: a groove, not a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.signal import butter, sosfilt

from timbrespace.data.instruments import BANK
from timbrespace.data.sampler import Sampler
from timbrespace.data.soundfont import Preset, SoundFont

RATE, LENGTH = 22050, 661_794  # GTZAN's: 30.01 s
STEPS = 16  # a bar
QUALITIES = {
    "": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "m7": (0, 3, 7, 10), "M7": (0, 4, 7, 11),
    "5": (0, 7, 12),
}  # fmt: skip
DEGREES = {"1": 0, "3": 4, "5": 7, "6": 9, "8": 12}  # of the bass patterns, in semitones
MAJOR, MINOR, BLUES = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 6, 7, 10)


@dataclass(frozen=True)
class Groove:
    """A genre. Patterns have a sign a step: x plays, . rests, and for the bass the degree.

    Chords are "semitones above the key:quality"; programs are General MIDI numbers.
    """

    tempo: tuple[int, int]
    progressions: tuple[str, ...]
    bass: tuple[str, ...]
    comp: tuple[str, ...]
    bass_programs: tuple[int, ...]
    comp_programs: tuple[int, ...]
    lead_programs: tuple[int, ...]
    scale: tuple[int, ...]
    density: float  # share of the eighths at which the lead plays
    kick: str = ""
    snare: str = ""
    hat: str = ""
    swing: float = 0.5  # where the second of two eighths lies between them


GROOVES = {
    "blues": Groove(
        (66, 112), ("0:7 5:7 0:7 0:7 5:7 5:7 0:7 0:7 7:7 5:7 0:7 7:7",
                    "0:7 0:7 0:7 0:7 5:7 5:7 0:7 0:7 7:7 5:7 0:7 0:7"),
        ("1...3...5...6...", "1.1.5.5.6.6.5.5."), ("x.....x.....x...", "..x...x...x...x."),
        (32, 33), (0, 18, 26), (22, 26, 29, 66), BLUES, 0.4,
        "x.......x.......", "....x.......x...", "x.x.x.x.x.x.x.x.", 0.66,
    ),
    "classical": Groove(
        (58, 108), ("0: 7: 9:m 5: 0: 5: 7: 0:", "0:m 5:m 7: 0:m 8: 5:m 7: 0:m"),
        ("1.......5.......", "1..............."), ("x.x.x.x.x.x.x.x.", "x...x...x...x..."),
        (42, 43, 70), (0, 6, 48, 46), (40, 68, 71, 73), MAJOR, 0.45,
    ),
    "country": Groove(
        (96, 150), ("0: 0: 5: 0: 0: 7: 7: 0:", "0: 5: 0: 7: 0: 5: 7: 0:"),
        ("1.......5.......",), ("....x.......x...", "..x.x.x...x.x.x."),
        (32, 33), (25, 24), (105, 110, 22, 25), MAJOR, 0.5,
        "x.......x.......", "....x.......x...", "..x...x...x...x.",
    ),
    "disco": Groove(
        (110, 128), ("9:m7 2:m7 7:7 0:M7", "0:m7 5:m7 8:M7 7:7"),
        ("1.8.1.8.1.8.1.8.", "1...8.8.1...8.8."), ("..x...x...x..xx.", "x..x..x.x..x..x."),
        (33, 37, 38), (27, 4, 50), (48, 61, 81), MINOR, 0.3,
        "x...x...x...x...", "....x.......x...", "..x...x...x...x.",
    ),
    "hiphop": Groove(
        (78, 100), ("0:m7 0:m7 8:M7 7:m7", "0:m7 10: 0:m7 5:m7"),
        ("1.....1...1.....", "1..1......5....."), ("x...............", "x.......x......."),
        (38, 39, 35), (4, 5, 11, 89), (99, 11, 73), MINOR, 0.15,
        "x.....x...x.....", "....x.......x..x", "x.x.x.x.x.xxx.x.", 0.56,
    ),
    "jazz": Groove(
        (112, 210), ("2:m7 7:7 0:M7 9:7 2:m7 7:7 0:M7 0:M7", "0:M7 9:m7 2:m7 7:7"),
        ("1...3...5...6...", "1...5...8...5..."), ("..x.....x.......", "x.....x........."),
        (32,), (0, 26, 11), (56, 59, 65, 66, 71), MAJOR, 0.6,
        "x.......x.......", "............x...", "x...x.x.x...x.x.", 0.66,
    ),
    "metal": Groove(
        (132, 196), ("0:5 0:5 1:5 0:5", "0:5 3:5 5:5 6:5", "0:5 8:5 10:5 7:5"),
        ("1.1.1.1.1.1.1.1.", "1.111.111.111.11"), ("x.xxx.xxx.xxx.xx", "x...x.x.x...x.x."),
        (34, 33), (30, 28), (30, 29), MINOR, 0.55,
        "x.xxx.xxx.xxx.xx", "....x.......x...", "x...x...x...x...",
    ),
    "pop": Groove(
        (92, 128), ("0: 7: 9:m 5:", "9:m 5: 0: 7:", "0: 9:m 5: 7:"),
        ("1.....1.1.......", "1...1...1...1..."), ("x...x...x...x...", "x..x..x...x..x.."),
        (33, 38, 36), (0, 27, 89, 90), (81, 80, 53, 85), MAJOR, 0.35,
        "x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.",
    ),
    "reggae": Groove(
        (66, 88), ("0:m7 5:m7 0:m7 5:m7", "0: 2:m 0: 5:", "0:m 10: 8: 10:"),
        ("1..1..5.....8.5.", "..1.1.5...1.3..."), ("....x.......x...", "..x...x...x...x."),
        (33, 35), (16, 27, 17), (61, 22, 65), MINOR, 0.25,
        "........x.......", "........x.......", "x.x.x.x.x.x.x.x.", 0.58,
    ),
    "rock": Groove(
        (104, 152), ("0:5 5:5 7:5 5:5", "0:5 10:5 5:5 0:5", "0:5 0:5 5:5 7:5"),
        ("1.1.1.1.1.1.1.1.", "1...1.1.1...1.1."), ("x...x.x.x...x.x.", "x.x.x.x.x.x.x.x."),
        (33, 34), (29, 30, 27), (29, 30, 18), BLUES, 0.35,
        "x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.",
    ),
}  # fmt: skip


def clip(genre: str, number: int) -> np.ndarray:
    """Clip `number` of a genre: (LENGTH,) float32 at RATE Hz; the same for the same number."""
    groove, rng = GROOVES[genre], np.random.default_rng([list(GROOVES).index(genre), number])

    def one(choices: tuple) -> object:
        return choices[rng.integers(len(choices))]

    beat = 60.0 / rng.uniform(*groove.tempo)
    key = int(rng.integers(-5, 7))
    chords = [chord.split(":") for chord in str(one(groove.progressions)).split()]
    bass, comp = str(one(groove.bass)), str(one(groove.comp))
    programs = [one(p) for p in (groove.bass_programs, groove.comp_programs, groove.lead_programs)]
    band = _Band(np.zeros(LENGTH + RATE, np.float32), programs, beat, groove.swing)
    lead = 0
    for bar in range(int(LENGTH / RATE / (4 * beat)) + 1):
        step, quality = chords[bar % len(chords)]
        root, tones = key + int(step), QUALITIES[quality]
        for at in range(STEPS):
            if bass[at] in DEGREES:
                third = "m" in quality and bass[at] == "3"
                band.play(0, 36 + root % 12 + DEGREES[bass[at]] - third, bar, at, 2, 100)
            if comp[at] == "x":
                for tone in tones:
                    band.play(1, 48 + root % 12 + tone, bar, at, 3, 72)
            if bar >= 2 and at % 2 == 0 and rng.random() < groove.density:
                lead = int(np.clip(lead + rng.integers(-2, 3), -3, 9))
                octave, degree = divmod(lead, len(groove.scale))
                note = 65 + key + 12 * octave + groove.scale[degree]
                band.play(2, note, bar, at, int(rng.integers(2, 6)), 85)
            for name, pattern, level in (
                ("kick", groove.kick, 0.9), ("snare", groove.snare, 0.5), ("hat", groove.hat, 0.2)
            ):  # fmt: skip
                if pattern and pattern[at] == "x":
                    band.add(drum(name), bar, at, level * rng.uniform(0.8, 1.0))
    whole = band.out[:LENGTH]
    return (0.85 / max(float(np.abs(whole).max()), 1e-6) * whole).astype(np.float32)


class _Band:
    """Three players and a mixing desk. Steps become samples by tempo and swing."""

    def __init__(
        self, out: np.ndarray, programs: list, beat: float, swing: float
    ) -> None:  # fmt: skip
        self.out, self._programs, self._beat, self._swing = out, programs, beat, swing
        self._notes: dict[tuple[int, int, int], np.ndarray] = {}

    def play(self, player: int, note: int, bar: int, step: int, steps: int, velocity: int) -> None:
        known = (player, note, steps)
        if known not in self._notes:
            preset = presets()[self._programs[player]]
            self._notes[known] = sampler().note(
                preset, note, velocity, held=0.9 * steps * self._beat / 4, released=0.3
            )
        self.add(self._notes[known], bar, step, 0.6)

    def add(self, sound: np.ndarray, bar: int, step: int, level: float) -> None:
        place = 4 * bar + step // 4 + (step % 4 // 2) * self._swing + (step % 2) * 0.25
        start = round(place * self._beat * RATE)
        room = min(len(sound), len(self.out) - start)
        if room > 0:
            self.out[start : start + room] += level * sound[:room]


@cache
def sampler() -> Sampler:
    """The built-in bank at GTZAN's rate."""
    return Sampler(SoundFont.open(BANK), RATE)


@cache
def presets() -> dict[int, Preset]:
    """The bank's presets by program."""
    return {preset.program: preset for preset in sampler().font.presets if preset.bank == 0}


@cache
def drum(name: str) -> np.ndarray:
    """A kick, snare or hat, at most a third of a second."""
    t = np.arange(round(0.33 * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(t))
    if name == "kick":
        return np.sin(2 * np.pi * (48 * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)
    edge = 1500 if name == "snare" else 7000
    bright = sosfilt(butter(2, edge, "highpass", fs=RATE, output="sos"), noise)
    if name == "hat":
        return bright * np.exp(-t / 0.025)
    return (0.4 * bright + 0.6 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.07)
