"""From a sound to a sound of any length, level and rate: what physics and ears ask of it."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from test_features import RATE, pluck, tone

from timbrespace import verbs
from timbrespace.audio import level, scratch
from timbrespace.audio.files import read, resample, resampled, write_long
from timbrespace.audio.scratch import Channels, whole
from timbrespace.errors import AudioError, RecipeError
from timbrespace.features import decibels
from timbrespace.features.catalogue import feature_of
from timbrespace.features.feature import Feature, Picture
from timbrespace.features.inversion import least_squares
from timbrespace.features.log_mel import LogMel
from timbrespace.features.mel import mel_filterbank
from timbrespace.features.phase import Recovery, griffin_lim, heap_integration
from timbrespace.features.waveform import Waveform
from timbrespace.render.explain import explain
from timbrespace.render.synth import Synth
from timbrespace.runs import Run

FEATURE = LogMel(frames=64)  # a window of a second


@dataclass
class Whole:
    """A model whose latent is the picture itself; `flaw` (height, width) is added to what it decodes."""

    feature: Feature
    flaw: Any = 0.0
    decoder: Any = field(
        default_factory=lambda: SimpleNamespace(
            conditions=SimpleNamespace(counts={}, continuous=frozenset()), net=None
        )
    )

    def eval(self) -> "Whole":
        return self

    def encode(self, x: torch.Tensor, labels: object) -> SimpleNamespace:
        mean = x.flatten(1)
        return SimpleNamespace(mean=mean, logvar=torch.zeros_like(mean))

    def decode(self, z: torch.Tensor, labels: object, columns: Any = None) -> torch.Tensor:
        made = z.reshape(-1, 1, *self.feature.shape) + self.flaw
        return made if columns is None else made[..., columns]


def synth(feature: Feature = FEATURE, flaw: Any = 0.0) -> Synth:
    return Synth(Whole(feature, flaw), feature)  # type: ignore[arg-type]


def chord(hz: np.ndarray) -> np.ndarray:
    """Four harmonics of a pitch that may change at every sample."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    return sum(0.2 / k * np.sin(k * phase) for k in (1, 2, 3, 4)).astype(np.float32)


def steady(seconds: float) -> np.ndarray:
    return chord(np.full(int(seconds * RATE), 440.0))


def glide(seconds: float) -> np.ndarray:
    return chord(np.geomspace(200.0, 800.0, int(seconds * RATE)))


def envelope(sound: np.ndarray, step: int = 256) -> np.ndarray:
    blocks = sound[: len(sound) // step * step].astype(np.float64).reshape(-1, step)
    return np.sqrt(np.square(blocks).mean(1))


def flawed(feature: LogMel) -> torch.Tensor:
    """What networks do to windows: an attack where each begins, a fall towards its end, and ripples as
    long as strides are."""
    frames = torch.arange(feature.frames)
    db = 6.0 * (frames < 3) - 6.0 * frames / feature.frames
    db = db + 1.0 * (frames % 8 == 0) + 1.0 * (frames % 2 == 0)
    return (db / feature.db_per_unit).expand(feature.shape)


@pytest.fixture
def window_rate_db(monkeypatch):
    """That of the bench: the strongest line of the envelope at the rate of windows or twice that."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "bench"))
    import rendering

    return rendering.window_rate_db


@pytest.mark.parametrize("make", [steady, glide])
def test_nothing_rises_and_falls_with_the_windows(make: Any, window_rate_db: Any) -> None:
    feature = LogMel(frames=128)
    sound = make(10.0)
    own = feature.join(feature.windows(torch.from_numpy(sound)), length=len(sound)).numpy()
    made = synth(feature, flawed(feature)).reconstruct(sound)
    for apart in (feature.step, feature.span):
        assert window_rate_db(own, RATE, apart)[0] < -50.0
        assert window_rate_db(made, RATE, apart)[0] < -40.0


def test_a_window_in_the_middle_does_not_begin() -> None:
    sound = torch.from_numpy(steady(3.0))
    values = torch.cat([some.values for some in FEATURE.windows(sound)])
    loudest = values.amax(1) * FEATURE.db_per_unit  # of each frame, dB
    assert float(loudest[0, 0] - loudest[0, 20]) < -3.0  # the first one does
    middle = loudest[5:-30]
    short = sound[:8000]
    one, other = next(iter(FEATURE.windows(short))), FEATURE.analyse(short)
    assert torch.equal(one.values[0], other.values) and torch.equal(one.level_db[0], other.level_db)
    assert float((middle[:, 0] - middle[:, 20]).abs().max()) < 0.2


def test_what_is_soft_between_bursts_stays_soft() -> None:
    """Of a window each eighth column is decoded: a burst that lies between them makes none of them loud."""
    rng = np.random.default_rng(0)
    sound = (1e-4 * rng.standard_normal(6 * RATE)).astype(np.float32)
    for at in (1.5, 3.0, 4.5):
        sound[round(at * RATE) :][:160] = 0.5 * rng.standard_normal(160)
    made = synth().reconstruct(sound)
    for first, stop in ((1.7, 2.8), (3.2, 4.3)):
        between = slice(round(first * RATE), round(stop * RATE))
        assert level.rms_db(made[between]) == pytest.approx(level.rms_db(sound[between]), abs=2.0)


def test_the_ends_of_a_sound_weigh_no_more_than_the_rest() -> None:
    """Of all windows but the first nothing is heard, so that its share is seen."""
    feature = LogMel(frames=128)
    values = -torch.ones(200, *feature.shape)
    values[0] = 1.0
    windows = [Picture(values, torch.zeros(200))]
    power = torch.cat(list(feature.mixed(windows, 199 * 256 + feature.span)), 1)[0]
    fade = (torch.pi / 128 * (torch.arange(128) + 0.5)).sin().square()
    for column in (40, 64, 70, 100):
        share = fade[column] / fade[: column + 1].sum()
        assert float(power[column]) == pytest.approx(float(share), rel=0.35), column


@pytest.mark.parametrize("length", [1, 2, 320, 16_383, 16_384, 16_385, 40_000])
def test_a_sound_comes_back_at_its_length(length: int) -> None:
    for feature in (FEATURE, Waveform(samples=8192)):
        sound = tone(440.0, 3.0, 0.3)[7 : 7 + length]
        made = synth(feature).reconstruct(sound)
        assert made.shape == sound.shape and np.isfinite(made).all()
        assert level.rms_db(made) == pytest.approx(level.rms_db(sound), abs=1.0)


NOISE = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
SOUNDS = {
    "110 Hz": tone(110.0, 1.5), "3 kHz": tone(3000.0, 1.5), "noise": NOISE, "pluck": pluck(1, 1.5),
    "20 ms": tone(1000.0, 0.02), "long": steady(4.0),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUNDS)
def test_loudness_survives(name: str) -> None:
    sound = SOUNDS[name] / np.abs(SOUNDS[name]).max()
    for db in (-50.0, -20.0, -6.0):  # of the peak, so that the first is quieter than -50 dBFS
        quiet = (sound * 10 ** (db / 20)).astype(np.float32)
        made = synth(flaw=flawed(FEATURE)).reconstruct(quiet)
        assert level.rms_db(made) == pytest.approx(level.rms_db(quiet), abs=0.5), db


SAW = (2 * (np.arange(24_000) * 110 / RATE % 1) - 1).astype(np.float32)


@pytest.mark.parametrize("name", ["110 Hz", "noise", "pluck", "20 ms", "long", "saw", "3 kHz"])
def test_loudness_survives_at_full_scale(name: str) -> None:
    sound = {**SOUNDS, "saw": SAW}[name]
    sound = sound / np.abs(sound).max()
    made = synth().reconstruct(sound)
    # 80 mels leave 3 kHz as a band of noise, which has peaks that a tone has not; fades of 7 ms take
    # a part of 20 that nothing below full scale can give back
    far = 1.0 if name in ("3 kHz", "20 ms") else 0.5
    assert level.rms_db(made) == pytest.approx(level.rms_db(sound), abs=far)
    assert np.abs(made).max() <= level.CEILING


def test_the_limiter_touches_peaks_alone() -> None:
    sound = 0.5 * np.stack([tone(440.0), tone(330.0)]) / 0.5
    sound[0, 16_000] = 1.7
    made = level.limit(sound, RATE)
    assert np.abs(made).max() <= level.CEILING
    assert made[0, 16_000] == pytest.approx(level.CEILING, rel=1e-3)
    near = slice(16_000 - 161, 16_000 + 162)  # 10 ms
    for one, other in zip(
        np.split(made, [near.start, near.stop], 1)[::2],
        np.split(sound, [near.start, near.stop], 1)[::2],
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
    ratio = made / np.where(sound == 0.0, 1.0, sound)
    silent = (sound == 0.0).any(0)
    np.testing.assert_allclose(
        ratio[0, ~silent], ratio[1, ~silent], atol=1e-5
    )  # both channels alike
    softer = np.concatenate(list(level.to_rms(Channels(list(made)), -23.0, RATE)), 1)
    assert level.rms_db(softer) == pytest.approx(-23.0, abs=1e-3)


BUMP = np.concatenate([0.9 * np.exp(-np.arange(480) / 160.0), np.zeros(16_000)])


@pytest.mark.parametrize(
    ("sound", "offset"),
    [
        (tone(440.0) + np.float32(0.3), 0.3),
        (tone(440.0), 0.0),
        (BUMP.astype(np.float32), 0.0),
        (np.concatenate([tone(440.0) + np.float32(0.3), np.zeros(64_000, np.float32)]), 0.0),
        (np.full(100, 0.5, np.float32), 0.0),
    ],
    ids=["a tone on an offset", "a tone", "a bump before silence", "silence behind", "next to nothing"],
)  # fmt: skip
def test_an_offset_is_what_a_sound_rests_on(sound: np.ndarray, offset: float) -> None:
    freed = sound.copy()
    level.remove_offset(freed, RATE)
    np.testing.assert_allclose(freed, sound - offset, atol=1e-3)


def test_an_offset_is_no_fault_of_the_model() -> None:
    sound = tone(440.0, 1.0, 0.05)
    clean, moved = (explain(synth(), x, whole) for x in (sound, sound + np.float32(0.3)))
    for name, stage in clean.stages.items():
        other = moved.stages[name].distance
        assert other.mr_stft < stage.distance.mr_stft + 0.1, name
        assert abs(other.level_db) < 0.5


@pytest.mark.parametrize(
    ("samples", "words"),
    [(np.zeros(0), "got shape"), (np.where(np.arange(300_000) == 280_000, np.nan, 0.1), "NaN")],
    ids=["no samples", "NaN far behind"],
)
def test_what_cannot_be_written_leaves_nothing(samples: Any, words: str, tmp_path: Any) -> None:
    with pytest.raises(AudioError, match=words):
        write_long(tmp_path / "a.wav", Channels([samples.astype(np.float32)]), RATE, RATE)
    assert not (tmp_path / "a.wav").exists()


def click(at: int, length: int = 8000) -> np.ndarray:
    sound = np.zeros(length, np.float32)
    sound[at] = 0.8
    return sound


def test_ends_click_only_where_the_original_does() -> None:
    late = np.concatenate([np.zeros(300, np.float32), steady(0.5), np.zeros(300, np.float32)])
    loud = torch.ones(FEATURE.shape)  # a model that makes everything as loud, ends and all
    made = synth(flaw=2.0 * loud).reconstruct(late)
    peak = np.abs(made).max()
    assert np.abs(made[[0, -1]]).max() < 1e-3 * peak and np.abs(made[1:8]).max() < 0.2 * peak
    assert np.abs(made[100:1000]).max() > 0.2 * peak
    kept = synth().reconstruct(click(0))
    assert np.abs(kept[:3]).max() > 0.1  # what begins at once still does
    assert level.jumps(click(0), RATE) == (True, False)
    assert level.jumps(late, RATE) == (False, False)
    assert level.jumps(late[:-1000], RATE) == (False, True)
    noisy = late + np.float32(1e-5)  # the floor of a recording is no beginning in mid-air
    assert level.jumps(noisy, RATE) == (False, False)


@pytest.mark.parametrize("rate", [8000, 192_000])
def test_files_of_any_rate(rate: int, tmp_path: Any) -> None:
    time = np.arange(rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440.0 * time), rate)
    made = synth().reconstruct(read(tmp_path / "a.wav", sample_rate=RATE).mono())
    assert made.shape == (RATE,)
    spectrum = np.abs(np.fft.rfft(made * np.hanning(RATE)))
    assert abs(int(spectrum.argmax()) - 440) <= 4  # Hz; 80 mels tell no more


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("silence", np.zeros(5000, np.float32)),
        ("one sample", np.array([0.5], np.float32)),
        ("a click", click(4000)),
        ("a tone on an offset", tone(440.0, 0.5, 0.1) + np.float32(0.4)),
        ("a square wave at full scale", np.sign(tone(441.0, 0.5) + 1e-9)),
        ("noise at full scale", np.clip(NOISE[:8000], -1.0, 1.0)),
    ],
)
def test_odd_sounds_come_back_whole_and_safe(name: str, sound: np.ndarray) -> None:
    for feature in (FEATURE, LogMel(mels=128, frames=32), Waveform(samples=4096)):
        made = synth(feature).reconstruct(sound)
        assert made.shape == sound.shape and np.isfinite(made).all()
        assert np.abs(made).max() <= level.CEILING
        about = sound - sound.mean() if len(sound) > 1 else sound
        assert level.rms_db(made) <= level.rms_db(sound) + 0.5
        if name == "silence":
            assert not made.any()
        elif "offset" in name:
            assert level.rms_db(made) == pytest.approx(level.rms_db(about), abs=0.5)
        elif "full scale" not in name:  # whose peaks leave no room
            assert level.rms_db(made) > level.rms_db(about) - 1.5
    if name == "a click":
        assert abs(int(np.abs(made).argmax()) - 4000) < 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    sound = steady(0.5)
    sound[4000] = bad
    for feature in (FEATURE, Waveform(samples=4096)):
        with pytest.raises(AudioError, match="NaN or infinite samples; repair or remove it"):
            synth(feature).reconstruct(sound)


@pytest.mark.parametrize("make", [steady, glide])
def test_blocks_continue_each_other(make: Any, monkeypatch: Any, window_rate_db: Any) -> None:
    sound = make(16.0)
    picture = FEATURE.analyse_all(torch.from_numpy(sound))
    found = {}
    for block in (decibels.BLOCK, 160):
        monkeypatch.setattr(decibels, "BLOCK", block)
        made = FEATURE.invert(picture.values, picture.level_db, length=len(sound))
        found[block] = made.numpy()
    whole, parts = found.values()
    assert whole.shape == parts.shape
    # as near to the original, and no level goes with the seams, every 112 frames
    one, other = (error_db(sound, made) for made in (whole, parts))
    assert other < one + 1.5
    assert window_rate_db(parts, RATE, 112 * 256)[0] < -60.0
    seams = envelope(parts)[112:-20]
    assert 20 * np.log10(seams.min() / np.median(seams)) > -1.0


def spectrum(sound: np.ndarray) -> torch.Tensor:
    window = torch.hann_window(1024)
    return torch.stft(
        torch.from_numpy(sound), 1024, 256, window=window, pad_mode="constant", return_complex=True
    )


def error_db(original: np.ndarray, made: np.ndarray) -> float:
    """Spectral convergence: the distance of two magnitude spectrograms below the first one's size."""
    one, other = spectrum(original).abs(), spectrum(made).abs()
    return float(20 * torch.log10((one - other).norm() / one.norm()))


def test_phase_recovery_is_as_good_as_published() -> None:
    """Heap integration alone, with 5 rounds of fast Griffin-Lim, and 60 of the plain one, of exact
    magnitudes: Prusa, Balazs & Sondergaard 2017 report some 5 to 10 dB between the first and the last."""
    sound = steady(2.0)
    exact = spectrum(sound)[None]
    start = heap_integration(exact.abs(), 1024, 256)

    def far(**how: Any) -> float:
        made = griffin_lim(exact.abs(), 1024, 256, length=len(sound), **how)[0]
        return error_db(sound, made.numpy())

    alone, five = far(rounds=0, phase=start), far(rounds=5, phase=start)
    plain = far(rounds=60, momentum=0.0)
    assert alone < -20.0 and five < alone - 3.0 and five < plain - 3.0
    assert far(rounds=0, phase=exact.angle()) < -80.0  # the true phase gives the sound back


def test_a_phase_that_is_known_is_where_the_search_starts() -> None:
    sound = pluck(2, 1.0)
    feature = feature_of({"kind": "spectrogram", "floor_db": -120.0})
    picture = feature.analyse_all(torch.from_numpy(sound))  # type: ignore[attr-defined]
    true = spectrum(sound).angle()
    some = true.clone()
    some[:, 20:] = torch.nan
    for phase, bar, part in ((true, -50.0, slice(0, None)), (some, -40.0, slice(512, 18 * 256))):
        made = feature.invert(
            picture.values, picture.level_db, recovery=Recovery(rounds=0), length=len(sound),
            phase=phase,
        )  # type: ignore[call-arg]  # fmt: skip
        off = (made.numpy() - sound)[part]
        assert 20 * np.log10(np.linalg.norm(off) / np.linalg.norm(sound[part])) < bar


def test_least_squares_come_as_close_as_asked() -> None:
    bank = mel_filterbank(RATE, 1024, 80)
    mel = bank @ spectrum(pluck(3, 1.0)).abs().square()[None]
    misses = [
        float((mel - bank @ least_squares(mel, bank, iterations=n)).norm() / mel.norm())
        for n in (1, 10, 30, 300)
    ]
    assert all(b < a for a, b in zip(misses, misses[1:], strict=False)) and misses[2] < 0.02
    scaled = least_squares(1e-6 * mel, bank)
    torch.testing.assert_close(scaled, 1e-6 * least_squares(mel, bank), rtol=1e-3, atol=1e-9)
    assert (scaled >= 0).all()
    sound = steady(1.0)
    picture = FEATURE.analyse_all(torch.from_numpy(sound))
    far = {}
    for name in ("multiplicative", "nnls"):
        how = Recovery(inversion=name)
        made = FEATURE.invert(picture.values, picture.level_db, recovery=how, length=len(sound))
        far[name] = error_db(sound, made.numpy())
    assert far["multiplicative"] < far["nnls"] - 3.0 and far["nnls"] < -5.0


@dataclass
class Pitches(Whole):
    """A model of one number: the pitch of a decaying note, in octaves above 220 Hz."""

    def decode(self, z: torch.Tensor, labels: object) -> torch.Tensor:
        size = int(self.feature.seconds * RATE)
        fall = np.exp(-np.arange(size) / RATE).astype(np.float32)
        made = [chord(np.full(size, 220.0 * 2.0 ** float(x))) * fall for x in z[:, 0]]
        return self.feature.analyse(torch.from_numpy(np.stack(made))).values[:, None]


def pitch_at(sound: np.ndarray, second: float) -> float:
    """Hertz of the strongest peak around a moment."""
    part = sound[round((second - 0.1) * RATE) :][: RATE // 5] * np.hanning(RATE // 5)
    return float(np.abs(np.fft.rfft(part, RATE)).argmax())


@pytest.mark.parametrize("seconds", [0.7, 1.0, 3.0])
def test_a_path_is_one_sound_that_begins_once(seconds: float) -> None:
    player = Synth(Pitches(FEATURE), FEATURE)  # type: ignore[arg-type]
    latents, times = np.array([[0.0], [1.0]]), np.array([0.0, seconds])
    made = player.decode_path(latents, times, seconds=seconds, rms_db=-20.0)
    assert made.shape == (round(seconds * RATE),)
    for share in (0.2, 0.5, 0.8):
        assert pitch_at(made, share * seconds) == pytest.approx(220.0 * 2.0**share, rel=0.04)
    curve = envelope(made, 1024)[1:-2]
    assert 20 * np.log10(curve[1:] / curve[:-1]).max() < 1.0  # a decay: nothing begins again
    if seconds == 1.0:  # all points alike: the sound of that point
        same = player.decode_path(np.zeros((2, 1)), times, seconds=1.0)
        once = player.decode(np.zeros((1, 1)), seconds=1.0)[0]
        assert error_db(once, same) < -20.0


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_a_path_of_samples_is_one_sound_that_begins_once(seconds: float) -> None:
    feature = Waveform(samples=8192)
    player = Synth(Pitches(feature), feature)  # type: ignore[arg-type]
    way, times = np.array([[0.0], [0.0]]), np.array([0.0, seconds])
    made = player.decode_path(way, times, seconds=seconds)
    curve = envelope(made, 800)[1:-1]  # 11 periods
    steps = 20 * np.log10(curve[1:] / curve[:-1])
    assert made.shape == (round(seconds * RATE),)
    assert steps.max() < 0.25 and steps.min() > -0.6  # a decay, and no grain is heard
    assert pitch_at(made, 0.5 * seconds) == pytest.approx(220.0, abs=1.0)
    if seconds < feature.seconds:  # all points alike: the sound of that point
        once = player.decode(np.zeros((1, 1)), seconds=seconds)[0]
        assert error_db(once, made) < -40.0


def test_a_path_of_samples_glides() -> None:
    """An octave in six seconds; grains of waves that agree in nothing are as loud as each."""
    feature = Waveform(samples=8192)
    player = Synth(Pitches(feature), feature)  # type: ignore[arg-type]
    way, times = np.array([[0.0], [1.0]]), np.array([0.0, 6.0])
    made = player.decode_path(way, times, seconds=6.0)
    for second in (1.0, 3.0, 5.0):
        assert pitch_at(made, second) == pytest.approx(220.0 * 2.0 ** (second / 6.0), rel=0.02)
    curve = envelope(made, 1024)[2:-3]
    assert 20 * np.log10(curve[1:] / curve[:-1]).max() < 1.0
    with pytest.raises(RecipeError, match="one time for each latent, rising"):
        player.decode_path(way, times[::-1], seconds=6.0)


def test_a_feature_states_what_its_pictures_mean() -> None:
    feature = LogMel()
    stated = feature.contract
    assert {
        "sample_rate",
        "n_fft",
        "hop",
        "mel_scale",
        "norm",
        "power",
        "floor_db",
        "reference",
    } <= set(stated)
    assert feature_of(stated) == feature
    assert feature.misfit(LogMel(dtype="float32")) is None
    assert (
        feature.misfit(LogMel(hop=512, mels=128))
        == "hop 512 in place of 256, mels 128 in place of 80"
    )
    assert feature.misfit(LogMel(frames=64), windows=False) is None
    assert feature.misfit(Waveform()) == "kind waveform in place of log_mel"
    with pytest.raises(
        RecipeError, match="feature.mel_scale of log_mel should be 'slaney', got 'htk'"
    ):
        feature_of({**stated, "mel_scale": "htk"})


@pytest.mark.parametrize("factor", [1.0, 6.0])  # and so loud that phase has to give way
def test_a_file_in_small_spans_is_the_sound_that_an_array_gives(
    tiny_run, tmp_path, monkeypatch, factor
):
    seconds, rate = 40.0, Run.open(tiny_run).feature.sample_rate
    draw = np.random.default_rng(0)
    original = factor * chord(np.geomspace(200.0, 800.0, int(seconds * RATE)))
    original = np.clip(original + 0.01 * draw.standard_normal(len(original)), -1.0, 1.0)
    soundfile.write(tmp_path / "long.wav", original, rate, subtype="FLOAT")
    run = Run.open(tiny_run)
    whole = Synth(run.model, run.feature, run.vocabulary).reconstruct(
        original.astype(np.float32), pitch=60
    )
    monkeypatch.setattr(scratch, "SPAN", 7001)
    made = verbs.reconstruct(
        tiny_run, [tmp_path / "long.wav"], tmp_path / "out", pitch=60, format="float"
    )
    (file,) = made.files
    np.testing.assert_allclose(soundfile.read(file)[0], whole, atol=1e-4)
    assert list(file.parent.iterdir()) == [file]


def test_what_is_stopped_leaves_nothing(tiny_run, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", steady(2.0), RATE)

    def stop(self: object, samples: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile.SoundFile, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        verbs.reconstruct(tiny_run, [tmp_path / "a.wav"], tmp_path / "out", pitch=60)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("rates", [(44100, 16000), (16000, 48000), (8000, 16000), (192000, 16000)])
def test_blocks_are_resampled_as_their_whole_is(rates):
    original = np.random.default_rng(0).standard_normal((2, 50_000), np.float32)
    parts = [original[:, at : at + 777] for at in range(0, 50_000, 777)]
    made = np.concatenate(list(resampled(parts, *rates)), 1)
    np.testing.assert_allclose(made, resample(original, *rates), atol=1e-5)


def test_a_limiter_in_small_spans_is_the_limiter(monkeypatch):
    monkeypatch.setattr(scratch, "SPAN", 1001)
    sound = 3.0 * steady(1.0) * np.linspace(0.0, 1.0, RATE, dtype=np.float32)
    made = whole(level.limited(sound, RATE, gain=0.9))
    np.testing.assert_allclose(made, level.limit(sound * np.float32(0.9), RATE), atol=1e-6)
