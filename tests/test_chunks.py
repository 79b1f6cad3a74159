"""Chunks: what is cut into overlapping pieces comes back whole."""

import numpy as np
import pytest

from timbrespace.audio import chunks
from timbrespace.errors import AudioError


@pytest.mark.parametrize("length", [1, 63, 64, 65, 100, 1000, 1024])
@pytest.mark.parametrize(("window", "hop"), [(64, 32), (64, 64), (64, 1), (63, 20), (64, 50)])
def test_what_is_split_joins_to_the_same_sound(length: int, window: int, hop: int) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    before = samples.copy()
    pieces = chunks.split(samples, window, hop)
    assert pieces.shape == (chunks.count(length, window, hop), window)
    back = chunks.join(pieces, hop, length)
    assert back.shape == samples.shape and back.dtype == np.float32
    np.testing.assert_allclose(back, samples, atol=1e-6, rtol=0)
    assert np.array_equal(samples, before)


def test_no_more_chunks_than_the_sound_needs() -> None:
    # one chunk holds a sound of its length; one sample more asks for a second
    assert [chunks.count(n, 64, 32) for n in (1, 64, 65, 96, 97)] == [1, 1, 2, 2, 3]


def test_channels_stay_apart() -> None:
    stereo = np.random.default_rng(0).uniform(-1, 1, (2, 777)).astype(np.float32)
    pieces = chunks.split(stereo, 100, 40)
    assert pieces.shape[1:] == (2, 100)
    np.testing.assert_allclose(chunks.join(pieces, 40, 777), stereo, atol=1e-6, rtol=0)


def test_neighbours_fade_without_a_jump() -> None:
    # two chunks of different constants meet in a straight line, never in a step
    joined = chunks.join(np.stack([np.zeros(64), np.ones(64)]), 32)
    assert joined[0] == 0.0 and joined[-1] == 1.0
    assert np.diff(joined).max() == pytest.approx(1 / 32) and np.diff(joined).min() >= 0.0


def test_gaps_and_missing_chunks_are_refused() -> None:
    with pytest.raises(AudioError, match="hop from 1 to 64 samples, got 65"):
        chunks.split(np.zeros(100), 64, 65)
    with pytest.raises(AudioError, match="hold 96 samples, not the 97"):
        chunks.join(np.zeros((2, 64)), 32, 97)
