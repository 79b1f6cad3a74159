"""Where new sounds come from: densities of a run's space, fitted after training.

A model is trained against N(0, I), but its sounds do not fill it: plain draws land where no sound is
(two of the reports found them incoherent). `mixture` and `flow` are fitted to the latents as they lie,
together with each sound's loudness and pitch, so that what is drawn fits together. `sounds` stays near
real ones: the latent of one, with noise, up to half way to one of its neighbours. `normal` is the prior
of the training, with loudness and pitch of real sounds taken at random.
"""

import io
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

from timbrespace.atomic import write_bytes
from timbrespace.errors import RunError
from timbrespace.geometry.neighbours import nearest
from timbrespace.mapping import Space
from timbrespace.runs import Run

Kind = Literal["sounds", "mixture", "flow", "normal"]
KINDS: tuple[str, ...] = get_args(Kind)
COMPONENTS = 32  # Gaussians of the mixture, at most
SOUNDS_EACH = 20  # training sounds that a Gaussian of the mixture needs
COPIES = 4  # draws of each sound's posterior that a density is fitted to
STEPS = 1500  # updates of the flow, at most
BATCH = 256
NEIGHBOURS = 8  # of a real sound, towards one of which `sounds` goes
PATIENCE = 5  # looks at the held-out tenth without progress before the flow stops


@dataclass(frozen=True)
class Drawn:
    """N points: z (N, Z), rms_db (N,) in dBFS, and pitch (N,) MIDI, None where the space has none."""

    z: np.ndarray
    rms_db: np.ndarray
    pitch: np.ndarray | None


class Density(Protocol):
    """A density over rows (N, D) of numbers, each of mean 0 and variance 1 over the sounds."""

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray: ...

    def log_prob(self, x: np.ndarray) -> np.ndarray: ...

    def arrays(self) -> dict[str, np.ndarray]: ...


class Mixture:
    """Gaussians with full covariances (sklearn's GaussianMixture fits them)."""

    def __init__(self, weights: np.ndarray, means: np.ndarray, roots: np.ndarray) -> None:
        self.weights, self.means, self.roots = weights, means, roots  # roots: lower triangular

    @classmethod
    def fit(cls, x: np.ndarray, sounds: int, seed: int) -> "Mixture":
        from sklearn.mixture import GaussianMixture

        count = max(1, min(COMPONENTS, sounds // SOUNDS_EACH))
        found = GaussianMixture(
            count, reg_covar=1e-3, max_iter=50, tol=1e-2, random_state=seed
        ).fit(x)  # fmt: skip
        weights, means, covariances = (
            np.asarray(a) for a in (found.weights_, found.means_, found.covariances_)
        )
        return cls(weights, means, np.linalg.cholesky(covariances))

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        which = rng.choice(len(self.weights), count, p=self.weights / self.weights.sum())
        noise = rng.standard_normal((count, self.means.shape[1]))
        return self.means[which] + np.einsum("nij,nj->ni", self.roots[which], noise)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        from scipy.linalg import solve_triangular
        from scipy.special import logsumexp

        parts = []
        for weight, mean, root in zip(self.weights, self.means, self.roots, strict=True):
            y = solve_triangular(root, (x - mean).T, lower=True)
            log_det = np.log(np.diag(root)).sum()
            parts.append(np.log(weight) - 0.5 * (y**2).sum(0) - log_det)
        return logsumexp(parts, axis=0) - 0.5 * x.shape[1] * np.log(2.0 * np.pi)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights, "means": self.means, "roots": self.roots}


class FlowDensity:
    """A small normalising flow (models.flow), fitted until a held-out tenth gets no likelier."""

    def __init__(self, size: int, state: dict[str, np.ndarray] | None = None) -> None:
        import torch

        from timbrespace.models.flow import Flow

        self.flow = Flow(size)
        if state is not None:
            self.flow.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})

    @classmethod
    def fit(cls, x: np.ndarray, sounds: int, seed: int) -> "FlowDensity":
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(x.shape[1])
        generator = torch.Generator().manual_seed(seed)
        # the copies of one sound lie COPIES apart: the held-out sounds are the last ones
        table = torch.from_numpy(x.astype(np.float32))
        held = max(COPIES, len(table) // 10 // COPIES * COPIES)
        learnt, asked = (table[:-held], table[-held:]) if len(table) > 2 * held else (table, table)
        optimizer = torch.optim.AdamW(made.flow.parameters(), lr=2e-3, weight_decay=1e-3)
        best, kept, waited = -np.inf, made.flow.state_dict(), 0
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1.0 - step / STEPS)
            at = torch.randint(len(learnt), (BATCH,), generator=generator)
            loss = -made.flow.log_prob(learnt[at]).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(made.flow.parameters(), 10.0)
            optimizer.step()
            if step % 50 == 49:
                with torch.no_grad():
                    likely = float(made.flow.log_prob(asked).mean())
                better = likely > best
                waited = 0 if better else waited + 1
                if better:
                    best = likely
                    kept = {k: v.clone() for k, v in made.flow.state_dict().items()}
                elif waited >= PATIENCE:
                    break
        made.flow.load_state_dict(kept)
        return made

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        import torch

        noise = torch.from_numpy(rng.standard_normal((count, self.flow.size), np.float32))
        with torch.no_grad():
            return self.flow.sample(noise).numpy().astype(np.float64)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            return self.flow.log_prob(torch.from_numpy(x.astype(np.float32))).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        return {k: v.numpy() for k, v in self.flow.state_dict().items()}


FITTED: dict[str, Any] = {"mixture": Mixture, "flow": FlowDensity}


@dataclass(frozen=True)
class Prior:
    """A density over (z, rms_db, pitch) of one space; see `Prior.of`."""

    kind: str
    density: Density | None  # None where nothing is fitted
    centre: np.ndarray
    scale: np.ndarray
    space: Space

    @classmethod
    def of(cls, run: Run, space: Space, kind: str, *, seed: int = 0) -> "Prior":
        """The prior of `space`, fitted to its training sounds (seconds) and kept beside it."""
        if kind not in KINDS:
            raise RunError(f"there is no prior {kind!r}; choose one of {', '.join(KINDS)}")
        table = _columns(space, np.random.default_rng(seed))
        centre, scale = table.mean(0), table.std(0) + 1e-6
        if kind not in FITTED:
            return cls(kind, None, centre, scale, space)
        file = run.path / "space" / f"prior-{kind}-{space.version}.npz"
        try:
            with np.load(file, allow_pickle=False) as arrays:
                kept = {name: arrays[name] for name in arrays.files}
            density: Density = (
                Mixture(**kept) if kind == "mixture" else FlowDensity(table.shape[1], kept)
            )
        except (OSError, ValueError, TypeError, RuntimeError):
            x = (table - centre) / scale
            density = FITTED[kind].fit(x, len(table) // COPIES, seed)
            for old in file.parent.glob(f"prior-{kind}-*.npz"):
                old.unlink(missing_ok=True)
            packed = io.BytesIO()
            np.savez(packed, allow_pickle=False, **density.arrays())
            write_bytes(file, packed.getvalue())
        return cls(kind, density, centre, scale, space)

    def draw(
        self, count: int, rng: np.random.Generator, *, pitch: int | None = None, spread: float = 1.0
    ) -> Drawn:
        """New points; with `pitch` those of many that lie nearest to it, and told that pitch.

        spread: how much of a real sound's own noise `sounds` adds; the others have their own.
        """
        size = self.space.mean.shape[1]
        many = count if pitch is None else 16 * count
        if self.density is None:
            rows = rng.integers(0, len(self.space.mean), many)
            table = _columns(self.space, rng, copies=1, rows=rows, spread=spread)
            if self.kind == "normal":
                table[:, :size] = rng.standard_normal((many, size))
            else:
                table[:, :size] += towards_neighbours(self.space, self.space.mean[rows], rng)
        else:
            table = self.density.sample(many, rng) * self.scale + self.centre
        own = table[:, size + 1] if table.shape[1] > size + 1 else None
        if pitch is not None and own is not None:
            table = table[np.argsort(np.abs(own - pitch), kind="stable")[:count]]
            own = np.full(count, float(pitch))
        table = table[:count]
        loudest = self.space.rms_db.max()
        pitches = None if own is None else np.clip(np.round(own[:count]), 0, 127).astype(int)
        return Drawn(
            table[:, :size].astype(np.float32),
            np.minimum(table[:, size], loudest).astype(np.float32), pitches,
        )  # fmt: skip


def towards_neighbours(space: Space, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Steps (N, Z) from points (N, Z) up to half way to one of each one's nearest sounds."""
    count = len(points)
    _, near = nearest(space.mean, points, NEIGHBOURS)
    partner = space.mean[near[np.arange(count), rng.integers(1, NEIGHBOURS, count) % near.shape[1]]]
    return rng.uniform(0.0, 0.5, (count, 1)) * (partner - points)


def _columns(
    space: Space, rng: np.random.Generator, *, copies: int = COPIES,
    rows: np.ndarray | None = None, spread: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """z, rms_db and, where all sounds have one, pitch, (copies * N, D): of the training sounds, or
    of given rows; z drawn anew for each copy, the copies of a sound side by side."""
    if rows is None:
        rows = np.flatnonzero([s == "train" for s in space.split])
        rows = np.arange(len(space.mean)) if len(rows) < 2 else rows
        rows = rng.permutation(rows)
    own = space.labels.get("pitch")
    parts = [space.mean[rows], space.rms_db[rows, None]]
    if own is not None and all(isinstance(v, int) for v in own):
        parts.append(np.array(own, np.float64)[rows, None])
    table = np.repeat(np.concatenate(parts, 1).astype(np.float64), copies, 0)
    deviation = np.exp(0.5 * np.repeat(space.logvar[rows].astype(np.float64), copies, 0))
    table[:, : space.mean.shape[1]] += spread * deviation * rng.standard_normal(deviation.shape)
    return table
