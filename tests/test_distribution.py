"""Figures of two sets of sounds: known laws, the definitions' own libraries, and a run's own sounds."""

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from timbrespace import cli
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import distribution, two_samples
from timbrespace.evaluation.facts import Rendering, Unanswerable


def sets() -> tuple[np.ndarray, np.ndarray]:
    """Two sets (60, 4) and (50, 4) of Gaussian points, the other wider and elsewhere."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((60, 4)), 1.2 * rng.standard_normal((50, 4)) + 0.5


def test_figures_equal_those_of_their_own_libraries():
    """kadtk (the wheel 1.1.0 takes its bandwidth from the wrong set, its repository mended that), prdc
    0.2, and scipy's root of the product of covariances, on the same points."""
    real, made = sets()
    assert two_samples.kernel_audio_distance(real, made) == pytest.approx(4.80596862, abs=1e-6)
    assert two_samples.density_and_coverage(real, made) == pytest.approx((0.772, 0.85))
    assert two_samples.frechet_distance(real, made) == pytest.approx(1.45164008990, abs=1e-9)


def test_sets_of_one_law_are_at_their_best():
    rng = np.random.default_rng(1)
    pairs = [rng.standard_normal((2, 100, 6)) for _ in range(40)]
    distances = [two_samples.kernel_audio_distance(*pair) for pair in pairs]
    assert abs(np.mean(distances)) < 2.5 * np.std(distances) / np.sqrt(40) and min(distances) < 0.0
    density, coverage = np.mean([two_samples.density_and_coverage(*pair) for pair in pairs], 0)
    assert density == pytest.approx(1.0, abs=0.05)
    assert coverage == pytest.approx(1.0 - 2.0**-5, abs=0.02)
    real = pairs[0][0]
    assert two_samples.frechet_distance(real, real) == pytest.approx(0.0, abs=1e-9)


def test_sets_that_share_nothing_are_at_their_worst():
    real, made = sets()
    assert two_samples.density_and_coverage(real, made + 100.0) == (0.0, 0.0)
    assert two_samples.frechet_distance(real, made + 100.0) > 4 * 99.0**2
    still = np.full((50, 4), 100.0)  # always the same sound
    inside = two_samples.kernel_audio_distance(real, real + 100.0) / 2.0
    assert two_samples.kernel_audio_distance(real, still) == pytest.approx(100.0 + inside)


def test_the_bias_of_frechet_falls_with_size_and_the_kernel_has_none():
    rng = np.random.default_rng(2)
    for size, expected in ((40, 40 / 40), (160, 40 / 160)):
        # about D / N: what the means alone add, 2 D / N, is less than the covariances' share
        found = np.mean([
            two_samples.frechet_distance(*rng.standard_normal((2, size, 40))) for _ in range(5)
        ])  # fmt: skip
        assert found > 2 * expected


def test_a_law_with_a_missing_part_is_less_covered():
    rng = np.random.default_rng(3)
    centres = np.repeat(8.0 * np.eye(5), 40, axis=0)
    real, made = (centres + rng.standard_normal((200, 5)) for _ in range(2))
    assert two_samples.density_and_coverage(real, made)[1] > 0.9
    assert two_samples.density_and_coverage(real, made[:160])[1] < 0.8


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(TimbrespaceError, match="same coordinates"):
        two_samples.kernel_distance(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(TimbrespaceError, match="at least two"):
        two_samples.nearest_share(np.zeros((1, 2)), np.zeros((3, 2)))
    with pytest.raises(TimbrespaceError, match="real sounds are equal"):
        two_samples.kernel_audio_distance(np.zeros((9, 2)), np.ones((9, 2)))
    with pytest.raises(TimbrespaceError, match="not finite"):
        two_samples.frechet_distance(np.full((9, 2), np.nan), np.ones((9, 2)))
    with pytest.raises(TimbrespaceError, match="4 real sounds are too few"):
        two_samples.density_and_coverage(np.zeros((4, 2)), np.ones((9, 2)))


def test_every_set_is_held_against_a_half_that_it_did_not_come_from():
    """Equal to the recordings is as good as the other half, never better: no sound meets itself."""
    rng = np.random.default_rng(4)
    real = rng.standard_normal((60, 5))
    own = {"real": real, "copies": real.copy(), "moved": real + 1.0}
    found = distribution.compare(own, {"far": rng.standard_normal((30, 5)) + 50.0}, rng)
    assert found["copies"] == found["real"]
    low, high = found["real"]["kernel_audio_distance_range"]
    assert low < 0.0 < high < found["moved"]["kernel_audio_distance_range"][0]
    assert found["moved"]["density"] < found["real"]["density"]
    assert found["far"]["coverage"] == 0.0 and found["far"]["frechet_audio_distance"] > 5 * 40.0**2


def test_evaluate_asks_it_on_request(tiny_run, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    monkeypatch.setattr(distribution, "SOUNDS", 12)
    asked = ["evaluate", str(run), "--distribution", "--ask", "none", "--split", "train", "--json"]
    monkeypatch.setattr(sys, "argv", ["timbrespace", *asked])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    found = json.loads(capsys.readouterr().out)["distribution"]
    sets = found["sets"]
    assert (found["sounds"], found["unread"], found["no_new_sounds"]) == (12, 0, None)
    assert list(sets) == [
        "real", "inversion", "model", "training", "sounds", "mixture", "flow", "normal", "noise"
    ]  # fmt: skip
    distances = {name: line["kernel_audio_distance"] for name, line in sets.items()}
    assert distances["real"] < distances["model"] < distances["noise"]
    assert distances["inversion"] < distances["model"]
    page = (run / "evaluation" / "report.html").read_text()
    assert "Sounds as a set" in page and (run / "evaluation/figures/distribution.png").is_file()


class Muted:
    """Facts of which six of sixteen recordings can be read."""

    def __init__(self):
        self.here = SimpleNamespace(rows=np.arange(16))
        self.groups = ["one"] * 16
        self.run = SimpleNamespace(feature=SimpleNamespace(seconds=0.1, sample_rate=16000))

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng(0)

    def rendered(self, positions):
        sound = np.ones(1600, np.float32)
        for place in positions.tolist():
            yield Rendering(place, sound, None if place < 6 else "gone.wav", sound, sound, -20.0)


def test_too_few_recordings_are_said_to_be():
    with pytest.raises(Unanswerable, match="12 recordings or more; 6 of 16 can be read .gone.wav"):
        distribution.measure(Muted())  # type: ignore[arg-type]
