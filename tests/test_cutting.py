"""Cuts: nothing of a file is lost, everything is found again by row, onsets are where hits are."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from timbrespace.audio.files import Sound, resample
from timbrespace.audio.onsets import find_onsets
from timbrespace.data.corpus import Corpus
from timbrespace.data.cutting import Cut, pieces
from timbrespace.data.prepare import prepare
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

RATE = 8000
SMALL = LogMel(sample_rate=RATE, mels=16, frames=20, n_fft=512, hop=128)


def noise(path: Path, seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    samples = (np.round(samples * 32768) / 32768).astype(np.float32)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return samples


def cut_up(path: Path, cut: Cut, rate: int = RATE, seen: int = 10**9) -> list:
    with Sound(path, max_seconds=1e5) as sound:
        return list(pieces(sound, cut, rate, seen))


def hits(times: list[float], seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Decaying bursts, some noise and some tones, over a noise floor of -60 dB."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.001, round(seconds * rate))
    for number, time in enumerate(times):
        start = round(time * rate)
        t = np.arange(min(round(0.2 * rate), len(samples) - start)) / rate
        body = (
            rng.normal(0, 0.3, len(t)) if number % 2 else np.sin(2 * np.pi * 220 * 1.3**number * t)
        )
        samples[start : start + len(t)] += 0.5 * body * np.exp(-t * (15 + 10 * (number % 3)))
    return samples.astype(np.float32)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.01, 95.37])
def test_overlapping_chunks_hold_every_sample_at_its_place(tmp_path: Path, seconds: float) -> None:
    whole = noise(tmp_path / "a.wav", seconds)
    found = cut_up(tmp_path / "a.wav", Cut("chunks", 1.0, 0.25))
    covered = np.zeros(len(whole), bool)
    for number, piece in enumerate(found):
        assert piece.start == number * RATE // 4
        assert (piece.samples == whole[piece.start : piece.start + piece.length]).all()
        assert piece.peak == np.abs(piece.samples).max()
        covered[piece.start : piece.start + piece.length] = True
    assert covered.all()
    assert all(piece.length == RATE for piece in found[:-1])
    assert len(found) == 1 + max(0, -(-(len(whole) - RATE) // (RATE // 4)))


def test_a_resampled_chunk_is_what_resampling_the_whole_would_give(tmp_path: Path) -> None:
    whole = noise(tmp_path / "a.wav", 40.0, rate=22_050)
    truth = resample(whole, 22_050, 16_000)
    for piece in cut_up(tmp_path / "a.wav", Cut("chunks", 1.0, 0.5), rate=16_000):
        start = round(piece.start * 16_000 / 22_050)
        there = truth[start : start + len(piece.samples)]
        assert np.abs(piece.samples[: len(there)] - there).max() < 2e-3, piece.start


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(seconds: float) -> int:
        noise(tmp_path / "a.wav", seconds, rate=4000)
        tracemalloc.start()
        with Sound(tmp_path / "a.wav", max_seconds=1e5) as sound:
            for _ in pieces(sound, Cut("chunks", 2.0, 1.0), 4000, 8000):
                pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10.0)
    assert peak(1200.0) < 1.3 * peak(240.0) + 2**20


def test_onsets_are_found_where_the_hits_are() -> None:
    times = [0.5, 0.9, 1.02, 1.6, 2.5, 2.62, 3.3]
    found = find_onsets(hits(times, 4.0), 16_000) / 16_000
    assert len(found) == len(times)
    assert np.abs(found - times).max() < 0.005


def test_silence_has_no_onset_and_a_sound_that_is_there_from_the_first_sample_has_one() -> None:
    assert len(find_onsets(np.zeros(16_000, np.float32), 16_000)) == 0
    tone = np.sin(np.arange(16_000) * 0.1).astype(np.float32)
    assert len(find_onsets(tone, 16_000)) == 1 and find_onsets(tone, 16_000)[0] < 8
    assert find_onsets(tone[:100], 16_000).tolist() == [0]


def test_one_shots_begin_at_onsets_also_across_blocks_and_are_never_lost(tmp_path: Path) -> None:
    times = [0.4, 1.0, 1.05, 29.98, 30.02, 60.0, 61.5, 74.99]
    soundfile.write(tmp_path / "a.wav", hits(times, 75.02), 16_000)
    found = cut_up(tmp_path / "a.wav", Cut("onsets", 0.5), rate=16_000)
    assert np.abs(np.array([p.start for p in found]) / 16_000 - times).max() < 0.005
    lengths = [p.length / 16_000 for p in found]
    assert max(lengths) <= 0.5 and lengths[1] == pytest.approx(0.05, abs=0.01)
    assert lengths[-1] == pytest.approx(0.03, abs=0.006)


def test_rows_lead_back_to_file_and_time(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    wholes = {
        f"{i}.wav": noise(tmp_path / "s" / f"{i}.wav", 0.7 + 0.31 * i, seed=i) for i in range(5)
    }
    prepare(tmp_path / "s", tmp_path / "c", feature=SMALL, cut=Cut("chunks", 0.5, 0.2))
    corpus = Corpus.open(tmp_path / "c")
    pictures = corpus.features(SMALL).values
    assert len(corpus.rows) == len(pictures) > 15
    assert {row.name for row in corpus.rows if row.start in (0.0, 0.2)} >= {"1", "1 at 0.20 s"}
    for row in corpus.rows:
        start, length = round(row.start * RATE), round(row.seconds * RATE)
        own = corpus.audio(row.row).mono()
        assert (own == wholes[row.file][start : start + length]).all() and len(own) == length
        truth = SMALL.analyse(torch.from_numpy(own[:4000])).values.numpy()
        assert np.abs(pictures[row.row] - truth).max() < 1e-3
    for file in wholes:  # a file is never in two splits
        assert len({row.split for row in corpus.rows if row.file == file}) == 1


def test_a_file_without_onsets_is_named(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    soundfile.write(tmp_path / "s/hit.wav", hits([0.1, 0.5], 1.0), 16_000)
    soundfile.write(tmp_path / "s/still.wav", np.zeros(16_000), 16_000)
    corpus = prepare(tmp_path / "s", tmp_path / "c", feature=SMALL, cut=Cut("onsets"))
    assert [row.file for row in corpus.rows] == ["hit.wav", "hit.wav"]
    assert '"no_onset"' in (tmp_path / "c/report.jsonl").read_text()


def test_an_added_file_makes_one_part_and_a_removed_one_too(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for i in range(120):
        noise(tmp_path / "s" / f"{i:03d}.wav", 0.1, seed=i)
    prepare(tmp_path / "s", tmp_path / "c", feature=SMALL)
    folder = tmp_path / "c" / "features" / SMALL.fingerprint
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("part-*.npy")}
    noise(tmp_path / "s" / "050b.wav", 0.1, seed=999)
    prepare(tmp_path / "s", tmp_path / "c", feature=SMALL)
    after = {p.name: p.stat().st_mtime_ns for p in folder.glob("part-*.npy")}
    assert len(before) > 5 and len(before.items() - after.items()) == 1
    (tmp_path / "s" / "050b.wav").unlink()
    prepare(tmp_path / "s", tmp_path / "c", feature=SMALL)
    assert {p.name for p in folder.glob("part-*.npy")} == set(before)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "chunk"}, "did you mean chunks"),
        ({"kind": "start", "seconds": 1.0}, "use cut chunks"),
        ({"kind": "onsets", "hop": 1.0}, "no hop"),
        ({"kind": "chunks", "seconds": 0.001}, "from 0.02"),
        ({"kind": "chunks", "seconds": 1.0, "hop": 2.0}, "gaps"),
    ],
)
def test_a_cut_that_makes_no_sense_is_one_sentence(wrong: dict, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        Cut(**wrong)
