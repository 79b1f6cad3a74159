"""The page of maps: it holds every sound, needs no network, and plays what is clicked."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from timbrespace import verbs
from timbrespace.errors import MissingExtra, RunError
from timbrespace.evaluation import interactive
from timbrespace.evaluation.interactive import Atlas, page
from timbrespace.runs import Run

NASTY = "</script><script>document.title='owned'</script><b>&amp;"


def atlas(count: int = 40, name: str = "one") -> Atlas:
    """Sounds on a ring, the first ten of which were measured; one has a name that is markup."""
    turn = 2.0 * np.pi * np.arange(count) / count
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    family = [None if i == 1 else NASTY if i == 2 else f"family {i % 3}" for i in range(count)]
    error = [0.5 * i if i < 10 else None for i in range(count)]
    columns: dict[str, list[Any]] = {"family": family, "error, dB": error}
    return Atlas(
        name, np.arange(count), np.arange(count) < 10, [f"{i}.wav@0.0" for i in range(count)],
        [NASTY if i == 2 else f"sound {i}" for i in range(count)],
        {"pca": ring, "umap": 3.0 * ring[::-1]}, columns,
    )  # fmt: skip


def flac(seed: int, seconds: float = 0.2) -> bytes:
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(16_000 * seconds))
    data = io.BytesIO()
    soundfile.write(data, noise, 16_000, format="FLAC", subtype="PCM_16")
    return data.getvalue()


def held(text: str) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(r"<script type='application/json' id='data'>(.*?)</script>", text, re.S)
    assert found
    return json.loads(found[1])


def test_every_sound_is_held_once_and_unknown_is_no_number():
    text = page([atlas(), replace(atlas(), run="two")], {"3.wav@0.0": b"fLaC"}, "maps")
    data = held(text)
    assert len(data["names"]) == 40 and [len(run["ids"]) for run in data["runs"]] == [40, 40]
    assert data["names"][2] == NASTY and NASTY not in text
    first = data["runs"][0]
    assert np.allclose(np.array(first["maps"]["pca"]).T, atlas().maps["pca"], atol=6e-4)
    assert first["columns"]["error, dB"]["numbers"][8:11] == [4.0, 4.5, None]
    assert first["columns"]["family"]["codes"][1] is None
    assert {int(k): base64.b64decode(v) for k, v in data["sounds"].items()} == {3: b"fLaC"}


def test_eight_thousand_sounds_with_all_that_can_be_heard_stay_under_20_mb():
    many = atlas(8_000)
    figures = {f"figure {i}": np.linspace(0.0, 99.0, 8_000).tolist() for i in range(10)}
    heard = {many.keys[i]: bytes(interactive.AUDIO_BYTES * 3 // 4 // 240) for i in range(240)}
    text = page([replace(many, columns=many.columns | figures), many], heard, "maps")
    assert len(text.encode()) < 20_000_000
    assert len(held(text)["names"]) == 8_000 and "8,000 sounds" in text


def test_more_sounds_than_a_page_holds_are_a_sample_that_is_told(monkeypatch):
    monkeypatch.setattr(interactive, "MOST", 60)
    text = page([atlas()], {"33.wav@0.0": b"fLaC"}, "maps")
    data = held(text)
    assert len(data["names"]) == 30 and "30 of 40 sounds, drawn at random" in text
    assert len(data["sounds"]) == 1 and sum(data["runs"][0]["measured"]) == 10


def test_without_plotly_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(interactive, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"timbrespace\[maps\]"):
        page([atlas()], {}, "maps")


def test_an_evaluation_leaves_its_maps_with_its_recordings(tiny_run):
    folder = Path(tiny_run) / "evaluation"
    assert "href='map.html'" in (folder / "report.html").read_text(encoding="utf-8")
    data = held((folder / "map.html").read_text(encoding="utf-8"))
    run = Run.open(tiny_run)
    (one,) = data["runs"]
    assert len(one["ids"]) == len(run.corpus.rows) and {"family", "pitch"} <= set(one["columns"])
    known = [i for i, v in enumerate(one["columns"]["error, dB"]["numbers"]) if v is not None]
    valid = [row for row, part in sorted(run.split().items()) if part == "valid"]
    assert known == valid == [i for i, v in enumerate(one["measured"]) if v]
    assert set(map(int, data["sounds"])) == set(valid)
    row = valid[0]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data["sounds"][str(row)])))
    recording = run.corpus.audio(row, sample_rate=rate).mono()[: len(samples)]
    assert len(samples) == min(2 * rate, len(recording))
    assert samples[200:-200] == pytest.approx(recording[200:-200], abs=1e-4)
    assert (folder / "figures" / "standing.svg").read_bytes().startswith(b"<?xml")


def test_runs_side_by_side_share_their_sounds(tiny_run, tmp_path):
    runs = [tmp_path / "baseline", tmp_path / "conditioned"]
    for run in runs:
        shutil.copytree(tiny_run, run)
    verbs.compare([*runs], map=tmp_path / "maps.html", plot=tmp_path / "plane.svg")
    data = held((tmp_path / "maps.html").read_text(encoding="utf-8"))
    assert [one["run"] for one in data["runs"]] == list(map(str, runs))
    assert data["runs"][0]["ids"] == data["runs"][1]["ids"] == list(range(len(data["names"])))
    verbs.compare([*runs], map=tmp_path / "maps.svg")
    drawn = (tmp_path / "maps.svg").read_text(encoding="utf-8")
    verbs.compare([*runs], map=tmp_path / "maps.svg")
    assert drawn == (tmp_path / "maps.svg").read_text(encoding="utf-8")
    assert "<svg" in drawn and "<svg" in (tmp_path / "plane.svg").read_text(encoding="utf-8")
    with pytest.raises(RunError, match="not as"):
        verbs.compare([*runs], map=tmp_path / "maps.pdf")
    shutil.rmtree(runs[1] / "space")
    with pytest.raises(RunError, match="timbrespace space"):
        verbs.compare([*runs], map=tmp_path / "maps.png")


def test_in_a_browser_a_click_plays_that_sound_and_marks_it_in_every_panel(opened, tmp_path):
    sounds = {f"{i}.wav@0.0": flac(i) for i in (5, 7)}
    place = tmp_path / "map.html"
    place.write_text(page([atlas(), atlas(name="two")], sounds, "maps"), encoding="utf-8")
    tab, asked, wrong = opened.tab, opened.asked, opened.wrong
    tab.add_init_script(
        "window.played = []; HTMLMediaElement.prototype.play = function () {"
        " window.played.push(this.src); return Promise.resolve(); };"
    )
    tab.goto(place.as_uri())
    tab.wait_for_selector("body[data-ready]", timeout=60_000)
    x, y = tab.evaluate(
        """() => {
            const plot = document.getElementById("plot"), full = plot._fullLayout;
            const box = plot.getBoundingClientRect();
            const trace = plot.data.find((t) => t.customdata?.includes(7) && t.xaxis === "x2");
            const at = trace.customdata.indexOf(7);
            return [box.left + full.xaxis2._offset + full.xaxis2.d2p(trace.x[at]),
                    box.top + full.yaxis2._offset + full.yaxis2.d2p(trace.y[at])];
        }"""
    )
    tab.mouse.move(x, y)
    tab.wait_for_selector(".mark")
    assert tab.locator(".mark").count() == 2
    tab.mouse.click(x, y)
    tab.wait_for_function("played.length === 1")
    (source,) = tab.evaluate("played")
    assert base64.b64decode(source.partition("base64,")[2]) == sounds["7.wav@0.0"]
    assert tab.locator("#said").text_content() == (
        "sound 7; one: error 3.5 dB; two: error 3.5 dB; playing"
    )
    tab.fill("#find", "sound 12")
    tab.press("#find", "Enter")
    assert "not among the sounds" in (tab.locator("#said").text_content() or "")
    tab.select_option("#colour", "error, dB")
    tab.wait_for_function("plot._fullLayout.coloraxis.colorbar.title.text === 'error, dB'")
    assert tab.title() == "maps" and wrong == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
