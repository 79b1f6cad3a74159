"""Sounds and corpora at addresses: the same corpus as from folders, whatever the storage does."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from timbrespace import recipe
from timbrespace.data import fetching, mirror, storage
from timbrespace.data.corpus import Corpus
from timbrespace.data.part import make
from timbrespace.data.prepare import prepare
from timbrespace.data.storage import Storage
from timbrespace.errors import CorpusError, MissingExtra
from timbrespace.features.log_mel import LogMel
from timbrespace.runs import Run

SMALL = LogMel(mels=16, frames=20, n_fft=512)
SOURCE, OUT = "memory://bucket/sounds", "memory://bucket/corpus"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """An empty bucket and cache, and no pauses between tries."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "cache"))
    for module in (storage, fetching):
        monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """40 sounds in two folders, one of them empty of bytes."""
    root = tmp_path_factory.mktemp("here") / "sounds"
    rng = np.random.default_rng(0)
    for i in range(40):
        path = root / f"group{i % 2}" / f"s{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        x = 0.3 * np.sin(2 * np.pi * (100 + i) * np.arange(4000) / 16000)
        soundfile.write(path, x + 0.01 * rng.normal(size=4000), 16000)
    (root / "group1" / "s21.wav").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def local(sounds, tmp_path_factory) -> Corpus:
    return prepare(sounds, tmp_path_factory.mktemp("local") / "c", feature=SMALL, workers=0)


def bucket() -> MemoryFileSystem:
    return fsspec.filesystem("memory")


def upload(sounds: Path) -> None:
    bucket().put(str(sounds), "/bucket/sounds", recursive=True)


def made(source: str = SOURCE, out: str = OUT, **how) -> Corpus:
    return prepare(source, out, feature=SMALL, workers=0, **how)


def objects() -> dict[str, bytes]:
    return {name: bucket().cat(name) for name in bucket().find("/bucket/corpus")}


def refusal(kind: type[Exception] = CorpusError, *args, **how) -> str:
    with pytest.raises(kind) as caught:
        made(*args, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_from_bucket_to_bucket_is_as_from_folder_to_folder(sounds, local, monkeypatch):
    upload(sounds)
    corpus = made()
    assert corpus.place == OUT and corpus.root == SOURCE
    for name in ("sounds.csv", "sounds.safetensors", "report.jsonl", "health.md"):
        assert bucket().cat(f"/bucket/corpus/{name}") == (local.path / name).read_bytes(), name
    ours, theirs = corpus.features(SMALL), local.features(SMALL)
    assert np.array_equal(ours.values[:], theirs.values[:])
    assert np.array_equal(ours.level_db, theirs.level_db)
    assert np.array_equal(corpus.audio(3).samples, local.audio(3).samples)
    # A second time nothing is fetched and nothing written.
    before = objects()
    with monkeypatch.context() as patch:
        patch.setattr(fetching._Fetch, "run", lambda self: pytest.fail("fetched again"))
        patch.setattr(Storage, "put", lambda *a: pytest.fail("written again"))
        made()
    assert objects() == before


def test_another_machine_opens_it_and_makes_a_second_feature(sounds, tmp_path, monkeypatch):
    upload(sounds)
    first = made()
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "another"))
    other = Corpus.open(OUT)
    assert other.path != first.path and other.digest == first.digest
    assert np.array_equal(other.features(SMALL).values[:], first.features(SMALL).values[:])
    feature = LogMel(mels=8, frames=20, n_fft=512)
    pictures = other.features(feature).values[:]
    monkeypatch.setattr(fetching._Fetch, "run", lambda self: pytest.fail("made again"))
    assert np.array_equal(first.features(feature).values[:], pictures)
    run = Run.create(tmp_path / "run", recipe.load("instruments"), other)
    assert Run.open(run.path).corpus.place == OUT


def test_only_the_part_of_a_changed_object_is_made_again(sounds, monkeypatch):
    upload(sounds)
    before = made()
    pictures = before.features(SMALL).values
    parts = {name for name in objects() if name.endswith(".npy")}
    quiet = 0.01 * np.sin(np.arange(4000))
    soundfile.write(f"{before.path}.wav", quiet, 16000)
    bucket().put_file(f"{before.path}.wav", "/bucket/sounds/group0/s10.wav")
    after = made()
    changed = [a.file for a, b in zip(after.rows, before.rows, strict=True) if a.sha256 != b.sha256]
    assert changed == ["group0/s10.wav"]
    now = {name for name in objects() if name.endswith(".npy") and "part-" in name}
    assert len(now - parts) == 1
    # What nothing names any more is gone, and the reader of the old state still has it.
    assert len(now) == len({n for n in parts if "part-" in n})
    assert len(before.features(SMALL)) == len(pictures[:]) == 39
    with pytest.raises(CorpusError, match="prepared anew since it was opened"):
        before.features(LogMel(mels=8, frames=20, n_fft=512))


def test_a_prepare_that_dies_leaves_no_half_corpus_and_is_finished_by_the_next(sounds, monkeypatch):
    upload(sounds)
    real, count = Storage.put, [0]

    def dies(self, path, name):
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt
        real(self, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            made()
    with pytest.raises(CorpusError, match="is not finished"):
        Corpus.open(OUT)
    fetched: list[str] = []
    run = fetching._Fetch.run
    with monkeypatch.context() as patch:
        patch.setattr(
            fetching._Fetch, "run", lambda self: (fetched.append(self.file), run(self))[1]
        )
        patch.setenv(storage.CACHE, os.environ[storage.CACHE] + "-of-another-machine")
        made()
    assert 0 < len(fetched) < 40
    left = objects()
    bucket().rm("/bucket/corpus", recursive=True)
    made()
    assert objects() == left


def test_tables_come_after_what_they_name(sounds, monkeypatch):
    upload(sounds)
    names: list[str] = []
    real = Storage.put
    monkeypatch.setattr(
        Storage, "put", lambda s, p, name: (names.append(name), real(s, p, name))[1]
    )
    made()
    last_part = max(n for n, name in enumerate(names) if "part-" in name)
    feature = next(n for n, name in enumerate(names) if name.endswith("feature.json"))
    assert last_part < feature < len(names) - 1 and names[-1] == "corpus.json"


def test_a_damaged_part_is_refused_by_readers_and_made_again(sounds, tmp_path, monkeypatch):
    upload(sounds)
    whole = made().features(SMALL).values[:]
    part = next(n for n in objects() if "part-" in n and n.endswith(".npy"))
    bucket().pipe_file(part, bucket().cat(part)[:-1] + b"\x01")
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "another"))
    with pytest.raises(CorpusError, match="memory://bucket/corpus/.* is damaged"):
        Corpus.open(OUT).features(SMALL)
    assert np.array_equal(made().features(SMALL).values[:], whole)


def failing(monkeypatch, fails) -> list[str]:
    """Fetches of the sounds for which `fails` is true do not succeed; returns their names."""
    asked: list[str] = []
    real = MemoryFileSystem.get_file

    def get_file(self, path, *args, **kw):
        if path.endswith(".wav") and fails(path):
            asked.append(path)
            raise ConnectionResetError("the other side has gone")
        return real(self, path, *args, **kw)

    monkeypatch.setattr(MemoryFileSystem, "get_file", get_file)
    return asked


def test_a_fetch_that_fails_is_tried_again_then_skipped_then_tried_by_the_next(sounds, monkeypatch):
    upload(sounds)
    with monkeypatch.context() as patch:
        asked = failing(patch, lambda path: path.endswith("s10.wav"))
        corpus = made()
        assert len(asked) == 3
    health = json.loads((corpus.path / "health.json").read_text())
    (line,) = [f for f in health["skipped_files"] if f["path"].endswith("s10.wav")]
    assert "could not be fetched (the other side has gone)" in line["message"]
    assert len(corpus.rows) == 38 and len(made().rows) == 39


def test_a_fetch_that_stands_still_is_left_behind(sounds, monkeypatch):
    upload(sounds)
    monkeypatch.setattr(fetching, "STILL", 0.2)
    monkeypatch.setattr(fetching, "_POLL", 0.02)
    real, over = MemoryFileSystem.get_file, threading.Event()

    def get_file(self, path, *args, **kw):
        if path.endswith("s10.wav"):
            over.wait(20)
        return real(self, path, *args, **kw)

    monkeypatch.setattr(MemoryFileSystem, "get_file", get_file)
    began = time.monotonic()
    corpus = made()
    over.set()
    assert time.monotonic() - began < 10
    told = (corpus.path / "health.json").read_text()
    assert "nothing came for 0.2 s" in told and len(corpus.rows) == 38


def test_a_storage_that_is_gone_ends_the_work(sounds, monkeypatch):
    upload(sounds)
    with monkeypatch.context() as patch:
        failing(patch, lambda path: "s3" in path or "s2" in path or "group1" in path)
        told = refusal()
    assert "8 sounds in a row could not be fetched from memory://bucket/sounds" in told
    assert not any(name.endswith("corpus.json") for name in objects())
    assert len(made().rows) == 39


def test_nothing_that_was_fetched_stays(sounds, tmp_path, monkeypatch):
    upload(sounds)
    monkeypatch.setattr(fetching.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    most = [0]

    def beat(position: int) -> None:
        here = list((tmp_path / "temporary").rglob("*.tmp.*"))
        most[0] = max(most[0], len(here))

    monkeypatch.setattr("timbrespace.data.workers.make", lambda job, *_: make(job, beat))
    made()
    assert 1 < most[0] <= fetching.AHEAD + 1, "some are fetched ahead, not all"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_layouts_tables_and_lists_at_an_address(sounds, tmp_path):
    files = sorted((sounds / "group0").iterdir())[:12]
    fs = bucket()
    examples = {}
    for n, file in enumerate(files):
        stem = f"bass_synthetic_00{n % 4}-{40 + n:03d}-100"
        fs.put_file(str(file), f"/n/nsynth-valid/audio/{stem}.wav")
        examples[stem] = {"note": n, "pitch": n, "velocity": 9, "instrument_str": f"i{n % 4}"}
        fs.put_file(str(file), f"/t/audio/{n}.wav")
    fs.pipe_file("/n/nsynth-valid/examples.json", json.dumps(examples).encode())
    nsynth = made("memory://n", "memory://n-corpus")
    assert nsynth.layout == "nsynth" and sorted(nsynth.labels("pitch")) == list(range(12))
    lines = "".join(f"audio/{n}.wav,{'ab'[n % 2]}\n" for n in range(12))
    fs.pipe_file("/t/labels.csv", f"path,kind\n{lines}".encode())
    fs.pipe_file("/t/lists/train.txt", "\n".join(f"audio/{n}.wav" for n in range(8)).encode())
    fs.pipe_file("/t/lists/valid.txt", "\n".join(f"audio/{n}.wav" for n in range(8, 12)).encode())
    table = made("memory://t/labels.csv", "memory://t-table")
    assert table.layout == "table" and table.root == "memory://t"
    assert set(table.labels("kind")) == {"a", "b"}
    labelled = made(
        "memory://t", "memory://t-corpus", layout="folder", labels_csv="memory://t/labels.csv",
        split_lists="memory://t/lists",
    )  # fmt: skip
    assert set(labelled.labels("kind")) == {"a", "b"}
    assert [len(labelled.split_rows(s)) for s in ("train", "valid")] == [8, 4]
    one = made("memory://t/audio/3.wav", "memory://one")
    assert one.layout == "file" and one.audio(0).samples.shape == (1, 4000)


def test_errors_and_notes_name_the_address_not_its_copy(sounds, monkeypatch):
    assert refusal().startswith("there is nothing at memory://bucket/sounds")
    upload(sounds)
    told = refusal(layout="vctk")
    assert "memory://bucket/sounds is not of VCTK's layout" in told
    assert "cache" not in told
    # Object stores have names that no folder has: one within another, ways out of the folder.
    real = Storage.list
    odd = ("x.wav/y.wav", "x.wav", "../../../x.wav", "a//b.wav", f"{'x' * 300}.wav", "nul\0.wav")
    strange = {name: storage.Object(1, "") for name in odd}
    monkeypatch.setattr(
        Storage,
        "list",
        lambda s, *a, **k: {**real(s, *a, **k), **(strange if s.address == SOURCE else {})},
    )
    corpus = made()
    notes = (corpus.path / "health.json").read_text()
    assert "5 objects whose name no file can have, left out (the first: x.wav)" in notes
    assert len(corpus.rows) == 39


def test_places_that_a_corpus_cannot_have(sounds):
    upload(sounds)
    assert "cannot be in the folder of the sounds" in refusal(CorpusError, SOURCE, f"{SOURCE}/c")
    assert "contains the sounds" in refusal(CorpusError, SOURCE, "memory://bucket")
    bucket().pipe_file("/other/thing.txt", b"x")
    assert "holds something that is not a corpus (thing.txt)" in refusal(
        CorpusError, SOURCE, "memory://other"
    )
    made()
    assert f"is the corpus of {SOURCE}" in refusal(CorpusError, f"{SOURCE}/group0", OUT)
    with pytest.raises(CorpusError, match="give it as text"):
        prepare(Path("s3://bucket/x"), OUT)


def test_who_holds_the_lock_elsewhere_is_waited_for_only_while_alive(sounds, monkeypatch):
    upload(sounds)
    monkeypatch.setattr(mirror, "DEAD", 0.3)
    monkeypatch.setattr(mirror, "BEAT", 0.02)
    bucket().pipe_file("/bucket/corpus/.lock", b"another 0")
    over = threading.Event()

    def lives() -> None:
        count = 0
        while not over.wait(0.02):
            count += 1
            bucket().pipe_file("/bucket/corpus/.lock", b"another %d" % count)

    thread = threading.Thread(target=lives, daemon=True)  # a failing test should not hang
    thread.start()
    told = refusal()
    over.set()
    thread.join()
    assert "memory://bucket/corpus is being prepared by another machine" in told
    assert len(made().rows) == 39, "nobody renews it any more"
    assert "/bucket/corpus/.lock" not in objects()


def test_passwords_are_neither_taken_nor_shown():
    for address in ("ftp://me:secret@host/x", "s3://me:secret@bucket/x?token=secret"):
        told = refusal(CorpusError, address, OUT)
        assert "secret" not in told and "me:" not in told and "FSSPEC_" in told


def test_what_is_not_installed_is_named(sounds, tmp_path, monkeypatch):
    assert "gone://" in refusal(CorpusError, "gone://x/y", OUT)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "fsspec", None)
        assert "pip install 'timbrespace[remote]'" in refusal(MissingExtra)
        made(str(sounds), str(tmp_path / "c"))  # which has no need of it


def test_sounds_that_were_heard_take_bounded_space(sounds, tmp_path, monkeypatch):
    upload(sounds)
    corpus = made()
    monkeypatch.setattr(fetching, "KEPT", 20_000)  # two of them
    for row in (0, 1, 2, 3):
        corpus.audio(row)
    kept = list((tmp_path / "cache" / "sounds").iterdir())
    assert len(kept) == 2
    bucket().rm("/bucket/sounds/group0/s00.wav")
    with pytest.raises(CorpusError, match="no such file.*memory://bucket/sounds"):
        corpus.audio(0)


def test_the_command_line_takes_addresses(sounds, tmp_path):
    from timbrespace.cli import app

    source, out = sounds.as_uri(), (tmp_path / "there" / "corpus").as_uri()
    made = CliRunner().invoke(app, ["prepare", source, "--out", out, "--json"])
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["corpus"] == out and told["sounds"] == 39
    assert not list((tmp_path / "there").rglob("*.tmp.*"))
