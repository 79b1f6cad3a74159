"""Harmonics and noise: in tune, without aliases, noise in its band, and a run that plays."""

import math

import numpy as np
import pytest
import torch
from partials import strongest

from timbrespace import verbs
from timbrespace.errors import RecipeError
from timbrespace.explorer.session import Session
from timbrespace.features.waveform import Waveform
from timbrespace.models.curves import amplitudes_of, analysed, decibels
from timbrespace.models.harmonic import (
    HarmonicDecoder,
    HarmonicEncoder,
    MelEncoder,
    filtered_noise,
    gliding_harmonics,
    harmonics,
    hertz,
    noise_bands,
    partials_of,
)
from timbrespace.models.vocabulary import MIDI
from timbrespace.recipe import build, parse
from timbrespace.render.synth import Synth
from timbrespace.runs import Run

RATE, HOP = 16000, 256


def sounding(pitch: float, amplitudes: torch.Tensor, inharmonicity: float = 0.0) -> torch.Tensor:
    """Harmonics (N,) of a pitch with amplitudes (K, T + 1)."""
    spread = torch.tensor([inharmonicity])
    frequencies = partials_of(hertz(torch.tensor([pitch])), len(amplitudes), spread)
    return harmonics(amplitudes[None], frequencies, hop=HOP, sample_rate=RATE)[0]


def decoder(**settings) -> HarmonicDecoder:
    torch.manual_seed(0)
    given = {
        "sample_rate": RATE,
        "partials": 12,
        "bands": 9,
        "components": 20,
        "hidden": 16,
        **settings,
    }
    net = HarmonicDecoder((1, 16 * HOP), 4, 3, **given).eval()
    pictures = torch.rand(40, 1, *net.shape)  # about -50 dB
    net.curves.components.fit(pictures)
    return net


@pytest.mark.parametrize("pitch", [24, 45.5, 60, 84.25, 108])
def test_a_pure_tone_is_in_tune_within_a_cent(pitch):
    sound = sounding(pitch, torch.ones(1, 129))
    wanted = 440.0 * 2.0 ** ((pitch - 69) / 12)
    assert abs(1200 * math.log2(strongest(sound.numpy(), RATE) / wanted)) < 0.1
    # and in phase to the last sample: frames join without a seam
    ideal = torch.sin(2 * torch.pi * wanted / RATE * torch.arange(len(sound)).double())
    assert (sound - ideal).abs().max() < 1e-4


def test_amplitudes_go_in_straight_lines():
    curve = torch.tensor([[0.0, 1.0, 0.5, 0.5]])
    ramp = np.interp(np.arange(3 * HOP) / HOP, [0, 1, 2, 3], curve[0].numpy())
    np.testing.assert_allclose(
        sounding(69, curve), ramp * np.sin(2 * np.pi * 440 / RATE * np.arange(3 * HOP)), atol=1e-4
    )


@pytest.mark.parametrize("glides", [False, True])
def test_no_partial_comes_back_from_above_half_the_rate(glides):
    pitch = 100.0  # 2637 Hz: three partials fit below 8 kHz, the fourth would come back at 5453 Hz
    amplitudes = torch.ones(20, 129)
    if glides:
        held = hertz(torch.full((1, 128 * HOP), pitch))
        ratios = torch.arange(1.0, 21.0)[None]
        sound = gliding_harmonics(amplitudes[None], held, ratios, sample_rate=RATE)[0]
    else:
        sound = sounding(pitch, amplitudes)
    spectrum = np.abs(np.fft.rfft(sound.numpy() * np.blackman(len(sound)))) ** 2
    frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
    f0 = float(hertz(torch.tensor(pitch)))
    near = np.min(np.abs(frequencies[:, None] - f0 * np.arange(1, 4)), 1) < 30
    assert 10 * np.log10(spectrum[~near].sum() / spectrum.sum()) < -80


def test_a_stiff_string_spreads_its_partials_and_keeps_its_pitch():
    frequencies = partials_of(torch.tensor([100.0]), 10, torch.tensor([0.001]))[0]
    assert float(frequencies[0]) == pytest.approx(100.0)
    assert float(frequencies[9]) == pytest.approx(1000 * math.sqrt(1.1 / 1.001))
    sound = sounding(60, torch.cat([torch.zeros(9, 129), torch.ones(1, 129)]), 0.001)
    assert strongest(sound.numpy(), RATE) == pytest.approx(
        261.6256 * 10 * math.sqrt(1.1 / 1.001), rel=1e-5
    )


def test_a_glide_that_stands_still_is_the_fast_bank():
    amplitudes = torch.rand(2, 7, 17)
    pitch = torch.tensor([50.0, 71.3])
    stiff = torch.tensor([0.0, 0.004])
    frequencies = partials_of(hertz(pitch), 7, stiff)
    fast = harmonics(amplitudes, frequencies, hop=HOP, sample_rate=RATE)
    held = hertz(pitch)[:, None].expand(-1, fast.shape[1])
    ratios = partials_of(torch.ones(2), 7, stiff)
    slow = gliding_harmonics(amplitudes, held, ratios, sample_rate=RATE)
    torch.testing.assert_close(slow, fast, atol=1e-4, rtol=0)


def test_silence_is_silence():
    assert not sounding(60, torch.zeros(5, 9)).any()
    assert not filtered_noise(torch.zeros(1, 9, 9), noise_bands(8, HOP, 9)).any()


def test_noise_lands_in_its_band():
    noise, gains = noise_bands(64, HOP, 9), torch.zeros(1, 9, 65)
    gains[0, 3] = 1.0  # about 3 kHz, from 2 to 4 kHz
    power = np.abs(np.fft.rfft(filtered_noise(gains, noise)[0].numpy())) ** 2
    inside = np.abs(np.fft.rfftfreq(64 * HOP, 1 / RATE) - 3000) < 1000
    assert power[inside].sum() / power.sum() > 0.9999
    white = filtered_noise(torch.ones(1, 9, 65), noise)
    assert float(white.square().mean().sqrt()) == pytest.approx(1.0, abs=0.02)


def test_the_decoder_is_a_function_that_learns_everywhere():
    net = decoder(stiff=True)
    for last in list(net.curves.further.parameters())[-2:]:
        torch.nn.init.normal_(last)  # it starts silent
    z, told, pitch = torch.randn(3, 4), torch.randn(3, 3), torch.tensor([40.0, 60.5, 80.0])
    sound = net(z, told, pitch)
    assert sound.shape == (3, 1, 1, 16 * HOP) and sound.abs().max() <= 1.0
    assert torch.equal(sound, net(z, told, pitch))
    torch.testing.assert_close(sound[1:2], net(z[1:2], told[1:2], pitch[1:2]), atol=1e-5, rtol=0)
    sound.square().sum().backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_an_unknown_pitch_is_noise_alone():
    net = decoder(sample_rate=48000)  # at which no number of a pitch lies above half the rate
    with torch.no_grad():
        z, told = torch.randn(1, 4), torch.randn(1, 3)
        unknown = net(z, told, torch.tensor([MIDI]))
        gains = net.controls(z, told)[1]
    noise = filtered_noise(gains, net.noise)
    torch.testing.assert_close(unknown[0, 0], noise / noise.abs().max().clamp_min(1.0))


def test_a_glide_follows_its_pitches_as_long_as_it_likes():
    n = torch.arange(20_000).double()
    hz = 200.0 + 0.02 * n  # 200 to 600 Hz; the phase is its sum
    one = torch.ones(1, 1, dtype=torch.float64)
    sound = gliding_harmonics(torch.ones(1, 1, 9), hz[None], one, sample_rate=RATE)[0]
    ideal = torch.sin(2 * torch.pi * (200.0 * n + 0.01 * n * (n - 1)) / RATE)
    assert (sound - ideal).abs().max() < 1e-4


def test_a_gliding_sound_is_the_same_in_any_blocks(monkeypatch):
    net, frames = decoder(stiff=True), 60
    z, told, pitch = torch.randn(1, 4), torch.randn(1, 3), torch.tensor([56.0])
    curves = [torch.rand(1, 12, frames + 1), torch.rand(1, 9, frames + 1)]
    hz = hertz(torch.linspace(50, 62, frames * HOP))[None]
    with torch.no_grad():
        whole = torch.cat(list(net.parts([curves], z, told, pitch, hz)), 1)
        monkeypatch.setattr("timbrespace.models.harmonic.BLOCK", 7)
        parts = list(net.parts([curves], z, told, pitch, hz))
    assert len(parts) == 9 and whole.shape == (1, frames * HOP)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-4, rtol=0)


def test_the_encoder_sees_the_log_mel_picture():
    encoder = MelEncoder((1, 5000), 2, sample_rate=RATE, mels=16, channels=(4, 8))
    seen = []
    encoder.net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.randn(2, 1, 1, 5000)
    assert encoder(x, torch.zeros(2, 2)).shape == (2, encoder.width)
    assert seen[0].shape == (2, 1, 16, 20)  # 20 frames of 256 samples, which halve twice
    torch.testing.assert_close(seen[0][:, 0], encoder.feature.analyse(x[:, 0, 0]).values)


@pytest.mark.parametrize("pitch", [33, 52, 60.5, 84])
def test_the_curves_of_a_sound_are_found_again(pitch):
    """Within 1 dB for harmonics that lie clear of the noise, within 1.5 dB on average for noise."""
    torch.manual_seed(0)
    frames, hz = 64, hertz(torch.tensor([float(pitch)]))
    loud = torch.zeros(1, 30, frames + 1)
    loud[:, ::3] = 0.05 * torch.linspace(1.0, 0.3, frames + 1)
    gains = torch.full((1, 33, frames + 1), 1e-4)
    gains[:, 16:] = 3e-3
    tone = harmonics(loud, partials_of(hz, 30, torch.zeros(1)), hop=HOP, sample_rate=RATE)
    x = tone + filtered_noise(gains, noise_bands(frames, HOP, 33))
    found = analysed(x, hz, sample_rate=RATE, hop=HOP, partials=30, bands=33)[0, :, 4:-4]
    heard = [k for k in range(0, 30, 3) if (k + 1) * float(hz) < 7900]
    db = 20 * (found[heard] / loud[0, heard, 4:-4]).log10()
    assert db.abs().max() < 1.0
    noise = 20 * (found[30 + 18 : 30 + 32] / 3e-3).log10()
    assert noise.mean().abs() < 1.5


def test_of_an_unknown_pitch_all_is_noise():
    noise = filtered_noise(torch.full((1, 33, 65), 0.1), noise_bands(64, HOP, 33))
    found = analysed(noise, torch.zeros(1), sample_rate=RATE, hop=HOP, partials=5, bands=33)[0]
    assert not found[:5].any()
    assert float((20 * (found[5:, 2:-2] / 0.1).log10()).mean()) == pytest.approx(0.0, abs=0.7)


def test_curves_are_pictures_and_back():
    amplitudes = torch.tensor([0.0, 1e-4, 0.1, 1.0, 2.0])
    cells = decibels(amplitudes)
    torch.testing.assert_close(cells[[0, 3]], torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(amplitudes_of(cells), amplitudes, atol=1e-7, rtol=1e-4)


TINY = """
name: h
feature: {kind: waveform, samples: 8192}
model:
  encoder: {kind: harmonic, components: 20, hidden: 16, partials: 20, bands: 8}
  decoder: {kind: harmonic, components: 20, hidden: 16, partials: 20, bands: 8}
  bottleneck: {latent: 4}
  condition: {labels: {pitch: {kind: continuous}}, size: 8}
objective: {reconstruction: multi_resolution_stft, stft: {sizes: [512]}, beta: 0.001}
train: {epochs: 1, batch: 16, precision: float32}
"""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.condition={labels: [velocity]}", "must be told the pitch"),
        ("model.condition={labels: {pitch: {to: encoder}}}", "must be told the pitch"),
        ("model.condition={labels: {pitch: {to: decoder}}}", "tells the encoder none"),
        ("feature.samples=8200", "a multiple of that; use 8192"),
        ("feature={kind: log_mel}", "wants samples"),
        ("model.encoder.partials=18", "model.encoder.partials is 18 and model.decoder.partials 20"),
        ("model.encoder={kind: mel2d, channels: [4, 8], mels: 18}", "18 is not divisible by 4"),
        ("model.decoder.partial=3", "did you mean partials?"),
    ],
)
def test_recipes_that_cannot_fit_are_refused(setting, words):
    with pytest.raises(RecipeError, match=words):
        parse(TINY, settings=(setting,))


def test_a_recipe_builds_and_a_fraction_of_a_pitch_sounds():
    recipe = parse(TINY)
    assert parse(recipe.to_yaml()) == recipe
    model = build(recipe).eval()
    x = torch.zeros(2, 1, *recipe.feature.shape)
    assert model(x, {"pitch": torch.tensor([60, MIDI])}, torch.zeros(2, 4)).x.shape == x.shape
    sound = [model.decode(torch.zeros(1, 4), {"pitch": torch.tensor([p])}) for p in (60.0, 60.5)]
    assert not torch.allclose(*sound)


def test_a_harmonic_run_plays(tiny_notes, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    verbs.prepare(tiny_notes, tmp_path / "corpus", recipe=tmp_path / "tiny.yaml", workers=1)
    verbs.train(tmp_path / "tiny.yaml", tmp_path / "corpus", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    measured = verbs.evaluate(run.path)["distortion"]["rmse_db"]
    assert run.history()[-1]["valid_rmse_db"] == pytest.approx(measured, rel=0.05)
    verbs.space(run.path, umap=False)
    files = sorted(tiny_notes.rglob("*.wav"))[:2]
    assert verbs.reconstruct(run.path, files, tmp_path / "again", pitch=60).files
    assert len(verbs.morph(run.path, files, tmp_path / "way", steps=3, pitch=60.5).files) == 3
    assert len(verbs.generate(run.path, tmp_path / "new", n=2, pitch=50).files) == 2
    session = Session.open(run.path)
    assert session.point("pca", 0.0, 0.0).clip.picture.max() > 0


def player() -> Synth:
    """It plays 20 harmonics of one loudness, and no noise."""
    synth = Synth(build(parse(TINY)), Waveform(samples=8192))
    for net in (synth.model.encoder.net, synth.model.decoder.net):
        assert isinstance(net, HarmonicEncoder | HarmonicDecoder)
        mean = net.curves.components.mean.view(net.shape)
        mean[:20], mean[20:] = 0.0, -1.0
    return synth


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_a_path_glides_between_notes_and_no_wave_cancels_another(seconds):
    synth = player()
    way = np.zeros((2, synth.model.latent))
    ends = np.array([57.0, 64.0])
    made = synth.decode_path(way, np.array([0.0, seconds]), seconds=seconds, pitch=ends)
    level = np.sqrt(np.square(made[: len(made) // 800 * 800]).reshape(-1, 800).mean(1))[1:-2]
    assert 20 * np.log10(level.max() / level.min()) < 0.5
    hz = 440.0 * 2.0 ** ((np.interp([0.25, 0.5, 0.75], [0, 1], ends) - 69) / 12)
    for share, wanted in zip((0.25, 0.5, 0.75), hz, strict=True):
        part = made[round(share * len(made)) - 400 :][:800] * np.hanning(800)
        found = np.abs(np.fft.rfft(part, 1 << 16))[: round(1.5 * wanted * (1 << 16) / RATE)]
        assert 1200 * abs(np.log2(found.argmax() * RATE / (1 << 16) / wanted)) < 15
    held = synth.decode_path(way, np.array([0.0, seconds]), seconds=seconds, pitch=60)
    if seconds < 0.5:
        once = synth.decode(way[:1], pitch=60, seconds=seconds)[0]
        np.testing.assert_allclose(held[40:-100], once[40:-100], atol=2e-3)


def test_the_pitch_of_a_wave_is_found_whatever_its_phase():
    """Analysis by synthesis compares what is heard: the same harmonics, each a quarter turn on."""
    synth = player()
    n = torch.arange(8192) / RATE
    hz = float(hertz(torch.tensor(64.0)))
    wave = torch.stack([torch.cos(2 * torch.pi * k * hz * n) for k in range(1, 20)]).sum(0)
    assert synth.guess_pitch(synth.feature.analyse(wave).values) == 64
