"""Whether a space is continuous or falls into clusters: is there mass between sounds, or a gap?

Conventions
-----------
Points are (N, D), latents of one space. Three figures, each with what it is where nothing is there:

valley: along the line that tells two groups best apart, the least density between their means over the
smaller of the densities at the means. Perfect 1: no valley, one cloud. Worst 0: an empty gap. Of two
normal clouds d widths apart it is min(1, 2 phi(d / 2) / (phi(0) + phi(d))): a valley shows from 2.2 on.
dip: how far values along that line are from having one mode (Hartigan & Hartigan 1985). Null: one mode;
p is that of the uniform, which of all single modes looks most like two, so it is too large for others.
Hopkins: are points nearer to each other than places drawn from the normal cloud of the same mean and
covariance are to them (Hopkins & Skellam 1954, with distances as they are)? About .5: as the cloud; 1:
clusters. Null: that cloud; p by drawing from it.

A line never sees the sounds that are laid on it: it is learnt on one half of each group, and the other
half is laid on it, both ways. In 64 numbers a line that parts the sounds it was learnt on is always found.
Sounds of one instrument lie together in any space, so the question is put to instruments: is the gap
between two of different families deeper than between two of one family? Null: the family of an
instrument has no say in it; p by exchanging families between instruments.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.statistics import interval

GROUPS = 96  # groups that are compared in pairs, drawn at random
LEAST = 8  # sounds of a group: below it a density is a guess
DIPS = 100  # pairs whose dip is tested, of different families and of one each
SHRUNK = 0.1  # share of the scatter taken from a round one, so that few sounds have an inverse
GRID = 33  # places between two means
EXCHANGES = 999  # of families between instruments
DRAWS = 199  # sets drawn from the normal cloud
PRINCIPAL = 10  # directions in which Hopkins is asked
LEAST_POINTS, POINTS = 3 * PRINCIPAL, 1_000  # at least, and at most: drawn at random
ALPHA = 0.05

# Share of samples of n uniform numbers whose sqrt(n) times dip is at least the number below:
# 400,000 samples of each size (60,000 of the last)
SHARES = (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0001)
DIPS_OF_UNIFORM = {
    20: (0.2540, 0.3281, 0.3951, 0.4349, 0.4705, 0.5122, 0.5413, 0.5674, 0.5975, 0.6208, 0.6427, 0.6870),
    50: (0.2666, 0.3457, 0.4160, 0.4589, 0.4964, 0.5415, 0.5725, 0.6028, 0.6386, 0.6663, 0.6917, 0.7420),
    100: (0.2744, 0.3548, 0.4270, 0.4713, 0.5108, 0.5578, 0.5909, 0.6220, 0.6579, 0.6842, 0.7128, 0.7666),
    200: (0.2797, 0.3614, 0.4355, 0.4810, 0.5224, 0.5705, 0.6043, 0.6343, 0.6738, 0.7020, 0.7334, 0.7863),
    1000: (0.2874, 0.3712, 0.4474, 0.4934, 0.5353, 0.5836, 0.6191, 0.6556, 0.7031, 0.7334, 0.7541, 0.8018),
}  # fmt: skip


def validate(points: np.ndarray, *labels: Sequence[Any]) -> np.ndarray:
    """Points as float64; TimbrespaceError unless they are a finite table with each label a row."""
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not points.size or any(len(names) != len(points) for names in labels):
        raise TimbrespaceError(
            f"points {points.shape} should be (sounds, dimensions), with one label a sound"
        )
    if not np.isfinite(points).all():
        raise TimbrespaceError("the latents are not finite; the training has diverged")
    return points


def dip(values: np.ndarray) -> float:
    """The largest distance of the distribution of values (n,) from the nearest one of a single mode.

    1 / (2n) at the least; 1/4 for two points. Hartigan & Hartigan 1985, section 3: the mode is narrowed
    to where the greatest convex minorant and the least concave majorant lie furthest apart, while
    outside of it neither lies further from the distribution than they do.
    """
    x, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    above = np.cumsum(counts) / counts.sum()  # the distribution just right and left of each value
    below = above - counts / counts.sum()
    first, last, found = 0, len(x) - 1, 1.0 / counts.sum()
    while True:
        here = slice(first, last + 1)
        low, high = _minorant(x[here], below[here]), _minorant(x[here], -above[here])
        minorant = np.interp(x[here], x[here][low], below[here][low])
        majorant = np.interp(x[here], x[here][high], above[here][high])
        apart = majorant - minorant
        if apart[low].max() > apart[high].max():
            left = low[apart[low].argmax()]
            right = high[np.searchsorted(high, left)]
        else:
            right = high[apart[high].argmax()]
            left = low[np.searchsorted(low, right, side="right") - 1]
        if max(apart[left], apart[right]) <= found:
            return found / 2.0
        outside = (above[here] - minorant)[: left + 1].max(), (majorant - below[here])[right:].max()
        found = max(found, *outside)
        if right - left == last - first:
            return found / 2.0
        first, last = first + left, first + right


def _minorant(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the greatest convex function below points of rising x touches them."""
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2:]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return np.array(kept)


def dip_p(distance: float, count: int) -> float:
    """The share of samples of `count` uniform numbers with a dip of at least `distance`: 1 to 0.0001.

    Between the sizes of the table it is linear in 1 / sqrt(count); fewer than 20 count as 20.
    """
    sizes = np.array(list(DIPS_OF_UNIFORM), float)
    at = 1.0 / np.sqrt(np.clip(count, sizes[0], sizes[-1]))
    columns = np.array(list(DIPS_OF_UNIFORM.values())).T
    quantiles = [np.interp(at, 1.0 / np.sqrt(sizes[::-1]), column[::-1]) for column in columns]
    score = np.sqrt(count) * distance
    if score < quantiles[0]:
        return 1.0
    return float(np.exp(np.interp(score, quantiles, np.log(SHARES))))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """p of several tests (T,), adjusted so that one below .05 is wrong in 5 % of cases at most, whatever
    hangs on what (Holm 1979)."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def valley(one: np.ndarray, other: np.ndarray) -> float:
    """Least density between the means of two samples of values over the smaller at the means, 0 to 1.

    Both weigh the same. Densities by normal kernels 1.06 s n^(-1/5) wide (Silverman 1986, equation
    3.28), s the width within the samples, n the size of the smaller.
    """
    width = np.sqrt(0.5 * (one.var() + other.var()))
    kernel = 1.06 * width * min(len(one), len(other)) ** -0.2
    if kernel <= 0.0:  # points on each other
        return float(one.mean() == other.mean())
    places = np.linspace(one.mean(), other.mean(), GRID)
    density = np.sum(
        [np.exp(-0.5 * ((places[:, None] - v) / kernel) ** 2).mean(1) for v in (one, other)], 0
    )
    return float(density.min() / max(min(density[0], density[-1]), 1e-300))


def scatter(points: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Inverse (D, D) of the covariance of points (N, D) within their groups (numbers from 0 on)."""
    size = np.bincount(groups)
    means = np.stack([np.bincount(groups, column) for column in points.T], 1) / size[:, None]
    rest = points - means[groups]
    within = rest.T @ rest / max(1, len(points) - len(size))
    spread = np.trace(within) / len(within)
    if spread <= 0.0:
        raise TimbrespaceError(
            "all sounds of a group have the same latent; the space has collapsed"
        )
    return np.linalg.inv((1.0 - SHRUNK) * within + SHRUNK * spread * np.eye(len(within)))


class Lines:
    """Groups of points in a space, and any two of them laid on the line that tells them apart.

    points (N, D), groups numbers from 0 on. The axis is that of Fisher's linear discriminant.
    """

    def __init__(self, points: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> None:
        places = [rng.permutation(np.flatnonzero(groups == n)) for n in range(groups.max() + 1)]
        dealt = [[at[start::2] for at in places] for start in (0, 1)]
        self._halves = [[points[at] for at in half] for half in dealt]
        self._inverses = [
            scatter(points[at], groups[at]) for at in (np.concatenate(half) for half in dealt)
        ]

    def lay(self, one: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """Places of the points of both groups, in widths within a group, 0 in the middle."""
        laid: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for learnt, inverse, asked in zip(
            self._halves, self._inverses, self._halves[::-1], strict=True
        ):
            a, b = learnt[one].mean(0), learnt[other].mean(0)
            axis = inverse @ (b - a)
            axis /= np.sqrt(max((b - a) @ axis, 1e-30))
            for places, group in zip(laid, (one, other), strict=True):
                places.append((asked[group] - 0.5 * (a + b)) @ axis)
        return np.concatenate(laid[0]), np.concatenate(laid[1])


def gaps(
    points: np.ndarray, groups: Sequence[Any], families: Sequence[Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Valleys and dips between groups of points (N, D), such as instruments: two of different families,
    and two of one family, as JSON numbers.

    Of "between" and "within" (None where there are no such pairs): `valley`, the mean over pairs, with its
    interval over groups; `gap_share`, of pairs whose dip is significant at .05 after Holm's correction
    over all tested; `pairs`, `tested`. "alone", the floor: halves of a group, and a group by itself.
    `p`: of valleys between families as deep as found, if the family had no say. TimbrespaceError with
    fewer than two groups of 8 points or more.
    """
    points = validate(points, groups, families)
    table = _chosen(groups, families, rng)
    if len(table) < 2:
        raise TimbrespaceError(
            f"{len(table)} of the instruments have {LEAST} sounds or more; a gap is between two"
        )
    names = list(table)
    number = {name: n for n, name in enumerate(names)}
    at = np.array([i for i, name in enumerate(groups) if name in number])
    lines = Lines(points[at], np.array([number[groups[i]] for i in at]), rng)
    one, other = np.triu_indices(len(names), 1)
    laid = [lines.lay(*pair) for pair in zip(one.tolist(), other.tolist(), strict=True)]
    depth = np.eye(len(names))
    depth[one, other] = depth[other, one] = [valley(*pair) for pair in laid]
    family = np.array([table[name] for name in names])
    same = family[one] == family[other]
    tested = np.concatenate(
        [rng.permutation(np.flatnonzero(kind))[:DIPS] for kind in (~same, same)]
    )
    # a group alone: of each the first line it is laid on
    alone = [rng.permutation(laid[k][0]) for k in np.unique(one, return_index=True)[1]]
    found = [_dip_p(values) for values in (*(np.concatenate(laid[k]) for k in tested), *alone)]
    significant = holm(found) < ALPHA
    result: dict[str, Any] = {
        "groups": len(names), "families": len(set(family.tolist())),
        "p": _exchanged(depth, family, rng),
        "alone": {
            "valley": float(np.mean([valley(values[::2], values[1::2]) for values in alone])),
            "gap_share": float(significant[len(tested) :].mean()),
        },
    }  # fmt: skip
    for name, kind in (("between", ~same), ("within", same)):
        here = kind[tested]
        result[name] = None if not kind.any() else {
            "valley": float(depth[one, other][kind].mean()),
            "valley_interval": _interval(depth, family, name == "within", rng),
            "gap_share": float(significant[: len(tested)][here].mean()),
            "pairs": int(kind.sum()),
            "tested": int(here.sum()),
        }  # fmt: skip
    return result


def _dip_p(values: np.ndarray) -> float:
    return dip_p(dip(values), len(values))


def _chosen(
    groups: Sequence[Any], families: Sequence[Any], rng: np.random.Generator
) -> dict[Any, str]:
    """The family of each group that is large enough and known, at most 96 of them."""
    size: dict[Any, int] = {}
    for name in groups:
        size[name] = size.get(name, 0) + 1
    family = {
        name: str(kind)
        for name, kind in zip(groups, families, strict=True)
        if name is not None and kind is not None and size[name] >= LEAST
    }
    names = list(family)
    picked = np.sort(rng.permutation(len(names))[:GROUPS])
    return {names[i]: family[names[i]] for i in picked}


def _difference(depth: np.ndarray, same: np.ndarray) -> float:
    """Mean valley (of pairs) within families minus between."""
    return float(depth[same].mean() - depth[~same].mean())


def _exchanged(depth: np.ndarray, family: np.ndarray, rng: np.random.Generator) -> float | None:
    one, other = np.triu_indices(len(family), 1)
    pairs = depth[one, other]

    def difference(names: np.ndarray) -> float:
        return _difference(pairs, names[one] == names[other])

    same = family[one] == family[other]
    if same.all() or not same.any():
        return None
    observed = difference(family)
    reached = sum(difference(rng.permutation(family)) >= observed - 1e-12 for _ in range(EXCHANGES))
    return (1 + reached) / (1 + EXCHANGES)


def _interval(
    depth: np.ndarray, family: np.ndarray, within: bool, rng: np.random.Generator
) -> list[float] | None:
    """Of the mean valley, drawing groups, each with its family."""

    def mean(drawn: np.ndarray) -> float:
        at = drawn.astype(int)
        own = at[:, None] == at
        kind = ((family[at][:, None] == family[at]) == within) & ~own
        return float(depth[np.ix_(at, at)][kind].mean()) if kind.any() else np.nan

    count = len(family)
    found = interval(np.arange(count), rng=rng, statistic=mean, resamples=300)
    return None if found is None or not np.isfinite(found).all() else list(found)


def hopkins(points: np.ndarray, rng: np.random.Generator) -> float:
    """Hopkins' statistic of points (N, D) against a normal cloud of their mean and covariance, 0 to 1."""
    from scipy.spatial import KDTree

    tree = KDTree(points)
    cloud = _cloud(points, rng)
    to_points = tree.query(cloud)[0].sum()
    to_others = tree.query(points, k=2)[0][:, 1].sum()
    return float(to_points / max(to_points + to_others, 1e-300))


def tendency(points: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Hopkins' statistic of points (N, D), at most 1,000 of them, in their first 10 principal components,
    what it is in the normal cloud, and the share of sets drawn from the cloud that reach it, as JSON
    numbers.

    TimbrespaceError for fewer than 30 points: they say nothing of a covariance in 10 directions.
    """
    points = validate(points)
    if len(points) < LEAST_POINTS:
        raise TimbrespaceError(
            f"a tendency to cluster wants {LEAST_POINTS} instruments or more, got {len(points)}"
        )
    of = len(points)
    if of > POINTS:
        points = points[np.sort(rng.permutation(of)[:POINTS])]
    centred = points - points.mean(0)
    scale, turn = np.linalg.svd(centred, full_matrices=False)[1:]
    kept = min(PRINCIPAL, int((scale > 1e-6 * max(scale[0], 1e-30)).sum()))
    if not kept or scale[0] <= 0.0:
        raise TimbrespaceError("all sounds have the same latent; the space has collapsed")
    flat = centred @ turn[:kept].T
    observed = hopkins(flat, rng)
    drawn = np.array([hopkins(_cloud(flat, rng), rng) for _ in range(DRAWS)])
    return {
        "hopkins": observed,
        "cloud": float(drawn.mean()),
        "p": float((1 + (drawn >= observed).sum()) / (1 + DRAWS)),
        "points": len(points),
        "of": of,
        "directions": kept,
    }


def _cloud(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many places drawn from the normal distribution of the same mean and covariance."""
    centred = points - points.mean(0)
    # a random mix of the centred points has their covariance exactly
    mixed = rng.standard_normal((len(points), len(points))) @ centred / np.sqrt(len(points) - 1)
    return points.mean(0) + mixed
