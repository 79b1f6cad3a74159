"""The health report: what it counts is there, what it calls a copy is one, and its page is whole."""

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from timbrespace import cli
from timbrespace.audio.files import resample
from timbrespace.data import duplicates, health_page
from timbrespace.data.cutting import Cut
from timbrespace.data.prepare import prepare
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

RATE = 8000
SMALL = LogMel(sample_rate=RATE, mels=32, frames=40, n_fft=512, hop=128)


def note(midi: float, seed: int, seconds: float = 0.6) -> np.ndarray:
    """A plucked tone with partials of its own, -20 dB noise in its first moment."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    hz = 440.0 * 2.0 ** ((midi - 69) / 12)
    x = sum(
        rng.uniform(0.2, 1)
        / k
        * np.exp(-t * rng.uniform(1, 4) * k)
        * np.sin(2 * np.pi * hz * k * t)
        for k in range(1, 6)
        if k * hz < RATE / 2
    )
    x = x + 0.1 * rng.standard_normal(len(t)) * np.exp(-t * 60)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def put(path: Path, samples: np.ndarray, rate: int = RATE, **settings: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **settings)


def made(root: Path, out: Path, **settings: object):
    corpus = prepare(root, out, feature=SMALL, workers=0, **settings)  # type: ignore[arg-type]
    return corpus, json.loads((out / "health.json").read_text())


def pictures(sounds: list[np.ndarray]) -> np.ndarray:
    return np.stack([
        SMALL.analyse(torch.from_numpy(np.array(x, np.float32))).values.numpy() for x in sounds
    ])  # fmt: skip


def alike(sounds: list[np.ndarray], **settings: np.ndarray) -> set[tuple[int, int]]:
    seconds = settings.get("seconds", np.array([len(x) / RATE for x in sounds]))
    skip = settings.get("skip", np.zeros(len(sounds), bool))
    return set(map(tuple, duplicates.alike(pictures(sounds), seconds, skip).pairs.tolist()))


# Near copies


def coded(x: np.ndarray, **how: str) -> np.ndarray:
    data = io.BytesIO()
    soundfile.write(data, x, RATE, **how)
    data.seek(0)
    return soundfile.read(data, dtype="float32")[0][: len(x)]


CHANGES = {
    "30 dB softer, 16 bits": lambda x: np.round(x * 10**-1.5 * 32768) / 32768,
    "8 bits": lambda x: np.round(x * 128) / 128,
    "upside down": lambda x: -x,
    "through 44.1 kHz": lambda x: resample(resample(x, RATE, 44100), 44100, RATE),
    "Vorbis": lambda x: coded(x, format="OGG", subtype="VORBIS"),
    "MP3": lambda x: coded(x, format="MP3", subtype="MPEG_LAYER_III"),
    "half a millisecond later": lambda x: np.concatenate([np.zeros(4, np.float32), x])[: len(x)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_sound_under_other_bytes_is_a_near_copy(change: str) -> None:
    sounds = [note(45 + k, k) for k in range(40)]
    copies = [CHANGES[change](x) for x in sounds[:10]]
    found = alike([*sounds, *copies])
    assert len(found & {(k, 40 + k) for k in range(10)}) >= 9
    assert not found - {(k, 40 + k) for k in range(10)}


def test_semitones_instruments_and_moments_are_no_copies() -> None:
    semitones = [note(50 + k, 0) for k in range(40)]  # one instrument
    instruments = [note(60, k) for k in range(1, 30)]
    x = np.concatenate([np.zeros(800, np.float32), note(60, 0)])
    assert alike([*semitones, *instruments, x[: len(semitones[0])]]) == set()
    length = np.array([0.6, 0.6, 0.7])
    assert alike([note(60, 0)] * 3, seconds=length) == {(0, 1)}  # another length is another sound


def test_of_a_picture_the_loudest_48_db_count_squared() -> None:
    db = np.array([0.0, -24.0, -48.0, -60.0, -80.0])  # below the loudest cell, of 80
    values = np.tile(1.0 + db / 40.0, (1, 8, 1))
    weights = duplicates.heard(values, np.array([0]), (8, 5))[0, 3]
    assert weights == pytest.approx([1.0, 0.25, 0.0, 0.0, 0.0], abs=1e-6)


def test_nothing_silence_and_what_is_skipped_are_legal() -> None:
    silence = np.zeros(4000, np.float32)
    assert alike([silence]) == alike([silence] * 3) == alike([note(60, 0), silence]) == set()
    skip = np.array([False, True, False])
    assert alike([note(60, 0)] * 3, skip=skip) == {(0, 2)}


def test_a_thousand_copies_of_one_sound_stay_a_list_that_is_linear_and_one_group() -> None:
    picture = pictures([note(60, 0)])[0]
    rng = np.random.default_rng(0)
    many = (picture + rng.normal(0, 0.001, (1000, *picture.shape))).astype(np.float16)
    pairs = duplicates.alike(many, np.full(1000, 0.6), np.zeros(1000, bool)).pairs
    assert 500 < len(pairs) <= 1000 * duplicates.NEIGHBOURS
    assert np.bincount(duplicates.groups(pairs, 1000)).max() > 900


def test_copies_across_splits_velocities_and_loops_are_counted_apart(tmp_path: Path) -> None:
    for k in range(20):
        put(tmp_path / f"s/train/keys/piano/p-{50 + k:03d}-100.wav", note(50 + k, k))
    put(tmp_path / "s/train/keys/piano/soft.flac", 0.3 * note(50, 0))
    put(tmp_path / "s/valid/keys/organ/lent.ogg", note(52, 2), format="OGG", subtype="VORBIS")
    for velocity in (50, 75):
        name = f"s/valid/keys/b/keys_acoustic_000-070-{velocity:03d}.wav"
        put(tmp_path / name, note(70, 99) * velocity / 100)
    # as two low notes may be, that the picture cannot tell apart
    put(tmp_path / "s/valid/keys/d/keys_acoustic_001-071-100.wav", note(70, 99) * 0.6)
    loop = np.tile(note(65, 5, 0.5), 4)
    put(tmp_path / "s/valid/keys/c/loop.wav", loop)
    _, health = made(tmp_path / "s", tmp_path / "c", cut=Cut("chunks", 0.5, 0.5))
    near = health["near_duplicates"]
    assert near["layers"] >= 1 and near["in_one_file"] >= 3 and near["across_splits"] >= 1
    across = {frozenset(names) for *names, _, apart in near["examples"] if apart}
    assert {frozenset({"train/keys/piano/p-052-100.wav", "valid/keys/organ/lent.ogg"})} == {
        frozenset(name.partition(" at ")[0] for name in names) for names in across
    }
    assert not [names for *names, _, _ in near["examples"] if "-071-" in " ".join(names)]
    told = " ".join(health["warnings"])
    assert "nearly repeat others" in told and "between two splits" in told


# What is counted


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 notes of two families, two stereo ones at another rate, one silent, three broken files."""
    root = tmp_path_factory.mktemp("messy") / "sounds"
    for k in range(30):
        family = "pluck" if k % 2 else "bell"
        put(root / f"{family}/i{k % 6}/{family}_acoustic_{k % 6:03d}-{60 + k:03d}-100.wav",
            note(60 + k, k))  # fmt: skip
    square = 0.5 * np.sign(np.sin(2 * np.pi * 440 * np.arange(44100) / 44100))
    for k in range(2):
        put(root / f"bell/i0/wide{k}.wav", np.stack([square, square * (0.5 + k / 2)], 1), 44100)
    put(root / "bell/i1/still.wav", np.zeros(4000))
    (root / "bell/i1/<img src=x onerror=alert(1)> \n.wav").write_bytes(b"text")
    (root / "bell/i1/empty.wav").write_bytes(b"")
    (root / "bell/i1/head.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    return root


@pytest.fixture(scope="module")
def report(messy: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("report") / "c"
    return out, *made(messy, out)


def at(histogram: dict, value: float) -> int:
    """Which count a value is in."""
    return histogram["counts"][int(np.searchsorted(histogram["edges"], value, side="right")) - 1]


def test_counts_are_what_is_there(report) -> None:
    _, corpus, health = report
    assert (health["files"], health["used"], health["sounds"], health["skipped"]) == (36, 33, 33, 3)
    assert health["sample_rates"] == {"8000": 31, "44100": 2}
    assert health["channels"] == {"1": 31, "2": 2}
    assert health["seconds"]["total"] == pytest.approx(30 * 0.6 + 2 * 1.0 + 0.5)
    assert sum(health["seconds"]["histogram"]["counts"]) == 33
    assert {f["code"] for f in health["skipped_files"]} >= {"empty", "not_audio"}
    assert all(f["path"] and f["message"] for f in health["skipped_files"])
    pitch = health["pitch"]
    assert (pitch["lowest"], pitch["highest"], pitch["sounds"]) == (60, 89, 30)
    table = health["label_tables"]["family"]
    assert {value: sum(c.values()) for value, c in table["top"]} == {"bell": 18, "pluck": 15}
    for level, peak in (("peak_db", 30), ("rms_db", 0)):
        assert sum(health["levels"][level]["counts"]) == 33
        # every note peaks at 0.5, -6.02 dBFS, and so do the square waves, whose RMS that is too
        assert at(health["levels"][level], -6.05) >= peak
    assert health["levels"]["peak_db"]["counts"][0] == 1  # silence


def test_pictures_are_counted_in_decibels_and_as_they_are_trained_on(report) -> None:
    out, corpus, health = report
    store = corpus.features(SMALL)
    seen = health["pictures"]
    values = np.asarray(store.values).astype(np.float32)
    assert seen["sampled"] == 33 and seen["mean"] == pytest.approx(values.mean(), abs=1e-3)
    assert seen["floor_share"] == pytest.approx((values == -1).mean(), abs=1e-4)
    heard = (values > -1).sum()
    assert sum(seen["db"]["counts"]) == sum(seen["values"]["counts"]) == heard
    levels = np.broadcast_to(store.level_db[:, None, None], values.shape)[values > -1]
    expected = SMALL.to_db(torch.from_numpy(values[values > -1])).numpy() + levels
    assert seen["db_mean"] == pytest.approx(expected.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("seconds", "rate", "word"),
    [(0.05, RATE, "feature.frames="), (3.0, RATE, "--cut chunks"), (0.6, 4000, "below 8000 Hz")],
)
def test_warnings_say_what_to_do(tmp_path: Path, seconds: float, rate: int, word: str) -> None:
    for k in range(4):
        put(tmp_path / f"s/{k}.wav", note(60 + k, k, seconds), rate)
    _, health = made(tmp_path / "s", tmp_path / "c")
    assert [w for w in health["warnings"] if word in w]


@pytest.mark.parametrize(
    ("count", "seconds", "cut", "words"),
    [(1, 0.6, None, "--cut chunks or --cut onsets"),
     (1, 4.0, Cut("chunks", 0.5, 0.5), "--split-by random spreads the pieces")],
)  # fmt: skip
def test_too_little_to_split_says_what_helps(
    tmp_path: Path, count: int, seconds: float, cut: Cut | None, words: str
) -> None:
    for k in range(count):
        put(tmp_path / f"s/{k}.wav", note(60 + k, k, seconds))
    _, health = made(tmp_path / "s", tmp_path / "c", cut=cut)
    assert health["splits"]["valid"] == 0
    assert [w for w in health["warnings"] if w.startswith("no sounds for valid") and words in w]


def test_two_values_of_a_label_leave_a_split_empty_and_by_file_is_told(tmp_path: Path) -> None:
    for k in range(12):
        put(tmp_path / f"s/bell/i{k % 2}/bell_acoustic_{k % 2:03d}-{60 + k:03d}-100.wav",
            note(60 + k, k))  # fmt: skip
    _, health = made(tmp_path / "s", tmp_path / "c")
    assert health["splits"]["test"] == 0 and health["split"]["by"] == "instrument"
    assert [w for w in health["warnings"] if "--split-by file" in w]


# The page


class Tags(HTMLParser):
    """All tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_all_it_shows_and_nothing_runs_in_it(report) -> None:
    out, corpus, health = report
    page = Tags((out / "health.html").read_text(encoding="utf-8"))
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object"} & set(names)
    sources = [a.get("src") or "" for _, a in page.tags if "src" in a]
    assert sources and all(s.startswith("data:") for s in sources)
    assert not [a for _, a in page.tags if "href" in a or any(k.startswith("on") for k in a)]
    assert names.count("audio") == names.count("img") == health_page.SHOWN
    assert (out / "health.html").stat().st_size < 6_000_000
    assert "<img src=x onerror=alert(1)> \\n.wav" in page.text
    for warning in health["warnings"]:
        assert warning[1:] in page.text
    for word in ("Training, validation, test", "Labels", "Pitch", "Levels", "Copies", "Skipped"):
        assert word in page.text


def test_what_is_heard_and_seen_is_the_sound(report) -> None:
    out, corpus, _ = report
    text = (out / "health.html").read_text(encoding="utf-8")
    figures = re.findall(
        r"image/png;base64,([^']+)'>.*?audio/wav;base64,([^']+)'.*?row (\d+),", text, re.S
    )
    assert len(figures) == health_page.SHOWN
    for png, wav, row in figures:
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(wav)), dtype="float32")
        sound = corpus.audio(int(row), RATE).mono()
        assert rate == RATE and np.abs(heard - sound[: len(heard)]).max() < 1e-3
        picture = corpus.features(SMALL).read([int(row)])[0]
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), int)
        assert image.shape[:2] == SMALL.shape
        light = image.sum(2)[::-1]  # low notes are at the bottom
        silent = picture.std() == 0
        assert silent or np.corrcoef(light.ravel(), picture.ravel())[0, 1] > 0.95


def test_long_sounds_do_not_make_a_heavy_page(tmp_path: Path) -> None:
    long_ = np.random.default_rng(0).uniform(-0.5, 0.5, 40 * RATE)
    for k in range(30):
        put(tmp_path / f"s/{k}.wav", np.roll(long_, 1000 * k))
    made(tmp_path / "s", tmp_path / "c")
    assert 4_000_000 < (tmp_path / "c/health.html").stat().st_size < 6_000_000


def test_a_rerun_keeps_the_report_and_a_changed_file_makes_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(12):
        put(tmp_path / f"s/{k}.wav", note(60 + k, k))
    made(tmp_path / "s", tmp_path / "c")
    before = (tmp_path / "c/health.html").read_bytes()
    calls: list[int] = []
    real = health_page.page
    monkeypatch.setattr(health_page, "page", lambda *a: calls.append(1) or real(*a))
    made(tmp_path / "s", tmp_path / "c")
    assert not calls
    (tmp_path / "c/health.html").write_bytes(before.replace(b"Levels", b"Devils"))
    made(tmp_path / "s", tmp_path / "c")
    assert len(calls) == 1 and (tmp_path / "c/health.html").read_bytes() == before
    put(tmp_path / "s/3.wav", np.zeros(3000))
    _, health = made(tmp_path / "s", tmp_path / "c")
    assert len(calls) == 2 and health["doubtful_by_code"] == {"silent": 1}
    made(tmp_path / "s", tmp_path / "c", seed=5)
    assert len(calls) == 3


# Strict


def test_strict_refuses_after_all_is_written(messy: Path, report, tmp_path: Path) -> None:
    out, *_ = report
    with pytest.raises(
        CorpusError, match="3 of 36 files were skipped, the first, bell/i1/"
    ) as told:
        made(messy, tmp_path / "c", strict=True)
    assert "\n" not in str(told.value)
    for name in ("corpus.json", "sounds.csv", "health.html", "health.md", "report.jsonl"):
        assert (tmp_path / "c" / name).read_bytes() == (out / name).read_bytes()


def test_strict_is_exit_code_2_and_without_it_0(
    messy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for words, code in (([], 0), (["--strict"], 2)):
        monkeypatch.setattr(
            sys,
            "argv",
            ["timbrespace", "prepare", str(messy), "--out", str(tmp_path / "c"), *words],
        )
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert int(stop.value.code or 0) == code
    assert "3 of 36 files were skipped" in capsys.readouterr().err
