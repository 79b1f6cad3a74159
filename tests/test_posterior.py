"""The parts of the rate, beside closed forms, and what more sounds than there are could say."""

import math

import numpy as np
import pytest

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import latent, posterior


def drawn(mean, logvar, seed=1):
    noise = np.random.default_rng(seed).standard_normal(mean.shape)
    return mean + noise * np.exp(0.5 * logvar)


def matched(sounds, dimensions, variance, seed=0):
    """Posteriors whose aggregate is the prior: means of variance 1 - s^2 with noise of variance s^2."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0.0, math.sqrt(1.0 - variance), (sounds, dimensions))
    return mean, np.full_like(mean, math.log(variance))


def test_a_space_as_its_prior_is_all_information():
    mean, logvar = matched(1_000, 2, 0.1)
    found = posterior.decomposition(drawn(mean, logvar), mean, logvar, rng=np.random.default_rng(0))
    truth = -math.log(0.1)  # 1/2 log(1 / s^2) a number
    assert found["mutual_information"] == pytest.approx(truth, abs=0.1)
    assert found["mutual_information_left_out"] == pytest.approx(truth, abs=0.15)
    assert found["mutual_information"] < found["mutual_information_left_out"]
    assert abs(found["marginal_kl"]) < 0.1 and abs(found["total_correlation"]) < 0.1
    assert not found["at_the_cap"]


def test_the_parts_are_the_rate():
    mean, logvar = matched(500, 5, 0.3)
    mean = mean * 1.4 + 0.3
    found = posterior.decomposition(drawn(mean, logvar), mean, logvar, rng=np.random.default_rng(0))
    parts = ("mutual_information", "total_correlation", "dimension_wise_kl")
    assert sum(found[name] for name in parts) == pytest.approx(found["nats_per_sound"])
    assert found["nats_per_sound"] == pytest.approx(latent.kl(mean, logvar).sum(1).mean(), rel=0.03)


def test_a_collapsed_space_is_nothing_and_a_shifted_one_is_all_marginal():
    zero = np.zeros((300, 3))
    found = posterior.decomposition(drawn(zero, zero), zero, zero, rng=np.random.default_rng(0))
    parts = ("mutual_information", "total_correlation", "dimension_wise_kl", "marginal_kl")
    assert [found[name] for name in parts] == pytest.approx([0.0] * 4, abs=1e-6)
    moved = posterior.decomposition(
        drawn(zero + 2.0, zero), zero + 2.0, zero, rng=np.random.default_rng(0)
    )
    # 1/2 m^2 a number, known to the noise of 300 draws
    assert moved["dimension_wise_kl"] == pytest.approx(6.0, abs=0.5)
    assert moved["marginal_kl"] == pytest.approx(moved["dimension_wise_kl"])


def test_two_numbers_that_say_the_same_are_correlated():
    mean, logvar = matched(1_000, 1, 0.1)
    mean, logvar = np.repeat(mean, 2, 1), np.repeat(logvar, 2, 1)
    found = posterior.decomposition(drawn(mean, logvar), mean, logvar, rng=np.random.default_rng(0))
    # two numbers of variance 1 with covariance 0.9: -1/2 log(1 - 0.9^2)
    assert found["total_correlation"] == pytest.approx(-0.5 * math.log(1 - 0.81), abs=0.1)


def test_sounds_that_are_all_told_apart_stand_at_the_cap():
    mean = np.array([[-5.0], [5.0]])
    logvar = np.full((2, 1), math.log(0.01))
    found = posterior.decomposition(mean, mean, logvar, rng=np.random.default_rng(0))
    assert found["mutual_information"] == pytest.approx(math.log(2.0)) == found["cap"]
    assert found["at_the_cap"]
    # without its own posterior no sound lies anywhere: all of the rate may be information
    assert found["mutual_information_left_out"] == pytest.approx(found["nats_per_sound"])
    alone = posterior.decomposition(mean[:1], mean[:1], logvar[:1], rng=np.random.default_rng(0))
    assert alone["mutual_information"] == pytest.approx(0.0, abs=1e-6)
    assert alone["mutual_information_left_out"] is None


def test_the_discrepancy_of_a_shift_is_its_closed_form():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2_000, 4)), rng.standard_normal((2_000, 4))
    assert abs(posterior.mmd(one, other)) < 1e-3
    # E exp(-|x - y|^2 / 2h) of normals whose means lie m apart: (h / (h + 2))^(Z/2) exp(-m^2 / 2(h + 2))
    same = (4 / 6) ** 2
    truth = 2 * same * (1 - math.exp(-4 * 1.0 / 12))
    assert posterior.mmd(one + 1.0, other) == pytest.approx(truth, abs=0.01)
    assert posterior.mmd(one[:1], other) is None
    # two points, by hand: exp(-2) within each pair, and half of 1 + exp(-2) between them
    pair = np.array([[0.0], [2.0]])
    assert posterior.mmd(pair, pair) == pytest.approx(2 * math.exp(-2) - (1 + math.exp(-2)))


def test_figures_stand_between_floor_and_collapse_and_only_normal_posteriors_have_parts():
    mean, logvar = matched(1_200, 8, 0.2)
    z = drawn(mean, logvar)
    found = posterior.evaluate(z, mean, logvar, rng=np.random.default_rng(0))
    assert found["sounds"] == 1_000
    assert abs(found["mmd"]) < 3e-3 and abs(found["mmd_floor"]) < 3e-3 < found["mmd_collapsed"]
    codes = posterior.evaluate(z, mean, logvar, rng=np.random.default_rng(0), gaussian=False)
    assert set(codes) == {"sounds", "mmd", "mmd_interval", "mmd_floor", "mmd_collapsed"}
    assert (
        "codes have no density"
        in posterior.show(codes | {"why_no_parts": "codes have no density"}).html
    )
    one = posterior.evaluate(z[:1], mean[:1], logvar[:1], rng=np.random.default_rng(0))
    assert one["mmd"] is None and "nan" not in posterior.show(one).html.lower()


PARTS = (
    "mutual_information",
    "mutual_information_left_out",
    "marginal_kl",
    "total_correlation",
    "mmd",
)


def played(rng, instruments: int, notes: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Posteriors of instruments whose notes all but lie together, far from the prior."""
    mean = 1.0 + np.repeat(rng.normal(0.0, 1.0, (instruments, 2)), notes, 0)
    mean = mean + 0.1 * rng.normal(size=mean.shape)
    return mean, np.full_like(mean, math.log(0.2)), np.repeat(range(instruments), notes).tolist()


def test_intervals_are_as_wide_as_what_other_instruments_do():
    rng = np.random.default_rng(3)
    found, each = [], []
    for number in range(30):
        mean, logvar, groups = played(rng, 24, 5)
        z = mean + rng.normal(size=mean.shape) * np.exp(0.5 * logvar)
        one = posterior.evaluate(z, mean, logvar, groups, rng=np.random.default_rng(number))
        found.append([one[name] for name in PARTS])
        each.append([one[f"{name}_interval"] for name in PARTS])
    spread, ends = np.std(found, 0), np.array(each)
    # a normal's 95 % are 2 * 1.96 deviations
    width = np.median(ends[:, :, 1] - ends[:, :, 0], 0) / 3.92
    assert (0.6 * spread < width).all() and (width < 1.7 * spread).all(), width / spread
    inside = (ends[:, :, 0] < found) & (found < ends[:, :, 1])
    assert inside.mean(0).min() > 0.95  # a figure lies in its own interval


def test_notes_are_no_instruments_and_one_has_no_interval():
    rng = np.random.default_rng(4)
    mean, logvar, groups = played(rng, 12, 10)
    z = mean + rng.normal(size=mean.shape) * np.exp(0.5 * logvar)
    for own, alone in ((groups, False), ([0] * len(z), True)):
        found = posterior.evaluate(z, mean, logvar, own, rng=np.random.default_rng(0))
        notes = posterior.evaluate(z, mean, logvar, rng=np.random.default_rng(0))
        for name in ("mmd", "marginal_kl"):
            if alone:
                assert found[f"{name}_interval"] is None
                continue
            wide, narrow = np.ptp(found[f"{name}_interval"]), np.ptp(notes[f"{name}_interval"])
            assert wide > 1.8 * narrow, name
    shown = posterior.show(found).html
    assert "[" not in shown and "[" in posterior.show(notes).html


def test_latents_that_are_not_finite_are_refused():
    mean, logvar = matched(5, 2, 0.5)
    mean[1, 0] = np.nan
    with pytest.raises(TimbrespaceError, match="diverged"):
        posterior.evaluate(mean, mean, logvar, rng=np.random.default_rng(0))
