"""Pictures on disk: the store of a corpus, addressed by row.

features/<fingerprint>/   feature.json, part-*.npy (sounds, mels, frames), level-*.npy
                          plan.json while parts are being made

Files are mapped into memory, not read: a picture is loaded when it is asked for, processes of one
machine share it, and it stays readable when the file is removed meanwhile. A part is named by a
digest of its inputs and appears whole, so what has a name is finished.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.atomic import TEMPORARY
from timbrespace.data.files import write_changed
from timbrespace.data.findings import Findings
from timbrespace.data.jobs import Jobs
from timbrespace.data.part import HEAD
from timbrespace.features.feature import Feature

FORMAT = 2
WIDENED = 8  # pictures at a time, so that they are still in the cache when they become float32


class Pictures:
    """Arrays on disk (n_i, mels, frames) that are indexed as one; indexing gives arrays of `dtype`."""

    def __init__(self, parts: list[np.ndarray], shape: tuple[int, int], dtype: str) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *shape)
        self.dtype = np.dtype(dtype)
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
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        self._fill(found, *self._places(rows))
        return found

    def widened(self, rows: np.ndarray) -> np.ndarray:
        """The pictures of some rows in float32, in their order."""
        import torch  # widens 20 times faster than numpy

        parts, places = self._places(rows)
        found = torch.empty((len(rows), *self.shape[1:]))
        some = np.empty((WIDENED, *self.shape[1:]), self.dtype)
        for start in range(0, len(rows), WIDENED):
            here = slice(start, min(start + WIDENED, len(rows)))
            block = some[: here.stop - start]
            self._fill(block, parts[here], places[here])
            found[here] = torch.from_numpy(block)
        return found.numpy()

    def _places(self, rows: np.ndarray) -> tuple[list[int], list[int]]:
        """The part of each row and its place there; IndexError for a row that is not there."""
        rows = np.where(rows < 0, rows + len(self), rows)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"row ids should be from 0 to {len(self) - 1}")
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        return parts.tolist(), (rows - self._starts[parts]).tolist()

    def _fill(self, out: np.ndarray, parts: list[int], places: list[int]) -> None:
        for n, (part, place) in enumerate(zip(parts, places, strict=True)):
            out[n] = self._parts[part][place]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)


class Unmapped:
    """The same pictures, read from their files: a pass over all of them leaves none mapped."""

    def __init__(self, files: list[tuple[Path, int]], shape: tuple[int, int], dtype: str) -> None:
        self._paths = [path for path, _ in files]
        self._starts = np.cumsum([0, *(count for _, count in files)])
        self.shape = (int(self._starts[-1]), *shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        size = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        for part in np.unique(parts):
            with open(self._paths[part], "rb", buffering=0) as file:
                for place in np.flatnonzero(parts == part):
                    file.seek(HEAD + int(rows[place] - self._starts[part]) * size)
                    file.readinto(found[place])
        return found


class FeatureStore:
    """Pictures of all rows of a corpus: `values` (rows, mels, frames) in the feature's dtype, mapped,
    and `level_db` (rows,); `unmapped` is for
    one pass over many rows."""

    def __init__(
        self, feature: Feature, values: Pictures, unmapped: Unmapped, level_db: np.ndarray,
        statistics: dict[str, float],
    ) -> None:  # fmt: skip
        self.feature = feature
        self.values = values
        self.unmapped = unmapped
        self.level_db = level_db
        self.statistics = statistics

    @property
    def rows(self) -> np.ndarray:
        """The row ids, 0 to len - 1."""
        return np.arange(len(self.values))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def seen(self) -> "Unmapped | Seen":
        """The pictures as log-mels whatever the feature, for a pass over many rows."""
        return self.unmapped if self.feature.yardstick is self.feature else Seen(self)

    def read(self, rows: np.ndarray | list[int]) -> np.ndarray:
        """Pictures (n, mels, frames) float32 of the given row ids, in their order."""
        return self.values.widened(np.asarray(rows, np.int64))

    @classmethod
    def find(cls, folder: Path, feature: Feature, corpus_digest: str) -> "FeatureStore | None":
        """The store in `folder`, or None when it is missing, damaged or of another corpus state."""
        try:
            facts = json.loads((folder / "feature.json").read_text(encoding="utf-8"))
            if facts["corpus"] != corpus_digest or facts["settings"] != feature.settings():
                return None
            files = [(folder / name, count) for name, count in facts["parts"]]
            parts = [mapped(path, count, feature) for path, count in files]
            levels = np.load(folder / facts["level"], allow_pickle=False)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None
        if levels.shape != (sum(map(len, parts)),):
            return None
        values = Pictures(parts, feature.shape, feature.dtype)
        unmapped = Unmapped(files, feature.shape, feature.dtype)
        return cls(feature, values, unmapped, levels, facts["statistics"])

    @classmethod
    def publish(cls, jobs: Jobs, findings: Findings, corpus_digest: str) -> "FeatureStore":
        """Make finished parts the store of a corpus state, and remove what it replaces."""
        folder, feature = jobs.folder, jobs.feature
        counts = np.bincount(findings.part, findings.count, len(jobs)).astype(int).tolist()
        mean, square = (total / sum(counts) for total in findings.sums)
        level = f"level-{corpus_digest[:8]}.npy"
        data = io.BytesIO()
        np.lib.format.write_array(data, findings.feature_db, allow_pickle=False)
        write_changed(folder / level, data.getvalue())
        stems = [jobs.stem(number) for number in range(len(jobs))]
        facts = {
            "format": FORMAT,
            "settings": feature.settings(),
            "corpus": corpus_digest,
            "level": level,
            "statistics": {
                "mean": round(mean, 6), "std": round(max(square - mean**2, 0.0) ** 0.5, 6)
            },
            "parts": [[f"{stem}.npy", n] for stem, n in zip(stems, counts, strict=True)],
        }  # fmt: skip
        write_changed(folder / "feature.json", json.dumps(facts, indent=1) + "\n")
        wanted = {f"{stem}{suffix}" for stem in stems for suffix in (".npy", ".jsonl")}
        wanted |= {"feature.json", level}
        for path in folder.iterdir():
            if path.name not in wanted and TEMPORARY not in path.name:
                path.unlink()
        store = cls.find(folder, feature, corpus_digest)
        assert store is not None
        return store


class Seen:
    """The pictures of a store as the feature's yardstick shows them, in float32."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self.shape = (len(store), *store.feature.yardstick.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.view(rows)[0]

    def view(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pictures (n, mels, frames) of some rows and what 1 means in each, dB (n,)."""
        import torch

        values = torch.from_numpy(self._store.unmapped[rows]).float()
        seen = self._store.feature.view(values, torch.from_numpy(self._store.level_db[rows]))
        return seen.values.numpy(), seen.level_db.numpy()


def mapped(path: Path, count: int, feature: Feature) -> np.ndarray:
    """The pictures of a part, mapped; ValueError when the file has another size than `count` ask.

    Unlike numpy's map this keeps no file open, of which a process may have some thousand.
    """
    import torch

    dtype, shape = np.dtype(feature.dtype), (count, *feature.shape)
    cells = int(np.prod(shape))
    if path.stat().st_size != HEAD + cells * dtype.itemsize:
        raise ValueError(f"{path} is not whole")
    if not count:
        return np.empty(shape, dtype)
    head = HEAD // dtype.itemsize
    values = torch.from_file(
        str(path), shared=False, size=head + cells, dtype=getattr(torch, feature.dtype)
    )
    return values[head:].view(shape).numpy()
