"""Is a way from one sound to another smooth, straight and even? Figures of one path of points.

Conventions
-----------
A path is (K + 1, M): pictures as rows of cells, or descriptors, at evenly spaced places from one sound to
the other. Steps are the distances from point to point. None of the figures depends on the unit. The
cross-fade, a straight line passed evenly, is perfect in all of them by construction: they say that a way
is smooth, never that it leads by sounds (`bend`, and the distance from real sounds, are for that).

arXiv 2603.16713 (Cameron & Blackwell 2026) names trajectory linearity and cross-pitch consistency; of
the paper we could read the abstract only, so the definitions are ours and stand below.
"""

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.features.decibels import Decibels

STILL = 1e-9  # of the path's size: a shorter way is none


def validate(path: np.ndarray) -> np.ndarray:
    """The path as float64; TimbrespaceError unless it has three points or more, all finite."""
    path = np.asarray(path, np.float64)
    if path.ndim != 2 or len(path) < 3 or not path.shape[1]:
        raise TimbrespaceError(
            f"a path should be 3 points or more, (points, numbers): {path.shape}"
        )
    if not np.isfinite(path).all():
        raise TimbrespaceError("a path holds numbers that are not finite")
    return path


def figures(path: np.ndarray) -> dict[str, float] | None:
    """What a path (K + 1, M) is like; None when it does not move.

    straightness: from end to end over the sum of the steps. Perfect 1: no detour; worst 0: it returns.
    evenness: 1 minus the coefficient of variation of the steps. Perfect 1: equal steps; worst 1 - sqrt(K - 1):
        one jump, then standstill.
    max_step: the largest step over the mean one. Perfect 1, worst K.
    roughness: the sizes of the turns x[k-1] - 2 x[k] + x[k+1] over those of both steps around, summed.
        Perfect 0: straight and even; worst 1: back and forth.
    linearity: R^2 of the straight line a + b t that fits the points best (trajectory linearity). Perfect 1,
        worst 0.
    bend: how far the middle lies from the middle of the ends, over the distance of the ends. 0: a
        cross-fade; 0.5: as far as the ends themselves. None where the ends are one.
    """
    path = validate(path)
    steps = np.diff(path, axis=0)
    products = (
        steps @ steps.T
    )  # of which all figures but one are sums: few numbers, however many cells

    def size(sums: np.ndarray) -> np.ndarray:
        """Lengths (n,) of sums of steps with these weights (n, K)."""
        return np.sqrt(np.maximum(((sums @ products) * sums).sum(1), 0.0))

    step = np.sqrt(np.diag(products))
    length = step.sum()
    if length <= STILL * max(float(np.abs(path).max()), 1e-30):
        return None
    direct = float(np.linalg.norm(path[-1] - path[0]))  # of a way that returns it is 0, not a sum
    turn = size(np.diff(np.eye(len(steps)), axis=0))
    t = np.linspace(-1.0, 1.0, len(path))
    place = np.tri(len(path), len(steps), -1)
    centred = place - place.mean(0)
    slope = t @ centred / (t @ t)
    found = {
        "straightness": direct / length,
        "evenness": 1.0 - float(step.std() / step.mean()),
        "max_step": float(step.max() / step.mean()),
        "roughness": float(turn.sum() / (step[:-1] + step[1:]).sum()),
        "linearity": float(size(slope[None])[0] ** 2 * (t @ t) / np.square(size(centred)).sum()),
    }
    if direct > STILL * length:
        middle = 0.5 * (place[(len(path) - 1) // 2] + place[len(path) // 2] - place[-1])
        found["bend"] = float(size(middle[None])[0] / direct)
    return found


def monotonicity(values: np.ndarray) -> float | None:
    """Spearman's correlation of values (K + 1,) with the place on the way, in the direction of the ends: 1
    when each step goes towards the other end, -1 when each goes away. None where the ends are equal."""
    from scipy.stats import rankdata

    values = np.asarray(values, np.float64)
    if values[0] == values[-1]:
        return None
    sign = np.sign(values[-1] - values[0])
    return float(sign * np.corrcoef(rankdata(values), np.arange(len(values)))[0, 1])


def alike(one: np.ndarray, other: np.ndarray) -> float | None:
    """The cosine of two displacements of one shape, -1 to 1: how far two ways lead alike. None where
    either leads nowhere."""
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / size) if size > 0 else None


def seen(pictures: np.ndarray, feature: Decibels) -> np.ndarray:
    """Descriptors (N, 4) that can be read from pictures (N, height, frames) without any sound.

    centroid and spread: mean and width of the power over log2 of frequency, octaves. flatness: geometric
    over arithmetic mean of the mean spectrum, dB, 0 for noise. temporal centroid: where in time the
    power lies, seconds. Of the floor's power nothing is left out, so silence has them, too.
    """
    unit = np.float32(feature.db_per_unit / 10.0 * np.log(10.0))
    heard = np.clip(np.asarray(pictures, np.float32), -1.0, 1.0)
    power = np.exp((heard - 1.0) * unit).astype(np.float64)
    hertz = feature.frequencies.numpy().astype(np.float64)
    octave = np.log2(np.maximum(hertz, 0.5 * hertz[1]))
    spectrum, envelope = power.mean(2), power.mean(1)
    share = spectrum / spectrum.sum(1, keepdims=True)
    centroid = share @ octave
    spread = np.sqrt(np.maximum(share @ octave**2 - centroid**2, 0.0))
    flatness = 10.0 * (np.log10(spectrum).mean(1) - np.log10(spectrum.mean(1)))
    seconds = np.arange(power.shape[2]) * feature.hop / feature.sample_rate
    return np.stack([centroid, spread, flatness, (envelope @ seconds) / envelope.sum(1)], 1)
