"""Raw waveforms: an exact picture, networks that keep every sample, errors that do not flatter."""

import json

import numpy as np
import pytest
import soundfile
import torch

from timbrespace import verbs
from timbrespace.errors import AudioError, RecipeError
from timbrespace.explorer.session import Session
from timbrespace.features.catalogue import feature_of
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.features.waveform import Waveform, si_sdr_db
from timbrespace.models.bottlenecks import Gaussian
from timbrespace.models.waveform import Conv1dDecoder, Conv1dEncoder
from timbrespace.recipe import build, parse
from timbrespace.runs import Run

RATE = 16000


def tone(hertz: float, amplitude: float = 0.5, n: int = RATE, phase: float = 0.0) -> torch.Tensor:
    return amplitude * torch.sin(2 * torch.pi * hertz * torch.arange(n) / RATE + phase)


@pytest.mark.parametrize("length", [1, 5000, 16000, 20000])
def test_the_picture_is_the_sound(length: int) -> None:
    feature = Waveform()
    samples = torch.from_numpy(np.random.default_rng(0).uniform(-0.3, 0.3, (2, length))).float()
    picture = feature.analyse(samples)
    assert picture.values.shape == (2, 1, 16000) and float(picture.values.abs().max()) == 1.0
    kept = min(length, 16000)
    back = feature.invert(picture.values, picture.level_db, length=kept)
    torch.testing.assert_close(back, samples[:, :kept], atol=1e-6, rtol=1e-5)


def test_level_is_the_peak_and_silence_stays_silence() -> None:
    feature = Waveform()
    assert float(feature.analyse(tone(440.0)).level_db) == pytest.approx(-6.02, abs=0.01)
    silent = feature.analyse(torch.zeros(500))
    assert not silent.values.any() and float(silent.level_db) == -120.0
    assert not feature.invert(silent.values, silent.level_db).any()
    one = feature.analyse(tone(440.0))
    # the RMS of a sine lies 3.01 dB below its peak
    assert float(feature.rms_db(one.values, one.level_db)) == pytest.approx(-9.03, abs=0.01)


def test_what_cannot_be_a_wave_is_refused() -> None:
    with pytest.raises(AudioError, match="NaN or infinite"):
        Waveform().analyse(torch.tensor([0.0, float("nan")]))
    with pytest.raises(AudioError, match="at least one sample"):
        Waveform().analyse(torch.zeros(0))
    with pytest.raises(RecipeError, match="did you mean samples"):
        feature_of({"kind": "waveform", "sample": 16000})
    with pytest.raises(RecipeError, match="one of log_mel"):
        feature_of({"kind": "wave"})


def test_windows_join_to_the_whole_sound() -> None:
    feature = Waveform(samples=1000)
    samples = tone(200.0, n=3777)
    padded = torch.nn.functional.pad(samples, (0, 1000))
    picture = feature.analyse(padded.unfold(0, 1000, feature.step))
    joined = feature.join([picture], length=3777)
    torch.testing.assert_close(joined, samples, atol=1e-5, rtol=0)
    joined = feature.join(feature.windows(samples), length=3777)
    torch.testing.assert_close(joined, samples, atol=1e-5, rtol=0)


def test_windows_that_disagree_fade_at_even_power() -> None:
    feature = Waveform(samples=4000)
    noise = torch.randn(160, 4000, generator=torch.Generator().manual_seed(0))
    picture = feature.analyse(noise)
    joined = feature.join([picture], length=20_000)
    # a plain mean of 32 windows that have nothing in common is 13 dB softer than they are
    levels = 10 * joined[2000:18_000].reshape(16, 1000).square().mean(1).log10()
    assert float(levels.abs().max()) < 0.5


def test_error_in_decibels_hears_level_and_not_phase() -> None:
    feature = Waveform()
    notes = [tone(220.0 * k, 1.0 / k, phase=float(k * k)) for k in range(1, 30)]
    original = feature.analyse(torch.stack(notes).sum(0).repeat(4, 1)).values

    def error_db(made: torch.Tensor) -> torch.Tensor:
        one, other = feature.compared(original, made)
        return (other - one).square().mean((1, 2)).sqrt() * feature.yardstick.db_per_unit

    one = original[0, 0]
    later = one.roll(50)
    made = torch.stack([one, later, 0.5 * one, torch.zeros_like(one)])[:, None]
    exact, phase, soft, silent = error_db(made).tolist()
    assert exact == 0.0 and phase < 1.5
    # half the amplitude is 6 dB less, in every cell that is not at the floor
    assert phase < soft < 6.03 and silent > 20.0
    assert feature.compared(original, 4.0 * original)[1].max() > 1.0  # too loud is not clipped
    made[1, 0, 7] = float("nan")  # a model that diverged must not look good
    assert error_db(made).isnan().tolist() == [False, True, False, False]


def test_si_sdr_knows_its_three_cases() -> None:
    original = torch.randn(8, RATE, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(8, RATE, generator=torch.Generator().manual_seed(1))
    assert (si_sdr_db(original, 0.3 * original) > 60.0).all()  # the level does not matter
    assert si_sdr_db(original, torch.zeros(8, RATE)).tolist() == [-100.0] * 8
    # as much orthogonal noise as sound is 0 dB
    square = original.square().sum(-1, keepdim=True)
    rest = noise - (noise * original).sum(-1, keepdim=True) / square * original
    rest = rest * (square / rest.square().sum(-1, keepdim=True)).sqrt()
    torch.testing.assert_close(
        si_sdr_db(original, original + rest), torch.zeros(8), atol=0.01, rtol=0
    )
    # noise lies near -10 log10 n, far below anything learnt: -42 dB for a second
    assert -55.0 < float(si_sdr_db(original, noise).mean()) < -35.0


@pytest.mark.parametrize(
    ("samples", "strides"),
    [(16000, (5, 5, 4, 4)), (22050, (7, 7, 5, 5)), (44100, (7, 7, 6, 6)), (96, (3, 2, 2, 1))],
)
def test_networks_give_exactly_the_samples_they_took(samples: int, strides: tuple) -> None:
    settings = {"channels": (4, 4, 8, 8), "strides": strides, "residual": 1}
    encoder = Conv1dEncoder((1, samples), 3, **settings)
    decoder = Conv1dDecoder((1, samples), 5, 3, film=True, **settings)
    condition = torch.randn(2, 3)
    assert encoder(torch.randn(2, 1, 1, samples), condition).shape == (2, encoder.width)
    made = decoder(torch.randn(2, 5), condition)
    assert made.shape == (2, 1, 1, samples) and made.abs().max() <= 1.0
    # every sample is reached: none is padding that nobody learns
    assert made.std(0).min() > 0.0


def test_every_level_hears_the_condition() -> None:
    decoder = Conv1dDecoder((1, 64), 2, 3, channels=(4, 4), strides=(2, 2), film=True)
    entrance = next(decoder.entrance.children())
    assert isinstance(entrance, torch.nn.Linear)
    with torch.no_grad():
        entrance.weight[:, 2:] = 0.0  # deaf at the entrance
    z = torch.zeros(1, 2)
    assert not torch.equal(decoder(z, torch.zeros(1, 3)), decoder(z, torch.ones(1, 3)))


def test_the_kl_of_normalised_means_is_that_of_what_is_sampled() -> None:
    """E_q[log q(z) - log p(z)] over drawn z equals what the latent says that it costs."""
    torch.manual_seed(0)
    bottleneck = Gaussian(6, latent=3, spread=0.7).train()
    with torch.no_grad():
        bottleneck.centre.data += torch.tensor([0.0, 0.5, -1.0])
        bottleneck.logvar.weight *= 0.1
        latent = bottleneck(5.0 * torch.randn(64, 6) + 3.0)
        total, draws = torch.zeros(64, 3), 4000
        q = torch.distributions.Normal(latent.mean, torch.exp(0.5 * latent.logvar))
        p = torch.distributions.Normal(0.0, 1.0)
        for _ in range(draws):
            z = latent.sample(torch.randn(64, 3))
            total += q.log_prob(z) - p.log_prob(z)
    said = latent.nats(z).mean(0)
    torch.testing.assert_close((total / draws).mean(0), said, atol=0.01, rtol=0.01)
    # the floor of BN-VAE: (spread^2 + centre^2) / 2 nats on average over the batch
    assert (said >= 0.5 * (0.7**2 + bottleneck.centre.detach() ** 2) - 1e-4).all()
    torch.testing.assert_close(
        latent.mean.std(0, unbiased=False), torch.full((3,), 0.7), atol=1e-3, rtol=0
    )


def test_an_encoder_that_shrinks_its_numbers_cannot_empty_normalised_means() -> None:
    bottleneck = Gaussian(6, latent=3, spread=0.7).train()
    latent = bottleneck(3.0 + 1e-4 * torch.randn(64, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(
        latent.mean.std(0, unbiased=False), torch.full((3,), 0.7), atol=1e-2, rtol=0
    )


WAVE = """
name: w
feature: {kind: waveform, samples: 1600}
model:
  encoder: {kind: conv1d, channels: [4, 8], strides: [5, 4]}
  decoder: {kind: conv1d, channels: [4, 8], strides: [5, 4]}
  bottleneck: {latent: 4}
objective: {beta: 1.0}
"""


def test_networks_of_two_sides_take_spectrograms() -> None:
    recipe = parse(
        "name: s\nfeature: {kind: spectrogram, n_fft: 128, hop: 32, frames: 32}\nobjective: {beta: 1}"
    )
    x = torch.zeros(1, 1, 64, 32)
    assert build(recipe)(x, {}, torch.zeros(1, 32)).x.shape == x.shape
    with pytest.raises(RecipeError, match="half of feature.n_fft 120 and"):
        parse(recipe.to_yaml(), settings=("feature.n_fft=120",))


def test_a_recipe_for_waveforms_builds() -> None:
    recipe = parse(WAVE)
    x = torch.zeros(2, 1, *recipe.feature.shape)
    model = build(recipe)
    assert model(x, {}, torch.zeros(2, 4)).x.shape == x.shape
    assert parse(recipe.to_yaml()) == recipe


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("feature.samples=1601", "does not divide feature.samples 1601 = 1601"),
        ("model.encoder.strides=[5, 4, 2]", "2 channels and 3 strides"),
        ("model.encoder={kind: conv2d}", "one line; use kind: conv1d"),
        ("feature={kind: log_mel}", "conv1d wants samples"),
        ("objective.loud=2.0", "objective.loud works on decibels"),
        ("train.augment.tilt_db=3.0", "train.augment.tilt_db works on decibels"),
        ("feature.mels=80", "feature.mels is no setting"),
        ("feature.kind=wave", "feature.kind should be one of"),
    ],
)
def test_recipes_that_cannot_fit_are_refused(setting: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse(WAVE, settings=(setting,))


def test_a_spectrogram_keeps_every_frequency_and_comes_back() -> None:
    feature = feature_of({"kind": "spectrogram", "n_fft": 512, "hop": 128, "frames": 100})
    assert isinstance(feature, Spectrogram) and feature.shape == (256, 100)
    samples = torch.stack([tone(1000.0, 0.4, 12800), tone(3125.0, 0.1, 12800)])
    picture = feature.analyse(samples)
    # 1000 Hz is row 32 of 31.25 Hz each, whatever the level
    assert picture.values[0, :, 50].argmax() == 32
    assert float(picture.level_db[0] - picture.level_db[1]) == pytest.approx(12.04, abs=0.2)
    torch.testing.assert_close(
        feature.rms_db(picture.values, picture.level_db),
        20 * samples.square().mean(1).sqrt().log10(), atol=0.2, rtol=0,
    )  # fmt: skip
    again = feature.analyse(feature.invert(picture.values, picture.level_db)).values
    error = (again - picture.values).square().mean().sqrt() * feature.db_per_unit
    assert float(error) < 6.0
    assert feature.from_settings(feature.settings()) == feature


@pytest.mark.parametrize("kind", ["waveform", "spectrogram", "log_mel"])
def test_every_feature_joins_windows_at_their_level(kind: str) -> None:
    feature = feature_of({"kind": kind})
    samples = tone(440.0, 0.3, 40_000)
    joined = feature.join(feature.windows(samples), length=40_000)
    assert joined.shape == samples.shape
    rms = 20 * joined[8000:32000].square().mean().sqrt().log10()
    assert float(rms) == pytest.approx(20 * np.log10(0.3 / 2**0.5), abs=0.7)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """60 sounds of 0.2 s, sines and squares, in a folder each."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for number in range(60):
        wave = np.sin(2 * np.pi * rng.uniform(150, 900) * np.arange(3200) / RATE)
        kind, wave = ("sine", wave) if number % 2 else ("square", np.sign(wave))
        (folder / kind).mkdir(exist_ok=True)
        level = 10 ** (rng.uniform(-34, -24) / 20)  # soft: what would clip is lowered
        soundfile.write(folder / kind / f"{number:02}.wav", level * wave, RATE)
    return folder


@pytest.fixture(scope="module")
def wave_run(sounds, tmp_path_factory):
    """A waveform model after two epochs, with space and evaluation."""
    folder = tmp_path_factory.mktemp("wave")
    recipe = folder / "tiny.yaml"
    recipe.write_text(WAVE + "train: {epochs: 2, batch: 8, precision: float32}\n", encoding="utf-8")
    corpus = verbs.prepare(sounds, folder / "corpus", recipe=recipe, cut="chunks", workers=0)
    assert corpus.features(feature_of({"kind": "waveform", "samples": 1600})).values.shape[0] > 60
    assert verbs.estimate(recipe, folder / "corpus")["seconds"] > 0.0
    verbs.train(recipe, folder / "corpus", folder / "run")
    verbs.space(folder / "run", umap=False)
    verbs.evaluate(folder / "run")
    return folder / "run"


def test_a_waveform_run_is_measured_beside_what_knows_nothing(wave_run):
    metrics = json.loads((wave_run / "evaluation" / "metrics.json").read_text())
    assert metrics["ceilings"]["inversion_rmse_db"] < 0.1  # the way to sound and back is exact
    assert metrics["floors"]["mean_sound_rmse_db"] > 0.0 and metrics["verdict"]
    waves = metrics["waves"]
    assert waves["silence"]["cosine"] == 0.0 and waves["silence"]["si_sdr_db"] == -100.0
    # as loud as the sound and unlike it: twice the power of the difference
    assert waves["noise"]["mse"] == pytest.approx(2 * waves["silence"]["mse"], rel=0.1)
    assert abs(waves["noise"]["cosine"]) < 0.1
    for name, (low, high) in waves["model_intervals"].items():
        assert low < waves["model"][name] < high
    last = Run.open(wave_run).history()[-1]
    assert np.isfinite(last["valid_si_sdr_db"]) and last["valid_rmse_db"] > 0.0
    heard = metrics["heard"]  # under the names that every feature has
    assert heard["inversion"]["mr_stft"] < 0.1 < heard["model"]["mr_stft"]
    assert heard["model"]["mr_stft"] < heard["noise"]["mr_stft"] and "mr_stft" not in waves["model"]
    page = (wave_run / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert "SI-SDR" in page and "MR-STFT" in page


def test_a_waveform_run_makes_sound(wave_run, sounds, tmp_path):
    files = sorted(sounds.glob("*/*.wav"))[:2]
    made = verbs.reconstruct(wave_run, files, tmp_path / "again").files
    for source, result in zip(files, made, strict=True):
        before, after = (soundfile.read(file)[0] for file in (source, result))
        assert len(after) == len(before)
        change = 10 * np.log10(np.mean(after**2) / np.mean(before**2))
        assert abs(change) < 1.0
    assert len(verbs.morph(wave_run, files, tmp_path / "way", steps=3).files) == 3
    assert len(verbs.generate(wave_run, tmp_path / "new", n=2).files) == 2


def test_the_explorer_shows_a_waveform_in_decibels(wave_run):
    session = Session.open(wave_run)
    told, row = session.describe(), session.map_data()["rows"][0]
    for clip in (session.original(row), session.reconstruction(row)):
        assert clip.picture.shape == (told["mels"], told["frames"]) == (80, 7)
        assert clip.picture.max() > clip.picture.min() and clip.seconds == pytest.approx(0.1)
    assert session.point("pca", 0.0, 0.0).clip.picture.shape == (80, 7)
