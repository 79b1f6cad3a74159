"""Where the knobs of an effect stand, read from a latent: errors beside what knows nothing.

Conventions
-----------
Knobs are places from 0 to 1 in the order of each knob's curve (`effects.Knob.to_unit`), (N, K) of all
knobs, NaN where a pair has another effect. The effect of a pair is taken as known: a reader of an effect's
knobs learns from training pairs of that effect. What it says is brought into 0..1.

MAE: perfect 0; `centre` (always 0.5) of evenly drawn settings 0.25. R2, of the variance of the pairs asked:
perfect 1, the mean of training about 0, worse below it. A knob is identifiable where a reader or the head
has an R2 of 0.1 or more; the others are listed, and no average has them in it: nobody can tell them from
these sounds. `rails`: the share of a head's answers below 0.05 or above 0.95, where gradients die.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.evaluation import statistics
from timbrespace.evaluation.effect_clusters import Marks, drawn_as_one, standardised
from timbrespace.evaluation.nearness import r2
from timbrespace.evaluation.views import View

TREES = 200
NEIGHBOURS = 5
LEAST = 10  # training pairs of an effect that readers learn from, and half as many to be asked
IDENTIFIABLE = 0.1  # of R2
RAIL = 0.05
CONSTANT = ("centre", "mean")  # methods that look at nothing
READERS = ("ridge", "knn", "trees")  # of a latent
BASELINES = {  # and of what it has to beat
    "untrained": ("ridge",), "pca": ("ridge",), "pca_difference": ("ridge",), "hand": ("trees",),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Places (N, K) of the pairs asked and (M, K) of training pairs, of K knobs: each a column's name and
    the effect that it belongs to."""

    knobs: list[str]
    effects: list[str]
    asked: np.ndarray
    learnt: np.ndarray


def evaluate(
    views: dict[str, View], settings: Settings, asked: Marks, learnt: Marks, *,
    head: np.ndarray | None = None, rng: np.random.Generator, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Errors of every method: of each knob, and their means over the identifiable ones.

    A method is called VIEW_READER: `BASELINES` are read by the readers named there, all other `views` by
    `READERS`. Of hand features that says what can be known at all, as far as they go. `head`: what the
    model itself says, (N, K), NaN where it says nothing. {"why_not": a sentence} where no knob moves.
    """
    said, why_not = _answers(views, settings, asked, learnt, head, seed)
    knobs: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(settings.knobs):
        truth = settings.asked[:, k]
        at = np.isfinite(truth)
        if name in why_not:
            continue
        lines = {
            method: _errors(truth[at], answers[at, k])
            for method, answers in said.items()
            if np.isfinite(answers[at, k]).all()
        }
        best = max((v["r2"] for m, v in lines.items() if m not in CONSTANT), default=-np.inf)
        knobs[name] = {
            "effect": settings.effects[k],
            "pairs": int(at.sum()),
            "identifiable": bool(best >= IDENTIFIABLE),
            "methods": lines,
        }
    if not knobs:
        reasons = "; ".join(f"{name}: {words}" for name, words in why_not.items())
        return {"why_not": reasons or "the effects of these pairs have no knobs"}
    shown = [k for k, name in enumerate(settings.knobs) if knobs.get(name, {}).get("identifiable")]
    return {
        "knobs": knobs,
        "not_asked": why_not,
        "identifiable": len(shown),
        "unidentifiable": [name for name, line in knobs.items() if not line["identifiable"]],
        "methods": {
            method: mean
            for method, answers in said.items()
            if (mean := _mean(settings.asked, answers, shown, asked, rng)) is not None
        },
        "rails": rails(settings.asked, head),
    }


def rails(truth: np.ndarray, said: np.ndarray | None) -> dict[str, float] | None:
    """The share of answers (N, K) at the ends of their range, where there is a truth (N, K), and of these
    truths; None without answers."""
    if said is None:
        return None
    both = np.isfinite(truth) & np.isfinite(said)
    if not both.any():
        return None
    shares = (float((np.abs(v[both] - 0.5) > 0.5 - RAIL).mean()) for v in (said, truth))
    return dict(zip(("said", "true"), shares, strict=True))


def _answers(
    views: dict[str, View], settings: Settings, asked: Marks, learnt: Marks,
    head: np.ndarray | None, seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:  # fmt: skip
    """What each method says (N, K), NaN where it is not asked, and why of some knobs none is."""
    read = [(view, reader) for view in views for reader in BASELINES.get(view, READERS)]
    methods = (*CONSTANT, *map("_".join, read))
    said = {name: np.full(settings.asked.shape, np.nan) for name in methods}
    if head is not None:
        said["head"] = np.clip(head, 0.0, 1.0)
    why_not: dict[str, str] = {}
    own, other = np.array(asked.effects), np.array(learnt.effects)
    for effect in dict.fromkeys(settings.effects):
        columns = np.array([k for k, e in enumerate(settings.effects) if e == effect])
        here = np.flatnonzero(own == effect)
        there = np.flatnonzero(other == effect)
        here = here[np.isfinite(settings.asked[np.ix_(here, columns)]).all(1)]
        there = there[np.isfinite(settings.learnt[np.ix_(there, columns)]).all(1)]
        moving = []
        for k in columns.tolist():
            words = _still(settings.asked[here, k], settings.learnt[there, k])
            if words:
                why_not[settings.knobs[k]] = words
            else:
                moving.append(k)
        if not moving:
            continue
        y = settings.learnt[np.ix_(there, moving)]
        where = np.ix_(here, moving)
        said["centre"][where] = 0.5
        said["mean"][where] = y.mean(0)
        for view, reader in read:
            mine, learn = views[view]
            said[f"{view}_{reader}"][where] = _read(reader, learn[there], y, mine[here], seed)
    return said, why_not


def _still(asked: np.ndarray, learnt: np.ndarray) -> str | None:
    """Why a knob cannot be asked for, None where it can."""
    if len(learnt) < LEAST or len(asked) < LEAST // 2:
        return f"{len(learnt)} training pairs and {len(asked)} to be asked are too few"
    if np.ptp(learnt) < 1e-6 or np.ptp(asked) < 1e-6:
        return "it stands still in all pairs"
    return None


def _read(
    reader: str, learnt: np.ndarray, places: np.ndarray, asked: np.ndarray, seed: int
) -> np.ndarray:
    """What a reader that learnt places (M, k) at points (M, D) says of others (N, D): (N, k) in 0..1."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor

    if reader == "ridge":
        asked, learnt = standardised((asked, learnt))
        model: Any = RidgeCV(np.logspace(-1, 4, 11))
    elif reader == "knn":
        model = KNeighborsRegressor(min(NEIGHBOURS, len(learnt)))
    else:
        model = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed)
    y = places[:, 0] if places.shape[1] == 1 else places
    return np.clip(model.fit(learnt, y).predict(asked).reshape(len(asked), -1), 0.0, 1.0)


def _errors(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    share = r2(truth, said)
    assert share is not None  # truths that do not move are not asked for
    return {"mae": float(np.abs(said - truth).mean()), "r2": share}


def _mean(
    truth: np.ndarray, said: np.ndarray, columns: Sequence[int], asked: Marks,
    rng: np.random.Generator,
) -> dict[str, Any] | None:  # fmt: skip
    """Mean MAE and R2 over those knobs of `columns` that the method answers, each knob counting once; the
    interval of the MAE is over voices. None where it answers none."""
    known = [
        k for k in columns
        if np.isfinite(said[np.isfinite(truth[:, k]), k]).all()
    ]  # fmt: skip
    if not known:
        return None
    error = np.abs(said[:, known] - truth[:, known])
    group, count = statistics.numbered(drawn_as_one(asked), len(error))
    sums, sizes = np.zeros((count, len(known))), np.zeros((count, len(known)))
    np.add.at(sums, group, np.nan_to_num(error))
    np.add.at(sizes, group, np.isfinite(error))
    ends = statistics.interval(
        np.hstack([sums, sizes]), rng=rng,
        statistic=lambda rows: _mean_of_means(*np.split(rows.sum(0), 2)),
    )  # fmt: skip
    lines = [_errors(truth[at, k], said[at, k]) for k in known for at in [np.isfinite(truth[:, k])]]
    return {
        "mae": _mean_of_means(sums.sum(0), sizes.sum(0)),
        "mae_interval": ends,
        "r2": float(np.mean([line["r2"] for line in lines])),
        "knobs": len(known),
    }


def _mean_of_means(sums: np.ndarray, sizes: np.ndarray) -> float:
    """The mean over knobs that were drawn at all."""
    return float((sums[sizes > 0] / sizes[sizes > 0]).mean())
