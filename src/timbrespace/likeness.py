"""Which sounds of a run's space are like a given one: by its latents, by how they sound, or by both.

The latent knows what the model was made to keep. How a recording sounds knows no model and has two parts:
the point of a fixed embedding (`timbrespace.embedding`) and the course of its MFCCs (`embedding.cepstrum`).
Listeners agree with the three together more than with each (docs/metrics.md, "perception"). What is heard
lies in space/embedding.npz, by row and with the corpus's digest: it does not depend on the model, so that a
space drawn anew keeps it, and a broken-off embedding goes on.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from zipfile import BadZipFile

import numpy as np

from timbrespace.atomic import write_arrays
from timbrespace.audio.files import Audio
from timbrespace.embedding import DIMENSIONS, cepstrum, embed
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.geometry.distance import combined, cosine, euclidean, typical
from timbrespace.machine import cores, torch_threads
from timbrespace.mapping import Space
from timbrespace.runs import Run

Progress = Callable[[str, int, int, dict[str, float]], None]
By = Literal["latent", "sound", "both"]
WAYS: tuple[str, ...] = get_args(By)
FILE = "embedding.npz"  # in the run's space/
AT_ONCE = 50  # sounds that are waited for when it is broken off
KEPT = 40 * AT_ONCE  # sounds between two writings: a minute


@dataclass(frozen=True)
class Heard:
    """How N sounds sound: points (N, D) of the embedding, NaN where a recording could not be read, and
    courses (N, B) of bytes. A part of them is had by `heard[places]`, places (n,)."""

    points: np.ndarray
    courses: np.ndarray

    @classmethod
    def of(cls, sounds: Sequence[Audio], seconds: float) -> "Heard":
        """Of recordings, over the first `seconds`: the window that the model hears."""
        heard = cls.nothing(len(sounds))
        for place, sound in enumerate(sounds):
            rate = sound.sample_rate
            samples = sound.mono()[: round(seconds * rate)]
            heard.points[place] = embed([samples], rate)[0]
            heard.courses[place] = cepstrum.courses([samples], rate)[0]
        return heard

    @classmethod
    def nothing(cls, count: int) -> "Heard":
        """Of sounds that nobody has listened to."""
        return cls(
            np.full((count, DIMENSIONS), np.nan, np.float32),
            np.zeros((count, cepstrum.BYTES), np.int8),
        )

    def __getitem__(self, places: np.ndarray) -> "Heard":
        return Heard(self.points[places], self.courses[places])

    @property
    def known(self) -> np.ndarray:
        """Which of the recordings could be read, (N,)."""
        return np.isfinite(self.points[:, 0])


@dataclass(frozen=True)
class Likeness:
    """Distances to the N sounds of a space: mean (N, Z), and how they sound; None where nobody listened.
    typical: of each part the mean distance of two of them."""

    mean: np.ndarray
    heard: Heard | None
    typical: dict[str, float]

    @classmethod
    def open(cls, run: Run, space: Space) -> "Likeness":
        """Of a space, with what `embed_space` heard of the corpus as it is."""
        return cls.of(space.mean, _kept(run, space))

    @classmethod
    def of(cls, mean: np.ndarray, heard: Heard) -> "Likeness":
        """Of latents (N, Z) and how their recordings sound."""
        scales = {"latent": typical(euclidean, mean)}
        if not heard.known.any():
            return cls(mean, None, scales)
        known = heard[heard.known]
        scales["point"] = typical(cosine, known.points)
        scales["course"] = typical(cepstrum.distances, known.courses)
        return cls(mean, heard, scales)

    def way(self, by: str | None) -> str:
        """The way that is meant: without a wish both where the sounds were heard. RunError where there
        is no such way, or nothing was heard for it."""
        if by is None:
            return "latent" if self.heard is None else "both"
        if by not in WAYS:
            raise RunError(f"sounds are alike by {', '.join(WAYS)}, not by {by!r}")
        if by != "latent" and self.heard is None:
            raise RunError(
                f"the space has no embedding to search by {by}, or an older one without MFCCs; make it "
                "with: timbrespace space RUN --embed"
            )
        return by

    def distances(self, by: str | None, mean: np.ndarray, sound: Heard | None = None) -> np.ndarray:
        """Distances (N,) to a sound of latent `mean` (Z,) that sounds as `sound` (of one) says.

        By latent Euclidean; by sound the mean of both parts' 1 - cosine; by both the mean of the three.
        In a mean each part is over its typical distance, so that 1 is as far as any two sounds. Infinite
        where a recording could not be read.
        """
        way = self.way(by)
        latent = euclidean(mean[None], self.mean)[0]
        if way == "latent" or self.heard is None:
            return latent
        assert sound is not None
        known = self.heard.known
        parts = {"latent": latent} if way == "both" else {}
        for part, found in {
            "point": cosine(sound.points, self.heard.points[known])[0],
            "course": cepstrum.distances(sound.courses, self.heard.courses[known])[0],
        }.items():
            parts[part] = np.full(len(latent), np.inf)
            parts[part][known] = found
        return combined(list(parts.values()), [self.typical[part] for part in parts])

    def around(self, place: int, by: str | None = None) -> tuple[str, np.ndarray]:
        """The way that is meant, and distances (N,) to a sound of the space; by its latent without a
        wish where its own recording could not be read."""
        own = None if self.heard is None else self.heard[np.array([place])]
        if by is None and own is not None and not own.known[0]:
            by = "latent"
        way = self.way(by)
        return way, self.distances(way, self.mean[place], own)


def embed_space(run: Run, space: Space, *, progress: Progress | None = None) -> int:
    """Listen to every sound of the space that nobody has heard yet; how many were read. Broken off, it
    keeps what it has. RunError when no recording can be read."""
    found = _kept(run, space)
    missing = np.flatnonzero(~found.known)
    why = ""

    def heard(place: int) -> Heard | str:
        try:
            sound = run.corpus.audio(int(space.rows[place]))
            return Heard.of([sound], run.feature.seconds)
        except (TimbrespaceError, OSError) as error:
            return str(error)

    # a core for each sound: operations this small are slower on two
    with torch_threads(1), ThreadPoolExecutor(cores()) as workers:
        try:
            for start in range(0, len(missing), AT_ONCE):
                some = missing[start : start + AT_ONCE].tolist()
                for count, one in enumerate(workers.map(heard, some), start=start):
                    if isinstance(one, str):
                        why = one
                    else:
                        found.points[missing[count]] = one.points[0]
                        found.courses[missing[count]] = one.courses[0]
                    if progress:
                        progress("embed", count + 1, len(missing), {})
                if (start + AT_ONCE) % KEPT == 0:
                    _keep(run, space, found)
        finally:
            _keep(run, space, found)
    if not found.known.any():
        raise RunError(f"no recording of the corpus can be read to be embedded ({why})")
    return int(found.known[missing].sum())


def _path(run: Run) -> Path:
    return run.path / "space" / FILE


def _kept(run: Run, space: Space) -> Heard:
    """How the space's rows sound, as far as it is kept."""
    heard = Heard.nothing(len(space.rows))
    try:
        with np.load(_path(run), allow_pickle=False) as arrays:
            known, rows = Heard(arrays["points"], arrays["courses"]), arrays["rows"]
            same = str(arrays["digest"]) == run.corpus.digest
    except (OSError, ValueError, KeyError, BadZipFile, TimbrespaceError):
        return heard  # none yet, one without courses, or no corpus that they could be of
    shapes = known.points.shape[1:], known.courses.shape[1:]
    if same and shapes == ((DIMENSIONS,), (cepstrum.BYTES,)):
        place = {int(row): i for i, row in enumerate(rows)}
        found = np.array([place.get(int(row), -1) for row in space.rows])
        heard.points[found >= 0] = known.points[found[found >= 0]]
        heard.courses[found >= 0] = known.courses[found[found >= 0]]
    return heard


def _keep(run: Run, space: Space, heard: Heard) -> None:
    write_arrays(
        _path(run),
        points=heard.points.astype(np.float16),  # moves cosines by less than 0.0001
        courses=heard.courses, rows=space.rows, digest=np.array(run.corpus.digest),
    )  # fmt: skip
