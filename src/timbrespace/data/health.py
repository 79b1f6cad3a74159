"""The health report: what a corpus holds and what to mind, in numbers and in words."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.data.sources import Listing

FEW = 200  # sounds below which a model learns little


def health(
    listing: Listing, report: Sequence[dict[str, Any]], feature: dict[str, Any]
) -> dict[str, Any]:
    """Counts, levels, labels, duplicates and warnings of a prepared corpus.

    report: one row per listed file, as data.part writes it, with its `split` and `labels`.
    """
    used = [row for row in report if row["status"] != "skipped"]
    skipped = Counter(row["code"] for row in report if row["status"] == "skipped")
    doubts = Counter(code for row in used for code in row["codes"])
    names = sorted({name for row in used for name in row["labels"]})
    labels = {name: Counter(str(row["labels"][name]) for row in used) for name in names}
    first: dict[str, dict[str, Any]] = {}
    duplicates = crossing = 0
    for row in used:
        other = first.setdefault(row["sha256"], row)
        if other is not row:
            duplicates += 1
            crossing += other["split"] != row["split"]
    splits = Counter(row["split"] for row in used)
    mean = float(np.mean([row["mean"] for row in used]))
    square = float(np.mean([row["square"] for row in used]))
    facts: dict[str, Any] = {
        "layout": listing.layout,
        "sounds": len(used),
        "skipped": dict(skipped),
        "doubts": dict(doubts),
        "hours": round(sum(row["seconds"] for row in used) / 3600, 4),
        "seconds": _range([row["seconds"] for row in used]),
        "sample_rates": dict(Counter(str(row["sample_rate"]) for row in used)),
        "channels": dict(Counter(str(row["channels"]) for row in used)),
        "peak_db": _range([row["level_db"] for row in used]),
        "rms_db": _range([row["rms_db"] for row in used]),
        "duplicates": duplicates,
        "duplicates_across_splits": crossing,
        "splits": {name: splits.get(name, 0) for name in ("train", "valid", "test")},
        "splits_disjoint_by_instrument": _disjoint(used),
        "labels": {name: dict(count.most_common(200)) for name, count in labels.items()},
        "pictures": {
            "feature": feature, "mean": round(mean, 4),
            "std": round(max(0.0, square - mean * mean) ** 0.5, 4),
        },
        "notes": list(listing.notes[:50]),
    }  # fmt: skip
    facts["warnings"] = _warnings(facts, used)
    return facts


def _range(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return {
        "min": round(float(low), 3),
        "median": round(float(middle), 3),
        "max": round(float(high), 3),
    }


def _disjoint(used: Sequence[dict[str, Any]]) -> bool | None:
    homes: dict[str, set[str]] = {}
    for row in used:
        if row["labels"].get("instrument") is not None:
            homes.setdefault(row["labels"]["instrument"], set()).add(row["split"])
    return all(len(splits) == 1 for splits in homes.values()) if homes else None


def _warnings(facts: dict[str, Any], used: Sequence[dict[str, Any]]) -> list[str]:
    words = []
    if facts["skipped"]:
        reasons = ", ".join(f"{n} {code}" for code, n in sorted(facts["skipped"].items()))
        words.append(
            f"{sum(facts['skipped'].values())} files were skipped ({reasons}); report.jsonl names each"
        )
    advice = {
        "silent": "are silent; remove them, they teach nothing",
        "clipped": "are clipped; record them again at a lower level if you can",
        "dc": "have a constant offset; a high-pass at 20 Hz removes it",
        "truncated": "are cut off; copy them again from where they came",
    }
    for code, what in advice.items():
        if facts["doubts"].get(code):
            words.append(f"{facts['doubts'][code]} sounds {what}")
    if facts["duplicates"]:
        words.append(
            f"{facts['duplicates']} sounds are exact copies of others, "
            f"{facts['duplicates_across_splits']} of them across splits; remove them"
        )
    if facts["sounds"] < FEW:
        words.append(
            f"{facts['sounds']} sounds are few; from about {FEW} on a model learns something"
        )
    for split, count in facts["splits"].items():
        if not count:
            words.append(f"there are no {split} sounds; add more sounds or instruments")
    if facts["splits_disjoint_by_instrument"] is False:
        words.append("an instrument is in several splits: family figures will flatter")
    families = {row["labels"].get("family") for row in used} - {None}
    if len(families) == 1:
        words.append("there is one family only: figures about families mean nothing here")
    unpitched = sum(row["labels"].get("pitch") is None for row in used)
    if unpitched:
        words.append(
            f"{unpitched} sounds have no pitch label; a pitched model treats them as unknown pitch. "
            "A CSV with columns path and pitch helps: --labels FILE"
        )
    return words


def in_words(facts: dict[str, Any]) -> str:
    """The report as a page of Markdown."""
    splits = ", ".join(f"{n} {name}" for name, n in facts["splits"].items())
    seconds, peak = facts["seconds"], facts["peak_db"]
    lines = [
        "# Health of this corpus", "",
        f"{facts['sounds']} sounds, {facts['hours']:.2f} hours, layout {facts['layout']} ({splits}).",
        f"Lengths {seconds['min']:.2f} to {seconds['max']:.2f} s, median {seconds['median']:.2f} s; "
        f"peaks {peak['min']:.1f} to {peak['max']:.1f} dBFS, median {peak['median']:.1f}.",
        f"Rates (Hz): {', '.join(facts['sample_rates'])}; channels: {', '.join(facts['channels'])}.",
        f"Pictures: mean {facts['pictures']['mean']:.3f}, deviation {facts['pictures']['std']:.3f} "
        "in [-1, 1].",
    ]  # fmt: skip
    for name, count in facts["labels"].items():
        some = ", ".join(f"{label} {n}" for label, n in list(count.items())[:12])
        lines.append(f"{name}: {len(count)} values ({some}{', ...' if len(count) > 12 else ''}).")
    if facts["splits_disjoint_by_instrument"]:
        lines.append("No instrument is in two splits.")
    lines += ["", "## To mind", ""] + [f"- {w}." for w in facts["warnings"]]
    if not facts["warnings"]:
        lines.append("Nothing.")
    lines += [f"- {note}." for note in facts["notes"]]
    return "\n".join(lines) + "\n"
