"""What a controller is worth, on settings and a sound that it was not made from.

Conventions
-----------
Positions and knob places run from 0 to 1, random ones are uniform. Timbre is what `heard.Ear` hears an effect
add; distances between timbres are Euclidean.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from timbrespace.controller.controller import Controller
from timbrespace.controller.heard import FOLLOWED, Ear
from timbrespace.controller.make import Progress, rendered
from timbrespace.effects.effect import Effect
from timbrespace.geometry.axes import explained, local_guess, rank_correlation
from timbrespace.geometry.neighbours import nearest
from timbrespace.matching.distance import mr_stft

SETTINGS = 600  # of which positions are asked, as in the pilot
RENDERED, PLACES, PATHS = 100, 300, 40  # settings and positions that are heard, pairs of positions
FOLDS = 5
STEPS = 7  # of a path, as in SPINVAE
MOVE = 0.05  # of a position
RISE, STILL = 0.1, 0.1  # of a position, and dB
CELLS = 5  # of evenness, along either of the first two axes

Hear = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def measure(
    controller: Controller, sounds: Sequence[np.ndarray], *, effect: Effect | None = None,
    seed: int = 1000, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """All measures below by name, plain numbers, on dry sounds (n,) at `heard.SAMPLE_RATE`; None where
    there is nothing to measure. EffectError where the effect is not here."""
    rng = np.random.default_rng(seed)
    played = controller.find_effect() if effect is None else effect
    ear = Ear(sounds)
    count = len(controller.knob_list)
    total = RENDERED + PLACES + 1 + 3 * PATHS * STEPS + 4 * (PLACES // 3)
    done = 0

    def hear(units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        heard = [ear.hear(rendered(played, ear, one)) for one in units]
        done += len(units)
        if progress is not None:
            progress("measure", min(done, total), total, {})
        return np.array([timbre for timbre, _ in heard]), np.array([told for _, told in heard])

    settings = rng.random((SETTINGS, count))
    some = rng.random((RENDERED, count))
    places = rng.random((PLACES, controller.dimensions))
    reached, told = hear(controller.knobs(places))
    axes = alignment(places, told)
    return {
        **knobs_from_position(controller, settings),
        **audio_error(controller, played, ear, some),
        "coverage": coverage(hear(some)[0], reached),
        "evenness": evenness(controller.position(settings)),
        **paths(controller, hear, rng),
        "sensitivity": sensitivity(controller, hear, places[: PLACES // 3], rng),
        "axes": axes,
        "rises": rises(controller, hear, places[: PLACES // 3], told[: PLACES // 3], axes),
        **clean_corner(told, hear(controller.knobs(controller.clean)[None])[1][0]),
    }


def knobs_from_position(controller: Controller, units: np.ndarray) -> dict[str, Any]:
    """knob_r2: R² of each knob, guessed from the position alone as the mean of the 10 nearest of four fifths of
    settings units (N, K), and of all knobs the mean: how much a position tells, as the pilot asked it.
    returned_r2: the same of the knobs that the controller itself gives for the position."""
    places = controller.position(units)
    fold = np.arange(len(units)) % FOLDS
    guess = np.empty_like(units)
    for one in range(FOLDS):
        out = fold == one
        for knob in range(units.shape[1]):
            guess[out, knob] = local_guess(places[~out], units[~out, knob], places[out])
    back = controller.knobs(places)
    names = [knob.name for knob in controller.knob_list]
    centre = units.mean(0)
    near, own = (
        [explained(u, m) for u, m in zip((units - centre).T, (made - centre).T, strict=True)]
        for made in (guess, back)
    )
    return {
        "knob_r2": float(np.mean(near)), "best_knob_r2": max(near),
        "knob_r2_each": dict(zip(names, near, strict=True)),
        "returned_r2": float(np.mean(own)), "returned_r2_each": dict(zip(names, own, strict=True)),
    }  # fmt: skip


def audio_error(
    controller: Controller, effect: Effect, ear: Ear, units: np.ndarray
) -> dict[str, float | None]:
    """audio: the MR-STFT distance (`matching.distance`) of render(knobs(position(s))) from render(s), over that
    of the dry sound from it: a ratio of means over settings, 0 where nothing is lost, 1 where doing nothing
    is as near. audio_centre: the same with all knobs at their middle in place of the controller's."""
    ours, centre, nothing = 0.0, 0.0, 0.0
    middle = rendered(effect, ear, np.full(units.shape[1], 0.5))
    for one, back in zip(units, controller.knobs(controller.position(units)), strict=True):
        wanted = rendered(effect, ear, one)
        ours += mr_stft(rendered(effect, ear, back), wanted)
        centre += mr_stft(middle, wanted)
        nothing += mr_stft(ear.sounds, wanted)
    if nothing <= 0.0:
        return {"audio": None, "audio_centre": None}
    return {"audio": ours / nothing, "audio_centre": centre / nothing}


def coverage(random: np.ndarray, reached: np.ndarray) -> float:
    """The share of random settings' timbres (N, F) that have one of those at random positions (M, F) no
    further away than random settings lie from the nearest other one (the median)."""
    between = np.median(nearest(random, random, 2)[0][:, 1])
    return float(np.mean(nearest(reached, random, 1)[0][:, 0] <= between))


def evenness(places: np.ndarray) -> float:
    """How evenly positions (N, d) of random settings use the square of the first two axes: the perplexity of
    the shares of its 25 cells, over 25. 1 where all hold as many, 0.04 where one holds all."""
    cells = np.minimum((places[:, :2] * CELLS).astype(int), CELLS - 1) @ [CELLS, 1]
    share = np.bincount(cells, minlength=CELLS**2) / len(places)
    used = share[share > 0.0]
    return float(np.exp(-(used * np.log(used)).sum()) / CELLS**2)


def paths(controller: Controller, hear: Hear, rng: np.random.Generator) -> dict[str, float | None]:
    """Ways from one random setting to another in 7 steps: `` the straight way between their positions,
    `_naive` that which turns all knobs straight, `_same` the latter between the very settings that the
    controller has at the two positions. Compare with `_same`: a controller of few dimensions does not reach
    both settings, so the ends of `_naive` lie further apart, which by itself makes its figures smaller.

    midpoint: the way in timbre from one end over the middle to the other, over the direct way: 1 where the
    middle sounds between. roughness: root mean square of the second differences of timbre over the steps;
    non_linearity: of the distance from the straight line between the ends; both (Le Vaillant & Dutoit
    2024, SPINVAE-2) over the root mean square of the direct ways, so that a controller that does less is
    no smoother.
    """
    ways: dict[str, list[np.ndarray]] = {"": [], "_naive": [], "_same": []}
    at = np.linspace(0.0, 1.0, STEPS)[:, None]
    for one, other in rng.random((PATHS, 2, len(controller.knob_list))):
        start, end = controller.position(np.stack([one, other]))
        ours = controller.knobs(start + at * (end - start))
        ways[""].append(hear(ours)[0])
        ways["_naive"].append(hear(one + at * (other - one))[0])
        ways["_same"].append(hear(ours[0] + at * (ours[-1] - ours[0]))[0])
    return {
        f"{name}{way}": figure
        for way, timbres in ways.items()
        for name, figure in _of_paths(np.array(timbres)).items()
    }


def _of_paths(timbres: np.ndarray) -> dict[str, float | None]:
    """The three figures of paths of timbres (P, STEPS, F)."""
    first, last, middle = timbres[:, 0], timbres[:, -1], timbres[:, STEPS // 2]
    direct = np.linalg.norm(last - first, axis=1)
    if not direct.any():
        return dict.fromkeys(("midpoint", "roughness", "non_linearity"))
    over = np.linalg.norm(middle - first, axis=1) + np.linalg.norm(last - middle, axis=1)
    share = np.linspace(0.0, 1.0, STEPS)[:, None]
    line = first[:, None] + share * (last - first)[:, None]
    scale = float(np.sqrt(np.square(direct).mean()))
    return {
        "midpoint": float(over.sum() / direct.sum()),
        "roughness": _rms(np.diff(timbres, 2, axis=1)) / scale,
        "non_linearity": _rms(timbres - line) / scale,
    }


def _rms(vectors: np.ndarray) -> float:
    """Root mean square of the lengths of vectors (..., F)."""
    return float(np.sqrt(np.square(vectors).sum(-1).mean()))


def sensitivity(
    controller: Controller, hear: Hear, places: np.ndarray, rng: np.random.Generator
) -> float | None:
    """How uneven the change of timbre per motion is: over places (N, d) and random directions, the largest over
    the median. Near 1 a small motion is a small change everywhere."""
    turn = rng.standard_normal(places.shape)
    step = MOVE * turn / np.linalg.norm(turn, axis=1, keepdims=True)
    here = places * (1.0 - 2.0 * MOVE) + MOVE  # so that the steps stay inside
    change = hear(controller.knobs(here))[0] - hear(controller.knobs(here + step))[0]
    length = np.linalg.norm(change, axis=1)
    return float(length.max() / np.median(length)) if np.median(length) > 0.0 else None


def alignment(places: np.ndarray, told: np.ndarray) -> list[dict[str, float]]:
    """Of each axis of random places (N, d), Spearman's rho with each of `FOLLOWED` as heard (N, 3)."""
    return [
        {
            name: rank_correlation(along, figures)
            for name, figures in zip(FOLLOWED, told.T, strict=True)
        }
        for along in places.T
    ]


def rises(
    controller: Controller, hear: Hear, places: np.ndarray, told: np.ndarray,
    axes: list[dict[str, float]],
) -> list[float]:  # fmt: skip
    """Of the first axis with how much effect there is, and the second with brightness (or darkness, where its
    `axes` say so): the share of steps of RISE from places (N, d), heard as `told` (N, 3), that take none
    away, STILL dB allowed. 1 where the axis is monotone."""
    found = []
    for axis, name in enumerate(FOLLOWED[:2]):
        sign = -1.0 if axes[axis][name] < 0.0 else 1.0
        step = RISE * np.eye(places.shape[1])[axis]
        low = places[:, axis] <= 1.0 - RISE
        above = hear(controller.knobs(places[low] + step))[1]
        found.append(float(np.mean(sign * (above - told[low])[:, axis] >= -STILL)))
    return found


def clean_corner(told: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """clean_db: how much effect (dB) there is at the clean corner, `clean` (3,). clean_rank: the share of
    random positions, `told` (N, 3), with less; 0 where it is the cleanest of all."""
    return {"clean_db": float(clean[0]), "clean_rank": float(np.mean(told[:, 0] < clean[0]))}
