"""How far a figure can be trusted: intervals by resampling, and differences of two runs tested in pairs.

Conventions
-----------
Notes of one instrument resemble each other, so that a hundred notes of five instruments are nearer to
five facts than to a hundred. Where `groups` are given (one label a value; None: a group of its own)
whole groups are drawn and flipped, never single values: the figures say what other instruments would
do, not other notes of the same ones.

Intervals are percentiles of a bootstrap (Efron 1979), set a little wider so that for the mean of few
groups they are as wide as Student's t (the expanded percentile interval, Hesterberg 2015, The American
Statistician 69:4): plain percentiles cover the mean of ten groups in 90 % of cases, these in about 95 %. BCa
mends skew but not that, and its acceleration asks for a jackknife of whatever statistic is given. An
interval of percentiles goes through any rising function: the root of its ends is the interval of the
root.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError

CONFIDENCE = 0.95
FLIPS = 9_999  # random patterns of signs; with the one observed, p is a multiple of 1 / 10,000
EXACT = 13  # so many groups or fewer have at most 8,192 patterns: all of them are tried
BLOCK = 1_000  # patterns at a time
DRAWN = 1_000_000  # groups that a bootstrap draws at a time: 8 MB

Groups = Sequence[Hashable] | np.ndarray


@dataclass(frozen=True)
class Paired:
    """A difference, its 95 % interval, the two-sided p of no difference, and the least p that so many
    groups could have given."""

    difference: float
    low: float
    high: float
    p: float
    least_p: float


def interval(
    values: Sequence[float] | np.ndarray,
    groups: Groups | None = None,
    *,
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], Any] = np.mean,
    resamples: int = 1_000,
) -> tuple[float, float] | None:
    """The 95 % interval (low, high) of `statistic(values)`; None for one value or one group.

    values: (N,), or (N, K) for a statistic of several columns such as a correlation. Two groups give
    the range of their own figures, which no other group has to lie in. TimbrespaceError where a value
    is not finite, or N labels do not belong to N values.
    """
    values = validate(values, groups)
    group, count = numbered(groups, len(values))
    if count < 2:
        return None
    total, size = np.bincount(group, values if values.ndim == 1 else None), np.bincount(group)
    found = np.empty(resamples)
    block = max(1, DRAWN // count)  # resamples at a time: many groups need no more memory than few
    for start in range(0, resamples, block):
        part = slice(start, min(start + block, resamples))
        drawn = rng.integers(0, count, (part.stop - start, count))
        if statistic is np.mean and values.ndim == 1:
            found[part] = total[drawn].sum(1) / size[drawn].sum(1)
        else:
            times = (np.bincount(picked, minlength=count) for picked in drawn)
            found[part] = [statistic(np.repeat(values, n[group], axis=0)) for n in times]
    tail = _tail(count)
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return float(low), float(high)


def headline(
    values: np.ndarray, groups: Groups, *, rng: np.random.Generator
) -> dict[str, float | None]:
    """The mean of the values (N,) that are finite, with its 95 % interval "low" and "high"; None where
    there is none."""
    here = np.isfinite(values)
    if not here.any():
        return {"mean": None, "low": None, "high": None}
    own = [group for group, known in zip(groups, here, strict=True) if known]
    low, high = interval(values[here], own, rng=rng) or (None, None)
    return {"mean": float(values[here].mean()), "low": low, "high": high}


def paired(
    one: Sequence[float] | np.ndarray,
    other: Sequence[float] | np.ndarray,
    groups: Groups | None = None,
    *,
    rng: np.random.Generator,
) -> Paired | None:
    """Mean of `one` minus mean of `other`, both (N,) of the same sounds in the same order; None for one
    sound or one group.

    p is the share of sign patterns over the groups that make the difference at least as large (Fisher's
    randomisation test): if both were alike, each group's difference could as well be its negative. All
    2^groups patterns are tried for at most 13 groups, else 9,999 random ones beside the one observed, so
    that p is never below `least_p`: 2^(1 - groups), or 0.0001. TimbrespaceError as in `interval`.
    """
    one, other = validate(one, groups), validate(other, groups)
    if one.shape != other.shape or one.ndim != 1:
        raise TimbrespaceError(
            f"{one.shape} and {other.shape} figures are no pairs; give one figure a sound for both"
        )
    difference = one - other
    ends = interval(difference, groups, rng=rng)
    if ends is None:
        return None
    group, count = numbered(groups, len(one))
    total = np.bincount(group, difference)
    observed = abs(total.sum())
    # sums in another order differ in the last bits: what ties with the observed counts as reaching it
    reach = observed - 1e-9 * np.abs(total).sum()
    reached, tried = 0, 0
    for signs in _patterns(count, rng):
        reached += int((np.abs(signs @ total) >= reach).sum())
        tried += len(signs)
    if count > EXACT:  # the observed pattern is one of those that could have been drawn
        reached, tried = reached + 1, tried + 1
    least = 2.0 / tried if count <= EXACT else 1.0 / tried
    return Paired(float(difference.mean()), *ends, reached / tried, least)


def validate(values: Sequence[float] | np.ndarray, groups: Groups | None) -> np.ndarray:
    """The values as float64; TimbrespaceError unless all are finite, some, and each has its label."""
    table = np.asarray(values, np.float64)
    if not table.size or table.ndim > 2:
        raise TimbrespaceError(f"figures {table.shape} should be one a sound, of one sound or more")
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table.reshape(len(table), -1))).any(1).sum())
        raise TimbrespaceError(
            f"{bad} of {len(table)} figures are not finite; leave those sounds out and say so"
        )
    if groups is not None and len(groups) != len(table):
        raise TimbrespaceError(f"{len(table)} figures came with {len(groups)} labels of groups")
    return table


def numbered(groups: Groups | None, count: int) -> tuple[np.ndarray, int]:
    """The group of each of `count` values as a number (count,), and how many groups there are."""
    if groups is None:
        return np.arange(count), count
    known: dict[Hashable, int] = {}
    numbers = [
        known.setdefault((i, None) if label is None else label, len(known))
        for i, label in enumerate(groups)
    ]
    return np.array(numbers), len(known)


def _tail(groups: int) -> float:
    """The share of resamples beyond each end: percentiles of G groups spread by sqrt((G - 1) / G) too
    little, and the normal's quantile stands where Student's should."""
    from scipy.special import ndtr, stdtrit

    t = float(stdtrit(groups - 1, 0.5 - CONFIDENCE / 2.0))
    return float(ndtr(math.sqrt(groups / (groups - 1)) * t))


def _patterns(groups: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Blocks of patterns of signs (n, groups), -1 or 1: all for few groups, else random ones."""
    if groups <= EXACT:
        bits = np.arange(2**groups)[:, None] >> np.arange(groups)
        yield np.where(bits & 1, 1.0, -1.0)
        return
    for start in range(0, FLIPS, BLOCK):
        size = min(BLOCK, FLIPS - start)
        drawn = np.frombuffer(rng.bytes(size * (-(-groups // 8))), np.uint8).reshape(size, -1)
        yield np.unpackbits(drawn, axis=1, count=groups) * 2.0 - 1.0
