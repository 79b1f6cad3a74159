"""From bucket to bucket on a Dask cluster, one worker killed; and what fetching ahead is worth.

    pip install s3fs 'moto[s3]' flask flask-cors
    OMP_NUM_THREADS=1 python bench/storage.py [--sounds 600]

An S3 server that answers on this machine (moto) stands for object storage. A corpus is prepared from
bucket to bucket by two worker processes, of which one is killed; its tables and pictures are compared,
bit by bit, with those of a prepare from folder to folder. Then a file system whose answers take as long
as those of real object storage gives the sounds to one process. Writes bench/results/storage.md.

These packages take 120 MB, so this is no part of the tests; they hold the same with addresses of
fsspec's own.
"""

import logging
import os
import signal
import tempfile
import time
from pathlib import Path

import fsspec
import numpy as np
import soundfile
from fsspec.implementations.local import LocalFileSystem
from result import FOLDER, made_by, options, table, write

from timbrespace.data import fetching, storage
from timbrespace.data.corpus import Corpus
from timbrespace.data.prepare import prepare
from timbrespace.features.log_mel import LogMel

RESULT = FOLDER / "storage.md"
LATENCY = 0.03  # seconds until the first byte of an object, as object storage takes them
FEATURE = LogMel()


class Far(LocalFileSystem):
    """Local files whose fetching takes LATENCY more."""

    protocol = "far"

    def get_file(self, *args, **kw):
        time.sleep(LATENCY)
        return super().get_file(*args, **kw)


def sounds(root: Path, count: int) -> None:
    """Notes of 4 s at 16 kHz, a broken one among them."""
    root.mkdir()
    rng = np.random.default_rng(0)
    n = np.arange(64_000)
    for i in range(count):
        x = 0.3 * np.sin(2 * np.pi * (100 + i % 900) * n / 16000) * np.exp(-n / 20_000)
        soundfile.write(root / f"s{i:05d}.wav", x + 0.001 * rng.normal(size=len(n)), 16000)
    (root / "s00100.wav").write_bytes(b"RIFF")


def bucket_to_bucket(root: Path, near: Corpus) -> tuple[str, str]:
    """Prepare on S3 with two worker processes and kill one; AssertionError unless all is equal."""
    from distributed import LocalCluster
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "FSSPEC_S3_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
    }  # fmt: skip
    fsspec.config.set_conf_env(fsspec.config.conf)
    s3 = fsspec.filesystem("s3")
    s3.mkdir("bucket")
    s3.put(str(root), "bucket/sounds", recursive=True)
    killed: list[int] = []
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
        memory_limit=0, silence_logs=50,
    ) as dask:  # fmt: skip
        with dask.get_client() as client:
            victim = next(iter(client.run(os.getpid).values()))

        def progress(done: int, total: int) -> None:
            if done > total // 4 and not killed:
                killed.append(done)
                os.kill(victim, signal.SIGKILL)

        began = time.perf_counter()
        far = prepare(
            "s3://bucket/sounds", "s3://bucket/corpus", feature=FEATURE,
            cluster=dask.scheduler_address, progress=progress,
        )  # fmt: skip
        took = time.perf_counter() - began
    assert killed
    for name in ("sounds.csv", "sounds.safetensors", "report.jsonl"):
        assert s3.cat(f"bucket/corpus/{name}") == (near.path / name).read_bytes(), name
    assert np.array_equal(far.features(FEATURE).values[:], near.features(FEATURE).values[:])
    server.stop()
    return f"bucket to bucket, two workers, one killed after {killed[0]} files", f"{took:.1f}"


def ahead(root: Path, out: Path) -> list[tuple[int, str]]:
    """Sounds per second of one process, by how many are fetched ahead."""
    fsspec.register_implementation("far", Far)
    lines, count = [], len(list(root.iterdir()))
    for most in (1, 4, fetching.AHEAD):
        fetching.AHEAD = most
        began = time.perf_counter()
        prepare(f"far://{root}", out / str(most), feature=FEATURE, workers=1)
        lines.append((most, f"{count / (time.perf_counter() - began):.0f}"))
    return lines


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--sounds", type=int, default=600)
    count = parser.parse_args().sounds
    with tempfile.TemporaryDirectory() as folder:
        os.environ[storage.CACHE] = f"{folder}/cache"
        root = Path(folder) / "sounds"
        sounds(root, count)
        began = time.perf_counter()
        near = prepare(root, Path(folder) / "near", feature=FEATURE, workers=1)
        took = time.perf_counter() - began
        whole = [("folder to folder, one process", f"{took:.1f}"), bucket_to_bucket(root, near)]
        speeds = ahead(root, Path(folder) / "far")
    write(
        RESULT,
        "Storage at addresses",
        made_by(f"python bench/storage.py --sounds {count}")
        + " Notes of 4 s at 16 kHz. The server of the bucket is a Python process on the same machine, "
        "so its time says nothing of real storage. Tables and pictures are equal, bit by bit.",
        table(("", "seconds"), whole),
        f"One process that fetches from a storage whose answers take {1e3 * LATENCY:g} ms:",
        table(("fetched ahead", "sounds per second"), speeds),
    )


if __name__ == "__main__":
    main()
