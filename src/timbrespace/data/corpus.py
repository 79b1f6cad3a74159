"""The corpus: a table of sounds, their audio where the user keeps it, and features by row id."""

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.audio.files import Audio, read
from timbrespace.data.atomic import write_bytes, write_text
from timbrespace.data.lock import locked
from timbrespace.data.part import Job, inputs_digest, read_part
from timbrespace.data.workers import cores, make_parts
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

FORMAT = 1
PART = 256  # files in a part
MAX_SECONDS = 600.0  # a longer sound is refused by name
FIXED = ("row", "file", "split", "seconds", "sample_rate", "level_db", "sha256")
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One sound. `file` is relative to the corpus' source; level_db is the peak in dBFS."""

    row: int
    file: str
    split: str
    seconds: float
    sample_rate: int
    level_db: float
    sha256: str
    labels: dict[str, str | int | None] = field(default_factory=dict)


class Parts:
    """Several arrays on disk that read as one: `values[row_ids]` -> (N, mels, frames) float16."""

    def __init__(self, arrays: Sequence[np.ndarray], shape: tuple[int, int]) -> None:
        self.arrays = arrays
        self.starts = np.cumsum([0, *map(len, arrays)])
        self.shape = (int(self.starts[-1]), *shape)
        self.dtype = np.dtype(np.float16)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        wanted = np.arange(len(self))[rows]
        one = wanted.ndim == 0
        wanted = np.atleast_1d(wanted)
        out = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        part = np.searchsorted(self.starts, wanted, side="right") - 1
        for number in np.unique(part):
            here = np.flatnonzero(part == number)
            out[here] = self.arrays[number][wanted[here] - self.starts[number]]
        return out[0] if one else out


@dataclass(frozen=True)
class FeatureStore:
    """Pictures of every row of a corpus: values (rows, mels, frames) float16, level_db (rows,)."""

    values: Parts
    level_db: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def rows(self) -> np.ndarray:
        return np.arange(len(self))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Pictures (N, mels, frames) float32 of row ids."""
        return self.values[rows].astype(np.float32)


@dataclass(frozen=True)
class Made:
    """What `make_features` found: one report row per file in order, and its parts' stems."""

    report: list[dict[str, Any]]
    stems: list[str]


def make_features(
    root: Path, files: Sequence[str], feature: LogMel, folder: Path, *,
    workers: int | None, progress: Tell | None, max_seconds: float = MAX_SECONDS,
) -> Made:  # fmt: skip
    """Parts of all files in `folder`; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for number, start in enumerate(range(0, len(files), PART)):
        some = tuple(files[start : start + PART])
        digest = inputs_digest(root, some, feature, max_seconds)
        jobs.append(
            Job(number, str(root), some, feature.settings(), str(folder), digest, max_seconds)
        )
    todo = [job for job in jobs if read_part(folder, job.stem) is None]
    finished = sum(len(j.files) for j in jobs) - sum(len(j.files) for j in todo)
    if progress:
        progress(finished, len(files))

    def done(job: Job) -> None:
        nonlocal finished
        finished += len(job.files)
        if progress:
            progress(finished, len(files))

    if todo:
        make_parts(todo, min(workers or cores(), len(todo)), done)
    report: list[dict[str, Any]] = []
    for job in jobs:
        part = read_part(folder, job.stem)
        if part is None:
            raise CorpusError(f"{folder / job.stem}.npy vanished while it was made; run it again")
        report += part["rows"]
    stems = [job.stem for job in jobs]
    for path in folder.glob("part-*"):
        if path.name.rsplit(".", 1)[0] not in stems:
            path.unlink(missing_ok=True)  # of files that changed since
    return Made(report, stems)


def write_store(folder: Path, feature: LogMel, made: Made) -> None:
    """feature.json and levels of finished parts: the store is readable from here on."""
    level = np.array([r["feature_db"] for r in made.report if r["status"] != "skipped"], np.float32)
    import io

    packed = io.BytesIO()
    np.save(packed, level)
    write_bytes(folder / "level_db.npy", packed.getvalue())
    facts = {"settings": feature.settings(), "parts": made.stems, "rows": len(level)}
    write_text(folder / "feature.json", json.dumps(facts, indent=1))


class Corpus:
    """A prepared corpus, opened with `Corpus.open`."""

    def __init__(self, path: Path, facts: dict[str, Any], rows: list[Row]) -> None:
        self.path, self.facts, self.rows = path, facts, rows

    @classmethod
    def open(cls, path: str | Path) -> "Corpus":
        """CorpusError when the folder is no corpus, or one of another format."""
        path = Path(path)
        if not path.is_dir():
            raise CorpusError(f"there is no corpus {path}; make one with: timbrespace prepare")
        try:
            facts = json.loads((path / "corpus.json").read_text(encoding="utf-8"))
            if facts["format"] != FORMAT:
                raise CorpusError(
                    f"{path} has another corpus format than {FORMAT}; prepare it again"
                )
            numbers = set(facts["number_labels"])
            with open(
                path / "sounds.csv", encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                rows = [_row(line, facts["labels"], numbers) for line in csv.DictReader(file)]
        except (OSError, ValueError, KeyError, TypeError):
            raise CorpusError(
                f"{path} is not a finished corpus; make it with: timbrespace prepare SOURCE --out {path}"
            ) from None
        return cls(path, facts, rows)

    @property
    def root(self) -> Path:
        return Path(self.facts["source"])

    @property
    def label_names(self) -> list[str]:
        return list(self.facts["labels"])

    def labels(self, name: str) -> list[str | int | None]:
        """The label of every row; CorpusError for a name it does not have."""
        if name not in self.facts["labels"]:
            raise CorpusError(f"{self.path} has no label {name!r}; it has {self.label_names}")
        return [row.labels[name] for row in self.rows]

    def split_rows(self, split: str) -> np.ndarray:
        """Row ids of train, valid or test."""
        return np.array([row.row for row in self.rows if row.split == split], int)

    def audio(self, row: int, *, sample_rate: int | None = None) -> Audio:
        """The sound of a row; AudioError when its file is gone."""
        return read(self.root / self.rows[row].file, sample_rate=sample_rate)

    @cached_property
    def digest(self) -> str:
        """Changes with any sound, label or split."""
        return hashlib.sha256((self.path / "sounds.csv").read_bytes()).hexdigest()[:16]

    def features(
        self, feature: LogMel, *, workers: int | None = None, progress: Tell | None = None
    ) -> FeatureStore:
        """The store of `feature`, prepared first where it is missing.

        CorpusError when a sound has changed or gone since the corpus was prepared.
        """
        folder = self.path / "features" / feature.fingerprint
        facts = _store_facts(folder)
        if facts is None or facts["rows"] != len(self.rows):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                made = make_features(
                    self.root, [r.file for r in self.rows], feature, folder,
                    workers=workers, progress=progress,
                )  # fmt: skip
                for row, found in zip(self.rows, made.report, strict=True):
                    if found.get("sha256") != row.sha256:
                        raise CorpusError(
                            f"{self.root / row.file} has changed since the corpus was prepared; "
                            "prepare it again"
                        )
                write_store(folder, feature, made)
            facts = _store_facts(folder)
            assert facts is not None
        arrays = [
            np.load(folder / f"{stem}.npy", mmap_mode="r", allow_pickle=False)
            for stem in facts["parts"]
        ]
        level = np.load(folder / "level_db.npy", allow_pickle=False)
        return FeatureStore(Parts(arrays, feature.shape), level)


def _store_facts(folder: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads((folder / "feature.json").read_text(encoding="utf-8"))
        whole = all((folder / f"{stem}.npy").is_file() for stem in facts["parts"])
        return facts if whole and (folder / "level_db.npy").is_file() else None
    except (OSError, ValueError, KeyError):
        return None


def _row(line: dict[str, str], names: list[str], numbers: set[str]) -> Row:
    labels: dict[str, str | int | None] = {}
    for name in names:
        value = line[f"label_{name}"]
        labels[name] = None if value == "" else int(value) if name in numbers else value
    return Row(
        int(line["row"]), line["file"], line["split"], float(line["seconds"]),
        int(line["sample_rate"]), float(line["level_db"]), line["sha256"], labels,
    )  # fmt: skip
