"""How a corpus grows: reading its store at random, preparing more and more, several readers at once.

    python bench/store.py FOLDER [--large] [--rounds 5]

FOLDER holds notes (`timbrespace instruments --out FOLDER --notes 1000`). Corpora of 1,000, 10,000
and with --large 100,000 sounds are made of hard links to them with distinct names, so the files
come from memory after the first thousand: what is measured is our work, not a disk. Every
measurement runs in a process of its own. Writes bench/results/store.md.
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

from prepare import THREADS
from result import FOLDER, busy, made_by, options, table, write

BATCH = 128
GROWN = (
    "sounds", "whole, s", "CPU, s", "CPU of the parent, s", "peak of the parent, MB",
    "peak of a worker, MB", "nothing to do, s", "open, s", "open rows, MB", "rows and store, MB",
)  # fmt: skip
MAPPED = (
    "readers", "resident store, MB", "share, MB", "its own, MB", "all else in the process, MB"
)  # fmt: skip
RESULT = FOLDER / "store.md"


def link(folder: Path, root: Path, count: int) -> None:
    """`count` names in `root` for the notes of `folder`."""
    notes = sorted(folder.rglob("*.wav"))
    if not notes:
        sys.exit(f"{folder} holds no WAV files; make some with: timbrespace instruments --out DIR")
    for i in range(count):
        group = root / f"group{i // 1000:04d}"
        if i % 1000 == 0:
            group.mkdir(parents=True)
        os.link(notes[i % len(notes)], group / f"note{i:07d}.wav")


def time_prepare(root: Path, out: Path, workers: int) -> dict[str, float]:
    """Seconds and peak memory (MB) of one prepare, whatever it finds to do."""
    from timbrespace.data.prepare import prepare

    begin = time.perf_counter()
    prepare(root, out, workers=workers)
    wall = time.perf_counter() - begin
    own, child = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "wall": wall, "cpu": own.ru_utime + own.ru_stime + child.ru_utime + child.ru_stime,
        "own_cpu": own.ru_utime + own.ru_stime,
        "parent": own.ru_maxrss / 1024, "worker": child.ru_maxrss / 1024,
    }  # fmt: skip


def time_open(out: Path) -> dict[str, float]:
    """Seconds and memory (MB) that an opened corpus with its store takes."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.features.log_mel import LogMel

    feature, before = LogMel(), rss()
    begin, cpu = time.perf_counter(), time.process_time()
    corpus = Corpus.open(out)
    rows = rss() - before
    store = corpus.features(feature)
    store.rows  # noqa: B018  the store is in use until here
    return {
        "wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "rows": rows,
        "both": rss() - before,
    }  # fmt: skip


def rss() -> float:
    """Resident memory of this process now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def time_access(out: Path, batches: int = 300) -> dict[str, float]:
    """Microseconds a row of random batches of 128: from the store, and from a .pt file a sound."""
    import numpy as np
    import torch

    from timbrespace.data.corpus import Corpus
    from timbrespace.features.log_mel import LogMel

    torch.set_num_threads(1)
    store = Corpus.open(out).features(LogMel())
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        names = [f"{folder}/{row}.pt" for row in range(len(store))]
        for row, name in enumerate(names):
            torch.save(torch.from_numpy(store.read(np.array([row]))[0]), name)

        def from_store(rows: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(store.read(rows))

        def from_files(rows: np.ndarray) -> torch.Tensor:
            return torch.stack([torch.load(names[row], weights_only=True) for row in rows])

        some = rng.integers(len(store), size=BATCH)
        assert torch.equal(from_store(some), from_files(some))
        found = {}
        for name, read, count in (("store", from_store, batches), ("files", from_files, 20)):
            times = []
            for _ in range(count):
                rows = rng.integers(len(store), size=BATCH)
                begin = time.perf_counter()
                read(rows)
                times.append((time.perf_counter() - begin) / BATCH * 1e6)
            found |= {name: statistics.median(times), f"{name}_least": min(times)}
    return found


def time_copy(folder: Path, batches: int = 60) -> dict[str, float]:
    """Milliseconds of processor time for random batches of 128 pictures of 128 x 256 as float32: from
    the map that the store is, and from a copy of it in memory."""
    import numpy as np
    import torch

    from timbrespace.data.store import Pictures, mapped
    from timbrespace.features.log_mel import LogMel

    torch.set_num_threads(1)
    feature, rng, parts = LogMel(mels=128, frames=256), np.random.default_rng(0), []
    for number in range(16):
        path = folder / f"{number}.npy"
        np.save(path, rng.uniform(-1, 1, (256, *feature.shape)).astype(np.float16))
        parts.append(mapped(path, 256, feature))
    values = Pictures(parts, feature.shape, feature.dtype)
    copy = torch.from_numpy(values[:])
    found: dict[str, list[float]] = {"map": [], "copy": []}
    for _ in range(batches):
        rows = torch.from_numpy(rng.permutation(len(values))[:BATCH])
        begin = time.process_time()
        torch.from_numpy(values[rows.numpy()]).float()
        between = time.process_time()
        copy[rows].float()
        found["map"].append(1000 * (between - begin))
        found["copy"].append(1000 * (time.process_time() - between))
    return {name: statistics.median(times) for name, times in found.items()}


def read_all(out: Path) -> None:
    """Touch every row, say so, wait for a line, and print what the store's maps take here (MB)."""
    import numpy as np

    from timbrespace.data.corpus import Corpus
    from timbrespace.features.log_mel import LogMel

    store = Corpus.open(out).features(LogMel())
    order = np.random.default_rng(os.getpid()).permutation(len(store))
    for k in range(0, len(order), BATCH):
        store.read(order[k : k + BATCH])
    print("ready", flush=True)
    sys.stdin.readline()
    sums, ours = dict.fromkeys(("Rss", "Pss", "Private_Clean", "Private_Dirty"), 0), False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, *rest = line.split()
        if not key.endswith(":"):
            ours = "/part-" in line
        elif ours and key[:-1] in sums:
            sums[key[:-1]] += int(rest[0])
    private = sums["Private_Clean"] + sums["Private_Dirty"]
    found = {"rss": sums["Rss"] / 1024, "pss": sums["Pss"] / 1024, "uss": private / 1024}
    found["other"] = rss() - found["rss"]
    print(json.dumps(found), flush=True)
    sys.stdin.readline()


def readers(out: Path, count: int) -> list[dict[str, float]]:
    """What each of `count` processes says of its maps once all have read the whole store."""
    command = [sys.executable, __file__, str(out), "--only", "read"]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    found = []
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in running:  # all stay alive while each looks
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("look\n")
        process.stdin.flush()
        found.append(json.loads(process.stdout.readline()))
    for process in running:
        process.communicate("end\n")
    return found


def child(what: str, *paths: Path, workers: int = 1) -> dict[str, float]:
    """One measurement in a fresh process."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, __file__, *map(str, paths), "--only", what]
    command += ["--workers", str(workers)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only")
    arguments = parser.parse_args()
    if arguments.only == "read":
        return read_all(arguments.folder)
    if arguments.only:
        measure = {
            "prepare": lambda: time_prepare(arguments.folder, arguments.out, arguments.workers),
            "open": lambda: time_open(arguments.folder),
            "access": lambda: time_access(arguments.folder),
            "copy": lambda: time_copy(arguments.folder),
        }[arguments.only]
        print(json.dumps(measure()))
        return
    sizes = [1000, 10_000] + ([100_000] if arguments.large else [])
    scale, access, load = {}, [], busy()
    # Beside the notes: hard links cannot leave their file system.
    with tempfile.TemporaryDirectory(dir=arguments.folder.resolve().parent) as folder:
        place = Path(folder)
        for size in sizes:
            root, out = place / f"sounds{size}", place / f"corpus{size}"
            link(arguments.folder, root, size)
            first = child("prepare", root, out, workers=arguments.workers)
            again = child("prepare", root, out, workers=arguments.workers)
            scale[size] = first, again, child("open", out)
            print(size, scale[size], file=sys.stderr)
        store = place / "corpus10000"
        for _ in range(arguments.rounds):
            access.append(child("access", store))
            print(access[-1], file=sys.stderr)
        shared = [readers(store, count) for count in (1, 2)]
        batch = child("copy", place)
    paragraphs = told(scale, access, shared, batch, arguments, max(load, busy()))
    write(RESULT, "The store, and corpora that grow", *paragraphs)


def told(
    scale: dict[int, tuple[dict[str, float], ...]], access: list[dict[str, float]],
    shared: list[list[dict[str, float]]], batch: dict[str, float], arguments: argparse.Namespace,
    load: float,
) -> list[str]:  # fmt: skip
    def median(key: str) -> float:
        return statistics.median(round[key] for round in access)

    faster = [f"{one['files'] / one['store']:.0f}" for one in access]
    flags = " --large" if arguments.large else ""
    command = f"python bench/store.py FOLDER{flags} --rounds {arguments.rounds}"
    grown = [
        [
            f"{size:,}", f"{first['wall']:.1f}", f"{first['cpu']:.1f}", f"{first['own_cpu']:.1f}",
            f"{first['parent']:.0f}", f"{first['worker']:.0f}", f"{again['wall']:.2f}",
            f"{opened['wall']:.2f}", f"{opened['rows']:.0f}", f"{opened['both']:.0f}",
        ]
        for size, (first, again, opened) in scale.items()
    ]  # fmt: skip
    mapped = [
        [
            f"{k + 1} of {len(some)}", f"{one['rss']:.0f}", f"{one['pss']:.0f}",
            f"{one['uss']:.1f}", f"{one['other']:.0f}",
        ]
        for some in shared
        for k, one in enumerate(some)
    ]  # fmt: skip
    return [
        f"{made_by(command, load=load)} "
        "4-second notes at 16 kHz, pictures of 80 mels and 128 frames. Times of a machine whose load "
        "is above its cores are those of others too; CPU times are ours.",
        f"## Random batches of {BATCH} rows, 10,000 sounds, files in memory",
        table(
            ("per row", "median, µs", "least, µs"),
            [
                (
                    "one `.pt` file a sound, `torch.load`",
                    f"{median('files'):.0f}",
                    f"{median('files_least'):.0f}",
                ),
                (
                    "**store**, `FeatureStore.read`",
                    f"{median('store'):.1f}",
                    f"{median('store_least'):.1f}",
                ),
            ],
        ),
        f"In the rounds the store was {', '.join(faster)} times faster.",
        f"A batch of {BATCH} pictures of 128 x 256 takes {batch['map']:.2f} ms of processor time from "
        f"the map, and {batch['copy']:.2f} ms from a copy of it in memory.",
        f"## prepare with {arguments.workers} workers",
        table(GROWN, grown),
        "## Readers of one store",
        "Each has read all rows of the 10,000. Resident is what is mapped in a process, its share "
        "(PSS) divides a page by the processes that have it, its own (USS) is what nobody else has.",
        table(MAPPED, mapped),
    ]


if __name__ == "__main__":
    main()
