"""How well distances between sounds agree with how unlike listeners rated them.

Conventions
-----------
The protocol of github.com/tiianhk/timbremetrics (Tian et al., ISMIR 2025, arXiv 2507.07764), which
published scores of other representations. Distances of a study are divided by the largest of them, as
its ratings are. Every sound is an anchor once: its distances to the study's other sounds are ranked
against the ratings. A score is the mean over the anchors of all studies, so that a study counts by its
sounds; the error alone is a mean over pairs. Means of studies are equally of one study's anchors.

triplet: share of pairs of others, rated more than 0.1 apart, that are ordered alike; a tie is not. Perfect
    1, worst 0, chance 0.5. A space where all is one point ties everywhere: 0.
spearman, kendall (tau-b): rank correlations, 0 where all distances are equal. Perfect 1, worst -1.
ndcg: discounted gain of the others in order of distance, gain 1 - rating, over that of the best order.
    Perfect 1, chance 0.83.
mae: mean absolute difference of distances and ratings, both from 0 to 1. Perfect 0, worst 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.geometry import distance

MARGIN = 0.1  # ratings nearer than this are not told apart
SCORES = ("triplet", "spearman", "kendall", "ndcg")


@dataclass(frozen=True)
class Agreement:
    """Scores of K anchors: scores {name: (K,)} of SCORES; study (K,), which one an anchor is of; and
    errors, for each study those of its pairs."""

    scores: dict[str, np.ndarray]
    study: np.ndarray
    errors: tuple[np.ndarray, ...]

    def __getitem__(self, name: str) -> float:
        """One score over all studies."""
        if name == "mae":
            return float(np.concatenate(self.errors).mean())
        return float(self.scores[name].mean())

    @classmethod
    def mean(cls, several: Sequence["Agreement"]) -> "Agreement":
        """Of several draws of one kind of distances: each anchor's scores and each pair's error."""
        first = several[0]
        scores = {k: np.mean([one.scores[k] for one in several], 0) for k in first.scores}
        errors = zip(*(one.errors for one in several), strict=True)
        return cls(scores, first.study, tuple(np.mean(each, 0) for each in errors))

    @cached_property
    def by_study(self) -> dict[str, list[float]]:
        """Each score study by study."""
        places = [self.study == number for number in range(len(self.errors))]
        each = {k: [float(v[here].mean()) for here in places] for k, v in self.scores.items()}
        return each | {"mae": [float(e.mean()) for e in self.errors]}


def validate(distances: Sequence[np.ndarray], ratings: Sequence[np.ndarray]) -> None:
    """TimbrespaceError unless each study has a square of finite distances of at least 0 between its
    sounds, of which there are three or more."""
    if len(distances) != len(ratings) or not ratings:
        raise TimbrespaceError(
            f"there are distances of {len(distances)} studies and ratings of {len(ratings)}; give one "
            "square of each for every study"
        )
    for ours, theirs in zip(distances, ratings, strict=True):
        if ours.shape != theirs.shape or ours.shape != (len(theirs),) * 2 or len(theirs) < 3:
            raise TimbrespaceError(
                f"distances {ours.shape} and ratings {theirs.shape} should both be (sounds, sounds), "
                "of at least three sounds"
            )
        if not np.isfinite(ours).all() or (ours < 0.0).any():
            raise TimbrespaceError(
                "distances should be finite and at least 0; the numbers they come from are not finite"
            )


def agreement(distances: Sequence[np.ndarray], ratings: Sequence[np.ndarray]) -> Agreement:
    """Scores of distances, one (n, n) for each study, of which the upper triangle counts; ratings of the
    same shapes, symmetric, at most 1. See the module's conventions."""
    validate(distances, ratings)
    measures = {"triplet": triplet, "spearman": spearman, "kendall": kendall, "ndcg": ndcg}
    scores: dict[str, list[np.ndarray]] = {name: [] for name in SCORES}
    errors = []
    for ours, theirs in zip(map(normalised, distances), ratings, strict=True):
        count = len(theirs)
        errors.append(np.abs(ours - theirs)[np.triu_indices(count, 1)])
        others = ~np.eye(count, dtype=bool)
        near, rated = (table[others].reshape(count, count - 1) for table in (ours, theirs))
        for name, measure in measures.items():
            scores[name].append(measure(near, rated))
    study = np.repeat(np.arange(len(ratings)), [len(theirs) for theirs in ratings])
    return Agreement({k: np.concatenate(v) for k, v in scores.items()}, study, tuple(errors))


def triplet(near: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """For each row of rated (K, n) the share of pairs, more than MARGIN apart, that the row of near
    (K, n) orders alike; 0 where no pair is that far apart."""
    ours, theirs = _differences(near), _differences(rated)
    counted = np.abs(theirs) > MARGIN
    alike = (ours * theirs > 0.0) & counted
    return alike.sum(1) / np.maximum(counted.sum(1), 1)


def spearman(near: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Rank correlation (K,) of rows (K, n), ties at their mean rank; 0 where a row is constant."""
    from scipy.stats import rankdata

    ours, theirs = (rankdata(t, axis=1) - (t.shape[1] + 1) / 2 for t in (near, rated))
    return _cosines(ours, theirs)


def kendall(near: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Kendall's tau-b (K,) of rows (K, n): the correlation of the signs of all differences; 0 where a row
    is constant."""
    return _cosines(np.sign(_differences(near)), np.sign(_differences(rated)))


def ndcg(near: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Normalised discounted cumulative gain (K,) of rows (K, n) in order of near, with gains 1 - rated
    and discounts 1 / log2(place + 1); equally near ones share theirs (McSherry & Najork 2008)."""
    discounts = 1.0 / np.log2(np.arange(2, near.shape[1] + 2))
    found = np.empty(len(near))
    for row, (ours, gains) in enumerate(zip(near, 1.0 - rated, strict=True)):
        _, group, counts = np.unique(ours, return_inverse=True, return_counts=True)
        shared = np.add.reduceat(discounts, np.cumsum(counts) - counts) / counts
        best = float(np.sort(gains)[::-1] @ discounts)
        found[row] = float(gains @ shared[group]) / best if best > 0.0 else 0.0
    return found


def _differences(rows: np.ndarray) -> np.ndarray:
    """(K, pairs) differences between the numbers of each row (K, n)."""
    one, other = np.triu_indices(rows.shape[1], 1)
    return rows[:, one] - rows[:, other]


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The cosine (K,) between rows; 0 where one is 0."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(1) / np.where(norms > 0.0, norms, 1.0)


def normalised(distances: np.ndarray) -> np.ndarray:
    """The upper triangle of distances (n, n) on both sides, the largest being 1; 0 where all are."""
    upper = np.triu(distances, 1)
    return (upper + upper.T) / max(float(upper.max()), 1e-300)


def euclidean(points: np.ndarray) -> np.ndarray:
    """Distances (n, n) between points (n, D)."""
    return distance.euclidean(points, points)


def cosine(points: np.ndarray) -> np.ndarray:
    """1 - cosine of the angle between points (n, D), in (n, n); a point of zeros is at 1 from all."""
    return distance.cosine(points, points)


def combined(distances: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The equal-weight mean of several ways to tell sounds apart, each given study by study; each is
    divided by its largest distance of the study first."""
    return [
        distance.combined([normalised(one) for one in ways])
        for ways in zip(*distances, strict=True)
    ]
