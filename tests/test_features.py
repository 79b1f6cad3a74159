"""The log-mel picture against librosa, which defines it, and against physics."""

import json
import warnings

import librosa
import numpy as np
import pytest
import torch

from timbrespace.errors import AudioError, RecipeError
from timbrespace.features.catalogue import FEATURES
from timbrespace.features.log_mel import LogMel
from timbrespace.features.mel import hz_to_mel, mel_filterbank, mel_to_hz

RATE = 16000


def tone(hz: float, seconds: float = 2.0, amplitude: float = 0.5) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def pluck(seed: int, seconds: float = 4.0, gain: float = 1.0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    partials = [np.sin(2 * np.pi * 220 * k * time) * np.exp(-time * k) / k for k in range(1, 20)]
    noise = draw.standard_normal(len(time)) * np.exp(-time * 30)
    return (gain * (0.3 * np.sum(partials, 0) + 0.1 * noise)).astype(np.float32)


def librosa_db(samples: np.ndarray, feature: LogMel) -> np.ndarray:
    """The definition, from librosa alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns about sounds under one window
        power = librosa.feature.melspectrogram(
            y=samples, sr=feature.sample_rate, n_fft=feature.n_fft, hop_length=feature.hop,
            n_mels=feature.mels, power=2.0,
        )[:, : feature.frames]  # fmt: skip
    return np.clip(librosa.power_to_db(power, ref=np.max, top_db=None), feature.floor_db, 0.0)


SOUNDS = {
    "longer than the window": pluck(0),
    "exactly the window": pluck(1, 128 * 256 / RATE),
    "shorter than the window": pluck(2, 1.0),
    "20 ms": pluck(3, 0.02),
    "quiet": pluck(4, gain=1e-4),
    "tone": tone(440.0),
    "noise": np.random.default_rng(5).standard_normal(40000).astype(np.float32) * 0.1,
    "one sample": np.array([0.5], np.float32),
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("feature", [LogMel(), LogMel(mels=128, n_fft=2048, hop=300, frames=60)])
def test_equals_librosa(name: str, feature: LogMel) -> None:
    samples = SOUNDS[name]
    picture = feature.analyse(torch.from_numpy(samples))
    truth = librosa_db(samples, feature)
    mine = feature.to_db(picture.values).numpy()
    assert mine.shape == (feature.mels, feature.frames)
    assert np.abs(mine[:, : truth.shape[1]] - truth).max() < 0.002
    assert (picture.values[:, truth.shape[1] :] == -1.0).all()  # silence, not -40 dB


def test_filterbank_equals_librosa() -> None:
    for rate, n_fft, mels in ((16000, 1024, 80), (44100, 2048, 128), (16000, 1024, 256)):
        truth = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=mels)
        assert np.abs(mel_filterbank(rate, n_fft, mels).numpy() - truth).max() < 1e-7
    assert np.allclose([hz_to_mel(float(f)) for f in mel_to_hz(np.arange(60.0))], np.arange(60.0))


def test_gain_moves_the_level_and_not_the_picture() -> None:
    samples = torch.from_numpy(pluck(6))
    loud, soft = LogMel().analyse(samples), LogMel().analyse(samples * 0.1)
    assert float(loud.level_db - soft.level_db) == pytest.approx(20.0, abs=1e-3)
    assert torch.allclose(loud.values, soft.values, atol=1e-4)


def test_level_of_a_known_tone() -> None:
    # A sine of amplitude A on a bin has power (A * sum(window) / 2)^2 there; the mel weighs it
    # together with the window's two neighbours, a quarter of the power each.
    feature, amplitude, on = LogMel(), 0.25, 64
    power = (amplitude * 512 / 2) ** 2 * np.array([0.25, 1.0, 0.25])
    weights = mel_filterbank(RATE, 1024, 80).numpy()[:, on - 1 : on + 2]
    expected = 10 * np.log10((weights @ power).max())
    inner = torch.from_numpy(tone(on * RATE / 1024, 3.0, amplitude))
    assert float(feature.analyse(inner).level_db) == pytest.approx(expected, abs=0.01)


def test_silence_is_the_floor() -> None:
    picture = LogMel().analyse(torch.zeros(2, 5000))
    assert (picture.values == -1.0).all()
    assert (picture.level_db == -120.0).all()


def test_batch_shapes_and_input_untouched() -> None:
    feature = LogMel(frames=40)
    batch = torch.from_numpy(np.stack([pluck(k, 0.5) for k in range(6)])).reshape(2, 3, -1)
    kept = batch.clone()
    together = feature.analyse(batch)
    assert torch.equal(batch, kept)
    assert together.values.shape == (2, 3, 80, 40) and together.level_db.shape == (2, 3)
    alone = feature.analyse(batch[1, 2])
    assert torch.equal(together.values[1, 2], alone.values)
    assert torch.equal(together.level_db[1, 2], alone.level_db)


def test_only_the_window_counts() -> None:
    feature = LogMel(frames=20)
    samples = torch.from_numpy(pluck(7))
    late = samples.clone()
    late[19 * 256 + 512 :] = 0.9  # the first sample no kept frame sees
    assert torch.equal(feature.analyse(samples).values, feature.analyse(late).values)
    late[19 * 256 + 256] = 0.9
    assert not torch.equal(feature.analyse(samples).values, feature.analyse(late).values)


def test_analyse_all_takes_every_frame() -> None:
    feature = LogMel(frames=16)
    samples = pluck(8, 1.0)
    picture = feature.analyse_all(torch.from_numpy(samples))
    assert picture.values.shape == (80, 1 + len(samples) // 256)
    truth = librosa_db(samples, LogMel(frames=1000))
    assert np.abs(feature.to_db(picture.values).numpy() - truth).max() < 0.002


def test_decibels_and_back() -> None:
    feature = LogMel(floor_db=-60.0)
    values = torch.linspace(-1, 1, 21)
    assert torch.allclose(feature.from_db(feature.to_db(values)), values, atol=1e-6)
    assert feature.to_db(torch.tensor([-1.0, 1.0])).tolist() == [-60.0, 0.0]
    assert feature.from_db(torch.tensor([-200.0, 7.0])).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("samples", "word"),
    [
        (torch.tensor([0.0, float("nan"), 0.1]), "NaN"),
        (torch.tensor([0.0, float("inf")]), "infinite"),
        (torch.zeros(0), "at least one sample"),
        (torch.tensor(0.5), "at least one sample"),
        (torch.zeros(9, dtype=torch.complex64), "real"),
        (torch.full((3000,), 1e30), "too loud"),
    ],
)
def test_unusable_sound_is_refused(samples: torch.Tensor, word: str) -> None:
    with pytest.raises(AudioError, match=word):
        LogMel().analyse(samples)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mel": 80}, "did you mean mels"),
        ({"zebra": 1}, "known here"),
        ({"kind": "log_mell"}, "feature.kind should be log_mel"),
        ({"mels": 0}, "feature.mels should be a whole number from 8"),
        ({"mels": 80.5}, "whole number"),
        ({"mels": True}, "whole number"),
        ({"mels": 1000}, "no frequency bin"),
        ({"hop": 1024}, "at most 512"),
        ({"n_fft": 1023}, "even"),
        ({"floor_db": float("nan")}, "floor_db"),
        ({"floor_db": 0.0}, "floor_db"),
        ({"sample_rate": "16000"}, "sample_rate"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        LogMel.from_settings({**LogMel().settings(), **change})


def test_settings_survive_json_and_name_themselves() -> None:
    feature = LogMel(mels=128, floor_db=-70)
    again = FEATURES["log_mel"].from_settings(json.loads(json.dumps(feature.settings())))
    assert again == feature and again.fingerprint == feature.fingerprint
    assert feature.fingerprint != LogMel(mels=128).fingerprint
    assert LogMel(floor_db=-80).fingerprint == LogMel().fingerprint  # -80 and -80.0 are one thing
    assert feature.shape == (128, 128) and feature.seconds == pytest.approx(2.048)


@pytest.mark.parametrize("settings", [{}, {"mels": 256}, {"sample_rate": 44100, "n_fft": 2048}])
@pytest.mark.parametrize("sort", ["noise", "low tone", "tone", "pluck", "soft"])
def test_the_rms_of_a_picture_is_that_of_its_sound(settings: dict, sort: str) -> None:
    feature = LogMel(**settings)
    n = (feature.frames - 1) * feature.hop
    t = np.arange(n) / feature.sample_rate
    sound = {
        "noise": np.random.default_rng(0).normal(0, 0.1, n),
        "low tone": 0.2 * np.sin(2 * np.pi * 90 * t),
        "tone": 0.2 * np.sin(2 * np.pi * 3000 * t),
        "pluck": 0.5 * np.sin(2 * np.pi * 500 * t) * np.exp(-8 * t),
        "soft": 1e-3 * np.sin(2 * np.pi * 500 * t),
    }[sort]
    picture = feature.analyse(torch.from_numpy(sound.astype(np.float32)))
    truth = 10 * np.log10(np.mean(sound**2))
    assert float(feature.rms_db(picture.values, picture.level_db)) == pytest.approx(truth, abs=0.3)


def test_the_rms_of_silence_is_the_least_there_is() -> None:
    picture = LogMel().analyse(torch.zeros(2, 9000))
    assert (LogMel().rms_db(picture.values, picture.level_db) == -120.0).all()
