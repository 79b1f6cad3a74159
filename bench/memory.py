"""What it costs to give freed memory back: renders and training with it given back, as glibc does by itself,
and kept, as `timbrespace` has it (`machine.keep_memory`).

    python bench/memory.py CORPUS [--recipe instruments] [--rounds 3]

Each figure is a process of its own; the two take turns, `rounds` times, and medians stand in the table.
Renders: the phaser on 2 s of noise at 16 and 44.1 kHz, one thread. Training: the second epoch of the
recipe. Writes bench/results/memory.md.
"""

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from result import FOLDER, made_by, options, table, write

from timbrespace import machine

RATES = (16000, 44100)
RENDERS = 40


def measured(corpus: str, recipe: str) -> dict[str, float]:
    """Times real time of a render at each rate, sounds a second, and the most memory held, in GB."""
    from timbrespace.effects.catalogue import EFFECTS
    from timbrespace.verbs import train

    found = {}
    for rate in RATES:
        sound = (0.2 * np.random.default_rng(0).standard_normal(2 * rate)).astype(np.float32)
        took = []
        for _ in range(RENDERS):
            began = time.process_time()
            EFFECTS["phaser"].render(sound, rate)
            took.append(time.process_time() - began)
        found[f"phaser, {rate} Hz, times real time"] = 2.0 / median(took)
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, corpus, Path(folder) / "run", settings=("train.epochs=2",))
        with (run.path / "history.csv").open(encoding="utf-8") as file:
            last = list(csv.DictReader(file))[-1]
    found["training, sounds a second"] = float(last["sounds_per_second"])
    found["most memory, GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def child(way: str, corpus: Path, recipe: str) -> dict[str, float]:
    variables = {variable for _, variable, _ in machine.KEPT.values()}
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    command = [sys.executable, __file__, str(corpus), "--recipe", recipe, "--child", way]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="instruments")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=("back", "kept"), help="measure this process")
    args = parser.parse_args()
    if args.child:
        if args.child == "back":
            machine.keep_memory = lambda: None
        machine.keep_memory()
        print(json.dumps(measured(str(args.corpus), args.recipe)))
        return
    back, kept = [], []
    for _ in range(args.rounds):
        back.append(child("back", args.corpus, args.recipe))
        kept.append(child("kept", args.corpus, args.recipe))
    rows = []
    for name in back[0]:
        without, held = (median(found[name] for found in ways) for ways in (back, kept))
        rows.append([name, f"{without:.4g}", f"{held:.4g}", f"{held / without:.2f}"])
    write(
        FOLDER / "memory.md", "Freed memory, given back or kept",
        f"Medians of {args.rounds} processes of either kind, in turns.",
        table(("", "given back", "kept", "ratio"), rows),
        made_by(f"python bench/memory.py CORPUS --recipe {args.recipe} --rounds {args.rounds}"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
