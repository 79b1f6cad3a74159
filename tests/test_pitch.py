"""The pitch of sounds: found in tones, in noise, of any rate and length; never in what has none."""

import numpy as np
import pytest

from timbrespace.audio import pitch
from timbrespace.errors import AudioError


def cents(found: float | None, wanted: float) -> float:
    assert found is not None
    return abs(1200.0 * float(np.log2(found / wanted)))


def tone(hertz, *, seconds=1.0, rate=16000, partials=range(1, 9)):
    """Partials k of amplitude 1 / k, as far as the rate holds them, of peak 0.5."""
    clock = np.arange(round(seconds * rate)) / rate
    held = [k for k in partials if k * hertz < 0.48 * rate]
    sound = sum(np.sin(2 * np.pi * k * hertz * clock + k) / k for k in held)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def noise(like, db, seed=0):
    """White noise so many dB below a sound (RMS)."""
    made = np.random.default_rng(seed).standard_normal(len(like))
    return (made * np.sqrt(np.mean(like**2)) * 10.0 ** (-db / 20.0)).astype(np.float32)


@pytest.fixture
def alone(monkeypatch):
    """As if swift-f0 were not installed."""
    monkeypatch.setattr(pitch, "find_spec", lambda name: None)
    pitch._network.cache_clear()
    yield
    pitch._network.cache_clear()


@pytest.mark.parametrize("hertz", [27.5, 46.0, 220.0, 1500.0, 2637.0, 4186.0])
def test_a_piano_s_range_is_found_to_a_cent(hertz):
    assert cents(pitch.note(tone(hertz), 16000), hertz) < 1.0
    assert cents(pitch.note(tone(hertz, partials=[1]), 16000), hertz) < 1.0


@pytest.mark.parametrize("hertz", [41.2, 110.0, 880.0])
def test_a_fundamental_that_is_missing_is_heard(hertz):
    assert cents(pitch.note(tone(hertz, partials=range(2, 9)), 16000), hertz) < 1.0


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
def test_every_rate_hears_the_same_pitch(rate):
    assert cents(pitch.note(tone(440.0, rate=rate), rate), 440.0) < 0.1


@pytest.mark.parametrize("hertz", [82.4, 330.0, 1200.0])
def test_the_network_hears_through_noise_as_loud_as_the_tone_at_any_level(hertz):
    pytest.importorskip("swift_f0")
    sound = tone(hertz)
    noisy = sound + noise(sound, 0.0)
    assert cents(pitch.note(noisy, 16000), hertz) < 25.0
    assert pitch.note(1e-4 * noisy, 16000) == pytest.approx(pitch.note(noisy, 16000), rel=1e-3)


def test_without_the_network_noisy_sounds_have_no_pitch_and_it_says_so(alone):
    sound = tone(330.0)
    assert pitch.note(sound + noise(sound, 0.0), 16000) is None
    assert cents(pitch.note(sound + noise(sound, 30.0), 16000), 330.0) < 2.0
    assert "pip install 'timbrespace[pitch]'" in (pitch.without() or "")


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(16000), np.zeros(0), np.full(16000, 0.5), np.eye(1, 16000, 100)[0],
        np.random.default_rng(0).standard_normal(16000),
        np.cumsum(np.random.default_rng(0).standard_normal(16000)),
        np.random.default_rng(0).standard_normal(320),
    ],
    ids=["silence", "nothing", "a constant", "a click", "white noise", "brown noise", "20 ms of noise"],
)  # fmt: skip
def test_what_has_no_pitch_is_given_none(sound):
    found = pitch.track(sound.astype(np.float32), 16000)
    assert (
        found.note is None and np.isfinite(found.f0).all() and np.isfinite(found.confidence).all()
    )


def test_twenty_milliseconds_are_enough():
    assert cents(pitch.note(tone(440.0, seconds=0.02), 16000), 440.0) < 2.0


def test_level_and_a_constant_beneath_do_not_matter():
    sound = tone(440.0)
    for other in (sound * 1e-4, sound * 100.0, sound + 0.3):
        assert cents(pitch.note(other, 16000), 440.0) < 0.1


def test_frames_follow_a_glide_and_stop_where_it_stops():
    clock = np.arange(32000) / 16000
    glide = np.sin(2 * np.pi * np.cumsum(200.0 * 2.0**clock) / 16000)
    found = pitch.track(np.r_[glide, np.zeros(16000)].astype(np.float32), 16000)
    here = np.arange(5, 56)  # frames away from both ends
    wanted = 200.0 * 2.0 ** (here * pitch.HOP / 16000)
    assert np.abs(1200.0 * np.log2(found.f0[here] / wanted)).max() < 5.0
    assert found.voiced[here].all() and not found.voiced[68:].any() and len(found.f0) == 93


def test_a_long_sound_is_taken_in_blocks_that_leave_no_seam(monkeypatch):
    sound = tone(220.0, seconds=3.0)
    whole = pitch.track(sound, 16000)
    monkeypatch.setattr(pitch, "_BLOCK", 7)
    assert np.allclose(whole.f0, pitch.track(sound, 16000).f0, atol=1e-6)


def test_a_note_is_what_its_loud_part_plays():
    note = np.r_[tone(300.0, seconds=0.5), 0.01 * tone(500.0, seconds=2.0)]
    assert cents(pitch.note(note, 16000), 300.0) < 1.0
    assert np.median(pitch.track(note, 16000).f0) == pytest.approx(500.0, rel=1e-3)


def test_what_is_no_sound_is_refused():
    with pytest.raises(AudioError, match="sample 3 is nan"):
        pitch.note(np.array([0.0, 0.0, 0.0, np.nan]), 16000)
    with pytest.raises(AudioError, match="not mono"):
        pitch.note(np.zeros((2, 100)), 16000)
    with pytest.raises(AudioError, match="no sample rate"):
        pitch.note(np.zeros(100), 0)


def test_midi_and_hertz_are_each_other_s_inverse():
    assert pitch.to_hertz(69) == 440.0 and pitch.to_hertz(60) == pytest.approx(261.6256, abs=1e-4)
    assert pitch.to_midi(pitch.to_hertz(61.37)) == pytest.approx(61.37)
