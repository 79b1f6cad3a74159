"""Which effect a pair has: readers and clusters of a latent, and what else that latent knows.

Conventions
-----------
A view (`views.View`) is a pair of tables: (N, D) of the pairs asked, and (M, D) of training pairs, whose
instruments or speakers are others. Readers learn from the latter. kNN-5 and the silhouette take numbers
as they are, since the prior gives all numbers of a latent one unit; hand features have many units, so that
they come standardised. The logistic regression standardises for itself.

Accuracy: perfect 1, worst `chance`, the share of always naming the commonest effect of training.
Silhouette (Rousseeuw 1987) by effect, among the pairs asked: perfect 1, of labels that mean nothing a
little below 0. ARI and NMI of as many k-means clusters as there are effects: perfect 1, of chance 0.

`shared_variance`: the part of the variance that two pairs with the same label have in common. Two pairs
of one setting have one effect, too, so that of settings is at least that of effects. A space of effects
alone: setting 1, sound 0; a space of sounds alone: the other way round.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.evaluation import statistics
from timbrespace.evaluation.nearness import confusion, distances, near, silhouettes, votes
from timbrespace.evaluation.views import View, validate

TREES = 200
CLUSTERINGS = 5  # starts of k-means, of which the tightest counts
FEW = 10  # pairs asked: the accuracy of an effect with fewer moves by a tenth with each


@dataclass(frozen=True)
class Marks:
    """What is known of N pairs: the effect of each, its setting, its dry sound, and who plays or speaks
    (None where unknown). Two pairs with one id in `rows` are the same pair."""

    rows: np.ndarray
    effects: list[str]
    settings: list[Hashable | None]
    sounds: list[Hashable | None]
    voices: list[Hashable | None]

    def take(self, at: np.ndarray) -> "Marks":
        """The pairs at these positions."""
        some = [[values[i] for i in at] for values in self._columns()]
        return Marks(self.rows[at], *some)

    def _columns(self) -> tuple[list[Any], ...]:
        return self.effects, self.settings, self.sounds, self.voices


def evaluate(
    views: dict[str, View], asked: Marks, learnt: Marks, *, rng: np.random.Generator, seed: int
) -> dict[str, Any]:
    """Which effect, by view: accuracy of each reader with its interval over voices (sounds where none is
    known), silhouette, ARI, NMI, and of kNN and forest the accuracy of each effect and the confusion.

    {"why_not": a sentence} for pairs of one effect.
    """
    names = sorted({*asked.effects, *learnt.effects})
    if len(set(learnt.effects)) < 2 or len(set(asked.effects)) < 2:
        return {"why_not": f"all pairs have one effect, {names[0]}"}
    number = {name: i for i, name in enumerate(names)}
    own = np.array([number[name] for name in asked.effects])
    other = np.array([number[name] for name in learnt.effects])
    counted = np.bincount(own, minlength=len(names))
    groups = drawn_as_one(asked)
    lines: dict[str, Any] = {}
    for view, (here, there) in views.items():
        validate(here, there, view)
        fresh = asked.rows[:, None] != learnt.rows
        said = {
            "knn": votes(other, near(distances(here, there), fresh)),
            **_readers(there, other, here, seed),
        }
        line: dict[str, Any] = {}
        for reader, answers in said.items():
            line[reader] = statistics.headline((answers == own).astype(float), groups, rng=rng)
            if reader != "logistic":
                table = confusion(own, answers, len(names))
                line[reader]["confusion"] = [[_finite(v) for v in row] for row in table]
        apart = ~np.eye(len(own), dtype=bool)
        found = silhouettes(distances(here, here), own, own, apart)
        line["silhouette"] = statistics.headline(found, groups, rng=rng)
        lines[view] = line | _clusters(here, own, seed)
    return {
        "effects": names,
        "pairs": dict(zip(names, counted.tolist(), strict=True)),
        "few": [name for name, n in zip(names, counted, strict=True) if n < FEW],
        "chance": float((own == np.bincount(other).argmax()).mean()),
        "views": lines,
    }


def invariance(views: dict[str, np.ndarray], asked: Marks) -> dict[str, Any]:
    """What points (N, D) of pairs know besides the effect, by view: `voice`, the share of pairs whose 5
    nearest of other dry sounds have the same instrument or speaker, and the shared variance by effect,
    setting and sound (by voice where sounds are not known).

    `chance`: the share of the commonest voice; None where there are no two.
    """
    known = sorted({str(voice) for voice in asked.voices if voice is not None})
    number: dict[Any, int] = {name: i for i, name in enumerate(known)}
    own = np.array([-1 if v is None else number[str(v)] for v in asked.voices])
    sounds = statistics.numbered(asked.sounds, len(asked.sounds))[0]
    allowed = (sounds[:, None] != sounds) & (own >= 0)[None]
    several = len(known) > 1
    lines: dict[str, Any] = {}
    for view, points in views.items():
        validate(points, points, view)
        line: dict[str, Any] = {"voice": None}
        if several:
            said = votes(own, near(distances(points, points), allowed))
            line["voice"] = float((said == own)[own >= 0].mean())
        line["shared_variance"] = {
            "effect": shared_variance(points, asked.effects),
            "setting": shared_variance(points, asked.settings),
            "sound": shared_variance(
                points, asked.sounds if any(s is not None for s in asked.sounds) else asked.voices
            ),
        }
        lines[view] = line
    chance = float(np.bincount(own[own >= 0]).max() / (own >= 0).sum()) if several else None
    return {"voices": len(known), "chance": chance, "views": lines}


def shared_variance(points: np.ndarray, labels: Sequence[Hashable | None]) -> float | None:
    """The share of the variance of points (N, D) that two of one label have in common: the intraclass
    correlation of one-way groups of unequal size (Donner 1986), sums over all numbers. 1: the label
    says all; 0: nothing, and a little below 0 by chance. None without two labels or a repeated one."""
    known = np.array([label is not None for label in labels], bool)
    names = [label for label in labels if label is not None]
    group, count = statistics.numbered(names, len(names))
    if count < 2 or len(names) <= count:
        return None
    x = points[known].astype(np.float64)
    size = np.bincount(group)
    means = np.zeros((count, x.shape[1]))
    np.add.at(means, group, x)
    means /= size[:, None]
    within = float(np.square(x - means[group]).sum()) / (len(x) - count)
    between = float(size @ np.square(means - x.mean(0)).sum(1)) / (count - 1)
    typical = (len(x) - np.square(size).sum() / len(x)) / (count - 1)
    total = between + (typical - 1.0) * within
    return (between - within) / total if total > 0.0 else None


def drawn_as_one(asked: Marks) -> list[Hashable]:
    """What intervals draw as a whole: the voice of each pair, its dry sound where none is known, else
    the pair itself."""
    columns = zip(asked.voices, asked.sounds, asked.rows.tolist(), strict=True)
    return [
        ("voice", v) if v is not None else ("sound", s) if s is not None else ("pair", row)
        for v, s, row in columns
    ]


def standardised(view: View) -> View:
    """Both tables on the scale of the training pairs; a number that never moves there is 0."""
    here, there = view
    centre, scale = there.mean(0), there.std(0)
    moves = scale > 1e-8
    scale = np.where(moves, scale, 1.0)
    return (here - centre) / scale * moves, (there - centre) / scale * moves


def _readers(
    learnt: np.ndarray, labels: np.ndarray, asked: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """What a logistic regression and a forest say of the asked points (N,)."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    here, there = standardised((asked, learnt))
    linear = LogisticRegression(C=0.3, max_iter=300, tol=1e-3).fit(there, labels)
    forest = RandomForestClassifier(TREES, random_state=seed).fit(learnt, labels)
    return {"logistic": linear.predict(here), "forest": forest.predict(asked)}


def _clusters(points: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    count = min(len(set(labels.tolist())), len(points))
    starts: Any = CLUSTERINGS  # its stub knows no number
    found = KMeans(count, n_init=starts, random_state=seed).fit_predict(points)
    return {
        "ari": float(adjusted_rand_score(labels, found)),
        "nmi": float(normalized_mutual_info_score(labels, found)),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
