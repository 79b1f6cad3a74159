"""Measure the built-in instruments: speed, pitch, levels, splits, and the bank against its font.

Run `python bench/instruments.py [--notes 2000] [--pitch-notes 300] [--font FluidR3_GM.sf2]`; it
prints a table and writes it to bench/results/instruments.md. Needs the `dev` extra (librosa).
"""

from __future__ import annotations

import json
import os
import platform
import resource
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import librosa
import numpy as np
import soundfile
from result import FOLDER, made_by, options, table, write

from timbrespace.data.instruments import (
    BANK,
    FAMILIES,
    SPLITS,
    VELOCITIES,
    Summary,
    catalogue,
    choose_notes,
    render_instruments,
)
from timbrespace.data.sampler import Sampler
from timbrespace.data.soundfont import SoundFont

Table = list[tuple[str, str]]


def speed(folder: Path, notes: int) -> tuple[Table, Summary]:
    """One process, CPU and wall; then all cores into another folder."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    summary = render_instruments(folder / "one", notes=notes, workers=1)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    everything = render_instruments(folder / "all", notes=notes)
    return [
        ("notes rendered and written", f"{notes}"),
        ("notes/s per core (CPU time, catalogue and files included)", f"{notes / cpu:.0f}"),
        ("notes/s, one process (wall)", f"{notes / summary.seconds:.0f}"),
        (f"notes/s, {os.cpu_count()} cores (wall)", f"{notes / everything.seconds:.0f}"),
        ("left out as inaudible", f"{summary.left_out}"),
    ], summary


def examples(folder: Path) -> list[tuple[Path, dict]]:
    found = []
    for split in SPLITS:
        root = folder / f"nsynth-{split}"
        for name, entry in json.loads((root / "examples.json").read_text()).items():
            found.append((root / "audio" / f"{name}.wav", entry))
    return found


def pitch(folder: Path, notes: int) -> Table:
    """pyin on the loudest second, voiced or not: the median over frames within 30 dB of the top."""
    rng = np.random.default_rng(1)
    everything = examples(folder)
    names = json.loads((folder / "provenance.json").read_text())["instruments"]
    exact = octaves = 0
    wrong: Counter[str] = Counter()
    for at in rng.choice(len(everything), min(notes, len(everything)), replace=False):
        path, entry = everything[at]
        sound, rate = soundfile.read(path)
        start = min(int(np.abs(sound).argmax()), len(sound) - rate)
        sound = sound[start : start + rate]
        f0, _, _ = librosa.pyin(
            sound, fmin=25, fmax=5000, sr=rate, frame_length=2048, hop_length=512, fill_na=None
        )
        level = librosa.feature.rms(y=sound, frame_length=2048, hop_length=512)[0]
        heard = level > level.max() * 10 ** (-30 / 20)
        off = float(np.median(librosa.hz_to_midi(f0[heard]))) - entry["pitch"]
        exact += abs(off) < 0.5
        octaves += abs(off - 12 * round(off / 12)) < 0.5
        if abs(off) >= 0.5:
            wrong[names[entry["instrument_str"]]["preset"]] += 1
    count = min(notes, len(everything))
    return [
        (f"pitch within half a semitone (pyin, {count} notes)", f"{exact / count:.1%}"),
        ("the same apart from octaves", f"{octaves / count:.1%}"),
        ("off most often", ", ".join(f"{name} {n}" for name, n in wrong.most_common(6))),
    ]


def levels(folder: Path) -> Table:
    peaks, offsets, loudness = [], [], defaultdict(list)
    clipped = wrong = 0
    for path, entry in examples(folder):
        sound, rate = soundfile.read(path, dtype="int16")
        wrong += rate != 16000 or sound.shape != (64000,)
        clipped += bool(np.abs(sound.astype(int)).max() >= 32767)
        sound = sound / 32768
        peaks.append(np.abs(sound).max())
        offsets.append(abs(sound.mean()))
        loudness[entry["velocity"]].append(10 * np.log10(np.mean(sound**2)))
    rms = " / ".join(f"{np.median(loudness[v]):.1f}" for v in VELOCITIES)
    return [
        ("wrong rate or length", f"{wrong}"),
        ("clipped", f"{clipped}"),
        ("peak: least, median, most", " / ".join(
            f"{v:.4f}" for v in (min(peaks), np.median(peaks), max(peaks)))),
        ("largest mean (DC)", f"{max(offsets):.5f}"),
        ("median RMS at velocity 25/50/75/100/127, dBFS", rms),
    ]  # fmt: skip


def splits(folder: Path, summary: Summary) -> Table:
    listed = json.loads((folder / "provenance.json").read_text())["instruments"].values()
    heard: dict[str, set[int]] = defaultdict(set)
    families: dict[str, set[str]] = defaultdict(set)
    for item in listed:
        heard[item["split"]].update(item["recordings"])
        families[item["split"]].add(item["family"])
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    shared = sum(len(heard[a] & heard[b]) for a, b in pairs)
    return [
        ("instruments train/valid/test", "/".join(str(summary.instruments[s]) for s in SPLITS)),
        ("notes train/valid/test", "/".join(str(summary.by_split[s]) for s in SPLITS)),
        ("families train/valid/test", "/".join(
            f"{len(families[s])} of {len(FAMILIES)}" for s in SPLITS)),
        ("recordings in two splits", f"{shared}"),
    ]  # fmt: skip


def against(font_path: Path) -> Table:
    """Log-mel of three notes of each instrument, from the bank and from the font it was made of."""
    bank, font = SoundFont.open(BANK), SoundFont.open(font_path)
    items = catalogue(bank)
    assert [i.preset for i in items] == [i.preset for i in catalogue(font)]
    rng, chosen = np.random.default_rng(0), choose_notes(items, 3000)
    filters = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=80)
    means, loud = [], []
    for item in items:
        pictures = []
        pairs = [chosen[item.index][i] for i in rng.choice(len(chosen[item.index]), 3)]
        for source in (font, bank):
            preset = next(p for p in source.presets if (p.bank, p.program) == (0, item.program))
            sampler = Sampler(source)
            sounds = [sampler.note(preset, *pair) for pair in pairs]
            power = np.abs(librosa.stft(np.stack(sounds), n_fft=1024, hop_length=256)) ** 2
            pictures.append(filters @ power)
            source.forget()
        top = pictures[0].max(axis=(1, 2), keepdims=True)
        a, b = (10 * np.log10(np.maximum(p / top, 1e-8)) for p in pictures)
        for x, y in zip(a, b, strict=True):
            means.append(np.abs(x - y).mean())
            loud.append(np.abs(x - y)[np.maximum(x, y) > -50].mean())
    return [
        (f"bank against font, {len(means)} notes: absolute log-mel difference, floor -80 dB, "
         "mean / median", f"{np.mean(means):.2f} / {np.median(means):.2f} dB"),
        ("the same within 50 dB of the peak", f"{np.mean(loud):.2f} / {np.median(loud):.2f} dB"),
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--notes", type=int, default=2000)
    parser.add_argument("--pitch-notes", type=int, default=300)
    parser.add_argument("--font", type=Path, help="the font that the bank was built from")
    parser.add_argument("--out", type=Path, default=FOLDER / "instruments.md")
    arguments = parser.parse_args()
    started = time.perf_counter()
    SoundFont.open(BANK)
    opened = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, summary = speed(folder, arguments.notes)
        rows = [
            ("bank", f"{BANK.name}, {BANK.stat().st_size / 1e6:.1f} MB"),
            ("opening the bank", f"{1000 * opened:.0f} ms"),
            *rows,
            *splits(folder / "one", summary),
            *levels(folder / "one"),
            *pitch(folder / "one", arguments.pitch_notes),
        ]
        if arguments.font:
            rows += against(arguments.font)
    font = " --font FluidR3_GM.sf2" if arguments.font else ""
    about = made_by(
        f"python bench/instruments.py --notes {arguments.notes} "
        f"--pitch-notes {arguments.pitch_notes}{font}",
        f"Python {platform.python_version()}",
    )
    write(arguments.out, "Built-in instruments", about, table(("what", "measured"), rows))


if __name__ == "__main__":
    main()
