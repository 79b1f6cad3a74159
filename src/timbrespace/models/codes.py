"""Which codes a quantised latent can have, what they cost, and how evenly they are used."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CodeUse:
    """Of one level: how many codes there are, how many were chosen at all, and how many equally
    frequent ones would be as hard to guess (perplexity: 1 when always the same, `codes` when even).

    With a codebook for each position the first two are sums over them, the perplexity their
    geometric mean.
    """

    codes: int
    used: int
    perplexity: float


@dataclass(frozen=True)
class Codebooks:
    """A sound is `positions` codes on each of `levels`, each out of `size`. On a level all positions
    share one codebook, or each has its own."""

    size: int
    positions: int
    levels: int = 1
    shared: bool = False

    @property
    def nats(self) -> float:
        """What a sound costs when all codes are as likely: levels * positions * ln(size)."""
        return self.levels * self.positions * math.log(self.size)

    @property
    def count(self) -> int:
        """How many codes there are in all codebooks together."""
        return self.levels * self.size * (1 if self.shared else self.positions)

    def counts(self, codes: np.ndarray) -> np.ndarray:
        """How often each position chose each code: (levels, positions, size) of codes
        (N, positions, levels)."""
        places = np.arange(self.levels * self.positions).reshape(self.levels, self.positions)
        numbers = places * self.size + codes.transpose(0, 2, 1)
        shape = (self.levels, self.positions, self.size)
        return np.bincount(numbers.ravel(), minlength=int(np.prod(shape))).reshape(shape)

    def use(self, counts: np.ndarray) -> list[CodeUse]:
        """Each level's use, of counts over a whole set of sounds: over a batch, perplexity says more
        of the batch than of the codes."""
        books = counts.sum(1, keepdims=True) if self.shared else counts
        return [
            CodeUse(book.size, int((book > 0).sum()), float(np.exp(_entropy(book).mean())))
            for book in books
        ]

    def expected_used(self, sounds: int) -> float:
        """Share of the codes that even use would reach with so many sounds: few sounds leave codes
        out by chance alone."""
        draws = sounds * (self.positions if self.shared else 1)
        return 1.0 - (1.0 - 1.0 / self.size) ** draws

    def costs(self, codes: np.ndarray, learnt: np.ndarray) -> np.ndarray:
        """Nats of each sound (N,) for who knows `learnt`, the counts of other sounds: -log of each
        code's share at its position and level, one added to each count."""
        shares = (learnt + 1.0) / (learnt.sum(2, keepdims=True) + self.size)
        levels, positions = np.ogrid[: self.levels, : self.positions]
        return -np.log(shares[levels, positions, codes.transpose(0, 2, 1)]).sum((1, 2))


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Nats of each row of counts (..., K)."""
    share = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return -(share * np.log(np.where(share > 0, share, 1.0))).sum(-1)
