"""From a folder of sounds to a corpus: listed, read, checked, analysed, split, reported.

The list is cut into parts (see `part`); finished parts survive any end of the process and are kept
when the same command runs again. The user's files are only ever read.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from timbrespace.audio.files import printable
from timbrespace.data import health, splits
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
from timbrespace.data.sources import Listed, list_source
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

OURS = {
    "corpus.json", "sounds.csv", "report.jsonl", "health.json", "health.md", "features", LOCK
}  # fmt: skip
SHARES = (0.8, 0.1, 0.1)
LONGEST = {"start": 600.0, "chunks": 86_400.0, "onsets": 86_400.0}  # seconds of a file, by cut


def prepare(
    source: str | Path, out: str | Path, *, layout: str = "auto", feature: LogMel | None = None,
    workers: int | None = None, labels_csv: str | Path | None = None,
    cut: Cut | None = None, split: tuple[float, float, float] = SHARES, seed: int = 0,
    max_seconds: float | None = None, progress: Progress | None = None,
) -> Corpus:  # fmt: skip
    """Make (or bring up to date) the corpus of the sounds in `source` in the folder `out`.

    layout: auto, nsynth or folder. labels_csv: a CSV with a column path and labels, for folder.
    split: shares of train, valid, test, used where the source gives none; by instrument where there
    is one. workers: processes, all cores by default where that pays. progress is told (files done,
    files in all). Files that cannot be used are skipped and reported; CorpusError when none can,
    when `out` holds something else or lies in the source, when another prepare is at it, and when
    the disk is full.
    """
    source, out = Path(source), Path(out)
    feature, cut = LogMel() if feature is None else feature, cut or Cut()
    max_seconds = LONGEST[cut.kind] if max_seconds is None else max_seconds
    if len(split) != 3 or min(split) < 0 or not abs(sum(split) - 1.0) < 1e-6 or split[0] <= 0:
        raise CorpusError(
            f"split should be three shares (train, valid, test) that add to 1, got {split}"
        )
    if not max_seconds > 0:
        raise CorpusError(f"max_seconds should be above 0, got {max_seconds}")
    _refuse_place(source, out)
    listing = list_source(source, layout, None if labels_csv is None else Path(labels_csv))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / LOCK, "prepared", CorpusError):
            remove_abandoned(out)
            root = source.resolve()
            folder = out / "features" / feature.fingerprint
            jobs = jobs_of(root, [f.file for f in listing.files], feature, cut, folder, max_seconds)
            parts = finish(folder, jobs, workers, progress)
            report = [line for part in parts for line in part["rows"]]
            rows, notes = _rows(listing.files, report, split, seed)
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
            found = health.check(
                rows, report, labels, listing.notes + notes, listing.layout, store.statistics
            )
            lines = sorted(report, key=lambda line: line["path"])
            write_changed(
                out / "report.jsonl", "".join(json.dumps(_told(line)) + "\n" for line in lines)
            )
            write_changed(out / "health.json", json.dumps(found, indent=1) + "\n")
            write_changed(out / "health.md", health.words(found))
            write_changed(out / "sounds.csv", sounds)
            facts = {
                "format": FORMAT,
                "source": str(root),
                "layout": listing.layout,
                "feature": feature.fingerprint,
                "labels": labels,
                "used": found["used"],
                "skipped": found["skipped"],
                "splits": found["splits"],
                "seed": seed,
                "cut": cut.settings(),
                "max_seconds": max_seconds,
                "sounds_sha256": digest,
            }
            # Last: it names the sounds.csv it belongs to, so a kill before it is noticed.
            write_changed(out / "corpus.json", json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        raise disk_error(out, error) from None
    return Corpus.open(out)


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """A line of report.jsonl: for each file how many sounds it gave, in place of their facts."""
    return {k: len(v) if k == "sounds" else v for k, v in line.items()}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _refuse_place(source: Path, out: Path) -> None:
    here, there = source.resolve(), out.resolve()
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
        before = json.loads((out / "corpus.json").read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if before != str(here):
        raise CorpusError(
            f"{printable(out)} is the corpus of {printable(before)}; choose another --out, or "
            "delete it first"
        )


def _rows(
    files: list[Listed], report: list[dict[str, Any]], shares: tuple[float, float, float], seed: int
) -> tuple[list[Row], list[str]]:
    """Usable files as rows with their splits, and notes on how the split was made."""
    usable = [
        (listed, line)
        for listed, line in zip(files, report, strict=True)
        if line["status"] != "skipped"
    ]
    given = [listed.split for listed, _ in usable]
    notes: list[str] = []
    present = {name for name in given if name is not None}
    if not {"train", "valid"} <= present:
        # What the folders say is kept where it can be: a lone test split stays one.
        fixed = {"test"} if "train" in present and "test" in present else set()
        if present:
            notes.append(
                f"only {' and '.join(sorted(present))} given by the source; "
                "train and valid are split here"
            )
        given = [name if name in fixed else None for name in given]
    open_ = [i for i, name in enumerate(given) if name is None]
    if open_:
        if "test" in given:
            rest = shares[0] + shares[1]
            shares = (shares[0] / rest, shares[1] / rest, 0.0)
        by_instrument = [usable[i][0].labels.get("instrument") for i in open_]
        # One instrument (or none named) cannot be split apart: then by file, copies together.
        apart = len(set(by_instrument) - {None}) > 1
        groups = [
            f"i {name}" if apart and name is not None else f"f {usable[i][1]['sha256']}"
            for i, name in zip(open_, by_instrument, strict=True)
        ]
        strata = [_text(usable[i][0].labels.get("family")) for i in open_]
        if len(present) and {"train", "valid"} <= present:
            chosen = ["train"] * len(open_)
            notes.append(f"{len(open_)} sounds without a split of their own go to train")
        else:
            chosen = splits.disjoint(groups, strata, shares, seed)
        for i, name in zip(open_, chosen, strict=True):
            given[i] = name
    rows: list[Row] = []
    for (listed, line), name in zip(usable, given, strict=True):
        rate = line["sample_rate"]
        rows += [
            Row(
                len(rows) + n, listed.file, str(name), sound["start"] / rate,
                sound["length"] / rate, rate, sound["level_db"], line["sha256"],
                dict(listed.labels),
            )
            for n, sound in enumerate(line["sounds"])
        ]  # fmt: skip
    names = {name for row in rows for name in row.labels}
    for row in rows:
        row.labels = {**dict.fromkeys(sorted(names)), **row.labels}
    return rows, notes


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
