"""Controllers: a place in a small cube to the knobs of an effect, and back."""

import numpy as np
import pytest

from timbrespace.controller import Controller
from timbrespace.controller.make import make
from timbrespace.effects.catalogue import find


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """One bright sound: a falling saw at 150 Hz with a little noise."""
    t = np.arange(32768) / 16000
    saw = 2.0 * (150.0 * t % 1.0) - 1.0
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(t))
    return [(0.3 * np.exp(-1.5 * t) * (saw + noise)).astype(np.float32)]


@pytest.fixture(scope="module")
def made(sounds) -> Controller:
    return make(find("overdrive"), sounds, kind="pca", settings=200)


def test_knobs_stay_in_range_and_positions_come_back(made):
    places = np.random.default_rng(1).random((100, 2))
    units = made.knobs(places)
    assert units.shape == (100, 3) and units.min() >= 0.0 and units.max() <= 1.0
    back = made.position(units)
    assert np.abs(back - places).mean() < 0.1  # of a side; at random it would be 0.33
    assert np.array_equal(made.knobs(places + 5.0), made.knobs(np.ones((100, 2))))


def test_a_controller_is_the_same_after_it_was_saved(made, tmp_path):
    made.save(tmp_path / "pad.safetensors")
    opened = Controller.open(tmp_path / "pad.safetensors")
    assert opened.axes == made.axes and opened.made == made.made
    places = np.random.default_rng(2).random((50, 2))
    assert np.array_equal(opened.knobs(places), made.knobs(places))
    assert np.array_equal(opened.position(opened.knobs(places)), made.position(made.knobs(places)))
