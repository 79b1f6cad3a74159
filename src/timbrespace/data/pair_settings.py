"""Which pairs are rendered: what was asked for, and what follows from it for each effect by chance."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from timbrespace.audio.files import printable
from timbrespace.data.corpus import Corpus
from timbrespace.data.pairs import FACTS
from timbrespace.data.sources import RESERVED
from timbrespace.data.table import SPLITS
from timbrespace.effects.catalogue import find
from timbrespace.errors import CorpusError
from timbrespace.features.pair import Pair

ALL = (
    "delay", "overdrive", "reverb", "chorus", "phaser", "compressor", "eq", "bitcrush", "multiband",
    "ringmod",
)  # fmt: skip
SETTINGS = ("fixed", "random", "grid")
LEVELS = {
    "kept": "the dry peak at -12 dBFS, the wet sound by the same gain; both softer where it would pass "
    "-1 dBFS",
    "each": "both peaks at -12 dBFS",
}
COLUMNS = ("file", "split", "effect", "setting", "sound")  # of the table of pairs


@dataclass(frozen=True)
class Request:
    """What decides a rendering; see `render_pairs`."""

    effects: tuple[str, ...]
    settings: str = "random"
    number: int = 1000
    sample_rate: int = 16000
    samples: int = 32768
    level: str = "kept"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("settings", SETTINGS), ("level", LEVELS)):
            if getattr(self, name) not in known:
                raise CorpusError(
                    f"{name} should be {', '.join(known)}; got {getattr(self, name)!r}"
                )
        if self.number < 1:
            raise CorpusError(f"n should be at least 1 pair an effect, got {self.number}")
        if not self.effects:
            raise CorpusError(f"name at least one effect, or all, which are {', '.join(ALL)}")
        Pair(self.sample_rate, samples=self.samples)  # whether there is a picture of such pairs


@dataclass(frozen=True)
class Plan:
    """The settings of one effect: how many in each split, on how many sounds each is rendered."""

    name: str
    folder: str
    knobs: int
    counts: tuple[int, ...]
    sounds: int
    grid: tuple[int, ...]
    request: Request

    @property
    def units(self) -> int:
        """Settings, or for fixed ones sounds, that are drawn, rendered and counted as one."""
        return sum(self.counts)

    def split(self, unit: int) -> int:
        return int(np.searchsorted(np.cumsum(self.counts), unit, side="right"))

    def draw(self, unit: int, trial: int) -> np.random.Generator:
        """The chance that decides a unit, and nothing else: a function of seed, effect and number."""
        name = zlib.crc32(self.name.encode())
        return np.random.default_rng([self.request.seed, name, unit, trial])

    def place(self, unit: int) -> int:
        """The number of the setting of a unit; places of a grid are dealt to the splits."""
        if self.request.settings == "fixed":
            return 0
        if self.request.settings == "random":
            return unit
        name = zlib.crc32(self.name.encode())
        return int(np.random.default_rng([self.request.seed, name]).permutation(self.units)[unit])

    def knob_places(self, unit: int, rng: np.random.Generator) -> np.ndarray:
        """Where the knobs of a unit stand, (K,) from 0 to 1."""
        if self.request.settings == "fixed":
            return np.full(self.knobs, 0.5)
        if self.request.settings == "random":
            return rng.random(self.knobs)
        at = np.unravel_index(self.place(unit), self.grid)
        return np.array(
            [0.5 if n == 1 else k / (n - 1) for k, n in zip(at, self.grid, strict=True)]
        )


def grid_of(knobs: int, number: int) -> tuple[int, ...]:
    """Places of each knob, (K,), whose product comes as near to `number` as an even grid does.

    A knob with one place stands in the middle; from two on, both ends are among them.
    """
    places = [1] * knobs
    while knobs:
        lowest = places.index(min(places))
        more = [*places[:lowest], places[lowest] + 1, *places[lowest + 1 :]]
        if abs(prod(more) - number) > abs(prod(places) - number):
            break
        places = more
    return tuple(places)


def shared(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """`number` over splits as their `sizes` are, the largest remainders first; one at least for each that
    has any, where there are enough."""
    there = [size > 0 for size in sizes]
    least = [int(some and number >= sum(there)) for some in there]
    exact = [number * size / sum(sizes) for size in sizes]
    counts = [max(low, int(part)) for low, part in zip(least, exact, strict=True)]
    while sum(counts) != number:
        step = 1 if sum(counts) < number else -1
        off = [
            step * (part - count) if count + step >= low else -np.inf
            for part, count, low in zip(exact, counts, least, strict=True)
        ]
        counts[int(np.argmax(off))] += step
    return tuple(counts)


def plans_of(request: Request, corpus: Corpus) -> list[Plan]:
    """What is rendered of each effect; all that can be refused before anything is written is refused."""
    if (corpus.path / FACTS).exists():
        raise CorpusError(f"{printable(corpus.path)} holds pairs; give the corpus of dry sounds")
    rows = [len(corpus.split_rows(split)) for split in SPLITS]
    found = [find(name) for name in request.effects]
    knobs = {f"{effect.name}.{knob.name}" for effect in found for knob in effect.knobs}
    taken = {*COLUMNS, *RESERVED, *knobs}.intersection(corpus.label_names)
    if taken:
        raise CorpusError(
            f"{printable(corpus.path)} has a label {sorted(taken)[0]!r}, a name that pairs use; rename it"
        )
    sounds = 2 if request.settings == "random" else 1
    lone = [split for split, count in zip(SPLITS, rows, strict=True) if 0 < count < sounds]
    if lone:
        raise CorpusError(
            f"{printable(corpus.path)} has one sound in {lone[0]}, but every setting is rendered on two; "
            "use more sounds, or settings fixed or grid"
        )
    plans: list[Plan] = []
    for effect in found:
        grid = grid_of(len(effect.knobs), request.number) if request.settings == "grid" else ()
        units = prod(grid) if grid else -(-request.number // sounds)
        plans.append(
            Plan(
                effect.name,
                _folder(effect.name, [plan.folder for plan in plans]),
                len(effect.knobs),
                shared(units, rows),
                sounds,
                grid,
                request,
            )  # fmt: skip
        )
    return plans


def _folder(name: str, taken: Sequence[str]) -> str:
    """The folder of an effect's pairs: its name with nothing in it that a file system minds."""
    plain = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:80] or "effect"
    return plain if plain not in taken else f"{plain}-{len(taken) + 1}"
