"""Descriptors say what is known of a sound that was made: physical claims, and equality with librosa."""

import numpy as np
import pytest

from timbrespace.audio import descriptors
from timbrespace.audio.descriptors import DESCRIPTORS, describe
from timbrespace.errors import AudioError

RATE = 16000
T = np.arange(2 * RATE) / RATE


def tone(hertz, amplitudes, t=T):
    """Sines of hertz (K,) with amplitudes (K,)."""
    return np.sin(2 * np.pi * np.outer(t, hertz)) @ np.asarray(amplitudes, float)


def of(sound, pitch=None):
    return dict(zip(DESCRIPTORS, describe([sound], RATE, [pitch])[0], strict=True))


def test_a_tone_of_known_partials_has_the_known_centroid_and_spread():
    hertz, amplitudes = np.array([500.0, 1000.0, 3000.0]), np.array([1.0, 0.5, 0.25])
    found = of(tone(hertz, amplitudes))
    centre = (hertz * amplitudes).sum() / amplitudes.sum()
    assert found["centroid"] == pytest.approx(centre, rel=0.01)
    width = np.sqrt((amplitudes * (hertz - centre) ** 2).sum() / amplitudes.sum())
    assert found["spread"] == pytest.approx(width, rel=0.03)
    assert of(tone([1000.0, 2000.0], [1, 1]))["brightness"] == pytest.approx(-3.01, abs=0.01)


def test_noise_is_flat_and_a_sine_is_not():
    noise = of(np.random.default_rng(0).standard_normal(2 * RATE))
    assert noise["flatness"] == pytest.approx(10 * np.log10(np.exp(-np.euler_gamma)), abs=0.1)
    sine = of(tone([440.0], [1.0]))
    assert sine["flatness"] < -40 and sine["flux"] < 1e-3 < 0.1 < noise["flux"]
    assert sine["roughness"] < 1e-3


def test_spectral_figures_equal_librosa():
    librosa = pytest.importorskip("librosa")
    noise = np.random.default_rng(1).standard_normal(RATE) * np.exp(-T[:RATE])
    magnitude, hertz = descriptors.spectra(noise + tone([700.0], [3.0], T[:RATE]), RATE)
    s = {"S": magnitude.T.astype(float)}
    one = librosa.feature.spectral_centroid(**s, sr=RATE)[0]
    assert np.allclose(descriptors.centroid(magnitude, hertz), one, rtol=1e-4)
    one = librosa.feature.spectral_bandwidth(**s, sr=RATE)[0]
    assert np.allclose(descriptors.spread(magnitude, hertz), one, rtol=1e-4)
    one = 10 * np.log10(librosa.feature.spectral_flatness(**s, amin=1e-30)[0])
    assert np.allclose(descriptors.flatness(magnitude), one, atol=1e-3)


def test_a_square_wave_is_odd_and_a_saw_is_not():
    k = np.arange(1, 21)
    square = of(tone(110.0 * k, (k % 2) / k), 45)
    assert square["odd_even"] > 50
    saw = of(tone(110.0 * k, 1 / k), 45)
    wanted = 10 * np.log10((1 / k[0::2] ** 2).sum() / (1 / k[1::2] ** 2).sum())
    assert saw["odd_even"] == pytest.approx(wanted, abs=0.05)
    assert saw["inharmonicity"] == pytest.approx(0.0, abs=2e-6)


@pytest.mark.parametrize("b", [1e-4, 5e-4, 5e-3])
def test_the_stretch_of_a_string_is_found(b):
    k = np.arange(1, 21)
    hertz = 131.0 * k * np.sqrt(1 + b * k * k)  # C3, a little sharp
    string = tone(hertz, 1 / k) * np.exp(-2 * T)
    assert of(string, 48)["inharmonicity"] == pytest.approx(b, rel=0.02)


def test_decay_and_attack_are_those_that_were_made():
    carrier = tone([500.0, 1000.0], [1, 0.5])
    falling = of(carrier * 10 ** (-60 * T / 20))
    assert falling["decay"] == pytest.approx(60.0, rel=1e-3)
    held = of(carrier * np.minimum(T / 0.05, 1.0))
    assert 10 ** held["attack"] == pytest.approx(0.05, rel=0.05)
    assert held["decay"] == pytest.approx(0.0, abs=0.05)
    assert 10 ** of(carrier)["attack"] == pytest.approx(0.0135, abs=0.001)  # the least
    assert 10 ** of(carrier * np.minimum(T / 0.5, 1.0))["attack"] == pytest.approx(0.5, rel=0.01)


def test_beating_at_70_hz_is_rough():
    plain = tone([1000.0], [1.0])
    beaten = plain * (1 + np.sin(2 * np.pi * 70 * T))
    slow = plain * (1 + np.sin(2 * np.pi * 300 * T))
    assert of(beaten)["roughness"] > 0.05 > 20 * of(plain)["roughness"]
    assert of(slow)["roughness"] < 0.5 * of(beaten)["roughness"]
    # two sines, by hand: (a b)^0.1 0.5 (2 b / (a + b))^3.11 (exp(-3.5 s d) - exp(-5.75 s d))
    at = 0.24 / (0.0207 * 1000 + 18.96) * 70
    wanted = 0.5**0.1 * 0.5 * (1 / 1.5) ** 3.11 * (np.exp(-3.5 * at) - np.exp(-5.75 * at))
    found = descriptors.roughness(np.array([1070.0, 1000.0]), np.array([1.0, 0.5]))
    assert found == pytest.approx(wanted)


def test_no_figure_depends_on_the_level_and_what_is_missing_is_nan():
    k = np.arange(1, 9)
    sound = tone(220.0 * k, 1 / k) * np.exp(-3 * T)
    loud, soft = describe([sound, 0.001 * sound], RATE, [57, 57])
    assert np.allclose(loud, soft, rtol=1e-4, atol=1e-5) and np.isfinite(loud).all()
    assert np.isnan(describe([np.zeros(RATE)], RATE, [60])).all()
    unknown = of(sound)
    assert {n for n, v in unknown.items() if np.isnan(v)} == {"inharmonicity", "odd_even"}
    noise = of(np.random.default_rng(2).standard_normal(RATE), 60)
    bell = of(tone(220 * (k + 0.1 * (-1.0) ** k), 1 / k), 57)  # partials of no stretched series
    assert np.isnan(noise["inharmonicity"]) and np.isnan(bell["inharmonicity"])
    assert np.isfinite(of(np.ones(3))["centroid"]) and np.isnan(of(np.ones(3))["decay"])
    assert describe([], RATE).shape == (0, len(DESCRIPTORS))
    with pytest.raises(AudioError, match="not finite"):
        describe([np.full(100, np.nan)], RATE)
    with pytest.raises(AudioError, match="1 sounds came with 2 pitches"):
        describe([sound], RATE, [60, 61])
