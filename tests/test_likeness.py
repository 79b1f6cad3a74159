"""Which sounds are like one: distances of several spaces together, and an embedding that is kept."""

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from timbrespace import cli, likeness, verbs
from timbrespace.audio.files import Audio
from timbrespace.embedding import DIMENSIONS, cepstrum
from timbrespace.errors import AudioError, RunError, TimbrespaceError
from timbrespace.geometry import distance
from timbrespace.likeness import Heard, Likeness


def test_directions_that_agree_are_at_0_and_opposite_ones_at_2():
    points = np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(distance.cosine(points[:1], points), [[0.0, 1.0, 2.0, 1.0]])
    np.testing.assert_allclose(distance.euclidean(points[:1], points)[0, 1:3], [13**0.5, 4.0])


def test_a_typical_distance_is_that_of_two_different_points():
    assert distance.typical(distance.euclidean, np.array([[0.0], [4.0]])) == 4.0
    gauss = np.random.default_rng(0).standard_normal((3000, 1))
    assert distance.typical(distance.euclidean, gauss) == pytest.approx(2 / np.pi**0.5, rel=0.05)
    assert distance.typical(distance.euclidean, np.zeros((5, 2))) == 1.0


def test_distances_of_several_spaces_weigh_the_same_whatever_their_units():
    one, other = np.array([1.0, 2.0, 4.0]), np.array([30.0, 10.0, 0.0])
    np.testing.assert_allclose(distance.combined([one, other], [2.0, 10.0]), [1.75, 1.0, 1.0])
    np.testing.assert_allclose(
        distance.combined([one, other]), distance.combined([1000.0 * one, other])
    )
    with pytest.raises(TimbrespaceError, match="one shape"):
        distance.combined([one, other[:2]])
    with pytest.raises(TimbrespaceError, match="scales above 0"):
        distance.combined([one, other], [1.0, 0.0])


def test_both_ways_find_what_neither_finds_alone():
    """Sound 0 is near by latent, sound 1 by ear, sound 2 is second in both."""
    mean = np.array([[0.1], [3.0], [0.3], [4.0]])
    points = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.2], [-1.0, 0.0]])
    heard = Heard(points, np.zeros((4, cepstrum.BYTES), np.int8))
    scales = {"latent": 2.0, "point": 1.0, "course": 1.0}
    like = Likeness(mean, heard, scales)
    asked = np.zeros(1), Heard(np.array([[1.0, 0.0]]), heard.courses[:1])
    order = {by: np.argsort(like.distances(by, *asked)).tolist() for by in likeness.WAYS}
    assert order["latent"][0] == 0 and order["sound"][0] == 1 and order["both"][0] == 2
    assert like.way(None) == "both" and Likeness(mean, None, {"latent": 2.0}).way(None) == "latent"
    np.testing.assert_allclose(like.distances("latent", *asked), mean[:, 0])
    np.testing.assert_allclose(like.distances("sound", *asked)[[1, 3]], [0.0, (2.0 + 0.0) / 2])
    np.testing.assert_allclose(like.distances("both", *asked)[1], (3.0 / 2.0 + 0.0 + 0.0) / 3)
    heard.courses[:, 0] = 1  # one block sounds, the fourth sound like silence the other way round
    heard.courses[:, 2] = [1, 1, 1, -1]
    np.testing.assert_allclose(like.distances("sound", *asked)[[1, 3]], [0.0, (2.0 + 2.0) / 2])
    assert like.around(1) == (
        "both",
        pytest.approx(like.distances("both", mean[1], heard[np.array([1])])),
    )
    points[2] = np.nan  # its recording is gone
    assert (
        np.isposinf(like.distances("both", *asked)[2]) and like.distances("latent", *asked)[2] < 1
    )
    assert like.around(2)[0] == "latent"  # of itself nothing else is known


class Corpus:
    """Six noises of which the third cannot be read; counts the readings, and breaks off at one."""

    digest, stop = "one", -1

    def __init__(self):
        self.read: list[int] = []

    def audio(self, row: int):
        self.read.append(row)
        if row == self.stop:
            raise KeyboardInterrupt
        if row == 2:
            raise AudioError("two.wav is gone")
        sound = np.random.default_rng(row).standard_normal(2000).astype(np.float32)
        return Audio(sound[None], 16000)


def test_an_embedding_that_is_broken_off_goes_on_and_survives_a_new_space(tmp_path):
    (tmp_path / "space").mkdir()
    corpus, feature = Corpus(), SimpleNamespace(sample_rate=16000, seconds=0.1)
    run = SimpleNamespace(path=tmp_path, corpus=corpus, feature=feature)
    space = SimpleNamespace(rows=np.arange(6), mean=np.arange(6.0)[:, None])
    corpus.stop = 4
    with pytest.raises(KeyboardInterrupt):
        likeness.embed_space(run, space)  # type: ignore[arg-type]
    corpus.stop, corpus.read = -1, []
    assert likeness.embed_space(run, space) == 2 and corpus.read == [2, 4, 5]  # type: ignore[arg-type]
    drawn_anew = SimpleNamespace(rows=np.array([5, 2, 0]), mean=np.zeros((3, 1)))
    like = Likeness.open(run, drawn_anew)  # type: ignore[arg-type]
    assert like.heard is not None and like.heard.known.tolist() == [True, False, True]
    expected = Heard.of([corpus.audio(5)], 0.1)
    assert distance.cosine(like.heard.points[:1], expected.points)[0, 0] < 1e-4
    assert np.array_equal(like.heard.courses[:1], expected.courses)
    corpus.digest = "other"  # the corpus was made anew: rows may be other sounds
    assert Likeness.open(run, drawn_anew).heard is None  # type: ignore[arg-type]


def test_an_embedding_of_an_earlier_version_asks_to_be_made_again(tmp_path):
    (tmp_path / "space").mkdir()
    run = SimpleNamespace(
        path=tmp_path, corpus=Corpus(), feature=SimpleNamespace(sample_rate=16000, seconds=0.1)
    )
    space = SimpleNamespace(rows=np.arange(2), mean=np.arange(2.0)[:, None])
    points = np.ones((2, DIMENSIONS), np.float16)
    np.savez(tmp_path / "space" / likeness.FILE, points=points, rows=space.rows, digest="one")
    like = Likeness.open(run, space)  # type: ignore[arg-type]
    assert like.way(None) == "latent"
    with pytest.raises(RunError, match="older one without MFCCs; .* timbrespace space RUN --embed"):
        like.way("sound")
    assert likeness.embed_space(run, space) == 2  # type: ignore[arg-type]
    assert Likeness.open(run, space).way("sound") == "sound"  # type: ignore[arg-type]


def test_what_cannot_be_asked_is_said(tmp_path):
    like = Likeness(np.zeros((2, 1)), None, {"latent": 1.0})
    with pytest.raises(RunError, match="timbrespace space RUN --embed"):
        like.way("both")
    with pytest.raises(RunError, match="latent, sound, both, not by 'ear'"):
        like.way("ear")
    (tmp_path / "space").mkdir()
    run = SimpleNamespace(
        path=tmp_path, corpus=Corpus(), feature=SimpleNamespace(sample_rate=16000, seconds=0.1)
    )
    space = SimpleNamespace(rows=np.array([2]), mean=np.zeros((1, 1)))
    with pytest.raises(RunError, match="no recording .* .two.wav is gone"):
        likeness.embed_space(run, space)  # type: ignore[arg-type]


def test_search_hears_when_the_space_was_embedded(
    tiny_run, tiny_notes, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    sound = sorted(tiny_notes.rglob("*.wav"))[3]

    def search(*words: str) -> list[dict]:
        typed = ["timbrespace", "search", str(run), str(sound), "-k", "5", "--json", *words]
        monkeypatch.setattr(sys, "argv", typed)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return json.loads(out)["matches"] if not stop.value.code else [{"said": err}]

    assert {match["by"] for match in search()} == {"latent"}
    assert "--embed" in search("--by", "sound")[0]["said"]
    verbs.space(run, umap=False, axes=False, embed=True)
    both, heard = search(), search("--by", "sound")
    assert {match["by"] for match in both} == {"both"}
    assert heard[0]["file"].endswith(sound.name) and heard[0]["distance"] < 1e-3
    assert both[0]["file"].endswith(sound.name)
    distances = [match["distance"] for match in both]
    assert distances == sorted(distances) and distances[0] < 0.2 < distances[-1]
