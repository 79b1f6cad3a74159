"""Densities that are fitted to the sounds of a space, each kept as plain arrays.

`Mixture` and `FlowDensity` are over numbers, `CodeDensity` is over codes, told a pitch and a loudness.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from timbrespace.models.autoregressive import CodeSequence
from timbrespace.models.codes import Codebooks
from timbrespace.models.flow import Flow
from timbrespace.models.vocabulary import MIDI

COMPONENTS = 32  # Gaussians of the mixture, at most
SOUNDS_EACH = 20  # training sounds that a Gaussian of the mixture needs
BATCH = 256
PATIENCE = 5  # looks at the held-out tenth without progress before a fit stops
LOOK = 50  # updates between two looks
HELD = 4096  # rows that are held out, at most

Arrays = dict[str, np.ndarray]


class Density(Protocol):
    """A density over rows (N, D) of numbers, each of mean 0 and variance 1 over the sounds."""

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray: ...

    def log_prob(self, x: np.ndarray) -> np.ndarray: ...

    def arrays(self) -> Arrays: ...


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

    def arrays(self) -> Arrays:
        return {"weights": self.weights, "means": self.means, "roots": self.roots}


class FlowDensity:
    """A small normalising flow (models.flow)."""

    def __init__(self, size: int, state: Arrays | None = None) -> None:
        self.flow = Flow(size)
        if state is not None:
            _load(self.flow, state)

    @classmethod
    def fit(cls, x: np.ndarray, sounds: int, seed: int) -> "FlowDensity":
        """To rows (N, D), the copies of one of the `sounds` side by side."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(x.shape[1])
            table = torch.from_numpy(x.astype(np.float32))
            _descend(
                made.flow, lambda at: -made.flow.log_prob(table[at]), len(table), seed,
                copies=len(table) // sounds, steps=1500, rate=2e-3, decay=1e-3,
            )  # fmt: skip
        return made

    @torch.no_grad()
    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        noise = torch.from_numpy(rng.standard_normal((count, self.flow.size), np.float32))
        return self.flow.sample(noise).numpy().astype(np.float64)

    @torch.no_grad()
    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return self.flow.log_prob(torch.from_numpy(x.astype(np.float32))).numpy()

    def arrays(self) -> Arrays:
        return _arrays(self.flow)


class CodeDensity:
    """p(codes | pitch, loudness) (models.autoregressive): codes (N, positions, levels), pitch (N,) MIDI
    or None, rms_db (N,). All positions of the first level come before those of the next."""

    def __init__(self, counts: np.ndarray, loudness: np.ndarray) -> None:
        """counts (levels, positions, size): see Codebooks.counts; loudness: mean and deviation in dB."""
        self.shape, self.loudness = counts.shape[:2], loudness
        flat = torch.from_numpy(counts.reshape(-1, counts.shape[2]).astype(np.float32))
        self.net = CodeSequence(flat)

    @classmethod
    def fit(
        cls, books: Codebooks, codes: np.ndarray, pitch: np.ndarray | None, rms_db: np.ndarray,
        seed: int,
    ) -> "CodeDensity":  # fmt: skip
        """To sounds in any order: the last ones are held out."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            held = _held_out(len(codes), 1)
            learnt = codes[: len(codes) - held]
            made = cls(books.counts(learnt), np.array([rms_db.mean(), rms_db.std() + 1e-6]))
            flat, told = made._flat(codes), made._told(pitch, rms_db)
            _descend(
                made.net, lambda at: made.net.nats(flat[at], *(t[at] for t in told)), len(codes),
                seed, copies=1, steps=800, rate=5e-3, decay=1e-2,
            )  # fmt: skip
        made.net.eval()
        return made

    @classmethod
    def of(cls, books: Codebooks, state: Arrays) -> "CodeDensity":
        """What `arrays` gave."""
        tensors = dict(state)
        loudness = tensors.pop("loudness_db")
        made = cls(np.zeros((books.levels, books.positions, books.size)), loudness)
        _load(made.net, tensors)
        made.net.eval()
        return made

    def sample(
        self, pitch: np.ndarray | None, rms_db: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        noise = rng.random((len(rms_db), self.shape[0] * self.shape[1]), np.float32)
        codes = self.net.sample(*self._told(pitch, rms_db), torch.from_numpy(noise)).numpy()
        return codes.reshape(-1, *self.shape).transpose(0, 2, 1)

    @torch.no_grad()
    def nats(self, codes: np.ndarray, pitch: np.ndarray | None, rms_db: np.ndarray) -> np.ndarray:
        """What each sound's codes cost who knows its pitch and loudness, (N,)."""
        flat, told = self._flat(codes), self._told(pitch, rms_db)
        parts = torch.arange(len(flat)).split(BATCH)
        return torch.cat([self.net.nats(flat[i], *(t[i] for t in told)) for i in parts]).numpy()

    def arrays(self) -> Arrays:
        return {**_arrays(self.net), "loudness_db": self.loudness}

    def _flat(self, codes: np.ndarray) -> Tensor:
        return torch.from_numpy(codes.transpose(0, 2, 1).reshape(len(codes), -1).astype(np.int64))

    def _told(self, pitch: np.ndarray | None, rms_db: np.ndarray) -> tuple[Tensor, Tensor]:
        known = np.full(len(rms_db), MIDI) if pitch is None else pitch
        loudness = (rms_db - self.loudness[0]) / self.loudness[1]
        return torch.from_numpy(known.astype(np.float32)), torch.from_numpy(
            loudness.astype(np.float32)
        )


def _held_out(rows: int, copies: int) -> int:
    """How many rows at the end are held out: a tenth, all copies of a sound together; none of few."""
    held = min(HELD, max(copies, rows // 10 // copies * copies))
    return held if rows > 2 * held else 0


def _descend(
    net: nn.Module, nats: Callable[[Tensor], Tensor], rows: int, seed: int, *, copies: int,
    steps: int, rate: float, decay: float,
) -> None:  # fmt: skip
    """Lower the mean of `nats` (rows' indices to their nats) until the held-out rows, the last ones, get
    no likelier; the best weights stay. Where there are too few to hold out, all judge."""
    generator = torch.Generator().manual_seed(seed)
    held = _held_out(rows, copies)
    learnt, asked = rows - held, torch.arange(rows - held if held else 0, rows)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay, fused=True)

    @torch.no_grad()
    def judged() -> float:
        net.eval()
        cost = float(torch.cat([nats(part) for part in asked.split(BATCH)]).mean())
        net.train()
        return cost

    best, kept, waited = judged(), _copy(net), 0
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1.0 - step / steps)
        loss = nats(torch.randint(learnt, (BATCH,), generator=generator)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        if step % LOOK == LOOK - 1:
            cost = judged()
            waited = 0 if cost < best else waited + 1
            if cost < best:
                best, kept = cost, _copy(net)
            elif waited >= PATIENCE:
                break
    net.load_state_dict(kept)


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def _arrays(net: nn.Module) -> Arrays:
    return {name: value.numpy() for name, value in net.state_dict().items()}


def _load(net: nn.Module, state: Arrays) -> None:
    net.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
