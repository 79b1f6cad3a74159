"""Which settings can be behind a sound, where nobody has it without the effect.

Settings are drawn evenly and rendered on other sounds, whose content differs as that of the unknown one may. A
forest learns from the manner of the results which setting each has; then the weight of a setting is how often
its result shares a leaf with the sound that is asked about (Meinshausen 2006, Quantile regression forests;
as approximate Bayesian computation: Raynal et al. 2019, ABC random forests for Bayesian parameter
inference). So what content hides stays possible: weights are nearly even where nothing is told.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from timbrespace.audio.files import resample
from timbrespace.audio.level import peak_db
from timbrespace.effects.effect import Effect
from timbrespace.errors import EffectError
from timbrespace.matching.match import PEAK_DB
from timbrespace.matching.search import sobol
from timbrespace.matching.trials import FEWEST, Progress

NOTES = (
    (0, 60), (4, 55), (11, 65), (16, 48), (24, 52), (27, 45), (33, 36), (40, 67), (48, 60), (52, 60),
    (56, 64), (61, 55), (65, 60), (73, 72), (81, 57),
)  # fmt: skip  # General MIDI program and key
SEMITONES = 9.0  # by which sounds are moved at most, to either side
LEVEL_DB = 3.0  # standard deviation of their levels
NOTE_EVERY = 3  # of the sounds is a built-in note where there is another sound
TREES = 200  # of a forest
LEAF = 5  # results at least in a leaf
SHARE = 0.33  # of the numbers are seen in a split

Simulated = tuple[np.ndarray, np.ndarray]  # places (N, K) and the manners (N, S) of their results


def contents(
    dry: np.ndarray | None, length: int, sample_rate: int, seed: int
) -> Iterator[np.ndarray]:
    """Dry sounds (length,) without end: `dry` (n,) at other pitches and levels, among built-in notes; about
    as loud as it is, else about PEAK_DB."""
    from timbrespace.data.notes import built_in

    rng, notes = np.random.default_rng(seed), built_in(NOTES, sample_rate)
    loud = PEAK_DB if dry is None else peak_db(dry)
    while True:
        for number in range(NOTE_EVERY):
            sound = dry if number != NOTE_EVERY - 1 else None
            sound = notes[rng.integers(len(notes))] if sound is None else sound
            faster = 2.0 ** (rng.uniform(-SEMITONES, SEMITONES) / 12.0)
            moved = resample(sound, round(sample_rate * faster), sample_rate)[:length]
            gain = 10.0 ** ((loud + LEVEL_DB * rng.standard_normal()) / 20.0)
            peak = max(float(np.abs(moved).max(initial=0.0)), 1e-6)
            yield np.pad(moved * np.float32(gain / peak), (0, length - len(moved)))


def simulate(
    effect: Effect, sounds: Iterator[np.ndarray], sample_rate: int, renders: int,
    told_of: Callable[[np.ndarray], np.ndarray], *, seed: int, until: float = float("inf"),
    progress: Progress | None = None,
) -> Simulated:  # fmt: skip
    """So many settings, each on another of `sounds`, and the manner that is `told_of` its result; none after
    `until` (`time.monotonic`) but the first few."""
    spread = sobol(len(effect.knobs), renders, seed)
    places, told = [], []
    for number, made in rendered(effect, zip(spread, sounds, strict=False), sample_rate, until):
        places.append(spread[number])
        told.append(told_of(made))
        if progress is not None:
            progress("simulate", len(places), renders, {})
    if not places:
        raise EffectError(f"{effect.name} gave no sound at any setting; choose another effect")
    return np.array(places), np.array(told)


def rendered(
    effect: Effect, tries: Iterable[tuple[np.ndarray, np.ndarray]], sample_rate: int, until: float
) -> Iterator[tuple[int, np.ndarray]]:
    """The number and the result of each of `tries`, a place and a sound, that the effect can make; none after
    `until` (`time.monotonic`) but the first few."""
    made = 0
    for number, (place, sound) in enumerate(tries):
        if time.monotonic() > until and made >= FEWEST:
            return
        try:
            result = effect.render(sound, sample_rate, effect.from_units(place))
        except EffectError:
            continue
        made += 1
        yield number, result


def weigh(simulated: Simulated, told: np.ndarray, *, seed: int) -> np.ndarray:
    """How probable each place is, (N,) of sum 1, by the manner `told` (S,) of the sound that is asked about."""
    from sklearn.ensemble import RandomForestRegressor

    places, manners = simulated
    forest = RandomForestRegressor(
        TREES, min_samples_leaf=LEAF, max_features=SHARE, random_state=seed
    )
    forest.fit(manners, places)
    shared = forest.apply(manners) == forest.apply(told[None])
    return (shared / np.maximum(shared.sum(0), 1)).mean(1)


def classes(manners: Sequence[np.ndarray], told: np.ndarray, *, seed: int) -> np.ndarray:
    """How probable it is that a manner `told` (S,) is of each class, of which some manners (n, S) are known:
    (classes,) of sum 1; none is likelier than another before."""
    from sklearn.ensemble import RandomForestClassifier

    numbers = np.repeat(np.arange(len(manners)), [len(some) for some in manners])
    forest = RandomForestClassifier(
        TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed
    )
    forest.fit(np.concatenate(manners), numbers)
    return np.asarray(forest.predict_proba(told[None]))[0]
