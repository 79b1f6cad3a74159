"""What to know about a corpus before training on it: numbers, and words on what to do."""

from collections import Counter, defaultdict
from typing import Any

from timbrespace.audio.files import printable
from timbrespace.data.corpus import Row

FEW = 200  # usable sounds; below this a map says little
SHOWN = 5  # names in a message; the report has all

_ADVICE = {
    "silent": "remove them, or they all become one point of the map",
    "truncated": "copy or download them again",
    "clipped": "use quieter recordings if there are any; the distortion is learnt as timbre",
    "dc": "high-pass them at 20 Hz if the lowest band matters",
}


def check(
    rows: list[Row], report: list[dict[str, Any]], labels: dict[str, str], notes: list[str],
    layout: str, statistics: dict[str, float],
) -> dict[str, Any]:  # fmt: skip
    """Counts, statistics and `warnings` (sentences that say what to do) of a corpus."""
    skipped = [line for line in report if line["status"] == "skipped"]
    codes = Counter(code for line in report for code in line.get("codes", ()))
    warnings = list(notes)
    for code, count in Counter(line["code"] for line in skipped).most_common():
        names = [line["path"] for line in skipped if line["code"] == code]
        warnings.append(f"{_files(count)} skipped, {code}: {_some(names)}; see report.jsonl")
    for code, count in codes.most_common():
        names = [line["path"] for line in report if code in line.get("codes", ())]
        warnings.append(f"{_files(count)} {code}: {_some(names)}; {_ADVICE[code]}")

    same: dict[tuple[str, float], list[Row]] = defaultdict(list)
    for row in rows:
        same[row.sha256, row.start].append(row)
    doubles = [group for group in same.values() if len(group) > 1]
    across = [group for group in doubles if len({row.split for row in group}) > 1]
    if doubles:
        spare = sum(len(group) - 1 for group in doubles)
        names = [row.file for row in doubles[0]]
        warnings.append(f"{_files(spare)} repeat others exactly ({_some(names)}); remove them")
    if across:
        names = [row.file for row in across[0]]
        warnings.append(
            f"{_files(len(across))} stand in more than one split ({_some(names)}): validation "
            "would be too kind; remove the copies"
        )

    splits = {name: sum(row.split == name for row in rows) for name in ("train", "valid", "test")}
    disjoint = _disjoint(rows) if "instrument" in labels else None
    if disjoint is False:
        warnings.append(
            "instruments stand in more than one split: validation measures memory of instruments; "
            "prepare without a given split to have them apart"
        )
    if len(rows) < FEW:
        warnings.append(f"only {len(rows)} usable sounds; a map begins to say something at {FEW}")
    missing = [name for name, count in splits.items() if not count]
    if missing:
        warnings.append(f"no sounds for {' and '.join(missing)}; add sounds or give another split")
    families = {row.labels["family"] for row in rows} if "family" in labels else set()
    if len(families) == 1:
        warnings.append(
            f"all sounds are of one family ({printable(str(families.pop()))}): colours and "
            "clusters by family say nothing"
        )
    without = sum(row.labels.get("pitch") is None for row in rows)
    if without == len(rows):
        warnings.append(
            "no sound has a pitch label: a pitch-conditioned model learns nothing from it; give a "
            "labels CSV with a column pitch (MIDI number) or name files as NSynth does"
        )
    elif without:
        warnings.append(f"{_files(without)} without a pitch label; they count as pitch unknown")
    seconds = [row.seconds for row in rows]
    return {
        "layout": layout,
        "files": len(report),
        "used": len(report) - len(skipped),
        "sounds": len(rows),
        "skipped": len(skipped),
        "skipped_by_code": dict(sorted(Counter(line["code"] for line in skipped).items())),
        "doubtful_by_code": dict(sorted(codes.items())),
        "duplicates": sum(len(group) - 1 for group in doubles),
        "duplicates_across_splits": len(across),
        "splits": splits,
        "instrument_disjoint": disjoint,
        "labels": {n: len({r.labels[n] for r in rows} - {None}) for n in labels},
        "seconds": {
            "total": round(sum(seconds), 3), "shortest": min(seconds), "longest": max(seconds)
        },
        "sample_rates": {
            str(rate): count for rate, count in sorted(Counter(r.sample_rate for r in rows).items())
        },
        "pictures": statistics,
        "warnings": warnings,
    }  # fmt: skip


def words(health: dict[str, Any]) -> str:
    """The text of health.md."""
    splits, length = health["splits"], health["seconds"]
    lines = [
        "# Health of this corpus",
        "",
        f"{health['used']} of {health['files']} files are used, {health['skipped']} skipped; "
        f"they hold {health['sounds']} sounds. "
        f"They were read as layout {health['layout']}.",
        "",
        f"- Split: {splits['train']} train, {splits['valid']} valid, {splits['test']} test; "
        + {
            True: "no instrument is in two of them.",
            False: "some instruments are in two of them.",
            None: "there is no instrument label, so files were split.",
        }[health["instrument_disjoint"]],
        "- Labels (different values): "
        + (", ".join(f"{n} ({c})" for n, c in health["labels"].items()) or "none")
        + ".",
        f"- Length: {length['total'] / 60:.1f} min in all, from {length['shortest']:g} s to "
        f"{length['longest']:g} s.",
        "- Sample rates: "
        + ", ".join(f"{r} Hz ({c})" for r, c in health["sample_rates"].items())
        + ".",
        f"- Pictures: mean {health['pictures']['mean']:.3f}, standard deviation "
        f"{health['pictures']['std']:.3f} (-1 is silence, 1 the loudest cell).",
        "",
        "## What to look at",
        "",
    ]
    lines += [f"- {warning}" for warning in health["warnings"]] or ["Nothing; it looks well."]
    return "\n".join(lines) + "\n"


def _disjoint(rows: list[Row]) -> bool:
    homes: dict[Any, set[str]] = defaultdict(set)
    for row in rows:
        if row.labels["instrument"] is not None:
            homes[row.labels["instrument"]].add(row.split)
    return all(len(home) == 1 for home in homes.values())


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _some(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
