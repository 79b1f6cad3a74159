"""A prepared corpus: the sounds that can be used, their labels, their pictures.

corpus.json     version, source, layout, labels, counts       health.md, health.json  in words
sounds.csv      one line a usable sound; its line is its row id, everywhere
sounds.safetensors    the same as columns, to open it faster
report.jsonl    one line a file that was found, usable or not
features/<fingerprint>/   the pictures, see `store`
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.audio.files import Audio, printable, read, read_section
from timbrespace.data.columns import Label
from timbrespace.data.cutting import Cut
from timbrespace.data.fetching import heard
from timbrespace.data.files import digest_of, disk_error
from timbrespace.data.jobs import Jobs, Progress, finish
from timbrespace.data.mirror import Home, Mirror
from timbrespace.data.outline import outlined
from timbrespace.data.storage import is_address, refuse_address_as_path, renamed
from timbrespace.data.store import FeatureStore
from timbrespace.data.table import SPLITS, Table
from timbrespace.errors import AudioError, CorpusError
from timbrespace.features.feature import Feature

FORMAT = 2
COLUMNS = "sounds.safetensors"


class Corpus:
    """What `prepare` made, opened for reading. Make one with `Corpus.open`."""

    def __init__(self, path: Path, facts: dict[str, Any], rows: Table, digest: str) -> None:
        self.path = path
        self.facts = facts
        self.rows = rows
        self.digest = digest
        self.home = Home(path)

    @classmethod
    def open(cls, path: str | Path) -> "Corpus":
        """The corpus in folder `path`, or at that address, of which a copy is kept here (see
        `mirror`); CorpusError when there is none, or not a whole one."""
        refuse_address_as_path(path)
        if is_address(path):
            home = Mirror.to_read(str(path))
            with renamed(home.path, home.place):
                corpus = cls.open(home.path)
            corpus.home = home
            return corpus
        path = Path(path)
        shown = printable(path)
        try:
            facts = json.loads((path / "corpus.json").read_text(encoding="utf-8"))
            digest = digest_of(path / "sounds.csv")
        except OSError:
            if (path / "features").is_dir():
                raise CorpusError(f"{shown} is not finished; run the same prepare again") from None
            what = "is not a corpus" if path.exists() else "does not exist"
            raise CorpusError(f"{shown} {what}; make one with: timbrespace prepare") from None
        except ValueError:
            raise CorpusError(f"{shown}/corpus.json is damaged; run prepare again") from None
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise CorpusError(f"{shown} has another corpus format than {FORMAT}; prepare it again")
        if digest != facts.get("sounds_sha256"):
            raise CorpusError(
                f"{shown}/sounds.csv is not the one that was prepared "
                "(an interrupted prepare, or an edit); run prepare again"
            )
        return cls(path, facts, _table(path, facts), digest[:16])

    @property
    def place(self) -> str:
        """What opens it again from anywhere: its whole path, or its address."""
        return self.home.place

    @property
    def root(self) -> str:
        """The folder of the user's sounds, a path or an address."""
        return self.facts["source"]

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

    def labels(self, name: str) -> list[Label]:
        """The label of every row, None where unknown; CorpusError for a name it has not."""
        if name not in self.facts["labels"]:
            known = ", ".join(self.label_names) or "none"
            raise CorpusError(f"{printable(self.path)} has no label {name!r}; it has: {known}")
        return self.rows.label(name).tolist()

    def split_rows(self, split: str) -> np.ndarray:
        """Row ids of train, valid or test, ascending."""
        if split not in SPLITS:
            raise CorpusError(f"split should be train, valid or test, got {split!r}")
        return np.flatnonzero(self.rows.split == SPLITS.index(split))

    def audio(self, row: int, sample_rate: int | None = None) -> Audio:
        """The sound of a row, from the user's file; CorpusError when that is gone or unreadable."""
        if not 0 <= row < len(self.rows):
            raise CorpusError(f"row should be from 0 to {len(self.rows) - 1}, got {row}")
        place = self.rows[row]
        try:
            with heard(self.root, place.file) as path:
                if self.cut.kind != "start":
                    return read_section(path, place.start, place.seconds, sample_rate=sample_rate)
                return read(path, sample_rate=sample_rate, max_seconds=self.facts["max_seconds"])
        except AudioError as error:
            raise CorpusError(
                f"{error}; a corpus refers to the sounds it was made of, keep them in "
                f"{printable(self.root)}"
            ) from None

    def features(
        self, feature: Feature, *, workers: int | None = None, cluster: str | None = None,
        progress: Progress | None = None,
    ) -> FeatureStore:  # fmt: skip
        """The pictures of every row; made now where this corpus has none of this feature yet, by
        processes of this machine or by the Dask `cluster` of that address.

        `progress` is told (files done, files in all). CorpusError when a sound has changed since
        prepare, or the disk is full.
        """
        folder = self.path / "features" / feature.fingerprint
        self.home.copy_store(folder)
        store = FeatureStore.find(folder, feature, self.digest)
        if store is not None:
            return store
        try:
            with self.home.locked():
                self.home.check_current()
                return self._make(folder, feature, workers, cluster, progress)
        except OSError as error:
            raise disk_error(self.path, error) from None

    def _make(
        self, folder: Path, feature: Feature, processes: int | None, cluster: str | None,
        progress: Progress | None,
    ) -> FeatureStore:  # fmt: skip
        rows = self.rows
        with outlined(self.root) as outline:
            jobs = Jobs(
                outline.path, rows.files, feature, self.cut, folder, self.facts["max_seconds"],
                self.root,
            )  # fmt: skip
        found = finish(
            jobs, processes, progress, cluster=cluster, corpus=self.digest, home=self.home
        )
        changed = (found.sha256 != rows.sha256).any(1) & ~found.skipped
        for which, happened in (
            (found.skipped, "cannot be used any more, missing or damaged; put back what was there"),
            (changed, "changed since the corpus was prepared; put back what was there"),
        ):
            at = np.flatnonzero(which)
            if len(at):
                first = f"{printable(self.root)}/{printable(rows.files[int(at[0])])}"
                more = f" and {len(at) - 1:,} more" if len(at) > 1 else ""
                raise CorpusError(f"{first}{more} {happened}, or run prepare again")
        store = FeatureStore.publish(jobs, found, self.digest)
        self.home.publish(folder)
        return store


def _table(path: Path, facts: dict[str, Any]) -> Table:
    """The table of sounds.csv, from its columns where these are whole and there."""
    kinds = facts["labels"]
    try:
        data = (path / COLUMNS).read_bytes()
        if hashlib.sha256(data).hexdigest() == facts.get("columns_sha256"):
            return Table.from_columns(data, kinds)
    except OSError:
        pass
    with open(path / "sounds.csv", "rb") as file:
        return Table.from_csv(file, kinds)
