"""The corpus: rows and labels as prepared, pictures that any index finds, features on demand."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from timbrespace.data.columns import Labels, Texts
from timbrespace.data.corpus import Corpus
from timbrespace.data.prepare import prepare
from timbrespace.data.store import Pictures
from timbrespace.data.table import Row, Table
from timbrespace.errors import CorpusError, RecipeError
from timbrespace.features.log_mel import LogMel

RATE = 16000
SMALL = LogMel(mels=16, frames=20, n_fft=512)
OTHER = LogMel(mels=24, frames=10, n_fft=1024)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    for i in range(37):
        x = 0.4 * np.sin(2 * np.pi * (200 + 30 * i) * np.arange(6000) / RATE)
        path = tmp_path / "sounds" / f"f{i % 3}" / f"s{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, x, RATE)
    return tmp_path / "sounds"


@pytest.fixture
def corpus(tmp_path: Path, sounds: Path) -> Corpus:
    return prepare(sounds, tmp_path / "c", feature=SMALL)


def test_a_corpus_opens_as_it_was_made(corpus: Corpus) -> None:
    again = Corpus.open(corpus.path)
    assert again.rows == corpus.rows and again.digest == corpus.digest
    assert [row.row for row in again.rows] == list(range(37))
    assert again.label_names == ["family"] and set(again.labels("family")) == {"f0", "f1", "f2"}
    splits = [set(again.split_rows(name)) for name in ("train", "valid", "test")]
    assert set.union(*splits) == set(range(37)) and sum(map(len, splits)) == 37
    assert again.rows[0].level_db == pytest.approx(20 * np.log10(0.4), abs=0.01)
    assert again.rows[0].seconds == 6000 / RATE


def test_audio_is_the_users_file_at_the_asked_rate(corpus: Corpus) -> None:
    sound = corpus.audio(5, sample_rate=8000)
    assert sound.sample_rate == 8000 and sound.seconds == pytest.approx(6000 / RATE)
    hz = int(corpus.rows[5].file[-6:-4]) * 30 + 200
    spectrum = np.abs(np.fft.rfft(sound.mono()))
    assert np.argmax(spectrum) * 8000 / len(sound.mono()) == pytest.approx(hz, abs=2)


def test_pictures_are_found_by_any_index_across_parts(corpus: Corpus) -> None:
    store = corpus.features(SMALL)
    assert store.values.shape == (37, 16, 20) and store.values.dtype == np.float16
    assert len(list((corpus.path / "features" / SMALL.fingerprint).glob("part-*.npy"))) > 2
    whole = np.asarray(store.values)
    rows = np.array([36, 0, 15, 16, 0, 31, 32])
    assert (store.values[rows] == whole[rows]).all()
    assert (store.values[3:30:4] == whole[3:30:4]).all() and (store.values[-1] == whole[36]).all()
    assert (store.values[rows > 15][0] == whole[0]).all()
    assert store.read(rows).dtype == np.float32
    with pytest.raises(IndexError):
        store.values[37]
    with pytest.raises(IndexError):
        store.values[np.array([-38])]
    for row in (0, 16, 36):
        truth = SMALL.analyse(torch.from_numpy(corpus.audio(row).mono())).values.numpy()
        assert np.abs(whole[row] - truth).max() < 1e-3  # half precision


def test_another_feature_is_made_once_when_asked_for(corpus: Corpus) -> None:
    calls: list[int] = []
    store = corpus.features(OTHER, progress=lambda done, total: calls.append(done))
    truth = OTHER.analyse(torch.from_numpy(corpus.audio(20).mono()))
    assert np.abs(store.values[20] - truth.values.numpy()).max() < 1e-3
    assert store.level_db[20] == pytest.approx(float(truth.level_db), abs=1e-3)
    assert calls[-1] == 37
    calls.clear()
    again = Corpus.open(corpus.path).features(OTHER, progress=lambda d, n: calls.append(d))
    assert not calls and (np.asarray(again.values) == np.asarray(store.values)).all()
    assert (np.asarray(corpus.features(SMALL).values).shape) == (37, 16, 20)


def test_single_precision_lies_beside_half(corpus: Corpus) -> None:
    assert "dtype" not in SMALL.settings()  # stores made before there was a choice keep their name
    single = replace(SMALL, dtype="float32")
    half, store = corpus.features(SMALL), corpus.features(single)
    truth = SMALL.analyse(torch.from_numpy(corpus.audio(20).mono())).values.numpy()
    assert store.values.dtype == np.float32 and single.fingerprint != SMALL.fingerprint
    assert (
        np.abs(store.read([20])[0] - truth).max() < 1e-6 < np.abs(half.read([20])[0] - truth).max()
    )
    with pytest.raises(RecipeError, match="float16 or float32, got 'float64'"):
        replace(SMALL, dtype="float64")


def test_a_corpus_opens_without_its_columns_and_with_damaged_ones(corpus: Corpus) -> None:
    columns = corpus.path / "sounds.safetensors"
    data = bytearray(columns.read_bytes())
    data[-3] ^= 1
    columns.write_bytes(data)
    assert Corpus.open(corpus.path).rows == corpus.rows
    columns.unlink()
    facts = json.loads((corpus.path / "corpus.json").read_text())
    del facts["columns_sha256"]  # as corpora were before there were columns
    (corpus.path / "corpus.json").write_text(json.dumps(facts))
    again = Corpus.open(corpus.path)
    assert again.rows == corpus.rows and again.digest == corpus.digest
    assert len(again.features(SMALL)) == 37


def test_rows_are_made_when_they_are_asked_for(corpus: Corpus) -> None:
    assert corpus.rows[-1].row == 36 and [r.row for r in corpus.rows[3:20:8]] == [3, 11, 19]
    assert corpus.rows[4].name == "s12" == corpus.rows.name(4)
    with pytest.raises(IndexError):
        corpus.rows[37]


def test_a_changed_or_missing_sound_is_named(corpus: Corpus, sounds: Path) -> None:
    victim = sounds / corpus.rows[7].file
    soundfile.write(victim, np.full(6000, 0.1), RATE)
    with pytest.raises(CorpusError, match=f"{victim.name} changed since"):
        corpus.features(OTHER)
    victim.unlink()
    (sounds / corpus.rows[9].file).unlink()
    with pytest.raises(CorpusError, match=f"{victim.name} and 1 more cannot be used any more"):
        corpus.features(OTHER)
    with pytest.raises(CorpusError, match=victim.name):
        corpus.audio(7)


def test_what_it_has_not_is_said(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="it has: family"):
        corpus.labels("pitch")
    with pytest.raises(CorpusError, match="train, valid or test"):
        corpus.split_rows("training")
    with pytest.raises(CorpusError, match="0 to 36"):
        corpus.audio(37)
    with pytest.raises(CorpusError, match="does not exist"):
        Corpus.open(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="is not a corpus"):
        Corpus.open(tmp_path)


def test_an_edited_table_is_noticed(corpus: Corpus) -> None:
    path = corpus.path / "sounds.csv"
    path.write_text(path.read_text().replace(",train,", ",test,", 1))
    with pytest.raises(CorpusError, match="not the one that was prepared"):
        Corpus.open(corpus.path)


def test_damaged_pictures_are_made_again(corpus: Corpus) -> None:
    before = np.asarray(corpus.features(SMALL).values)
    folder = corpus.path / "features" / SMALL.fingerprint
    part = sorted(folder.glob("part-*.npy"))[1]
    part.write_bytes(part.read_bytes()[:500])
    assert (np.asarray(Corpus.open(corpus.path).features(SMALL).values) == before).all()


def test_rows_survive_the_table_whatever_their_names() -> None:
    names = ["a,b.wav", 'q"q.wav', "=1+1.wav", "'quoted.wav", "new\nline.wav", "caf\udce9.wav"]
    count = len(names)
    table = Table(
        Texts.of(names), np.full(count, RATE, np.int32), np.zeros((count, 32), np.uint8),
        {"mood": Labels.of(names), "pitch": Labels.of(i or None for i in range(count))},
        np.arange(count, dtype=np.int32), np.zeros(count, np.int8), np.arange(count) / 3,
        np.full(count, 0.5), np.full(count, -3.0),
    )  # fmt: skip
    assert [row.file for row in table] == names == [row.labels["mood"] for row in table]
    assert [row.labels["pitch"] for row in table] == [None, *range(1, count)]
    data = b"".join(table.to_csv())
    assert Table.from_csv(io.BytesIO(data), table.kinds) == table
    assert Table.from_columns(table.to_columns(), table.kinds) == table
    assert b"\n2,=1" not in data


def test_no_rows_are_a_legal_index() -> None:
    pictures = Pictures([np.zeros((3, 2, 2), np.float16)], (2, 2), "float16")
    assert pictures[np.array([], dtype=int)].shape == (0, 2, 2) and pictures[5:].shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("labels", "title"),
    [({"pitch": 0, "family": "reed", "artist": "x"}, "reed, pitch 0"),
     ({"genre": "", "speaker": "p1", "pitch": None}, "p1"), ({}, "k at 1.50 s")],
)  # fmt: skip
def test_a_sound_is_called_by_its_labels_or_its_place(labels: dict, title: str) -> None:
    assert Row(0, "a/k.wav", "train", 1.5, 1.0, 16000, 0.0, "", labels).title == title
