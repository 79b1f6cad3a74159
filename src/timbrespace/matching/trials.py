"""Settings that are tried for one reference, and what each was worth: what every step of a search shares."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError
from timbrespace.matching.distance import Target

FOUND = 0.002  # of the distance of doing nothing: what comes this near is found
FEWEST = 8  # renders that are made however late it is
PRIOR = 0.08  # of the distance of doing nothing: so much nearer a setting has to be that is all at rails
CERTAIN = 0.05  # the least spread that is believed

Progress = Callable[[str, int, int, dict[str, float]], None]


class Spent(Exception):
    """There is no more budget, or nothing more to find: a search ends where it stands."""


@dataclass(frozen=True)
class Expected:
    """Where a model expects an effect's knobs, `places` (K,) from 0 to 1, and the standard deviation `spread`
    (K,) of what it thinks possible."""

    places: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Reached:
    """The best place (K,) when a stage of a search ended, its sound, and after so many renders and `at` which
    time (`time.monotonic`) that was; no sound where none has been made."""

    place: np.ndarray
    sound: np.ndarray | None
    renders: int
    at: float


class Trials:
    """Places (K,) of an effect's knobs, 0 to 1, each with the distance of its render from a target.

    At most `renders` are made, none but the first few later than `until` (`time.monotonic`); `Spent` tells
    a search to end. A place where the effect fails is as far away as can be.
    """

    def __init__(
        self, effect: Effect, dry: np.ndarray, sample_rate: int, target: Target, *, renders: int,
        until: float = float("inf"), progress: Progress | None = None,
        expected: Expected | None = None,
    ) -> None:  # fmt: skip
        """`dry` (..., n) at `sample_rate` Hz, with the target's number of samples."""
        self.expected = expected
        self.effect, self.dry, self.sample_rate, self.target = effect, dry, sample_rate, target
        self.renders, self.until, self.progress = renders, until, progress
        self.nothing = target.distance(dry)
        self.places: list[np.ndarray] = []
        self.distances: list[float] = []
        # The place that comes nearest, or nearly as near with knobs that are likelier: a prior over settings
        # decides what can hardly be heard. A target that is reached is. `nearest`: its sound.
        self.best = np.full(len(effect.knobs), 0.5)
        self.nearest: np.ndarray | None = None
        self._least_cost = float("inf")  # of the best place: its distance, and what the prior adds
        self.stage = "Sobol"
        self.reached: dict[str, Reached] = {}  # by stage, in their order

    def __call__(self, place: np.ndarray) -> float:
        """The distance at this place; Spent where no more can be tried."""
        return self.hear(place)[0]

    def hear(self, place: np.ndarray) -> tuple[float, np.ndarray | None]:
        """The distance at this place, and its sound; None where the effect failed."""
        late = time.monotonic() > self.until and len(self.places) >= FEWEST
        if len(self.places) >= self.renders or late or self.found:
            raise Spent
        inside = np.clip(np.asarray(place, float), 0.0, 1.0)
        try:
            sound = self.sound(inside)
            distance = self.target.distance(sound)
        except EffectError:
            sound, distance = None, float("inf")
        if not np.isfinite(distance):
            sound, distance = None, float("inf")
        self.places.append(inside)
        self.distances.append(distance)
        cost = distance + PRIOR * self.nothing * self.unlikely(inside)
        if cost < self._least_cost or self.found:
            self.nearest, self.best, self._least_cost = sound, inside, cost
        self.reached[self.stage] = Reached(
            self.best, self.nearest, len(self.places), time.monotonic()
        )
        if self.progress is not None:
            facts = {"distance": self.least / max(self.nothing, 1e-12)}
            self.progress("search", len(self.places), self.renders, facts)
        return distance, sound

    def unlikely(self, place: np.ndarray) -> float:
        """How unlikely a place is before it is heard: 0 in the middle of all knobs, 1 at their rails, and up
        to 1 more far from where they are expected: a model that is sure and wrong cannot outweigh what
        is heard."""
        middle = np.square(2.0 * place - 1.0)
        if self.expected is None:
            return float(middle.mean())
        off = np.square((place - self.expected.places) / np.maximum(self.expected.spread, CERTAIN))
        return float((middle + off / (1.0 + off)).mean())

    def sound(self, place: np.ndarray) -> np.ndarray:
        """What the effect makes of the dry sound at this place; not counted as a trial."""
        return self.effect.render(self.dry, self.sample_rate, self.effect.from_units(place))

    @property
    def least(self) -> float:
        """The least distance so far; infinity before the first trial."""
        return min(self.distances, default=float("inf"))

    @property
    def found(self) -> bool:
        """Whether the target is reached."""
        return self.least <= FOUND * self.nothing
