"""The page of runs side by side: what all have is drawn and heard, what one lacks is said."""

import html
import json
import re
from base64 import b64decode
from pathlib import Path

import pytest
from test_comparison import METRICS, made  # noqa: F401  (a fixture)

from timbrespace import verbs
from timbrespace.errors import RunError
from timbrespace.evaluation import comparison_page, figures
from timbrespace.evaluation.figures import matrices

FAMILIES = ["brass", "organ"]
NASTY = "<b>nasty</b>"


def structure(silhouettes, shuffled=(-0.1, -0.2)):
    """The part of metrics.json on families, of windows {name: silhouette of each family}."""
    windows = {
        name: {
            "z": {"mean": 0.1, "low": 0.0, "high": 0.2, "by_family": list(own)},
            "shuffled_labels": {"mean": -0.15, "by_family": list(shuffled)},
        }
        for name, own in silhouettes.items()
    }
    return {"families": FAMILIES, "silhouette": windows}


def full(by=0.0, **more):
    """Metrics of a run that was asked everything that the page shows."""
    line = [6.0 + by, 7.0 + by, 8.0 + by]
    return {
        "structure": structure({"any": (0.1 + by, None), "1": (0.2 + by, 0.3)}),
        "rate": {**METRICS["rate"], "bits_per_dimension": [1.0, 3.0 + by, 0.5]},
        "distortion": {
            **METRICS["distortion"],
            "by_band": {"hertz": [0.0, 100.0, 200.0], "rmse_db": line, "mean_sound_rmse_db": [20.0] * 3},
            "by_time": {"seconds": [0.0, 0.1, 0.2], "rmse_db": line, "mean_sound_rmse_db": [19.0] * 3},
        },
        "pitch": {"to_original": {
            "model": {"within_50": 0.8 + by, "within_50_interval": [0.7, 0.9]},
            "inversion": {"within_50": 0.99}, "another_sound": {"within_50": 0.02},
        }},
        "examples": {"random": [4, 5], "best": [9], "worst": [2]},
    } | more  # fmt: skip


@pytest.fixture
def run(made):  # noqa: F811
    """Makes a run with curves and sounds: (group, row) of each that it left, the model's its own name."""

    def make(name, left=(("random", 4),), **metrics):
        made(name, **(full() | metrics))
        folder = Path(name, "evaluation")
        Path(name, "history.csv").write_text(
            "epoch,seconds,train_kl,valid_rmse_db,valid_bits\n1,1.0,9.0,8.0,60.0\n2,1.0,8.5,7.0,58.0\n"
        )
        lines = [f"{row},{NASTY}{row}.wav,5.{row}" for _, row in left]
        (folder / "sounds.csv").write_text("\n".join(["row,file,rmse_db_at_mean", *lines, ""]))
        (folder / "audio").mkdir()
        for group, row in left:
            for kind in ("original", "inversion", "model"):
                said = f"{kind} of {row}" + f" by {name}" * (kind == "model")
                (folder / "audio" / f"{group}-{row}-{kind}.wav").write_text(said)
        return name

    return make


def written(*runs, **how) -> str:
    verbs.compare(list(runs), out="page.html", **how)
    return Path("page.html").read_text(encoding="utf-8")


def listened(*runs) -> str:
    """The part of the page with sounds."""
    return "".join(comparison_page._listen(comparison_page._sides(verbs.compare(list(runs)))))


def heard(text: str) -> dict[str, list[tuple[str, str]]]:
    """(words, sound) of the players, by the file that they are of."""
    found = {}
    for title, players in re.findall(
        r"<figcaption><b>(.*?)</b>.*?<div class='players'>(.*?)</div>", text
    ):
        pairs = re.findall(r"<label>(.*?)<audio.*?base64,(.*?)'", players)
        found[html.unescape(title)] = [(words, b64decode(wav).decode()) for words, wav in pairs]
    return found


def test_the_same_recording_is_heard_as_it_was_and_by_each_run(run):
    runs = [
        run("a", [("random", 4), ("best", 9), ("worst", 2)]),
        run(
            "b",
            [("worst", 4), ("random", 9)],
            examples={"random": [9, 5], "worst": [4], "best": []},
        ),
    ]
    assert heard(listened(*runs)) == {
        f"{NASTY}{row}.wav": [
            ("original", f"original of {row}"),
            ("inversion: its own picture made sound", f"inversion of {row}"),
            (f"a: 5.{row} dB", f"model of {row} by a"), (f"b: 5.{row} dB", f"model of {row} by b"),
        ]
        for row in (4, 9)
    }  # fmt: skip


def test_sounds_are_of_the_fold_that_all_rows_share(run):
    runs = [
        run(f"{name}-{fold}", settings=(*settings, f"seed={fold}"), corpus_digest=f"c{fold}")
        for name, folds, settings in (("a", (0, 1), ()), ("b", (1, 2), ("model.bottleneck.latent=9",)))
        for fold in folds
    ]  # fmt: skip
    for one in runs:  # folds of one set of files
        digest = f"c{one[-1]}"
        Path(one, "provenance.json").write_text(json.dumps({"format": 1, "corpus_digest": digest}))
        parts = [f"{i},{i}.wav,{'valid' if i == int(one[-1]) else 'train'}" for i in range(3)]
        Path(one, "split.csv").write_text("\n".join(["row,file,split", *parts, ""]))
    rows = verbs.compare(runs, seeds=True)
    assert [row["folds"] for row in rows] == [2, 2]
    sides = comparison_page._sides(rows)
    assert [run.path.name for run, _ in comparison_page._of_one_corpus(sides)] == ["a-1", "b-1"]


def test_sounds_that_have_no_room_are_counted(run, monkeypatch):
    monkeypatch.setattr(comparison_page, "AUDIO_BYTES", 70)
    text = written(
        run("a", [("random", 4), ("random", 5)]), run("b", [("random", 4), ("random", 5)])
    )
    assert len(heard(text)) == 1 and "1 more have no room here" in text


def test_the_pictures_have_the_numbers_of_each_run(run, monkeypatch):
    seen = {}
    for place, name in ((figures, "overlaid"), (figures, "beside"), (matrices, "by_family")):
        drawn = getattr(place, name)
        monkeypatch.setattr(
            place, name,
            lambda *a, name=name, drawn=drawn: seen.setdefault(name, []).append(a) or drawn(*a),
        )  # fmt: skip
    written(run("a"), run("b", **full(by=0.5)))
    training, where, rates = (panels for panels, _ in seen["overlaid"])
    assert {panel[2]: panel[3] for panel in training} == {
        words: dict.fromkeys("ab", [((1.0, 2.0), values)])
        for words, values in (
            ("z sampled, dB RMSE", (8.0, 7.0)), ("validation, bits per sound", (60.0, 58.0)),
            ("kl, raw, without weights", (9.0, 8.5)),
        )
    }  # fmt: skip
    bands = where[0][3]
    assert bands["a"] == [([100.0, 200.0], [7.0, 8.0])]  # 0 Hz has no place on a logarithmic axis
    assert bands["b"] == [([100.0, 200.0], [7.5, 8.5])] and bands["mean sound"][0][1] == [20.0] * 2
    assert [rates[0][3][name][0][1] for name in "ab"] == [[3.0, 1.0, 0.5], [3.5, 1.0, 0.5]]
    ((names, panels),) = seen["beside"]
    shown = {title.partition(" (")[0]: (kinds, widths) for title, kinds, widths in panels}
    assert names == ["a", "b"] and shown["error, dB"][0]["PCA-32"] == [7.0, 7.0]
    kinds, widths = shown["heard within 50 cents"]
    assert kinds == {"run": [0.8, 1.3], "floor": [0.02] * 2, "ceiling": [0.99] * 2}
    assert widths == pytest.approx([0.1, 0.1])
    ((families, panels, _, _),) = seen["by_family"]
    assert families == FAMILIES and [title for title, _ in panels] == [
        "all pitches",
        "± 1 semitone",
    ]
    assert panels[0][1] == {
        "a": [0.1, None], "b": [0.6, None], "labels shuffled": [-0.1, pytest.approx(-0.2)],
    }  # fmt: skip


def test_what_a_run_lacks_is_said_and_the_rest_is_there(run, made):  # noqa: F811
    run("whole")
    Path(made("bare", heard=None, probes=None, floors=None), "history.csv").unlink()
    text = written("whole", "bare")
    words = html.unescape(re.sub(r"<[^>]+>", "", text))
    for sentence in (
        "No finished epoch is written down of: bare.",
        "The error over frequency and time was not measured of: bare.",
        "There is no silhouette by family of: bare.",
        "There are no dimensions with bits of their own in: bare.",
        "Not drawn: whole (whole has no space yet",
        "They left no sound of the same recording.",
        "Not measured of any of them: pitch read from z, family by other instruments.",
    ):
        assert sentence in words
    assert text.count("<img") == 6 and "bare beside whole (" in words


def test_of_runs_that_do_not_compare_each_group_is_heard_by_itself(run):
    text = listened(run("a"), run("b"), run("c", corpus_digest="c1"))
    assert "Group 1: a, b" in text and "Group 2: c" in text
    assert [len(players) for players in heard(text).values()] == [3]  # of one file: the last, c's
    assert len(re.findall("<figcaption>", text)) == 2


def test_runs_of_one_name_are_told_apart_and_names_are_no_markup(run):
    for folder in ("one", "two"):
        Path(folder).mkdir()
    text = written(run("one/<i>x"), run("two/<i>x", corpus_digest="c1"))
    assert "The figures compare only within a group" in text
    assert "<i>" not in text and "&lt;i&gt;x (1)" in text and "&lt;i&gt;x (2)" in text
    with pytest.raises(RunError, match=r"written as FILE\.html, FILE\.csv or FILE\.md, not as"):
        verbs.compare(["one/<i>x"], out="page.pdf")


def test_in_a_browser_the_page_asks_for_nothing(opened, run, tmp_path):
    text = written(run("a"), run("b", **full(by=0.5)))
    assert "<script" not in text and len(text) < 20e6
    tab, asked, wrong = opened.tab, opened.asked, opened.wrong
    tab.goto((tmp_path / "page.html").as_uri())
    broken = tab.evaluate("[...document.images].filter((i) => !i.naturalWidth).length")
    assert tab.locator("img").count() == 6 and broken == 0 and wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
