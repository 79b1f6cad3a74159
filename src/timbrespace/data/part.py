"""One part of a corpus: some 256 files turned into pictures and report rows.

A part is a pure function of its files and the feature's settings, so it can be made in any process
and in any order, kept when nothing changed, and made again after a crash. Run as a module, this is
a worker: one JSON job a line on stdin, one JSON answer a line on stdout.
"""

import hashlib
import json
import math
import mmap
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.audio import level
from timbrespace.audio.files import Audio, Decoded, Unusable, decode, resample
from timbrespace.data.atomic import replacing, write_text
from timbrespace.features.log_mel import LogMel

SLICE = 8  # sounds analysed together; larger batches leave the cache
FORMAT = 1  # raise it when the same files would give other parts
SILENT_DB = -80.0  # a peak below this is silence
FULL_SCALE = 0.9999  # 16-bit samples at the rail read as 0.99997
CLIPPED_SHARE = 0.001
DC = 0.01

Beat = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """What to make. root and folder are paths; `avoid` maps positions in `files` to (code, message)
    of files that a worker did not survive."""

    number: int
    root: str
    files: tuple[str, ...]
    feature: dict[str, Any]
    folder: str
    digest: str
    max_seconds: float
    avoid: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Name of the part's files without suffix; other inputs give another name."""
        return f"part-{self.number:05d}-{self.digest}"

    def to_json(self) -> str:
        """One line of text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The job of a line made by `to_json`."""
        plain = json.loads(text)
        avoid = {int(k): (v[0], v[1]) for k, v in plain.pop("avoid").items()}
        return cls(files=tuple(plain.pop("files")), avoid=avoid, **plain)


def inputs_digest(root: Path, files: tuple[str, ...], feature: LogMel, max_seconds: float) -> str:
    """Twelve hex digits that change with the files (name, size, time) and with the settings."""
    digest = hashlib.sha256(
        json.dumps([FORMAT, feature.settings(), max_seconds], sort_keys=True).encode()
    )
    for file in files:
        try:
            status = os.stat(root / file)
            mark = (file, status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):
            mark = (file, -1, -1)
        digest.update(repr(mark).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:12]


def read_part(folder: Path, stem: str, *, verify: bool = False) -> dict[str, Any] | None:
    """The finished part's {"rows", "values_sha256"}, or None when there is none or it is damaged.

    `verify` also compares the bytes of the pictures with their checksum.
    """
    try:
        head, _, body = (folder / f"{stem}.jsonl").read_bytes().partition(b"\n")
        part = json.loads(head)
        if hashlib.sha256(body).hexdigest() != part["rows_sha256"]:
            return None
        part["rows"] = [json.loads(line) for line in body.splitlines()]
        if verify:
            with open(folder / f"{stem}.npy", "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != part["values_sha256"]:
                return None
        elif not (folder / f"{stem}.npy").is_file():
            return None
        return part
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make(job: Job, beat: Beat = lambda position: None) -> None:
    """Write `stem`.npy (usable files, mels, frames; float16) and then `stem`.jsonl: a line of
    checksums, and a line for each file.

    `beat` is told the position of each file before it is opened. OSError when the folder cannot be
    written; files that cannot be used become rows, never errors.
    """
    import torch

    feature = LogMel.from_settings(job.feature)
    root, rows = Path(job.root), []
    pictures = np.empty((len(job.files), *feature.shape), np.float16)
    used: list[dict[str, Any]] = []
    waiting: dict[int, list[tuple[int, np.ndarray]]] = {}  # sounds of equal length go together

    def analyse(length: int) -> None:
        places, sounds = zip(*waiting.pop(length), strict=True)
        with torch.inference_mode():
            picture = feature.analyse(torch.from_numpy(np.stack(sounds)))
        values = picture.values.numpy()
        pictures[list(places)] = values
        mean = values.mean(axis=(1, 2))
        square = np.einsum("bft,bft->b", values, values) / values[0].size
        for at, m, s, db in zip(places, mean, square, picture.level_db.tolist(), strict=True):
            used[at].update(feature_db=round(db, 4), mean=float(m), square=float(s))

    for position, file in enumerate(job.files):
        beat(position)
        if position in job.avoid:
            code, message = job.avoid[position]
            rows.append(_skipped(file, code, message))
            continue
        try:
            decoded = decode(root / file, max_seconds=job.max_seconds)
            samples = _window(decoded.audio, feature)
        except Unusable as error:
            rows.append(_skipped(file, error.code, str(error)))
            continue
        except MemoryError:
            rows.append(_skipped(file, "too_long", "it does not fit in memory; cut it"))
            continue
        row = _row(file, decoded)
        rows.append(row)
        used.append(row)
        batch = waiting.setdefault(len(samples), [])
        batch.append((len(used) - 1, samples))
        if len(batch) == SLICE:
            analyse(len(samples))
        elif sum(map(len, waiting.values())) > 8 * SLICE:  # many lengths: memory stays flat
            analyse(next(iter(waiting)))
    for length in list(waiting):
        analyse(length)

    folder = Path(job.folder)
    path = folder / f"{job.stem}.npy"
    with replacing(path) as file:
        np.lib.format.write_array(file, pictures[: len(used)], allow_pickle=False)
        file.flush()
        with open(file.name, "rb") as again:
            sha256 = hashlib.file_digest(again, "sha256").hexdigest()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    sums = {"values_sha256": sha256, "rows_sha256": hashlib.sha256(lines.encode()).hexdigest()}
    write_text(folder / f"{job.stem}.jsonl", json.dumps(sums) + "\n" + lines)


def _window(audio: Audio, feature: LogMel) -> np.ndarray:
    """The mono samples, at the feature's rate, that its first `frames` frames can see."""
    seen = (feature.frames - 1) * feature.hop + feature.n_fft // 2
    rate = audio.sample_rate
    if rate != feature.sample_rate:
        # Half a second more than is seen keeps the resampler's end effects out of the picture.
        needed = math.ceil(seen * rate / feature.sample_rate) + rate // 2
        mono = Audio(audio.samples[:, :needed], rate).mono()
        return resample(mono, rate, feature.sample_rate)[:seen]
    return Audio(audio.samples[:, :seen], rate).mono()


def _row(file: str, decoded: Decoded) -> dict[str, Any]:
    """Report row of a readable file, with what is doubtful about it."""
    samples, peak = decoded.audio.samples, decoded.peak
    n = samples.size
    dc = max(abs(float(channel.sum(dtype=np.float64))) / channel.size for channel in samples)
    square = sum(float(np.dot(channel, channel)) for channel in samples) / n
    clipped = int(np.count_nonzero(np.abs(samples) >= FULL_SCALE)) / n if peak >= FULL_SCALE else 0
    doubts = []
    if level.peak_db(np.asarray(peak)) < SILENT_DB:
        doubts.append(("silent", f"silent (its peak is below {SILENT_DB:g} dBFS)"))
    if decoded.truncated:
        doubts.append(("truncated", "cut off: it announces more sound than it holds"))
    if clipped > CLIPPED_SHARE:
        doubts.append(("clipped", f"clipped: {clipped:.1%} of its samples are at full scale"))
    if dc > DC:
        doubts.append(("dc", f"its mean is {dc:.3f} of full scale instead of 0"))
    return {
        "path": file,
        "status": "warn" if doubts else "ok",
        "code": doubts[0][0] if doubts else "ok",
        "message": "; ".join(message for _, message in doubts),
        "codes": [code for code, _ in doubts],
        "seconds": round(decoded.audio.seconds, 6),
        "sample_rate": decoded.audio.sample_rate,
        "channels": len(samples),
        "level_db": round(level.peak_db(np.asarray(peak)), 3),
        "rms_db": round(10.0 * math.log10(max(square, 1e-12)), 3),
        "dc": round(dc, 6),
        "clipped": round(clipped, 6),
        "sha256": decoded.sha256,
    }


def _skipped(file: str, code: str, message: str) -> dict[str, Any]:
    return {"path": file, "status": "skipped", "code": code, "message": message}


def worker(progress_file: str) -> None:
    """Answer jobs from stdin until it closes; the position in the part is kept in progress_file."""
    import torch

    torch.set_num_threads(1)
    with open(progress_file, "r+b") as file, mmap.mmap(file.fileno(), 8) as memory:

        def beat(position: int) -> None:
            memory[:8] = struct.pack("<q", position)

        print("ready", flush=True)
        for line in sys.stdin:
            try:
                make(Job.from_json(line), beat)
                answer: dict[str, Any] = {}
            except OSError as error:
                answer = {"errno": error.errno, "strerror": error.strerror or str(error)}
            beat(-1)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    worker(sys.argv[1])
