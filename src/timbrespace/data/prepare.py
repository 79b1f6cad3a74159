"""From a folder of sounds to a corpus: listed, read, checked, analysed, split, reported.

The list is cut into parts (see `part`); finished parts survive any end of the process and are kept
when the same command runs again. The user's files are only ever read.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np

from timbrespace.atomic import remove_abandoned
from timbrespace.audio.files import printable
from timbrespace.data import health, health_page, splits
from timbrespace.data.corpus import COLUMNS, FORMAT, Corpus
from timbrespace.data.cutting import Cut
from timbrespace.data.files import (
    digest_of_blocks,
    disk_error,
    write_changed,
    write_changed_blocks,
)
from timbrespace.data.findings import Findings
from timbrespace.data.jobs import Jobs, Progress, finish
from timbrespace.data.mirror import LOCK, TABLE, Home, home_of
from timbrespace.data.outline import Outline, fetched, outlined
from timbrespace.data.sources import Files, Source, list_source
from timbrespace.data.storage import shown
from timbrespace.data.store import FeatureStore
from timbrespace.data.table import SPLITS, Table
from timbrespace.errors import CorpusError
from timbrespace.features.feature import Feature
from timbrespace.features.log_mel import LogMel

OURS = {
    "corpus.json", "sounds.csv", COLUMNS, "report.jsonl", "health.json", "health.md", "health.html",
    "features", LOCK,
}  # fmt: skip
LONGEST = {"start": 600.0, "chunks": 86_400.0, "onsets": 86_400.0}  # seconds of a file, by cut


def prepare(
    source: str | Path, out: str | Path, *, layout: str = "auto", feature: Feature | None = None,
    workers: int | None = None, labels_csv: str | Path | None = None,
    cut: Cut | None = None, split_by: str = "auto",
    split: tuple[float, float, float] = splits.SHARES, split_lists: str | Path | None = None,
    seed: int = 0, strict: bool = False,
    max_seconds: float | None = None, cluster: str | None = None,
    beside: Collection[str] = (), progress: Progress | None = None,
) -> Corpus:  # fmt: skip
    """Make (or bring up to date) the corpus of the sounds in `source` in the folder `out`.

    layout: auto or a name in `sources.LAYOUTS`; labels_csv: a table of labels (CSV or Parquet) for
    the sounds of a folder.
    split_by, split (shares of train, valid, test), split_lists and seed: see `splits.Splitting`.
    workers: processes, all cores by default where that pays; cluster: the address of a Dask scheduler
    whose workers do it instead (see data.cluster). beside: names of what else lies in `out`, the sounds
    among them. progress is told (files done, files in all).
    Files that cannot be used are skipped and reported; CorpusError when none can, with strict when
    one cannot (after all is written), when `out` holds something else or lies in the source, when
    another prepare is at it, and when the disk is full.
    """
    if cluster is not None and workers is not None:
        raise CorpusError("give workers for this machine or a cluster, not both")
    home = home_of(out)
    out = home.path
    feature, cut = LogMel() if feature is None else feature, cut or Cut()
    max_seconds = LONGEST[cut.kind] if max_seconds is None else max_seconds
    if not max_seconds > 0:
        raise CorpusError(f"max_seconds should be above 0, got {max_seconds}")
    with outlined(source) as outline, fetched(labels_csv) as labels, fetched(split_lists) as lists:
        _refuse_place(outline, home, beside)
        how = splits.Splitting(split_by, split, seed, lists)
        listing = outline.listed(lambda path: list_source(path, layout, labels))
        if how.lists is not None:
            listing.files, told = splits.listed_in(how.lists, listing.files)
            listing.notes += told
        how.check(listing.files)
        files, listing.files = Files.of(listing.files), []
        folder, root = out / "features" / feature.fingerprint, outline.place(listing.root)
        jobs = Jobs(listing.root, files.names, feature, cut, folder, max_seconds, root)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with home.locked():
            remove_abandoned(out)
            home.begin()
            found = finish(jobs, workers, progress, cluster=cluster, home=home)
            if found.skipped.all():
                first = next(found.told(np.zeros(1, int)))
                raise CorpusError(
                    f"none of the {len(found)} files in {shown(source)} can be used; the "
                    f"first, {printable(first['path'])}: {first['message']}"
                )
            table, division = _table(listing, files, found, how)
            digest = digest_of_blocks(table.to_csv())
            store = FeatureStore.publish(jobs, found, digest[:16])
            told = digest_of_blocks(found.lines(found.by_path))
            write_changed_blocks(out / "report.jsonl", told, lambda: found.lines(found.by_path))
            inputs = digest_of_blocks([repr((
                health.FORMAT, digest, feature.fingerprint, told, how, division.by,
                division.notes, vars(listing) | {"files": None, "root": root},
            )).encode("utf-8", "surrogateescape")])  # fmt: skip
            report = health.kept(out, inputs)
            if report is None:
                report = health.check(table, found, store, listing, how, division)
                page = health_page.page(report, table, store, root)
                write_changed(out / "health.html", page)
                report = health.sealed(report, inputs, page)
            write_changed(out / "health.json", json.dumps(report, indent=1) + "\n")
            write_changed(out / "health.md", health.words(report))
            write_changed_blocks(out / "sounds.csv", digest, table.to_csv)
            columns = _write_columns(out / COLUMNS, table)
            facts = {
                "format": FORMAT,
                "source": root,
                "given": outline.given,
                "layout": listing.layout,
                "feature": feature.fingerprint,
                "labels": table.kinds,
                "used": report["used"],
                "skipped": report["skipped"],
                "splits": report["splits"],
                "split_by": division.by,
                "seed": seed,
                "cut": cut.settings(),
                "max_seconds": max_seconds,
                "sounds_sha256": digest,
                "columns_sha256": columns,
            }
            # Last: it names the sounds.csv it belongs to, so a kill before it is noticed.
            write_changed(out / TABLE, json.dumps(facts, indent=1) + "\n")
            home.publish()
    except OSError as error:
        raise disk_error(out, error) from None
    if strict and report["skipped"]:
        first = report["skipped_files"][0]
        raise CorpusError(
            f"{report['skipped']} of {report['files']} files were skipped, the first, "
            f"{printable(first['path'])}: {first['message']}; {home.told} holds the others, "
            "which is taken as done without --strict"
        )
    return Corpus.open(home.place)


def _refuse_place(source: Outline, home: Home, beside: Collection[str]) -> None:
    here, there, out = Path(source.given), Path(home.place), home.path
    if there == here or here in there.parents:
        raise CorpusError(
            f"the corpus cannot be in the folder of the sounds ({source.told}), which is never "
            "changed; choose an --out outside it"
        )
    if there in here.parents and not beside:
        raise CorpusError(f"{home.told} contains the sounds themselves; choose another --out")
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{home.told} is a file; choose a new folder as --out")
    if not out.is_dir():
        return
    facts = home.table()
    ours = {*OURS, *beside}
    strangers = [name for name in home.tops() if name.partition(".tmp.")[0] not in ours]
    if strangers and facts is None:
        raise CorpusError(
            f"{home.told} holds something that is not a corpus ({printable(strangers[0])}); choose "
            "an empty or new folder as --out"
        )
    try:
        before = json.loads(facts or b"")
        before = before.get("given") or before["source"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    if before != source.given:
        raise CorpusError(
            f"{home.told} is the corpus of {shown(before)}; choose another --out, or delete it first"
        )


def _write_columns(path: Path, table: Table) -> str:
    """Write the table as columns; their SHA-256."""
    columns = table.to_columns()
    digest = hashlib.sha256(columns).hexdigest()
    write_changed_blocks(path, digest, lambda: [columns])
    return digest


def _table(
    listing: Source, files: Files, found: Findings, how: splits.Splitting
) -> tuple[Table, splits.Division]:
    """The sounds of usable files as rows, and how they were split."""
    usable = np.flatnonzero(~found.skipped)
    files, counts, sums = files.take(usable), found.count[usable], found.sha256[usable]
    division = splits.divide(
        files, [sha.tobytes().hex() for sha in sums], counts.tolist(), how,
        group=listing.group, stratum=listing.stratum,
    )  # fmt: skip
    codes = {name: code for code, name in enumerate(SPLITS)}
    file = np.repeat(np.arange(len(files), dtype=np.int32), counts)
    rate = found.sample_rate[usable]
    labels = {name: column.compact() for name, column in sorted(files.labels.items())}
    return Table(
        files.names, rate, sums, {name: column for name, column in labels.items() if column.values},
        file, np.array([codes[name] for name in division.names], np.int8),
        found.start / rate[file], found.length / rate[file], found.sound_db,
    ), division  # fmt: skip
