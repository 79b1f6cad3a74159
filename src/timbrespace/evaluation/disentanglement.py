"""Does a number of the latent stand for one thing? MIG, SAP and DCI, by factor.

Conventions
-----------
Factors are what the labels say: family, instrument, pitch, velocity. All figures are in [0, 1]: perfect
1, worst 0, and above 0 by chance where sounds are few and labels many, so that the row of random
numbers stands beside; PCA-32 of the pictures beside it is what linear algebra gives.

MIG, the mutual information gap (Chen et al. 2018, section 4): how much more the best number says of a
    factor than the second best, over the entropy of the factor. Numbers are cut into 20 bins of equal
    width, as in Locatello et al. 2019.
SAP, the separated attribute predictability (Kumar et al. 2018, section 3): how much better the best number
    alone predicts a factor than the second best: squared correlation for pitch and velocity; for names
    balanced accuracy of thresholds on that number, here the edges of the same bins, over that of guessing.
DCI (Eastwood & Williams 2018, section 2), from the importances of random forests that predict
    each factor from all numbers. Completeness, of a factor: is it in one number only? 1 - entropy of its
    shares in the numbers. Disentanglement, of a number: does it tell of one factor only? The mean over
    numbers weighed by importance. The instrument decides the family, so that it is not counted there
    as a second factor, nor is what no view can predict: importances of a forest that guesses are noise
    and would make every space look entangled. Informativeness: how well the forest predicts sounds
    that it has not seen, accuracy of names, R2 of numbers (0 where it is negative).

Family, pitch and velocity are learnt from training sounds and asked of the sounds measured, which are of
other instruments. These know no instrument of training: it is learnt from every other of their pitches
and asked of the rest.

Intervals, of z alone for time's sake, draw the instruments asked; what was learnt from training stays, and
so do the bins. MIG and SAP are gaps between the best number and the next, so that the four best are drawn
and no more. Completeness and disentanglement are of a forest's importances: each draw would want another
forest, so that they have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts, Unanswerable
from timbrespace.evaluation.nearness import r2
from timbrespace.evaluation.statistics import interval
from timbrespace.evaluation.views import NAMES, Sounds, View, validate
from timbrespace.page import brackets, escape, table

BINS = 20
TREES = 50
LEAF = 4  # sounds: trees that end in single sounds learn by heart and take twice as long
LEAST = 0.05  # of informativeness above guessing, for a factor that is told apart at all
LEARNT = 1_000  # training sounds that a forest sees
DRAWN, DRAWS, BEST = "z", 300, 4  # the view with intervals, their resamples, numbers that are drawn
SHOWN = ("z", "mu", "pca_32", "random")
NAMED = ("family", "instrument")  # names; other factors are numbers


@dataclass(frozen=True)
class Factor:
    """What is asked: rows of one table to learn from with their labels, and rows of one to be asked.

    learn_from, ask_of: 0 for the sounds measured, 1 for training sounds. learn, asked: positions.
    y: the labels of the former and of the latter, numbers; of names the same number for the same name.
    """

    name: str
    learn_from: int
    learn: np.ndarray
    ask_of: int
    asked: np.ndarray
    y: tuple[np.ndarray, np.ndarray]

    @property
    def named(self) -> bool:
        return self.name in NAMED

    @property
    def guess(self) -> float:
        """The informativeness of naming the commonest label of training, or the mean."""
        if not self.named:
            return 0.0
        return float((self.y[1] == np.bincount(self.y[0]).argmax()).mean())


def binned(points: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Each number's bin (N, D) of `bins` of equal width, and where the bins begin: low, width (2, D)."""
    low, high = points.min(0), points.max(0)
    width = np.where(high > low, (high - low) / bins, 1.0)
    return in_bins(points, np.stack([low, width]), bins), np.stack([low, width])


def in_bins(points: np.ndarray, scale: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bins of other points on the scale of `binned`; beyond its ends the first and the last."""
    return np.clip(((points - scale[0]) / scale[1]).astype(int), 0, bins - 1)


def counts(bins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many sounds have which label in which bin of each number: (D, bins, labels)."""
    high, wide = bins.max() + 1, labels.max() + 1
    cells = bins * wide + labels[:, None]
    return np.stack(
        [np.bincount(c, minlength=high * wide).reshape(high, wide) for c in cells.T]
    )  # fmt: skip


def information(table: np.ndarray) -> np.ndarray:
    """Mutual information of bins and labels, nats (D,), of counts (D, bins, labels)."""
    joint = table / table.sum((1, 2), keepdims=True)
    apart = joint.sum(1, keepdims=True) * joint.sum(2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(joint > 0, joint * np.log(joint / apart), 0.0).sum((1, 2))


def mig(points: np.ndarray, labels: np.ndarray) -> float:
    """The gap for one factor: labels (N,) from 0, at least two of them; points (N, D)."""
    return _gap(_shares(binned(points)[0], labels))


def sap(learn: View, asked: View, *, named: bool) -> float:
    """The gap of predictability: learn and asked are (points (N, D), labels (N,))."""
    if not named:
        return _gap(_squared_correlation(*asked))
    return _gap(_balanced(_said_right(learn, asked), asked[1]))


def _shares(bins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each number in bins (N, D) says of labels (N,), over their entropy (D,); NaN of one label."""
    share = np.bincount(labels) / len(labels)
    entropy = -float((share[share > 0] * np.log(share[share > 0])).sum())
    if entropy <= 0.0:
        return np.full(bins.shape[1], np.nan)
    return information(counts(bins, labels)) / entropy


def _said_right(learn: View, asked: View) -> np.ndarray:
    """Whether thresholds on each number say the label of each sound asked, (N, D) of 0 and 1."""
    learnt, scale = binned(learn[0])
    wide = int(max(learn[1].max(), asked[1].max())) + 1
    table = np.zeros((learn[0].shape[1], BINS, wide))
    found = counts(learnt, learn[1])
    table[:, : found.shape[1], : found.shape[2]] = found
    table /= np.maximum(table.sum(1, keepdims=True), 1.0)  # each label counts alike
    said = table.argmax(2)[np.arange(learn[0].shape[1]), in_bins(asked[0], scale)]
    return (said == asked[1][:, None]).astype(float)


def _balanced(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of right answers (N, D) the balanced accuracy over guessing, (D,); 0 of one label."""
    size = np.bincount(labels)
    heard = size > 0
    if heard.sum() < 2:
        return np.zeros(right.shape[1])
    accuracy = [(np.bincount(labels, each)[heard] / size[heard]).mean() for each in right.T]
    guess = 1.0 / heard.sum()
    return np.maximum(np.array(accuracy) - guess, 0.0) / (1.0 - guess)


def completeness(importance: np.ndarray) -> np.ndarray:
    """Of importances (D, K) of D numbers for K factors: 1 where one number has all of a factor, 0 where
    all share it, (K,)."""
    return _concentration(importance.T)


def disentanglement(importance: np.ndarray) -> float:
    """Of importances (D, K): 1 where each number tells of one factor, 0 where each tells of all."""
    weight = importance.sum(1)
    total = weight.sum()
    return float(_concentration(importance) @ weight / total) if total > 0 else 0.0


def evaluate(
    tables: dict[str, View], asked: Sounds, others: Sounds, *, seed: int
) -> dict[str, Any]:
    """All figures of each view, by factor, as JSON numbers; Unanswerable without a factor to ask of."""
    rng = np.random.default_rng(seed)
    factors, why_not = _factors(asked, others, rng)
    if not factors:
        raise Unanswerable("; ".join(f"{name}: {words}" for name, words in why_not.items()))
    lines, importance = {}, {}
    for name, view in tables.items():
        if name in SHOWN:
            validate(*view, name)
            groups = asked.instruments if name == DRAWN else None
            lines[name], importance[name] = _view(view, factors, seed, groups)
    counted = [
        i for i, factor in enumerate(factors) if factor.name != "instrument"
        and max(line[factor.name]["informativeness"] for line in lines.values())
        > factor.guess + LEAST
    ]  # fmt: skip
    found: dict[str, Any] = {
        "factors": [f.name for f in factors],
        "not_asked": why_not,
        "told_apart": [factors[i].name for i in counted],
        "learnt_from": {f.name: len(f.learn) for f in factors},
        "asked": {f.name: len(f.asked) for f in factors},
        "guess": {f.name: f.guess for f in factors},
    }
    for name, by_factor in lines.items():
        several = len(counted) > 1
        found[name] = {
            "disentanglement": disentanglement(importance[name][:, counted]) if several else None,
            "by_factor": by_factor,
        }
    return found


def measure(facts: Facts) -> dict[str, Any]:
    """See `evaluate`."""
    views = facts.views
    return evaluate(views.tables, views.asked, views.others, seed=facts.seed)


def show(found: dict[str, Any]) -> Shown:
    """The part of the report: a line for each factor and view."""
    lines = []
    for factor in found["factors"]:
        for view in (v for v in SHOWN if v in found):
            line = found[view]["by_factor"][factor]
            names = ("mig", "sap", "completeness", "informativeness")
            told = (f"{line[n]:.3f}{brackets(line.get(f'{n}_interval'))}" for n in names)
            lines.append((factor, NAMES[view], *told))
    heads = ("factor", "", "MIG", "SAP", "completeness", "informativeness")
    told = found["told_apart"]
    if len(told) > 1:
        each = ", ".join(
            f"{NAMES[v]} {found[v]['disentanglement']:.2f}" for v in SHOWN if v in found
        )
        words = (
            f"Of {' and '.join(told)}, a number tells of one alone (DCI disentanglement): {each}."
        )
    else:
        words = (
            f"Only {told[0]} can be told at all, and of one factor" if told else
            "No factor can be told at all, so that"
        ) + " nothing is said of disentanglement."  # fmt: skip
    guessed = ", ".join(f"{k} {v:.2f}" for k, v in found["guess"].items())
    missing = "".join(
        f" {k.capitalize()} is not asked: {v}." for k, v in found["not_asked"].items()
    )
    return Shown(
        "<h2>Does a number stand for one thing?</h2>"
        "<p>1 is perfect, 0 worst; the row of random numbers shows what chance gives. MIG and SAP: how "
        "much more the best single number says of a factor than the second best. Completeness: is the "
        "factor in one number only? Informativeness: how well a forest predicts it from all numbers "
        f"(guessing: {escape(guessed)}). In brackets: 95 % intervals, for other instruments."
        f"{escape(missing)}</p>"
        f"<p>{escape(words)}</p>" + table(heads, lines, words=2)
    )


def _view(
    view: View, factors: Sequence[Factor], seed: int, instruments: Sequence[Any] | None
) -> tuple[dict[str, dict[str, Any]], np.ndarray]:
    """The figures of each factor, and importances (D, factors); with the instruments of the sounds
    measured (N,) also the intervals."""
    importance, lines = [], {}
    for factor in factors:
        learn, ask = view[factor.learn_from][factor.learn], view[factor.ask_of][factor.asked]
        weights, said = _forest((learn, factor.y[0]), ask, factor.named, seed)
        importance.append(weights)
        # what a number says needs no reader: asked of the sounds measured alone
        labels = np.unique(factor.y[1], return_inverse=True)[1]
        lines[factor.name] = {
            "mig": mig(ask, labels),
            "sap": sap((learn, factor.y[0]), (ask, factor.y[1]), named=factor.named),
            "completeness": float(completeness(weights[:, None])[0]),
            "informativeness": _informativeness(np.stack([factor.y[1], said], 1), factor.named),
        }
        if instruments is not None:
            groups = [instruments[i] for i in factor.asked]
            lines[factor.name] |= _intervals(factor, learn, ask, labels, said, groups, seed)
    return lines, np.stack(importance, 1)


def _intervals(
    factor: Factor, learn: np.ndarray, ask: np.ndarray, labels: np.ndarray, said: np.ndarray,
    groups: Sequence[Any], seed: int,
) -> dict[str, tuple[float, float] | None]:  # fmt: skip
    """Of MIG, SAP and informativeness, over groups (N,) of the sounds asked."""
    truth, bins = factor.y[1], binned(ask)[0]
    if factor.named:
        each = _said_right((learn, factor.y[0]), (ask, truth))
        scores, predict = _balanced(each, truth), _balanced
    else:
        each, scores, predict = ask, _squared_correlation(ask, truth), _squared_correlation

    def numbers(values: np.ndarray) -> np.ndarray:
        return values[:, 0].astype(int) if factor.named else values[:, 0]

    draws = {
        "mig": (
            np.c_[labels, bins[:, _best(_shares(bins, labels))]],
            lambda v: _gap(_shares(v[:, 1:].astype(int), v[:, 0].astype(int))),
        ),
        "sap": (
            np.c_[truth, each[:, _best(scores)]], lambda v: _gap(predict(v[:, 1:], numbers(v))),
        ),
        "informativeness": (
            np.stack([truth, said], 1), lambda v: _informativeness(v, factor.named),
        ),
    }  # fmt: skip
    rng, found = np.random.default_rng(seed), {}
    for name, (values, statistic) in draws.items():
        ends = interval(values, groups, rng=rng, statistic=statistic, resamples=DRAWS)
        # a draw of one label alone has no gap
        known = ends is not None and np.isfinite(ends).all()
        found[f"{name}_interval"] = ends if known else None
    return found


def _best(scores: np.ndarray) -> np.ndarray:
    return np.argsort(scores)[::-1][:BEST]


def _informativeness(values: np.ndarray, named: bool) -> float:
    """Of truths and what is said, (N, 2): the share that is right, of numbers R2, 0 where it is negative."""
    truth, said = values.T
    return float((said == truth).mean() if named else max(r2(truth, said) or 0.0, 0.0))


def _forest(
    learn: View, asked: np.ndarray, named: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Importances (D,) that sum to 1, or are 0 throughout, and what it says of those asked (N,)."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if named else RandomForestRegressor
    tried: Any = "sqrt"  # of all numbers, at each fork; its stub knows no text
    forest = kind(TREES, max_features=tried, min_samples_leaf=LEAF, random_state=seed).fit(*learn)
    return forest.feature_importances_, np.asarray(forest.predict(asked))


def _factors(
    asked: Sounds, others: Sounds, rng: np.random.Generator
) -> tuple[list[Factor], dict[str, str]]:
    """The factors that the labels allow to ask of, and a sentence for each of the others."""
    factors: list[Factor] = []
    why_not: dict[str, str] = {}
    sides = {
        "family": (asked.families, others.families),
        "pitch": tuple([None if np.isnan(p) else p for p in s.pitches] for s in (asked, others)),
        "velocity": tuple(_numeric(s.velocities) for s in (asked, others)),
    }
    for name, (mine, learnt) in sides.items():
        here = np.array([i for i, v in enumerate(mine) if v is not None], int)
        there = np.array([i for i, v in enumerate(learnt) if v is not None], int)
        there = np.sort(rng.permutation(there)[:LEARNT])
        values = [mine[i] for i in here], [learnt[i] for i in there]
        if min(len(set(v)) for v in values) < 2:
            why_not[name] = "no two values of it are known"
            continue
        y = _numbers(name, values[1], values[0])
        factors.append(Factor(name, 1, there, 0, here, y))
    return _with_instrument(factors, why_not, asked), why_not


def _with_instrument(factors: list[Factor], why_not: dict[str, str], asked: Sounds) -> list[Factor]:
    known = np.array([i for i, v in enumerate(asked.instruments) if v is not None], int)
    pitches = asked.pitches[known]
    order = np.unique(pitches[np.isfinite(pitches)])
    learn = known[np.isin(pitches, order[::2])]
    ask = known[np.isin(pitches, order[1::2])]
    names = [[asked.instruments[i] for i in at] for at in (learn, ask)]
    if min(len(set(v)) for v in names) < 2:
        why_not["instrument"] = "no two of them are known at two pitches or more"
        return factors
    y = _numbers("instrument", *names)
    return [*factors, Factor("instrument", 0, learn, 0, ask, y)]


def _numbers(name: str, learn: Sequence[Any], ask: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    if name not in NAMED:
        return np.array(learn, float), np.array(ask, float)
    number = {v: i for i, v in enumerate(sorted({*learn, *ask}))}
    return np.array([number[v] for v in learn]), np.array([number[v] for v in ask])


def _numeric(values: Sequence[str | None]) -> list[float | None]:
    """Numbers of texts, none at all where one is no number."""
    try:
        return [None if v is None else float(v) for v in values]
    except ValueError:
        return [None] * len(values)


def _gap(scores: np.ndarray) -> float:
    """How far the best lies above the second best; the best of one."""
    best = np.sort(scores)[::-1]
    return float(best[0] - best[1]) if len(best) > 1 else float(best[0])


def _squared_correlation(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    x, y = points - points.mean(0), values - values.mean()
    scale = np.square(x).sum(0) * np.square(y).sum()
    return np.square(x.T @ y) / np.where(scale > 0, scale, 1.0)


def _concentration(importance: np.ndarray) -> np.ndarray:
    """1 - entropy of each row's shares to the base of their number; 0 for rows of nothing."""
    total = importance.sum(1, keepdims=True)
    share = importance / np.where(total > 0, total, 1.0)
    if share.shape[1] < 2:
        return (total[:, 0] > 0).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(share > 0, share * np.log(share), 0.0).sum(1)
    return np.where(total[:, 0] > 0, 1.0 - entropy / np.log(share.shape[1]), 0.0)
