"""Encoders and decoders: their sizes, and which pictures each can take."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from timbrespace.recipe.feature import AnyFeature
from timbrespace.recipe.section import Count, Fft, Hop, Section, kind_or

Channels = Annotated[tuple[Count, ...], Field(min_length=1, max_length=7)]
Blocks = Annotated[int, Field(ge=0, le=8)]
Width = Annotated[int, Field(ge=0, le=8192)]
Activation = Literal["relu", "silu", "gelu"]


class NetSection(Section):
    """What is asked of every encoder and decoder."""

    part: ClassVar[Literal["encoder", "decoder"]] = "encoder"
    samples: ClassVar[bool] = False  # works on these, not on pictures with two sides
    needs: ClassVar[tuple[str, ...]] = ()  # labels that it must be told

    kind: str

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        """What its class is built with."""
        return self.model_dump()

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        if self.samples and feature.two_sided:
            yield (
                f"model.{self.part}.kind {self.kind} wants samples, but feature.kind {feature.kind} "
                "is a picture with two sides; use feature.kind: waveform, or kind: conv2d"
            )
        if not self.samples and not feature.two_sided:
            yield (
                f"model.{self.part}.kind {self.kind} wants pictures with two sides, but feature.kind "
                f"{feature.kind} has one line; use kind: conv1d"
            )


class LevelsSection(NetSection):
    """Convolutions over pictures, from the picture inwards."""

    channels: Channels = (16, 32, 64)
    residual: Blocks = 0  # per level
    hidden: Width = 0  # of the mixing layer; 0 = none
    activation: Activation = "relu"
    norm: Literal["none", "batch", "group"] = "none"
    attention: bool = False  # between the places of the innermost map

    def unhalved(self, feature: AnyFeature) -> Iterator[str]:
        """Whether a side of a picture does not halve as often as there are levels."""
        step = 2 ** len(self.channels)
        if feature.shape[0] // feature.stacked % step or feature.shape[1] % step:
            yield (
                f"model.{self.part}.channels halves the picture {len(self.channels)} times, but "
                f"{feature.sides} are not both divisible by {step}; change them or the number of "
                "channels"
            )


class EncoderSection(LevelsSection):
    kind: Literal["conv2d", "frames"] = "conv2d"

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        stacked = {"stacked": feature.stacked} if self.kind == "conv2d" else {}
        return {**self.model_dump(), **stacked}

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        yield from super().misfits(feature)
        yield from self.unhalved(feature)


class SiameseSection(LevelsSection):
    """conv2d, the same for dry and wet: see models.encoders.SiameseEncoder."""

    kind: Literal["siamese"] = "siamese"
    dry: bool = False  # hand on the dry sound's own numbers, too

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        if feature.kind != "pair" or feature.channels != "joint" or feature.resolutions:
            yield (
                "model.encoder.kind siamese compares the pictures of a dry and a wet sound; use "
                "feature: {kind: pair, channels: joint, resolutions: []}"
            )
        yield from super().misfits(feature)
        yield from self.unhalved(feature)


class WetSection(LevelsSection):
    """conv2d of the wet sound alone: see models.encoders.WetEncoder."""

    kind: Literal["wet"] = "wet"

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        return {**self.model_dump(), "stacked": feature.stacked}

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        if feature.kind != "pair" or feature.channels != "joint" or feature.level != "each":
            yield (
                "model.encoder.kind wet hears nothing of the dry sound, not even how loud it was; use "
                "feature: {kind: pair, channels: joint, level: each}"
            )
        yield from super().misfits(feature)
        yield from self.unhalved(feature)


class DecoderSection(EncoderSection):
    part = "decoder"

    film: bool = False  # tell the condition to every level, per frequency
    skip: bool = False  # tell the latent to every level

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        if self.kind == "frames":
            yield from _deaf(self)
        yield from super().misfits(feature)


class SampledSection(LevelsSection):
    """Levels that pictures within the network are made for: it knows the rate of the samples."""

    samples = True

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        return {**self.model_dump(), "sample_rate": feature.sample_rate}


class Mel2dSection(SampledSection):
    """conv2d on the log-mel picture of a waveform: see models.harmonic.MelEncoder."""

    kind: Literal["mel2d"] = "mel2d"
    n_fft: Fft = 1024
    hop: Hop = 256
    mels: Annotated[int, Field(ge=8, le=1024)] = 128

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        yield from super().misfits(feature)
        step = 2 ** len(self.channels)
        if self.mels % step:
            yield (
                f"model.encoder.channels halves the picture {len(self.channels)} times, but "
                f"model.encoder.mels {self.mels} is not divisible by {step}; change one of them"
            )


def _deaf(section: DecoderSection) -> Iterator[str]:
    """Whether film and skip reach nothing in a decoder of frames."""
    if (section.film or section.skip) and not section.residual:
        yield (
            f"model.decoder.film and skip speak to the residual blocks of kind {section.kind}, but "
            "model.decoder.residual is 0; set it to 1, or switch them off"
        )


class ComponentsSection(NetSection):
    """Small networks on principal components."""

    components: Annotated[int, Field(ge=1, le=4096)] = 256
    hidden: Count = 512
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    activation: Activation = "silu"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    def sides(self, feature: AnyFeature) -> tuple[int, int]:
        """Of what the components are those of."""
        return feature.shape

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        yield from super().misfits(feature)
        cells = math.prod(self.sides(feature))
        if self.components > cells:
            yield f"model.{self.part}.components {self.components} is more than a picture's {cells} cells"


class PrincipalSection(ComponentsSection):
    """Of pictures: see models.principal."""

    kind: Literal["principal"] = "principal"


class PrincipalDecoderSection(PrincipalSection):
    part = "decoder"


class HarmonicSection(ComponentsSection):
    """Of the curves of harmonics and noise in a wave: see models.harmonic."""

    samples = True
    needs = ("pitch",)

    kind: Literal["harmonic"] = "harmonic"
    hop: Hop = 256  # between the values of a curve
    partials: Annotated[int, Field(ge=1, le=512)] = 100
    bands: Annotated[int, Field(ge=2, le=512)] = 64  # of noise, evenly spaced

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        return {**self.model_dump(), "sample_rate": feature.sample_rate}

    def sides(self, feature: AnyFeature) -> tuple[int, int]:
        """(curves, values of each) of a sound."""
        return self.partials + self.bands, feature.shape[1] // self.hop + 1

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        yield from super().misfits(feature)
        if feature.shape[1] % self.hop:
            yield (
                f"model.{self.part} makes frames of {self.hop} samples, so feature.samples "
                f"{feature.shape[1]} should be a multiple of that; use "
                f"{max(1, round(feature.shape[1] / self.hop)) * self.hop}"
            )


class HarmonicDecoderSection(HarmonicSection):
    part = "decoder"

    stiff: bool = False  # partials may be spread as those of a stiff string


class Conv1dSection(NetSection):
    """Convolutions along time for raw waveforms, from the sound inwards."""

    samples = True

    kind: Literal["conv1d"] = "conv1d"
    channels: Channels = (32, 64, 128, 256)
    strides: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=10)
    ] = (5, 5, 4, 4)  # their product divides feature.samples
    residual: Blocks = 0  # per level, dilated: 1, 3, 9, ...
    hidden: Width = 0  # of the mixing layer; 0 = none
    activation: Activation = "relu"

    def misfits(self, feature: AnyFeature) -> Iterator[str]:
        yield from super().misfits(feature)
        if len(self.strides) != len(self.channels):
            yield (
                f"model.{self.part} has {len(self.channels)} channels and {len(self.strides)} "
                "strides; give one stride for each"
            )
        samples, step = feature.shape[1], math.prod(self.strides)
        if samples % step:
            factors = " x ".join(map(str, _prime_factors(samples)))
            yield (
                f"model.{self.part}.strides divide the sound by {step}, which does not divide "
                f"feature.samples {samples} = {factors}; make strides of these factors"
            )


class Conv1dDecoderSection(Conv1dSection):
    part = "decoder"

    film: bool = False  # tell the condition to every level


def _prime_factors(number: int) -> list[int]:
    """The prime factors of a positive whole number, the smallest first."""
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors


AnyEncoder = Annotated[
    Annotated[EncoderSection, Tag("conv2d")]
    | Annotated[EncoderSection, Tag("frames")]
    | Annotated[SiameseSection, Tag("siamese")]
    | Annotated[WetSection, Tag("wet")]
    | Annotated[PrincipalSection, Tag("principal")]
    | Annotated[Conv1dSection, Tag("conv1d")]
    | Annotated[Mel2dSection, Tag("mel2d")]
    | Annotated[HarmonicSection, Tag("harmonic")],
    Discriminator(kind_or("conv2d")),
]
AnyDecoder = Annotated[
    Annotated[DecoderSection, Tag("conv2d")]
    | Annotated[DecoderSection, Tag("frames")]
    | Annotated[PrincipalDecoderSection, Tag("principal")]
    | Annotated[Conv1dDecoderSection, Tag("conv1d")]
    | Annotated[HarmonicDecoderSection, Tag("harmonic")],
    Discriminator(kind_or("conv2d")),
]
