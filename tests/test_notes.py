"""The same timbre, another note: in tune at any pitch, as long as asked for, attack and release kept."""

import json

import numpy as np
import pytest
import soundfile
import torch
from partials import strongest

from timbrespace import verbs
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.features.log_mel import LogMel
from timbrespace.features.waveform import Waveform
from timbrespace.models import harmonic
from timbrespace.models.harmonic import HarmonicDecoder
from timbrespace.recipe import build, load, parse
from timbrespace.render import notes
from timbrespace.render.synth import Encoded, Synth

RATE, HOP, FRAMES = 16000, 256, 128
SECONDS = FRAMES * HOP / RATE
ATTACK, RELEASE = 0.2, 1.5  # seconds at which the note holds, and begins to die away
HARMONIC = """
name: h
feature: {kind: waveform, samples: 32768}
model:
  encoder: {kind: harmonic, components: 20, hidden: 16, partials: 30, bands: 8}
  decoder: {kind: harmonic, components: 20, hidden: 16, partials: 30, bands: 8}
  bottleneck: {latent: 4}
  condition: {labels: {pitch: {kind: continuous}}, size: 8}
objective: {reconstruction: multi_resolution_stft, stft: {sizes: [512]}, beta: 0.001}
train: {epochs: 1, batch: 16}
"""


def loudness(seconds: np.ndarray) -> np.ndarray:
    """A note: up in 0.2 s from -40 dB, held, down by 150 dB per second from 1.5 s on."""
    rise = np.minimum(0.0, -40.0 * (1.0 - seconds / ATTACK))
    return rise - 150.0 * np.maximum(0.0, seconds - RELEASE)


def held_note(decays: bool = False) -> Synth:
    """A synth of a harmonic model that draws this note at every pitch."""
    synth = Synth(build(parse(HARMONIC)), Waveform(samples=32768))
    net = synth.model.decoder.net
    assert isinstance(net, HarmonicDecoder)
    level = loudness(np.arange(FRAMES + 1) * HOP / RATE)
    if decays:
        level = -10.0 * np.arange(FRAMES + 1) * HOP / RATE
    curve = torch.tensor(10.0 ** (level / 20.0), dtype=torch.float32)
    amplitudes = 0.1 * curve.expand(1, 30, -1) / torch.arange(1, 31)[:, None]
    net.controls = lambda z, condition: (
        amplitudes.expand(len(z), -1, -1),
        0.001 * curve.expand(len(z), 8, -1),
    )
    return synth


def envelope(sound: np.ndarray) -> np.ndarray:
    """dB of every 256 samples, relative to the middle of the sound."""
    parts = sound[: len(sound) // HOP * HOP].reshape(-1, HOP).astype(np.float64)
    level = 10 * np.log10(np.square(parts).mean(1) + 1e-14)
    return level - np.median(level[len(level) // 3 : len(level) // 2])


@pytest.mark.parametrize("pitch", [36, 45.5, 60, 66.25, 81.9])
def test_a_note_is_in_tune_and_as_long_as_asked_for(pitch):
    synth = held_note()
    for seconds in (0.9, 2.048, 5.0):
        sound = synth.play(np.zeros(4, np.float32), seconds=seconds, pitch=pitch)
        assert len(sound) == round(seconds * RATE)
        held = sound[round(0.35 * RATE) : round((seconds - 0.5) * RATE)]
        wanted = 440.0 * 2.0 ** ((pitch - 69) / 12)
        if seconds > 1.0:
            assert abs(1200 * np.log2(strongest(held, RATE) / wanted)) < 2.0
        level = envelope(sound)
        assert level[-1] < -35.0  # it has died away when it ends
        # and did so in the last of its hops, not long before
        assert np.flatnonzero(level > -55.0)[-1] >= len(level) - 3


def test_attack_and_release_last_as_long_in_a_longer_note():
    synth = held_note()

    def times(seconds: float) -> tuple[int, int, int]:
        level = envelope(synth.play(np.zeros(4, np.float32), seconds=seconds, pitch=60))
        up = np.flatnonzero(level > -3.0)[0] - np.flatnonzero(level > -30.0)[0]
        down = np.flatnonzero(level > -30.0)[-1] - np.flatnonzero(level > -3.0)[-1]
        return int(up), int(down), int((level > -3.0).sum())

    own = envelope(synth.play(np.zeros(4, np.float32), pitch=60))
    assert np.flatnonzero(own > -30.0)[0] in (2, 3, 4)  # the attack as it is drawn
    short, long = times(1.2), times(6.0)
    assert abs(short[0] - long[0]) <= 1 and abs(short[1] - long[1]) <= 1
    assert short[1] == pytest.approx(27.0 / 150.0 * RATE / HOP, abs=1.5)
    assert long[2] - short[2] == pytest.approx(4.8 * RATE / HOP, abs=2)


def test_a_note_that_its_window_cuts_fades_and_a_too_short_one_is_refused():
    sound = held_note(decays=True).play(np.zeros(4, np.float32), seconds=4.0, pitch=60)
    level = envelope(sound)
    assert level[-1] < level[-9] - 20.0  # the last 100 ms
    assert level[-9] == pytest.approx(level[len(level) // 2] - 10.0, abs=1.5)  # half as fast
    with pytest.raises(RunError, match="ask for a longer note"):
        held_note().play(np.zeros(4, np.float32), seconds=0.3, pitch=60)
    with pytest.raises(RunError, match="0 to 600"):
        held_note().play(np.zeros(4, np.float32), seconds=1e6, pitch=60)


def test_the_course_of_a_note_is_found():
    at = np.arange(128) * HOP / RATE
    course = notes.course_of(loudness(at), HOP / RATE)
    assert course.hold * HOP / RATE == pytest.approx(ATTACK + notes.SETTLED, abs=0.03)
    assert course.release * HOP / RATE == pytest.approx(RELEASE, abs=0.03)
    assert course.end * HOP / RATE == pytest.approx(RELEASE + 60 / 150, abs=0.02) and not course.cut
    places = course.places(500)
    assert len(places) == 500 and (np.diff(places) >= 0).all() and np.diff(places).max() <= 1.01
    assert places[0] == 0 and places[-1] == course.end


@pytest.mark.parametrize("seconds", [1.5, 4.0])
def test_a_picture_is_stretched_where_the_note_holds(seconds, monkeypatch):
    n = np.arange(2 * RATE)
    tone = sum(np.sin(2 * np.pi * k * 220 * n / RATE) / k for k in range(1, 20))
    feature = LogMel(RATE, frames=FRAMES)
    note = torch.tensor(0.1 * tone * 10.0 ** (loudness(n / RATE) / 20.0), dtype=torch.float32)
    picture = feature.analyse(note).values.numpy()[None]
    synth = Synth(build(load("instruments-80")), feature)
    monkeypatch.setattr(synth, "picture", lambda *_: picture)
    sound = synth.play(np.zeros(64, np.float32), seconds=seconds, pitch=57)
    assert len(sound) == round(seconds * RATE)
    level = envelope(sound)
    held = level[round(0.3 * RATE / HOP) : round((seconds - 0.55) * RATE / HOP)]
    assert np.ptp(held) < 1.5
    assert abs(1200 * np.log2(strongest(sound[RATE // 2 : RATE], RATE) / 220.0)) < 10.0
    down = np.flatnonzero(level > -30.0)[-1] - np.flatnonzero(level > -3.0)[-1]
    assert down == pytest.approx(27.0 / 150.0 * RATE / HOP, abs=3)


def test_the_verb_plays_notes(tiny_run, tiny_notes, tmp_path, capsys, monkeypatch):
    from timbrespace import cli

    sound = sorted(tiny_notes.rglob("*.wav"))[0]
    monkeypatch.setattr("sys.argv", [
        "timbrespace", "play", str(tiny_run), "--from", str(sound), "--pitch", "60", "--pitch", "67",
        "--seconds", "1.5", "--velocity", "50", "--format", "flac", "--out", str(tmp_path), "--json",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    said = json.loads(capsys.readouterr().out)
    assert said["pitches"] == [60, 67]
    assert [
        f.endswith(e)
        for f, e in zip(said["files"], ("_C4_v050.flac", "_G4_v050.flac"), strict=True)
    ]
    assert soundfile.info(said["files"][0]).frames == 24000
    loud = verbs.play(tiny_run, tmp_path, sound=sound, pitches=[60], seconds=1.5, format="float")
    soft, usual = (soundfile.read(f)[0] for f in (said["files"][0], loud.files[0]))
    fall = 10 * np.log10(np.square(soft).mean() / np.square(usual).mean())
    assert fall == pytest.approx(40 * np.log10(0.5), abs=0.2)
    for asked in ({}, {"sound": sound, "velocity": 0}, {"sound": sound, "pitches": [60.5]}):
        with pytest.raises(TimbrespaceError):
            verbs.play(tiny_run, tmp_path, **asked)


def test_a_long_sound_of_harmonics_is_made_once() -> None:
    """Windows that all begin, hold and end make a sound that begins once and then holds: waves of windows
    would beat, and half-overlapping ones rise and fall."""
    synth = held_note()
    apart = synth.feature.step
    count, seconds = 1 + 6 * RATE // apart, 6.0
    length = round(seconds * RATE)
    level = np.full(count, -20.0, np.float32)
    zeros = np.zeros((count, 4), np.float32)
    made = synth.decode_windows(Encoded(zeros, zeros, level, 60.37, length, loudness_db=-20.0))
    assert made.shape == (length,)
    curve = envelope(made)
    held = curve[40:232].reshape(-1, 4).mean(1)  # dB, every 64 ms
    assert np.ptp(held) < 1.0 and curve[1] < held.min() - 6.0
    assert strongest(made[RATE : 2 * RATE], RATE) == pytest.approx(
        440.0 * 2.0 ** ((60.37 - 69) / 12), rel=1e-3
    )


def test_harmonics_in_blocks_are_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = held_note().model.decoder.net
    assert isinstance(net, HarmonicDecoder)
    draw = torch.Generator().manual_seed(0)
    tone, noise = (torch.rand(1, rows, 301, generator=draw) / rows for rows in (30, 8))
    told = torch.zeros(1, 4), torch.zeros(1, 8), torch.tensor([57.2])
    whole = net.sound(tone, noise, *told)
    monkeypatch.setattr(harmonic, "BLOCK", 77)
    torch.testing.assert_close(net.sound(tone, noise, *told), whole, atol=1e-5, rtol=0)
