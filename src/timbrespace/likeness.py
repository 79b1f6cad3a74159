"""Which sounds of a run's space are like a given one: by its latents, by how they sound, or by both.

The latent knows what the model was made to keep; the embedding (`timbrespace.embedding`) hears the
recording and knows no model. Listeners agree with both together more than with either (docs/metrics.md,
"perception"). Points of the embedding lie in space/embedding.npz, by row and with the corpus's digest:
they do not depend on the model, so that a space drawn anew keeps them, and a broken-off embedding goes on.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from zipfile import BadZipFile

import numpy as np

from timbrespace.atomic import write_bytes
from timbrespace.embedding import DIMENSIONS, embed
from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.geometry.distance import combined, cosine, euclidean, typical
from timbrespace.mapping import Space
from timbrespace.runs import Run

Progress = Callable[[str, int, int, dict[str, float]], None]
By = Literal["latent", "sound", "both"]
WAYS: tuple[str, ...] = get_args(By)
FILE = "embedding.npz"  # in the run's space/
KEPT = 2_000  # sounds between two writings: a minute or so


@dataclass(frozen=True)
class Likeness:
    """Distances to the N sounds of a space: mean (N, Z), and points (N, D) of the embedding, NaN where a
    recording could not be read; None where the space has none. typical: mean distance of two of them."""

    mean: np.ndarray
    points: np.ndarray | None
    typical: dict[str, float]

    @classmethod
    def open(cls, run: Run, space: Space) -> "Likeness":
        """Of a space, with its embedding where `embed_space` made it for the corpus as it is."""
        points = _kept(run, space)
        if np.isnan(points).all():
            return cls(space.mean, None, {"latent": typical(euclidean, space.mean)})
        heard = points[~np.isnan(points[:, 0])]
        scales = {"latent": typical(euclidean, space.mean), "sound": typical(cosine, heard)}
        return cls(space.mean, points, scales)

    def way(self, by: str | None) -> str:
        """The way that is meant: without a wish both where there is an embedding. RunError where there
        is no such way, or no embedding for it."""
        if by is None:
            return "latent" if self.points is None else "both"
        if by not in WAYS:
            raise RunError(f"sounds are alike by {', '.join(WAYS)}, not by {by!r}")
        if by != "latent" and self.points is None:
            raise RunError(
                f"the space has no embedding to search by {by}; make it with: timbrespace space RUN --embed"
            )
        return by

    def distances(
        self, by: str | None, mean: np.ndarray, point: np.ndarray | None = None
    ) -> np.ndarray:
        """Distances (N,) to a sound of latent `mean` (Z,) and embedding `point` (D,).

        By latent Euclidean, by sound 1 - cosine; by both the mean of the two, each over its typical distance:
        1 is as far as any two sounds. Infinite where a recording could not be read.
        """
        way = self.way(by)
        latent = euclidean(mean[None], self.mean)[0]
        if way == "latent" or self.points is None:
            return latent
        assert point is not None
        heard = np.isfinite(self.points[:, 0])
        sound = np.full(len(latent), np.inf)
        sound[heard] = cosine(point[None], self.points[heard])[0]
        if way == "sound":
            return sound
        return combined([latent, sound], [self.typical["latent"], self.typical["sound"]])


def heard(run: Run, samples: np.ndarray) -> np.ndarray:
    """The point (D,) of a sound (n,) at the feature's rate, over the window that the model hears."""
    rate = run.feature.sample_rate
    return embed([samples[: round(run.feature.seconds * rate)]], rate)[0]


def embed_space(run: Run, space: Space, *, progress: Progress | None = None) -> int:
    """Embed every sound of the space that has no point yet; how many were read. Broken off, it keeps what
    it has. RunError when no recording can be read."""
    points = _kept(run, space)
    missing = np.flatnonzero(np.isnan(points[:, 0]))
    done, why = 0, ""
    try:
        for count, place in enumerate(missing.tolist(), start=1):
            try:
                row = int(space.rows[place])
                sound = run.corpus.audio(row, sample_rate=run.feature.sample_rate)
                points[place] = heard(run, sound.mono())
                done += 1
            except (TimbrespaceError, OSError) as error:
                why = str(error)
            if progress:
                progress("embed", count, len(missing), {})
            if count % KEPT == 0:
                _keep(run, space, points)
    finally:
        _keep(run, space, points)
    if np.isnan(points).all():
        raise RunError(f"no recording of the corpus can be read to be embedded ({why})")
    return done


def _path(run: Run) -> Path:
    return run.path / "space" / FILE


def _kept(run: Run, space: Space) -> np.ndarray:
    """The points (N, D) of the space's rows, NaN where there is none."""
    points = np.full((len(space.rows), DIMENSIONS), np.nan, np.float32)
    try:
        with np.load(_path(run), allow_pickle=False) as arrays:
            known, rows = arrays["points"], arrays["rows"]
            same = str(arrays["digest"]) == run.corpus.digest
    except (OSError, ValueError, KeyError, BadZipFile, TimbrespaceError):
        return points  # none yet, or no corpus that they could be of
    if same and known.shape[1:] == (DIMENSIONS,):
        place = {int(row): i for i, row in enumerate(rows)}
        found = np.array([place.get(int(row), -1) for row in space.rows])
        points[found >= 0] = known[found[found >= 0]]
    return points


def _keep(run: Run, space: Space, points: np.ndarray) -> None:
    packed = io.BytesIO()
    # float16 moves cosines by less than 0.0001
    small = points.astype(np.float16)
    np.savez(packed, points=small, rows=space.rows, digest=np.array(run.corpus.digest))
    write_bytes(_path(run), packed.getvalue())
