"""From a folder of sounds to a corpus: listed, read, checked, analysed, split, reported.

The list is cut into parts (see `part`); finished parts survive any end of the process and are kept
when the same command runs again. The user's files are only ever read.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from timbrespace.audio.files import printable
from timbrespace.data import health, health_page, splits
from timbrespace.data.atomic import remove_abandoned
from timbrespace.data.corpus import (
    FORMAT,
    LOCK,
    Corpus,
    FeatureStore,
    Progress,
    Row,
    disk_error,
    finish,
    jobs_of,
    label_sorts,
    rows_to_csv,
    write_changed,
)
from timbrespace.data.cutting import Cut
from timbrespace.data.lock import locked
from timbrespace.data.sources import Source, list_source
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

OURS = {
    "corpus.json", "sounds.csv", "report.jsonl", "health.json", "health.md", "health.html",
    "features", LOCK,
}  # fmt: skip
LONGEST = {"start": 600.0, "chunks": 86_400.0, "onsets": 86_400.0}  # seconds of a file, by cut


def prepare(
    source: str | Path, out: str | Path, *, layout: str = "auto", feature: LogMel | None = None,
    workers: int | None = None, labels_csv: str | Path | None = None,
    cut: Cut | None = None, split_by: str = "auto",
    split: tuple[float, float, float] = splits.SHARES, split_lists: str | Path | None = None,
    seed: int = 0, strict: bool = False,
    max_seconds: float | None = None, cluster: str | None = None,
    progress: Progress | None = None,
) -> Corpus:  # fmt: skip
    """Make (or bring up to date) the corpus of the sounds in `source` in the folder `out`.

    layout: auto or a name in `sources.LAYOUTS`; labels_csv: a table of labels (CSV or Parquet) for
    the sounds of a folder.
    split_by, split (shares of train, valid, test), split_lists and seed: see `splits.Splitting`.
    workers: processes, all cores by default where that pays; cluster: the address of a Dask scheduler
    whose workers do it instead (see data.cluster). progress is told (files done, files in all).
    Files that cannot be used are skipped and reported; CorpusError when none can, with strict when
    one cannot (after all is written), when `out` holds something else or lies in the source, when
    another prepare is at it, and when the disk is full.
    """
    for place in (source, out):
        _refuse_address(place)
    if cluster is not None and workers is not None:
        raise CorpusError("give workers for this machine or a cluster, not both")
    source, out = Path(source), Path(out)
    feature, cut = LogMel() if feature is None else feature, cut or Cut()
    max_seconds = LONGEST[cut.kind] if max_seconds is None else max_seconds
    lists = None if split_lists is None else Path(split_lists)
    how = splits.Splitting(split_by, split, seed, lists)
    if not max_seconds > 0:
        raise CorpusError(f"max_seconds should be above 0, got {max_seconds}")
    _refuse_place(source, out)
    listing = list_source(source, layout, None if labels_csv is None else Path(labels_csv))
    if how.lists is not None:
        listing.files, told = splits.listed_in(how.lists, listing.files)
        listing.notes += told
    how.check(listing.files)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / LOCK, "prepared", CorpusError):
            remove_abandoned(out)
            root = listing.root.resolve()
            folder = out / "features" / feature.fingerprint
            jobs = jobs_of(root, [f.file for f in listing.files], feature, cut, folder, max_seconds)
            parts = finish(folder, jobs, workers, progress, cluster)
            report = [line for part in parts for line in part["rows"]]
            rows, division = _rows(listing, report, how)
            if not rows:
                first = report[0]
                raise CorpusError(
                    f"none of the {len(report)} files in {printable(source)} can be used; the "
                    f"first, {printable(first['path'])}: {first['message']}"
                )
            labels = label_sorts(row.labels for row in rows)
            sounds = rows_to_csv(rows, labels)
            digest = _sha256(sounds)
            store = FeatureStore.publish(folder, feature, digest[:16], jobs, parts)
            report.sort(key=lambda line: line["path"])
            lines = "".join(json.dumps(_told(line)) + "\n" for line in report)
            write_changed(out / "report.jsonl", lines)
            inputs = _sha256(repr((
                health.FORMAT, digest, feature.fingerprint, _sha256(lines), how, division.by,
                division.notes, vars(listing) | {"files": None},
            )))  # fmt: skip
            found = health.kept(out, inputs)
            if found is None:
                found = health.check(rows, report, labels, store, listing, how, division)
                page = health_page.page(found, rows, store, root)
                write_changed(out / "health.html", page)
                found = health.sealed(found, inputs, page)
            write_changed(out / "health.json", json.dumps(found, indent=1) + "\n")
            write_changed(out / "health.md", health.words(found))
            write_changed(out / "sounds.csv", sounds)
            facts = {
                "format": FORMAT,
                "source": str(root),
                "given": os.path.realpath(source),
                "layout": listing.layout,
                "feature": feature.fingerprint,
                "labels": labels,
                "used": found["used"],
                "skipped": found["skipped"],
                "splits": found["splits"],
                "split_by": division.by,
                "seed": seed,
                "cut": cut.settings(),
                "max_seconds": max_seconds,
                "sounds_sha256": digest,
            }
            # Last: it names the sounds.csv it belongs to, so a kill before it is noticed.
            write_changed(out / "corpus.json", json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        raise disk_error(out, error) from None
    if strict and found["skipped"]:
        first = found["skipped_files"][0]
        raise CorpusError(
            f"{found['skipped']} of {found['files']} files were skipped, the first, "
            f"{printable(first['path'])}: {first['message']}; {printable(out)} holds the others, "
            "which is taken as done without --strict"
        )
    return Corpus.open(out)


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """A line of report.jsonl: for each file how many sounds it gave, in place of their facts."""
    return {k: len(v) if k == "sounds" else v for k, v in line.items()}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _refuse_address(place: str | Path) -> None:
    """Object storage can neither map a file into memory nor rename one whole (docs/scale.md)."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):{1,2}/", str(place))
    if found and not Path(place).exists():
        raise CorpusError(
            f"{printable(str(place))} is an address, and prepare needs folders that the system can "
            f"map and rename: mount the {found[1]} storage and give the path where it is "
            "(docs/scale.md)"
        )


def _refuse_place(source: Path, out: Path) -> None:
    here, there = Path(os.path.realpath(source)), Path(os.path.realpath(out))
    if there == here or here in there.parents:
        raise CorpusError(
            f"the corpus cannot be in the folder of the sounds ({printable(source)}), which is "
            "never changed; choose an --out outside it"
        )
    if there in here.parents:
        raise CorpusError(f"{printable(out)} contains the sounds themselves; choose another --out")
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{printable(out)} is a file; choose a new folder as --out")
    if not out.is_dir():
        return
    strangers = [p.name for p in out.iterdir() if p.name.partition(".tmp.")[0] not in OURS]
    if strangers and not (out / "corpus.json").is_file():
        raise CorpusError(
            f"{printable(out)} holds something that is not a corpus "
            f"({printable(sorted(strangers)[0])}); choose an empty or new folder as --out"
        )
    try:
        facts = json.loads((out / "corpus.json").read_text(encoding="utf-8"))
        before = facts.get("given") or facts["source"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if before != str(here):
        raise CorpusError(
            f"{printable(out)} is the corpus of {printable(before)}; choose another --out, or "
            "delete it first"
        )


def _rows(
    listing: Source, report: list[dict[str, Any]], how: splits.Splitting
) -> tuple[list[Row], splits.Division]:
    """The sounds of usable files as rows, and how they were split."""
    usable = [
        (listed, line)
        for listed, line in zip(listing.files, report, strict=True)
        if line["status"] != "skipped"
    ]
    division = splits.divide(
        [listed for listed, _ in usable], [line["sha256"] for _, line in usable],
        [len(line["sounds"]) for _, line in usable], how,
        group=listing.group, stratum=listing.stratum,
    )  # fmt: skip
    rows: list[Row] = []
    for listed, line in usable:
        rate = line["sample_rate"]
        rows += [
            Row(
                len(rows) + n, listed.file, division.names[len(rows) + n], sound["start"] / rate,
                sound["length"] / rate, rate, sound["level_db"], line["sha256"],
                dict(listed.labels),
            )
            for n, sound in enumerate(line["sounds"])
        ]  # fmt: skip
    names = {name for row in rows for name in row.labels}
    for row in rows:
        row.labels = {**dict.fromkeys(sorted(names)), **row.labels}
    return rows, division
