"""The course of a sound's MFCCs: what it hears, what it leaves out, and the published distance beside it."""

import numpy as np
import pytest

from timbrespace.embedding import cepstrum
from timbrespace.embedding.cepstrum import BYTES, EDGES, WIDTHS, courses, distances
from timbrespace.errors import AudioError

RATE = 44_100


def tone(partials: int, seconds: float = 0.5, decay: float = 6.0) -> np.ndarray:
    time = np.arange(round(RATE * seconds)) / RATE
    waves = sum(np.sin(2 * np.pi * 220.0 * k * time) / k for k in range(1, partials + 1))
    return 0.1 * np.exp(-decay * time) * waves


def row(end: int, silence: int, *first: int) -> np.ndarray:
    """A course of which `first` are the first coefficients of blocks, the others those of silence."""
    made = np.zeros(BYTES, np.int8)
    made[:2] = end, silence
    made[2::40] = [*first, *[silence] * (len(WIDTHS) - len(first))]
    return made


def test_a_sound_is_itself_at_any_level_and_with_any_silence_behind():
    sound = tone(9)
    table = courses([sound, 7.0 * sound, np.pad(sound, (0, RATE)), -sound], RATE)
    assert distances(table[:1], table) == pytest.approx(np.zeros((1, 4)), abs=5e-4)
    assert np.abs(table[:, 1:42].astype(int) - table[0, 1:42]).max() <= 1  # to a step of the bytes
    scaled = sound * 10 ** (-30 / 20) / np.sqrt(np.mean(sound**2))
    bytes_of_first = cepstrum.mfcc(scaled)[:, 0] / cepstrum.STEP
    assert table[0, 2:42] == pytest.approx(bytes_of_first, abs=1.0)


def test_opposite_coefficients_are_farthest_whatever_both_lack():
    one, other = row(2, -5, 10, 10), row(2, 5, -10, -10)
    assert distances(one[None], other[None])[0, 0] == pytest.approx(2.0)
    assert distances(one[None], np.zeros((1, BYTES), np.int8))[0, 0] == pytest.approx(1.0, abs=0.3)


def test_a_case_by_hand():
    """Blocks of 1, 1, 1 and 2 frames: one sounds in two of them, the other in four."""
    one, other = row(2, -1, 3, 2), row(4, -2, 1, 0, 0, 3)
    assert WIDTHS[:4].tolist() == [1, 1, 1, 2]
    product = 3 * 1 + 2 * 0 + -1 * 0 + 2 * (-1 * 3)
    norms = np.sqrt(9 + 4 + 1 + 2) * np.sqrt(1 + 2 * 9)
    found = distances(one[None], np.stack([other, one]))
    assert found[0] == pytest.approx([1.0 - product / norms, 0.0], abs=1e-6)
    assert distances(other[None], one[None])[0, 0] == pytest.approx(found[0, 0])


def test_it_orders_sounds_as_all_frames_of_the_published_distance():
    rng = np.random.default_rng(0)
    sounds = [tone(p, s, d) for p, s, d in zip(
        rng.integers(1, 30, 12), rng.uniform(0.1, 1.5, 12), rng.uniform(1, 5, 12), strict=True
    )]  # fmt: skip
    for at, sound in enumerate(sounds):
        sounds[at] = sound * 10 ** (-30 / 20) / np.sqrt(np.mean(sound**2))

    def published(one: np.ndarray, other: np.ndarray) -> float:
        length = max(len(one), len(other))
        x, y = (cepstrum.mfcc(np.pad(s, (0, length - len(s)))).ravel() for s in (one, other))
        return 1.0 - float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    table = courses(sounds, RATE)
    ours, pairs = distances(table, table), np.triu_indices(len(sounds), 1)
    theirs = [published(sounds[i], sounds[j]) for i, j in zip(*pairs, strict=True)]
    assert np.corrcoef(ours[pairs], theirs)[0, 1] > 0.98


def test_silence_the_shortest_and_the_longest_sounds_have_courses_too():
    sounds = [
        np.zeros(0),
        np.zeros(9000),
        np.ones(1),
        np.random.default_rng(0).standard_normal(RATE * 6),
    ]
    table = courses(sounds, RATE)
    assert table.shape == (4, BYTES) and BYTES == 962 and not table[:2].any()
    assert table[3, 0] == len(WIDTHS) and table[2, 0] < 8
    found = distances(table, table)
    assert found[0] == pytest.approx([0.0, 0.0, 1.0, 1.0])
    assert found.diagonal() == pytest.approx(0.0, abs=1e-6) and np.isfinite(found).all()
    assert EDGES[-1] * cepstrum.HOP / RATE == pytest.approx(4.53, abs=0.01)


def test_what_is_no_mono_sound_is_refused():
    with pytest.raises(AudioError, match="give mono"):
        courses([np.zeros((2, 100))], RATE)
    with pytest.raises(AudioError, match="not finite"):
        courses([np.array([0.0, np.nan])], RATE)
