"""The objective: which terms are added up, and how much each weighs."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from timbrespace.errors import suggestion
from timbrespace.recipe.bottleneck import CODE_TERMS, AnyBottleneck
from timbrespace.recipe.feature import AnyFeature
from timbrespace.recipe.section import Section

TermName = Literal[
    "gaussian_nll", "mean_squared", "summed_squared", "l1", "bernoulli_nll", "cosine",
    "output_range", "spectral", "multi_resolution_stft",
]  # fmt: skip
# terms that bring the sounds of one label together
GATHERS = {"invariance": "setting", "clusters": "effect"}
KNOWN = {
    *get_args(TermName), *CODE_TERMS, "adversary", "independence", "perceptual", "effect", "knobs",
    "knob_kl", *GATHERS, "audio", "audio_l1",
}  # fmt: skip
Band = tuple[  # from this frequency up (Hz), this weight
    Annotated[float, Field(ge=0.0, le=24000.0)], Annotated[float, Field(ge=0.0, le=1e6)]
]


class SigmaSection(Section):
    """Standard deviation of gaussian_nll, in picture units: see losses.reconstruction.GaussianNll."""

    kind: Literal["fixed", "learned", "optimal"] = "fixed"
    value: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0  # a learned one starts there


class CycleSection(Section):
    """Beta rises from 0 again and again: see losses.schedule.cyclic."""

    shape: Literal["linear", "cosine"] = "linear"
    cycles: Annotated[int, Field(ge=1, le=10_000)] = 4
    rise: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # share of a cycle


class SpectralSection(Section):
    """What losses.spectral.Spectral transforms."""

    along: Annotated[
        tuple[Literal["frequency", "time"], ...], Field(min_length=1, max_length=2)
    ] = ("frequency",)

    @field_validator("along")
    @classmethod
    def each_once(cls, along: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(along)) < len(along):
            raise ValueError("along should name each axis once")
        return along


class StftSection(Section):
    """Of multi_resolution_stft."""

    sizes: Annotated[
        tuple[Annotated[int, Field(ge=16, le=65536)], ...], Field(min_length=1, max_length=16)
    ] = (256, 512, 1024, 2048)  # windows in samples
    floor_db: Annotated[
        float, Field(ge=-200.0, le=0.0)
    ] = -60.0  # RMS below which a target is silent


class PerceptualSection(Section):
    """Distances of chosen sounds follow given ones: see training.perceptual and
    data.dissimilarities."""

    file: Annotated[str, Field(min_length=1, max_length=4096)]  # seen from where training starts
    sounds: Annotated[int, Field(ge=3, le=4096)] = 32  # of them in each step


class AudioSection(Section):
    """The knob heads learn through the effect: see training.through."""

    pairs: Annotated[int, Field(ge=1, le=4096)] = 8  # of each batch that are rendered


class ObjectiveSection(Section):
    """reconstruction + beta * kl + the terms that `weights` names. Ask for a beta, or for a rate and
    the trainer finds beta; for neither where codes have a rate of their own."""

    reconstruction: TermName = "gaussian_nll"
    sigma: SigmaSection = SigmaSection()
    loud: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0  # extra weight of cells at 0 dB
    bands: tuple[Band, ...] = ()  # weights of the cells by frequency, made of mean one
    beta: Annotated[float, Field(ge=0.0, le=1e6)] | None = None
    bits_per_sound: Annotated[float, Field(gt=0.0, le=1e5)] | None = None
    warmup_steps: Annotated[int, Field(ge=0, le=10_000_000)] = 0  # beta rises linearly from 0
    cycle: CycleSection | None = None  # or again and again
    free_bits: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0  # nats
    free_bits_over: Literal["total", "sound", "dimension"] = "dimension"
    weights: dict[
        str, Annotated[float, Field(ge=0.0, le=1e6)]
    ] = {}  # of further raw terms, by name
    spectral: SpectralSection = SpectralSection()
    stft: StftSection = StftSection()
    perceptual: PerceptualSection | None = None
    audio: AudioSection = AudioSection()

    @property
    def through(self) -> bool:
        """Whether effects are rendered in training."""
        return any(self.weights.get(name) for name in ("audio", "audio_l1"))

    @field_validator("bands")
    @classmethod
    def rising_from_zero(cls, bands: tuple[Band, ...]) -> tuple[Band, ...]:
        edges = [low for low, _ in bands]
        if edges and (edges[0] != 0.0 or edges != sorted(set(edges))):
            raise ValueError("bands should rise from 0 Hz: [[0, 1], [300, 2], [4000, 0.5]]")
        if edges and not any(weight for _, weight in bands):
            raise ValueError("bands should give a weight to at least one band")
        return bands

    @model_validator(mode="after")
    def not_both(self) -> "ObjectiveSection":
        if self.beta is not None and self.bits_per_sound is not None:
            raise ValueError("give either beta or bits_per_sound, one of the two")
        return self

    def misfits(self, feature: AnyFeature, bottleneck: AnyBottleneck) -> Iterator[str]:
        yield from feature.without_decibels({"objective.loud": self.loud})
        yield from self._terms_without_meaning(bottleneck)
        yield from self._terms_without_picture(feature)
        yield from self._rates_without_effect(bottleneck)

    def _terms_without_meaning(self, bottleneck: AnyBottleneck) -> Iterator[str]:
        """Whether someone makes the terms that are weighed, and each has what it needs."""
        if self.reconstruction in self.weights:
            yield (
                f"objective.weights.{self.reconstruction} weighs the reconstruction term, which has "
                "weight 1, once more; take it out"
            )
        for name in sorted(self.weights.keys() - KNOWN):
            hint = suggestion(name, sorted(KNOWN), f"there are: {', '.join(sorted(KNOWN))}")
            yield f"objective.weights.{name} is no term; {hint}"
        if bool(self.weights.get("perceptual")) != (self.perceptual is not None):
            yield (
                "objective.perceptual names the dissimilarities and objective.weights.perceptual "
                "their weight: give both or neither"
            )
        if self.perceptual and bottleneck.codebooks is not None:
            yield (
                f"objective.perceptual moves sounds in the latent, but a bottleneck of kind "
                f"{bottleneck.kind} has codes, which do not move; take it out"
            )
        for name in GATHERS:
            if self.weights.get(name) and bottleneck.codebooks is not None:
                yield (
                    f"objective.weights.{name} moves sounds in the latent, but a bottleneck of kind "
                    f"{bottleneck.kind} has codes, which do not move; take it out"
                )
        if self.cycle and (self.warmup_steps or self.bits_per_sound):
            rival = "bits_per_sound" if self.bits_per_sound else "warmup_steps"
            yield f"objective.cycle and objective.{rival} both move beta; keep one of them"

    def _terms_without_picture(self, feature: AnyFeature) -> Iterator[str]:
        """Whether the terms in use can read the feature's pictures."""
        used = {self.reconstruction, *(name for name, weight in self.weights.items() if weight)}
        readers = [name for name in ("bernoulli_nll", "spectral") if name in used]
        readers += ["bands"] if self.bands else []
        if readers and not feature.decibels:
            yield (
                f"objective: {readers[0]} reads a picture in decibels, but feature.kind is "
                f"{feature.kind}; take it out"
            )
        least = max(self.stft.sizes) // 2 + 1  # what an STFT with mirrored ends can take
        if "multi_resolution_stft" in used and (feature.two_sided or feature.shape[1] < least):
            yield (
                f"objective: multi_resolution_stft compares waveforms of at least {least} samples "
                f"(half the largest of objective.stft.sizes), but {feature.sides} make none; use "
                "feature.kind: waveform with enough samples, or another term"
            )
        if self.sigma != SigmaSection() and "gaussian_nll" not in used:
            yield (
                f"objective.sigma belongs to gaussian_nll, but objective.reconstruction is "
                f"{self.reconstruction}; take it out, or use gaussian_nll"
            )

    def _rates_without_effect(self, bottleneck: AnyBottleneck) -> Iterator[str]:
        """What a bottleneck's kind makes of rates and terms."""
        codes = bottleneck.codebooks
        if codes is None and self.beta is None and self.bits_per_sound is None:
            yield "objective: give either beta or bits_per_sound, one of the two"
        for name in ("beta", "bits_per_sound", "free_bits", "warmup_steps"):
            if codes is not None and getattr(self, name):
                yield (
                    f"model.bottleneck.kind {bottleneck.kind} has a fixed rate, here "
                    f"{codes.nats / math.log(2.0):.4g} bits per sound, which objective.{name} cannot "
                    f"change: set it to {'null' if name in ('beta', 'bits_per_sound') else 0}; "
                    "another number or size of codes makes another rate"
                )
        for name in CODE_TERMS:
            if self.weights.get(name) and name not in bottleneck.terms:
                yield (
                    f"objective.weights.{name} weighs a term that a bottleneck of kind "
                    f"{bottleneck.kind} does not make; take it out, or choose kind: vq"
                )
