"""UMAP or a bottleneck? Controllers of effects by kind and dimensions, on settings and a sound that none knows.

Usage: python bench/controllers.py CORPUS [--effects delay,overdrive,...] [--dimensions 2,4,8] [--run RUN]
Writes bench/results/controllers.md and controllers.png; an effect that has fewer knobs than dimensions is given
as many dimensions as it has knobs. About four minutes an effect for nine controllers on a quiet core. Ctrl-C
loses one controller at most: what is done lies in bench/results/controllers.jsonl, and the same command goes
on; delete that file where the code has changed.
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import result

from timbrespace.controller.controller import Controller
from timbrespace.controller.fit import Heard
from timbrespace.controller.heard import Ear
from timbrespace.controller.make import KINDS, SETTINGS, fitted, listen
from timbrespace.controller.measure import measure
from timbrespace.controller.sounds import DrySounds, dry_sounds
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.runs import Run

TEN = (
    "delay", "overdrive", "reverb", "chorus", "phaser", "compressor", "eq", "bitcrush", "multiband",
    "ringmod",
)  # fmt: skip
FIGURES = (  # of a controller, by heading
    ("knob R²", "knob_r2"), ("best knob", "best_knob_r2"), ("given back R²", "returned_r2"),
    ("audio", "audio"), ("(middle)", "audio_centre"), ("coverage", "coverage"),
    ("evenness", "evenness"), ("midpoint", "midpoint"), ("(knobs, same ends)", "midpoint_same"),
    ("(knobs)", "midpoint_naive"), ("roughness", "roughness"),
    ("(knobs, same ends)", "roughness_same"), ("bend", "non_linearity"),
    ("(knobs, same ends)", "non_linearity_same"), ("sensitivity", "sensitivity"),
    ("axis 1, effect", "first"), ("axis 2, brightness", "second"), ("less than clean", "clean_rank"),
    ("axis 1 rises", "rises_first"), ("axis 2 rises", "rises_second"), ("loudness, best axis", "loudness"),
)  # fmt: skip

OF_LATENTS = " of latents"

Rows = dict[tuple[str, str, int], dict[str, Any]]  # by effect, kind, dimensions asked


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--effects", default=",".join(TEN))
    parser.add_argument("--dimensions", default="2,4,8")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--run", help="a space of effects: each kind of its latents, too")
    parser.add_argument("--settings", type=int, default=SETTINGS)
    parser.add_argument("--out", type=Path, default=result.FOLDER / "controllers.md")
    asked = parser.parse_args()
    kinds, sizes = asked.kinds.split(","), [int(d) for d in asked.dimensions.split(",")]
    kinds += [f"{kind}{OF_LATENTS}" for kind in kinds if asked.run]
    effects, sounds = asked.effects.split(","), dry_sounds([asked.corpus])
    jobs = [(name, kind, size) for name in effects for kind in kinds for size in sizes]
    made_of, run = [asked.settings, sounds.about], Run.open(asked.run) if asked.run else None
    done = asked.out.with_suffix(".jsonl")
    rows = {job: row for job, row in finished(done, made_of).items() if job in jobs}
    for name in effects:
        left = [job for job in jobs if job[0] == name and job not in rows]
        if not left:
            continue
        effect, known, rest = find(name), {}, {}
        for job in left:
            _, kind, size = job
            whole = min(size, len(effect.knobs))
            if (kind, whole) not in rest:
                plain = kind.removesuffix(OF_LATENTS)
                by = None if plain == kind else run
                if (plain == kind) not in known:
                    known[plain == kind] = listen(effect, sounds.made_on, asked.settings, 0, by)
                rest[kind, whole] = measured(effect, known[plain == kind], plain, whole, sounds)
            rows[job] = rest[kind, whole]
            with open(done, "a", encoding="utf-8") as file:
                if file.tell() and not done.read_text(encoding="utf-8").endswith("\n"):
                    file.write("\n")  # a line was cut short
                file.write(json.dumps({"of": made_of, "job": job, "row": rows[job]}) + "\n")
            words = f"{len(rows)} of {len(jobs)}: {name} {kind} {size}, knob R² {rows[job]['knob_r2']:.2f}"
            print(words, file=sys.stderr, flush=True)
    first = find(effects[0])
    heard = listen(first, sounds.made_on, asked.settings, 0)
    draw(fitted(first, heard, kinds[0], sizes[0], 0), asked.out.with_suffix(".png"))
    write(asked.out, {job: rows[job] for job in jobs}, kinds, sizes, asked)


def measured(
    effect: Effect, known: tuple[Ear, Heard], kind: str, size: int, sounds: DrySounds
) -> dict[str, Any]:
    """What one controller is worth, and the seconds that it took to fit."""
    began = time.process_time()
    made = fitted(effect, known, kind, size, 0)
    seconds = time.process_time() - began
    found = measure(made, sounds.kept)
    first, second = found["rises"]
    return {
        **found, "seconds": seconds, "rises_first": first, "rises_second": second,
        "first": abs(found["axes"][0]["effect"]), "second": abs(found["axes"][1]["brightness"]),
        "loudness": max(abs(axis["loudness"]) for axis in found["axes"]),
    }  # fmt: skip


def finished(path: Path, made_of: list[Any]) -> Rows:
    """The controllers that an earlier run has measured, made of the same settings and sounds; a line that
    was cut short is left out."""
    rows = Rows()
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):
            one = json.loads(line)
            if one["of"] == made_of:
                rows[tuple(one["job"])] = one["row"]
    return rows


def write(out: Path, rows: Rows, kinds: list[str], sizes: list[int], asked: Any) -> None:
    effects = list(dict.fromkeys(effect for effect, _, _ in rows))
    means = [
        [kind, size, *(_mean([rows[e, kind, size][key] for e in effects]) for _, key in FIGURES),
         f"{np.mean([rows[e, kind, size]['seconds'] for e in effects]):.0f} s"]
        for kind in kinds for size in sizes
    ]  # fmt: skip
    each = [
        [
            effect,
            *(f"{rows[effect, kind, size]['knob_r2']:.2f}" for kind in kinds for size in sizes),
        ]
        for effect in effects
    ]
    knobs = [
        [effect, kind, _told(rows[effect, kind, sizes[0]]["knob_r2_each"])]
        for effect in effects for kind in kinds
    ]  # fmt: skip
    result.write(
        out, "Controllers: UMAP or a bottleneck?",
        result.made_by(
            f"python bench/controllers.py CORPUS --effects {','.join(effects)} --dimensions {asked.dimensions}"
            + (" --run RUN" if asked.run else ""),
            f"{asked.settings} random settings on 3 notes, measured on other settings and a note of "
            "the test split",
        ),
        f"Means over {len(effects)} effects; `timbrespace/controller/measure.py` defines the columns.",
        result.table(["kind", "d", *(heading for heading, _ in FIGURES), "to fit"], means),
        "Knob R² from the position, by effect:",
        result.table(["effect", *(f"{kind} {size}" for kind in kinds for size in sizes)], each),
        f"Knob by knob at {sizes[0]} dimensions:",
        result.table(["effect", "kind", "R² from the position"], knobs),
    )  # fmt: skip


def draw(made: Controller, path: Path) -> None:
    """A pad: what each knob is over the square, and random settings where the controller places them."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = [knob.name for knob in made.knob_list]
    at = np.linspace(0.0, 1.0, 101)
    over = made.knobs(np.stack(np.meshgrid(at, at), -1))
    units = np.random.default_rng(0).random((400, len(names)))
    places = made.position(units)
    figure, rows = plt.subplots(2, len(names), figsize=(3.2 * len(names), 6.4), squeeze=False)
    for column, name in enumerate(names):
        above, below = rows[0, column], rows[1, column]
        above.imshow(over[..., column], origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1)
        below.scatter(*places.T, c=units[:, column], s=9, vmin=0, vmax=1)
        below.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        above.set_title(f"{made.effect}: {name}")
    for row, words in zip(rows, ("knob at a position", "settings at their positions"), strict=True):
        row[0].set_ylabel(f"{words}\naxis 2: {made.axes[1].words}", fontsize=7)
    for below in rows[1]:
        below.set_xlabel(f"axis 1: {made.axes[0].words}", fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _told(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:.2f}" for name, figure in figures.items())


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "nothing to measure"
    return f"{np.mean(known):.2f}" + ("" if len(known) == len(values) else f" (of {len(known)})")


if __name__ == "__main__":
    main()
