"""Directions of a latent table: found where they are, oriented, one deviation long, and measured."""

import numpy as np
import pytest

from timbrespace.errors import TimbrespaceError
from timbrespace.geometry import axes

SPREAD = np.array([2.0, 1.0, 0.5, 0.01])  # of a latent whose last number is idle


def table(count=600, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 4)) * SPREAD, rng


def test_a_planted_direction_is_found_oriented_and_one_deviation_long():
    points, rng = table()
    values = 3.0 * points[:, 0] - 4.0 * points[:, 1] + 0.1 * rng.standard_normal(600)
    axis = axes.fit(points, values)
    assert np.corrcoef(points @ axis.weights, values)[0, 1] > 0.99
    assert (points @ axis.weights).std() == pytest.approx(1.0, rel=1e-6)
    assert axis.weights @ axis.step == pytest.approx(1.0)
    deviation = np.sqrt(np.square(axis.step / SPREAD).sum())
    assert deviation == pytest.approx(1.0, abs=0.1)  # one standard deviation of the space itself
    assert abs(axis.step[3]) < 1e-3  # and the idle number is left alone
    assert axis.slope == pytest.approx(np.hypot(6.0, 4.0), rel=0.05)
    assert np.allclose(axes.fit(points, -values).step, -axis.step)


def test_of_two_classes_the_step_leads_from_one_mean_to_the_other():
    points, _ = table()
    brass = np.arange(600) % 7 == 0
    points[brass] += [0.0, 1.5, 0.5, 0.0]
    step = axes.fit(points, brass.astype(float)).step
    way = points[brass].mean(0) - points[~brass].mean(0)
    assert step @ way / np.linalg.norm(step) / np.linalg.norm(way) > 0.999


def test_what_is_held_is_taken_away():
    points, rng = table()
    pitch = rng.uniform(30, 90, 600)
    told = points.copy()
    told[:, 0] += pitch / 10  # a space that knows the pitch
    values = pitch**2 + 5.0 * points[:, 2]
    held = axes.design(pitch.tolist(), 600)
    z, other = axes.rest(told[:400], held[:400], told[400:], held[400:])
    y, y_other = axes.rest(values[:400, None], held[:400], values[400:, None], held[400:])
    axis = axes.fit(z, y[:, 0])
    assert np.abs(axis.step[[0, 1]]).max() < 0.2 * abs(axis.step[2])
    assert axes.explained(y_other[:, 0], axis.guess(other)) > 0.95
    assert axes.design(None, 3).tolist() == axes.design([None] * 3, 3).tolist() == [[1.0]] * 3


def test_smooth_is_told_from_linear():
    points, rng = table(2000)
    there, here = points[:1500, :2], points[1500:, :2]
    bent = np.cos(2.0 * points[:, 1])
    bent -= bent.mean()
    flat = axes.fit(there, bent[:1500])
    assert axes.explained(bent[1500:], flat.guess(here)) < 0.05
    assert axes.explained(bent[1500:], axes.local_guess(there, bent[:1500], here)) > 0.8
    shuffled = rng.permutation(bent[:1500])
    assert axes.explained(bent[1500:], axes.local_guess(there, shuffled, here)) < 0.05
    assert axes.explained(bent, bent) == 1.0 and axes.explained(bent, np.zeros(2000)) == 0.0
    assert np.isnan(axes.explained(np.zeros(3), np.zeros(3)))


def test_monotonicity_and_gain():
    steps = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    rows = np.array([steps**3, -steps, 0 * steps, [1, 2, 4, 3, 5], [1, 2, np.nan, 3, 4]])
    found = axes.monotonicity(rows)
    assert np.allclose(found[:4], [1.0, -1.0, 0.0, 0.9]) and np.isnan(found[4])  # 1 - 6·2/(5·24)
    assert np.allclose(axes.gain(steps, rows)[1:4], [-1.0, 0.0, 0.9]) and np.isnan(
        axes.gain(steps, rows)[4]
    )


def test_the_penalty_is_chosen_on_other_instruments():
    rng = np.random.default_rng(3)
    instrument = np.repeat(np.arange(12), 20)
    points = rng.standard_normal((12, 40))[instrument] + 0.05 * rng.standard_normal((240, 40))
    values = rng.standard_normal(12)[instrument]  # each instrument's own: nothing to be learnt
    apart = axes.fit(points, values, instrument.tolist())
    mixed = axes.fit(points, values)
    assert apart.slope < mixed.slope  # among its own notes it seems to be known


def test_what_has_no_axis_says_why():
    points, _ = table(30)
    values = points[:, 0].copy()
    for bad, words in (
        ((points[:10], values[:10]), "only 10 sounds have it"),
        ((points, np.ones(30)), "the same value"),
        ((np.ones((30, 4)), values), "all points of the space are the same"),
        ((np.where(points > 2, np.nan, points), values), "diverged"),
        ((points, values[:5]), r"points \(N, Z\) and values \(N,\)"),
    ):
        with pytest.raises(TimbrespaceError, match=words):
            axes.fit(*bad)
    values[:5] = np.nan
    assert np.isfinite(axes.fit(points, values).step).all()
