"""Recipes: a YAML file that says everything about one training, checked before anything runs.

A recipe may name one `parent` and hold only what differs from it; a saved run holds the whole. Every
fault is reported at once, with the line's key and the nearest name that exists.
"""

import difflib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from timbrespace.errors import RecipeError
from timbrespace.models.codes import Codebooks
from timbrespace.models.vocabulary import NUMBERS, Vocabulary

FOLDER = Path(__file__).parent / "recipes"
ABLATIONS = FOLDER / "ablations"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _kind(default: str) -> Callable[[Any], str]:
    """Which member of a union of sections a value is; `default` where it names no kind."""

    def kind_of(value: Any) -> str:
        named = value.get("kind", default) if isinstance(value, dict) else None
        found = named or getattr(value, "kind", default)
        return found if isinstance(found, str) else repr(found)

    return kind_of


SampleRate = Annotated[int, Field(ge=8000, le=48000)]
Precision = Literal["float16", "float32"]


class LogMelSection(Section):
    """The picture: see features.LogMel."""

    decibels: ClassVar[bool] = True

    kind: Literal["log_mel"] = "log_mel"
    sample_rate: SampleRate = 16000  # Hz
    n_fft: Annotated[int, Field(ge=64, le=16384)] = 1024  # samples
    hop: Annotated[int, Field(ge=16, le=8192)] = 256  # samples
    mels: Annotated[int, Field(ge=8, le=1024)] = 80
    frames: Annotated[int, Field(ge=8, le=8192)] = 128
    floor_db: Annotated[float, Field(ge=-160.0, le=-20.0)] = -80.0
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture."""
        return self.mels, self.frames

    @property
    def sides(self) -> str:
        """The settings that decide them, in words."""
        return f"feature.mels {self.mels} and feature.frames {self.frames}"


class SpectrogramSection(Section):
    """All frequencies evenly spaced: see features.Spectrogram."""

    decibels: ClassVar[bool] = True

    kind: Literal["spectrogram"] = "spectrogram"
    sample_rate: SampleRate = 16000  # Hz
    n_fft: Annotated[int, Field(ge=64, le=16384)] = 1024  # samples; half as many rows
    hop: Annotated[int, Field(ge=16, le=8192)] = 256  # samples
    frames: Annotated[int, Field(ge=8, le=8192)] = 128
    floor_db: Annotated[float, Field(ge=-160.0, le=-20.0)] = -80.0
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_fft // 2, self.frames

    @property
    def sides(self) -> str:
        return f"half of feature.n_fft {self.n_fft} and feature.frames {self.frames}"


class WaveformSection(Section):
    """The samples themselves: see features.Waveform."""

    decibels: ClassVar[bool] = False

    kind: Literal["waveform"] = "waveform"
    sample_rate: SampleRate = 16000  # Hz
    samples: Annotated[int, Field(ge=64, le=480_000)] = 16000
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def shape(self) -> tuple[int, int]:
        return 1, self.samples

    @property
    def sides(self) -> str:
        return f"the one line of feature.kind waveform and feature.samples {self.samples}"


FeatureSection = Annotated[
    Annotated[LogMelSection, Tag("log_mel")]
    | Annotated[SpectrogramSection, Tag("spectrogram")]
    | Annotated[WaveformSection, Tag("waveform")],
    Discriminator(_kind("log_mel")),
]
AnyFeature = LogMelSection | SpectrogramSection | WaveformSection


Channels = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=7)
]
Activation = Literal["relu", "silu", "gelu"]


class NetSection(Section):
    """What is asked of every encoder and decoder."""

    needs: ClassVar[tuple[str, ...]] = ()  # labels that it must be told

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        """What its class is built with."""
        return self.model_dump()


class LevelsSection(NetSection):
    """Convolutions over pictures, from the picture inwards."""

    channels: Channels = (16, 32, 64)
    residual: Annotated[int, Field(ge=0, le=8)] = 0  # blocks per level
    hidden: Annotated[int, Field(ge=0, le=8192)] = 0  # width of the mixing layer; 0 = none
    activation: Activation = "relu"
    norm: Literal["none", "batch", "group"] = "none"
    attention: bool = False  # between the places of the innermost map


class EncoderSection(LevelsSection):
    kind: Literal["conv2d", "frames"] = "conv2d"

    def misfit(self, part: str, feature: AnyFeature) -> str | None:
        """Why it cannot take the feature's pictures, in words; None when it can."""
        if not feature.decibels:
            return (
                f"model.{part}.kind {self.kind} wants pictures with two sides, but feature.kind "
                f"{feature.kind} has one line; use kind: conv1d"
            )
        step = 2 ** len(self.channels)
        if feature.shape[0] % step or feature.shape[1] % step:
            return (
                f"model.{part}.channels halves the picture {len(self.channels)} times, but "
                f"{feature.sides} are not both divisible by {step}; change them or the number of "
                "channels"
            )
        return None


class DecoderSection(EncoderSection):
    film: bool = False  # tell the condition to every level, per frequency
    skip: bool = False  # tell the latent to every level

    def misfit(self, part: str, feature: AnyFeature) -> str | None:
        deaf = _deaf(part, self) if self.kind == "frames" else None
        return deaf or super().misfit(part, feature)


class Mel2dSection(LevelsSection):
    """conv2d on the log-mel picture of a waveform: see models.harmonic.MelEncoder."""

    kind: Literal["mel2d"] = "mel2d"
    n_fft: Annotated[int, Field(ge=64, le=16384)] = 1024  # samples
    hop: Annotated[int, Field(ge=16, le=8192)] = 256  # samples
    mels: Annotated[int, Field(ge=8, le=1024)] = 128

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        return {**self.model_dump(), "sample_rate": feature.sample_rate}

    def misfit(self, part: str, feature: AnyFeature) -> str | None:
        if feature.decibels:
            return _not_samples(part, self.kind, feature)
        step = 2 ** len(self.channels)
        if self.mels % step:
            return (
                f"model.{part}.channels halves the picture {len(self.channels)} times, but "
                f"model.{part}.mels {self.mels} is not divisible by {step}; change one of them"
            )
        return None


class HarmonicSection(LevelsSection):
    """Harmonics of the pitch and filtered noise: see models.harmonic.HarmonicDecoder."""

    needs = ("pitch",)

    kind: Literal["harmonic"] = "harmonic"
    hop: Annotated[int, Field(ge=16, le=8192)] = 256  # samples between the values of a curve
    partials: Annotated[int, Field(ge=1, le=512)] = 100
    bands: Annotated[int, Field(ge=2, le=512)] = 64  # of noise, evenly spaced
    stiff: bool = False  # partials may be spread as those of a stiff string
    film: bool = False  # tell the condition to every level
    skip: bool = False  # tell the latent to every level

    def settings(self, feature: AnyFeature) -> dict[str, Any]:
        return {**self.model_dump(), "sample_rate": feature.sample_rate}

    def misfit(self, part: str, feature: AnyFeature) -> str | None:
        if feature.decibels:
            return _not_samples(part, self.kind, feature)
        step = self.hop * 2 ** len(self.channels)
        if feature.shape[1] % step:
            return (
                f"model.{part} makes frames of {self.hop} samples on {len(self.channels)} levels, so "
                f"feature.samples {feature.shape[1]} should be a multiple of {step}; use "
                f"{max(1, round(feature.shape[1] / step)) * step}"
            )
        return _deaf(part, self)


def _deaf(part: str, section: "DecoderSection | HarmonicSection") -> str | None:
    """Why film and skip would reach nothing in a decoder of frames; None when they do."""
    if section.residual or not (section.film or section.skip):
        return None
    return (
        f"model.{part}.film and skip speak to the residual blocks of kind {section.kind}, but "
        f"model.{part}.residual is 0; set it to 1, or switch them off"
    )


def _not_samples(part: str, kind: str, feature: AnyFeature) -> str:
    return (
        f"model.{part}.kind {kind} wants samples, but feature.kind {feature.kind} is a picture with "
        "two sides; use feature.kind: waveform, or kind: conv2d"
    )


class Conv1dSection(NetSection):
    """Convolutions along time for raw waveforms, from the sound inwards."""

    kind: Literal["conv1d"] = "conv1d"
    channels: Channels = (32, 64, 128, 256)
    strides: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=10)
    ] = (5, 5, 4, 4)  # their product divides feature.samples
    residual: Annotated[int, Field(ge=0, le=8)] = 0  # dilated blocks per level: 1, 3, 9, ...
    hidden: Annotated[int, Field(ge=0, le=8192)] = 0  # width of the mixing layer; 0 = none
    activation: Activation = "relu"

    def misfit(self, part: str, feature: AnyFeature) -> str | None:
        if feature.decibels:
            return _not_samples(part, self.kind, feature)
        if len(self.strides) != len(self.channels):
            return (
                f"model.{part} has {len(self.channels)} channels and {len(self.strides)} strides; "
                "give one stride for each"
            )
        samples, step = feature.shape[1], math.prod(self.strides)
        if samples % step:
            factors = " x ".join(map(str, prime_factors(samples)))
            return (
                f"model.{part}.strides divide the sound by {step}, which does not divide "
                f"feature.samples {samples} = {factors}; make strides of these factors"
            )
        return None


class Conv1dDecoderSection(Conv1dSection):
    film: bool = False  # tell the condition to every level


def prime_factors(number: int) -> list[int]:
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
    | Annotated[Conv1dSection, Tag("conv1d")]
    | Annotated[Mel2dSection, Tag("mel2d")],
    Discriminator(_kind("conv2d")),
]
AnyDecoder = Annotated[
    Annotated[DecoderSection, Tag("conv2d")]
    | Annotated[DecoderSection, Tag("frames")]
    | Annotated[Conv1dDecoderSection, Tag("conv1d")]
    | Annotated[HarmonicSection, Tag("harmonic")],
    Discriminator(_kind("conv2d")),
]


class AnyBottleneck(Section):
    """What other parts ask of every kind of bottleneck; most have neither codes nor terms."""

    @property
    def codebooks(self) -> Codebooks | None:
        """The codes of a sound, where the latent is quantised."""
        return None

    @property
    def terms(self) -> dict[str, float]:
        """The raw terms that it makes, and the weights that they have unless the recipe says."""
        return {}


class GaussianSection(AnyBottleneck):
    kind: Literal["gaussian"] = "gaussian"
    latent: Annotated[int, Field(ge=1, le=1024)] = 32
    spread: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0  # of the means, by batch norm; 0 = free

    @property
    def size(self) -> int:
        """How many numbers a sound has."""
        return self.latent


class HierarchicalSection(AnyBottleneck):
    """Levels from the top down: each has a prior that the ones above it shape."""

    kind: Literal["hierarchical"] = "hierarchical"
    levels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=2, max_length=5)
    ] = (8, 24)
    hidden: Annotated[int, Field(ge=1, le=4096)] = 256  # width between the levels

    @property
    def size(self) -> int:
        return sum(self.levels)


class VqSection(AnyBottleneck):
    """Codes out of learnt codebooks: see models.quantised.VectorQuantised."""

    kind: Literal["vq"] = "vq"
    positions: Annotated[int, Field(ge=1, le=1024)] = 8  # codes of a sound, on each level
    dim: Annotated[int, Field(ge=1, le=1024)] = 16  # numbers of a code
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
        own = {"codebook": 1.0} if self.learn == "gradient" else {}
        return {"commitment": 0.25, "diversity": 0.0, **own}


class FsqSection(AnyBottleneck):
    """Codes by rounding: see models.quantised.FiniteScalarQuantised."""

    kind: Literal["fsq"] = "fsq"
    positions: Annotated[int, Field(ge=1, le=1024)] = 8
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


BottleneckSection = Annotated[
    Annotated[GaussianSection, Tag("gaussian")]
    | Annotated[HierarchicalSection, Tag("hierarchical")]
    | Annotated[VqSection, Tag("vq")]
    | Annotated[FsqSection, Tag("fsq")],
    Discriminator(_kind("gaussian")),
]


class LabelSection(Section):
    """How one label is told. Short form of several: a list of names."""

    kind: Literal["embedding", "continuous"] = "embedding"  # continuous: pitch and velocity alone
    to: Literal["encoder", "decoder", "both"] = "both"
    drop: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # share of sounds trained without it


LabelName = Annotated[str, Field(pattern=r"^[^.]{1,80}$")]


class ConditionSection(Section):
    """What the networks are told, and what the latent shall not say: any label of the corpus."""

    labels: dict[LabelName, LabelSection] = {}
    size: Annotated[int, Field(ge=1, le=1024)] = 32  # numbers per label
    remove: dict[LabelName, Literal["adversary", "independence"]] = {}

    @field_validator("labels", mode="before")
    @classmethod
    def of_names(cls, value: Any) -> Any:
        names = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        return {name: {} for name in value} if names else value

    @property
    def names(self) -> tuple[str, ...]:
        """All labels that training needs: those told, and those removed."""
        return tuple({**self.labels, **self.remove})

    def told(self, half: Literal["encoder", "decoder"]) -> tuple[str, ...]:
        """The labels that one half hears."""
        return tuple(name for name, label in self.labels.items() if label.to in (half, "both"))


class ModelSection(Section):
    encoder: AnyEncoder = EncoderSection()
    bottleneck: BottleneckSection = GaussianSection()
    decoder: AnyDecoder = DecoderSection()
    condition: ConditionSection = ConditionSection()


TermName = Literal[
    "gaussian_nll", "mean_squared", "summed_squared", "l1", "bernoulli_nll", "cosine",
    "output_range", "spectral", "multi_resolution_stft",
]  # fmt: skip
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


class AugmentSection(Section):
    """Changes of the training pictures that leave pitch as it is."""

    layer: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0  # share with a second one over it

    tilt_db: Annotated[float, Field(ge=0.0, le=60.0)] = 0.0  # size of a smooth gain over frequency


class TrainSection(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 15
    batch: Annotated[int, Field(ge=1, le=65536)] = 128
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    clip: Annotated[float, Field(gt=0.0, le=1e6)] | None = None  # largest gradient norm
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # decay of the weight average; 0 = off
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0  # epochs without progress; 0 = never stop
    augment: AugmentSection = AugmentSection()


class Recipe(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    about: str = ""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    feature: FeatureSection = LogMelSection()
    model: ModelSection = ModelSection()
    objective: ObjectiveSection
    train: TrainSection = TrainSection()

    def to_yaml(self) -> str:
        """The whole recipe, defaults included, as YAML that `parse` takes back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


class _Loader(yaml.SafeLoader):
    """safe_load that refuses duplicate keys and reads 1e-3 as a number (YAML 1.1 does not)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for key in keys:
            if keys.count(key) > 1:
                raise RecipeError(f"line {node.start_mark.line + 1}: {key!r} is given twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _load_yaml(text: str, where: str) -> Any:
    if len(text) > 200_000:
        raise RecipeError(f"{where} has {len(text)} characters; a recipe has at most 200000")
    if re.search(r"^\s*[^#\n'\"]*[:\-]\s+[&*]\w", text, re.M):
        raise RecipeError(f"{where} uses YAML anchors or aliases; write the values out")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())
        raise RecipeError(f"{where} is not valid YAML: {first}") from None
    except RecursionError:
        raise RecipeError(f"{where} is nested too deeply for a recipe") from None


def _place(path: tuple[Any, ...]) -> tuple[str, list[str]]:
    """A fault's key as the recipe writes it, and the settings that its section has.

    Inside a union pydantic names the member between the keys; that is no key of the recipe.
    """
    section: Any = Recipe
    keys: list[str] = []
    known: list[str] = []
    for key in path:
        members = {tag.tag: member for member, tag in _members(section)}
        if members:
            section = members.get(key)
            continue
        if get_origin(section) is dict:  # names of the user's own
            keys.append(str(key))
            section = get_args(section)[1]
            continue
        keys.append(str(key))
        fields = getattr(section, "model_fields", {})
        known = list(fields)
        section = fields[key].annotation if key in fields else None
        if key in fields and fields[key].metadata and not hasattr(section, "model_fields"):
            section = Annotated[section, *fields[key].metadata]
    return ".".join(keys), known


def _members(section: Any) -> list[tuple[Any, Tag]]:
    """The tagged members of a union of sections; none for anything else."""
    members = []
    for member in get_args(get_args(section)[0]) if get_args(section) else ():
        tags = [extra for extra in get_args(member)[1:] if isinstance(extra, Tag)]
        members += [(get_args(member)[0], tag) for tag in tags]
    return members


def _faults(error: ValidationError, where: str) -> str:
    lines = []
    for fault in error.errors():
        key, known = _place(fault["loc"])
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
            lines.append(f"{key} is no setting; {hint}")
        elif fault["type"] == "missing":
            lines.append(f"{key} is missing")
        elif fault["type"] == "union_tag_invalid":
            about = fault.get("ctx", {})
            tags, tag = about["expected_tags"].replace("'", ""), about["tag"]
            lines.append(f"{key}.kind should be one of {tags}, got {tag!r:.80}")
        else:
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
            lines.append(f"{key or 'recipe'}: {message}, got {fault['input']!r:.80}")
    return f"{where}: " + "; ".join(lines)


DEFAULT_KINDS = {
    "feature": "log_mel", "encoder": "conv2d", "bottleneck": "gaussian", "decoder": "conv2d"
}  # fmt: skip


def _merge(base: dict[str, Any], change: dict[str, Any], part: str = "") -> dict[str, Any]:
    """`change` laid over `base`. A part of another kind has other settings: it starts afresh."""
    default = DEFAULT_KINDS.get(part)
    if change.get("kind", base.get("kind", default)) != base.get("kind", default):
        return dict(change)
    merged = dict(base)
    if isinstance(change.get("labels"), dict) and isinstance(base.get("labels"), list):
        merged["labels"] = {name: {} for name in base["labels"]}  # the long form of the same
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value, key) if both else value
    return merged


def _drop_rival(settings: dict[str, Any], change: dict[str, Any]) -> None:
    """A child that asks for a rate drops its parent's beta, and the other way round."""
    asked = change.get("objective")
    if isinstance(asked, dict) and isinstance(settings.get("objective"), dict):
        for mine, rival in (("beta", "bits_per_sound"), ("bits_per_sound", "beta")):
            if asked.get(mine) is not None and rival not in asked:
                settings["objective"].pop(rival, None)


def parse(text: str, *, where: str = "recipe", settings: tuple[str, ...] = ()) -> Recipe:
    """A Recipe from YAML text, with `section.key=value` settings laid over it.

    RecipeError names every fault: unknown keys with a suggestion, values out of range, parts that
    do not fit together.
    """
    loaded = _load_yaml(text, where)
    if not isinstance(loaded, dict):
        raise RecipeError(f"{where} should hold named sections, got {type(loaded).__name__}")
    parent = loaded.pop("parent", None)
    if parent is not None:
        base = _load_yaml(_shipped_text(str(parent)), f"recipe {parent}")
        if "parent" in base:
            raise RecipeError(f"{where}: parent {parent} has a parent itself; one level is allowed")
        _drop_rival(base, loaded)
        loaded = _merge(base, loaded)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {setting!r} should look like section.key=value")
        change: Any = _load_yaml(value, f"--set {key}")
        for part in reversed(key.strip().split(".")):
            change = {part: change}
        _drop_rival(loaded, change)
        loaded = _merge(loaded, change)
    try:
        recipe = Recipe.model_validate(loaded)
    except ValidationError as error:
        raise RecipeError(_faults(error, where)) from None
    check(recipe)
    return _with_own_weights(recipe)


def _with_own_weights(recipe: Recipe) -> Recipe:
    """The recipe with the weights of its bottleneck's terms where it names none."""
    usual = {name: weight for name, weight in recipe.model.bottleneck.terms.items() if weight}
    weights = {**usual, **recipe.objective.weights}
    return recipe.model_copy(
        update={"objective": recipe.objective.model_copy(update={"weights": weights})}
    )


def check(recipe: Recipe) -> None:
    """RecipeError when the parts cannot fit; costs nothing, so it runs before any data is read."""
    for part, section in (("encoder", recipe.model.encoder), ("decoder", recipe.model.decoder)):
        wrong = section.misfit(part, recipe.feature)
        if wrong:
            raise RecipeError(wrong)
    if not recipe.feature.decibels:
        for setting, value in (
            ("objective.loud", recipe.objective.loud),
            ("train.augment.layer", recipe.train.augment.layer),
            ("train.augment.tilt_db", recipe.train.augment.tilt_db),
        ):
            if value:
                raise RecipeError(
                    f"{setting} works on decibels, which feature.kind {recipe.feature.kind} has not; "
                    "set it to 0"
                )
    _check_terms(recipe)
    condition = recipe.model.condition
    for name in recipe.model.decoder.needs:
        if name not in condition.told("decoder"):
            raise RecipeError(
                f"model.decoder.kind {recipe.model.decoder.kind} must be told the {name}, but "
                f"model.condition.labels tells the decoder none; add labels: [{name}]"
            )
    if recipe.model.decoder.film and not condition.told("decoder"):
        raise RecipeError(
            "model.decoder.film tells the condition to every level, but model.condition.labels tells "
            "the decoder none; add labels: [pitch] or switch film off"
        )
    for name, label in condition.labels.items():
        if label.kind == "continuous" and name not in NUMBERS:
            raise RecipeError(
                f"model.condition.labels.{name} is continuous, which wants a MIDI number "
                f"({' or '.join(NUMBERS)}); use kind: embedding"
            )
    for way in ("adversary", "independence"):
        asked, weight = way in condition.remove.values(), recipe.objective.weights.get(way, 0.0)
        if asked and not weight:
            raise RecipeError(
                f"model.condition.remove asks for {way}, but objective.weights gives it no weight; "
                f"add objective.weights.{way}"
            )
        if weight and not asked:
            raise RecipeError(
                f"objective.weights.{way} weighs a term that nothing makes; name the label: "
                f"model.condition.remove: {{pitch: {way}}}"
            )
    _check_rate(recipe)
    if recipe.train.augment.layer and "pitch" not in condition.labels:
        raise RecipeError(
            "train.augment.layer lays sounds of one pitch over each other, but model.condition.labels "
            "has no pitch; add labels: [pitch] or set layer to 0"
        )
    feature = recipe.feature
    if not isinstance(feature, WaveformSection) and feature.hop * 2 > feature.n_fft:
        raise RecipeError(
            f"feature.hop {feature.hop} leaves gaps between windows of {feature.n_fft} samples that "
            f"cannot be inverted; use at most {feature.n_fft // 2}"
        )


def _check_rate(recipe: Recipe) -> None:
    """What a bottleneck's kind makes of rates and terms."""
    objective, bottleneck = recipe.objective, recipe.model.bottleneck
    codes = bottleneck.codebooks
    if codes is None:
        if objective.beta is None and objective.bits_per_sound is None:
            raise RecipeError("objective: give either beta or bits_per_sound, one of the two")
    else:
        for name in ("beta", "bits_per_sound", "free_bits", "warmup_steps"):
            if getattr(objective, name):
                raise RecipeError(
                    f"model.bottleneck.kind {bottleneck.kind} has a fixed rate, here "
                    f"{codes.nats / math.log(2.0):.4g} bits per sound, which objective.{name} cannot "
                    f"change: set it to {'null' if name in ('beta', 'bits_per_sound') else 0}; "
                    "another number or size of codes makes another rate"
                )
    for name in VqSection(learn="gradient").terms:
        if objective.weights.get(name) and name not in bottleneck.terms:
            raise RecipeError(
                f"objective.weights.{name} weighs a term that a bottleneck of kind "
                f"{bottleneck.kind} does not make; take it out, or choose kind: vq"
            )
    if isinstance(bottleneck, VqSection) and bottleneck.kmeans:
        vectors = recipe.train.batch * (bottleneck.positions if bottleneck.shared else 1)
        if vectors < bottleneck.codebook:
            raise RecipeError(
                f"model.bottleneck.kmeans starts {bottleneck.codebook} codes from the first batch, "
                f"which has {vectors} vectors for them; raise train.batch, or set kmeans to false"
            )


def _check_terms(recipe: Recipe) -> None:
    """What the objective asks of the picture, and whether someone makes the terms that it weighs."""
    objective, feature = recipe.objective, recipe.feature
    further = {name for name, weight in objective.weights.items() if weight}
    used = {objective.reconstruction, *further}
    if objective.reconstruction in objective.weights:
        raise RecipeError(
            f"objective.weights.{objective.reconstruction} weighs the reconstruction term, which has "
            "weight 1, once more; take it out"
        )
    made = {
        *get_args(TermName), *VqSection(learn="gradient").terms, "adversary", "independence",
        "perceptual",
    }  # fmt: skip
    for name in sorted(objective.weights.keys() - made):
        near = difflib.get_close_matches(name, sorted(made), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(made))}"
        raise RecipeError(f"objective.weights.{name} is no term; {hint}")
    if ("perceptual" in further) != (objective.perceptual is not None):
        raise RecipeError(
            "objective.perceptual names the dissimilarities and objective.weights.perceptual their "
            "weight: give both or neither"
        )
    if objective.perceptual and recipe.model.bottleneck.codebooks is not None:
        raise RecipeError(
            f"objective.perceptual moves sounds in the latent, but a bottleneck of kind "
            f"{recipe.model.bottleneck.kind} has codes, which do not move; take it out"
        )
    if objective.cycle and (objective.warmup_steps or objective.bits_per_sound):
        rival = "bits_per_sound" if objective.bits_per_sound else "warmup_steps"
        raise RecipeError(f"objective.cycle and objective.{rival} both move beta; keep one of them")
    wants_decibels = [name for name in ("bernoulli_nll", "spectral") if name in used]
    wants_decibels += ["bands"] if objective.bands else []
    if wants_decibels and not feature.decibels:
        raise RecipeError(
            f"objective: {wants_decibels[0]} reads a picture in decibels, but feature.kind is "
            f"{feature.kind}; take it out"
        )
    least = max(objective.stft.sizes) // 2 + 1  # what an STFT with mirrored ends can take
    if "multi_resolution_stft" in used and (feature.decibels or feature.shape[1] < least):
        raise RecipeError(
            f"objective: multi_resolution_stft compares waveforms of at least {least} samples (half "
            f"the largest of objective.stft.sizes), but {feature.sides} make none; use feature.kind: "
            "waveform with enough samples, or another term"
        )
    if objective.sigma != SigmaSection() and "gaussian_nll" not in used:
        raise RecipeError(
            f"objective.sigma belongs to gaussian_nll, but objective.reconstruction is "
            f"{objective.reconstruction}; take it out, or use gaussian_nll"
        )


def shipped(*, ablations: bool = False) -> list[str]:
    """Names of the recipes that come with the package; with `ablations` also those that change one
    thing of another to see what it does."""
    folders = [FOLDER, ABLATIONS] if ablations else [FOLDER]
    return [path.stem for folder in folders for path in sorted(folder.glob("*.yaml"))]


def _shipped_text(name: str) -> str:
    if name not in shipped(ablations=True):
        near = difflib.get_close_matches(name, shipped(ablations=True), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(shipped())}"
        raise RecipeError(f"there is no recipe {name!r}; {hint}")
    path = FOLDER / f"{name}.yaml"
    return (path if path.is_file() else ABLATIONS / path.name).read_text(encoding="utf-8")


def load(name_or_file: str | Path, *, settings: tuple[str, ...] = ()) -> Recipe:
    """A recipe by shipped name or by YAML file."""
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"}:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise RecipeError(f"{path} cannot be read as a recipe: {reason}") from None
        return parse(text, where=str(path), settings=settings)
    text = _shipped_text(str(name_or_file))
    return parse(text, where=f"recipe {name_or_file}", settings=settings)


def build(recipe: Recipe, vocabulary: Vocabulary | None = None) -> Any:
    """The recipe's untrained Autoencoder (weights from torch's current random state).

    vocabulary: the values of its labels; pitch and velocity need none, any other label is always
    unknown without.
    """
    from timbrespace.models.catalogue import build_model

    model = recipe.model
    try:
        return build_model(
            recipe.feature.shape,
            encoder=model.encoder.settings(recipe.feature),
            bottleneck=model.bottleneck.model_dump(),
            decoder=model.decoder.settings(recipe.feature),
            condition=model.condition.model_dump(),
            vocabulary=vocabulary or Vocabulary(),
        )  # fmt: skip
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}: {error}") from None
