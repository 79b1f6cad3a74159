"""A store that is read while another process still writes it.

Parts appear whole and under a name that says what they were made from, so a reader needs no lock and
never sees half a row. plan.json says which parts there will be.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbrespace.audio.files import printable
from timbrespace.data.corpus import Corpus
from timbrespace.data.jobs import PLAN
from timbrespace.data.lock import is_held
from timbrespace.data.mirror import LOCK
from timbrespace.data.part import read_part
from timbrespace.data.store import Pictures, mapped
from timbrespace.data.table import Table
from timbrespace.errors import CorpusError
from timbrespace.features.feature import Feature


@dataclass(frozen=True)
class Place:
    """Where a sound is: `seconds` of a file from `start` seconds on."""

    file: str
    start: float
    seconds: float


class Growing:
    """The finished sounds of a corpus that another process may still be preparing.

    A sound is addressed by its position in `places`, in the order in which this reader found it;
    `refresh` adds at the end and moves nothing. `row` (len,) has the row id of each, -1 until it is
    decided: at once for a further feature of a finished corpus, else when `finished`.
    """

    def __init__(self, path: Path, feature: Feature) -> None:
        self.path, self.feature = path, feature
        self.places: list[Place] = []
        self.row = np.zeros(0, np.int64)
        self.files_in_all = 0
        self.finished = False
        self._folder = path / "features" / feature.fingerprint
        self._taken: dict[str, int] = {}
        self._parts: list[np.ndarray] = []
        self._numbers: list[int] = []  # which of its file's sounds each is

    @classmethod
    def open(cls, path: str | Path, feature: Feature) -> "Growing":
        """What is finished of the corpus at `path`; CorpusError when nothing of this feature is
        there or being made."""
        found = cls(Path(path), feature)
        found.refresh()
        return found

    def __len__(self) -> int:
        return len(self.places)

    @property
    def files(self) -> int:
        """How many files are finished, skipped ones too."""
        return sum(self._taken.values())

    @property
    def at_work(self) -> bool:
        """Whether a process is preparing the corpus now; without, what is missing stays so."""
        return is_held(self.path / LOCK)

    def read(self, positions: np.ndarray | list[int]) -> np.ndarray:
        """Pictures (n, mels, frames) float32 of the sounds at some positions, in their order."""
        values = Pictures(self._parts, self.feature.shape, self.feature.dtype)
        return values.widened(np.asarray(positions, np.int64))

    def refresh(self) -> int:
        """Find what has been finished since, and return how many sounds that is.

        CorpusError when the corpus is prepared anew from other files: open it again.
        """
        before = len(self)
        if self.finished:
            return 0
        stems, table = self._announced()
        if not self._taken.keys() <= set(stems):
            raise CorpusError(
                f"{printable(self.path)} is prepared anew from other files; open it again"
            )
        there = {entry.name for entry in os.scandir(self._folder)}
        for stem in stems:
            if stem not in self._taken and f"{stem}.jsonl" in there:
                self._take(stem)
        self.files_in_all = max(self.files_in_all, self.files)
        self.finished = table is not None and len(self._taken) == len(stems)
        if table is None:
            self.row = np.full(len(self), -1)
        else:
            self._decide(table)
        return len(self) - before

    def _announced(self) -> tuple[list[str], Table | None]:
        """The parts that there will be, and the rows where they are decided."""
        try:
            plan = json.loads((self._folder / PLAN).read_text(encoding="utf-8"))
            stems, digest = [stem for stem, _ in plan["parts"]], plan["corpus"]
            self.files_in_all = sum(size for _, size in plan["parts"])
        except (OSError, ValueError):
            try:
                facts = json.loads((self._folder / "feature.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                raise CorpusError(
                    f"nothing of this feature is in {printable(self.path)} or being made; prepare "
                    "it, or wait until that has begun"
                ) from None
            stems, digest = (
                [name.removesuffix(".npy") for name, _ in facts["parts"]],
                facts["corpus"],
            )
            self.files_in_all = 0  # counted as they are found
        if digest is None:
            return stems, None
        try:
            corpus = Corpus.open(self.path)
        except CorpusError:  # its table is yet to be written
            return stems, None
        return stems, corpus.rows if corpus.digest == digest else None

    def _take(self, stem: str) -> None:
        """Add the sounds of a finished part."""
        part = read_part(self._folder, stem)
        if part is None:  # being made again after damage
            return
        before = len(self.places)
        for line in map(json.loads, part.lines):
            rate = line.get("sample_rate", 1)
            for number, sound in enumerate(line.get("sounds", ())):
                place = Place(line["path"], sound["start"] / rate, sound["length"] / rate)
                self.places.append(place)
                self._numbers.append(number)
        count = len(self.places) - before
        self._parts.append(mapped(self._folder / f"{stem}.npy", count, self.feature))
        self._taken[stem] = len(part.lines)

    def _decide(self, table: Table) -> None:
        """The row ids of all that is here."""
        place = {file: number for number, file in enumerate(table.files)}
        first = np.searchsorted(table.file, np.arange(len(table.files) + 1))
        of = np.array([place.get(p.file, -1) for p in self.places], np.int64)
        self.row = np.where(of >= 0, first[of] + np.array(self._numbers, np.int64), -1)
