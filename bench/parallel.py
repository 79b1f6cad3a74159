"""Data-parallel training beside one process on all cores: speed, and the memory of each rank.

    python bench/parallel.py CORPUS --recipe instruments --steps 36 --rounds 3

Every round trains the recipe anew for some steps, first in one process with all threads, then in as
many processes of one thread as there are cores. The first four steps are not counted. Memory is read
at the last step: what of the store's map is resident in a process, its share of that (PSS divides a
page by the processes that have it), and what it has written itself (private dirty). Linux only. Writes
bench/results/parallel.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from result import FOLDER, made_by, options, table, write

from timbrespace import verbs
from timbrespace.machine import cores

WARM = 4  # steps
RESULT = FOLDER / "parallel.md"


class Enough(Exception):
    """The last step that counts is done."""


def ranks() -> list[int]:
    """The processes that train: the children where there are any, else this one."""
    lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for text in lists for pid in text.split()] or [os.getpid()]


def memory(pid: int) -> dict[str, float]:
    """Of process `pid`, MB: what of the store's map is resident in it, its share of that, what it
    has of the map as a copy, and all that it has written itself (private dirty pages)."""
    found: dict[str, float] = {"resident": 0.0, "share": 0.0, "copied": 0.0, "own": 0.0}
    of_store = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, *rest = line.split()
        if not key.endswith(":"):
            of_store = "/features/" in line
        elif key == "Private_Dirty:":
            found["own"] += int(rest[0]) / 1024
            found["copied"] += of_store * int(rest[0]) / 1024
        elif key == "Rss:":
            found["resident"] += of_store * int(rest[0]) / 1024
        elif key == "Pss:":
            found["share"] += of_store * int(rest[0]) / 1024
    return found


def measure(corpus: Path, recipe: str, processes: int, steps: int) -> dict:
    """Sounds per second after the first steps, and the memory of each rank at the last."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.recipe import load

    found: dict = {}
    wanted = load(recipe)
    batch, size = wanted.train.batch, wanted.feature.model_dump()
    sounds = len(Corpus.open(corpus).split_rows("train"))
    pictures = 2 * sounds * size["mels"] * size["frames"] / 2**20  # MB

    def watch(stage: str, done: int, total: int, facts: dict[str, float]) -> None:
        if stage == "train" and done == WARM:
            found["began"] = time.perf_counter()
        if stage == "train" and done == steps:
            seconds = time.perf_counter() - found.pop("began")
            found["speed"] = (steps - WARM) * batch / seconds
            found["memory"] = [memory(pid) for pid in ranks()]
            found["pictures"] = pictures
            raise Enough

    with tempfile.TemporaryDirectory() as folder:
        try:
            verbs.train(recipe, corpus, Path(folder) / "run", processes=processes, progress=watch)
        except Enough:
            return found
    sys.exit(f"an epoch of {corpus} ends before step {steps}; give fewer --steps or more sounds")


def told(rounds: dict[int, list[dict]], given: argparse.Namespace) -> list[str]:
    count, lines, memory = max(rounds), [], []
    for processes, found in rounds.items():
        speeds = [one["speed"] for one in found]
        every = ", ".join(f"{speed:.0f}" for speed in speeds)
        lines.append((processes, count // processes, f"{median(speeds):.0f}", every))
        memory += [
            (
                f"{rank + 1} of {processes}", f"{one['resident']:.0f}", f"{one['share']:.0f}",
                f"{one['copied']:.1f}", f"{one['own']:.0f}",
            )
            for rank, one in enumerate(found[-1]["memory"])
        ]  # fmt: skip
    return [
        made_by(
            f"python bench/parallel.py CORPUS --recipe {given.recipe} --steps {given.steps} "
            f"--rounds {given.rounds}"
        ),
        "Where the load is above the cores, others took part of them, and speeds say little.",
        table(
            ("processes", "threads of each", "sounds per second, median", "in the rounds"), lines
        ),
        "## Memory",
        f"Training pictures of {rounds[1][-1]['pictures']:.0f} MB, read from one map.",
        table(
            ("rank", "map resident, MB", "share, MB", "copied, MB", "private in all, MB"), memory
        ),
    ]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="instruments")
    parser.add_argument("--steps", type=int, default=36, help="of a round, the first four included")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.corpus, given.recipe, given.only, given.steps)))
        return
    rounds: dict[int, list[dict]] = {1: [], cores(): []}
    for _ in range(given.rounds):
        for processes, found in rounds.items():
            command = [sys.executable, *sys.argv, "--only", str(processes)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            found.append(json.loads(done.stdout))
            print(processes, found[-1], file=sys.stderr)
    write(RESULT, "Data-parallel training", *told(rounds, given))


if __name__ == "__main__":
    main()
