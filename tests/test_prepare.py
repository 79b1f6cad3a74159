"""From a folder to a corpus: labels, splits, what is wrong, and every way to be interrupted."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrespace import atomic
from timbrespace.data import jobs, part, workers
from timbrespace.data.corpus import Corpus
from timbrespace.data.cutting import Cut
from timbrespace.data.prepare import prepare
from timbrespace.data.splits import disjoint
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

RATE = 16000
SMALL = LogMel(mels=16, frames=20, n_fft=512)


def put(path: Path, hz: float = 440.0, amplitude: float = 0.3, n: int = 6000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    x = amplitude * np.sin(2 * np.pi * hz * np.arange(n) / RATE)
    soundfile.write(path, x, RATE)


def plain_folder(root: Path, count: int = 40) -> Path:
    for i in range(count):
        put(root / ("low" if i % 2 else "high") / f"s{i:03d}.wav", 200.0 + 10 * i)
    return root


def nsynth(root: Path, families: dict[str, int], *, json_too: bool = True) -> Path:
    """One folder of NSynth's layout; families {name: instruments}, four notes each."""
    examples = {}
    for family, instruments in families.items():
        for k in range(instruments):
            for pitch in (50, 60, 70, 80):
                key = f"{family}_electronic_{k:03d}-{pitch:03d}-100"
                put(root / "audio" / f"{key}.wav", 440 * 2 ** ((pitch - 69) / 12) + k)
                examples[key] = {
                    "pitch": pitch, "velocity": 100,
                    "instrument_str": f"{family}_electronic_{k:03d}",
                    "instrument_family_str": family, "instrument_source_str": "electronic",
                }  # fmt: skip
    if json_too:
        (root / "examples.json").write_text(json.dumps(examples))
    return root


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def reported(out: Path) -> dict[str, dict]:
    lines = (out / "report.jsonl").read_text().splitlines()
    return {line["path"]: line for line in map(json.loads, lines)}


def sentence(source: Path, out: Path, **settings: object) -> str:
    with pytest.raises(CorpusError) as caught:
        prepare(source, out, feature=SMALL, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Layouts and labels


def test_nsynth_folders_give_splits_and_labels(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 1), ("test", 1)):
        nsynth(tmp_path / f"s/nsynth-{split}", {"synth_lead": count})
    corpus = prepare(tmp_path / "s", tmp_path / "c", feature=SMALL)
    assert corpus.layout == "nsynth"
    assert [len(corpus.split_rows(s)) for s in ("train", "valid", "test")] == [12, 4, 4]
    first = corpus.rows[0]
    assert first.file == "nsynth-train/audio/synth_lead_electronic_000-050-100.wav"
    assert first.labels == {
        "pitch": 50, "velocity": 100, "instrument": "synth_lead_electronic_000",
        "family": "synth_lead", "source": "electronic",
    }  # fmt: skip


def test_one_nsynth_folder_is_split_by_instrument(tmp_path: Path) -> None:
    nsynth(tmp_path / "nsynth-valid", {"bass": 6, "reed": 6})
    corpus = prepare(tmp_path / "nsynth-valid", tmp_path / "c", feature=SMALL)
    homes = defaultdict(set)
    for row in corpus.rows:
        homes[row.labels["instrument"]].add(row.split)
    assert all(len(home) == 1 for home in homes.values())
    assert {row.split for row in corpus.rows} == {"train", "valid", "test"}
    split = json.loads((tmp_path / "c/health.json").read_text())["split"]
    assert split["group"] == "instrument" and split["shared"] == 0


def test_impossible_pitches_become_unknown_and_are_told(tmp_path: Path) -> None:
    nsynth(tmp_path / "s", {"bass": 3})
    path = tmp_path / "s/examples.json"
    examples = json.loads(path.read_text())
    keys = sorted(examples)
    examples[keys[0]]["pitch"], examples[keys[1]]["pitch"] = -1, True
    examples["../../evil"] = examples["ghost_acoustic_000-001-002"] = examples[keys[2]]
    path.write_text(json.dumps(examples))
    corpus = prepare(tmp_path / "s", tmp_path / "c", feature=SMALL)
    assert corpus.labels("pitch")[:3] == [None, None, 70]
    health = (tmp_path / "c/health.md").read_text()
    assert "2 sounds: pitch in examples.json" in health and "outside audio" in health
    assert reported(tmp_path / "c")["audio/ghost_acoustic_000-001-002.wav"]["code"] == "not_found"


def test_a_csv_gives_labels_and_split(tmp_path: Path) -> None:
    plain_folder(tmp_path / "s", 4)
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,pitch,mood,split\nhigh/s000.wav,60,=calm,train\ns001.wav,61,wild,val\n"
        "s002,,calm,training\nnobody.wav,1,x,test\n"
    )
    corpus = prepare(tmp_path / "s", tmp_path / "c", feature=SMALL, labels_csv=table)
    by_file = {row.file: row for row in corpus.rows}
    assert by_file["high/s000.wav"].labels == {"pitch": 60, "mood": "=calm"}
    assert by_file["low/s001.wav"].split == "valid"
    assert by_file["high/s002.wav"].labels == {"pitch": None, "mood": "calm"}
    assert ",=calm" not in (tmp_path / "c/sounds.csv").read_text()  # a spreadsheet would run it
    health = (tmp_path / "c/health.md").read_text()
    assert "1 line of" in health and "1 sound without a line" in health


# Splits


def test_splits_are_disjoint_seeded_and_near_their_shares() -> None:
    rng = np.random.default_rng(0)
    groups = [f"i{k}" for k in rng.integers(0, 110, 5000)]
    strata = [f"f{int(g[1:]) % 11}" for g in groups]
    split = disjoint(groups, strata, (0.8, 0.1, 0.1), seed=0)
    homes = defaultdict(set)
    for group, name in zip(groups, split, strict=True):
        homes[group].add(name)
    assert all(len(home) == 1 for home in homes.values())
    for name, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        assert split.count(name) / 5000 == pytest.approx(share, abs=0.02)
        assert len({s for s, n in zip(strata, split, strict=True) if n == name}) >= 9
    assert split == disjoint(groups, strata, (0.8, 0.1, 0.1), seed=0)
    assert split != disjoint(groups, strata, (0.8, 0.1, 0.1), seed=1)


@pytest.mark.parametrize(("count", "names"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_few_sounds_fill_as_many_splits_as_they_can(count: int, names: int) -> None:
    split = disjoint([str(i) for i in range(count)], [None] * count, (0.8, 0.1, 0.1), seed=0)
    assert len(set(split)) == names and "train" in split


# Health


def test_a_broken_file_is_skipped_named_counted_and_the_rest_done(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s", 12)
    (root / "low/broken.wav").write_bytes(b"no sound")
    (root / "low/void.wav").write_bytes(b"")
    put(root / "low/silent.wav", amplitude=0.0)
    put(root / "low/dc.wav", 445)
    x, _ = soundfile.read(root / "low/dc.wav")
    soundfile.write(root / "low/dc.wav", x + 0.2, RATE)
    soundfile.write(root / "low/clipped.wav", np.clip(x * 9, -1, 1), RATE)
    for k in range(6):
        (root / f"high/copy{k}.wav").write_bytes((root / "low/s001.wav").read_bytes())
    corpus = prepare(root, tmp_path / "c", feature=SMALL)
    report = reported(tmp_path / "c")
    assert len(report) == 23 and len(corpus.rows) == 21
    assert list(report) == sorted(report)
    codes = {p.split("/")[1][:-4]: (r["status"], r["code"]) for p, r in report.items()}
    assert codes["broken"] == ("skipped", "not_audio") and codes["void"] == ("skipped", "empty")
    assert codes["silent"] == ("warn", "silent") and codes["dc"] == ("warn", "dc")
    assert codes["clipped"] == ("warn", "clipped") and codes["s001"] == ("ok", "ok")
    health = (tmp_path / "c/health.md").read_text()
    for text in ("21 of 23 files", "broken.wav", "repeat others exactly", "no sound has a pitch"):
        assert text in health
    copies = [r.split for r in corpus.rows if "copy" in r.file or "s001" in r.file]
    assert len(copies) == 7 and len(set(copies)) == 1  # copies of one sound share a split


def test_sound_and_picture_are_of_the_same_row(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s", 20)
    (root / "high/s004.wav").write_bytes(b"x")
    for i, n in enumerate((700, 3000, 9000)):  # other lengths go in other batches
        put(root / f"low/z{i}.wav", 300 + i, 0.02, n)
    corpus = prepare(root, tmp_path / "c", feature=SMALL)
    store = corpus.features(SMALL)
    import torch

    for row in corpus.rows:
        picture = SMALL.analyse(torch.from_numpy(corpus.audio(row.row, RATE).mono()))
        assert np.abs(store.read([row.row])[0] - picture.values.numpy()).max() < 1e-3
        assert store.level_db[row.row] == pytest.approx(float(picture.level_db), abs=1e-3)


# Refusals


def test_refusals_are_one_sentence_and_touch_nothing(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s", 3)
    before = everything(tmp_path)
    assert "no folder" in sentence(tmp_path / "absent", tmp_path / "c")
    assert "never changed" in sentence(root, root)
    assert "never changed" in sentence(root, root / "corpus")
    assert "contains the sounds" in sentence(root, tmp_path)
    assert "layout should be" in sentence(root, tmp_path / "c", layout="gtsan")
    assert "not of NSynth's layout" in sentence(root, tmp_path / "c", layout="nsynth")
    assert "shares" in sentence(root, tmp_path / "c", split=(0.5, 0.1, 0.1))
    (tmp_path / "empty").mkdir()
    assert "no audio files" in sentence(tmp_path / "empty", tmp_path / "c")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    assert "not a corpus" in sentence(root, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "precious"
    assert not (tmp_path / "c").exists()
    assert {k: v for k, v in everything(tmp_path).items() if k in before} == before


def test_nothing_usable_names_the_first_file(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.wav").write_bytes(b"text")
    text = sentence(tmp_path / "s", tmp_path / "c")
    assert "a.wav" in text and "none of the 1 files" in text
    with pytest.raises(CorpusError, match="not finished"):
        Corpus.open(tmp_path / "c")


def test_another_source_does_not_replace_a_corpus(tmp_path: Path) -> None:
    prepare(plain_folder(tmp_path / "s", 3), tmp_path / "c", feature=SMALL)
    assert "is the corpus of" in sentence(plain_folder(tmp_path / "t", 3), tmp_path / "c")


def test_the_users_files_are_not_changed(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s", 6)
    before, times = everything(root), {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    prepare(root, tmp_path / "c", feature=SMALL)
    assert everything(root) == before
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == times


# Again, interrupted, damaged, at once


def test_a_rerun_writes_nothing_and_a_changed_file_is_seen(tmp_path: Path) -> None:
    root, out = plain_folder(tmp_path / "s"), tmp_path / "c"
    first = prepare(root, out, feature=SMALL)
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert prepare(root, out, feature=SMALL).digest == first.digest
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == times
    other = LogMel(mels=20, frames=10, n_fft=512)
    old = np.asarray(first.features(other).values)
    put(root / "high/s000.wav", 3000.0)
    os.utime(root / "high/s000.wav", (1, 1))
    second = prepare(root, out, feature=SMALL)
    assert second.digest != first.digest
    changed = [a.file for a, b in zip(first.rows, second.rows, strict=True) if a.sha256 != b.sha256]
    assert changed == ["high/s000.wav"]
    new = np.asarray(second.features(other).values)
    assert (new[0] != old[0]).any() and (new[1:] == old[1:]).all()
    prepare(root, tmp_path / "fresh", feature=SMALL).features(other)
    assert everything(out) == everything(tmp_path / "fresh")


def test_two_workers_make_the_same_bytes_as_one(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s")
    seen: list[tuple[int, int]] = []
    prepare(root, tmp_path / "one", feature=SMALL, workers=0)
    prepare(
        root, tmp_path / "two", feature=SMALL, workers=2, progress=lambda d, n: seen.append((d, n))
    )
    assert everything(tmp_path / "one") == everything(tmp_path / "two")
    assert seen[-1] == (40, 40) and seen == sorted(seen)


def test_killed_at_any_write_a_rerun_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s")
    prepare(root, tmp_path / "whole", feature=SMALL)
    script = """
import os, sys
from pathlib import Path
from timbrespace.data import prepare as module
from timbrespace.features.log_mel import LogMel
left = 0
def dying(call):
    def f(*a, **k):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return call(*a, **k)
    return f
os.replace, os.fsync = dying(os.replace), dying(os.fsync)
import torch
torch.set_num_threads(1)
for left in map(int, sys.argv[3:]):
    if os.fork() == 0:
        feature = LogMel(mels=16, frames=20, n_fft=512)
        module.prepare(sys.argv[1], sys.argv[2] + str(left), feature=feature, workers=0)
        os._exit(0)
    if os.wait()[1] != 9:
        sys.exit(f"{left}: not killed")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    points = (0, 1, 4, 5, 17, 32, 49, 64, 73)  # of 75 calls that sync or rename
    command = [sys.executable, "-c", script, str(root), str(tmp_path / "killed")]
    subprocess.run([*command, *map(str, points)], env=environment, check=True)
    for point in points:
        out = tmp_path / f"killed{point}"
        kept = {p: p.stat().st_mtime_ns for p in out.rglob("part-*.*") if ".tmp." not in p.name}
        kept = {p: t for p, t in kept.items() if p.with_suffix(".jsonl").is_file()}
        prepare(root, out, feature=SMALL)
        assert everything(out) == everything(tmp_path / "whole"), point
        assert all(p.stat().st_mtime_ns == t for p, t in kept.items())


def test_a_full_disk_is_one_sentence_and_a_rerun_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plain_folder(tmp_path / "s")
    prepare(root, tmp_path / "whole", feature=SMALL)
    real, count = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > 9:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        text = sentence(root, tmp_path / "c", workers=0)
    assert "disk" in text and "full" in text and "kept" in text
    assert not [name for name in everything(tmp_path / "c") if ".tmp." in name]
    assert [name for name in everything(tmp_path / "c") if name.endswith(".npy")]
    prepare(root, tmp_path / "c", feature=SMALL)
    assert everything(tmp_path / "c") == everything(tmp_path / "whole")


def test_ctrl_c_keeps_finished_parts(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s")

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    for processes in (1, 2):
        out = tmp_path / f"c{processes}"
        with pytest.raises(KeyboardInterrupt):
            prepare(root, out, feature=SMALL, workers=processes, progress=stop)
        assert list(out.rglob("part-*.jsonl")) and not list(out.rglob("*.tmp.*"))
        assert len(prepare(root, out, feature=SMALL).rows) == 40


def test_a_flipped_byte_is_noticed_and_made_again(tmp_path: Path) -> None:
    root, out = plain_folder(tmp_path / "s"), tmp_path / "c"
    prepare(root, out, feature=SMALL)
    before = everything(out)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        data = bytearray(path.read_bytes())
        place = data.find(b'"channels": 1')  # a wrong number that is still valid JSON
        data[place + 12 if place >= 0 else len(data) // 2] ^= 2
        path.write_bytes(data)
        prepare(root, out, feature=SMALL)
        assert everything(out) == before, path.name


def test_a_second_prepare_at_once_is_refused_with_the_holder(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "s")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/.lock").write_text("999999")  # left by a dead process
    going, leave = threading.Event(), threading.Event()

    def slow(done: int, total: int) -> None:
        going.set()
        leave.wait(10)

    first = threading.Thread(
        target=prepare, args=(root, tmp_path / "c"), kwargs={"feature": SMALL, "progress": slow}
    )
    first.start()
    assert going.wait(10)
    text = sentence(root, tmp_path / "c")
    leave.set()
    first.join()
    assert f"process {os.getpid()}" in text
    assert len(Corpus.open(tmp_path / "c").rows) == 40


@pytest.mark.parametrize("processes", [None, 2])
def test_a_file_that_hangs_or_kills_its_worker_is_named_and_the_rest_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int | None
) -> None:
    root = plain_folder(tmp_path / "s")
    stub = tmp_path / "stub"
    stub.mkdir()
    # A worker whose decoder spins on one file and dies on another.
    (stub / "sitecustomize.py").write_text(
        "import os, time, threading\n"
        "from timbrespace.data import part\n"
        "real = part.Sound\n"
        "def decode(path, **k):\n"
        "    if 's003' in str(path): time.sleep(60)\n"
        "    if 's006' in str(path): os._exit(139)\n"
        "    return real(path, **k)\n"
        "part.Sound = decode\n"
        "import runpy, sys\n"
        "if sys.argv[:1] == ['-m']:\n"
        "    i = sys.orig_argv.index('timbrespace.data.part')\n"
        "    part.worker(sys.orig_argv[i + 1]); os._exit(0)\n"
    )
    monkeypatch.syspath_prepend(str(stub))
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    monkeypatch.setattr(jobs, "LEAST", 1)  # as it is outside of tests
    start = time.monotonic()
    corpus = prepare(root, tmp_path / "c", feature=SMALL, workers=processes)
    assert time.monotonic() - start < 50
    report = reported(tmp_path / "c")
    assert len(corpus.rows) == 38
    assert report["low/s003.wav"]["code"] == "timeout"
    assert report["high/s006.wav"]["code"] == "crash"


def test_atomic_writing_keeps_the_old_on_failure(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), atomic.replacing(tmp_path / "a") as file:
        file.write(b"half")
        raise RuntimeError
    assert everything(tmp_path) == {"a": b"old"}
    (tmp_path / "b.tmp.99999999").write_text("left by a dead process")
    (tmp_path / f"c.tmp.{os.getpid()}").write_text("being written")
    atomic.remove_abandoned(tmp_path)
    assert sorted(everything(tmp_path)) == ["a", f"c.tmp.{os.getpid()}"]


def test_part_names_change_with_files_and_settings(tmp_path: Path) -> None:
    put(tmp_path / "a.wav")
    name = part.inputs_digest(tmp_path, ("a.wav",), SMALL, Cut(), 600.0)
    assert name == part.inputs_digest(tmp_path, ("a.wav",), SMALL, Cut(), 600.0)
    assert name != part.inputs_digest(tmp_path, ("a.wav",), LogMel(mels=17), Cut(), 600.0)
    os.utime(tmp_path / "a.wav", (1, 1))
    assert name != part.inputs_digest(tmp_path, ("a.wav",), SMALL, Cut(), 600.0)
