"""Runs side by side: one flat row each from metrics.json and history.csv, as a table, a file, a picture.

Conventions
-----------
A row's keys are those of `row`; docs/metrics.md says what each means; what a run has not is None. Figures
of two rows compare when they were measured on the same sounds of the same corpus with the same feature:
such rows share their `group`. KEY_interval is half the width of a figure's 95 % interval. Of one run it
is that of other instruments, as evaluate found it. Over seeds a figure is the mean of its runs and the
interval Student's: it holds for normally distributed figures of independent seeds, and says nothing
about other sounds. Over folds, runs on the same files of which each holds out other ones, it says both in
one; their trainings share most of their sounds, which makes it too narrow (Bengio & Grandvalet 2004). How
a row differs from the one it is held against, `differences` says.
"""

import csv
import hashlib
import io
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbrespace.errors import RunError
from timbrespace.evaluation import catalogue
from timbrespace.evaluation.differences import Trained, difference
from timbrespace.runs import Run

if TYPE_CHECKING:
    from timbrespace.evaluation.figures.style import Drawing

Row = dict[str, Any]

PCA = ("8", "16", "32", "64")
FIGURES = (
    "bits_per_sound", "rmse_db", "rmse_db_at_mean", "mr_stft", "mr_stft_inversion",
    "mr_stft_mean_sound", "in_use", "in_use_of", "pitch_kept", "pitch_kept_inversion",
    "pitch_kept_another_sound", "family_on_z", "family_majority", "pitch_on_z", "pitch_majority",
    "minutes", "seconds_per_epoch", "epochs", "family_across", "family_across_majority",
    "family_across_pca_32", "silhouette", "silhouette_shuffled", "silhouette_pca_32", "effect_knn",
    "effect_forest", "effect_silhouette", "effect_chance", "knob_mae", "knob_mae_centre",
    "lsd_db", "swap_pitch", "swap_family", "family_heard",
    "mean_sound_rmse_db", "mean_per_pitch_rmse_db", "linear_code_rmse_db",
    *(f"pca_{k}_rmse_db" for k in PCA),
)  # fmt: skip
INTERVALS = {  # where metrics.json has the interval of a figure of one run
    "bits_per_sound": ("rate", "bits_per_sound_interval"),
    "rmse_db": ("distortion", "rmse_db_interval"),
    "rmse_db_at_mean": ("distortion", "rmse_db_at_mean_interval"),
    "mr_stft": ("heard", "model_intervals", "mr_stft"),
    "lsd_db": ("distortion", "lsd_db_interval"),
    "pitch_kept": ("pitch", "to_original", "model", "within_50_interval"),
    "swap_pitch": ("swap", "swapped", "asked_pitch_interval"),
    "swap_family": ("swap", "swapped", "family_interval"),
    "family_heard": ("swap", "unswapped", "family_interval"),
}
KEYS = (
    "run", "recipe", "feature", "seed", "group", "split", "sounds", "corpus_digest", *FIGURES,
    *(f"{key}_interval" for key in INTERVALS), "family_on_z_interval", "pitch_on_z_interval",
    "family_across_interval", "silhouette_interval",
    "effect_knn_interval", "effect_forest_interval", "effect_silhouette_interval", "knob_mae_interval",
    "in_use_kind", "verdict", "sentence",
)  # fmt: skip
CONFIDENCE = 0.95


def rows(
    paths: Iterable[str | Path], *, seeds: bool = False, against: str | Path | None = None
) -> list[Row]:
    """One row a run, in the order given; with `seeds` one for all runs that differ only in their seed
    and, where they are of one set of files, in which of them are held out (folds). All are held `against`
    one of the runs, or the first of those that they compare with: how they differ is their "difference",
    and "sentence"; that row itself has None.

    RunError for what is no run, for runs without metrics (it names all of them), for `against` that is
    none of them, and with `seeds` for two runs that have the same seed and fold, too.
    """
    runs = [(str(path), Run.open(path)) for path in paths]
    found = [(path, run, _metrics(run)) for path, run in runs]
    missing = [path for path, _, metrics in found if metrics is None]
    if missing:
        raise RunError(
            f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no metrics yet; run: "
            f"timbrespace evaluate {missing[0] if len(missing) == 1 else 'RUN, for each of them'}"
        )
    table = [row(path, run, metrics) for path, run, metrics in found if metrics is not None]
    scales = [_scale(run, line) for (_, run), line in zip(runs, table, strict=True)]
    alike: dict[str, list[int]] = {}
    for i, ((_, run), line, scale) in enumerate(zip(runs, table, scales, strict=True)):
        if not seeds:
            alike[str(i)] = [i]
            continue
        settings = {k: v for k, v in run.recipe.model_dump().items() if k != "seed"}
        files = _files(run, line) or scale[0]
        name = json.dumps([files, scale[1:], settings], sort_keys=True, default=str)
        alike.setdefault(name, []).append(i)
    for name, at in list(alike.items()):
        each = {scales[i]: i for i in at}
        if len(each) > 1 and not _apart([(runs[i][1], table[i]) for i in each.values()]):
            del alike[name]
            for i in at:
                alike.setdefault(f"{name} {scales[i]}", []).append(i)
    measured = [tuple(sorted({scales[i] for i in at})) for at in alike.values()]
    for at, own in zip(alike.values(), measured, strict=True):
        for i in at:
            table[i]["group"] = 1 + list(dict.fromkeys(measured)).index(own)
    merged = [
        over_seeds([table[i] for i in at]) if seeds else table[at[0]] for at in alike.values()
    ]
    sides = [
        Trained(name_of(line), [runs[i][1] for i in at], [table[i] for i in at])
        for line, at in zip(merged, alike.values(), strict=True)
    ]
    if against is None:
        groups = [line["group"] for line in merged]
        firsts = [groups.index(group) for group in groups]
    else:
        named = _named([path for path, _ in runs], against)
        firsts = [next(i for i, at in enumerate(alike.values()) if named in at)] * len(merged)
    for i, (line, first) in enumerate(zip(merged, firsts, strict=True)):
        found = None if i == first else difference(sides[i], sides[first])
        line["difference"], line["sentence"] = found, found and found["sentence"]
    return merged


def row(path: str, run: Run, metrics: dict[str, Any]) -> Row:
    """What metrics.json and history.csv say of one run, flat; the whole as "metrics"."""

    at = partial(catalogue.at, metrics)

    def reader(label: str) -> tuple[float | None, Sequence[float] | None]:
        shares = {name: at("probes", label, "on_z", name) for name in ("knn", "linear")}
        known = [name for name, share in shares.items() if share is not None]
        if not known:
            return None, None
        best = max(known, key=lambda name: shares[name])
        return shares[best], at("probes", label, "on_z", f"{best}_interval")

    epochs = at("training", "epoch")
    seconds = [
        line["seconds"] for line in run.history()
        if "seconds" in line and line["epoch"] <= (epochs or math.inf)
    ]  # fmt: skip
    codes = at("rate", "codes") is not None
    family, pitch = reader("family"), reader("pitch")
    ends = {key: at(*place) for key, place in INTERVALS.items()}
    effects, effect_ends = _of_effects(at("effects"))
    ends |= {"family_on_z": family[1], "pitch_on_z": pitch[1], **effect_ends}
    across = partial(at, "structure", "neighbours", "family_across_instruments")
    windows = list((at("structure", "silhouette") or {}).values())
    narrow = partial(catalogue.at, windows[-1] if windows else None)
    for key, found in (("family_across", across("z") or {}), ("silhouette", narrow("z") or {})):
        ends[key] = None if found.get("low") is None else (found["low"], found["high"])
    faults = at("faults") or []
    return {
        "run": path, "recipe": run.name, "feature": run.feature.words, "seed": run.recipe.seed,
        "group": 1, "split": at("split"), "sounds": at("sounds"), "corpus_digest": at("corpus_digest"),
        "bits_per_sound": at("rate", "bits_per_sound"),
        "rmse_db": at("distortion", "rmse_db"),
        "rmse_db_at_mean": at("distortion", "rmse_db_at_mean"),
        "mr_stft": at("heard", "model", "mr_stft"),
        "mr_stft_inversion": at("heard", "inversion", "mr_stft"),
        "in_use": at("rate", "codes_used" if codes else "active_units"),
        "in_use_of": at("rate", "codes" if codes else "dimensions"),
        "in_use_kind": "codes" if codes else "units",
        "family_on_z": family[0], "family_majority": at("probes", "family", "on_z", "majority"),
        "pitch_on_z": pitch[0], "pitch_majority": at("probes", "pitch", "on_z", "majority"),
        "minutes": sum(seconds) / 60.0 if seconds else None,
        "seconds_per_epoch": statistics.median(seconds) if seconds else None,
        "epochs": epochs, "family_across": across("z", "mean"), "silhouette": narrow("z", "mean"), **effects,
        "pitch_kept": at("pitch", "to_original", "model", "within_50"),
        "pitch_kept_inversion": at("pitch", "to_original", "inversion", "within_50"),
        "pitch_kept_another_sound": at("pitch", "to_original", "another_sound", "within_50"),
        "mr_stft_mean_sound": at("heard", "mean_sound", "mr_stft"),
        "family_across_majority": across("majority"), "family_across_pca_32": across("pca_32", "mean"),
        "silhouette_shuffled": narrow("shuffled_labels", "mean"),
        "silhouette_pca_32": narrow("pca_32", "mean"),
        "lsd_db": at("distortion", "lsd_db"),
        "swap_pitch": at("swap", "swapped", "asked_pitch"),
        "swap_family": at("swap", "swapped", "family"),
        "family_heard": at("swap", "unswapped", "family"),
        "mean_sound_rmse_db": at("floors", "mean_sound_rmse_db"),
        "mean_per_pitch_rmse_db": at("floors", "mean_per_pitch_rmse_db"),
        "linear_code_rmse_db": at("floors", "linear_code_rmse_db"),
        **{f"pca_{k}_rmse_db": at("floors", "pca_rmse_db", k) for k in PCA},
        **{f"{key}_interval": _half(found) for key, found in ends.items()},
        "verdict": ", ".join(faults) or ("healthy" if at("healthy") else None),
        "sentence": None, "difference": None, "metrics": metrics,
    }  # fmt: skip


def _of_effects(
    found: dict[str, Any] | None,
) -> tuple[dict[str, float | None], dict[str, Sequence[float] | None]]:
    """Of runs of pairs: accuracy on mu by the 5 nearest and by a forest beside chance, the silhouette by
    effect, and the mean error of the identifiable knobs beside that of their centres, by the head where
    there is one, else by trees on mu; and the ends of their intervals."""
    at = partial(catalogue.at, found)
    best = "head" if at("knobs", "methods", "head") else "mu_trees"
    figures = {
        "effect_chance": at("which", "chance"), "knob_mae": at("knobs", "methods", best, "mae"),
        "knob_mae_centre": at("knobs", "methods", "centre", "mae"),
    }  # fmt: skip
    ends = {"knob_mae": at("knobs", "methods", best, "mae_interval")}
    for name in ("knn", "forest", "silhouette"):
        line = partial(at, "which", "views", "mu", name)
        figures[f"effect_{name}"] = line("mean")
        ends[f"effect_{name}"] = None if line("low") is None else (line("low"), line("high"))
    return figures, ends


def over_seeds(lines: Sequence[Row]) -> Row:
    """One row of runs that differ only in their seed and fold: means, KEY_interval beside each, `n` runs
    on `folds` corpora, and the `sounds` that they were measured on together."""
    seeds = [(line["seed"], line["corpus_digest"]) for line in lines]
    twice = [line["run"] for line, seed in zip(lines, seeds, strict=True) if seeds.count(seed) > 1]
    if twice:
        raise RunError(
            f"{' and '.join(twice)} have the same seed; several seeds want one run of each"
        )
    merged: Row = {key: lines[0][key] for key in KEYS}
    merged["run"] = ", ".join(line["run"] for line in lines)
    merged["seed"] = ", ".join(str(line["seed"]) for line in lines)
    held = {line["corpus_digest"]: line["sounds"] for line in lines}
    merged["sounds"] = sum(held.values())
    verdicts = Counter(str(line["verdict"]) for line in lines)
    if len(verdicts) > 1:
        merged["verdict"] = "; ".join(
            f"{words} ({n} of {len(lines)})" for words, n in verdicts.items()
        )
    for key in FIGURES:
        values = [line[key] for line in lines]
        known = all(value is not None for value in values)
        merged[key] = statistics.fmean(values) if known else None
        if len(lines) > 1:
            merged[f"{key}_interval"] = interval(values) if known else None
        merged.setdefault(f"{key}_interval", None)
    return merged | {
        "n": len(lines), "folds": len(held), "paths": [line["run"] for line in lines],
        "metrics": [line["metrics"] for line in lines],
    }  # fmt: skip


def interval(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % confidence interval of the mean, t s / sqrt(n); None for one value."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return None
    t = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2.0))
    return t * statistics.stdev(values) / math.sqrt(len(values))


def sentences(table: Sequence[Row]) -> list[str]:
    """How the rows differ from the one they are held against, a sentence each, the least error first."""
    return [line["sentence"] for line in ordered(table, "rmse_db") if line["sentence"]]


def ordered(table: Sequence[Row], key: str) -> list[Row]:
    """Rows by a figure, the smallest first, those without it last; RunError for an unknown key."""
    if key not in KEYS:
        raise RunError(f"rows have no {key!r} to sort by; they have: {', '.join(KEYS)}")
    known = [line for line in table if line[key] is not None]
    return [*sorted(known, key=lambda line: line[key]), *(x for x in table if x[key] is None)]


def warning(table: Sequence[Row]) -> str | None:
    """One sentence when not all rows compare, naming those that do; else None."""
    groups: dict[int, list[str]] = {}
    for line in table:
        groups.setdefault(line["group"], []).append(name_of(line))
    if len(groups) < 2:
        return None
    parts = "; ".join(f"group {group}: {', '.join(names)}" for group, names in groups.items())
    return (
        "the figures compare only within a group, since the sounds or the feature they were measured "
        f"with differ ({parts})"
    )


def name_of(line: Row) -> str:
    """What to call a row: its run's folder, or the recipe of several."""
    return Path(line["run"]).name if line.get("n", 1) == 1 else line["recipe"]


def runs_of(line: Row) -> str:
    """In words, what a row is the mean of."""
    n, folds = line.get("n", 1), line.get("folds", 1)
    if n == 1:
        return "1 run"
    return (
        f"{n} seeds" if folds == 1 else f"{n} folds" if n == folds else f"{n} runs, {folds} folds"
    )


def cells(table: Sequence[Row]) -> list[list[str]]:
    """The table for people: a list of headings, then one of words for each row."""
    columns = {
        "run": lambda x: x["run"] if x.get("n", 1) == 1 else runs_of(x),
        "recipe": lambda x: x["recipe"],
        "group": lambda x: str(x["group"]),
        "feature": lambda x: x["feature"],
        "bits": lambda x: figure(x, "bits_per_sound", 1),
        "dB": lambda x: figure(x, "rmse_db", 2),
        "dB at mean": lambda x: figure(x, "rmse_db_at_mean", 2),
        "linear code": lambda x: figure(x, "linear_code_rmse_db", 2),
        "MR-STFT": lambda x: figure(x, "mr_stft", 2),
        "in use": lambda x: (
            f"{figure(x, 'in_use', 0)} of {x['in_use_of']:.0f} {x['in_use_kind']}"
        ),
        "family on z": lambda x: _beside(x, "family_on_z", "family_majority"),
        "pitch on z": lambda x: _beside(x, "pitch_on_z", "pitch_majority"),
        "effect": lambda x: _beside(x, "effect_knn", "effect_chance"),
        "by forest": lambda x: figure(x, "effect_forest", 2),
        "silhouette by effect": lambda x: figure(x, "effect_silhouette", 2),
        "knobs off": lambda x: _beside(x, "knob_mae", "knob_mae_centre"),
        "min": lambda x: figure(x, "minutes", 1),
        "s/epoch": lambda x: figure(x, "seconds_per_epoch", 1),
        "epochs": lambda x: figure(x, "epochs", 0),
        "verdict": lambda x: x["verdict"] or "-",
    }  # fmt: skip
    if warning(table) is None:
        del columns["group"]
    of_pairs = {
        "effect": "effect_knn", "by forest": "effect_forest", "silhouette by effect": "effect_silhouette",
        "knobs off": "knob_mae",
    }  # fmt: skip
    for name, key in of_pairs.items():
        if all(line[key] is None for line in table):
            del columns[name]
    return [list(columns), *([column(line) for column in columns.values()] for line in table)]


def text(table: Sequence[Row]) -> str:
    """The table as lines of equal columns."""
    lines = cells(table)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(table: Sequence[Row]) -> str:
    """The table as Markdown, with the sentences on how rows differ and on what does not compare."""
    head, *body = [[cell.replace("|", "\\|") for cell in line] for line in cells(table)]
    lines = [head, ["---"] * len(head), *body]
    said = warning(table)
    below = "".join(f"\n- {sentence}." for sentence in sentences(table))
    below = f"{below}\n" if below else ""
    below += "" if said is None else f"\n{said[0].upper()}{said[1:]}.\n"
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + below


def comma_separated(table: Sequence[Row]) -> str:
    """Every flat key of every row, one line each."""
    keys = [key for key in table[0] if key not in ("metrics", "difference", "paths")]
    made = io.StringIO()
    writer = csv.DictWriter(made, keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return made.getvalue()


def picture(table: Sequence[Row]) -> "Drawing":
    """The rate-distortion plane of the largest group: its rows, and its floors as lines."""
    from timbrespace.evaluation import figures

    drawn = [x for x in table if x["bits_per_sound"] is not None and x["rmse_db"] is not None]
    if not drawn:
        raise RunError("there is nothing to draw: no run has finite bits and dB")
    shown, _ = Counter(line["group"] for line in drawn).most_common(1)[0]
    chosen = [line for line in drawn if line["group"] == shown]
    floors = {"mean sound": "mean_sound_rmse_db"} | {f"PCA-{k}": f"pca_{k}_rmse_db" for k in PCA}
    return figures.rate_distortion(
        [(name_of(x), x["bits_per_sound"], x["rmse_db"]) for x in chosen],
        {name: chosen[0][key] for name, key in floors.items() if chosen[0][key] is not None},
        # what instruments would change, they would change for all runs alike: no bars of that
        errors=[
            (x["bits_per_sound_interval"], x["rmse_db_interval"])
            if x.get("n", 1) > 1
            else (None, None)
            for x in chosen
        ],
        linear=[x["linear_code_rmse_db"] for x in chosen],
    )


def _metrics(run: Run) -> dict[str, Any] | None:
    try:
        found = json.loads((run.path / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
        return found if {"distortion", "rate"} <= set(found) else None
    except (OSError, ValueError, TypeError):
        return None


def _half(ends: Sequence[float] | None) -> float | None:
    return None if ends is None else (ends[1] - ends[0]) / 2.0


def _named(paths: Sequence[str], against: str | Path) -> int:
    """Which of the runs `against` is."""
    for i, path in enumerate(paths):
        if Path(path).resolve() == Path(against).resolve():
            return i
    raise RunError(
        f"{against} is none of the runs that are compared ({', '.join(paths)}); name it among them"
    )


def _files(run: Run, line: Row) -> str | None:
    """What the folds of one set of files share: a digest of the rows and files that a run was trained and
    measured on; None where it was measured on other files than its own."""
    if run.provenance.get("corpus_digest") != line["corpus_digest"]:
        return None
    with open(run.path / "split.csv", encoding="utf-8", newline="") as file:
        rows = [[one["row"], one["file"]] for one in csv.DictReader(file)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _apart(lines: Sequence[tuple[Run, Row]]) -> bool:
    """Whether no row was measured by two runs, as it is of folds."""
    held = [
        {row for row, split in run.split().items() if split == line["split"]} for run, line in lines
    ]
    return sum(map(len, held)) == len(set[int]().union(*held))


def _scale(run: Run, line: Row) -> tuple[str, ...]:
    """What two runs share whose figures compare; how pictures are kept on disk is no difference."""
    settings = {k: v for k, v in run.feature.settings().items() if k != "dtype"}
    return (str(line["corpus_digest"]), str(line["split"]), json.dumps(settings, sort_keys=True))


def figure(line: Row, key: str, digits: int) -> str:
    """A figure of a row with so many digits behind the point, and half its interval behind ±."""
    value, width = line[key], line.get(f"{key}_interval")
    if value is None:
        return "-"
    if not width:  # of one run, or the same for every seed
        return f"{value:.{digits}f}"
    digits = max(digits, 1)  # the mean of whole numbers is none
    return f"{value:.{digits}f} ± {width:.{digits}f}"


def _beside(line: Row, key: str, majority: str) -> str:
    chance = "" if line[majority] is None else f" ({line[majority]:.2f})"
    return "-" if line[key] is None else f"{figure(line, key, 2)}{chance}"
