"""Priors against densities that are known, and figures of generation against sets that are known."""

import json
import math
import shutil
import sys

import numpy as np
import pytest

from timbrespace import cli, verbs
from timbrespace.errors import RunError
from timbrespace.evaluation import generation
from timbrespace.mapping import Space
from timbrespace.models.codes import Codebooks
from timbrespace.priors.densities import CodeDensity, FlowDensity, Mixture
from timbrespace.priors.prior import Prior
from timbrespace.runs import Run


def ring(count: int, seed: int) -> np.ndarray:
    """Points around a circle of radius 2: no Gaussian looks like it."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0.0, 2.0 * np.pi, count)
    radius = 2.0 + 0.1 * rng.standard_normal(count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


@pytest.fixture(scope="module", params=[Mixture, FlowDensity])
def fitted(request):
    return request.param.fit(ring(2000, 0), 2000, 0)


def test_a_fitted_density_finds_a_ring_that_one_gaussian_misses(fitted):
    drawn = fitted.sample(2000, np.random.default_rng(1))
    inside = np.linalg.norm(drawn, axis=1) < 1.0
    assert inside.mean() < 0.05  # one Gaussian puts a fifth there
    one = Mixture.fit(ring(2000, 0), 20, 0)  # twenty sounds: a single Gaussian
    asked = ring(2000, 2)
    assert fitted.log_prob(asked).mean() > one.log_prob(asked).mean() + 0.5


def test_a_density_integrates_to_one_and_samples_what_it_says(fitted):
    axis = np.linspace(-5.0, 5.0, 201)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    total = np.exp(fitted.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1.0, abs=0.02)
    own = fitted.log_prob(fitted.sample(4000, np.random.default_rng(0))).mean()
    p = np.exp(fitted.log_prob(grid))
    assert own == pytest.approx((p * fitted.log_prob(grid)).sum() / p.sum(), abs=0.1)


BOOKS = Codebooks(8, positions=2, levels=2)


def notes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (N, 2, 2) of which one is free: pitch decides the first of level 1, which with the free
    second one decides the first of level 2, loudness the last. Pitch (N,) and rms_db (N,)."""
    rng = np.random.default_rng(seed)
    pitch, rms_db = rng.integers(48, 72, count), rng.normal(-30.0, 6.0, count)
    octave, free = (pitch - 48) // 6, rng.integers(0, 8, count)
    codes = np.stack([octave, free, (octave + free) % 8, rms_db > -30.0], 1)
    return codes.reshape(count, 2, 2).transpose(0, 2, 1), pitch, rms_db


@pytest.fixture(scope="module")
def code_density():
    return CodeDensity.fit(BOOKS, *notes(2000, 0), seed=0)


def test_codes_that_follow_from_each_other_and_from_the_pitch_are_found(code_density):
    """One code in four is free, so a sound costs ln 8; code by code it would be three times that."""
    codes, pitch, rms_db = notes(1000, 1)
    nats = code_density.nats(codes, pitch, rms_db).mean()
    assert math.log(8) - 0.01 < nats < math.log(8) + 0.25
    assert BOOKS.costs(codes, BOOKS.counts(notes(2000, 0)[0])).mean() > 2.8 * math.log(8)
    drawn = code_density.sample(pitch, rms_db, np.random.default_rng(0))
    octave, free, sums, loud = drawn.transpose(0, 2, 1).reshape(-1, 4).T
    assert (octave == (pitch - 48) // 6).mean() > 0.95
    assert (sums == (octave + free) % 8).mean() > 0.95
    assert (loud == (rms_db > -30.0)).mean() > 0.9
    assert np.bincount(free, minlength=8).min() > 80  # of 125 on average


def test_what_a_prior_of_codes_says_is_how_often_it_draws(code_density):
    rng = np.random.default_rng(0)
    pitch, rms_db = np.full(4000, 60), np.full(4000, -30.0)  # on the border: uncertain of the last
    drawn = code_density.sample(pitch, rms_db, rng)
    kinds, counts = np.unique(drawn.reshape(4000, 4), axis=0, return_counts=True)
    told = np.full(len(kinds), 60), np.full(len(kinds), -30.0)
    chance = np.exp(-code_density.nats(kinds.reshape(-1, 2, 2), *told))
    assert 0.97 < chance.sum() <= 1.0
    assert np.abs(counts / 4000 - chance).max() < 0.03
    assert counts.max() < 800  # loud or not: two ways each of eight


def test_a_prior_of_codes_comes_back_from_its_arrays(code_density):
    _, pitch, rms_db = notes(200, 2)
    again = CodeDensity.of(BOOKS, code_density.arrays())
    draws = [d.sample(pitch, rms_db, np.random.default_rng(0)) for d in (code_density, again)]
    assert np.array_equal(*draws)


def test_codes_of_which_none_tells_of_another_cost_what_their_frequencies_say():
    """There is nothing to learn by heart: the fit stops where it began; and the seed decides all."""
    rng = np.random.default_rng(0)
    codes, pitch, rms_db = rng.integers(0, 8, (400, 2, 2)), np.full(400, 60), np.full(400, -30.0)
    one, other = (CodeDensity.fit(BOOKS, codes, pitch, rms_db, seed=1) for _ in range(2))
    asked = rng.integers(0, 8, (400, 2, 2))
    nats = one.nats(asked, pitch, rms_db)
    assert np.array_equal(nats, other.nats(asked, pitch, rms_db))
    assert nats.mean() < BOOKS.costs(asked, BOOKS.counts(codes[:360])).mean() + 0.05


def test_two_sets_of_one_law_cannot_be_told_apart_and_shifted_ones_can():
    rng = np.random.default_rng(0)
    one, other, train = (rng.standard_normal((400, 8)) for _ in range(3))
    same = generation.evaluate(one, other, train)
    assert abs(same["kernel_distance"]) < 0.05 and same["nearest_share"] == pytest.approx(
        0.5, abs=0.06
    )
    assert same["novelty"] == pytest.approx(1.0, abs=0.1)
    far = generation.evaluate(one + 3.0, other, train)
    assert far["kernel_distance"] > 1.0 and far["nearest_share"] > 0.95 and far["novelty"] > 2.0
    assert generation.evaluate(train[:200], other, train)["novelty"] == 0.0  # copies


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("priors") / "run"
    shutil.copytree(tiny_run, path)
    return path


@pytest.mark.parametrize("kind", ["sounds", "mixture", "flow", "normal"])
def test_each_prior_draws_points_that_fit_together_and_stays_the_same(run, kind):
    opened = Run.open(run)
    space = Space.open(opened)
    one = Prior.of(opened, space, kind).draw(64, np.random.default_rng(0))
    again = Prior.of(opened, space, kind).draw(64, np.random.default_rng(0))  # kept, or not fitted
    np.testing.assert_allclose(one.z, again.z, atol=1e-5)
    assert one.z.shape == (64, 8) and np.isfinite(one.z).all()
    assert one.pitch is not None and one.pitch.min() >= 0 and one.pitch.max() <= 127
    assert one.rms_db.max() <= space.rms_db.max() and one.rms_db.min() > -120.0
    told = Prior.of(opened, space, kind).draw(8, np.random.default_rng(0), pitch=60)
    assert told.pitch is not None and (told.pitch == 60).all()


def test_generate_takes_a_prior_and_evaluate_measures_them_all(run, tmp_path):
    made = verbs.generate(run, tmp_path / "new", n=3, prior="mixture", pitch=62)
    assert len(made.files) == 3 and made.pitches == [62, 62, 62]
    found = verbs.generation(run)
    assert list(found) == ["real", "reconstructed", "sounds", "mixture", "flow", "normal"]
    assert json.loads((run / "evaluation" / "generation.json").read_text())["flow"] == found["flow"]
    with pytest.raises(RunError, match="choose one of sounds, mixture, flow, normal"):
        verbs.generate(run, tmp_path / "new", prior="diffusion")
    with pytest.raises(RunError, match="no codes .* kind gaussian; choose one of sounds, mixture"):
        verbs.generate(run, tmp_path / "new", prior="codes")


def test_a_run_without_codes_has_no_prior_of_them(run, tmp_path, monkeypatch, capsys):
    words = ["generate", str(run), "--prior", "codes", "--out", str(tmp_path / "new")]
    monkeypatch.setattr(sys, "argv", ["timbrespace", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and len(err.splitlines()) == 1
    assert "has no codes" in err and "choose one of sounds, mixture, flow, normal" in err
