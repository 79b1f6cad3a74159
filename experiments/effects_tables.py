"""What runs of pairs know of effects, every run beside all that it has to beat: tables out of metrics.json.

A baseline that is the same for several runs stands once, as the first of them measured it: principal
components and faded recordings of the runs of one group, an untrained encoder of those of one model, hand
features of all whose sounds have one rate and length.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import result

from timbrespace.page import brackets
from timbrespace.runs import Run

Cells = Callable[[dict[str, Any], str], tuple[object, ...] | None]  # None: it was not measured

READERS = ("knn", "logistic", "forest", "silhouette")
SHARED = ("effect", "setting", "sound")
TWO_SOUNDS = (
    "kept_ends", "kept_latent", "kept_decoded", "knob_mae_ends", "knob_mae_latent", "knob_mae_decoded",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A run of pairs: its name, `beside` which pictures it stands (its group, where there are several), and
    what its evaluation found of effects."""

    name: str
    beside: str
    run: Run
    found: dict[str, Any]

    def baselines(self) -> dict[str, tuple[object, str]]:
        """Of each baseline what runs share that have the same one, and its name."""
        recipe, whole = self.run.recipe, self.found["channels"]["numbers"]
        heard = whole - getattr(recipe.model.bottleneck, "dry", 0)
        model = recipe.model.model_dump(exclude={"heads"})
        feature = self.run.feature
        corpus = self.run.provenance["corpus_digest"]
        pictures = (self.beside, corpus)
        return {
            "untrained": ((pictures, repr(model)), f"the encoder of {self.name}, untrained"),
            "pca": ((pictures, heard), f"PCA-{heard} of the pictures{self.beside}"),
            "pca_difference": ((pictures, heard), f"PCA-{heard} of wet less dry{self.beside}"),
            "pca_whole": ((pictures, whole), f"PCA-{whole} of the pictures{self.beside}"),
            "crossfade": (pictures, f"recordings faded{self.beside}"),
            "hand": ((corpus, feature.sample_rate, feature.samples), "hand features"),
            "centre": (corpus, "always the centre"),
        }


def sections(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Titles and tables in Markdown of the rows of a comparison (`timbrespace.compare(..., seeds=True)`);
    none where no run was asked `effects`."""
    runs = _measured(table)
    named = [run for run in runs if "views" in run.found["which"]]
    turned = [run for run in runs if "methods" in run.found["knobs"]]
    parts = (
        (
            "What the space knows of effects",
            ("", "kNN-5", "logistic", "forest", "silhouette", "ARI", "NMI", *_leaks(named)),
            _lines(
                named, {"mu": "mu", "z": "z sampled"},
                {name: name for name in ("untrained", "pca", "pca_difference", "hand")}, _which,
            ),
        ),
        (
            "Where the knobs stand",
            ("", "MAE of those that can be told", "R²", "knobs", *_same_knobs(turned)),
            _lines(
                turned, {"head": "its head", "mu_ridge": "ridge on mu", "mu_trees": "trees on mu"},
                {
                    "untrained": "untrained_ridge", "pca": "pca_ridge",
                    "pca_difference": "pca_difference_ridge", "hand": "hand_trees", "centre": "centre",
                },
                lambda found, method: _knobs(found, method, _told_by_all(turned)),
            ),
        ),
        (
            "Ways between two effects of one sound",
            ("", "dry, dB", "wet, dB", "dry / wet", "ways"),
            _lines(
                runs, {"model": "its way", "another_sound": "its way to another sound"},
                {"pca_whole": "pca", "crossfade": "crossfade"}, _two_effects,
            ),
        ),
        (
            "Ways between two sounds of one effect and setting",
            (
                "", "effect kept, ends", "in the latent", "decoded", "knobs off, ends", "in the latent",
                "decoded", "ways",
            ),
            _lines(
                runs, {"model": "its way", "another_effect": "its way to another effect"}, {}, _two_sounds
            ),
        ),
    )  # fmt: skip
    return [
        text
        for title, heads, lines in parts
        if lines
        for text in (f"## {title}", result.table(heads, lines))
    ]


def _measured(table: Sequence[Mapping[str, Any]]) -> list[Measured]:
    several = len({line["group"] for line in table}) > 1
    return [
        Measured(Path(path).name, f", group {line['group']}" if several else "", Run.open(path), found)
        for line in table
        for path, metrics in zip(line["paths"], line["metrics"], strict=True)
        if (found := metrics.get("effects"))
    ]  # fmt: skip


def _lines(
    runs: Sequence[Measured], own: Mapping[str, str], baselines: Mapping[str, str], cells: Cells
) -> list[tuple[object, ...]]:
    """A line for each of a run's `own` figures that is there, then one for each distinct baseline; those
    are given as the name of each figure by the baseline's own."""
    lines = [
        (f"{run.name}, {words}", *line)
        for run in runs
        for name, words in own.items()
        if (line := cells(run.found, name)) is not None
    ]
    for baseline, name in baselines.items():
        seen: set[object] = set()
        for run in runs:
            shared, words = run.baselines()[baseline]
            line = cells(run.found, name)
            if line is not None and shared not in seen:
                seen.add(shared)
                lines.append((words, *line))
    return lines


def _which(found: dict[str, Any], view: str) -> tuple[object, ...] | None:
    line, leaks = (found[part]["views"].get(view) for part in ("which", "invariance"))
    return line and (
        *(_figure(line[reader], 2) for reader in READERS), f"{line['ari']:.2f}", f"{line['nmi']:.2f}",
        *(_known(value) for value in (leaks["voice"], *(leaks["shared_variance"][s] for s in SHARED))),
    )  # fmt: skip


def _leaks(runs: Sequence[Measured]) -> tuple[str, ...]:
    chances = {_known(run.found["invariance"]["chance"]) for run in runs}
    return (
        f"instrument or speaker (chance {', '.join(sorted(chances))})", "variance by effect", "by setting",
        "by dry sound",
    )  # fmt: skip


def _told_by_all(runs: Sequence[Measured]) -> set[str]:
    """The knobs that can be told in every run."""
    told = [
        {name for name, line in run.found["knobs"]["knobs"].items() if line["identifiable"]}
        for run in runs
    ]
    return set.intersection(*told) if told else set()


def _same_knobs(runs: Sequence[Measured]) -> tuple[str, str, str]:
    every = max((len(run.found["knobs"]["knobs"]) for run in runs), default=0)
    return f"MAE of the {len(_told_by_all(runs))} told in every run", "R²", f"MAE of all {every}"


def _knobs(found: dict[str, Any], method: str, same: set[str]) -> tuple[object, ...] | None:
    mean = found["knobs"]["methods"].get(method)
    if mean is None:
        return None
    each = {name: line["methods"][method] for name, line in found["knobs"]["knobs"].items()}
    some = [line for name, line in each.items() if name in same]
    return (
        f"{mean['mae']:.3f}{brackets(mean['mae_interval'], 3)}", f"{mean['r2']:.2f}", mean["knobs"],
        _mean(some, "mae", 3), _mean(some, "r2", 2), _mean(list(each.values()), "mae", 3),
    )  # fmt: skip


def _mean(lines: Sequence[Mapping[str, float]], name: str, digits: int) -> str:
    return f"{sum(line[name] for line in lines) / len(lines):.{digits}f}" if lines else "-"


def _two_effects(found: dict[str, Any], kind: str) -> tuple[object, ...] | None:
    line = found["paths"]["two_effects"].get(kind)
    return line and (
        *(_figure(line[name], 2) for name in ("dry_db", "wet_db")), _known(line["ratio"]), line["ways"]
    )  # fmt: skip


def _two_sounds(found: dict[str, Any], kind: str) -> tuple[object, ...] | None:
    line = found["paths"]["two_sounds"].get(kind)
    return line and (
        *(_figure(line[name], 2) if name in line else "-" for name in TWO_SOUNDS), line["ways"],
    )  # fmt: skip


def _figure(found: Mapping[str, float | None], digits: int) -> str:
    ends = None if found["low"] is None else (found["low"], found["high"])
    return f"{_known(found['mean'], digits)}{brackets(ends, digits)}"


def _known(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
