"""The search for a setting: well-spread places, CMA-ES from the best of them, and a polish by least squares.

Each step spends from the same `Trials` and returns when it cannot go on; `Spent` ends the whole.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from timbrespace.matching.trials import Spent, Trials

POPULATION = 8  # places of a generation
SPREAD = 0.2  # of the first generation about its start, of the range of each knob
BESIDE = 0.03  # of the range, where a sharp place is no longer right
HELD = 0.02  # of the spread and step of other knobs, for a knob that stands at a sharp place
NARROW = 0.05  # of later ones, about the best place
REACH = 0.25  # that the polish moves a knob at once
STEP = 0.02  # by which it moves a knob to see what that changes
LEAST_STEP = 0.02  # of that, where no step helps any more
SOFTENED = 0.05  # errors below it, relative to the mean, count squared and others absolutely

View = Callable[[np.ndarray], np.ndarray]


def search(
    trials: Trials, starts: Sequence[np.ndarray], hints: Sequence[tuple[int, float]] = (), *,
    seed: int,
) -> None:  # fmt: skip
    """Spends what `trials` allows: `starts` (K,), a Sobol sequence, CMA-ES, the polish, CMA-ES nearby, and
    so on. `hints` are places of single knobs that are worth a try (`cues`). The best place is
    `trials.best`, what each stage came to `trials.reached`; the same seed tries the same places."""
    try:
        for start in starts:
            trials(start)
        if not trials.effect.knobs:
            return
        spread(trials, trials.renders // 4, hints, seed=seed)
        sharp = settle(trials, hints)
        fine = np.array([0.0 if k in sharp else 1.0 for k in range(len(trials.effect.knobs))])
        trials.stage = "CMA-ES"
        evolve(trials, SPREAD * fine, trials.renders // 4, seed=seed)
        trials.stage = "polish"
        made = -1
        while made < (made := len(trials.places)):  # a round that tries nothing is the last
            polish(trials, trials.target.difference, fine)
            polish(trials, trials.target.residual, fine)
            trials.stage = "again"
            fine, seed = np.where(fine > 0.0, fine, HELD), seed + 1
            evolve(trials, NARROW * fine, 4 * POPULATION, seed=seed)
    except Spent:
        pass


def spread(
    trials: Trials, count: int, hints: Sequence[tuple[int, float]] = (), *, seed: int
) -> None:
    """Tries `count` places that fill the ranges evenly (a scrambled Sobol sequence); in every second one,
    knobs of which there are hints stand at one of theirs."""
    places = sobol(len(trials.effect.knobs), count, seed)
    hinted = {number: [p for n, p in hints if n == number] for number, _ in hints}
    for turn, place in enumerate(places):
        if turn % 2:
            for number, values in hinted.items():
                place[number] = values[turn // 2 % len(values)]
        trials(place)


def sobol(knobs: int, count: int, seed: int) -> np.ndarray:
    """`count` places (count, knobs) from 0 to 1, spread evenly: a scrambled Sobol sequence."""
    from scipy.stats.qmc import Sobol

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a power of two would be more even
        return Sobol(knobs, rng=seed).random(count)


def settle(trials: Trials, hints: Sequence[tuple[int, float]]) -> set[int]:
    """Tries each hint in the best place, and tells which knobs then stand at one that is sharp: a little
    beside it most of what it gained is lost."""
    sharp = set()
    for number in dict.fromkeys(number for number, _ in hints):
        without = [
            d for p, d in zip(trials.places, trials.distances, strict=True)
            if all(abs(p[number] - place) > BESIDE / 3 for n, place in hints if n == number)
        ]  # fmt: skip
        before = min(without, default=float("inf"))
        for place in (place for n, place in hints if n == number):
            moved = trials.best.copy()
            moved[number] = place
            if abs(place - trials.best[number]) > 1e-6:
                trials(moved)
        if not any(abs(trials.best[number] - place) < 1e-6 for n, place in hints if n == number):
            continue
        least, moved = trials.least, trials.best.copy()
        moved[number] += BESIDE if moved[number] < 0.5 else -BESIDE
        if trials(moved) - least > 0.5 * (before - least) and before > 1.03 * least:
            sharp.add(number)
    return sharp


def evolve(trials: Trials, widths: np.ndarray, count: int, *, seed: int) -> None:
    """CMA-ES (Hansen 2016, The CMA evolution strategy: a tutorial) about the best place for about `count`
    trials, within 0..1, begun with the standard deviation `widths` (K,) of each knob; 0 stays. A
    single knob is left to the polish."""
    free = np.flatnonzero(widths)
    if len(free) < 2:
        return
    from cma import CMAEvolutionStrategy

    options = {
        "bounds": [0.0, 1.0], "seed": seed + 1, "popsize": POPULATION, "verbose": -9,
        "tolx": 1e-5, "tolfun": 1e-9,
        "CMA_stds": widths[free],
    }  # fmt: skip
    strategy = CMAEvolutionStrategy(trials.best[free], 1.0, options)
    base = trials.best.copy()
    for _ in range(max(0, count // POPULATION)):
        if strategy.stop():
            return
        moves = strategy.ask()
        places = np.tile(base, (len(moves), 1))
        places[:, free] = moves
        strategy.tell(moves, [min(trials(place), 1e6) for place in places])


def polish(trials: Trials, view: View, fine: np.ndarray) -> None:
    """Levenberg-Marquardt from the best place on, until no step of a knob helps. `fine` (K,): how far each
    knob is moved, relative to STEP and REACH; 0 stays.

    `view` says what is wrong with a sound, (M,); its absolute values count, as weighted squares (iteratively
    reweighted least squares). A render tells a whole picture of errors, of which CMA-ES sees one number: K
    renders give the slope of each.
    """
    x, damping, step = trials.best, 1e-2, 1.0
    free = np.flatnonzero(fine)
    if trials.nearest is None or not len(free):
        return
    now = view(trials.nearest)
    reach = REACH * fine[free]
    while step >= LEAST_STEP:
        slopes = _slopes(trials, view, x, now, STEP * step * fine)
        if slopes is None:
            return
        weight = 1.0 / np.sqrt(np.abs(now) + SOFTENED * np.abs(now).mean())
        weighed = slopes * weight
        curvature, gradient = weighed @ weighed.T, weighed @ (now * weight)
        for _ in range(3):
            ridge = damping * np.diag(np.diag(curvature) + 1e-12)
            move = -np.linalg.solve(curvature + ridge, gradient)
            place = x.copy()
            place[free] = np.clip(x[free] + np.clip(move, -reach, reach), 0.0, 1.0)
            _, sound = trials.hear(place)
            left = None if sound is None else view(sound)
            if left is not None and np.abs(left).sum() < np.abs(now).sum():
                x, now, damping = place, left, damping / 5.0
                break
            damping *= 6.0
        else:
            step /= 3.0


def _slopes(
    trials: Trials, view: View, x: np.ndarray, now: np.ndarray, steps: np.ndarray
) -> np.ndarray | None:
    """Changes of what is wrong per move of each knob that has a step, (free, M); None where it failed."""
    slopes = []
    for knob in np.flatnonzero(steps):
        moved = x.copy()
        moved[knob] += steps[knob] if x[knob] < 0.5 else -steps[knob]
        _, sound = trials.hear(moved)
        if sound is None:
            return None
        slopes.append((view(sound) - now) / (moved[knob] - x[knob]))
    return np.stack(slopes)
