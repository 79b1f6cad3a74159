"""How much a split flatters: what is known of validation sounds because training has their like.

The question put to both splits is the same: name the stratum (family, genre, accent) of validation
sounds by the 5 nearest training sounds, on the 64 first principal axes of the training pictures. No
model is needed, it takes seconds, and the difference is due to the split alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.data.columns import Label, Labels
from timbrespace.data.duplicates import coarse
from timbrespace.data.splits import disjoint

NEIGHBOURS = 5
COMPONENTS = 64
MOST = {"train": 4000, "valid": 1500}  # rows sampled
GRID = (32, 32)  # cells of a picture; more take longer and name no better
FEWEST = 10  # groups; of fewer, a tenth is one, and says nothing of the others
DRAWS = 3  # splits apart by group that are averaged: one has few groups in its validation


def shared(groups: Labels, splits: np.ndarray) -> int:
    """How many values of groups (N,) are in more than one of splits (N,)."""
    known = groups.codes >= 0
    pairs = np.unique(np.stack([groups.codes[known], splits[known]], 1), axis=0)
    return int((np.bincount(pairs[:, 0]) > 1).sum())


def measure(
    values: Any, strata: Sequence[Label], groups: Sequence[Label], splits: Sequence[str],
    shares: tuple[float, float, float],
) -> dict[str, Any] | None:  # fmt: skip
    """Accuracy of naming strata (N,) of validation sounds under `splits` (N,), and when no value of
    groups (N,) is in two splits.

    values: pictures (N, mels, frames). A dict with `accuracy`, `apart` (mean of DRAWS splits, which
    are in `draws`) and `majority` (share of the commonest stratum, under `splits`); None when there
    are few groups, nothing to tell apart or nothing to validate on.
    """
    kinds, homes = (Labels.of(column) for column in (strata, groups))
    known = (kinds.codes >= 0) & (homes.codes >= 0)
    names = kinds.codes
    asked = _sample(np.asarray(splits), known, 0)
    found = np.flatnonzero(known).tolist()
    few = len(np.unique(homes.codes[known])) < FEWEST
    if asked is None or few or len(set(names[known])) < 2:
        return None
    others = []
    for draw in range(DRAWS):
        apart = np.full(len(names), "", dtype="<U5")
        apart[found] = disjoint(
            [str(homes[i]) for i in found], [str(kinds[i]) for i in found], shares, draw
        )
        others.append(_sample(apart, known, draw))
    rows = np.unique(np.concatenate([part for pair in (asked, *others) if pair for part in pair]))
    pictures = coarse(values, GRID, rows, 2).reshape(len(rows), -1)
    accuracy = [
        _accuracy(pictures, names[rows], *(np.searchsorted(rows, part) for part in pair))
        for pair in (asked, *others)
        if pair is not None
    ]
    if len(accuracy) < 2:
        return None
    train, valid = asked
    common, counts = np.unique(names[train], return_counts=True)
    return {
        "accuracy": round(accuracy[0], 3),
        "apart": round(float(np.mean(accuracy[1:])), 3),
        "draws": [round(a, 3) for a in accuracy[1:]],
        "majority": round(float((names[valid] == common[counts.argmax()]).mean()), 3),
        "train": len(train),
        "valid": len(valid),
    }


def _sample(
    splits: np.ndarray, known: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Training and validation rows, at most MOST of them; None when one is empty."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(known & (splits == name)) for name in MOST]
    some = [
        np.sort(rng.choice(all_, min(len(all_), most), replace=False))
        for all_, most in zip(rows, MOST.values(), strict=True)
    ]
    return (some[0], some[1]) if all(map(len, some)) else None


def _accuracy(
    pictures: np.ndarray, names: np.ndarray, train: np.ndarray, valid: np.ndarray
) -> float:
    """Share of validation rows whose name the majority of their nearest training rows has."""
    centre = pictures[train].mean(0)
    x, y = pictures[train] - centre, pictures[valid] - centre
    axes = _principal(x, min(COMPONENTS, *x.shape))
    x, y = x @ axes, y @ axes
    squares = np.square(x).sum(1) - 2.0 * (y @ x.T)
    count = min(NEIGHBOURS, len(x))
    near = np.argpartition(squares, count - 1, axis=1)[:, :count]
    kinds, codes = np.unique(names[train], return_inverse=True)
    votes = np.zeros((len(y), len(kinds)), np.int64)
    np.add.at(votes, (np.arange(len(y))[:, None], codes[near]), 1)
    return float((kinds[votes.argmax(1)] == names[valid]).mean())


def _principal(x: np.ndarray, count: int) -> np.ndarray:
    """The first principal axes (D, count) of centred rows x (n, D), by subspace iteration.

    Halko, Martinsson & Tropp 2011, algorithm 4.4: the powers make the randomness vanish.
    """
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((x.shape[1], min(count + 16, *x.shape))).astype(np.float32)
    for _ in range(4):
        basis, _ = np.linalg.qr(x.T @ (x @ basis))
    _, _, rotation = np.linalg.svd(x @ basis, full_matrices=False)
    return basis @ rotation[:count].T
