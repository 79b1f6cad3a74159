"""All parts of a store: which there should be, which are there, and the making of the others."""

import json
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from timbrespace.atomic import remove_abandoned, write_text
from timbrespace.audio.files import printable
from timbrespace.data import workers
from timbrespace.data.columns import Lazy, Texts
from timbrespace.data.cutting import Cut
from timbrespace.data.findings import Findings, Gathering
from timbrespace.data.mirror import Home
from timbrespace.data.part import Job, inputs_digest, read_part, stem_of
from timbrespace.errors import CorpusError
from timbrespace.features.feature import Feature
from timbrespace.machine import cores

PART = 256  # files, on average
LEAST = 1  # processes of their own, where nobody says how many
PLAN = "plan.json"  # in the folder of a store while its parts are being made

Progress = Callable[[int, int], None]


class Jobs(Lazy[Job]):
    """The jobs that make the pictures of `files`; the same for the same inputs.

    Where a part ends is decided by the files' names alone, so a file that is added or removed
    changes the part that it is in, and no other. A job is made when it is asked for: those of a
    million files would take more memory than their names.
    """

    def __init__(
        self, root: Path, files: Sequence[str], feature: Feature, cut: Cut, folder: Path,
        max_seconds: float, place: str | None = None,
    ) -> None:  # fmt: skip
        """root: a folder; place: what workers open files of where that is not the folder itself."""
        self.files, self.folder, self.place = Texts.of(files), folder, place or str(root)
        self.feature, self.cut, self.max_seconds = feature, cut, max_seconds
        self.ends = _ends(self.files)
        self.digests = [
            inputs_digest(root, self._names(number), feature, cut, max_seconds)
            for number in range(len(self.ends))
        ]

    def __len__(self) -> int:
        return len(self.digests)

    def item(self, number: int) -> Job:
        return Job(
            number, self.place, self._names(number), self.feature.settings(),
            self.cut.settings(), str(self.folder), self.digests[number], self.max_seconds,
        )  # fmt: skip

    def size(self, number: int) -> int:
        """How many files a part is made of."""
        return int(self.ends[number] - (self.ends[number - 1] if number else 0))

    def stem(self, number: int) -> str:
        """Name of a part's files without suffix."""
        return stem_of(self.digests[number])

    def _names(self, number: int) -> tuple[str, ...]:
        end = int(self.ends[number])
        return tuple(self.files[end - self.size(number) : end])


class _Some(Lazy[Job]):
    """Some of the jobs."""

    def __init__(self, jobs: Jobs, numbers: list[int]) -> None:
        self._jobs, self._numbers = jobs, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def item(self, number: int) -> Job:
        return self._jobs[self._numbers[number]]


def _ends(files: Texts) -> np.ndarray:
    """Where in `files` each part ends."""
    size = 8
    while size < PART and size * 32 <= len(files):
        size *= 2
    ends, begin = array("q"), 0
    for position, file in enumerate(files, start=1):
        name = zlib.crc32(file.encode("utf-8", "surrogateescape"))
        if name % size == 0 or position - begin == 4 * size or position == len(files):
            ends.append(position)
            begin = position
    return np.array(ends, np.int64)


def finish(
    jobs: Jobs, processes: int | None, progress: Progress | None, *,
    cluster: str | None = None, corpus: str | None = None, home: Home | None = None,
) -> Findings:  # fmt: skip
    """What is found in the files of all parts, keeping those that are there; OSError when the disk
    says no.

    They are made by processes of this machine, or by the Dask `cluster` of that address. While that
    lasts, PLAN tells readers (see `growing`) which parts there will be, and of which `corpus` they
    are when its rows are decided. `home` brings them to an address and from there.
    """
    folder = jobs.folder
    home = home or Home(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    home.begin_store(folder, (jobs.stem(number) for number in range(len(jobs))))
    lines = [folder / f"{jobs.stem(number)}.jsonl" for number in range(len(jobs))]
    gathering = Gathering(lines, jobs.files)
    missing = []
    for number in range(len(jobs)):
        part = read_part(folder, jobs.stem(number), verify=True)
        if part is not None and len(part.lines) == jobs.size(number) and not part.lacks_any:
            gathering.add(number, part)
        else:
            missing.append(number)
    count, total = len(jobs.files) - sum(map(jobs.size, missing)), len(jobs.files)

    def done(job: Job) -> None:
        nonlocal count
        home.made(folder, job.stem, here=cluster is None)
        part = read_part(folder, job.stem)
        if part is None:
            raise CorpusError(f"{printable(folder)}: a part just written cannot be read back")
        gathering.add(job.number, part)
        count += len(job.files)
        if progress:
            progress(count, total)

    if progress:
        progress(count, total)
    if missing:
        parts = [[jobs.stem(number), jobs.size(number)] for number in range(len(jobs))]
        write_text(folder / PLAN, json.dumps({"corpus": corpus, "parts": parts}) + "\n")
    try:
        if cluster is None:
            workers.make_parts(_Some(jobs, missing), _processes(processes, total - count), done)
        elif missing:
            from timbrespace.data.cluster import make_parts

            make_parts(_Some(jobs, missing), cluster, done, place=home.address(folder))
    finally:
        remove_abandoned(folder)
    return gathering.all()


def _processes(asked: int | None, files: int) -> int:
    if asked is None:
        # A worker takes a second to start, in which it would read some 1200 notes
        # (bench/results/prepare.md); fewer sounds for each are done sooner by fewer. One at least: a
        # decoder that crashes takes its process along.
        return max(LEAST, min(cores(), files // 2000))
    if asked < 0:
        raise CorpusError(f"workers should be 0 (this process) or more, got {asked}")
    return asked
