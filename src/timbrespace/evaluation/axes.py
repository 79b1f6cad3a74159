"""How descriptors run over the space: along straight lines, or only from neighbour to neighbour?

Conventions
-----------
Descriptors are those of the recordings (audio/descriptors.py), at equal pitch where pitches are known, of
at most 700 training sounds and 200 of those measured, of other instruments where they can be told apart,
as far as they go those that the space's directions were found with (`directions.drawn`); the outer
hundredths count as one value. Linear: R² of the best straight direction of mu (of z where the latent is
codes), fitted on training sounds (geometry/axes.py). Local: R² of the mean of the ten nearest
training sounds. Perfect 1, worst 0 (below: worse than the mean of the training sounds). Beside them stand
PCA-32 of the pictures, which is linear algebra, and mu with its sounds shuffled, which knows nothing. Where
local is well above linear the descriptor is there, but runs along a curve: one slider will not do.

Directions are those of the run's space (directions.py): their rank correlation with held-out sounds, and
the mean over decoded sounds of Spearman's rho between five steps and the figure of the decoded sound:
perfect 1, a decoder that ignores them 0. Intervals draw whole instruments.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from timbrespace.audio.descriptors import DESCRIPTORS
from timbrespace.directions import Directions, clipped, described, drawn, sample_sizes
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.evaluation import figures
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Encoded, Facts, Unanswerable
from timbrespace.evaluation.statistics import interval
from timbrespace.evaluation.views import NAMES, View, Views
from timbrespace.geometry import axes
from timbrespace.mapping import Space
from timbrespace.page import escape, image, table

FLOORS = ("pca_32", "shuffled_labels")


def measure(facts: Facts) -> dict[str, Any]:
    """R² of each descriptor, linear and local, of each view; and what the space's directions are worth.

    Unanswerable with fewer than 20 training sounds, or where no sound can be described.
    """
    rng = facts.rng("axes")
    sizes = sample_sizes(facts.learnt, facts.training)
    there, here = (
        drawn(rows, most)
        for rows, most in zip((facts.training, facts.here.rows), sizes, strict=True)
    )
    if len(there) < axes.LEAST:
        raise Unanswerable(
            f"only {len(there)} training sounds are there, and {axes.LEAST} are needed"
        )
    encoded = Encoded.of(facts.run, facts.learnt, there, rng)
    there = encoded.rows
    values, source = described(facts.run, facts.learnt, there)
    own, _ = described(facts.run, facts.corpus, here)
    if not np.isfinite(values).any():
        raise Unanswerable("all sounds that were drawn to be described are silent")
    views = Views.of(
        replace(
            facts,
            here=facts.here.take(np.flatnonzero(np.isin(facts.here.rows, here))),
            there=encoded,
        )
    )
    pitches = np.concatenate([views.others.pitches, views.asked.pitches])
    held = axes.design([None if np.isnan(p) else p for p in pitches], len(pitches))
    held_there, held_here = held[: len(there)], held[len(there) :]
    latent = "mu" if "mu" in views.tables else "z"
    tables = {
        name: axes.rest(other, held_there, one, held_here)
        for name, (one, other) in views.tables.items()
        if name in (latent, *FLOORS)
    }
    residual = axes.rest(values, held_there, own, held_here)
    y, y_here = clipped(residual[0], residual[0]), clipped(residual[1], residual[0])
    groups = views.others.instruments, views.asked.instruments
    found = {
        name: descriptor(tables, (y_here[:, i], y[:, i]), latent, *groups, rng)
        for i, name in enumerate(DESCRIPTORS)
    }
    return {
        "fitted_on": len(there), "sounds": len(here), "described": source, "latent": latent,
        "pitch_held": held.shape[1] > 1, "descriptors": found, "directions": _directions(facts, rng),
    }  # fmt: skip


def descriptor(
    tables: dict[str, View], values: View, latent: str, groups: Sequence[Hashable] | None,
    asked_groups: Sequence[Hashable] | None, rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Of one descriptor, values (M,) of training sounds and (N,) of those measured, and tables of both
    the other way round, {name: (there, here)}: linear and local R² by name, with intervals of `latent`;
    {"why_not": a sentence} where too few sounds have it."""
    here, there = values
    known = np.isfinite(here)
    if not known.any() or np.ptp(here[known]) == 0.0:
        return {"why_not": "no measured sound has it, or all have the same"}
    found: dict[str, Any] = {"sounds": int(known.sum())}
    for name, (points, other) in tables.items():
        try:
            axis = axes.fit(points, there, groups)
        except TimbrespaceError as error:
            return {"why_not": str(error)}
        guesses = {
            "linear": axis.guess(other), "local": axes.local_guess(points, there, other)
        }  # fmt: skip
        found[name] = {kind: axes.explained(here, guess) for kind, guess in guesses.items()}
        if name == latent:
            found["intervals"] = {
                kind: interval(
                    np.square(np.column_stack([here, here - guess])[known]),
                    None if asked_groups is None
                    else [g for g, k in zip(asked_groups, known, strict=True) if k],
                    rng=rng, statistic=_r2,
                )
                for kind, guess in guesses.items()
            }  # fmt: skip
    return found


def show(found: dict[str, Any]) -> Shown:
    """Two tables, and a heat map of what each direction moves."""
    lines = []
    for name, one in found["descriptors"].items():
        unit = f", {DESCRIPTORS[name].unit}" if DESCRIPTORS[name].unit else ""
        label = f"{name.replace('_', '/')}{unit}"
        if "why_not" in one:
            lines.append((label, one["why_not"], *[""] * 6))
            continue
        cells = [
            _with_interval(one[found["latent"]][kind], one["intervals"][kind])
            for kind in ("linear", "local")
        ]
        cells += [f"{one[view][kind]:.2f}" for view in FLOORS for kind in ("linear", "local")]
        lines.append((label, str(one["sounds"]), *cells))
    heads = (
        "descriptor", "sounds", f"{found['latent']}, linear", "local", "PCA-32, linear", "local",
        "shuffled, linear", "local",
    )  # fmt: skip
    held = " at equal pitch" if found["pitch_held"] else ""
    words = (
        "<h2>How descriptors run over the space</h2>"
        f"<p>R² on {found['sounds']} sounds{held}, of what {found['fitted_on']} training sounds teach; "
        f"described were {escape(found['described'])}. Linear: the best straight direction of the "
        f"{escape(NAMES[found['latent']])}. Local: the mean of the ten nearest sounds. 1 is perfect, 0 "
        "knows nothing; in brackets 95 % intervals over instruments. Where local is well above linear, "
        "the space knows it along a curve, and no straight slider will do.</p>"
    )
    directions = found["directions"]
    body = words + table(heads, lines, words=2)
    if "why_not" in directions:
        return Shown(body + f"<p>No directions: {escape(directions['why_not'])}.</p>")
    rows = [
        (
            name, one["about"] + (" (weak)" if one["weak"] else ""), _figure(one["correlation"]),
            "–" if one["monotonicity"] is None
            else _with_interval(one["monotonicity"], one["interval"]),
        )
        for name, one in directions["found"].items()
    ]  # fmt: skip
    rows += [(name, why, "", "") for name, why in directions["missing"].items()]
    body += (
        "<h3>Named directions</h3><p>One step is one standard deviation of the space, at equal pitch. Held "
        "out: how well the coordinate orders sounds it was not fitted on (rank correlation). Decoded: how "
        f"well five steps order the figure of the decoded sound, a mean over {directions['sounds']} "
        "sounds; families are judged by their pictures. 1 is perfect, 0 is a decoder that does not "
        "listen.</p>" + table(("direction", "", "held out", "decoded"), rows, words=2)
    )
    drawn = _heat_map(directions["found"])
    if drawn is not None:
        body += (
            "<p>What else moves: the change of each descriptor of the decoded sound with one step, in "
            "standard deviations of that descriptor over the corpus; its own is framed.</p>"
            + image(drawn, "Squares: what each direction moves in each descriptor")
        )
    return Shown(body, {} if drawn is None else {"axes": drawn})


def _directions(facts: Facts, rng: np.random.Generator) -> dict[str, Any]:
    """What was measured when the space was drawn, with intervals."""
    try:
        made = Directions.open(facts.run, Space.open(facts.run).version)
    except RunError as error:
        return {"why_not": str(error)}
    found = {
        one.name: {
            "about": one.about, "of": one.of, "weak": one.weak, "correlation": one.correlation,
            "monotonicity": one.monotonicity, "moves": one.moves,
            "interval": interval(one.of_sounds, rng=rng) if one.of_sounds else None,
        }
        for one in made.found
    }  # fmt: skip
    return {
        "space": made.version, "sounds": len(made.instruments), "fitted_on": made.there,
        "held_out": made.here, "found": found, "missing": made.missing,
    }  # fmt: skip


def _heat_map(found: dict[str, Any]) -> bytes | None:
    names = [name for name, one in found.items() if one["moves"]]
    if not names:
        return None
    columns = list(DESCRIPTORS)
    values = [[found[name]["moves"][column] for column in columns] for name in names]
    own = [columns.index(found[name]["of"]) for name in names]
    return figures.moves(np.array(values, float), names, columns, own)


def _r2(squares: np.ndarray) -> float:
    """R² of columns of squared values and squared errors."""
    total = float(squares[:, 0].sum())
    return 1.0 - float(squares[:, 1].sum()) / total if total > 0.0 else 0.0


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _with_interval(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:.2f}" if ends is None else f"{value:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"
