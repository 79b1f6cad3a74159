"""How fast `prepare` is: beside librosa one file at a time, beside bare reading, and on two cores.

    python bench/prepare.py FOLDER [--sounds 1500] [--rounds 3]

FOLDER holds 4-second notes (`timbrespace instruments --out FOLDER`). Every measurement runs in a
process of its own with one BLAS and torch thread, in turns, so that a busy machine disturbs all
alike; CPU time is what is compared per core, wall time where cores are. Writes
bench/results/prepare.md.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from result import FOLDER, made_by, options, table, write

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
WHOLE_NOTE_FRAMES = 251  # of 4 s; the default picture has 128 and sees 2.05 s
RESULT = FOLDER / "prepare.md"


def listed(folder: Path, count: int) -> list[Path]:
    """`count` files spread evenly over the folder."""
    files = sorted(folder.rglob("*.wav"))
    if not files:
        sys.exit(f"{folder} holds no WAV files; make some with: timbrespace instruments --out DIR")
    step = max(1, len(files) // count)
    return files[::step][:count]


def time_librosa(files: list[Path], seconds: float | None) -> dict[str, float]:
    """CPU milliseconds per sound of load, melspectrogram, power_to_db, one file after the other."""
    import librosa
    import numpy as np

    def one(path: Path) -> None:
        y, rate = librosa.load(path, sr=16000, duration=seconds)
        mel = librosa.feature.melspectrogram(
            y=y, sr=rate, n_fft=1024, hop_length=256, n_mels=80, power=2.0, pad_mode="constant"
        )
        librosa.power_to_db(mel, ref=np.max, top_db=None)

    for path in files[:8]:
        one(path)
    return timed(lambda: [one(path) for path in files], len(files))


def time_reading(files: list[Path]) -> dict[str, float]:
    """CPU milliseconds per sound of soundfile.read alone."""
    import soundfile

    return timed(lambda: [soundfile.read(path, dtype="float32") for path in files], len(files))


def time_floor(files: list[Path], batch: int = 8) -> dict[str, float]:
    """CPU milliseconds per sound of reading and one batched STFT of whole notes, nothing else."""
    import numpy as np
    import soundfile
    import torch

    torch.set_num_threads(1)
    window = torch.hann_window(1024)

    def some(start: int) -> None:
        notes = [soundfile.read(p, dtype="float32")[0] for p in files[start : start + batch]]
        length = max(map(len, notes))
        padded = np.stack([np.pad(note, (0, length - len(note))) for note in notes])
        torch.stft(
            torch.from_numpy(padded), 1024, 256, window=window, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip

    some(0)
    return timed(lambda: [some(start) for start in range(0, len(files), batch)], len(files))


def time_part(files: list[Path], frames: int) -> dict[str, float]:
    """CPU milliseconds per sound of all that prepare does with a file, in one process."""
    import torch

    from timbrespace.data.cutting import Cut
    from timbrespace.data.part import Job, make
    from timbrespace.features.log_mel import LogMel

    torch.set_num_threads(1)
    feature = LogMel(mels=80, frames=frames)
    with tempfile.TemporaryDirectory() as folder:

        def job(number: int, some: list[Path]) -> Job:
            names = tuple(str(path) for path in some)
            return Job(
                number,
                "/",
                names,
                feature.settings(),
                Cut().settings(),
                folder,
                f"bench{number}",
                600.0,
            )

        make(job(0, files[:16]))
        jobs = [job(k + 1, files[k : k + 256]) for k in range(0, len(files), 256)]
        return timed(lambda: [make(j) for j in jobs], len(files))


def time_prepare(folder: Path, workers: int) -> dict[str, float]:
    """Wall time of a whole prepare; its steady rate is from the first finished part to the last."""
    import torch

    from timbrespace.data.prepare import prepare
    from timbrespace.features.log_mel import LogMel

    torch.set_num_threads(1)
    marks: list[tuple[float, int]] = []
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        prepare(
            folder, Path(out) / "c", feature=LogMel(mels=80, frames=128), workers=workers,
            progress=lambda done, total: marks.append((time.perf_counter(), done)),
        )  # fmt: skip
        wall = time.perf_counter() - begin
        again = time.perf_counter()
        prepare(folder, Path(out) / "c", feature=LogMel(mels=80, frames=128), workers=workers)
        rerun = time.perf_counter() - again
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if workers > 1 else resource.RUSAGE_SELF)
    marks = [mark for mark in marks if mark[1]]
    first, last = marks[workers - 1], marks[-1]
    steady = (last[1] - first[1]) / (last[0] - first[0])
    return {
        "wall": wall, "steady": steady, "start": marks[0][0] - begin, "rerun": rerun,
        "sounds": last[1], "peak_mb": peak.ru_maxrss / 1024,
    }  # fmt: skip


def timed(work, count: int) -> dict[str, float]:  # noqa: ANN001  any callable
    """Milliseconds per sound of CPU and of wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": 1000 * cpu / count, "wall": 1000 * wall / count}


def child(arguments: argparse.Namespace, what: str) -> dict[str, float]:
    """One measurement in a fresh process."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, __file__, str(arguments.folder), "--only", what]
    command += ["--sounds", str(arguments.sounds)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """The measurement called --only, in this process."""
    files = listed(arguments.folder, arguments.sounds)
    measurements = {
        "reading": lambda: time_reading(files),
        "floor": lambda: time_floor(files),
        "librosa": lambda: time_librosa(files, None),
        "librosa-window": lambda: time_librosa(files, 128 * 256 / 16000),
        "part": lambda: time_part(files, 128),
        "part-whole": lambda: time_part(files, WHOLE_NOTE_FRAMES),
        "one": lambda: time_prepare(arguments.folder, 1),
        "two": lambda: time_prepare(arguments.folder, 2),
    }
    return measurements[arguments.only]()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sounds", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    if arguments.only:
        print(json.dumps(measure(arguments)))
        return
    names = ["reading", "floor", "librosa", "librosa-window", "part", "part-whole", "one", "two"]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name in names:
            results[name].append(child(arguments, name))
            print(name, results[name][-1], file=sys.stderr)
    write(RESULT, "Speed of prepare", *told(results, arguments))


def told(results: dict[str, list[dict[str, float]]], arguments: argparse.Namespace) -> list[str]:
    def median(name: str, key: str) -> float:
        return statistics.median(result[key] for result in results[name])

    base = median("librosa", "cpu")
    ways = [
        ("librosa, whole note", "librosa"),
        ("librosa, only the 2.05 s that are kept", "librosa-window"),
        ("**prepare**, 128 frames (2.05 s), all checks", "part"),
        ("prepare, 251 frames (the whole note), all checks", "part-whole"),
        ("soundfile.read and one batched STFT of whole notes, nothing else", "floor"),
        ("soundfile.read alone", "reading"),
    ]
    speeds = []
    for title, name in ways:
        cpu = median(name, "cpu")
        speeds.append((title, f"{cpu:.2f}", f"{1000 / cpu:.0f}", f"{base / cpu:.1f}"))
    pairs = zip(results["one"], results["two"], strict=True)
    ratios = sorted(two["steady"] / one["steady"] for one, two in pairs)
    count = results["one"][0]["sounds"]
    measured = [
        ("whole, s", "wall", 1),
        ("steady, sounds per second", "steady", 0),
        ("until the first part of at most 256 is done, s", "start", 1),
        ("peak memory of the process, of a worker, MB", "peak_mb", 0),
        ("rerun with nothing to do, s", "rerun", 2),
    ]
    return [
        made_by(
            f"python bench/prepare.py FOLDER --sounds {arguments.sounds} --rounds {arguments.rounds}"
        )
        + " 4-second notes at 16 kHz, n_fft 1024, hop 256, 80 mels, one thread; medians of rounds.",
        table(("per sound", "CPU ms", "sounds per second and core", "times librosa"), speeds),
        table(
            (f"prepare of {count:.0f} sounds, wall time", "1 worker", "2 workers"),
            [
                (words, *(f"{median(workers, key):.{digits}f}" for workers in ("one", "two")))
                for words, key, digits in measured
            ],
        ),
        f"Whole notes: {median('floor', 'cpu') / median('part-whole', 'cpu'):.0%} of the speed of "
        "reading and one batched STFT alone.",
        f"Two workers beside one, steady: {', '.join(f'{r:.2f}' for r in ratios)} times in the "
        "rounds. Wall times depend on what else the machine does: where the load above is higher "
        "than the cores, this ratio says how much was left for us, not how well it scales.",
    ]


if __name__ == "__main__":
    main()
