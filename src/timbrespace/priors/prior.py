"""New points of a run's space, with the loudness and pitch that go with them.

A model is trained against N(0, I), but its sounds do not fill it: plain draws land where no sound is
(two of the reports found them incoherent). `mixture` and `flow` are fitted to the latents as they lie,
together with each sound's loudness and pitch, so that what is drawn fits together; `codes` is fitted to
the codes of a quantised latent, given loudness and pitch of a real sound. `sounds` stays near real
ones: the latent of one, with noise, up to half way to one of its neighbours. `normal` is the prior of
the training, with loudness and pitch of real sounds taken at random.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from timbrespace.atomic import write_arrays
from timbrespace.errors import RunError
from timbrespace.geometry.neighbours import nearest
from timbrespace.mapping import Space
from timbrespace.models.quantised import Quantised
from timbrespace.priors.densities import Arrays, CodeDensity, Density, FlowDensity, Mixture
from timbrespace.runs import Run

Kind = Literal["sounds", "mixture", "flow", "normal", "codes"]
KINDS: tuple[str, ...] = get_args(Kind)
AnyDensity = Density | CodeDensity
COPIES = 4  # draws of each sound's posterior that a density of numbers is fitted to
MOST_CODES = 100_000  # over all positions and levels
NEIGHBOURS = 8  # of a real sound, towards one of which `sounds` goes


def kinds_of(run: Run) -> tuple[str, ...]:
    """The priors that a run can have: all, or all but `codes`, which has two vectors for each code of
    each position."""
    books = run.recipe.model.bottleneck.codebooks
    fits = books is not None and books.levels * books.positions * books.size <= MOST_CODES
    return KINDS if fits else tuple(kind for kind in KINDS if kind != "codes")


@dataclass(frozen=True)
class Drawn:
    """N points: z (N, Z), rms_db (N,) in dBFS, and pitch (N,) MIDI, None where the space has none."""

    z: np.ndarray
    rms_db: np.ndarray
    pitch: np.ndarray | None


@dataclass(frozen=True)
class Prior:
    """A density over (z, rms_db, pitch) of one space; see `Prior.of`."""

    kind: str
    density: AnyDensity | None  # None where nothing is fitted
    space: Space
    bottleneck: Quantised | None  # None where the latent has no codes
    centre: np.ndarray | float = 0.0  # of the numbers that a density of numbers is fitted to
    scale: np.ndarray | float = 1.0

    @classmethod
    def of(cls, run: Run, space: Space, kind: str, *, seed: int = 0) -> "Prior":
        """The prior of `space`, fitted to its training sounds (seconds) and kept beside it.

        RunError when there is no such prior, or none for a run without codes.
        """
        if kind not in KINDS:
            raise RunError(f"there is no prior {kind!r}; choose one of {', '.join(KINDS)}")
        section = run.recipe.model.bottleneck
        if kind not in kinds_of(run):
            raise RunError(
                f"{run.path} has {'no' if section.codebooks is None else 'too many'} codes for the prior "
                f"'codes', its bottleneck is of kind {section.kind}; choose one of {', '.join(kinds_of(run))}"
            )
        bottleneck = None
        if section.codebooks is not None:
            bottleneck = run.load_model(space.weights).encoder.bottleneck
            assert isinstance(bottleneck, Quantised)
        if kind in ("sounds", "normal"):
            return cls(kind, None, space, bottleneck)
        rng = np.random.default_rng(seed)
        rows = rng.permutation(_training_rows(space))
        file = run.path / "space" / f"prior-{kind}-{space.version}.npz"
        if bottleneck is not None and kind == "codes":
            books = bottleneck.codebooks
            density = _kept(
                file,
                lambda arrays: CodeDensity.of(books, arrays),
                lambda: CodeDensity.fit(books, codes_of(space, rows), *told_of(space, rows), seed),
            )
            return cls(kind, density, space, bottleneck)
        table = _columns(space, rows, rng, copies=COPIES)
        centre, scale = table.mean(0), table.std(0) + 1e-6
        family = Mixture if kind == "mixture" else FlowDensity
        density = _kept(
            file,
            lambda arrays: (
                Mixture(**arrays) if kind == "mixture" else FlowDensity(len(centre), arrays)
            ),
            lambda: family.fit((table - centre) / scale, len(rows), seed),
        )
        return cls(kind, density, space, bottleneck, centre, scale)

    def draw(
        self, count: int, rng: np.random.Generator, *, pitch: int | None = None, spread: float = 1.0
    ) -> Drawn:
        """New points; with `pitch` those of many that lie nearest to it, and told that pitch.

        spread: how much of a real sound's own noise `sounds` adds; the others have their own.
        """
        size = self.space.mean.shape[1]
        many = count if pitch is None else 16 * count
        if self.density is None or isinstance(self.density, CodeDensity):
            rows = rng.integers(0, len(self.space.mean), many)
            table = _columns(self.space, rows, rng, spread=spread)
            if self.kind == "normal":
                table[:, :size] = rng.standard_normal((many, size))
            elif self.kind == "sounds":
                table[:, :size] += towards_neighbours(self.space, self.space.mean[rows], rng)
        else:
            table = self.density.sample(many, rng) * self.scale + self.centre
        own = table[:, size + 1] if table.shape[1] > size + 1 else None
        if pitch is not None and own is not None:
            table = table[np.argsort(np.abs(own - pitch), kind="stable")[:count]]
            own = np.full(count, float(pitch))
        z, loudness = table[:, :size].astype(np.float32), table[:, size].astype(np.float32)
        pitches = None if own is None else np.clip(np.round(own), 0, 127).astype(int)
        if self.bottleneck is not None:
            if isinstance(self.density, CodeDensity):
                codes = self.density.sample(pitches, loudness, rng)
                z = self.bottleneck.from_codes(torch.from_numpy(codes)).numpy()
            elif self.kind != "sounds":  # less than half way would snap to where it began
                z = self.bottleneck.snap(torch.from_numpy(z)).numpy()
        return Drawn(z, np.minimum(loudness, self.space.rms_db.max()), pitches)


def _kept(
    file: Path, restored: Callable[[Arrays], AnyDensity], fitted: Callable[[], AnyDensity]
) -> AnyDensity:
    """The density whose arrays lie in `file`, fitted and kept there where none can be read."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return restored({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, TypeError, KeyError, RuntimeError):
        density = fitted()
    for old in file.parent.glob(f"{file.stem.rpartition('-')[0]}-*.npz"):
        old.unlink(missing_ok=True)
    write_arrays(file, **density.arrays())
    return density


def towards_neighbours(space: Space, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Steps (N, Z) from points (N, Z) up to half way to one of each one's nearest sounds."""
    count = len(points)
    _, near = nearest(space.mean, points, NEIGHBOURS)
    partner = space.mean[near[np.arange(count), rng.integers(1, NEIGHBOURS, count) % near.shape[1]]]
    return rng.uniform(0.0, 0.5, (count, 1)) * (partner - points)


def codes_of(space: Space, rows: np.ndarray) -> np.ndarray:
    """The codes (N, positions, levels) of sounds of a quantised space."""
    if space.codes is None:
        raise RunError(
            f"{space.weights.parent} was drawn by an older version, without codes; draw it again "
            f"with: timbrespace space {space.weights.parent.parent}"
        )
    return space.codes[rows]


def told_of(space: Space, rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Pitch (N,), None unless all sounds of the space have one, and rms_db (N,)."""
    own = space.labels.get("pitch")
    known = own is not None and all(isinstance(v, int) for v in own)
    return (np.array(own)[rows] if known else None), space.rms_db[rows]


def _training_rows(space: Space) -> np.ndarray:
    rows = np.flatnonzero([s == "train" for s in space.split])
    return np.arange(len(space.mean)) if len(rows) < 2 else rows


def _columns(
    space: Space, rows: np.ndarray, rng: np.random.Generator, *, copies: int = 1,
    spread: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """z, rms_db and, where all sounds have one, pitch of rows, (copies * N, D); z drawn anew for each
    copy, the copies of a sound side by side."""
    pitch, rms_db = told_of(space, rows)
    parts = [space.mean[rows], rms_db[:, None]]
    if pitch is not None:
        parts.append(pitch[:, None])
    table = np.repeat(np.concatenate(parts, 1).astype(np.float64), copies, 0)
    deviation = np.exp(0.5 * np.repeat(space.logvar[rows].astype(np.float64), copies, 0))
    table[:, : space.mean.shape[1]] += spread * deviation * rng.standard_normal(deviation.shape)
    return table
