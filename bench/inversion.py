"""Mel inversion beside librosa, on any folder of sounds, in one run and on one thread.

    OMP_NUM_THREADS=1 python bench/inversion.py FOLDER [--notes 24] [--librosa 6] [--seed 0]

Every sound is cut to 2 seconds, analysed, inverted and analysed again. Times are CPU seconds of the
process. Log-mel RMSE compares the pictures (each relative to its own loudest cell, floor -80 dB);
spectral convergence compares magnitudes at 1024/256; the tone column is how far the level of sines
from 110 Hz to 3 kHz comes back off. Writes bench/results/inversion.md.
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

SAMPLES = 127 * 256  # 2.03 s at 16 kHz
HEADINGS = (
    "method", "mels", "sounds", "ms", "log-mel RMSE dB", "spectral convergence dB, mean", "median",
    "tone level off by at most, dB",
)  # fmt: skip


def read_notes(folder: Path, count: int, seed: int) -> torch.Tensor:
    """Up to `count` sounds drawn from the folder, 16 kHz mono, cut or padded to 2 seconds."""
    files = sorted(folder.rglob("*.wav"))
    if not files:
        raise SystemExit(f"{folder} holds no .wav file; give a folder of sounds")
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


def magnitude(samples: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(1024)
    return torch.stft(
        samples, 1024, 256, window=window, pad_mode="constant", return_complex=True
    ).abs()


def convergence_db(truth: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    a, b = magnitude(truth), magnitude(made)
    return 20 * torch.log10((a - b).flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1))


def rmse_db(feature: LogMel, truth: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    a, b = (feature.to_db(feature.analyse_all(x).values) for x in (truth, made))
    return (a - b).square().flatten(1).mean(1).sqrt()


def tone_error_db(feature: LogMel, recovery: Recovery) -> float:
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
    name: str, mels: int, notes: torch.Tensor, made: torch.Tensor, ms: float, tone: str
) -> list[object]:
    error, distance = rmse_db(LogMel(mels=mels), notes, made), convergence_db(notes, made)
    return [
        name, mels, len(notes), f"{ms:.1f}", f"{error.mean():.2f}", f"{distance.mean():.1f}",
        f"{distance.median():.1f}", tone,
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--notes", type=int, default=24)
    parser.add_argument("--librosa", type=int, default=6, help="notes that librosa inverts too")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    notes = read_notes(chosen.folder, chosen.notes, chosen.seed)
    lines, ours_ms = [], 0.0
    some = notes[: chosen.librosa]
    librosa_invert(some[:1], 80)  # numba and filters are warm before the clock runs
    start = time.process_time()
    made = librosa_invert(some, 80)
    theirs_ms = 1e3 * (time.process_time() - start) / len(some)
    lines.append(row("librosa mel_to_audio, 32 rounds", 80, some, made, theirs_ms, ""))
    for mels in (80, 128, 256):
        feature = LogMel(mels=mels)
        picture = feature.analyse_all(notes)
        feature.invert(picture.values[0], picture.level_db[0])
        for method, rounds in (
            ("pghi", 0),
            ("pghi", 5),
            ("pghi", 12),
            ("pghi", 32),
            ("sweep", 0),
            ("sweep", 5),
            ("sweep", 12),
            ("fast_griffin_lim", 32),
        ):
            recovery = Recovery(method, rounds)
            start = time.process_time()
            made = feature.invert(
                picture.values, picture.level_db, recovery=recovery, length=SAMPLES
            )
            ms = 1e3 * (time.process_time() - start) / len(notes)
            if (mels, method, rounds) == (80, "pghi", 12):
                ours_ms = ms
                same = row("ours on librosa's notes", 80, some, made[: len(some)], ms, "")
            tone = f"{tone_error_db(feature, recovery):.2f}"
            default = ", default" if (method, rounds) == ("pghi", 12) else ""
            lines.append(row(f"{method}, {rounds} rounds{default}", mels, notes, made, ms, tone))
    lines.insert(1, same)
    about = made_by(
        f"OMP_NUM_THREADS=1 python bench/inversion.py FOLDER --notes {chosen.notes} "
        f"--librosa {chosen.librosa} --seed {chosen.seed}",
        "one thread", f"torch {torch.__version__}", f"librosa {librosa.__version__}",
    )  # fmt: skip
    write(
        FOLDER / "inversion.md",
        "Mel inversion",
        f"{about} FOLDER = {chosen.folder.name} ({len(notes)} sounds drawn, 2.03 s each). ms: CPU "
        "milliseconds per sound.",
        table(HEADINGS, lines),
        f"librosa's time / ours at 80 mels: {theirs_ms / ours_ms:.1f}",
    )


if __name__ == "__main__":
    main()
