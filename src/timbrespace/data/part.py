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
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from timbrespace.atomic import replacing, write_text
from timbrespace.audio import level
from timbrespace.audio.files import Facts, Sound, Unusable
from timbrespace.data.cutting import Cut, Piece, pieces
from timbrespace.data.fetching import UNREACHED, sounds
from timbrespace.features.catalogue import feature_of
from timbrespace.features.feature import Feature

SLICE = 8  # sounds analysed together; larger batches leave the cache
FORMAT = 2  # raise it when the same files would give other parts
HEAD = 128  # bytes before the pictures in a .npy file
SILENT_DB = -80.0  # a peak below this is silence
CLIPPED_SHARE = 0.001
DC = 0.01

Beat = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """What to make. root is a path or an address, folder a path, feature and cut their settings;
    `avoid` maps positions in `files` to (code, message) of files that a worker did not survive."""

    number: int
    root: str
    files: tuple[str, ...]
    feature: dict[str, Any]
    cut: dict[str, Any]
    folder: str
    digest: str
    max_seconds: float
    avoid: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Name of the part's files without suffix; other inputs give another name."""
        return stem_of(self.digest)

    def to_json(self) -> str:
        """One line of text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The job of a line made by `to_json`."""
        plain = json.loads(text)
        avoid = {int(k): (v[0], v[1]) for k, v in plain.pop("avoid").items()}
        return cls(files=tuple(plain.pop("files")), avoid=avoid, **plain)


def stem_of(digest: str) -> str:
    """Name of the files of the part with these inputs, without suffix."""
    return f"part-{digest}"


def inputs_digest(
    root: Path, files: tuple[str, ...], feature: Feature, cut: Cut, max_seconds: float
) -> str:
    """Sixteen hex digits that change with the files (name, size, time) and with the settings."""
    settings = [FORMAT, feature.settings(), cut.settings(), max_seconds]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for file in files:
        try:
            status = os.stat(root / file)
            mark = (file, status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):
            mark = (file, -1, -1)
        digest.update(repr(mark).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Part:
    """A finished part: the lines of its files, as `make` wrote them, and where in its .jsonl each
    begins."""

    lines: list[bytes]
    offsets: list[int]

    @property
    def lacks_any(self) -> bool:
        """Whether a file of it could not be fetched, which another time may go well."""
        code = f'"code": "{UNREACHED}"'.encode()  # a quote in a path is escaped
        return any(code in line for line in self.lines)


def read_part(folder: Path, stem: str, *, verify: bool = False) -> Part | None:
    """The finished part, or None when there is none or it is damaged.

    `verify` also compares the bytes of the pictures with their checksum.
    """
    try:
        head, _, body = (folder / f"{stem}.jsonl").read_bytes().partition(b"\n")
        sums = json.loads(head)
        if hashlib.sha256(body).hexdigest() != sums["rows_sha256"]:
            return None
        if verify:
            with open(folder / f"{stem}.npy", "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sums["values_sha256"]:
                return None
        elif not (folder / f"{stem}.npy").is_file():
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    lines = body.splitlines(keepends=True)
    starts = accumulate((len(line) for line in lines), initial=len(head) + 1)
    return Part(lines, list(starts)[:-1])


def make(job: Job, beat: Beat = lambda position: None) -> None:
    """Write `stem`.npy (sounds, mels, frames; of the feature's dtype) and then `stem`.jsonl: a line
    of checksums, and a line for each file with the `sounds` that were cut from it.

    `beat` is told the position of each file before it is opened, and again with every sound.
    OSError when the folder cannot be written; files that cannot be used become lines, never errors.
    """
    feature, cut = feature_of(job.feature), Cut.from_settings(job.cut)
    rows, folder, position = [], Path(job.folder), 0
    path = folder / f"{job.stem}.npy"

    def alive() -> None:
        beat(position)

    opened = sounds(job.root, job.files, job.avoid, alive)
    with replacing(path) as file, opened as files:
        pictures = _Writer(file, feature)
        for position, name in enumerate(job.files):
            beat(position)
            if position in job.avoid:
                rows.append(_skipped(name, *job.avoid[position]))
                continue
            kept = pictures.count
            try:
                with (
                    files.local(position) as local,
                    Sound(local, max_seconds=job.max_seconds, beat=alive) as sound,
                ):
                    found = []
                    for piece in pieces(sound, cut, feature.sample_rate, feature.seen):
                        found.append(pictures.add(piece))
                        beat(position)
                row = _row(name, sound.facts, found)
                if not found:
                    raise Unusable("no_onset", "no onset was found in it; another cut may fit")
            except Unusable as error:
                pictures.forget(kept)
                rows.append(_skipped(name, error.code, str(error)))
                continue
            except MemoryError:
                pictures.forget(kept)
                rows.append(_skipped(name, "too_long", "it does not fit in memory; cut it"))
                continue
            rows.append(row)
        pictures.finish()
        file.flush()
        with open(file.name, "rb") as again:
            sha256 = hashlib.file_digest(again, "sha256").hexdigest()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    sums = {"values_sha256": sha256, "rows_sha256": hashlib.sha256(lines.encode()).hexdigest()}
    write_text(folder / f"{job.stem}.jsonl", json.dumps(sums) + "\n" + lines)


class _Writer:
    """Pictures on their way to an open .npy file: those of equal length are analysed together, and
    none stays in memory for long."""

    def __init__(self, file: BinaryIO, feature: Feature) -> None:
        self.feature, self.count = feature, 0
        self._file = file
        self._kind = np.dtype(feature.dtype).newbyteorder("<")
        self._size = self._kind.itemsize * math.prod(feature.shape)
        self._waiting: dict[int, list[tuple[int, dict[str, Any], np.ndarray]]] = {}
        file.write(self._head())

    def _head(self) -> bytes:
        """The header of .npy format 1.0, always HEAD bytes, with the present count."""
        shape = (self.count, *self.feature.shape)
        kind = self._kind.str
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.encode().ljust(117) + b"\n"

    def add(self, piece: Piece) -> dict[str, Any]:
        """What a sound's line says of it; its level and statistics join when it is analysed."""
        line: dict[str, Any] = {
            "start": piece.start, "length": piece.length,
            "level_db": round(float(level.peak_db(np.asarray(piece.peak))), 3),
        }  # fmt: skip
        batch = self._waiting.setdefault(len(piece.samples), [])
        batch.append((self.count, line, piece.samples))
        self.count += 1
        if len(batch) == SLICE:
            self._analyse(len(piece.samples))
        elif sum(map(len, self._waiting.values())) > 8 * SLICE:  # many lengths
            self._analyse(next(iter(self._waiting)))
        return line

    def _analyse(self, length: int) -> None:
        import torch

        places, lines, sounds = zip(*self._waiting.pop(length), strict=True)
        stacked = np.stack(sounds)
        for sound in stacked:
            level.remove_offset(sound, self.feature.sample_rate)
        with torch.inference_mode():
            picture = self.feature.analyse(torch.from_numpy(stacked))
        values = picture.values.numpy()
        mean = values.mean(axis=(1, 2))
        square = np.einsum("bft,bft->b", values, values) / values[0].size
        small = values.astype(self._kind)
        for n, (at, line) in enumerate(zip(places, lines, strict=True)):
            self._file.seek(HEAD + at * self._size)
            self._file.write(small[n].tobytes())
            line.update(
                feature_db=round(float(picture.level_db[n]), 4), mean=float(mean[n]),
                square=float(square[n]),
            )  # fmt: skip

    def forget(self, count: int) -> None:
        """Take back all sounds from number `count` on."""
        for length, batch in list(self._waiting.items()):
            self._waiting[length] = [entry for entry in batch if entry[0] < count]
            if not self._waiting[length]:
                del self._waiting[length]
        self.count = count

    def finish(self) -> None:
        """Analyse what waits and write the header."""
        for length in list(self._waiting):
            self._analyse(length)
        self._file.truncate(HEAD + self.count * self._size)
        self._file.seek(0)
        self._file.write(self._head())


def _row(name: str, facts: Facts, sounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Report line of a readable file, with what is doubtful about it."""
    doubts = []
    if level.peak_db(np.asarray(facts.peak)) < SILENT_DB:
        doubts.append(("silent", f"silent (its peak is below {SILENT_DB:g} dBFS)"))
    if facts.truncated:
        doubts.append(("truncated", "cut off: it announces more sound than it holds"))
    if facts.clipped > CLIPPED_SHARE:
        doubts.append(("clipped", f"clipped: {facts.clipped:.1%} of its samples are at full scale"))
    if facts.dc > DC:
        doubts.append(("dc", f"its mean is {facts.dc:.3f} of full scale instead of 0"))
    return {
        "path": name,
        "status": "warn" if doubts else "ok",
        "code": doubts[0][0] if doubts else "ok",
        "message": "; ".join(message for _, message in doubts),
        "codes": [code for code, _ in doubts],
        "seconds": round(facts.seconds, 6),
        "sample_rate": facts.sample_rate,
        "channels": facts.channels,
        "level_db": round(float(level.peak_db(np.asarray(facts.peak))), 3),
        "rms_db": round(10.0 * math.log10(max(facts.square, 1e-12)), 3),
        "dc": round(facts.dc, 6),
        "clipped": round(facts.clipped, 6),
        "sha256": facts.sha256,
        "sounds": sounds,
    }


def _skipped(file: str, code: str, message: str) -> dict[str, Any]:
    return {"path": file, "status": "skipped", "code": code, "message": message}


def worker(progress_file: str) -> None:
    """Answer jobs from stdin until it closes; the position in the part is kept in progress_file."""
    import torch

    torch.set_num_threads(1)
    with open(progress_file, "r+b") as file, mmap.mmap(file.fileno(), 16) as memory:
        beats = 0

        def beat(position: int) -> None:
            nonlocal beats
            beats += 1
            memory[:16] = struct.pack("<qq", position, beats)

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
