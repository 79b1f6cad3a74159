"""What reading the files found, as columns: a part's lines are taken apart as soon as it is made.

The lines themselves stay in the parts. report.jsonl is streamed from them, in the order of the
paths, so that the lines of a million files are never in memory at once.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from timbrespace.data.columns import Texts
from timbrespace.data.part import Part

_SOUNDS = b', "sounds": ['  # a quote in a path is escaped, so this is only where sounds begin
_OPEN = 64  # parts whose lines are open at a time


@dataclass
class Findings:
    """Columns of files (F) and of their sounds (N), and where the line of each file is.

    Of each file: verdict (int16, which of `verdicts`: status, first code, all codes), count (int32)
    of its sounds, sample_rate (int32), channels (int16), sha256 (F, 32 bytes), level_db and rms_db
    (float32), part (int32) and offset (int64) of its line. A skipped file has zeros. Of each sound:
    start and length (int64, samples of its file), level_db and feature_db.
    """

    verdicts: list[tuple[str, str, tuple[str, ...]]]
    verdict: np.ndarray
    count: np.ndarray
    sample_rate: np.ndarray
    channels: np.ndarray
    sha256: np.ndarray
    level_db: np.ndarray
    rms_db: np.ndarray
    part: np.ndarray
    offset: np.ndarray
    start: np.ndarray
    length: np.ndarray
    sound_db: np.ndarray
    feature_db: np.ndarray
    sums: tuple[float, float]  # of all sounds: of the mean of a picture, and of its mean square
    parts: list[Path]
    names: Texts
    by_path: np.ndarray  # the places (F,) of the files, sorted by path

    def __len__(self) -> int:
        return len(self.verdict)

    @property
    def skipped(self) -> np.ndarray:
        """Which files (F,) cannot be used."""
        return np.array([status == "skipped" for status, _, _ in self.verdicts])[self.verdict]

    def doubtful(self, code: str) -> np.ndarray:
        """Which files (F,) are used and have this code, such as clipped."""
        return np.array([code in codes for _, _, codes in self.verdicts])[self.verdict]

    def lines(self, order: np.ndarray) -> Iterator[bytes]:
        """The lines of report.jsonl of some files: how many sounds each gave in place of their facts."""
        with ExitStack() as stack:
            files: dict[int, BinaryIO] = {}
            for place in order.tolist():
                number = int(self.part[place])
                if number not in files:
                    if len(files) == _OPEN:
                        stack.close()
                        files.clear()
                    files[number] = stack.enter_context(open(self.parts[number], "rb"))
                files[number].seek(int(self.offset[place]))
                head, found, _ = files[number].readline().rstrip(b"\n").partition(_SOUNDS)
                yield head + (b', "sounds": %d}\n' % self.count[place] if found else b"\n")

    def told(self, order: np.ndarray) -> Iterator[dict[str, Any]]:
        """The same lines as objects."""
        return map(json.loads, self.lines(order))


class Gathering:
    """Findings of parts that come in any order."""

    def __init__(self, parts: list[Path], names: Texts) -> None:
        self._parts, self._names = parts, names
        self._verdicts: dict[tuple[str, str, tuple[str, ...]], int] = {}
        self._found: dict[int, dict[str, np.ndarray]] = {}
        self._sums: dict[int, tuple[float, float]] = {}

    def add(self, number: int, part: Part) -> None:
        """Take the lines of part `number` apart."""
        files: list[tuple[Any, ...]] = []
        sums, starts, lengths, levels, features = bytearray(), [], [], [], []
        mean = square = 0.0
        for line in map(json.loads, part.lines):
            codes = tuple(line.get("codes", ()))
            verdict = self._verdicts.setdefault(
                (line["status"], line["code"], codes), len(self._verdicts)
            )
            sounds = line.get("sounds", ())
            files.append((
                verdict, len(sounds), line.get("sample_rate", 0), line.get("channels", 0),
                line.get("level_db", 0.0), line.get("rms_db", 0.0),
            ))  # fmt: skip
            sums += bytes.fromhex(line.get("sha256", "00" * 32))
            for sound in sounds:
                starts.append(sound["start"])
                lengths.append(sound["length"])
                levels.append(sound["level_db"])
                features.append(sound["feature_db"])
                mean += sound["mean"]
                square += sound["square"]
        columns = zip(*files, strict=True) if files else [()] * 6
        kinds = (np.int16, np.int32, np.int32, np.int16, np.float32, np.float32)
        names = ("verdict", "count", "sample_rate", "channels", "level_db", "rms_db")
        self._sums[number] = mean, square
        self._found[number] = {
            **{n: np.array(c, k) for n, c, k in zip(names, columns, kinds, strict=True)},
            "sha256": np.frombuffer(bytes(sums), np.uint8).reshape(len(files), 32),
            "part": np.full(len(files), number, np.int32),
            "offset": np.array(part.offsets, np.int64),
            "start": np.array(starts, np.int64), "length": np.array(lengths, np.int64),
            "sound_db": np.array(levels, np.float64),
            "feature_db": np.array(features, np.float32),
        }  # fmt: skip

    def counts(self, number: int) -> int:
        """How many sounds part `number` has."""
        return len(self._found[number]["start"])

    def all(self) -> Findings:
        """The findings of all parts in order; they are forgotten here."""
        order = range(len(self._parts))
        columns = {
            name: np.concatenate([self._found[number].pop(name) for number in order])
            for name in list(self._found[0])
        }
        sums = [self._sums[number] for number in order]
        return Findings(
            list(self._verdicts), **columns, parts=self._parts, names=self._names,
            by_path=np.array(sorted(range(len(self._names)), key=self._names.__getitem__)),
            sums=(sum(mean for mean, _ in sums), sum(square for _, square in sums)),
        )  # fmt: skip
