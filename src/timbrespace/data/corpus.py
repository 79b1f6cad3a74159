"""A prepared corpus: the sounds that can be used, their labels, their pictures.

corpus.json     version, source, layout, labels, counts       health.md, health.json  in words
sounds.csv      one line a usable sound; its line is its row id, everywhere
report.jsonl    one line a file that was found, usable or not
features/<fingerprint>/   feature.json, part-*.npy (rows, mels, frames) float16, level-*.npy
"""

import contextlib
import csv
import hashlib
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from timbrespace.audio.files import Audio, printable, read, read_section
from timbrespace.data import workers
from timbrespace.data.atomic import TEMPORARY, remove_abandoned, write_bytes
from timbrespace.data.cutting import Cut
from timbrespace.data.lock import locked
from timbrespace.data.part import Job, inputs_digest, read_part
from timbrespace.errors import AudioError, CorpusError
from timbrespace.features.log_mel import LogMel
from timbrespace.machine import cores

FORMAT = 2
LOCK = ".lock"
FIXED = ("row", "file", "split", "start", "seconds", "sample_rate", "level_db", "sha256")
PART = 256  # files, on average

Progress = Callable[[int, int], None]
_FORMULA = tuple("=+-@'")  # a spreadsheet would run cells that begin so


@dataclass
class Row:
    """One usable sound: `seconds` of a file from `start` seconds on. file is relative to the source,
    sha256 is the whole file's; level_db is the sound's peak in dBFS."""

    row: int
    file: str
    split: str
    start: float
    seconds: float
    sample_rate: int
    level_db: float
    sha256: str
    labels: dict[str, str | int | None]

    @property
    def name(self) -> str:
        """What to call the sound: its file's name, and where in the file it begins."""
        stem = PurePosixPath(self.file).stem
        return f"{stem} at {self.start:.2f} s" if self.start else stem


class Corpus:
    """What `prepare` made, opened for reading. Make one with `Corpus.open`."""

    def __init__(self, path: Path, facts: dict[str, Any], rows: list[Row], digest: str) -> None:
        self.path = path
        self.facts = facts
        self.rows = rows
        self.digest = digest

    @classmethod
    def open(cls, path: str | Path) -> "Corpus":
        """The corpus in folder `path`; CorpusError when there is none, or not a whole one."""
        path = Path(path)
        shown = printable(path)
        try:
            facts = json.loads((path / "corpus.json").read_text(encoding="utf-8"))
            data = (path / "sounds.csv").read_bytes()
        except OSError:
            if (path / "features").is_dir():
                raise CorpusError(f"{shown} is not finished; run the same prepare again") from None
            what = "is not a corpus" if path.exists() else "does not exist"
            raise CorpusError(f"{shown} {what}; make one with: timbrespace prepare") from None
        except ValueError:
            raise CorpusError(f"{shown}/corpus.json is damaged; run prepare again") from None
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise CorpusError(f"{shown} has another corpus format than {FORMAT}; prepare it again")
        digest = hashlib.sha256(data).hexdigest()
        if digest != facts.get("sounds_sha256"):
            raise CorpusError(
                f"{shown}/sounds.csv is not the one that was prepared "
                "(an interrupted prepare, or an edit); run prepare again"
            )
        return cls(path, facts, rows_from_csv(data, facts["labels"]), digest[:16])

    @property
    def root(self) -> Path:
        """The folder of the user's sounds."""
        return Path(self.facts["source"])

    @property
    def layout(self) -> str:
        """The layout it was read as, such as nsynth or folder."""
        return self.facts["layout"]

    @property
    def cut(self) -> Cut:
        """How its files became sounds."""
        return Cut.from_settings(self.facts["cut"])

    @property
    def label_names(self) -> list[str]:
        """The labels its sounds have, such as pitch, velocity, family, instrument, source."""
        return list(self.facts["labels"])

    def labels(self, name: str) -> list[str | int | None]:
        """The label of every row, None where unknown; CorpusError for a name it has not."""
        if name not in self.facts["labels"]:
            known = ", ".join(self.label_names) or "none"
            raise CorpusError(f"{printable(self.path)} has no label {name!r}; it has: {known}")
        return [row.labels[name] for row in self.rows]

    def split_rows(self, split: str) -> np.ndarray:
        """Row ids of train, valid or test, ascending."""
        if split not in ("train", "valid", "test"):
            raise CorpusError(f"split should be train, valid or test, got {split!r}")
        return np.array([row.row for row in self.rows if row.split == split], dtype=np.int64)

    def audio(self, row: int, sample_rate: int | None = None) -> Audio:
        """The sound of a row, from the user's file; CorpusError when that is gone or unreadable."""
        if not 0 <= row < len(self.rows):
            raise CorpusError(f"row should be from 0 to {len(self.rows) - 1}, got {row}")
        place = self.rows[row]
        path = self.root / place.file
        try:
            if self.cut.kind != "start":
                return read_section(path, place.start, place.seconds, sample_rate=sample_rate)
            return read(path, sample_rate=sample_rate, max_seconds=self.facts["max_seconds"])
        except AudioError as error:
            raise CorpusError(
                f"{error}; a corpus refers to the sounds it was made of, keep them in "
                f"{printable(self.root)}"
            ) from None

    def features(
        self, feature: LogMel, *, workers: int | None = None, progress: Progress | None = None
    ) -> "FeatureStore":
        """The pictures of every row; made now where this corpus has none of this feature yet.

        `progress` is told (sounds done, sounds in all). CorpusError when a sound has changed since
        prepare, or the disk is full.
        """
        folder = self.path / "features" / feature.fingerprint
        store = FeatureStore.find(folder, feature, self.digest)
        if store is not None:
            return store
        try:
            with locked(self.path / LOCK, "prepared", CorpusError):
                return self._make(folder, feature, workers, progress)
        except OSError as error:
            raise disk_error(self.path, error) from None

    def _make(
        self, folder: Path, feature: LogMel, processes: int | None, progress: Progress | None
    ) -> "FeatureStore":
        known = {row.file: row.sha256 for row in self.rows}
        jobs = jobs_of(self.root, list(known), feature, self.cut, folder, self.facts["max_seconds"])
        parts = finish(folder, jobs, processes, progress)
        for line in (line for part in parts for line in part["rows"]):
            if line["status"] == "skipped" or line["sha256"] != known[line["path"]]:
                raise CorpusError(
                    f"{printable(self.root / line['path'])} has changed since the corpus was "
                    "prepared; run prepare again"
                )
        return FeatureStore.publish(folder, feature, self.digest, jobs, parts)


class FeatureStore:
    """Pictures of all rows of a corpus: `values` (rows, mels, frames) float16 and `level_db`."""

    def __init__(
        self, feature: LogMel, values: "Pictures", level_db: np.ndarray,
        statistics: dict[str, float],
    ) -> None:  # fmt: skip
        self.feature = feature
        self.values = values
        self.level_db = level_db
        self.statistics = statistics

    @property
    def rows(self) -> np.ndarray:
        """The row ids, 0 to len - 1."""
        return np.arange(len(self.values))

    def __len__(self) -> int:
        return len(self.values)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Pictures (n, mels, frames) float32 of the given row ids, in their order."""
        import torch  # its way from half to single precision is 20 times faster than numpy's

        return torch.from_numpy(self.values[np.asarray(rows)]).float().numpy()

    @classmethod
    def find(cls, folder: Path, feature: LogMel, corpus_digest: str) -> "FeatureStore | None":
        """The store in `folder`, or None when it is missing, damaged or of another corpus state."""
        try:
            facts = json.loads((folder / "feature.json").read_text(encoding="utf-8"))
            if facts["corpus"] != corpus_digest or facts["settings"] != feature.settings():
                return None
            parts = [
                np.load(folder / name, mmap_mode="r" if count else None, allow_pickle=False)
                for name, count in facts["parts"]
            ]
            if any(p.shape != (c, *feature.shape) for p, (_, c) in zip(parts, facts["parts"])):  # noqa: B905
                return None
            levels = np.load(folder / facts["level"], allow_pickle=False)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None
        if levels.shape != (sum(map(len, parts)),):
            return None
        return cls(feature, Pictures(parts, feature.shape), levels, facts["statistics"])

    @classmethod
    def publish(
        cls, folder: Path, feature: LogMel, corpus_digest: str, jobs: list[Job],
        parts: list[dict[str, Any]],
    ) -> "FeatureStore":  # fmt: skip
        """Make finished parts the store of a corpus state, and remove what it replaces."""
        sounds = [sound for part in parts for sound in sounds_of(part)]
        mean = float(np.mean([sound["mean"] for sound in sounds]))
        square = float(np.mean([sound["square"] for sound in sounds]))
        levels = np.array([sound["feature_db"] for sound in sounds], np.float32)
        counts = [sum(1 for _ in sounds_of(part)) for part in parts]
        level = f"level-{corpus_digest[:8]}.npy"
        data = io.BytesIO()
        np.lib.format.write_array(data, levels, allow_pickle=False)
        write_changed(folder / level, data.getvalue())
        facts = {
            "format": FORMAT,
            "settings": feature.settings(),
            "corpus": corpus_digest,
            "level": level,
            "statistics": {
                "mean": round(mean, 6), "std": round(max(square - mean**2, 0.0) ** 0.5, 6)
            },
            "parts": [[f"{j.stem}.npy", n] for j, n in zip(jobs, counts, strict=True)],
        }  # fmt: skip
        write_changed(folder / "feature.json", json.dumps(facts, indent=1) + "\n")
        wanted = {f"{job.stem}{suffix}" for job in jobs for suffix in (".npy", ".jsonl")}
        wanted |= {"feature.json", level}
        for path in folder.iterdir():
            if path.name not in wanted and TEMPORARY not in path.name:
                path.unlink()
        store = cls.find(folder, feature, corpus_digest)
        assert store is not None
        return store


class Pictures:
    """Arrays on disk (n_i, mels, frames) that are indexed as one; indexing gives float16 arrays."""

    def __init__(self, parts: list[np.ndarray], shape: tuple[int, int]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *shape)
        self.dtype = np.dtype(np.float16)
        self.ndim = 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray | list[int]) -> np.ndarray:
        if isinstance(index, (int, np.integer)):
            return self[np.array([index])][0]
        if isinstance(index, slice):
            rows = np.arange(len(self))[index]
        else:
            rows = np.asarray(index)
            rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"row ids should be from 0 to {len(self) - 1}")
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        for n, (part, row) in enumerate(zip(part_of, rows - self._starts[part_of], strict=True)):
            found[n] = self._parts[part][row]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)


def sounds_of(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The sounds of a finished part, in the order of its pictures."""
    for line in part["rows"]:
        yield from line.get("sounds", ())


def jobs_of(
    root: Path, files: list[str], feature: LogMel, cut: Cut, folder: Path, max_seconds: float
) -> list[Job]:
    """The jobs that make the pictures of `files`; the same for the same inputs.

    Where a part ends is decided by the files' names alone, so a file that is added or removed
    changes the part that it is in, and no other.
    """
    size = 8
    while size < PART and size * 32 <= len(files):
        size *= 2
    jobs, some = [], []
    for position, file in enumerate(files, start=1):
        some.append(file)
        name = zlib.crc32(file.encode("utf-8", "surrogateescape"))
        if name % size == 0 or len(some) == 4 * size or position == len(files):
            digest = inputs_digest(root, tuple(some), feature, cut, max_seconds)
            jobs.append(Job(
                len(jobs), str(root), tuple(some), feature.settings(), cut.settings(),
                str(folder), digest, max_seconds,
            ))  # fmt: skip
            some = []
    return jobs


def finish(
    folder: Path, jobs: list[Job], processes: int | None, progress: Progress | None,
    cluster: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """All parts in order, keeping those that are there; OSError when the disk says no.

    They are made by processes of this machine, or by the Dask `cluster` of that address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    total = sum(len(job.files) for job in jobs)
    parts: dict[int, dict[str, Any]] = {}
    for job in jobs:
        part = read_part(folder, job.stem, verify=True)
        if part is not None and len(part["rows"]) == len(job.files):
            parts[job.number] = part
    missing = [job for job in jobs if job.number not in parts]
    count = total - sum(len(job.files) for job in missing)

    def done(job: Job) -> None:
        nonlocal count
        part = read_part(folder, job.stem)
        if part is None:
            raise CorpusError(f"{printable(folder)}: a part just written cannot be read back")
        parts[job.number] = part
        count += len(job.files)
        if progress:
            progress(count, total)

    if progress:
        progress(count, total)
    try:
        if cluster is None:
            workers.make_parts(missing, _processes(processes, total - count), done)
        else:
            from timbrespace.data.cluster import make_parts

            make_parts(missing, cluster, done)
    finally:
        remove_abandoned(folder)
    return [parts[job.number] for job in jobs]


def _processes(asked: int | None, files: int) -> int:
    if asked is None:
        # A worker takes a second to start, in which one process reads some 1200 notes
        # (bench/results/prepare.md); fewer sounds for each are done sooner without.
        return max(1, min(cores(), files // 2000))
    if asked < 1:
        raise CorpusError(f"workers should be at least 1, got {asked}")
    return asked


def rows_to_csv(rows: Iterable[Row], labels: Iterable[str]) -> str:
    """The text of sounds.csv; `rows_from_csv` is its inverse."""
    out, labels = io.StringIO(), list(labels)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*FIXED, *map(_guard, labels)])
    for r in rows:
        writer.writerow([
            r.row, _guard(r.file), r.split, r.start, r.seconds, r.sample_rate, r.level_db, r.sha256,
            *(_guard(r.labels[name]) for name in labels),
        ])  # fmt: skip
    return out.getvalue()


def rows_from_csv(data: bytes, labels: dict[str, str]) -> list[Row]:
    """Rows of the bytes of a sounds.csv; labels {name: "int" or "str"}."""
    reader = csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline=""))
    next(reader)
    rows = []
    for line in reader:
        values: dict[str, str | int | None] = {}
        for (name, sort), cell in zip(labels.items(), line[len(FIXED) :], strict=True):
            values[name] = (int(cell) if sort == "int" else _unguard(cell)) if cell else None
        row, file, split, start, seconds, rate, level, sha = line[: len(FIXED)]
        facts = (float(start), float(seconds), int(rate), float(level), sha)
        rows.append(Row(int(row), _unguard(file), split, *facts, values))
    return rows


def _guard(value: str | int | None) -> str | int | None:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _unguard(cell: str) -> str:
    return cell[1:] if cell[0] == "'" else cell


def label_sorts(tables: Iterable[dict[str, str | int | None]]) -> dict[str, str]:
    """The labels that any sound has, in order, and whether each is "int" or "str"."""
    kinds: dict[str, set[type]] = defaultdict(set)
    for labels in tables:
        for name, value in labels.items():
            kinds[name] |= {type(value)} if value is not None else set()
    return {n: "int" if kinds[n] == {int} else "str" for n in kinds if kinds[n]}


def write_changed(path: Path, content: str | bytes) -> None:
    """Write `content` unless `path` holds it already, so that a rerun touches nothing."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    write_bytes(path, data)


def disk_error(path: Path, error: OSError) -> CorpusError:
    """The sentence for a disk that refuses; finished parts are kept."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CorpusError(
            f"the disk of {printable(path)} is full; free some space and run the same command "
            "again, what is finished is kept"
        )
    return CorpusError(f"{printable(path)} cannot be written: {error.strerror or error}")
