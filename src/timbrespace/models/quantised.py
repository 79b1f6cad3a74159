"""Quantised bottlenecks: a sound is a few codes, at a rate that is fixed before anything is learnt.

Hidden numbers become `positions` vectors x, each of `dim` numbers. What the decoder gets is not x but
the codes that stand for it, side by side (B, Z) with Z = positions * dim. Their gradient goes to x as
it is (straight through: Bengio et al. 2013, arXiv 1308.3432). Any other point between codes can be
decoded as well; `snap` moves it onto the nearest codes.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from timbrespace.models.bottlenecks import Bottleneck, Latent, begin_head
from timbrespace.models.codes import Codebooks
from timbrespace.models.linear_start import LinearCode

NO_NOISE = -30.0  # log of the variance where there is none
SPREAD_DECAY = 0.9  # of the running variance; the first steps stretch the space quickly
RENEWED = 2.0  # a revived code starts with this many times the use that is too little


@dataclass(frozen=True)
class CodedLatent(Latent):
    """A latent of codes (B, positions, levels): no noise, and each sound costs `rate` nats."""

    rate: float = 0.0

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean

    def nats(self, z: Tensor) -> Tensor:
        """The rate in equal parts (B, Z); it has no gradient."""
        return torch.full_like(self.mean, self.rate / self.mean.shape[1])


class Quantised(Bottleneck):
    """A linear layer to vectors (B, positions, dim), and codes for them.

    With `normalise` each of their numbers has mean 0 and variance 1 over the sounds (batch norm without
    scale and shift): what an encoder that still learns does to all sounds alike leaves its codes where
    the sounds are (Lancucki et al. 2020, arXiv 2005.08520).
    """

    codebooks: Codebooks

    def __init__(self, width: int, dim: int, codebooks: Codebooks, *, normalise: bool) -> None:
        super().__init__()
        self.vectors = nn.Linear(width, codebooks.positions * dim)
        norm = nn.BatchNorm1d(codebooks.positions * dim, affine=False)
        self.norm = norm if normalise else nn.Identity()
        self.dim, self.codebooks = dim, codebooks
        self.latent = codebooks.positions * dim
        self.levels = (self.latent,)

    def begin(self, code: "LinearCode") -> Tensor:
        """Components go to positions so that each has about the same volume to cover: the one with
        most variance left to the position that has least."""
        positions = self.codebooks.positions
        size = code.scale.log().clamp_min(float(code.scale[0].log()) - 6.0)
        volume, free = torch.zeros(positions), torch.full((positions,), self.dim)
        place = torch.empty(self.latent, dtype=torch.long)  # of each component in z
        for component in range(self.latent):
            here = int(torch.where(free > 0, volume, torch.inf).argmin())
            place[component] = here * self.dim + self.dim - int(free[here])
            volume[here] += size[component] - size[-1]
            free[here] -= 1
        unit = code.scale if isinstance(self.norm, nn.Identity) else torch.ones_like(code.scale)
        weight, bias = torch.empty_like(code.map), torch.empty_like(code.offset)
        weight[place], bias[place] = unit[:, None] * code.map, unit * code.offset
        begin_head(self.vectors, weight, bias)
        units = torch.zeros(self.latent, self.latent)
        units[torch.arange(self.latent), place] = code.scale / unit
        return units

    def forward(self, h: Tensor) -> CodedLatent:
        with torch.autocast(h.device.type, enabled=False):  # neighbours differ by little
            x = self.norm(self.vectors(h.float()))
            x = x.unflatten(1, (self.codebooks.positions, self.dim))
            quantised, codes, terms = self.quantise(x)
        z = quantised.flatten(1)
        logvar = torch.full_like(z, NO_NOISE)
        return CodedLatent(z, logvar, terms, codes, rate=self.codebooks.nats)

    def quantise(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Vectors (B, positions, dim) to what stands for them, its codes (B, positions, levels), and
        raw terms."""
        raise NotImplementedError

    def from_codes(self, codes: Tensor) -> Tensor:
        """The z (B, Z) of whole numbers (B, positions, levels), each below the codebook's size."""
        raise NotImplementedError

    def nearest(self, x: Tensor) -> Tensor:
        """The codes (B, positions, levels) nearest to vectors (B, positions, dim), level by level."""
        raise NotImplementedError

    @torch.no_grad()
    def snap(self, z: Tensor) -> Tensor:
        """The z (B, Z) of the codes nearest to any z, level by level: with one level no codes are
        nearer; with several it may differ a little from the codes that the encoder chose."""
        return self.from_codes(self.nearest(z.unflatten(1, (self.codebooks.positions, self.dim))))


class VectorQuantised(Quantised):
    """Learnt codebooks (van den Oord et al. 2017, arXiv 1711.00937; vector-quantize-pytorch makes
    them).

    Level 1 quantises x, each further level what is left of it (residual: Zeghidour et al. 2021, arXiv
    2107.03312, algorithm 1); what stands for x is the sum. `learn: ema` moves each code to the running
    mean of the vectors that chose it (appendix A.1 there), `gradient` by the term `codebook`.

    Codes chosen less than `revive` times as often as if all were even, on running average, are placed
    on vectors of the batch anew.

    Raw terms, sums over the numbers of a sound averaged over sounds:
    commitment  sum over levels of |r - sg(e)|^2, r what the level quantises and e its code: the encoder
                stays near its codes. `scaled` divides it by the running variance of x, so that it is
                the share of the variance that the codes miss times Z, and neither the weight's
                meaning nor its pull moves when the encoder stretches or shrinks its space.
    codebook    the same distance with the gradient to e instead (`learn: gradient` alone).
    diversity   ln(size) minus the entropy of the batch's mean soft choice of a code, averaged over
                codebooks: 0 when even, ln(size) when all choose one. Soft as the posterior of equal
                Gaussians around the codes, as wide as the distance to the nearest is.
    """

    variance: Tensor

    def __init__(
        self, width: int, *, positions: int = 8, dim: int = 16, codebook: int = 128, levels: int = 1,
        shared: bool = False, normalise: bool = True,
        learn: Literal["ema", "gradient"] = "ema", decay: float = 0.9,
        kmeans: bool = True, revive: float = 0.1,
        commitment: Literal["fixed", "scaled"] = "fixed",
    ) -> None:  # fmt: skip
        shared = shared or positions == 1
        books = Codebooks(codebook, positions, levels, shared)
        super().__init__(width, dim, books, normalise=normalise)
        from vector_quantize_pytorch import VectorQuantize

        self.learn, self.decay, self.revive = learn, decay, revive
        self.scaled = commitment == "scaled"
        self.books = nn.ModuleList(
            VectorQuantize(
                dim if shared else positions * dim, codebook, codebook_dim=dim,
                heads=1 if shared else positions, separate_codebook_per_head=not shared,
                decay=decay, kmeans_init=kmeans, threshold_ema_dead_code=revive,  # type: ignore[arg-type]
                learnable_codebook=learn == "gradient", ema_update=learn == "ema",
                commitment_weight=0.0, rotation_trick=False, sync_codebook=False,
            )
            for _ in range(levels)
        )  # fmt: skip
        self.register_buffer("variance", torch.zeros(()))

    def quantise(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        if self.training:
            self._watch(x.detach())
        shape = x.shape if self.codebooks.shared else (len(x), self.latent)
        rest, whole = x, torch.zeros_like(x)
        codes, missed, moved, uneven = [], [], [], []
        for book in self.books:
            code, index, _ = book(rest.detach().reshape(shape))
            code = code.reshape(x.shape)
            missed.append((rest - code.detach()).square().sum((1, 2)).mean())
            moved.append((rest.detach() - code).square().sum((1, 2)).mean())
            if self.training:
                self._agree(book)
                uneven.append(_unevenness(self._by_book(rest), self._vectors_of(book)))
            rest, whole = rest - code.detach(), whole + code.detach()
            codes.append(index.reshape(x.shape[:2]))
        if not self.training:
            return whole, torch.stack(codes, 2), {}
        scale = self.variance.clamp_min(1e-12) if self.scaled else 1.0
        terms = {
            "commitment": torch.stack(missed).sum() / scale,
            "diversity": torch.stack(uneven).mean(),
        }
        if self.learn == "gradient":
            terms["codebook"] = torch.stack(moved).sum() / scale
        return x + (whole - x).detach(), torch.stack(codes, 2), terms

    def from_codes(self, codes: Tensor) -> Tensor:
        books = torch.arange(1 if self.codebooks.shared else self.codebooks.positions)
        z = [
            self._vectors_of(book)[books, index]
            for book, index in zip(self.books, codes.unbind(2), strict=True)
        ]
        return torch.stack(z).sum(0).flatten(1)

    def nearest(self, x: Tensor) -> Tensor:
        codes = []
        for book in self.books:
            vectors = self._vectors_of(book)
            index = torch.cdist(x.transpose(0, 1), vectors).argmin(2).T  # (B, positions)
            codes.append(index)
            books = torch.arange(len(vectors))
            x = x - vectors[books, index]
        return torch.stack(codes, 2)

    def _watch(self, x: Tensor) -> None:
        """What a step learns of its batch before it quantises: how far vectors are spread, and how
        often a code of its size would be chosen if all were even."""
        spread = x.var(0, unbiased=False).mean()
        known = bool(self.variance > 0)
        self.variance.lerp_(spread, 1.0 - SPREAD_DECAY if known else 1.0)
        even = len(x) * (x.shape[1] if self.codebooks.shared else 1) / self.codebooks.size
        book: Any
        for book in self.books:
            # the library knows no share, but these two are plain numbers that it reads at each step
            book._codebook.threshold_ema_dead_code = self.revive * even
            book._codebook.reset_cluster_size = RENEWED * self.revive * even

    def _agree(self, book: Any) -> None:
        """Where codes are parameters, those that start or are revived on a process' own share become
        the first process' ones; buffers do so after each step."""
        if self.learn == "gradient" and dist.is_available() and dist.is_initialized():
            dist.broadcast(self._vectors_of(book).data, src=0)

    def _vectors_of(self, book: Any) -> Tensor:
        """The vectors (books, size, dim) of a level."""
        vectors = book.codebook
        return vectors[None] if self.codebooks.shared else vectors

    def _by_book(self, x: Tensor) -> Tensor:
        """Vectors (B, positions, dim) sorted by the codebook that they use, (books, N, dim)."""
        return x.reshape(1, -1, self.dim) if self.codebooks.shared else x.transpose(0, 1)


def _unevenness(x: Tensor, vectors: Tensor) -> Tensor:
    """The raw term `diversity` of x (books, N, dim) and codes (books, size, dim)."""
    square = (
        x.square().sum(2, keepdim=True) + vectors.square().sum(2)[:, None]
        - 2.0 * x @ vectors.transpose(1, 2)
    ).clamp_min(0.0)  # fmt: skip
    width = square.detach().amin(2).mean() / x.shape[2]  # variance of each number around its code
    share = (-0.5 * square / width.clamp_min(1e-6)).softmax(2).mean(1)
    entropy = -(share * share.clamp_min(1e-12).log()).sum(1)
    return (math.log(vectors.shape[1]) - entropy).mean()


class FiniteScalarQuantised(Quantised):
    """Numbers that are rounded to a few values each: a code for each position without a codebook to
    learn, to die or to revive (FSQ: Mentzer et al. 2024, arXiv 2309.15505; vector-quantize-pytorch).

    `steps`: how many values each of a position's numbers has, evenly spread over [-1, 1]; their
    product is the number of codes.
    """

    middle: Tensor
    steps: Tensor

    def __init__(
        self, width: int, *, positions: int = 8, steps: tuple[int, ...] = (5, 5, 5),
        normalise: bool = True,
    ) -> None:  # fmt: skip
        books = Codebooks(math.prod(steps), positions, shared=True)
        super().__init__(width, len(steps), books, normalise=normalise)
        from vector_quantize_pytorch import FSQ

        self.rounding = FSQ(list(steps))
        self.register_buffer("middle", torch.tensor(steps) // 2, persistent=False)
        self.register_buffer("steps", torch.tensor(steps), persistent=False)

    def quantise(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        rounded, index = self.rounding(x)
        codes = index.long()[:, :, None]
        return rounded if self.training else self.from_codes(codes).view_as(x), codes, {}

    def from_codes(self, codes: Tensor) -> Tensor:
        return self.rounding.indices_to_codes(codes[:, :, 0]).flatten(1)

    def nearest(self, x: Tensor) -> Tensor:
        numbers = (x * self.middle + self.middle).round().clamp_min(0.0)
        numbers = torch.minimum(numbers, self.steps - 1)
        return self.rounding.codes_to_indices((numbers - self.middle) / self.middle).long()[
            :, :, None
        ]
