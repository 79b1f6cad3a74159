"""The verbs from Python and from the command line, on a small real run."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrespace import verbs
from timbrespace.audio.level import CEILING
from timbrespace.errors import TimbrespaceError
from timbrespace.geometry.paths import KINDS
from timbrespace.mapping import Space
from timbrespace.runs import Run


@pytest.fixture(scope="module")
def sounds(tiny_notes) -> list[Path]:
    return sorted((tiny_notes / "nsynth-train" / "audio").glob("*.wav"))


def level(path: Path) -> float:
    samples, _ = soundfile.read(path)
    return float(np.sqrt(np.mean(samples**2)))


def test_reconstruct_keeps_duration_and_never_clips(tiny_run, sounds, tmp_path):
    made = verbs.reconstruct(tiny_run, sounds[:2], tmp_path, pitch=60)
    for source, result in zip(sounds, made.files, strict=False):
        old, new = soundfile.info(source), soundfile.info(result)
        assert new.frames == old.frames and new.samplerate == 16000
        assert np.abs(soundfile.read(result)[0]).max() < 1.0


def test_silence_stays_silence(tiny_run, tmp_path):
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(20000), 16000)
    made = verbs.reconstruct(tiny_run, [quiet], tmp_path / "out")
    assert level(made.files[0]) == 0.0


def test_a_sound_comes_back_as_loud_as_it_was(tiny_run, sounds, tmp_path):
    samples, rate = soundfile.read(sounds[0])
    for name, gain in (("loud", 0.3), ("quiet", 0.03)):
        soundfile.write(
            tmp_path / f"{name}.wav", gain * samples / np.abs(samples).max(), rate, "FLOAT"
        )
    made = verbs.reconstruct(
        tiny_run, [tmp_path / "loud.wav", tmp_path / "quiet.wav"], tmp_path / "out", pitch=60
    )
    for name, file in zip(("loud", "quiet"), made.files, strict=True):
        ratio = 20 * np.log10(level(file) / level(tmp_path / f"{name}.wav"))
        assert ratio == pytest.approx(0.0, abs=0.5), name


def test_encode_then_decode_is_reconstruct(tiny_run, sounds, tmp_path):
    direct = verbs.reconstruct(tiny_run, sounds[:1], tmp_path / "direct", pitch=60)
    latents = verbs.encode(tiny_run, sounds[:1], tmp_path / "latents.npz", pitch=60)
    again = verbs.decode(tiny_run, latents, tmp_path / "again")
    one, other = (soundfile.read(made.files[0])[0] for made in (direct, again))
    np.testing.assert_allclose(one, other, atol=2 / 32768)


def test_a_morph_begins_and_ends_at_its_sounds(tiny_run, sounds, tmp_path):
    ends = verbs.encode(tiny_run, [sounds[0], sounds[-1]], tmp_path / "ends.npz", pitch=60)
    made = verbs.morph(tiny_run, [sounds[0], sounds[-1]], tmp_path / "m", steps=3, pitch=60)
    assert len(made.files) == 3 and set(made.pitches) == {60}
    table = np.load(ends)
    run = Run.open(tiny_run)
    from timbrespace.render.synth import Synth

    first = Synth(run.model, run.feature).decode(
        table["mean"][:1], pitch=60, rms_db=table["rms_db"][0]
    )
    morphed = soundfile.read(made.files[0])[0]
    size = min(len(morphed), first.shape[1])
    lowered = min(1.0, 10 ** (-0.1 / 20) / np.abs(first).max())  # nothing is written that clips
    np.testing.assert_allclose(morphed[:size], lowered * first[0, :size], atol=1e-3)


def test_a_glide_is_one_sound_of_its_own_length_and_loudness(tiny_run, sounds, tmp_path):
    ends = [sounds[0], sounds[-1]]
    made = verbs.morph(tiny_run, ends, tmp_path, glide=1.5, pitch=60, loudness=-30.0)
    assert [f.name for f in made.files] == ["glide.wav"] and made.pitches == [60]
    assert soundfile.info(made.files[0]).frames == 24_000
    assert 20 * np.log10(level(made.files[0])) == pytest.approx(-30.0, abs=0.1)
    with pytest.raises(TimbrespaceError, match="from one sound to another, got 4"):
        verbs.morph(tiny_run, sounds[:4], tmp_path, glide=1.5)


def test_how_sound_is_made_is_told_on_the_command_line(tiny_run, sounds, tmp_path):
    def made(name: str, *words: object) -> np.ndarray:
        common = ("reconstruct", tiny_run, sounds[0], "--pitch", 60, "--out", tmp_path / name)
        out = command(*common, *words)
        assert out.returncode == 0, out.stderr
        return soundfile.read(out.stdout.split("  (pitch")[0].strip())[0]

    plain = made("plain")
    assert len(plain) == soundfile.info(sounds[0]).frames
    for name, words in (
        ("rounds", ("--rounds", 0)), ("method", ("--method", "griffin_lim", "--rounds", 3)),
        ("nnls", ("--inversion", "nnls")),
    ):  # fmt: skip
        assert not np.allclose(made(name, *words), plain, atol=1e-3)
    loud = made("loud", "--loudness", -26)
    assert 10 * np.log10(np.mean(loud**2)) == pytest.approx(-26.0, abs=0.1)
    for words, sentence in (
        (("--method", "phgi"), "did you mean pghi?"),
        (("--rounds", 5000), "from 0 to 1000, got 5000"),
        (("--loudness", 3), "from -120 to 0 dBFS, got 3"),
    ):
        out = command("reconstruct", tiny_run, sounds[0], "--out", tmp_path, *words)
        assert out.returncode == 2 and sentence in out.stderr


def test_a_grid_of_four(tiny_run, sounds, tmp_path):
    made = verbs.morph(tiny_run, sounds[:4], tmp_path, steps=2, path="lerp", pitch=60)
    assert len(made.files) == 4


def test_a_morph_by_the_sounds_between_keeps_the_ends(tiny_run, sounds, tmp_path):
    ways = {p: verbs.morph(tiny_run, sounds[:2], tmp_path / p, steps=3, path=p) for p in KINDS}
    first, middle, last = ([w.files[i].read_bytes() for w in ways.values()] for i in range(3))
    assert len(set(first)) == len(set(last)) == 1 and len(set(middle)) == 3


def test_the_report_shows_ways_and_lets_them_be_heard(tiny_run):
    found = json.loads((tiny_run / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    examples = found["continuity"]["examples"]
    for name in (*(f"way-{n}" for n in range(1, len(examples) + 1)), "walks", "families"):
        assert (tiny_run / "evaluation" / "figures" / f"{name}.png").stat().st_size > 10_000
    page = (tiny_run / "evaluation" / "report.html").read_text(encoding="utf-8")
    part = page.partition("Ways to be seen and heard")[2].partition("Along single dimensions")[0]
    waves = re.findall(r"audio/wav;base64,([^']+)", part)
    assert len(waves) == 2 * len(examples) > 0
    for wave in waves:  # five places of a way, equally loud
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(wave)))
        places = 10 * np.log10(np.square(samples.reshape(5, -1)).mean(1))
        assert places == pytest.approx(np.full(5, -23.0), abs=4.0)


def test_generate_is_seeded_and_audible(tiny_run, tmp_path):
    one = verbs.generate(tiny_run, tmp_path / "1", n=2, pitch=60, seed=3)
    two = verbs.generate(tiny_run, tmp_path / "2", n=2, pitch=60, seed=3)
    other = verbs.generate(tiny_run, tmp_path / "3", n=2, pitch=60, seed=4)
    assert one.files[0].read_bytes() == two.files[0].read_bytes() != other.files[0].read_bytes()
    assert min(level(f) for f in one.files) > 0.0


def test_search_finds_the_sound_itself_first(tiny_run, tiny_notes):
    space = Space.open(Run.open(tiny_run))
    row = int(np.argmax(space.rms_db))
    corpus = Run.open(tiny_run).corpus
    pitch = space.labels["pitch"][row]
    name = Path(corpus.rows[row].file).name
    file = next(tiny_notes.rglob(name))
    matches = verbs.search(tiny_run, file, k=3, pitch=int(pitch))
    assert matches[0].row == row
    assert matches[0].distance <= matches[1].distance <= matches[2].distance


def test_the_space_knows_every_row(tiny_run):
    run = Run.open(tiny_run)
    space = Space.open(run)
    assert len(space.rows) == len(run.corpus.rows) == len(space.maps["pca"]) == len(space.split)
    assert set(space.split) == {"train", "valid", "test"}


def test_metrics_have_the_documented_keys(tiny_run):
    metrics = json.loads((tiny_run / "evaluation" / "metrics.json").read_text())
    assert {"split", "sounds", "distortion", "rate", "floors", "verdict"} <= set(metrics)
    assert {"mse", "rmse_db", "rmse_db_at_mean"} <= set(metrics["distortion"])
    assert {"nats_per_sound", "bits_per_sound", "active_units", "dimensions"} <= set(
        metrics["rate"]
    )
    assert set(metrics["floors"]["pca_rmse_db"]) >= {"8", "16", "32", "64"}
    assert (tiny_run / "evaluation" / "report.html").stat().st_size > 10_000


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "timbrespace", *map(str, words)], capture_output=True, text=True
    )


def test_json_is_one_object_on_stdout(tiny_run):
    out = command("compare", tiny_run, "--json")
    assert out.returncode == 0 and json.loads(out.stdout)["runs"][0]["split"] == "valid"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("prepare", "/nowhere/at/all", "--out", "x"), "/nowhere/at/all"),
        (("train", "instrumets", "--corpus", "x", "--out", "y"), "did you mean instruments?"),
        (("explore", "/nowhere"), "/nowhere"),
        (("train", "instruments", "--corpus", "/nowhere", "--out", "y"), "/nowhere"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = command(*words)
    assert out.returncode == 2 and sentence in out.stderr and "Traceback" not in out.stderr
    assert len(out.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def odd_sounds() -> dict[str, tuple[np.ndarray, int]]:
    """What is no note, and the rate of its file."""
    time = np.arange(16000) / 16000
    click = np.zeros(8000)
    click[4000] = 0.8
    return {
        "silence": (np.zeros(8000), 16000), "click": (click, 16000),
        "20 ms": (0.5 * np.sin(2764.0 * time[:320]), 16000),
        "offset": (0.4 + 0.1 * np.hanning(16000) * np.sin(2764.0 * time), 16000),
        "square": (np.where(np.sin(2764.0 * time) < 0.0, -1.0, 1.0), 16000),
        "slow": (0.3 * np.hanning(8000) * np.sin(5529.0 * time[:8000]), 8000),
        "fast": (0.3 * np.hanning(16000) * np.sin(230.4 * time), 192_000),
        "minute": (np.tile(0.3 * np.hanning(16000) * np.sin(2764.0 * time), 60), 16000),
    }  # fmt: skip


def test_odd_sounds_come_back_whole_and_safe(tiny_run, tmp_path):
    for name, (samples, rate) in odd_sounds().items():
        soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype="FLOAT")
    files = sorted(tmp_path.glob("*.wav"))
    out = command("reconstruct", tiny_run, *files, "--out", tmp_path / "made", "--format", "float")
    assert out.returncode == 0, out.stderr
    for name, (samples, rate) in odd_sounds().items():
        (path,) = (tmp_path / "made").glob(f"{name}*.wav")
        made, _ = soundfile.read(path)
        assert len(made) == round(len(samples) * 16000 / rate), name
        assert np.isfinite(made).all() and np.abs(made).max() <= CEILING + 1e-6, name
        assert (name == "silence") == (not made.any()), name
        if name not in ("square", "20 ms"):  # which begin and end at once, or are all fade
            peak = np.abs(made).max()
            assert max(abs(made[0]), abs(made[-1])) <= 0.05 * peak, name


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.full(1, 0.5), "only 1 sample of sound; at least 20 are needed"),
        (np.full(8000, np.nan), "it contains NaN or infinite samples; repair or remove it"),
        (np.full(8000, 1e30), "where full scale is 1; rescale it"),
        (np.zeros(0), "only 0 samples of sound"),
    ],
    ids=["one sample", "NaN", "huge", "empty"],
)
def test_what_is_no_sound_is_one_sentence(samples, sentence, tiny_run, tmp_path):
    soundfile.write(tmp_path / "odd.wav", samples, 16000, subtype="DOUBLE")
    out = command("reconstruct", tiny_run, tmp_path / "odd.wav", "--out", tmp_path / "made")
    assert out.returncode == 2 and sentence in out.stderr, out.stderr
    assert len(out.stderr.strip().splitlines()) == 1 and "odd.wav" in out.stderr
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(tiny_run, sounds, tmp_path):
    soundfile.write(tmp_path / "odd.wav", np.full(8000, np.nan), 16000, subtype="DOUBLE")
    files = (sounds[0], tmp_path / "odd.wav", tmp_path / "gone.wav", sounds[1])
    out = command("reconstruct", tiny_run, *files, "--out", tmp_path / "made")
    assert out.returncode == 2 and len(list((tmp_path / "made").iterdir())) == 2
    odd, gone = out.stderr.strip().splitlines()[-2:]
    assert "odd.wav" in odd and "gone.wav" in gone and out.stdout.count("reconstructed") == 2
    out = command("reconstruct", tiny_run, *files[1:3], "--out", tmp_path / "none", "--json")
    assert out.returncode == 2 and "odd.wav" in out.stderr and "gone.wav" in out.stderr
    assert len(json.loads(out.stdout)["errors"]) == 2 and not (tmp_path / "none").exists()


def quiet_note(folder: Path) -> Path:
    path = folder / "note.wav"
    soundfile.write(path, 0.01 * np.sin(np.arange(8000) / 6.0), 16000)
    return path


def test_latents_of_another_run_are_refused(tiny_run, tmp_path):
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, sound=np.array(["a"]), mean=np.zeros((1, 3)))
    with pytest.raises(TimbrespaceError, match="latents of shape"):
        verbs.decode(tiny_run, wrong, tmp_path)
    made = verbs.encode(tiny_run, [quiet_note(tmp_path)], tmp_path / "own.npz", pitch=60)
    table = dict(np.load(made))
    stated = json.loads(str(table["feature"]))
    table["feature"] = np.array(json.dumps({**stated, "floor_db": -90.0}))
    np.savez(wrong, **table)
    with pytest.raises(TimbrespaceError, match="floor_db -90.0 in place of -80.0; decode it with"):
        verbs.decode(tiny_run, wrong, tmp_path)
    wrong.write_text("no zip")
    with pytest.raises(TimbrespaceError, match="no latents file"):
        verbs.decode(tiny_run, wrong, tmp_path)


def test_morph_of_three_is_refused(tiny_run, sounds, tmp_path):
    with pytest.raises(TimbrespaceError, match="two or four"):
        verbs.morph(tiny_run, sounds[:3], tmp_path)
