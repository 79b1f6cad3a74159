"""The same sounds laid out in several ways: as the space has them, and as what it has to beat does.

Conventions
-----------
A view is a pair of tables, (N, D) of the sounds measured and (M, D) of training sounds, numbers as they
are. z is sampled; codes have no noise, so that their mu is their z and stands once. PCA-32 of the
pictures knows no training; of a model that is told the pitch, PCA-32 of what the mean of each pitch
leaves is the fair one. Shuffled labels (rows of mu in another order), random numbers, and the pitch
alone (families differ in register) show what a figure is worth where nothing is known of timbre.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.errors import TimbrespaceError

if TYPE_CHECKING:
    from timbrespace.evaluation.facts import Encoded, Facts

SOUNDS = 1_000  # of the rows measured, drawn at random
PRINCIPAL = 32
NAMES = {
    "z": "z, sampled", "mu": "mu", "mu_in_noise_widths": "mu in noise widths",
    "pca_32": "PCA-32 of the pictures", "pca_32_whitened": "PCA-32, whitened",
    "pca_32_given_pitch": "PCA-32 beside the mean of each pitch",
    "shuffled_labels": "mu, labels shuffled", "random": "random numbers",
    "pitch_alone": "the pitch alone",
}  # fmt: skip

View = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Sounds:
    """Labels of N sounds as texts, None where unknown. Two sounds with one id in `rows` are the same.

    pitches: MIDI numbers, NaN where unknown.
    """

    rows: np.ndarray
    families: list[str | None]
    instruments: list[str | None]
    pitches: np.ndarray
    velocities: list[str | None]

    @classmethod
    def of(cls, rows: np.ndarray, labels: Mapping[str, Sequence[Any] | None]) -> "Sounds":
        """Of labels by name, each one a sound or None for all."""
        found = {
            name: [None if v is None else str(v) for v in labels.get(name) or [None] * len(rows)]
            for name in ("family", "instrument", "pitch", "velocity")
        }
        pitches = np.array([np.nan if v is None else float(v) for v in found["pitch"]])
        return cls(rows, found["family"], found["instrument"], pitches, found["velocity"])


@dataclass(frozen=True)
class Views:
    """Views by name of the sounds `asked` (N) and of the training sounds `others` (M)."""

    asked: Sounds
    others: Sounds
    tables: dict[str, View]

    @classmethod
    def of(cls, facts: "Facts") -> "Views":
        rng, count = facts.rng("views"), len(facts.here.rows)
        at = np.sort(rng.permutation(count)[:SOUNDS])
        here, there = facts.here.take(at), facts.there
        names = ("family", "instrument", "pitch", "velocity")
        labels: dict[str, Any] = {name: facts.labels(name) for name in names}
        mine = {k: None if v is None else [v[i] for i in at] for k, v in labels.items()}
        learnt: dict[str, Any] = {name: facts.labels_there(name) for name in names}
        # rows of another corpus are other sounds, whatever their ids
        ids = there.rows if facts.learnt is facts.corpus else -1 - np.arange(len(there.rows))
        asked, others = Sounds.of(here.rows, mine), Sounds.of(ids, learnt)
        tables: dict[str, View] = {"z": (here.z, there.z)}
        if here.codes is None:
            tables["mu"] = here.mean, there.mean
            tables["mu_in_noise_widths"] = in_noise_widths((here.mean, there.mean), there.logvar)
        tables |= _principal(facts, (here, mine["pitch"]), (there, learnt["pitch"]))
        shuffled = [t[rng.permutation(len(t))] for t in (here.mean, there.mean)]
        tables["shuffled_labels"] = shuffled[0], shuffled[1]
        tables["random"] = rng.standard_normal(here.z.shape), rng.standard_normal(there.z.shape)
        if np.isfinite(asked.pitches).all() and np.isfinite(others.pitches).all():
            tables["pitch_alone"] = asked.pitches[:, None], others.pitches[:, None]
        for name, (one, other) in tables.items():
            validate(one, other, NAMES[name])
        return cls(asked, others, tables)


def validate(one: np.ndarray, other: np.ndarray, name: str = "points") -> None:
    """TimbrespaceError unless both are finite tables (N, D) and (M, D) that are not empty."""
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise TimbrespaceError(
            f"{name}: {one.shape} and {other.shape} should be (sounds, numbers) of one space"
        )
    if not one.size or not other.size:
        raise TimbrespaceError(f"{name}: there are no sounds to compare, got {one.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise TimbrespaceError(f"{name}: numbers are not finite; the training has diverged")


def in_noise_widths(mean: View, logvar: np.ndarray) -> View:
    """mu with each number divided by the root of its mean posterior variance, of training sounds.

    A unit is then what one sampled z can tell apart, so that it is the same whatever scale the encoder
    chose, and a dimension that carries nothing weighs nothing. For a linear Gaussian code these are the
    distances of the pictures, less what lies below the water level; those of mu are the whitened ones.
    """
    width = np.sqrt(np.exp(logvar.astype(np.float64)).mean(0))
    return mean[0] / width, mean[1] / width


def whitened(view: View) -> View:
    """Each number divided by its standard deviation over training sounds; one that never moves is 0."""
    scale = view[1].std(0)
    moves = scale > 1e-8
    scale = np.where(moves, scale, 1.0)
    return view[0] / scale * moves, view[1] / scale * moves


def _principal(facts: "Facts", *told: "tuple[Encoded, Sequence[Any] | None]") -> dict[str, View]:
    import torch

    sides: list[dict[str, np.ndarray]] = []
    for encoded, pitches in told:
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, len(encoded.rows), 256):
            at = torch.arange(start, min(start + 256, len(encoded.rows)))
            x = encoded.pictures.batch(at, torch.device("cpu"))[0]
            pictures = facts.run.feature.view(x[:, 0]).values.numpy()
            own = None if pitches is None else pitches[start : start + 256]
            parts.append(facts.floors.coordinates(pictures, own, PRINCIPAL))
        sides.append({k: np.concatenate([part[k] for part in parts]) for k in parts[0]})
    here, there = sides
    found = {"pca_32": (here["pca"], there["pca"])}
    found["pca_32_whitened"] = whitened(found["pca_32"])
    if "pca_given_pitch" in here:
        found["pca_32_given_pitch"] = here["pca_given_pitch"], there["pca_given_pitch"]
    return found
