"""Rates, channels and formats: what comes in comes out as it was asked for, and where it was."""

import numpy as np
import pytest
import soundfile
import torch

from timbrespace import verbs
from timbrespace.audio.level import rms_db
from timbrespace.audio.scratch import Channels
from timbrespace.audio.stereo import mixed_like
from timbrespace.errors import AudioError
from timbrespace.features.log_mel import LogMel
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.render.synth import Synth
from timbrespace.runs import Run

RATES = (16000, 22050, 24000, 32000, 44100, 48000)
TINY = {
    "log_mel": (
        "instruments", "feature.mels=32", "feature.frames=64",
        "model.encoder={kind: frames, channels: [16, 16], hidden: 16}",
        "model.decoder={kind: frames, channels: [16, 16], hidden: 16}",
    ),
    "waveform": (
        "waveform", "feature.samples=4096",
        "model.encoder={kind: conv1d, channels: [4, 4], strides: [8, 8]}",
        "model.decoder={kind: conv1d, channels: [4, 4], strides: [8, 8]}",
    ),
    "harmonic": (
        "harmonic", "feature.samples=8192", "objective.stft.sizes=[512]",
        "model.encoder={kind: harmonic, components: 20, hidden: 16, partials: 20, bands: 8}",
        "model.decoder={kind: harmonic, components: 20, hidden: 16, partials: 20, bands: 8}",
    ),
}  # fmt: skip


def levels(channels: np.ndarray) -> tuple[float, float]:
    """How much louder the left channel is, in dB, and the correlation of both."""
    covariance = channels.astype(np.float64) @ channels.astype(np.float64).T
    (left, both), (_, right) = covariance
    return 10 * np.log10(left / right), both / np.sqrt(left * right)


def panned(*places: float, n: int = 20000) -> np.ndarray:
    """Noises at places from 0, left, to 1, right."""
    draw = np.random.default_rng(0)
    sounds = [0.1 * draw.standard_normal(n) for _ in places]
    gains = [(np.cos(np.pi / 2 * p), np.sin(np.pi / 2 * p)) for p in places]
    return sum(np.outer(gain, sound) for gain, sound in zip(gains, sounds, strict=True)).astype(
        np.float32
    )


@pytest.mark.parametrize(
    "places", [(0.3,), (0.5,), (0.2, 0.7), (0.0, 1.0), (0.0,), (0.1, 0.5, 0.6)]
)
def test_channels_that_fell_apart_get_their_places_back(places):
    original = panned(*places)
    draw = np.random.default_rng(1)
    # what a model makes of each channel: as loud, with phases of its own
    made = np.stack([
        np.fft.irfft(np.abs(np.fft.rfft(one)) * np.exp(6.3j * draw.random(len(one) // 2 + 1)))
        for one in original
    ])  # fmt: skip
    again = mixed_like(Channels(list(made)), Channels(list(original)))[:]
    covariance = [x.astype(np.float64) @ x.T.astype(np.float64) for x in (original, again)]
    np.testing.assert_allclose(covariance[1], covariance[0], atol=1e-4 * covariance[0].max())
    # and nothing is done where nothing is to do
    same = Channels(list(original))
    np.testing.assert_allclose(mixed_like(same, same)[:], original, atol=1e-5)


def test_stereo_comes_back_as_stereo(tiny_run, tiny_notes, tmp_path):
    notes = [soundfile.read(f)[0][:30000] for f in sorted(tiny_notes.rglob("*.wav"))[:40:20]]
    one, other = (0.3 * note / np.abs(note).max() for note in notes)
    original = np.stack([0.9 * one + 0.3 * other, 0.4 * one + 0.5 * other])
    soundfile.write(tmp_path / "wide.wav", original.T, 16000, "FLOAT")
    soundfile.write(tmp_path / "left.wav", np.stack([one, 0 * one], 1), 16000, "FLOAT")
    files = [tmp_path / "wide.wav", tmp_path / "left.wav"]
    made = verbs.reconstruct(tiny_run, files, tmp_path / "out", pitch=60, format="float").files
    wide = soundfile.read(made[0])[0].T
    for got, wanted, step in zip(levels(wide), levels(original), (0.1, 0.01), strict=True):
        assert got == pytest.approx(wanted, abs=step)
    assert rms_db(wide) == pytest.approx(rms_db(original), abs=0.5)
    left = soundfile.read(made[1])[0].T
    assert left[0].any() and not left[1].any()


def test_all_channels_are_told_the_pitch_of_the_loudest(
    tiny_run, tiny_notes, tmp_path, monkeypatch
):
    one, other = (soundfile.read(f)[0][:16000] for f in sorted(tiny_notes.rglob("*.wav"))[:40:20])
    soundfile.write(tmp_path / "two.wav", np.stack([0.01 * one, 0.3 * other], 1), 16000, "FLOAT")
    pitches, encode = [], Synth.encode

    def heard(*given, **options):
        encoded = encode(*given, **options)
        pitches.append(encoded.pitch)
        return encoded

    monkeypatch.setattr(Synth, "encode", heard)
    guesses = iter([50, 62])
    monkeypatch.setattr(Synth, "guess_pitch", lambda *given: next(guesses))
    made = verbs.reconstruct(tiny_run, [tmp_path / "two.wav"], tmp_path / "out")
    assert pitches == [50, 50] and made.pitches == [50]


def test_of_a_long_sound_the_point_is_its_first_window(tiny_run, tmp_path, monkeypatch):
    """No verb that wants a point listens to all of a long file."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", 0.1 * rng.standard_normal(60 * 16000), 16000)
    feature, lengths, encode = Run.open(tiny_run).feature, [], Synth.encode

    def heard(self, samples, **options):
        lengths.append(len(samples))
        return encode(self, samples, **options)

    monkeypatch.setattr(Synth, "encode", heard)
    sound = tmp_path / "long.wav"
    verbs.morph(tiny_run, [sound, sound], tmp_path / "m", steps=2, pitch=60)
    verbs.generate(tiny_run, tmp_path / "g", n=1, near=sound, pitch=60)
    verbs.search(tiny_run, sound, k=1, by="latent", pitch=60)
    verbs.play(tiny_run, tmp_path / "p", sound=sound, pitches=[60])
    assert len(lengths) == 5 and max(lengths) < 1.2 * feature.span


def test_files_have_the_format_and_the_rate_that_is_asked_for(tiny_run, tiny_notes, tmp_path):
    sound = sorted(tiny_notes.rglob("*.wav"))[0]
    usual = verbs.reconstruct(tiny_run, [sound], tmp_path / "usual", pitch=60, format="float")
    made = verbs.reconstruct(
        tiny_run, [sound], tmp_path, pitch=60, format="flac", sample_rate=44100
    )
    info = soundfile.info(made.files[0])
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_24", 44100)
    seconds = [soundfile.info(f.files[0]).duration for f in (usual, made)]
    assert seconds[0] == pytest.approx(seconds[1], abs=1e-4)
    at = soundfile.read(usual.files[0])[0], soundfile.read(made.files[0])[0]
    spectra = [np.abs(np.fft.rfft(x)) / len(x) for x in at]
    upto = int(7000 * seconds[0])  # the same sound: bins of the same width, up to 7 kHz
    # the last samples of one rate lie between those of the other
    assert np.linalg.norm(spectra[0][:upto] - spectra[1][:upto]) < 0.01 * np.linalg.norm(spectra[0])
    new = verbs.generate(
        tiny_run, tmp_path / "new", n=1, pitch=60, format="wav24", sample_rate=48000
    )
    assert soundfile.info(new.files[0]).samplerate == 48000
    with pytest.raises(AudioError, match="rate should be 1000 to"):
        verbs.generate(tiny_run, tmp_path / "x", n=1, sample_rate=10)


@pytest.mark.parametrize("rate", RATES)
def test_pictures_become_the_same_sound_at_every_rate(rate):
    n = np.arange(rate)
    tone = sum(np.sin(2 * np.pi * k * 220 * n / rate) / k for k in range(1, 32))
    draw = np.random.default_rng(0).standard_normal(rate)
    sound = torch.tensor(0.1 * tone * np.exp(-n / rate) + 0.003 * draw, dtype=torch.float32)
    for feature in (LogMel(rate), LogMel(rate, n_fft=2048, hop=512, mels=128), Spectrogram(rate)):
        seen = feature.analyse_all(sound)
        made = feature.invert(seen.values, seen.level_db, length=rate)
        again = feature.analyse_all(made)
        far = (
            feature.to_db(again.values)
            + again.level_db
            - feature.to_db(seen.values)
            - seen.level_db
        )
        assert float(far.square().mean().sqrt()) < 2.5, feature.words
        assert rms_db(made.numpy()) == pytest.approx(rms_db(sound.numpy()), abs=0.2)
        told = float(feature.rms_db(seen.values, seen.level_db))
        assert told == pytest.approx(rms_db(sound.numpy()), abs=0.2)


@pytest.mark.parametrize("rate", RATES[1:])
@pytest.mark.parametrize("kind", TINY)
def test_models_are_trained_at_every_rate(kind, rate, tiny_corpus):
    recipe, *settings = TINY[kind]
    facts = verbs.estimate(
        recipe, tiny_corpus,
        settings=(*settings, f"feature.sample_rate={rate}", "train.batch=4", "train.epochs=1"),
    )  # fmt: skip
    assert facts["steps"] > 1 and 0.0 < facts["seconds"] < 100.0


def test_a_run_of_another_rate_makes_files_of_that_rate(tiny_corpus, tiny_notes, tmp_path):
    recipe, *settings = TINY["log_mel"]
    more = ("feature.sample_rate=44100", "train.batch=16", "train.epochs=1")
    run, sound = tmp_path / "run", sorted(tiny_notes.rglob("*.wav"))[0]
    verbs.train(recipe, tiny_corpus, run, settings=(*settings, *more))
    made = verbs.reconstruct(run, [sound], tmp_path / "r", pitch=60).files
    made += verbs.play(run, tmp_path / "p", sound=sound, pitches=[69]).files
    pack = verbs.export(run, tmp_path / "e", to="samples", sound=sound, keys="C4-C4")
    sounds = [*made, *pack.folder.rglob("*.wav")]
    assert len(sounds) >= 3
    assert [soundfile.info(path).samplerate for path in sounds] == [44100] * len(sounds)
    there, back = soundfile.info(sound), soundfile.info(sounds[0])
    assert back.frames == round(there.frames * 44100 / there.samplerate)
