"""Feature extraction beside one-file-at-a-time librosa and bare reading, one thread, one run.

    OMP_NUM_THREADS=1 python bench/features.py FOLDER [--notes 64] [--rounds 5]

The folder's sounds are 4-second notes at 16 kHz. The ways take turns within every round, times are
CPU milliseconds per note, medians over the rounds. Writes bench/results/features.md.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.features.log_mel import LogMel


def read(file: Path) -> np.ndarray:
    return soundfile.read(file, dtype="float32")[0]


def by_librosa(samples: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=1024, hop_length=256, n_mels=80
    )
    return np.clip(librosa.power_to_db(power, ref=np.max, top_db=None), -80.0, 0.0)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--notes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(chosen.folder.rglob("*.wav"))[: chosen.notes]
    if not files:
        raise SystemExit(f"{chosen.folder} holds no .wav file; give a folder of sounds")
    sounds = [read(file) for file in files]
    whole, window = LogMel(frames=251), LogMel()
    apart = max(
        float(
            np.abs(
                whole.to_db(whole.analyse_all(torch.from_numpy(s)).values).numpy() - by_librosa(s)
            ).max()
        )
        for s in sounds[:16]
    )
    batches = [torch.from_numpy(np.stack(sounds[k : k + 8])) for k in range(0, len(sounds), 8)]
    ways: dict[str, Callable[[], object]] = {
        "read the file": lambda: [read(file) for file in files],
        "librosa, one sound at a time, all 251 frames": lambda: [by_librosa(s) for s in sounds],
        "LogMel.analyse, one at a time, all 251 frames": lambda: [
            whole.analyse(torch.from_numpy(s)) for s in sounds
        ],
        "LogMel.analyse, batches of 8, all 251 frames": lambda: [whole.analyse(b) for b in batches],
        "LogMel.analyse, batches of 8, the window's 128 frames": lambda: [
            window.analyse(b) for b in batches
        ],
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(chosen.rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if turn:  # the first round only warms up
                taken[name].append(1e3 * (time.process_time() - start) / len(sounds))
    base = statistics.median(taken["librosa, one sound at a time, all 251 frames"])
    rows = []
    for name, times in taken.items():
        ms = statistics.median(times)
        rows.append((name, f"{ms:.2f}", f"{base / ms:.1f}"))
    about = made_by(
        f"OMP_NUM_THREADS=1 python bench/features.py FOLDER --notes {chosen.notes} "
        f"--rounds {chosen.rounds}",
        "one thread", f"torch {torch.__version__}", f"librosa {librosa.__version__}",
    )  # fmt: skip
    write(
        FOLDER / "features.md",
        "Feature extraction",
        f"{about} FOLDER = {chosen.folder.name}. 80 mels.",
        table(("way", "ms per 4-s note", "times faster than librosa"), rows),
        f"Largest difference to librosa: {apart:.5f} dB.",
    )


if __name__ == "__main__":
    main()
