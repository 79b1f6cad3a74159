"""What `train --estimate` says beside what one epoch really took.

    python bench/estimate.py CORPUS [--recipes RECIPE ...]

For each recipe two new processes: one estimates, one trains a single epoch. Compared are seconds per
epoch and the process's peak memory; the estimate tells memory beside the interpreter and the pictures, which
are mapped, so the peak of a process that has only loaded the recipe is taken off, and the size of the pictures
that an epoch reads. A small corpus will do (`timbrespace instruments
--notes 600`); the machine should be quiet. Some minutes on two cores.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from result import FOLDER, made_by, options, table, write

RECIPES = ("nsynth-baseline", "nsynth-pitch", "instruments-80", "instruments", "hierarchical", "vq")
RESULT = FOLDER / "estimate.md"
HEADINGS = (
    "recipe", "steps", "seconds an epoch, estimated", "trained", "share", "MB, estimated", "peak", "share",
)  # fmt: skip
CHILD = """
import json, resource, sys
sys.path.insert(0, {here!r})
import estimate
found = estimate.{part}(*json.loads(sys.argv[1]))
found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux: KiB
print(json.dumps(found))
"""


def loaded(recipe: str) -> dict[str, float]:
    """What stands in memory before a model is built: the interpreter, torch and the recipe."""
    import timbrespace.training.loop  # noqa: F401
    from timbrespace.recipe import load

    load(recipe)
    return {}


def estimated(recipe: str, sounds: int) -> dict[str, float]:
    from timbrespace.recipe import load
    from timbrespace.training.estimate import estimate_training

    found = estimate_training(load(recipe, settings=("train.epochs=1",)), sounds)
    return {"seconds": found["seconds"], "steps": found["steps"], "memory_mb": found["memory_mb"]}


def trained(recipe: str, corpus: str, out: str) -> dict[str, float]:
    from timbrespace import verbs

    run = verbs.train(recipe, corpus, Path(out), settings=("train.epochs=1",))
    (line,) = run.history()
    return {"seconds": line["seconds"], "steps": line["step"]}


def in_a_process(part: str, *words: object) -> dict[str, float]:
    """A function of this file in a process of its own, and the peak of its memory."""
    code = CHILD.format(here=str(Path(__file__).parent), part=part)
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(words)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(recipe: str, corpus: Path) -> list[str]:
    """One line of the table."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.features.catalogue import feature_of
    from timbrespace.recipe import load

    opened = Corpus.open(corpus)
    # made before the clock starts
    store = opened.features(feature_of(load(recipe).feature.model_dump()))
    rows = sum(len(opened.split_rows(split)) for split in ("train", "valid"))
    mapped = rows * store.values[0].nbytes / 2**20
    base = in_a_process("loaded", recipe)["peak_mb"]
    said = in_a_process("estimated", recipe, len(opened.split_rows("train")))
    with tempfile.TemporaryDirectory() as folder:
        took = in_a_process("trained", recipe, str(corpus), f"{folder}/run")
    peak = took["peak_mb"] - base - mapped
    return [
        recipe, f"{took['steps']:.0f}", f"{said['seconds']:.2f}", f"{took['seconds']:.2f}",
        f"{said['seconds'] / took['seconds']:.2f}", f"{said['memory_mb']:.0f}", f"{peak:.0f}",
        f"{said['memory_mb'] / peak:.2f}",
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), metavar="RECIPE")
    given = parser.parse_args()
    lines = [row(name, given.corpus) for name in given.recipes]
    about = (
        made_by(f"python bench/estimate.py CORPUS --recipes {' '.join(given.recipes)}")
        + " One epoch; a share above 1 promised more than it took. Memory is beside that of the interpreter "
        "and of the pictures, which are mapped."
    )
    write(RESULT, "What an estimate is worth", about, table(HEADINGS, lines))


if __name__ == "__main__":
    main()
