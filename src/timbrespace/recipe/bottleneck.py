"""Bottlenecks: what a latent is made of, and which terms that adds to the objective."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from timbrespace.models.codes import Codebooks
from timbrespace.recipe.section import Count, Section, kind_or

CODE_TERMS = {"commitment": 0.25, "diversity": 0.0, "codebook": 1.0}  # and their usual weights


class BottleneckSection(Section):
    """What other parts ask of every kind of bottleneck; most have neither codes nor terms."""

    kind: str

    @property
    def codebooks(self) -> Codebooks | None:
        """The codes of a sound, where the latent is quantised."""
        return None

    @property
    def terms(self) -> dict[str, float]:
        """The raw terms that it makes, and the weights that they have unless the recipe says."""
        return {}

    def misfits(self, batch: int) -> Iterator[str]:
        """Of the sounds of a batch."""
        return iter(())


class GaussianSection(BottleneckSection):
    kind: Literal["gaussian"] = "gaussian"
    latent: Count = 32
    spread: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0  # of the means, by batch norm; 0 = free

    @property
    def size(self) -> int:
        """How many numbers a sound has."""
        return self.latent


class HierarchicalSection(BottleneckSection):
    """Levels from the top down: each has a prior that the ones above it shape."""

    kind: Literal["hierarchical"] = "hierarchical"
    levels: Annotated[tuple[Count, ...], Field(min_length=2, max_length=5)] = (8, 24)
    hidden: Annotated[int, Field(ge=1, le=4096)] = 256  # width between the levels

    @property
    def size(self) -> int:
        return sum(self.levels)


class DividedSection(BottleneckSection):
    """Of pairs: numbers of what lies between the sounds, and numbers of the dry one (models.divided)."""

    kind: Literal["divided"] = "divided"
    latent: Count = 32
    dry: Count = 32

    @property
    def size(self) -> int:
        return self.latent + self.dry


class VqSection(BottleneckSection):
    """Codes out of learnt codebooks: see models.quantised.VectorQuantised."""

    kind: Literal["vq"] = "vq"
    positions: Count = 8  # codes of a sound, on each level
    dim: Count = 16  # numbers of a code
    codebook: Annotated[int, Field(ge=2, le=65536)] = 128  # codes to choose from
    levels: Annotated[int, Field(ge=1, le=32)] = 1  # each quantises what the one before it missed
    shared: bool = False  # one codebook for all positions of a level, or one for each
    normalise: bool = True  # over the batch, before it is quantised
    learn: Literal["ema", "gradient"] = "ema"
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9  # of the running means
    kmeans: bool = True  # codes start as the cluster centres of the first batch
    revive: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1  # of the even use; 0 = leave them dead
    commitment: Literal["fixed", "scaled"] = "fixed"  # scaled by the variance of the encodings

    @property
    def size(self) -> int:
        return self.positions * self.dim

    @property
    def codebooks(self) -> Codebooks:
        return Codebooks(self.codebook, self.positions, self.levels, self.shared)

    @property
    def terms(self) -> dict[str, float]:
        made = CODE_TERMS.keys() - ({"codebook"} if self.learn == "ema" else set())
        return {name: weight for name, weight in CODE_TERMS.items() if name in made}

    def misfits(self, batch: int) -> Iterator[str]:
        vectors = batch * (self.positions if self.shared else 1)
        if self.kmeans and vectors < self.codebook:
            yield (
                f"model.bottleneck.kmeans starts {self.codebook} codes from the first batch, which has "
                f"{vectors} vectors for them; raise train.batch, or set kmeans to false"
            )


class FsqSection(BottleneckSection):
    """Codes by rounding: see models.quantised.FiniteScalarQuantised."""

    kind: Literal["fsq"] = "fsq"
    positions: Count = 8
    steps: Annotated[
        tuple[Annotated[int, Field(ge=3, le=1024)], ...], Field(min_length=1, max_length=16)
    ] = (5, 5, 5)  # values of each number of a position
    normalise: bool = True  # over the batch, before it is quantised

    @model_validator(mode="after")
    def not_too_many(self) -> "FsqSection":
        if math.prod(self.steps) > 65536:
            raise ValueError(f"steps make {math.prod(self.steps)} codes, give at most 65536")
        return self

    @property
    def size(self) -> int:
        return self.positions * len(self.steps)

    @property
    def codebooks(self) -> Codebooks:
        return Codebooks(math.prod(self.steps), self.positions, shared=True)


AnyBottleneck = Annotated[
    Annotated[GaussianSection, Tag("gaussian")]
    | Annotated[HierarchicalSection, Tag("hierarchical")]
    | Annotated[VqSection, Tag("vq")]
    | Annotated[FsqSection, Tag("fsq")]
    | Annotated[DividedSection, Tag("divided")],
    Discriminator(kind_or("gaussian")),
]
