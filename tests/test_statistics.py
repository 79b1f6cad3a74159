"""Intervals that cover what they say, and tests that neither flatter nor miss."""

import time

import numpy as np
import pytest

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import statistics
from timbrespace.evaluation.statistics import interval, paired

INSTRUMENTS = np.repeat(np.arange(20), 8)  # eight notes of each of twenty


def drawn(rng, spread):
    """Figures of 20 instruments' notes: what the instruments differ by, and a skewed rest; mean 0."""
    return spread * rng.normal(size=20)[INSTRUMENTS] + rng.exponential(size=160) - 1.0


def test_an_interval_covers_the_mean_in_95_of_100_cases_where_groups_are_known():
    rng = np.random.default_rng(0)
    spreads, times = (0.0, 1.0), 500
    covered = {(spread, known): 0 for spread in spreads for known in (True, False)}
    for spread, known in covered:
        for _ in range(times):
            groups = INSTRUMENTS if known else None
            found = interval(drawn(rng, spread), groups, rng=rng, resamples=500)
            assert found is not None
            covered[spread, known] += found[0] <= 0.0 <= found[1]
    share = {case: hits / times for case, hits in covered.items()}
    assert all(0.92 <= share[case] <= 0.97 for case in ((0.0, True), (0.0, False), (1.0, True)))
    assert share[1.0, False] < 0.8  # notes of one instrument counted as if they were independent


def test_an_interval_of_few_groups_is_as_wide_as_students():
    values = np.array([-1.3, -0.7, 0.1, 0.2, 0.4, 0.5, 0.7, 1.1])
    found = interval(values, rng=np.random.default_rng(0), resamples=50_000)
    width = 2 * 2.36462 * values.std(ddof=1) / np.sqrt(8)  # t(0.975; 7)
    assert found is not None and found[1] - found[0] == pytest.approx(width, rel=0.1)


def test_many_groups_are_drawn_in_parts_and_the_interval_is_the_same(monkeypatch):
    values = np.random.default_rng(0).standard_normal(70)
    for statistic in (np.mean, np.median):
        whole = interval(values, rng=np.random.default_rng(1), statistic=statistic)
        with monkeypatch.context() as small:
            small.setattr(statistics, "DRAWN", 500)
            parts = interval(values, rng=np.random.default_rng(1), statistic=statistic)
        assert parts == whole


def test_an_interval_of_what_does_not_vary_is_a_point_and_of_one_value_none():
    rng = np.random.default_rng(0)
    assert interval(np.full(9, 2.5), rng=rng) == (2.5, 2.5)
    assert interval([2.5], rng=rng) is None
    assert interval([2.5, 3.5], ["a", "a"], rng=rng) is None  # one instrument
    two = interval([2.5, 3.5], ["a", "b"], rng=rng)
    assert two == (2.5, 3.5)


def test_any_statistic_has_an_interval_and_the_mean_the_same_both_ways():
    values = np.random.default_rng(0).normal(size=(60, 2))
    values[:, 1] += values[:, 0]
    groups = np.repeat(np.arange(12), 5)

    def both(statistic, table):
        return interval(table, groups, rng=np.random.default_rng(1), statistic=statistic)

    assert both(lambda x: x.mean(), values[:, 0]) == pytest.approx(both(np.mean, values[:, 0]))
    ends = both(lambda x: np.corrcoef(x.T)[0, 1], values)
    assert ends is not None and 0.3 < ends[0] < 0.7 < ends[1] < 0.9  # 0.7 is what was made


def test_sounds_without_a_label_are_groups_of_their_own():
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    alone = interval(values, [None] * 30, rng=np.random.default_rng(1))
    assert alone == interval(values, rng=np.random.default_rng(1))


def test_p_is_exact_for_few_groups_and_counts_groups_not_sounds():
    rng = np.random.default_rng(0)
    # all five instruments differ the same way: only all signs and none reach it, 2 of 32 patterns
    groups = np.repeat(np.arange(5), 100)
    found = paired(np.full(500, 1.0), np.zeros(500), groups, rng=rng)
    assert found is not None
    assert (found.difference, found.p, found.least_p) == (1.0, 2 / 32, 2 / 32)
    # 3 2 1 -1 by hand: of 16 sums of signs, those of at least 5 are 7, 5, 5 and their negatives
    found = paired([3.0, 2.0, 1.0, -1.0], np.zeros(4), rng=rng)
    assert found is not None and found.p == 6 / 16


def test_a_run_beside_itself_differs_by_nothing():
    values = np.random.default_rng(0).normal(size=50)
    found = paired(values, values, rng=np.random.default_rng(1))
    assert found is not None and (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.p == 1.0


def test_p_is_below_5_of_100_where_nothing_differs_in_5_of_100_cases():
    rng = np.random.default_rng(0)
    times = 300
    found = [paired(drawn(rng, 1.0), np.zeros(160), INSTRUMENTS, rng=rng) for _ in range(times)]
    wrong = np.mean([f is not None and f.p <= 0.05 for f in found])
    assert 0.02 <= wrong <= 0.09
    alone = [paired(drawn(rng, 1.0), np.zeros(160), rng=rng) for _ in range(50)]
    assert np.mean([f is not None and f.p <= 0.05 for f in alone]) > 0.2  # notes as if independent


def test_what_all_sounds_share_is_found_though_they_differ_far_more():
    rng = np.random.default_rng(0)
    hard = 5.0 * rng.normal(size=160)  # some sounds are hard for every run
    found = paired(hard + 0.1 * rng.normal(size=160) + 0.1, hard, INSTRUMENTS, rng=rng)
    assert found is not None and found.low > 0.05 and found.high < 0.15
    assert found.p == found.least_p == 1 / 10_000


@pytest.mark.parametrize(
    ("values", "groups", "says"),
    [
        ([1.0, np.nan], None, "1 of 2 figures are not finite"),
        ([], None, r"figures \(0,\) should be one a sound"),
        ([1.0, 2.0], ["a"], "2 figures came with 1 labels"),
    ],
)
def test_figures_that_say_nothing_are_refused(values, groups, says):
    with pytest.raises(TimbrespaceError, match=says):
        interval(values, groups, rng=np.random.default_rng(0))
    with pytest.raises(TimbrespaceError, match=says):
        paired(values, values, groups, rng=np.random.default_rng(0))


def test_figures_of_other_sounds_are_no_pairs():
    with pytest.raises(TimbrespaceError, match=r"\(3,\) and \(2,\) figures are no pairs"):
        paired([1.0, 2.0, 3.0], [1.0, 2.0], rng=np.random.default_rng(0))


def test_a_thousand_resamples_of_1400_sounds_take_a_moment():
    values, groups = np.random.default_rng(0).normal(size=1400), np.repeat(np.arange(140), 10)
    took = []
    for known in [None, groups] * 5:
        began = time.process_time()
        interval(values, known, rng=np.random.default_rng(1))
        took.append(time.process_time() - began)
    assert min(took[::2]) < 0.05 and min(took[1::2]) < 0.05
