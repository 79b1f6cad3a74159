"""What to know about a corpus before training on it: numbers, and words on what to do."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.audio.files import printable
from timbrespace.data import duplicates, leak
from timbrespace.data.corpus import FeatureStore, Row
from timbrespace.data.part import SILENT_DB
from timbrespace.data.sources import Source
from timbrespace.data.splits import SPLITS, Division, Splitting

FORMAT = 1  # raise it when the same corpus would give another report
FEW = 200  # usable sounds; below this a map says little
SHOWN = 5  # names in a message; the report has all
LISTED = 10_000  # skipped files in health.json; report.jsonl has all
TOP = 20  # values of a label, pairs of near copies
COMPARED = 300_000  # sounds, drawn at random where there are more: half a minute
SAMPLED = 500  # pictures whose cells are counted
LEVELS = (-100.0, 10.0)  # dBFS of the histograms of levels
LITTLE = 0.03  # a leak below this is none that 1500 sounds could show

_ADVICE = {
    "silent": "remove them, or they all become one point of the map",
    "truncated": "copy or download them again",
    "clipped": "use quieter recordings if there are any; the distortion is learnt as timbre",
    "dc": "high-pass them at 20 Hz if the lowest band matters",
}


def check(
    rows: list[Row], report: list[dict[str, Any]], labels: dict[str, str], store: FeatureStore,
    listing: Source, how: Splitting, division: Division,
) -> dict[str, Any]:  # fmt: skip
    """Counts, statistics and `warnings` (sentences that say what to do) of a corpus."""
    skipped = [line for line in report if line["status"] == "skipped"]
    used = [line for line in report if line["status"] != "skipped"]
    codes = Counter(code for line in used for code in line.get("codes", ()))
    seconds = np.array([row.seconds for row in rows])
    splits = Counter(row.split for row in rows)
    same = duplicates.exact(rows)
    across = [g for g in same if len({rows[i].split for i in g}) > 1]
    near = _near(rows, same, store, listing.group)
    split = _split(rows, store, how, division, listing.group, listing.stratum)
    pictures = _pictures(store)
    warnings = [*listing.notes, *division.notes, *_split_words(split)]
    warnings += _broken_words(skipped, used, codes)
    warnings += _copies_words(rows, same, across, near)
    warnings += _content_words(rows, labels, splits, seconds, store)
    return {
        "layout": listing.layout,
        "files": len(report),
        "used": len(used),
        "sounds": len(rows),
        "skipped": len(skipped),
        "skipped_by_code": dict(sorted(Counter(line["code"] for line in skipped).items())),
        "skipped_files": [
            {key: line[key] for key in ("path", "code", "message")} for line in skipped[:LISTED]
        ],
        "doubtful_by_code": dict(sorted(codes.items())),
        "duplicates": sum(len(g) - 1 for g in same),
        "duplicates_across_splits": len(across),
        "near_duplicates": near,
        "splits": {name: splits[name] for name in SPLITS},
        "split": {key: split[key] for key in ("by", "asked", "shares", "seed", "group", "shared")},
        "leak": split["leak"],
        "labels": {n: len({r.labels[n] for r in rows} - {None}) for n in labels},
        "label_tables": {n: _label_table(rows, n) for n in labels},
        "pitch": _pitches(rows),
        "seconds": {
            "total": round(float(seconds.sum()), 3), "shortest": float(seconds.min()),
            "median": float(np.median(seconds)), "longest": float(seconds.max()),
            "histogram": _lengths(seconds),
        },
        "sample_rates": _counts(row.sample_rate for row in rows),
        "channels": _counts(line["channels"] for line in used),
        "levels": {
            name: _histogram(np.clip([line[key] for line in used], *LEVELS), LEVELS, 44)
            for name, key in (("peak_db", "level_db"), ("rms_db", "rms_db"))
        },
        "pictures": pictures,
        "warnings": warnings,
    }  # fmt: skip


# What is counted


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _histogram(values: Any, span: tuple[float, float], bins: int) -> dict[str, list[float]]:
    counts, edges = np.histogram(np.asarray(values), bins=bins, range=span)
    return {"edges": [round(float(e), 4) for e in edges], "counts": counts.tolist()}


def _lengths(seconds: np.ndarray) -> dict[str, list[float]]:
    low, high = float(seconds.min()), float(seconds.max())
    if high < 1.001 * low:
        return {"edges": [low, high], "counts": [len(seconds)]}
    if high < 20.0 * low:
        return _histogram(seconds, (low, high), 30)
    edges = np.geomspace(low, high, 31)
    edges[0], edges[-1] = low, high
    counts, _ = np.histogram(seconds, edges)
    return {"edges": [round(float(e), 4) for e in edges], "counts": counts.tolist()}


def _label_table(rows: list[Row], name: str) -> dict[str, Any]:
    """How many sounds of each split have the commonest values of a label, and how many have none."""
    counts = Counter(row.labels[name] for row in rows)
    missing = counts.pop(None, 0)
    top = [value for value, _ in sorted(counts.items(), key=lambda c: (-c[1], str(c[0])))[:TOP]]
    table: dict[Any, dict[str, int]] = {value: {name: 0 for name in SPLITS} for value in top}
    for row in rows:
        if row.labels[name] in table:
            table[row.labels[name]][row.split] += 1
    return {"missing": missing, "top": [[value, table[value]] for value in top]}


def _pitches(rows: list[Row]) -> dict[str, Any] | None:
    """Range and counts of MIDI pitches; None where no sound has one."""
    found = [p for p in (row.labels.get("pitch") for row in rows) if isinstance(p, int)]
    if not found:
        return None
    counts = Counter(found)
    return {
        "lowest": min(found), "highest": max(found), "sounds": len(found),
        "counts": [[pitch, counts[pitch]] for pitch in sorted(counts)],
    }  # fmt: skip


def _pictures(store: FeatureStore) -> dict[str, Any]:
    """What the model will see, of at most SAMPLED sounds: cells above the floor in dB of full scale,
    and as they are trained on, up to 1."""
    cells = int(np.prod(store.feature.shape))
    count = min(len(store), SAMPLED, max(8, 6_000_000 // cells))
    chosen = np.sort(np.random.default_rng(0).choice(len(store), count, replace=False))
    values = store.read(chosen)
    db = (values - 1.0) * (-0.5 * store.feature.floor_db) + store.level_db[chosen][:, None, None]
    heard = values > -1.0
    above = db[heard]
    span = (-120.0, max(60.0, float(np.ceil(above.max(initial=0.0)))))
    return {
        **store.statistics,
        "sampled": count,
        "floor_share": round(float(1.0 - heard.mean()), 4),
        "db_mean": round(float(above.mean()), 2) if len(above) else None,
        "db_std": round(float(above.std()), 2) if len(above) else None,
        "db": _histogram(np.clip(above, *span), span, 45),
        "values": _histogram(values[heard], (-1.0, 1.0), 40),
    }


# Copies


def _near(
    rows: list[Row], same: list[list[int]], store: FeatureStore, group: str | None
) -> dict[str, Any]:
    """Near copies, those of one file and those that differ only in velocity counted apart."""
    skip = np.array([row.level_db < SILENT_DB for row in rows])
    for copies in same:
        skip[copies[1:]] = True
    if len(rows) > COMPARED:
        more = np.random.default_rng(0).permutation(len(rows))[COMPARED:]
        skip[more] = True
    found = duplicates.alike(store.values, np.array([row.seconds for row in rows]), skip)
    kinds = [_kind(rows[a], rows[b], group) for a, b in found.pairs]
    real = np.array([kind == "copy" for kind in kinds], bool)
    pairs, cosines = found.pairs[real], found.cosines[real]
    place = duplicates.groups(pairs, len(rows))
    sizes = np.bincount(place)
    apart = np.array([rows[a].split != rows[b].split for a, b in pairs], bool)
    order = np.lexsort((-cosines, ~apart))[:TOP]
    return {
        "compared": min(len(rows), COMPARED),
        "sounds": int((sizes[sizes > 1] - 1).sum()),
        "pairs": len(pairs),
        "across_splits": int(apart.sum()),
        "layers": kinds.count("layers"),
        "in_one_file": kinds.count("file"),
        "examples": [
            [_name(rows[a]), _name(rows[b]), round(float(cosines[i]), 4), bool(apart[i])]
            for i in order
            for a, b in [pairs[i]]
        ],
    }


def _kind(one: Row, other: Row, group: str | None) -> str:
    """Whether near copies are in one `file`, velocity `layers`, notes of another pitch, or copies."""
    if one.file == other.file:
        return "file"
    pitches = one.labels.get("pitch"), other.labels.get("pitch")
    if None not in pitches and pitches[0] != pitches[1]:
        return "pitch"  # too low for the picture to tell apart
    named = group is not None and one.labels.get(group) is not None
    alike = all(one.labels[n] == other.labels[n] for n in one.labels if n != "velocity")
    if named and alike and one.labels.get("velocity") != other.labels.get("velocity"):
        return "layers"
    return "copy"


def _name(row: Row) -> str:
    return row.file + (f" at {row.start:g} s" if row.start else "")


# The split


def _split(
    rows: list[Row], store: FeatureStore, how: Splitting, division: Division,
    group: str | None, stratum: str | None,
) -> dict[str, Any]:  # fmt: skip
    """How it was made, what it shares, and what that flatters (see `leak`)."""
    splits = [row.split for row in rows]
    groups: list[Any] = [row.labels.get(group) for row in rows] if group is not None else []
    if len(set(groups) - {None}) < 2:
        group, groups = None, []
        if division.by == "random" and len({row.file for row in rows}) < len(rows):
            group, groups = "file", [row.file for row in rows]
    both = leak.shared(groups, splits) if group is not None else []
    found = None
    if both and stratum is not None and stratum != group and stratum in rows[0].labels:
        strata = [row.labels[stratum] for row in rows]
        found = leak.measure(store.values, strata, groups, splits, how.shares)
        if found is not None:
            found = {"label": stratum, "group": group, **found}
    return {
        "by": division.by, "asked": how.by, "shares": list(how.shares), "seed": how.seed,
        "group": group, "shared": len(both), "groups": len(set(groups) - {None}), "leak": found,
    }  # fmt: skip


_SPLITS = {
    "random": "a random split flatters", "source": "the source's own split flatters",
    "lists": "the given lists flatter",
}  # fmt: skip


def _split_words(split: dict[str, Any]) -> list[str]:
    group, found = split["group"], split["leak"]
    if not split["shared"]:
        if split["by"] == "random":
            return [
                "the split is random, so a sound and a near copy of it can be in two splits; "
                "--split-by file, or by a label, keeps together what is alike"
            ]
        return []
    advice = f"; prepare with --split-by {group} to have them apart"
    both = f"{split['shared']} of {split['groups']} {group} values are in more than one split"
    if found is None:
        return [f"{both}: validation measures memory of them{advice}"]
    measured = (
        f"{found['label']} is named right for {found['accuracy']:.0%} of validation sounds, "
        f"{found['apart']:.0%} when no {group} is in two splits (always naming the commonest: "
        f"{found['majority']:.0%})"
    )
    if found["accuracy"] - found["apart"] < LITTLE:
        return [f"{both}, which flatters little here: {measured}{advice}"]
    who = _SPLITS.get(split["by"], f"a split by {split['by']} flatters")
    return [f"{who}: {measured}{advice}"]


# Words


def _broken_words(
    skipped: list[dict[str, Any]], used: list[dict[str, Any]], codes: Counter[str]
) -> list[str]:
    words = []
    for code, count in Counter(line["code"] for line in skipped).most_common():
        names = [line["path"] for line in skipped if line["code"] == code]
        words.append(f"{_files(count)} skipped, {code}: {_some(names)}; see report.jsonl")
    for code, count in codes.most_common():
        names = [line["path"] for line in used if code in line["codes"]]
        words.append(f"{_files(count)} {code}: {_some(names)}; {_ADVICE[code]}")
    return words


def _copies_words(
    rows: list[Row], same: list[list[int]], across: list[list[int]], near: dict[str, Any]
) -> list[str]:
    words = []
    if same:
        names = [rows[i].file for i in same[0]]
        spare = sum(len(g) - 1 for g in same)
        words.append(
            f"{_sounds(spare)} {_s('repeat', spare)} others exactly ({_some(names)}); remove them"
        )
    if across:
        names = [rows[i].file for i in across[0]]
        words.append(
            f"{_sounds(len(across))} {_s('stand', len(across))} in more than one split "
            f"({_some(names)}): validation would be too kind; remove the copies"
        )
    if near["pairs"]:
        example = near["examples"][0]
        words.append(
            f"{_sounds(near['sounds'])} nearly {_s('repeat', near['sounds'])} others ({_some(example[:2])}); "
            "health.html has a table of them, keep one of each"
        )
    if near["across_splits"]:
        count = near["across_splits"]
        words.append(
            f"{count} of these near copies {'is' if count == 1 else 'are'} between two splits: "
            "validation would be too kind; remove one of each, or split by a label they share"
        )
    return words


def _content_words(
    rows: list[Row], labels: dict[str, str], splits: Counter[str], seconds: np.ndarray,
    store: FeatureStore,
) -> list[str]:  # fmt: skip
    words, feature = [], store.feature
    if len(rows) < FEW:
        words.append(f"only {len(rows)} usable sounds; a map begins to say something at {FEW}")
    missing = [name for name in SPLITS if not splits[name]]
    if missing:
        words.append(f"no sounds for {' and '.join(missing)}; add sounds or give another split")
    median = float(np.median(seconds))
    if median < 0.25 * feature.seconds:
        frames = max(8, round(2 * median * feature.sample_rate / feature.hop))
        words.append(
            f"half of the sounds are shorter than {median:.2g} s and a picture shows "
            f"{feature.seconds:.2f} s, mostly silence; a recipe with feature.frames={frames} fits"
        )
    whole = all(row.start == 0 for row in rows)
    if whole and median > 2.0 * feature.seconds:
        words.append(
            f"half of the sounds are longer than {median:.0f} s, of which a picture shows the "
            f"first {feature.seconds:.2f} s; --cut chunks takes all of them"
        )
    low = [row.sample_rate for row in rows if row.sample_rate < 0.9 * feature.sample_rate]
    if low:
        words.append(
            f"{_sounds(len(low))} below {feature.sample_rate} Hz (the lowest {min(low)} Hz): their "
            "upper bands stay empty; leave them out, or prepare a recipe of a lower rate"
        )
    families = {row.labels["family"] for row in rows} if "family" in labels else set()
    if len(families) == 1:
        words.append(
            f"all sounds are of one family ({printable(str(families.pop()))}): colours and "
            "clusters by family say nothing"
        )
    without = sum(row.labels.get("pitch") is None for row in rows)
    if without == len(rows):
        words.append(
            "no sound has a pitch label: a pitch-conditioned model learns nothing from it; give a "
            "labels CSV with a column pitch (MIDI number) or name files as NSynth does"
        )
    elif without:
        words.append(f"{_sounds(without)} without a pitch label; they count as pitch unknown")
    return words


def split_words(health: dict[str, Any]) -> str:
    """How many sounds each split has, and what keeps them apart, as one sentence."""
    splits, split = health["splits"], health["split"]
    group, shared = split["group"], split["shared"]
    if group is None:
        told = "no label was to be kept apart"
    elif shared:
        told = f"{shared} {group} values are in more than one of them"
    else:
        told = f"no {group} is in two of them"
    how = {
        "source": "as the source says", "lists": "as the lists say", "random": "at random",
    }.get(split["by"], f"by {split['by']}")  # fmt: skip
    counts = ", ".join(f"{splits[name]} {name}" for name in SPLITS)
    return f"{counts}, split {how}; {told}."


def words(health: dict[str, Any]) -> str:
    """The text of health.md."""
    length, near = health["seconds"], health["near_duplicates"]
    lines = [
        "# Health of this corpus",
        "",
        f"{health['used']} of {health['files']} files are used, {health['skipped']} skipped; "
        f"they hold {health['sounds']} sounds. "
        f"They were read as layout {health['layout']}.",
        "",
        f"- Split: {split_words(health)}",
        "- Labels (different values): "
        + (", ".join(f"{n} ({c})" for n, c in health["labels"].items()) or "none")
        + ".",
        f"- Length: {length['total'] / 60:.1f} min in all, from {length['shortest']:g} s to "
        f"{length['longest']:g} s.",
        "- Sample rates: "
        + ", ".join(f"{r} Hz ({c})" for r, c in health["sample_rates"].items())
        + "; channels: "
        + ", ".join(f"{n} ({c})" for n, c in health["channels"].items())
        + ".",
        f"- Copies: {health['duplicates']} exact, {near['sounds']} near; {near['layers']} pairs of "
        "velocities of one note are as good as the same.",
        f"- Pictures: mean {health['pictures']['mean']:.3f}, standard deviation "
        f"{health['pictures']['std']:.3f} (-1 is silence, 1 the loudest cell).",
        "",
        "## What to look at",
        "",
    ]
    lines += [f"- {warning}" for warning in health["warnings"]] or ["Nothing; it looks well."]
    return "\n".join([*lines, "", "health.html shows it in pictures, with sounds to hear."]) + "\n"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _sounds(count: int) -> str:
    return f"{count} sound{'' if count == 1 else 's'}"


def _s(verb: str, count: int) -> str:
    return f"{verb}s" if count == 1 else verb


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


# What was found before and still holds


def sealed(found: dict[str, Any], inputs: str, page: str) -> dict[str, Any]:
    """The health with sums, by which `kept` knows that it was made of `inputs` and is whole."""
    sums = {"inputs": inputs, "page": _digest(page), "facts": _digest(json.dumps(found))}
    return {**found, "sums": sums}


def kept(out: Path, inputs: str) -> dict[str, Any] | None:
    """The sealed health in folder `out` when it and health.html are whole and of the same inputs."""
    try:
        found = json.loads((out / "health.json").read_text(encoding="utf-8"))
        page = (out / "health.html").read_text(encoding="utf-8")
        sums = found.pop("sums")
        whole = sums == sealed(found, inputs, page)["sums"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {**found, "sums": sums} if whole else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
