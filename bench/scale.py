"""What prepare costs as a corpus grows: time, and peak memory of the parent and of a worker.

    python bench/scale.py [--sizes 1000 10000 100000] [--folder DIR] [--workers 2]

Sounds of a quarter of a second, no two alike, under NSynth names are made in a temporary folder of
DIR; short ones, so that what is measured is what grows with the number of sounds. Every measurement
runs in a process of its own. Writes bench/results/scale.md.
"""

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from prepare import THREADS
from result import FOLDER, busy, made_by, options, table, write

RESULT = FOLDER / "scale.md"
RATE, LENGTH, BLOCK = 16000, 4000, 250  # Hz, samples, sounds made at once
FRESH = (
    "sounds", "whole, s", "CPU, s", "CPU a sound, ms", "CPU of the parent, s", "parent's own, MB",
    "parent's peak, MB", "peak of a worker, MB",
)  # fmt: skip
AGAIN = (
    "sounds", "again, s", "parent's own, MB", "parent's peak, MB", "open, s", "rows, MB",
    "open by the CSV, s",
)  # fmt: skip
FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string")


def make_sounds(root: Path, count: int) -> None:
    """`count` WAVs of decaying partials at random: 440 notes an instrument, a folder each."""
    import numpy as np

    rng = np.random.default_rng(0)
    size = 2 * LENGTH
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16
    ) + b"data" + struct.pack("<I", size)  # fmt: skip
    t = np.arange(LENGTH) / RATE
    for start in range(0, count, BLOCK):
        hz = np.exp(rng.uniform(np.log(60), np.log(7000), (BLOCK, 6, 1)))
        decay = rng.uniform(2, 40, (BLOCK, 6, 1))
        x = (rng.random((BLOCK, 6, 1)) * np.exp(-decay * t) * np.sin(2 * np.pi * hz * t)).sum(1)
        x *= 32000 * rng.uniform(0.05, 1, (BLOCK, 1)) / np.abs(x).max(1, keepdims=True)
        for n, samples in enumerate(x[: count - start].astype("<i2"), start=start):
            instrument, note = divmod(n, 440)
            family = FAMILIES[instrument % len(FAMILIES)]
            name = f"{family}_synthetic_{instrument:03d}"
            pitch, velocity = 21 + note // 5, 25 + 25 * (note % 5)
            folder = root / family / name
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}-{pitch:03d}-{velocity:03d}.wav"
            path.write_bytes(head + samples.tobytes())


class Peak:
    """The most memory of its own that this process had inside the block, MB: without the pages of
    mapped files, which all processes share and the system takes back when it needs them."""

    def __enter__(self) -> "Peak":
        self.most, self._end = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._end.wait(0.01):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def anonymous() -> float:
    """Memory of this process alone, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def time_prepare(root: Path, out: Path, workers: int) -> dict[str, float]:
    """Seconds and memory (MB) of one prepare, whatever it finds to do."""
    from timbrespace.data.prepare import prepare

    prepare_nothing = anonymous()
    begin = time.perf_counter()
    with Peak() as peak:
        prepare(root, out, workers=workers)
    wall = time.perf_counter() - begin
    own, child = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "wall": wall, "cpu": own.ru_utime + own.ru_stime + child.ru_utime + child.ru_stime,
        "own_cpu": own.ru_utime + own.ru_stime, "begin": prepare_nothing, "own": peak.most,
        "parent": own.ru_maxrss / 1024, "worker": child.ru_maxrss / 1024,
    }  # fmt: skip


def time_open(out: Path, columns: bool) -> dict[str, float]:
    """Seconds and memory (MB) of opening a corpus, by its columns or by its CSV."""
    from timbrespace.data import corpus

    if not columns:
        corpus.COLUMNS = "absent"
    before, begin = anonymous(), time.perf_counter()
    opened = corpus.Corpus.open(out)
    wall = time.perf_counter() - begin
    return {"wall": wall, "rows": anonymous() - before, "sounds": len(opened.rows)}


def child(what: str, *paths: Path, workers: int = 1) -> dict[str, float]:
    """One measurement in a fresh process."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, __file__, *map(str, paths), "--only", what]
    command += ["--workers", str(workers)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("paths", type=Path, nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", choices=["prepare", "open", "csv"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only == "prepare":
        return print(json.dumps(time_prepare(*arguments.paths, arguments.workers)))
    if arguments.only:
        return print(json.dumps(time_open(*arguments.paths, arguments.only == "open")))
    found, load = {}, busy()
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            root, out = Path(folder) / "sounds", Path(folder) / "corpus"
            make_sounds(root, size)
            found[size] = {
                "fresh": child("prepare", root, out, workers=arguments.workers),
                "again": child("prepare", root, out, workers=arguments.workers),
                "open": child("open", out), "csv": child("csv", out),
            }  # fmt: skip
        print(size, found[size], file=sys.stderr)
    write(RESULT, "prepare as a corpus grows", *told(found, arguments, max(load, busy())))
    return None


def told(
    found: dict[int, dict[str, dict[str, float]]], arguments: argparse.Namespace, load: float
) -> list[str]:
    fresh, again = [], []
    for size, row in found.items():
        f, a, o, c = (row[name] for name in ("fresh", "again", "open", "csv"))
        fresh.append([
            f"{size:,}", f"{f['wall']:.1f}", f"{f['cpu']:.1f}", f"{1000 * f['cpu'] / size:.2f}",
            f"{f['own_cpu']:.1f}", f"{f['own']:.0f}", f"{f['parent']:.0f}", f"{f['worker']:.0f}",
        ])  # fmt: skip
        again.append([
            f"{size:,}", f"{a['wall']:.2f}", f"{a['own']:.0f}", f"{a['parent']:.0f}",
            f"{o['wall']:.3f}", f"{o['rows']:.0f}", f"{c['wall']:.3f}",
        ])  # fmt: skip
    command = (
        f"python bench/scale.py --sizes {' '.join(map(str, arguments.sizes))} --workers "
        f"{arguments.workers}"
    )
    paragraphs = [
        f"{made_by(command, load=load)} Sounds of {LENGTH / RATE:g} s at 16 kHz, pictures of 80 mels "
        "and 128 frames (20 KB), no two alike, five labels. Memory of its own is that without the pages "
        "of mapped files, which the system takes back when it needs them; the peak is all that was "
        "resident.",
        f"## Fresh, {arguments.workers} workers",
        table(FRESH, fresh),
        "## Again with nothing to do, and opening",
        table(AGAIN, again),
    ]
    sizes = list(found)
    if len(sizes) > 1:
        (small, large) = sizes[0], sizes[-1]
        per = (found[large]["fresh"]["own"] - found[small]["fresh"]["own"]) / (large - small)
        paragraphs.append(
            f"From {small:,} to {large:,} sounds the parent's own memory grows by "
            f"{per * 2**20:.0f} bytes a sound."
        )
    return paragraphs


if __name__ == "__main__":
    main()
