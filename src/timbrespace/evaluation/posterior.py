"""Where the rate goes, and how far all posteriors together lie from the prior.

Conventions
-----------
q(z) is the aggregate posterior, the mean of q(z given x) = N(mean, exp(logvar)) over the sounds (N, Z);
the prior is N(0, I). Figures are nats per sound. The rate is exactly the sum of three
(Hoffman & Johnson 2016; Chen et al. 2018, equation 2):

    mutual information   KL(q(z, n) || q(z) p(n)): which of the sounds was it?
    total correlation    KL(q(z) || prod q(z_d)): how much the numbers tell of each other
    dimension-wise KL    sum_d KL(q(z_d) || N(0, 1)): how far each number's spread is from the prior's

The last two are the marginal KL, KL(q(z) || prior): 0 when points drawn from the prior lie where sounds
lie. q(z) is the whole mixture of the N sounds measured. That mixture cannot tell of more than log N nats,
the `cap`: where mutual information stands at it, more sounds would move nats from total correlation to
mutual information. So a second estimate leaves each sound's own posterior out of its mixture: what
lies beyond the cap is seen there, and the truth for all sounds of the kind lies between both in
expectation (Poole et al. 2019, section 2: the one is a lower, the other an upper bound).

mmd: squared maximum mean discrepancy of sampled z from the prior (Gretton et al. 2012, equation 3, unbiased),
kernel exp(-|a - b|^2 / 2Z): needs no density and holds for hierarchies and codes, too. Perfect 0, worst
that of all sounds at one point, `mmd_collapsed`; `mmd_floor` is that of draws from the prior itself.

Intervals draw whole groups of sounds. What is a mean over sounds is drawn while the mixture stays as it
is: drawn twice, a sound would meet its own posterior twice and count as told apart less. To first order
that is all: a change of the mixture moves each mean by the integral of a density, which is always 1. Of the
discrepancy pairs of different groups are drawn as such and those within a group with it, so that a group
never meets its own copy.
"""

import math
from typing import Any

import numpy as np

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts
from timbrespace.evaluation.latent import validate
from timbrespace.evaluation.statistics import Groups, interval, numbered
from timbrespace.page import brackets, table

SOUNDS = 1_000
BLOCK = 64  # sounds at a time: 64 x 1,000 x 64 numbers are 33 MB
DRAWS = 300  # resamples of what is not a mean
AT_THE_CAP = 0.9  # of the cap: from here on it says more of the number of sounds than of the space


def densities(
    z: np.ndarray, mean: np.ndarray, logvar: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log densities at z (N, Z), where z[n] was drawn from posterior n of N: of q(z) (N,), of q(z) without
    posterior n (N,), and of each q(z_d) (N, Z), nats."""
    validate(mean, logvar)
    if z.shape != mean.shape:
        raise TimbrespaceError(f"samples {z.shape} and means {mean.shape} should be of one shape")
    count = len(z)
    width = np.exp(-0.5 * logvar).astype(np.float32)
    constant = (-0.5 * (math.log(2.0 * math.pi) + logvar)).astype(np.float32)
    whole, without = np.empty(count), np.full(count, -np.inf)
    single = np.empty(z.shape)
    for start in range(0, count, BLOCK):
        part = slice(start, min(start + BLOCK, count))
        # each sample beside each posterior, number by number: (block, N, Z)
        each = (z[part, None].astype(np.float32) - mean) * width
        each = constant - 0.5 * np.square(each)
        single[part] = _log_mean(each, 1)
        joint = each.sum(2, dtype=np.float64)
        whole[part] = _log_mean(joint, 1)
        own = np.arange(part.start, part.stop)
        joint[own - part.start, own] = -np.inf
        if count > 1:
            without[part] = _log_mean(joint, 1) + math.log(count / (count - 1))
    return whole, without, single


def decomposition(
    z: np.ndarray, mean: np.ndarray, logvar: np.ndarray, groups: Groups | None = None, *,
    rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """The parts of the rate, nats per sound, of samples z (N, Z) of the posteriors N(mean, exp(logvar)),
    each with its 95 % interval over groups (N,), "NAME_interval".

    The rate is that of these samples, so that the parts add up to it: with the mean of `latent.kl`,
    which needs no samples, it agrees within the noise of N draws.
    """
    whole, without, single = densities(z, mean, logvar)
    z, mean, logvar = (v.astype(np.float64) for v in (z, mean, logvar))
    own = -0.5 * (math.log(2 * math.pi) + logvar + (z - mean) ** 2 / np.exp(logvar)).sum(1)
    prior = -0.5 * (math.log(2 * math.pi) + z**2).sum(1)
    cap = math.log(len(z))
    rate, information = own - prior, own - whole
    found: dict[str, Any] = {"cap": cap}
    found["at_the_cap"] = bool(len(z) > 1 and information.mean() > AT_THE_CAP * cap)
    each = {
        "nats_per_sound": rate, "mutual_information": information,
        "total_correlation": whole - single.sum(1), "dimension_wise_kl": single.sum(1) - prior,
        "marginal_kl": whole - prior,
    }  # fmt: skip
    for name, values in each.items():
        found[name] = float(values.mean())
        found[f"{name}_interval"] = interval(values, groups, rng=rng)
    both = np.stack([own - without, rate], 1)
    beyond = {
        "mutual_information_left_out": lambda values: min(values.mean(0)),
        "marginal_kl_left_out": lambda values: max(values[:, 1].mean() - values[:, 0].mean(), 0.0),
    }
    for name, statistic in beyond.items():
        several = len(z) > 1
        found[name] = float(statistic(both)) if several else None
        found[f"{name}_interval"] = (
            interval(both, groups, rng=rng, statistic=statistic, resamples=DRAWS)
            if several
            else None
        )
    return found


def mmd(one: np.ndarray, other: np.ndarray) -> float | None:
    """Squared maximum mean discrepancy of two samples (N, Z), (M, Z), unbiased (so that it may fall
    below 0); None for fewer than two points in one."""
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise TimbrespaceError(f"samples {one.shape} and {other.shape} are of different spaces")
    n, m = len(one), len(other)
    if min(n, m) < 2:
        return None

    one, other = one.astype(np.float64), other.astype(np.float64)
    own = (_kernel(one, one).sum() - n) / (n * (n - 1))
    its = (_kernel(other, other).sum() - m) / (m * (m - 1))
    return float(own + its - 2.0 * _kernel(one, other).mean())


def mmd_interval(
    one: np.ndarray, other: np.ndarray, groups: Groups | None = None, *, rng: np.random.Generator
) -> tuple[float, float] | None:
    """The 95 % interval of `mmd` over the groups (N,) of `one`, as long as `other` stays; None for one group,
    and where a draw of them has no two sounds."""
    if min(len(one), len(other)) < 2:
        return None
    one, other = one.astype(np.float64), other.astype(np.float64)
    group, count = numbered(groups, len(one))
    member = np.zeros((count, len(one)))
    member[group, np.arange(len(one))] = 1.0
    size, pairs = member.sum(1), _kernel(one, one)
    np.fill_diagonal(pairs, 0.0)
    between = member @ pairs @ member.T
    within = np.diag(between).copy()
    np.fill_diagonal(between, 0.0)
    across = member @ _kernel(one, other).mean(1)
    m = len(other)
    its = (_kernel(other, other).sum() - m) / (m * (m - 1))

    def drawn(picked: np.ndarray) -> float:
        times = np.bincount(picked.astype(int), minlength=count).astype(float)
        total = times @ size
        number = total**2 - np.square(times * size).sum() + times @ (size * (size - 1.0))
        if not number:
            return np.nan
        own = (times @ between @ times + times @ within) / number
        return float(own + its - 2.0 * (times @ across) / total)

    found = interval(np.arange(count), rng=rng, statistic=drawn, resamples=DRAWS)
    return None if found is None or not np.isfinite(found).all() else found


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    square = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2.0 * (a @ b.T)
    return np.exp(-np.maximum(square, 0.0) / (2.0 * a.shape[1]))


def evaluate(
    z: np.ndarray, mean: np.ndarray, logvar: np.ndarray, groups: Groups | None = None, *,
    rng: np.random.Generator, gaussian: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """All figures of at most 1,000 sounds, drawn with rng, with intervals over their groups (N,). Not
    `gaussian`, of codes and of hierarchies, whose posteriors are no normal densities of (mean, logvar):
    the discrepancy alone."""
    validate(mean, logvar)
    at = np.sort(rng.permutation(len(z))[:SOUNDS])
    z, mean, logvar = z[at], mean[at], logvar[at]
    own = None if groups is None else np.asarray(groups, object)[at]
    prior, again = rng.standard_normal(z.shape), rng.standard_normal(z.shape)
    found: dict[str, Any] = {
        "sounds": len(z),
        "mmd": mmd(z, prior), "mmd_interval": mmd_interval(z, prior, own, rng=rng),
        "mmd_floor": mmd(again, prior),
        "mmd_collapsed": mmd(np.zeros_like(z), prior),
    }  # fmt: skip
    return found | (decomposition(z, mean, logvar, own, rng=rng) if gaussian else {})


def measure(facts: Facts) -> dict[str, Any]:
    """See `evaluate`; "why_no_parts" says why there is the discrepancy alone."""
    here, rng = facts.here, facts.rng("posterior")
    why = None
    if here.codes is not None:
        why = "codes have no density"
    elif facts.run.recipe.model.bottleneck.kind == "hierarchical":
        why = "the posterior of a lower level depends on what was drawn above it"
    found = evaluate(here.z, here.mean, here.logvar, facts.groups, rng=rng, gaussian=why is None)
    return found if why is None else found | {"why_no_parts": why}


def show(found: dict[str, Any]) -> Shown:
    """The part of the report."""
    heads = ("", "this space", "perfect", "worst")
    worst = _figure(found["mmd_collapsed"])
    lines = [
        ("MMD of z from the prior (floor: the prior from itself)", _told(found, "mmd", 4),
         f"0 ({_figure(found['mmd_floor'])})", worst),
    ]  # fmt: skip
    words = [
        "Where points drawn from the prior lie beside the sounds. What the prior has and no sound is, "
        "is a hole: nothing was learnt there."
    ]
    if "why_no_parts" in found:
        words.append(f"Where the rate goes is not said: {found['why_no_parts']}.")
    else:
        lines = [
            ("rate of these sounds, nats", _told(found, "nats_per_sound"), "", "0"),
            ("of it: which sound it is (mutual information)", _told(found, "mutual_information"),
             f"{found['cap']:.1f} (cap)", "0"),
            ("the same, own posterior left out", _told(found, "mutual_information_left_out"), "", "0"),
            ("of it: numbers tell of each other (total correlation)",
             _told(found, "total_correlation"), "0", ""),
            ("of it: each number's own spread (dimension-wise KL)",
             _told(found, "dimension_wise_kl"), "0", ""),
            ("all posteriors together from the prior (marginal KL)", _told(found, "marginal_kl"),
             "0", ""),
            ("the same, own posterior left out", _told(found, "marginal_kl_left_out"), "0", ""),
            *lines,
        ]  # fmt: skip
        if found["at_the_cap"]:
            words.append(
                f"{found['sounds']} sounds can say no more than log {found['sounds']} = "
                f"{found['cap']:.1f} nats, and this space all but says it: each sound is told from every "
                "other. What goes beyond is counted as total correlation here, and seen where each "
                "sound's own posterior is left out."
            )
    body = "".join(f"<p>{w}</p>" for w in words)
    return Shown(f"<h2>The space and its prior</h2>{body}{table(heads, lines)}")


def _log_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Log of the mean of exp, float64."""
    top = values.max(axis, keepdims=True)
    total = np.exp(values - top).sum(axis, dtype=np.float64)
    return np.log(total / values.shape[axis]) + top.squeeze(axis)


def _told(found: dict[str, Any], name: str, digits: int = 2) -> str:
    """A figure with its interval."""
    if found[name] is None:
        return "-"
    return f"{found[name]:.{digits}f}{brackets(found.get(f'{name}_interval'), digits)}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
