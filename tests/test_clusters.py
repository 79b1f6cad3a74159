"""Continuous or clustered: each figure on one cloud, on two far ones, and on numbers known by hand."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import clusters

EVEN = norm.ppf((np.arange(2_000) + 0.5) / 2_000)  # a normal cloud without chance


def instruments(far: float, own: float = 0.0, sounds: int = 40, seed: int = 0):
    """Four families of two instruments in 6 dimensions: families `far` apart, and each instrument at
    random `own` from its family."""
    rng = np.random.default_rng(seed)
    centres = far * np.eye(4, 6).repeat(2, 0) + own * rng.standard_normal((8, 6))
    points = centres.repeat(sounds, 0) + rng.standard_normal((8 * sounds, 6))
    groups = [f"{i // 2}-{i % 2}" for i in range(8) for _ in range(sounds)]
    return points, groups, [name[0] for name in groups]


# --- dip ---


def test_the_dip_of_few_points_is_known_by_hand():
    assert clusters.dip([0.0, 1.0]) == 0.25  # two steps of a half: no line comes nearer
    assert clusters.dip([0.0, 0.0, 1.0, 1.0]) == 0.25
    assert clusters.dip(np.arange(10.0)) == pytest.approx(1 / 20)  # even: the least there is


def test_the_dip_is_that_of_its_reference():
    """Of the package diptest 0.12.0, on the same numbers."""
    rng = np.random.default_rng(5)
    assert clusters.dip(rng.uniform(size=30)) == pytest.approx(0.0806323, abs=1e-7)
    values = np.r_[rng.normal(0, 1, 40), rng.normal(4, 1, 25)]
    assert clusters.dip(values) == pytest.approx(0.0595196, abs=1e-7)
    assert clusters.dip_p(0.0595196, 65) == pytest.approx(0.07637, rel=0.2)


def test_the_dip_of_one_mode_is_rarely_significant_and_of_two_always():
    rng = np.random.default_rng(1)
    even = [clusters.dip_p(clusters.dip(rng.uniform(size=70)), 70) for _ in range(200)]
    assert 0.01 < np.mean(np.array(even) < 0.05) < 0.1  # the null itself: 5 in 100
    normal = [clusters.dip_p(clusters.dip(rng.normal(size=70)), 70) for _ in range(100)]
    assert np.mean(np.array(normal) < 0.05) <= 0.02  # a single mode, told from two more easily
    two = np.r_[rng.normal(0, 1, 35), rng.normal(6, 1, 35)]
    assert clusters.dip_p(clusters.dip(two), 70) < 0.001


def test_several_tests_are_corrected_by_holm():
    assert clusters.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert clusters.holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])


# --- valley ---


def test_a_valley_is_as_deep_as_two_normal_clouds_make_it():
    assert clusters.valley(EVEN, EVEN) == clusters.valley(EVEN, EVEN + 2.0) == 1.0
    wide = np.sqrt(1.0 + (1.06 * 2_000**-0.2) ** 2)  # the kernel widens both
    for apart in (3.0, 4.0, 5.0):
        d = apart / wide
        known = 2 * norm.pdf(d / 2) / (norm.pdf(0) + norm.pdf(d))
        assert clusters.valley(EVEN, EVEN + apart) == pytest.approx(known, rel=0.02)
    assert clusters.valley(EVEN, EVEN + 12.0) < 1e-6


def test_no_line_is_found_where_there_is_one_cloud():
    """In 64 numbers twenty sounds of one cloud fall apart on the line learnt from themselves."""
    rng = np.random.default_rng(2)
    points = rng.standard_normal((40, 64))
    groups = np.repeat([0, 1], 20)
    one, other = clusters.Lines(points, groups, rng).lay(0, 1)
    assert abs(other.mean() - one.mean()) < 1.0
    axis = clusters.scatter(points, groups) @ (points[20:].mean(0) - points[:20].mean(0))
    laid = points @ axis
    assert (laid[20:].mean() - laid[:20].mean()) / laid[:20].std() > 3.0  # the same, unfairly


# --- gaps ---


def test_families_far_apart_are_clusters_and_one_cloud_is_none():
    found = clusters.gaps(*instruments(far=12.0), np.random.default_rng(0))
    assert found["between"]["valley"] < 0.02 and found["within"]["valley"] > 0.9
    assert found["between"]["gap_share"] == 1.0 and found["within"]["gap_share"] == 0.0
    assert found["p"] <= 0.02 and found["alone"]["valley"] > 0.9
    found = clusters.gaps(*instruments(far=0.0), np.random.default_rng(0))
    assert found["between"]["valley"] > 0.9 and found["between"]["gap_share"] == 0.0
    assert found["p"] > 0.05


def test_gaps_between_instruments_are_no_gaps_between_families():
    points, groups, _ = instruments(far=12.0)
    mixed = [f"{int(name[0]) % 2}" for name in groups]  # families that say nothing
    found = clusters.gaps(points, groups, mixed, np.random.default_rng(0))
    assert found["between"]["gap_share"] > 0.9 and found["p"] > 0.05


def test_p_of_families_is_even_where_they_have_no_say(monkeypatch):
    monkeypatch.setattr(clusters, "EXCHANGES", 99)
    monkeypatch.setattr(clusters, "DIPS", 5)
    found = [
        clusters.gaps(*instruments(0.0, own=1.5, seed=seed), np.random.default_rng(seed))["p"]
        for seed in range(40)
    ]
    assert kstest(found, "uniform").pvalue > 0.01


def test_one_family_has_no_gap_between_families():
    points, groups, families = instruments(far=3.0)
    found = clusters.gaps(points, groups, ["all"] * len(families), np.random.default_rng(0))
    assert found["between"] is None and found["p"] is None and found["within"]["pairs"] == 28


def test_gaps_say_what_they_need():
    points, groups, families = instruments(far=3.0)
    rng = np.random.default_rng(0)
    with pytest.raises(TimbrespaceError, match="1 of the instruments have 8 sounds or more"):
        clusters.gaps(points[:40], groups[:40], families[:40], rng)
    with pytest.raises(TimbrespaceError, match="collapsed"):
        clusters.gaps(np.zeros_like(points), groups, families, rng)
    with pytest.raises(TimbrespaceError, match="not finite"):
        clusters.gaps(np.full_like(points, np.nan), groups, families, rng)


# --- Hopkins ---


def test_hopkins_of_one_cloud_is_that_of_the_cloud():
    rng = np.random.default_rng(3)
    turned = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))
    found = clusters.tendency(turned, rng)
    assert found["hopkins"] == pytest.approx(found["cloud"], abs=0.06) and found["p"] > 0.05
    assert found["cloud"] == pytest.approx(0.5, abs=0.03)


def test_hopkins_sees_clusters():
    rng = np.random.default_rng(4)
    points = rng.standard_normal((5, 6)).repeat(12, 0) * 5.0 + 0.1 * rng.standard_normal((60, 6))
    found = clusters.tendency(points, rng)
    assert found["hopkins"] > 0.9 and found["p"] == 1 / 200


def test_hopkins_p_is_even_under_its_null(monkeypatch):
    monkeypatch.setattr(clusters, "DRAWS", 39)
    found = [
        clusters.tendency(rng.standard_normal((40, 3)) * [1, 3, 9], rng)["p"]
        for rng in map(np.random.default_rng, range(60))
    ]
    assert kstest(found, "uniform").pvalue > 0.01


def test_of_many_instruments_hopkins_asks_some(monkeypatch):
    monkeypatch.setattr(clusters, "POINTS", 50)
    monkeypatch.setattr(clusters, "DRAWS", 9)
    rng = np.random.default_rng(5)
    found = clusters.tendency(rng.standard_normal((90, 3)), rng)
    assert (found["points"], found["of"]) == (50, 90)
    assert found["hopkins"] == pytest.approx(0.5, abs=0.1)


def test_hopkins_says_what_it_needs():
    rng = np.random.default_rng(0)
    with pytest.raises(TimbrespaceError, match="30 instruments or more, got 5"):
        clusters.tendency(np.eye(5), rng)
    with pytest.raises(TimbrespaceError, match="collapsed"):
        clusters.tendency(np.zeros((40, 3)), rng)
