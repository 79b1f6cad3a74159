"""Instruments for samplers: in tune and even in a real player, loops that nobody hears, whole files."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysfizz
import pytest
import soundfile
from partials import strongest

from timbrespace import verbs
from timbrespace.audio.files import read
from timbrespace.audio.level import rms_db
from timbrespace.errors import RunError
from timbrespace.exporting import keyboard, loops
from timbrespace.exporting.instrument import Instrument, loudest_db
from timbrespace.exporting.points import Point
from timbrespace.features.waveform import Waveform

RATE = 16000


def note(pitch: float, seconds: float = 2.0, *, fall_db: float = 0.0, level: float = 0.1):
    """Harmonics (n,) of a pitch that fade by fall_db per second."""
    n = np.arange(round(seconds * RATE))
    hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * k * hz * n / RATE + k) / k for k in range(1, int(7000 / hz) + 1))
    return (level * wave * 10.0 ** (-fall_db * n / RATE / 20.0)).astype(np.float32)


@dataclass
class Tones:
    """A synth that plays `note`, the softer the higher."""

    pitched = True
    told = ("pitch",)
    feature = Waveform(samples=2 * RATE)

    def decode(self, latents, *, pitch, labels, rms_db):
        return np.stack(
            [
                note(p, level=0.1 / p, fall_db=float(z[0]))
                for z, p in zip(latents, pitch, strict=True)
            ]
        )


def played(file: Path) -> pysfizz.Synth:
    player = pysfizz.Synth(sample_rate=RATE, block_size=64)
    assert player.load_sfz_file(file)
    return player


def quiet(*_: object) -> None:
    pass


def tones(
    *falls: float, velocities: int = 1, over="velocity", keys=(60, 66), every=3
) -> Instrument:
    points = tuple(
        Point(np.array([fall, 0.0]), None, -20.0, {}, "tone", "a tone") for fall in falls
    )
    zones = tuple(keyboard.zones(*keys, every))
    return Instrument("tone", points, zones, tuple(keyboard.layers(velocities)), over, "a tone")


def test_notes_have_names_and_numbers():
    assert [keyboard.key_of(text) for text in ("C4", "c#3", "Bb-1", "72", "G9")] == [
        60, 49, 10, 72, 127,
    ]  # fmt: skip
    assert all(keyboard.key_of(keyboard.note_name(key)) == key for key in range(128))
    assert keyboard.key_range("C-1-C2") == (0, 36) and keyboard.key_range("60") == (60, 60)
    for text in ("H2", "C12", "C6-C2", "128", ""):
        with pytest.raises(RunError):
            keyboard.key_range(text)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 12])
def test_each_key_has_one_sample_and_that_of_the_nearest_root(every):
    zones = keyboard.zones(36, 84, every)
    owners = {key: zone.root for zone in zones for key in range(zone.low, zone.high + 1)}
    assert sorted(owners) == list(range(36, 85))
    assert sum(zone.high - zone.low + 1 for zone in zones) == 49
    for key, root in owners.items():
        assert abs(key - root) == min(abs(key - zone.root) for zone in zones)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16])
def test_each_velocity_has_one_layer(count):
    layers = keyboard.layers(count)
    assert [v for layer in layers for v in range(layer.low, layer.high + 1)] == list(range(1, 128))
    assert all(layer.low <= layer.velocity <= layer.high for layer in layers)
    assert layers[0].place == 0.0 and (count == 1 or layers[-1].place == 1.0)


@pytest.mark.parametrize("sound", ["tone", "fading", "vibrato", "noise"])
def test_a_loop_is_not_heard(sound):
    n = np.arange(2 * RATE)
    wave = {
        "tone": note(57.3),
        "fading": note(57.3, fall_db=2.0),
        "vibrato": 0.2 * np.sin(2 * np.pi * 330 * n / RATE + 2 * np.sin(2 * np.pi * 5 * n / RATE)),
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(n)),
    }[sound].astype(np.float32)  # fmt: skip
    found = loops.held(wave, RATE)
    assert found.loop is not None and len(found.samples) == len(wave)
    start, end = found.loop.start, found.loop.end + 1
    assert end - start > 0.3 * RATE
    turns = np.concatenate([found.samples[:end], *[found.samples[start:end]] * 3])
    # the jump is no jump: what came before the start comes before the end, too
    before = found.samples[[start - 8, start - 1]], found.samples[[end - 8, end - 1]]
    assert np.abs(before[0] - before[1]).max() < 0.02 * np.abs(wave).max()
    assert found.loop.seam_db < (3.0 if sound == "noise" else 0.5)
    level = loops.envelope_db(turns, RATE)[start // 160 : -10]
    assert np.ptp(level) < {"tone": 0.3, "fading": 0.7, "vibrato": 0.7, "noise": 2.5}[sound]
    assert found.loop.alike > (0.1 if sound == "noise" else 0.97)
    if sound == "tone":
        wanted = 440 * 2 ** ((57.3 - 69) / 12)
        assert abs(1200 * np.log2(strongest(turns[start:], RATE) / wanted)) < 1.0


@pytest.mark.parametrize("sound", [note(60, fall_db=6.0), note(60, 0.4), np.zeros(20000)])
def test_what_does_not_hold_has_no_loop(sound):
    found = loops.held(sound.astype(np.float32), RATE)
    assert found.loop is None and np.array_equal(found.samples, sound.astype(np.float32))


def test_the_release_is_that_of_the_sound():
    fall = np.minimum(1.0, 10.0 ** (-200.0 * (np.arange(2 * RATE) / RATE - 1.5) / 20.0))
    found = loops.held((note(60) * fall).astype(np.float32), RATE)
    assert found.loop is not None and found.loop.end < 1.5 * RATE
    assert found.release == pytest.approx(78.0 / 200.0, rel=0.2)  # at 200 dB per second


def test_a_real_player_is_in_tune_even_and_holds(tmp_path):
    made = tones(0.0).write(Tones(), tmp_path, to="sfz", format="wav24", tell=quiet)
    player = played(made.sfz)
    assert player.playable_keys == list(range(60, 67))
    sounds = {key: player.render_note(key, 127, 4.0, 6.0)[0] for key in range(60, 67)}
    for key, sound in sounds.items():  # 4 s of samples that last 2 s
        wanted = 440.0 * 2.0 ** ((key - 69) / 12)
        assert abs(1200 * np.log2(strongest(sound[RATE : 4 * RATE], RATE) / wanted)) < 2.0, key
        assert np.ptp(loops.envelope_db(sound, RATE)[50:390]) < 0.5, key
        assert rms_db(sound[5 * RATE :]) < -90.0, key
    levels = [loudest_db(sound, RATE) for sound in sounds.values()]
    assert np.ptp(levels) < 0.1
    softer = player.render_note(60, 64, 1.0, 2.0)[0]
    fall = loudest_db(softer, RATE) - levels[0]
    assert fall == pytest.approx(40 * np.log10(64 / 127), abs=0.1)


def test_a_sound_turns_into_another_over_velocity_or_key(tmp_path):
    """From a tone that holds to one that falls by 60 dB per second."""
    over_velocity = tones(0.0, 60.0, velocities=3)
    made = over_velocity.write(Tones(), tmp_path / "v", to="sfz", format="wav16", tell=quiet)
    player = played(made.sfz)

    def kept(key: int, velocity: int) -> float:
        sound = player.render_note(key, velocity, 1.5, 2.0)[0]
        return rms_db(sound[RATE : RATE + 1600]) - rms_db(sound[800:2400])

    assert kept(60, 20) == pytest.approx(0.0, abs=0.5)
    assert kept(60, 64) == pytest.approx(-27.0, abs=3.0)
    assert kept(60, 120) == pytest.approx(-54.0, abs=3.0)
    made = tones(0.0, 60.0, over="key").write(
        Tones(), tmp_path / "k", to="sfz", format="flac", tell=quiet
    )
    player = played(made.sfz)
    assert kept(60, 127) == pytest.approx(0.0, abs=0.5)
    assert kept(66, 127) == pytest.approx(-54.0, abs=3.0)


def test_layers_are_told_their_velocity_and_one_layer_that_of_its_point():
    class Hearing(Tones):
        told = ("pitch", "velocity")

        def decode(self, latents, *, pitch, labels, rms_db):
            self.heard = list(labels["velocity"])
            return super().decode(latents, pitch=pitch, labels=labels, rms_db=rms_db)

    synth, point = Hearing(), Point(np.zeros(2), None, -20.0, {"velocity": 50}, "tone", "a tone")
    for count, wanted in ((1, [50]), (3, [21, 64, 106])):
        zones, layers = keyboard.zones(60, 60, 1), keyboard.layers(count)
        Instrument("tone", (point,), tuple(zones), tuple(layers)).sounds(synth, quiet)
        assert synth.heard == wanted


def test_a_wav_says_its_root_and_its_loop(tmp_path):
    made = tones(0.0).write(Tones(), tmp_path, to="sfz", format="wav24", tell=quiet)
    sample = made.samples[1]
    file = tmp_path / "samples" / sample.file
    data = file.read_bytes()
    at = data.index(b"smpl")
    words = struct.unpack_from("<I9I6I", data, at + 4)
    assert len(data) == at + 8 + words[0] and struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    assert (words[3], words[4], words[8]) == (62500, 63, 1)  # nanoseconds a sample, key, loops
    assert sample.loop is not None and words[12:14] == (sample.loop.start, sample.loop.end)
    assert soundfile.info(file).subtype == "PCM_24" and read(file).seconds == pytest.approx(2.0)


def test_a_pack_of_samples_has_the_levels_of_its_velocities(tmp_path):
    made = tones(0.0, velocities=3).write(
        Tones(), tmp_path, to="samples", format="wav24", tell=quiet
    )
    assert made.sfz is None and not list(tmp_path.glob("*.sfz"))
    for sample in made.samples:
        sound = read(tmp_path / sample.file).mono()
        wanted = -18.0 + 40.0 * np.log10(sample.layer.velocity / 127)
        assert loudest_db(sound, RATE) == pytest.approx(wanted, abs=0.05)
        assert abs(sound[0]) < 1e-6 and abs(sound[-1]) < 1e-4  # faded at both ends
    assert (tmp_path / "tone_D#4_v064.wav").is_file()


def test_ctrl_c_leaves_whole_files_and_a_second_call_completes(tmp_path):
    def stop(stage: str, done: int, _: int) -> None:
        if stage == "write" and done == 2:
            raise KeyboardInterrupt

    whole = tones(0.0).write(Tones(), tmp_path, to="sfz", format="wav24", tell=quiet)
    with pytest.raises(KeyboardInterrupt):
        tones(0.0).write(Tones(), tmp_path, to="sfz", format="wav24", tell=stop)
    assert not list(tmp_path.glob("*.sfz"))  # none that names what is not there
    assert all(read(file).seconds > 1.9 for file in (tmp_path / "samples").iterdir())
    again = tones(0.0).write(Tones(), tmp_path, to="sfz", format="wav24", tell=quiet)
    assert again == whole and played(again.sfz).playable_keys


def test_the_verb_exports_points_of_a_run(tiny_run, tiny_notes, tmp_path, capsys, monkeypatch):
    from timbrespace import cli

    sounds = sorted(tiny_notes.rglob("*.wav"))
    near = verbs.export(tiny_run, tmp_path / "near", near="family=brass", keys="C3-C4")
    assert near.sfz is not None and near.sfz.name == "brass.sfz" and len(near.samples) == 5
    one = verbs.export(tiny_run, tmp_path / "row", row=3, keys="60", format="flac")
    assert one.samples[0].file == "row-3_C4_v100.flac"
    monkeypatch.setattr("sys.argv", [
        "timbrespace", "export", str(tiny_run), "--from", str(sounds[0]), "--to-sound", str(sounds[1]),
        "--over", "key", "--keys", "C4-C5", "--every", "6", "--to", "samples", "--name", "two sounds",
        "--pitch", "60", "--out", str(tmp_path / "two"), "--json",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    said = json.loads(capsys.readouterr().out)
    assert [Path(s["file"]).name for s in said["samples"]] == [
        f"two-sounds_{key}_v100.wav" for key in ("C4", "F#4", "C5")
    ]
    text = (tmp_path / "two" / "README.txt").read_text(encoding="utf-8")
    assert "C4, F#4, C5 at its own pitch" in text


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "one of"),
        ({"near": "family"}, "family=brass"),
        ({"near": "famly=brass"}, "did you mean family"),
        ({"near": "family=bras"}, "did you mean brass"),
        ({"row": 100_000}, "rows 0 to"),
        ({"row": 1, "keys": "C9-C2"}, "low to high"),
        ({"row": 1, "to_sound": "b.wav", "velocities": 1}, "two layers"),
        ({"row": 1, "format": "mp3"}, "wav24"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(tiny_run, tiny_notes, tmp_path, asked, sentence):
    if "to_sound" in asked:
        asked = asked | {"to_sound": next(tiny_notes.rglob("*.wav"))}
    with pytest.raises(Exception, match=sentence):
        verbs.export(tiny_run, tmp_path / "out", **asked)


def test_a_run_that_is_not_told_the_pitch_gives_one_sample(tiny_corpus, tmp_path):
    from conftest import TINY

    wanted = (*TINY, "model.condition={labels: []}", "train.epochs=1", "train.augment.layer=0")
    verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=wanted)
    verbs.space(tmp_path / "run", umap=False)
    made = verbs.export(tmp_path / "run", tmp_path / "out", row=3, pitch=57, keys="C2-C4")
    assert [(s.zone.root, s.zone.low, s.zone.high) for s in made.samples] == [(57, 36, 60)]
    assert "transposes" in (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")
    silent = tmp_path / "tone.wav"
    soundfile.write(silent, note(60), RATE)
    with pytest.raises(RunError, match="--pitch"):
        verbs.export(tmp_path / "run", tmp_path / "out", sound=silent)
