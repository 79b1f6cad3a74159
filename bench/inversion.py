"""Mel inversion beside librosa, on any folders of sounds, in one run and on one thread.

    OMP_NUM_THREADS=1 python bench/inversion.py FOLDER [--other NAME=FOLDER ...] [--notes 24] [--librosa 6]
        [--seed 0]

Every sound is cut to 2 seconds, analysed, inverted and analysed again; `all bins` is a spectrogram, which
lacks nothing but phase. Times are CPU seconds of the process. Log-mel RMSE compares pictures of 128 mels,
whatever was inverted (each relative to its own loudest cell, floor -80 dB); MR-STFT is that of
`losses.spectral`; spectral convergence compares magnitudes at 1024/256; the tone column is how far the
level of sines from 110 Hz to 3 kHz comes back off. An --other folder gets a table of its own. Writes
bench/results/inversion.md.
"""

import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
import soxr
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import Recovery
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.losses.spectral import multi_resolution_stft

SAMPLES = 127 * 256  # 2.03 s at 16 kHz
HEADINGS = (
    "method", "mels", "sounds", "ms", "log-mel RMSE dB", "MR-STFT", "spectral convergence dB, mean",
    "median", "tone level off by at most, dB",
)  # fmt: skip
METHODS = (
    ("pghi", 0), ("pghi", 5), ("pghi", 12), ("pghi", 32), ("sweep", 0), ("sweep", 5), ("sweep", 12),
    ("fast_griffin_lim", 32),
)  # fmt: skip
YARDSTICK = LogMel(mels=128)  # in whose pictures all are compared


def read_notes(folder: Path, count: int, seed: int) -> torch.Tensor:
    """Up to `count` sounds drawn from the folder, 16 kHz mono, cut or padded to 2 seconds."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac"))
    if not files:
        raise SystemExit(f"{folder} holds no .wav or .flac file; give a folder of sounds")
    draw = np.random.default_rng(seed)
    notes = []
    for file in draw.permutation(np.array(files, dtype=object)):
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        samples = samples.mean(axis=1)
        if rate != 16000:
            samples = soxr.resample(samples, rate, 16000, "HQ")
        if np.abs(samples).max(initial=0.0) > 1e-4:
            notes.append(np.pad(samples[:SAMPLES], (0, max(0, SAMPLES - len(samples)))))
        if len(notes) == count:
            break
    return torch.from_numpy(np.stack(notes).astype(np.float32))


def ours_at(notes: torch.Tensor, mels: int) -> torch.Tensor:
    feature = LogMel(mels=mels)
    picture = feature.analyse_all(notes)
    return feature.invert(picture.values, picture.level_db, length=SAMPLES)


def magnitude(samples: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(1024)
    return torch.stft(
        samples, 1024, 256, window=window, pad_mode="constant", return_complex=True
    ).abs()


def convergence_db(truth: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    a, b = magnitude(truth), magnitude(made)
    return 20 * torch.log10((a - b).flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1))


def rmse_db(truth: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    a, b = (YARDSTICK.to_db(YARDSTICK.analyse_all(x).values) for x in (truth, made))
    return (a - b).square().flatten(1).mean(1).sqrt()


def tone_error_db(feature: LogMel | Spectrogram, recovery: Recovery) -> float:
    clock = torch.arange(SAMPLES) / 16000
    hertz = torch.tensor([110.0, 196.0, 440.0, 880.0, 1500.0, 3000.0])
    tones = 0.3 * torch.sin(2 * torch.pi * hertz[:, None] * clock)
    picture = feature.analyse_all(tones)
    back = feature.invert(picture.values, picture.level_db, recovery=recovery, length=SAMPLES)
    inner = slice(4000, 28000)
    ratio = back[:, inner].norm(dim=1) / tones[:, inner].norm(dim=1)
    return float((20 * torch.log10(ratio)).abs().max())


def librosa_invert(notes: torch.Tensor, mels: int) -> torch.Tensor:
    made = []
    for note in notes.numpy():
        power = librosa.feature.melspectrogram(
            y=note, sr=16000, n_fft=1024, hop_length=256, n_mels=mels
        )
        # the same picture as ours: nothing under -80 dB of the loudest cell
        power = np.maximum(power, power.max() * 1e-8)
        made.append(
            librosa.feature.inverse.mel_to_audio(
                power, sr=16000, n_fft=1024, hop_length=256, n_iter=32, length=SAMPLES
            )
        )
    return torch.from_numpy(np.stack(made))


def row(
    name: str, mels: object, notes: torch.Tensor, made: torch.Tensor, ms: float, tone: str
) -> list[object]:
    error, distance = rmse_db(notes, made), convergence_db(notes, made)
    return [
        name, mels, len(notes), f"{ms:.1f}", f"{error.mean():.2f}",
        f"{multi_resolution_stft(made, notes):.2f}", f"{distance.mean():.1f}",
        f"{distance.median():.1f}", tone,
    ]  # fmt: skip


def of_ours(notes: torch.Tensor) -> list[list[object]]:
    """Both ways to integrate phase, and random phase, on mels and on all bins."""
    lines = []
    for feature in (*(LogMel(mels=mels) for mels in (80, 128, 256)), Spectrogram()):
        picture = feature.analyse_all(notes)
        feature.invert(picture.values[0], picture.level_db[0])
        for method, rounds in METHODS:
            recovery = Recovery(method, rounds)
            start = time.process_time()
            made = feature.invert(
                picture.values, picture.level_db, recovery=recovery, length=SAMPLES
            )
            ms = 1e3 * (time.process_time() - start) / len(notes)
            tone = f"{tone_error_db(feature, recovery):.2f}"
            default = ", default" if recovery == Recovery() else ""
            mels = feature.mels if isinstance(feature, LogMel) else "all bins"
            lines.append(row(f"{method}, {rounds} rounds{default}", mels, notes, made, ms, tone))
    return lines


def beside_librosa(notes: torch.Tensor) -> tuple[list[list[object]], float]:
    """Its line and ours on the same notes, and how many times as long it takes."""
    ways = {
        "librosa mel_to_audio, 32 rounds": librosa_invert,
        "ours on librosa's notes": ours_at,
    }
    lines, took = [], []
    for name, way in ways.items():
        way(notes[:1], 80)  # numba and filters are warm before the clock runs
        start = time.process_time()
        made = way(notes, 80)
        took.append(1e3 * (time.process_time() - start) / len(notes))
        lines.append(row(name, 80, notes, made, took[-1], ""))
    return lines, took[0] / took[1]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--other", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--notes", type=int, default=24)
    parser.add_argument("--librosa", type=int, default=6, help="notes that librosa inverts too")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    others = [given.partition("=") for given in chosen.other]
    folders = {"Notes": chosen.folder, **{name: Path(folder) for name, _, folder in others}}
    sounds = {
        name: read_notes(folder, chosen.notes, chosen.seed) for name, folder in folders.items()
    }
    lines, times = beside_librosa(sounds["Notes"][: chosen.librosa])
    parts = []
    for name, notes in sounds.items():
        parts += [f"## {name}", table(HEADINGS, [*lines, *of_ours(notes)])]
        lines = []
    given = "".join(f" --other {name}={Path(folder).name}" for name, _, folder in others)
    about = made_by(
        f"OMP_NUM_THREADS=1 python bench/inversion.py {chosen.folder.name}{given} --notes {chosen.notes} "
        f"--librosa {chosen.librosa} --seed {chosen.seed}",
        "one thread", f"torch {torch.__version__}", f"librosa {librosa.__version__}",
    )  # fmt: skip
    write(
        FOLDER / "inversion.md",
        "Mel inversion",
        f"{about} {chosen.notes} sounds of each, 2.03 s long. ms: CPU milliseconds per sound.",
        *parts,
        f"librosa's time / ours at 80 mels: {times:.1f}",
    )


if __name__ == "__main__":
    main()
