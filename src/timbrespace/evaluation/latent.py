"""Rate and use of the latent: what it costs, which numbers carry it, what it knows.

Conventions
-----------
`mean` and `logvar` are (N, Z): each sound is N(mean, exp(logvar)) against the prior N(0, 1); logvar
is the log of the variance. Rates are nats or bits (nats / ln 2) **per sound**, or per sound and
dimension. The mean KL is an upper bound of the information that a sampled z has of its sound
(Hoffman & Johnson 2016): a space of 0.45 nats cannot tell two sounds apart, however far apart the
means are drawn. So what the latent knows is asked of **sampled** z; answers from mu stand beside.
Collapse: 0 nats, 0 active units, separation 0, probes at the majority share.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.statistics import interval

ACTIVE_VARIANCE = 0.01  # Var(mu) over the sounds: Burda, Grosse & Salakhutdinov 2016, section 5.2
ACTIVE_NATS = 0.05  # of a dimension's mean KL; independent of how mu is scaled
NEIGHBOURS = 5
PAIRS = 20_000  # random pairs of sounds for the distances; their mean is then known within 1 %


def validate(mean: np.ndarray, logvar: np.ndarray) -> None:
    """TimbrespaceError unless both are finite tables (N, Z) of one shape."""
    if mean.shape != logvar.shape or mean.ndim != 2 or not mean.size:
        raise TimbrespaceError(
            f"means {mean.shape} and log-variances {logvar.shape} should be one table each, "
            "(sounds, dimensions), of the same shape"
        )
    if not (np.isfinite(mean).all() and np.isfinite(logvar).all()):
        raise TimbrespaceError("the latents are not finite; the training has diverged")


def kl(mean: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of each sound and dimension, nats (N, Z).

    1/2 (m^2 + s^2 - 1 - log s^2): Kingma & Welling 2014, appendix B.
    """
    validate(mean, logvar)
    mean, logvar = mean.astype(np.float64), logvar.astype(np.float64)
    return 0.5 * (mean**2 + np.exp(logvar) - 1.0 - logvar)


def bits(nats: float) -> float:
    """Bits of a number of nats."""
    return nats / math.log(2.0)


def active_units(mean: np.ndarray, threshold: float = ACTIVE_VARIANCE) -> int:
    """Dimensions whose mu differs between sounds: Var(mu_d) > 0.01. Worst 0, best Z."""
    return int((mean.astype(np.float64).var(0) > threshold).sum())


def active_units_by_rate(nats: np.ndarray, threshold: float = ACTIVE_NATS) -> int:
    """Dimensions of nats (N, Z) that keep more than 0.05 nat per sound, whatever the scale of mu."""
    return int((nats.mean(0) > threshold).sum())


def distances(
    mean: np.ndarray, logvar: np.ndarray, rng: np.random.Generator, pairs: int = PAIRS
) -> dict[str, float | None]:
    """How far two sounds lie apart, over random pairs of different rows.

    mean_distance: Euclidean distance of their mu, as the reports give it. It ignores the noise.
    separation: median of sqrt(sum_d (mu_i - mu_j)^2 / s^2), s^2 the mean of their two variances:
        the sensitivity index d' of telling them apart from one sampled z (1: right in 69 % of
        cases, 3: in 93 %). 0 when collapsed. Both None for a single sound.
    """
    validate(mean, logvar)
    count = len(mean)
    if count < 2:
        return {"mean_distance": None, "separation": None}
    one = rng.integers(0, count, pairs)
    other = (one + rng.integers(1, count, pairs)) % count
    square = (mean[one].astype(np.float64) - mean[other]) ** 2
    variance = np.exp(logvar.astype(np.float64))
    relative = square / (0.5 * (variance[one] + variance[other]))
    return {
        "mean_distance": float(np.sqrt(square.sum(1)).mean()),
        "separation": float(np.median(np.sqrt(relative.sum(1)))),
    }


def evaluate(
    mean: np.ndarray, logvar: np.ndarray, nats: np.ndarray | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Rate, active units, and statistics of mu and logvar, as JSON numbers.

    nats (N, Z): what the model says that each number costs; by default its KL to N(0, 1).
    """
    validate(mean, logvar)
    nats = kl(mean, logvar) if nats is None else nats.astype(np.float64)
    dimension, sound = nats.mean(0), nats.sum(1)
    total = float(dimension.sum())
    return {
        "nats_per_sound": total,
        "bits_per_sound": bits(total),
        "bits_of_a_sound": {
            "least": bits(float(sound.min())),
            "median": bits(float(np.median(sound))),
            "most": bits(float(sound.max())),
        },
        "active_units": active_units(mean),
        "active_units_by_rate": active_units_by_rate(nats),
        "dimensions": int(mean.shape[1]),
        "nats_per_dimension": [float(v) for v in dimension],
        "bits_per_dimension": [bits(float(v)) for v in dimension],
        "mean_of_mu": float(mean.mean()),
        "std_of_mu": float(mean.std()),
        "mean_of_logvar": float(logvar.mean()),
        "std_of_logvar": float(logvar.std()),
        **distances(mean, logvar, np.random.default_rng(seed)),
    }


def probe(
    train: np.ndarray,
    train_labels: Sequence[Any],
    test: np.ndarray,
    test_labels: Sequence[Any],
    groups: Sequence[Any] | None = None,
    *,
    rng: np.random.Generator | None = None,
) -> dict[str, Any] | None:
    """What simple readers learn from train (N, Z) about labels, as accuracy on test (M, Z).

    knn: majority of the 5 nearest. linear: multinomial logistic regression. Both on numbers
    standardised with the training rows. majority: share of right answers of always naming the most
    frequent training label. Test labels never trained on count as wrong for all three. Perfect 1.
    With `rng` also the intervals of both, by the groups (M,) of the sounds asked.
    None when no two labels are there to tell apart, or nothing to test on.
    """
    known = np.array([label is not None and label != "" for label in train_labels], bool)
    asked = np.array([label is not None and label != "" for label in test_labels], bool)
    y = np.array([str(label) for label in train_labels])[known]
    truth = np.array([str(label) for label in test_labels])[asked]
    if len(set(y)) < 2 or not len(truth):
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    centre, scale = train[known].mean(0), train[known].std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    x, asked_x = (train[known] - centre) / scale, (test[asked] - centre) / scale
    readers = {
        "knn": KNeighborsClassifier(min(NEIGHBOURS, len(x))),
        # enough regularisation that it converges in few steps; 5 times less moves it by < 1 %
        "linear": LogisticRegression(C=0.3, max_iter=300, tol=1e-3),
    }
    result: dict[str, Any] = {}
    own = None if groups is None else [groups[i] for i in np.flatnonzero(asked).tolist()]
    for name, reader in readers.items():
        right = reader.fit(x, y).predict(asked_x) == truth
        result[name] = float(right.mean())
        if rng is not None:
            result[f"{name}_interval"] = interval(right, own, rng=rng)
    names, counts = np.unique(y, return_counts=True)
    result["majority"] = float((truth == names[counts.argmax()]).mean())
    result["labels"], result["tested"] = len(names), len(truth)
    return result
