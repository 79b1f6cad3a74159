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
from timbrespace.data.columns import Labels
from timbrespace.data.findings import Findings
from timbrespace.data.part import SILENT_DB
from timbrespace.data.sources import Source
from timbrespace.data.splits import Division, Splitting
from timbrespace.data.store import FeatureStore, Seen
from timbrespace.data.table import SPLITS, Table, named
from timbrespace.features.log_mel import LogMel

FORMAT = 2  # raise it when the same corpus would give another report
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
    table: Table, found: Findings, store: FeatureStore, listing: Source, how: Splitting,
    division: Division,
) -> dict[str, Any]:  # fmt: skip
    """Counts, statistics and `warnings` (sentences that say what to do) of a corpus."""
    order = found.by_path
    skipped, used = order[found.skipped[order]], order[~found.skipped[order]]
    broken = Counter(found.verdicts[v][1] for v in found.verdict[skipped].tolist())
    codes = Counter(c for v in found.verdict[used].tolist() for c in found.verdicts[v][2])
    counts = np.bincount(table.split, minlength=len(SPLITS)).tolist()
    splits: dict[str, int] = {name: count for name, count in zip(SPLITS, counts, strict=True)}
    same = duplicates.exact(table)
    across = [g for g in same if len(np.unique(table.split[g])) > 1]
    near = _near(table, same, store, listing.group)
    split = _split(table, store, how, division, listing.group, listing.stratum)
    pictures = _pictures(store)
    seconds = table.seconds
    warnings = [*listing.notes, *division.notes, *_split_words(split)]
    for code, count in broken.most_common():
        some = _first(found, skipped, [v[1] == code for v in found.verdicts])
        warnings.append(f"{_files(count)} skipped, {code}: {_some(some, count)}; see report.jsonl")
    for code, count in codes.most_common():
        some = _first(found, used, [code in v[2] for v in found.verdicts])
        warnings.append(f"{_files(count)} {code}: {_some(some, count)}; {_ADVICE[code]}")
    warnings += _copies_words(table, same, across, near)
    warnings += _content_words(table, splits, store, division)
    return {
        "layout": listing.layout,
        "files": len(order),
        "used": len(used),
        "sounds": len(table),
        "skipped": len(skipped),
        "skipped_by_code": dict(sorted(broken.items())),
        "skipped_files": [
            {key: line[key] for key in ("path", "code", "message")}
            for line in found.told(skipped[:LISTED])
        ],
        "doubtful_by_code": dict(sorted(codes.items())),
        "duplicates": sum(len(g) - 1 for g in same),
        "duplicates_across_splits": len(across),
        "near_duplicates": near,
        "splits": splits,
        "split": {key: split[key] for key in ("by", "asked", "shares", "seed", "group", "shared")},
        "leak": split["leak"],
        "labels": {name: len(column.values) for name, column in table.labels.items()},
        "label_tables": {name: _label_table(table, name) for name in table.labels},
        "pitch": _pitches(table),
        "seconds": {
            "total": round(float(seconds.sum()), 3), "shortest": float(seconds.min()),
            "median": float(np.median(seconds)), "longest": float(seconds.max()),
            "histogram": _lengths(seconds),
        },
        "sample_rates": _counts(table.sample_rate[table.file]),
        "channels": _counts(found.channels[used]),
        "levels": {
            name: _histogram(np.clip(values[used].astype(float), *LEVELS), LEVELS, 44)
            for name, values in (("peak_db", found.level_db), ("rms_db", found.rms_db))
        },
        "pictures": pictures,
        "warnings": warnings,
    }  # fmt: skip


def _first(found: Findings, order: np.ndarray, wanted: list[bool]) -> list[str]:
    """The first names of the files in order whose verdict is a wanted one."""
    some = order[np.array(wanted)[found.verdict[order]]][:SHOWN]
    return [found.names[int(place)] for place in some]


# What is counted


def _counts(values: np.ndarray) -> dict[str, int]:
    kinds, counts = np.unique(values, return_counts=True)
    return dict(zip(map(str, kinds.tolist()), counts.tolist(), strict=True))


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


def _label_table(table: Table, name: str) -> dict[str, Any]:
    """How many sounds of each split have the commonest values of a label, and how many have none."""
    column = table.label(name)
    known, kinds = column.codes >= 0, len(column.values)
    cells = np.bincount(3 * column.codes[known] + table.split[known], minlength=3 * kinds)
    counts = cells.reshape(kinds, 3)
    total = counts.sum(1).tolist()
    top = sorted(range(kinds), key=lambda code: (-total[code], str(column.values[code])))[:TOP]
    return {
        "missing": int((~known).sum()),
        "top": [
            [column.values[c], dict(zip(SPLITS, counts[c].tolist(), strict=True))] for c in top
        ],
    }


def _pitches(table: Table) -> dict[str, Any] | None:
    """Range and counts of MIDI pitches; None where no sound has one."""
    if table.kinds.get("pitch") != "int":
        return None
    column = table.label("pitch")
    counts = column.counts().tolist()
    return {
        "lowest": column.values[0], "highest": column.values[-1], "sounds": sum(counts),
        "counts": [[pitch, count] for pitch, count in zip(column.values, counts, strict=True)],
    }  # fmt: skip


def _pictures(store: FeatureStore) -> dict[str, Any]:
    """What the model will see, of at most SAMPLED sounds: cells above the floor in dB of full scale,
    and as they are trained on, up to 1."""
    cells = int(np.prod(store.feature.yardstick.shape))
    count = min(len(store), SAMPLED, max(8, 6_000_000 // cells))
    chosen = np.sort(np.random.default_rng(0).choice(len(store), count, replace=False))
    values, level_db = Seen(store).view(chosen)
    db = (values - 1.0) * store.feature.yardstick.db_per_unit + level_db[:, None, None]
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
    table: Table, same: list[np.ndarray], store: FeatureStore, group: str | None
) -> dict[str, Any]:
    """Near copies, those of one file and those that differ only in velocity counted apart."""
    skip = table.level_db < SILENT_DB
    for copies in same:
        skip[copies[1:]] = True
    if len(table) > COMPARED:
        skip[np.random.default_rng(0).permutation(len(table))[COMPARED:]] = True
    found = duplicates.alike(store.seen, table.seconds, skip)
    inside, layers, real = _kinds(table, found.pairs, group)
    pairs, cosines = found.pairs[real], found.cosines[real]
    sizes = np.bincount(duplicates.groups(pairs, len(table)))
    apart = table.split[pairs[:, 0]] != table.split[pairs[:, 1]]
    order = np.lexsort((-cosines, ~apart))[:TOP]
    return {
        "compared": min(len(table), COMPARED),
        "sounds": int((sizes[sizes > 1] - 1).sum()),
        "pairs": len(pairs),
        "across_splits": int(apart.sum()),
        "layers": int(layers.sum()),
        "in_one_file": int(inside.sum()),
        "examples": [
            [
                *(named(row.file, row.start) for row in (table[int(a)], table[int(b)])),
                round(float(cosines[i]), 4),
                bool(apart[i]),
            ]
            for i in order
            for a, b in [pairs[i]]
        ],
    }


def _kinds(
    table: Table, pairs: np.ndarray, group: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which near copies (P, 2) are in one file, which are velocity layers, and which are copies;
    the others are notes of another pitch, too low for the picture to tell apart."""
    files = table.file[pairs]
    inside = files[:, 0] == files[:, 1]
    codes = {name: column.codes[files] for name, column in table.labels.items()}
    differ = {name: two[:, 0] != two[:, 1] for name, two in codes.items()}
    none = np.zeros(len(pairs), bool)
    pitched = (codes["pitch"] >= 0).all(1) & differ["pitch"] if "pitch" in codes else none
    named = codes[group][:, 0] >= 0 if group in codes else none
    others = [two for name, two in differ.items() if name != "velocity"]
    alike = ~np.logical_or.reduce(others) if others else ~none
    layers = ~inside & ~pitched & named & alike & differ.get("velocity", none)
    return inside, layers, ~(inside | pitched | layers)


# The split


def _split(
    table: Table, store: FeatureStore, how: Splitting, division: Division,
    group: str | None, stratum: str | None,
) -> dict[str, Any]:  # fmt: skip
    """How it was made, what it shares, and what that flatters (see `leak`)."""
    groups = table.label(group) if group in table.labels else None
    if groups is None or len(groups.values) < 2:
        group, groups = None, None
        if division.by == "random" and len(table.files) < len(table):
            names = [str(place) for place in range(len(table.files))]
            group, groups = "file", Labels(names, table.file)
    both = leak.shared(groups, table.split) if groups is not None else 0
    found = None
    if both and groups is not None and stratum != group and stratum in table.labels:
        strata = table.label(stratum)
        found = leak.measure(store.seen, strata, groups, table.splits, how.shares)
        if found is not None:
            found = {"label": stratum, "group": group, **found}
    return {
        "by": division.by, "asked": how.by, "shares": list(how.shares), "seed": how.seed,
        "group": group, "shared": both, "groups": 0 if groups is None else len(groups.values),
        "leak": found,
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


def _copies_words(
    table: Table, same: list[np.ndarray], across: list[np.ndarray], near: dict[str, Any]
) -> list[str]:
    words = []
    if same:
        spare = sum(len(g) - 1 for g in same)
        words.append(
            f"{_sounds(spare)} {_s('repeat', spare)} others exactly ({_copies(table, same[0])}); "
            "remove them"
        )
    if across:
        words.append(
            f"{_sounds(len(across))} {_s('stand', len(across))} in more than one split "
            f"({_copies(table, across[0])}): validation would be too kind; remove the copies"
        )
    if near["pairs"]:
        example = near["examples"][0]
        words.append(
            f"{_sounds(near['sounds'])} nearly {_s('repeat', near['sounds'])} others "
            f"({_some(example[:2], 2)}); health.html has a table of them, keep one of each"
        )
    if near["across_splits"]:
        count = near["across_splits"]
        words.append(
            f"{count} of these near copies {'is' if count == 1 else 'are'} between two splits: "
            "validation would be too kind; remove one of each, or split by a label they share"
        )
    return words


def _content_words(
    table: Table, splits: dict[str, int], store: FeatureStore, division: Division
) -> list[str]:
    words, feature, count = [], store.feature, len(table)
    if count < FEW:
        words.append(f"only {count} usable sounds; a map begins to say something at {FEW}")
    if missing := [name for name in SPLITS if not splits[name]]:
        words.append(f"no sounds for {' and '.join(missing)}; {_to_split(table, division)}")
    median = float(np.median(table.seconds))
    if median < 0.25 * feature.seconds:
        width = feature.shape[1] * 2 * median / feature.seconds
        setting = "frames" if isinstance(feature, LogMel) else "samples"
        words.append(
            f"half of the sounds are shorter than {median:.2g} s and a picture shows "
            f"{feature.seconds:.2f} s, mostly silence; a recipe with "
            f"feature.{setting}={max(8, round(width))} fits"
        )
    if not table.start.any() and median > 2.0 * feature.seconds:
        words.append(
            f"half of the sounds are longer than {median:.0f} s, of which a picture shows the "
            f"first {feature.seconds:.2f} s; --cut chunks takes all of them"
        )
    rates = table.sample_rate[table.file]
    low = rates < 0.9 * feature.sample_rate
    if low.any():
        words.append(
            f"{_sounds(int(low.sum()))} below {feature.sample_rate} Hz (the lowest "
            f"{rates.min()} Hz): their upper bands stay empty; leave them out, or prepare a recipe "
            "of a lower rate"
        )
    if "family" in table.labels and _is_one(table.labels["family"]):
        family = printable(str(table.labels["family"].values[0]))
        words.append(
            f"all sounds are of one family ({family}): colours and clusters by family say nothing"
        )
    pitched = int((table.label("pitch").codes >= 0).sum()) if "pitch" in table.labels else 0
    if not pitched:
        words.append(
            "no sound has a pitch label: a pitch-conditioned model learns nothing from it; give a "
            "labels CSV with a column pitch (MIDI number) or name files as NSynth does"
        )
    elif pitched < count:
        words.append(
            f"{_sounds(count - pitched)} without a pitch label; they count as pitch unknown"
        )
    return words


def _is_one(column: Labels) -> bool:
    return len(column.values) == 1 and bool((column.codes >= 0).all())


def _to_split(table: Table, division: Division) -> str:
    """What to do about a split that has no sounds."""
    contents = len(np.unique(table.sha256, axis=0))
    if len(table) < 3:
        return "add sounds, or cut this one into many with --cut chunks or --cut onsets"
    if division.by in ("source", "lists"):
        return "give sounds for it, or split anew with --split-by file"
    if division.by != "random" and contents < 3:
        held = "one file" if contents == 1 else f"{contents} files"
        return (
            f"all sounds are pieces of {held}, which are kept together; --split-by random spreads "
            "the pieces over all splits (neighbours are alike: validation will be kind), other "
            "recordings are better"
        )
    if division.by not in ("file", "random"):
        return f"there are too few values of {division.by}; --split-by file spreads the files"
    return "add sounds, or give other shares with --split"


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


def _some(names: Sequence[str], count: int) -> str:
    """The first names of `count`, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return shown + (f" and {count - SHOWN} more" if count > SHOWN else "")


def _copies(table: Table, group: np.ndarray) -> str:
    return _some([table[int(row)].file for row in group[:SHOWN]], len(group))


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
