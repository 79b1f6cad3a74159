"""What `timbrespace evaluate` costs: time of each question, and memory as the sounds measured grow.

    python bench/evaluate.py RUN [--sizes 1000 10000 100000] [--ask pitch,swap]

RUN is a trained run whose corpus is there. The sounds measured are those of its `valid` part, as often as it
takes, each copy under instruments of its own: what grows is the number of sounds and of instruments.
Every size runs in a process of its own on a copy of the run. Seconds are of the processor, each question in
the thread that asks it. Writes bench/results/evaluate.md.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from result import FOLDER, busy, made_by, options, table, write
from scale import Peak

RESULT = FOLDER / "evaluate.md"


class Copies:
    """The valid part of a corpus, repeated to `count` sounds: what an evaluation asks of a corpus."""

    def __init__(self, corpus: Any, count: int, path: Path) -> None:
        """`path`: where what an evaluation keeps beside a corpus goes, a folder that is thrown away."""
        self._corpus, self._own, self.count = corpus, corpus.split_rows("valid"), count
        self.path, self.label_names = path, corpus.label_names
        self.digest = f"{corpus.digest} {count}"

    def _row(self, row: int) -> int:
        return int(self._own[row % len(self._own)])

    @cached_property
    def rows(self) -> list[Any]:
        return [replace(self._corpus.rows[self._row(row)], row=row) for row in range(self.count)]

    def labels(self, name: str) -> list[Any]:
        values = self._corpus.labels(name)
        found = [values[self._row(row)] for row in range(self.count)]
        if name != "instrument":
            return found
        return [f"{name} {row // len(self._own)}" for row, name in enumerate(found)]

    def split_rows(self, split: str) -> Any:
        import numpy as np

        return np.arange(self.count if split == "valid" else 0)

    def audio(self, row: int, **options: Any) -> Any:
        return self._corpus.audio(self._row(row), **options)

    def features(self, feature: Any) -> Any:
        import numpy as np

        from timbrespace.data.store import FeatureStore

        store = self._corpus.features(feature)
        own = np.array([self._row(row) for row in range(self.count)])

        class Repeated(FeatureStore):
            def __init__(self) -> None:
                self.feature, self.values, self.level_db = (
                    feature,
                    store.values,
                    store.level_db[own],
                )

            def __len__(self) -> int:
                return len(own)

            def read(self, rows: Any) -> Any:
                return store.read(own[np.asarray(rows)])

        return Repeated()


def measured(run: Path, count: int, ask: list[str] | None) -> dict[str, Any]:
    """Seconds and megabytes of one evaluation; 0 sounds: those of the run itself, with its space."""
    from timbrespace import verbs
    from timbrespace.evaluation import catalogue
    from timbrespace.evaluation.evaluate import evaluate
    from timbrespace.runs import Run

    seconds: dict[str, float] = {}
    answer = catalogue._answer

    def timed(facts: Any, name: str) -> Any:
        began = time.thread_time()
        try:
            return answer(facts, name)
        finally:
            seconds[name] = time.thread_time() - began

    catalogue._answer = timed
    began = time.monotonic(), time.process_time()
    with Peak() as peak:
        if count:
            opened = Run.open(run)
            metrics = evaluate(opened, corpus=Copies(opened.corpus, count, run), ask=ask)  # type: ignore
        else:
            metrics = verbs.evaluate(run, ask=ask)
    report = run / "evaluation"
    return {
        "sounds": metrics["sounds"], "of": metrics["of_sounds"], "peak": peak.most,
        "wall": time.monotonic() - began[0], "cpu": time.process_time() - began[1],
        "questions": seconds,
        "report": sum((report / name).stat().st_size for name in ("report.html", "map.html")) / 1e6,
    }  # fmt: skip


def rows(run: Path, sizes: list[int], ask: str | None) -> Iterator[dict[str, Any]]:
    for size in (0, *sizes):
        with tempfile.TemporaryDirectory(dir=run.parent) as folder:
            copy = Path(folder) / "run"
            shutil.copytree(run, copy, ignore=shutil.ignore_patterns("checkpoints", "evaluation"))
            command = [sys.executable, __file__, str(copy), "--one", str(size)]
            command += [] if ask is None else ["--ask", ask]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            yield json.loads(done.stdout.splitlines()[-1])
            print(done.stdout.splitlines()[-1], file=sys.stderr)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--ask", help="these questions alone, with commas")
    parser.add_argument("--one", type=int, help="measure this size alone, in this process")
    given = parser.parse_args()
    if given.one is not None:
        ask = None if given.ask is None else [name for name in given.ask.split(",") if name]
        print(json.dumps(measured(given.run, given.one, ask)))
        return
    load = busy()
    found = list(rows(given.run, given.sizes, given.ask))
    names = list(found[0]["questions"])
    write(
        RESULT, "What evaluate costs",
        made_by(f"python bench/evaluate.py RUN --sizes {' '.join(map(str, given.sizes))}", load=load),
        "The first line is the run as it is, with its own space; the others its valid part repeated. Of more "
        "than 10,000 sounds so many are drawn at random, so that time and memory stay. Memory is the "
        "process's own, without mapped files.",
        table(
            ("sounds", "measured", "wall, s", "CPU, s", "peak, MB", "report and maps, MB"),
            [
                (f"{one['of']:,}", f"{one['sounds']:,}", f"{one['wall']:.0f}", f"{one['cpu']:.0f}",
                 f"{one['peak']:,.0f}", f"{one['report']:.1f}")
                for one in found
            ],
        ),
        "CPU seconds of each question, in its own thread:",
        table(
            ("sounds", *names),
            [
                (f"{one['of']:,}", *(f"{one['questions'].get(name, 0.0):.1f}" for name in names))
                for one in found
            ],
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
