"""Named directions: found in a space that has them, said to be weak where it has not, kept, and used."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from timbrespace import cli, directions, verbs
from timbrespace.audio.descriptors import DESCRIPTORS
from timbrespace.directions import Directions, find_directions
from timbrespace.errors import RunError
from timbrespace.mapping import Space
from timbrespace.runs import Run


class Glass:
    """A run whose latents are what its sounds are made of: a falling tone and its brightness; `decode`
    knows both, so that what a direction does can be heard exactly."""

    RATE, SECONDS = 8000, 0.4

    def __init__(self, path, count=120, family=True, deaf=False):
        rng = np.random.default_rng(0)
        self.deaf, self.path, self.name = deaf, path, "glass"
        for folder in ("space", "features/f"):
            (path / folder).mkdir(parents=True)
        self.vocabulary = None
        self.z = rng.standard_normal((count, 3)).astype(np.float32) * [1.0, 1.0, 0.01]
        self.unreadable = False
        self.heard = 0
        names = ["wood" if z[0] > 0.5 else "glass" for z in self.z] if family else ["wood"] * count
        labels = {"family": names, "instrument": [f"i{i % 20}" for i in range(count)]}
        split = ["train" if i % 4 else "valid" for i in range(count)]
        self.space = Space(
            np.arange(count), self.z.copy(), np.zeros_like(self.z), np.full(count, -20.0), {}, labels, split,
            "one", path / "weights",
        )  # fmt: skip
        self.corpus = self
        self.digest, self.label_names = "same", ()
        self.feature = SimpleNamespace(
            stacked=1, sample_rate=self.RATE, seconds=self.SECONDS, fingerprint="f", hop=256,
            view=lambda x: SimpleNamespace(values=x), rms_db=lambda x: torch.zeros(len(x)),
            invert=lambda x, level, recovery: torch.stack([torch.from_numpy(self.sound(z)) for z in x]),
        )  # fmt: skip

    def sound(self, z):
        z = np.asarray(z, float).reshape(-1)
        t, k = np.arange(int(self.RATE * self.SECONDS)) / self.RATE, np.arange(1, 13)
        tones = np.sin(2 * np.pi * 300 * np.outer(t, k)) @ np.exp(-k * np.exp(-0.4 * z[0]))
        return (0.1 * tones * np.exp(-np.exp(0.5 * z[1] + 2) * t)).astype(np.float32)

    def audio(self, row, sample_rate=None):
        if self.unreadable:
            raise FileNotFoundError("gone")
        self.heard += 1
        return SimpleNamespace(mono=lambda: self.sound(self.z[row]))

    def features(self, feature):
        return SimpleNamespace(read=lambda rows: self.z[rows][:, None].astype(np.float32))

    def load_model(self, weights):
        deaf = self.deaf

        class Model:
            decoder = SimpleNamespace(conditions=SimpleNamespace(counts={}, continuous=frozenset()))

            def eval(self):
                return self

            def decode(self, z, labels):
                return (0.0 if deaf else 1.0) * z[:, None, None]

        return Model()


@pytest.fixture
def wide(monkeypatch):
    """Latents as pictures reach beyond -1..1, where real pictures end; few directions, for speed."""
    monkeypatch.setattr(torch.Tensor, "clamp", lambda x, *_: x)
    few = {name: directions.NAMES[name] for name in ("bright", "ringing", "stretched")}
    monkeypatch.setattr(directions, "NAMES", few)


def test_directions_of_a_space_that_has_them(tmp_path, wide):
    run = Glass(tmp_path)
    found = {one.name: one for one in find_directions(run, run.space).found}
    bright, ringing = found["bright"], found["ringing"]
    for one, at, sign in ((bright, 0, 1.0), (ringing, 1, -1.0)):
        assert one.correlation > 0.95 and one.monotonicity > 0.95 and not one.weak
        unit = np.array(one.step) / run.z.std(0)  # one standard deviation of the space, this way
        assert unit[at] * sign == pytest.approx(1.0, abs=0.1) and abs(unit[1 - at]) < 0.3
    assert bright.moves["brightness"] > 0.5 and abs(bright.moves["decay"]) < 0.3
    assert ringing.moves["decay"] < -0.5  # slower by dB a second
    assert found["wood"].correlation > 0.95 and found["wood"].monotonicity == pytest.approx(1.0)
    assert found["glass"].step[0] < 0 < found["wood"].step[0]
    assert "stretched" not in found  # no pitch is known
    made = Directions.open(run, "one")
    assert "sounds have it" in made.missing["stretched"] and made.source == "the recordings"
    shift = made.shift({"bright": 2.0, "ringing": -1.0})
    assert np.allclose(shift, 2 * np.array(bright.step) - np.array(ringing.step), atol=1e-5)


def test_a_decoder_that_does_not_listen_is_found_out(tmp_path, wide):
    run = Glass(tmp_path, deaf=True)
    bright = find_directions(run, run.space).found[0]
    assert bright.name == "bright" and bright.correlation > 0.95
    assert bright.monotonicity == 0.0 and bright.weak and abs(bright.moves["brightness"]) < 1e-9


def test_latents_that_know_nothing_are_weak(tmp_path, wide):
    run = Glass(tmp_path)
    run.space.mean[:] = run.z[np.random.default_rng(5).permutation(len(run.z))]
    for one in find_directions(run, run.space).found:
        if one.name in ("bright", "ringing"):
            assert abs(one.correlation) < WORST and one.linear < 0.1 and one.weak


WORST = 0.45  # of 30 held-out sounds: chance stays below in 99 %


def test_what_was_described_once_is_kept_and_missing_recordings_are_said(tmp_path, wide):
    run = Glass(tmp_path / "a")
    find_directions(run, run.space)
    heard = run.heard
    find_directions(run, run.space)
    assert run.heard == heard + 1  # only whether the first can be read
    few, other = np.arange(1, 120, 2), Glass(tmp_path / "c")
    other.corpus = run  # another run of the corpus, which asks for some of its sounds
    early = directions.drawn(np.arange(120), 40)
    assert set(early) & set(few) <= set(directions.drawn(few, 40)) and len(early) == 40
    directions.described(other, run, directions.drawn(few, 20))
    assert run.heard == heard + 1
    run = Glass(tmp_path / "b")
    run.unreadable = True
    made = find_directions(run, run.space)
    assert made.source.startswith("0 recordings, and of 120 that cannot be read the stored picture")
    assert made.found[0].correlation > 0.95


def test_bad_spaces_say_why(tmp_path, wide):
    run = Glass(tmp_path / "a", family=False)
    made = find_directions(run, run.space)
    names = {one.name for one in made.found} | set(made.missing)
    assert "bright" in names and "wood" not in names  # one family is no direction
    run = Glass(tmp_path / "b", count=6)
    made = find_directions(run, run.space)
    assert not made.found and "only 4 training sounds" in made.missing["bright"]
    with pytest.raises(RunError, match="no direction 'bright': only 4"):
        made.shift({"bright": 1.0})
    run = Glass(tmp_path / "c")
    run.space.mean[:] = 0.5
    made = find_directions(run, run.space)
    assert not made.found and "the same" in made.missing["bright"]
    run = Glass(tmp_path / "d")
    run.space.mean[3, 0] = np.nan
    made = find_directions(run, run.space)
    assert not made.found and "diverged" in made.missing["bright"]
    run = Glass(tmp_path / "e")
    run.sound = lambda z: np.zeros(3200, np.float32)
    made = find_directions(run, run.space)
    assert {one.name for one in made.found} <= {"wood", "glass"}
    assert "only 0 sounds have it" in made.missing["bright"]
    assert "NaN" not in (run.path / "space" / "axes.json").read_text()


def test_directions_of_another_space_are_refused(tmp_path, wide):
    run = Glass(tmp_path)
    with pytest.raises(RunError, match="has no named directions yet; make them with"):
        Directions.open(run, "one")
    find_directions(run, run.space)
    with pytest.raises(RunError, match="of an older space"):
        Directions.open(run, "two")
    made = Directions.open(run, "one")
    with pytest.raises(RunError, match="did you mean bright"):
        made.shift({"brigth": 1.0})
    with pytest.raises(RunError, match="it has: bright, ringing, glass, wood"):
        made.shift({"happy": 1.0})
    for steps in (11.0, float("nan")):
        with pytest.raises(RunError, match="-10 to 10 steps"):
            made.shift({"bright": steps})


def test_a_morph_toward_a_direction(tiny_run, tiny_notes, tmp_path, monkeypatch, capsys):
    made = verbs.axes(tiny_run)
    assert made.version == Space.open(Run.open(tiny_run)).version and made.found
    first = made.found[0]
    assert set(first.moves) == set(DESCRIPTORS) and len(first.step) == 8
    a, b = sorted((tiny_notes / "nsynth-train" / "audio").glob("*.wav"))[:2]
    asked = []
    from timbrespace.render.synth import Synth

    decode = Synth.decode
    monkeypatch.setattr(Synth, "decode", lambda s, z, **k: asked.append(z) or decode(s, z, **k))
    written = verbs.morph(tiny_run, [a], tmp_path / "one", steps=3, toward={first.name: 2.0})
    assert len(written.files) == 3 and soundfile.info(written.files[0]).frames > 1000
    assert np.allclose(asked[0] - asked[0][:1], np.outer([0, 1, 2], first.step), atol=1e-4)
    verbs.morph(tiny_run, [a, b], tmp_path / "two", steps=3, toward={first.name: 2.0}, path="lerp")
    plain = verbs.morph(tiny_run, [a, b], tmp_path / "plain", steps=3, path="lerp")
    assert np.allclose(asked[1] - asked[2], np.outer([0, 1, 2], first.step), atol=1e-4)
    assert plain.pitches == written.pitches[:1] * 3
    with pytest.raises(RunError, match="one or two sounds, got 4"):
        verbs.morph(tiny_run, [a, b, a, b], tmp_path / "four", toward={first.name: 1.0})
    with pytest.raises(RunError, match="two or four sounds, got 1"):
        verbs.morph(tiny_run, [a], tmp_path / "none")
    words = [
        "timbrespace",
        "morph",
        str(tiny_run),
        str(a),
        "--steps",
        "2",
        "--out",
        str(tmp_path / "x"),
    ]
    assert call(monkeypatch, [*words, "--toward", f"{first.name}=0.5"]) == 0
    assert len(list((tmp_path / "x").glob("*.wav"))) == 2
    assert call(monkeypatch, [*words, "--toward", "happy=1"]) == 2
    assert "no direction 'happy'; it has:" in capsys.readouterr().err
    assert call(monkeypatch, [*words, "--toward", "bright"]) == 2
    assert "should look like bright=0.5" in capsys.readouterr().err


def test_notes_and_new_sounds_go_toward_a_direction(tiny_run, tiny_notes, tmp_path, monkeypatch):
    """Each is the same point, moved by the steps: of a sound, a row, a label, and of what is drawn."""
    first = verbs.axes(tiny_run).found[0]
    sound = min((tiny_notes / "nsynth-train" / "audio").glob("*.wav"))
    family = Space.open(Run.open(tiny_run)).labels["family"][0]
    asked = []
    from timbrespace.render.synth import Synth

    play, decode = Synth.play, Synth.decode
    monkeypatch.setattr(Synth, "play", lambda s, z, **k: asked.append(z) or play(s, z, **k))
    for where in ({"sound": sound}, {"row": 3}, {"near": f"family={family}"}):
        for number, toward in enumerate((None, {first.name: -2.0})):
            verbs.play(tiny_run, tmp_path / f"{number}", **where, toward=toward, pitches=[60.0])
        plain, moved = asked[-2:]
        assert np.allclose(moved - plain, -2.0 * np.array(first.step), atol=1e-4)
    monkeypatch.setattr(Synth, "play", play)
    monkeypatch.setattr(Synth, "decode", lambda s, z, **k: asked.append(z) or decode(s, z, **k))
    command = ["timbrespace", "generate", str(tiny_run), "-n", "2", "--out", str(tmp_path / "new")]
    assert call(monkeypatch, command) == 0
    assert call(monkeypatch, [*command, "--toward", f"{first.name}=1.5"]) == 0
    plain, moved = asked[-2:]
    assert np.allclose(moved - plain, 1.5 * np.array(first.step), atol=1e-4)
    words = ["timbrespace", "play", str(tiny_run), "--row", "3", "--out", str(tmp_path / "played")]
    assert call(monkeypatch, [*words, "--toward", f"{first.name}=0.5"]) == 0
    assert call(monkeypatch, [*words, "--toward", "happy=1"]) == 2


def test_the_table_of_directions(tiny_run, tmp_path, monkeypatch, capsys):
    assert call(monkeypatch, ["timbrespace", "axes", str(tiny_run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "held out" in lines[0] and any(line.startswith("bright ") for line in lines)
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "space" / "axes.json").unlink()  # as an older version left it
    assert call(monkeypatch, ["timbrespace", "axes", str(run), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    first = json.loads((tiny_run / "space" / "axes.json").read_text())
    assert again.keys() == first.keys()
    assert (again["source"], again["version"]) == (first["source"], first["version"])
    for one, other in zip(again["found"], first["found"], strict=True):
        assert one["name"] == other["name"]
        assert one["step"] == pytest.approx(other["step"], abs=1e-6)
    assert directions.WEAK == (0.3, 0.5)


def call(monkeypatch, words):
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0
