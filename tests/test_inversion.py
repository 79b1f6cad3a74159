"""The way back from picture to sound: frequency, level, silence, length."""

from typing import Any

import numpy as np
import pytest
import torch
from test_features import RATE, pluck, tone

from timbrespace.errors import AudioError, RecipeError
from timbrespace.features.inversion import mel_to_power
from timbrespace.features.log_mel import LogMel
from timbrespace.features.mel import mel_filterbank
from timbrespace.features.phase import (
    METHODS,
    Frames,
    Recovery,
    griffin_lim,
    heap_integration,
)
from timbrespace.features.sweep import phase_by_sweep

FEATURE = LogMel()


def stft(samples: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(1024)
    return torch.stft(samples, 1024, 256, window=window, pad_mode="constant", return_complex=True)


def convergence_db(truth: torch.Tensor, found: torch.Tensor) -> float:
    """Distance of two magnitude spectrograms in dB of the first one's size."""
    return float(20 * torch.log10((truth - found).norm() / truth.norm()))


def there_and_back(samples: np.ndarray | torch.Tensor, **how: object) -> torch.Tensor:
    sound = torch.as_tensor(samples)
    picture = FEATURE.analyse_all(sound)
    settings = {"length": sound.shape[-1], **how}
    return FEATURE.invert(picture.values, picture.level_db, **settings)  # type: ignore[arg-type]


def frequency(samples: torch.Tensor) -> float:
    """Hertz of the strongest tone, by a parabola through the log spectrum's peak."""
    middle = samples[RATE // 2 : RATE // 2 + RATE]
    power = torch.fft.rfft(middle * torch.hann_window(len(middle)), n=1 << 17).abs().log()
    k = int(power.argmax())
    left, peak, right = power[k - 1 : k + 2].tolist()
    return (k + 0.5 * (left - right) / (left - 2 * peak + right)) * RATE / (1 << 17)


@pytest.mark.parametrize("hz", [110.0, 440.0, 987.7, 2500.0])
@pytest.mark.parametrize("amplitude", [0.5, 0.005])
def test_a_sine_keeps_frequency_and_level(hz: float, amplitude: float) -> None:
    samples = torch.from_numpy(tone(hz, 2.0, amplitude))
    back = there_and_back(samples)
    # 80 mels are 37 Hz apart below 1 kHz: a tenth of that is all that can be asked.
    assert abs(frequency(back) - hz) < 4.0
    inner = slice(4000, 28000)
    level = 20 * torch.log10(back[inner].square().mean().sqrt() / (amplitude / 2**0.5))
    assert abs(float(level)) < 0.5  # magnitude taken for power would be tens of dB off


def test_more_mels_keep_frequency_in_cents() -> None:
    feature = LogMel(mels=256)
    for hz in (220.0, 1318.5):
        samples = torch.from_numpy(tone(hz))
        picture = feature.analyse_all(samples)
        back = feature.invert(picture.values, picture.level_db)
        assert abs(1200 * np.log2(frequency(back) / hz)) < 5.0


def test_a_pluck_keeps_its_loudest_mel() -> None:
    samples = torch.from_numpy(pluck(0, 2.0))
    before, after = FEATURE.analyse_all(samples), FEATURE.analyse_all(there_and_back(samples))
    assert abs(float(before.level_db - after.level_db)) < 0.5


@pytest.mark.parametrize(("mels", "bar"), [(80, -14.0), (128, -20.0)])
def test_a_pluck_sounds_right(mels: int, bar: float) -> None:
    feature = LogMel(mels=mels)
    samples = torch.from_numpy(pluck(1, 2.0))
    picture = feature.analyse_all(samples)
    back = feature.invert(picture.values, picture.level_db, length=len(samples))
    assert convergence_db(stft(samples).abs(), stft(back).abs()) < bar
    again = feature.analyse_all(back)
    error = feature.to_db(picture.values) - feature.to_db(again.values)
    assert float(error.square().mean().sqrt()) < 2.5


def test_silence_stays_silence() -> None:
    for method in METHODS:
        assert (there_and_back(torch.zeros(2, 9000), recovery=Recovery(method)) == 0.0).all()


def test_the_padding_is_silent() -> None:
    samples = torch.from_numpy(tone(440.0, 0.5))
    picture = FEATURE.analyse(samples)  # 2 s window: three quarters are padding
    back = FEATURE.invert(picture.values, picture.level_db)
    assert back.shape[-1] == 127 * 256
    assert float(back[10500:].abs().max()) < 1e-4 * float(back.abs().max())


def test_two_sounds_in_a_batch_equal_the_sounds_alone() -> None:
    pair = torch.from_numpy(np.stack([pluck(2, 0.7), tone(300.0, 0.7)]))
    together = there_and_back(pair)
    for index in range(2):
        assert torch.allclose(together[index], there_and_back(pair[index]), atol=1e-6)


def test_same_seed_same_sound_and_inputs_untouched() -> None:
    picture = FEATURE.analyse_all(torch.from_numpy(pluck(3, 0.4)))
    values, level = picture.values.clone(), picture.level_db.clone()
    state = torch.random.get_rng_state()
    for method in ("pghi", "sweep", "fast_griffin_lim"):
        made = [FEATURE.invert(values, level, recovery=Recovery(method, 8, s)) for s in (1, 1, 2)]
        assert torch.equal(made[0], made[1])
        assert not torch.equal(made[0], made[2])
    assert torch.equal(values, picture.values) and torch.equal(level, picture.level_db)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's chance is spent


@pytest.mark.parametrize("length", [None, 0, 1, 320, 5000, 12800, 40000])
def test_length_is_kept(length: int | None) -> None:
    picture = FEATURE.analyse_all(torch.from_numpy(tone(440.0, 0.8)))
    back = FEATURE.invert(
        picture.values, picture.level_db, length=length, recovery=Recovery(rounds=2)
    )
    assert back.shape == ((picture.values.shape[-1] - 1) * 256 if length is None else length,)
    assert torch.isfinite(back).all()


@pytest.mark.parametrize("samples", [1, 200, 320, 1000])
def test_very_short_sounds(samples: int) -> None:
    sound = torch.from_numpy(tone(1000.0, samples / RATE + 1e-9, 0.5)) + 0.1
    back = there_and_back(sound)
    assert back.shape == sound.shape and torch.isfinite(back).all()


def test_20_ms_keep_their_level() -> None:
    sound = torch.from_numpy(tone(1000.0, 0.02, 0.5))
    back = there_and_back(sound)
    assert abs(float(20 * torch.log10(back.norm() / sound.norm()))) < 1.5


def test_many_lead_dimensions_and_odd_hops() -> None:
    feature = LogMel(n_fft=512, hop=100, mels=40)
    sound = torch.from_numpy(tone(700.0, 0.4)).expand(2, 1, -1)
    picture = feature.analyse_all(sound)
    back = feature.invert(picture.values, picture.level_db, length=sound.shape[-1])
    assert back.shape == sound.shape
    assert convergence_db(stft(sound[0]).abs(), stft(back[0]).abs()) < -10.0


def test_the_spectrum_found_has_the_mels_asked_for() -> None:
    bank = mel_filterbank(RATE, 1024, 80)
    truth = stft(torch.from_numpy(pluck(4, 1.0)).reshape(1, -1)).abs().square()
    mel = bank @ truth
    mel = mel / mel.max()
    found = mel_to_power(mel, bank)
    assert (found >= 0).all()
    loud = mel > 1e-5
    error = 10 * torch.log10((bank @ found)[loud] / mel[loud])
    assert float(error.square().mean().sqrt()) < 1.0


def test_transform_and_back_is_exact() -> None:
    for n_fft, hop in ((1024, 256), (512, 100), (64, 32)):
        length = 3000
        transform = Frames(n_fft, hop, 1 + length // hop, length, torch.device("cpu"))
        sound = torch.randn(length, generator=torch.Generator().manual_seed(0))
        whole = torch.nn.functional.pad(sound, (n_fft // 2, 2 * n_fft))
        back = transform.to_samples(transform.to_spectrum(whole))[n_fft // 2 :][:length]
        covered = slice(0, length - hop)
        assert torch.allclose(back[covered], sound[covered], atol=1e-4)


def test_integrated_phase_beats_chance_by_far() -> None:
    truth = stft(torch.from_numpy(pluck(5, 1.0))).abs()[None]
    integrated = (heap_integration(truth, 1024, 256), phase_by_sweep(truth, 1024, 256))
    for start, bar in (*((phase, -15.0) for phase in integrated), (None, -3.0)):
        made = griffin_lim(truth, 1024, 256, rounds=0, phase=start, length=16000)
        distance = convergence_db(truth[0], stft(made[0]).abs())
        assert distance < bar if start is not None else distance > bar * 3


@pytest.mark.parametrize("integrate", [heap_integration, phase_by_sweep])
def test_phase_of_a_tone_advances_by_its_frequency(integrate: Any) -> None:
    hz = 1003.0
    magnitude = stft(torch.from_numpy(tone(hz, 1.0))).abs()[None]
    phase = integrate(magnitude, 1024, 256)[0, round(hz * 1024 / RATE)]
    advance = torch.remainder(phase[21:40] - phase[20:39], 2 * torch.pi)
    expected = 2 * np.pi * hz * 256 / RATE % (2 * np.pi)
    assert torch.allclose(advance, torch.tensor(expected).float(), atol=0.05)


@pytest.mark.parametrize("method", ["pghi", "sweep"])
def test_a_mean_of_powers_does_not_buzz_at_the_rate_of_frames(method: str) -> None:
    """Steady and smooth, as a model in doubt draws it; and a tone with what such a one leaves beside it."""
    feature = LogMel(mels=128)
    slope = torch.linspace(0.9, -0.4, 128)[:, None].expand(128, 400)
    hertz = torch.tensor([84.0, 80.0, 88.0]) * RATE / feature.n_fft
    clock = torch.arange(400 * feature.hop) / RATE
    tones = feature.analyse_all(torch.sin(2 * torch.pi * hertz[:, None] * clock)).values
    share = torch.tensor([1.0, 2e-3, 2e-3])[:, None, None]
    power = (share * torch.pow(10.0, feature.to_db(tones) / 10.0)).sum(0)
    beside = feature.from_db(10.0 * power.log10())[:, :400]
    for values, most in ((slope, -30.0), (beside, -40.0)):  # noise has lines of its own
        sound = feature.invert(values, torch.tensor(0.0), recovery=Recovery(method)).numpy()
        curve = np.sqrt(np.square(sound[4096:-4096]).reshape(-1, 64).mean(1))
        curve = curve / curve.mean() - 1.0
        window = np.hanning(len(curve))
        at = np.exp(
            -2j * np.pi * 64 / feature.hop * np.arange(len(curve))
        )  # the rate of the frames
        assert 20 * np.log10(abs(2 * (curve * window) @ at) / window.sum()) < most


def test_a_sweep_continues_what_is_known() -> None:
    truth = stft(torch.from_numpy(pluck(7, 1.0)))[None]
    known = truth.angle()
    known[..., 20:] = torch.nan
    phase = phase_by_sweep(truth.abs(), 1024, 256, known=known)
    assert torch.equal(phase[..., :20], known[..., :20])
    near = slice(19, 28)  # the seam and the frames that hang on it
    off = torch.polar(truth.abs(), phase)[..., near] - truth[..., near]
    assert float(off.norm() / truth[..., near].norm()) < 0.25
    apart = phase_by_sweep(truth.abs(), 1024, 256)
    off = torch.polar(truth.abs(), apart)[..., near] - truth[..., near]
    assert float(off.norm() / truth[..., near].norm()) > 0.5  # without it: another sound


def test_more_rounds_never_get_worse() -> None:
    truth = stft(torch.from_numpy(pluck(6, 1.0))).abs()[None]
    start = heap_integration(truth, 1024, 256)
    for momentum, slack in ((0.0, 0.01), (0.99, 0.5)):  # momentum may overshoot a little
        distances = []
        for rounds in (0, 1, 2, 4, 8, 16, 32):
            made = griffin_lim(
                truth, 1024, 256, rounds=rounds, momentum=momentum, phase=start, length=16000
            )
            distances.append(convergence_db(truth[0], stft(made[0]).abs()))
        assert all(b < a + slack for a, b in zip(distances, distances[1:], strict=False))
        assert distances[-1] < distances[0] - 3.0


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"method": "pgih"}, "did you mean pghi"),
        ({"method": "magic"}, "there are: pghi, sweep, fast_griffin_lim, griffin_lim"),
        ({"rounds": -1}, "from 0 to 1000, got -1"),
        ({"rounds": 1001}, "from 0 to 1000, got 1001"),
        ({"rounds": 2.5}, "a whole number"),
    ],
)
def test_a_recovery_that_cannot_be_is_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Recovery(**how)


@pytest.mark.parametrize(
    ("values", "level", "how", "error", "words"),
    [
        (torch.full((80, 9), float("nan")), 0.0, {}, AudioError, "NaN"),
        (torch.zeros(80, 9), float("inf"), {}, AudioError, "infinite"),
        (torch.zeros(64, 9), 0.0, {}, RecipeError, "80 mels"),
        (torch.zeros(80, 0), 0.0, {}, RecipeError, "at least one frame"),
        (torch.zeros(80, 9), 0.0, {"length": -1}, RecipeError, "length"),
    ],
)
def test_what_cannot_become_sound_is_refused(
    values: torch.Tensor, level: float, how: dict[str, object], error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        FEATURE.invert(values, torch.tensor(level), **how)  # type: ignore[arg-type]
