"""From a folder of sounds to a corpus: list, read and picture in parts, merge, report.

Every part is made once and written whole, so that a killed prepare goes on where it stopped and
ends in the same bytes. The user's files are only read.
"""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from timbrespace.data.atomic import remove_abandoned, write_text
from timbrespace.data.corpus import (
    FIXED,
    FORMAT,
    MAX_SECONDS,
    Corpus,
    Tell,
    make_features,
    write_store,
)
from timbrespace.data.health import health, in_words
from timbrespace.data.lock import locked
from timbrespace.data.sources import NUMBERS, Listing, read_listing
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel


def prepare(
    source: str | Path, out: str | Path, *, layout: str = "auto", feature: LogMel | None = None,
    workers: int | None = None, labels_csv: str | Path | None = None, seed: int = 0,
    max_seconds: float = MAX_SECONDS, progress: Tell | None = None,
) -> Corpus:  # fmt: skip
    """Read every sound of `source`, check it, and write the corpus `out` with `feature`.

    Broken files are skipped, named in report.jsonl and counted. `progress` is told (done, total) in
    files. CorpusError when nothing usable is found, or `out` cannot be used.
    """
    source, out = Path(source), Path(out)
    feature = feature or LogMel()
    _check_places(source, out)
    listing = read_listing(
        source,
        layout=layout,
        labels_csv=None if labels_csv is None else Path(labels_csv),
        seed=seed,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out} cannot be made: {error.strerror}") from None
    with locked(out):
        remove_abandoned(out)
        folder = out / "features" / feature.fingerprint
        made = make_features(
            source, listing.files, feature, folder,
            workers=workers, progress=progress, max_seconds=max_seconds,
        )  # fmt: skip
        for row, labels, split in zip(made.report, listing.labels, listing.splits, strict=True):
            row.update(labels=labels, split=split)
        if all(row["status"] == "skipped" for row in made.report):
            _write(out / "report.jsonl", _report(made.report))
            first = made.report[0]
            raise CorpusError(
                f"none of the {len(made.report)} files of {source} can be used; the first, "
                f"{first['path']}: {first['message']}; {out / 'report.jsonl'} names the rest"
            )
        write_store(folder, feature, made)
        facts = health(listing, made.report, feature.settings())
        _write(out / "report.jsonl", _report(made.report))
        _write(out / "health.json", json.dumps(facts, indent=1) + "\n")
        _write(out / "health.md", in_words(facts))
        names = sorted({name for labels in listing.labels for name in labels})
        _write(out / "sounds.csv", _table(made.report, names))
        _write(
            out / "corpus.json", json.dumps(_facts(listing, facts, names, feature), indent=1) + "\n"
        )
    return Corpus.open(out)


def _check_places(source: Path, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{out} is a file; --out wants a folder for the corpus")
    if source.is_dir():
        inside = out.resolve().is_relative_to(source.resolve())
        if inside:
            raise CorpusError(
                f"{out} lies inside {source}; choose an --out elsewhere, your sounds stay untouched"
            )
    if out.is_dir() and any(out.iterdir()):
        known = (out / "corpus.json", out / "features", out / "report.jsonl")
        if not any(p.exists() for p in known):
            raise CorpusError(f"{out} holds something that is not a corpus; choose an empty --out")


def _write(path: Path, text: str) -> None:
    """Write only what differs, so that a second prepare leaves a finished corpus untouched."""
    try:
        if path.read_bytes() == text.encode("utf-8", "surrogateescape"):
            return
    except OSError:
        pass
    write_text(path, text)


def _report(report: list[dict[str, Any]]) -> str:
    keys = ("path", "status", "code", "message")
    return "".join(json.dumps({k: row[k] for k in keys}) + "\n" for row in report)


def _table(report: list[dict[str, Any]], names: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED, *(f"label_{name}" for name in names)])
    used = (row for row in report if row["status"] != "skipped")
    for number, row in enumerate(used):
        labels = ("" if row["labels"][n] is None else row["labels"][n] for n in names)
        writer.writerow([
            number, row["path"], row["split"], row["seconds"], row["sample_rate"], row["level_db"],
            row["sha256"], *labels,
        ])  # fmt: skip
    return text.getvalue()


def _facts(
    listing: Listing, facts: dict[str, Any], names: list[str], feature: LogMel
) -> dict[str, Any]:
    return {
        "format": FORMAT, "source": os.path.abspath(listing.root), "layout": listing.layout,
        "sounds": facts["sounds"], "labels": names,
        "number_labels": [n for n in NUMBERS if n in names], "feature": feature.fingerprint,
    }  # fmt: skip
