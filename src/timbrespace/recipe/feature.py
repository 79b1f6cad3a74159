"""The feature: which picture a model is given of a sound."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from timbrespace.recipe.section import Fft, Hop, Section, kind_or

Frames = Annotated[int, Field(ge=8, le=8192)]
Floor = Annotated[float, Field(ge=-160.0, le=-20.0)]  # dB
Precision = Literal["float16", "float32"]


class FeatureSection(Section):
    """What every kind of picture has."""

    decibels: ClassVar[bool] = True  # of one sound, in every cell
    two_sided: ClassVar[bool] = True  # it has frequency and time

    kind: str
    sample_rate: Annotated[int, Field(ge=8000, le=48000)] = 16000  # Hz

    @property
    def stacked(self) -> int:
        """How many pictures of equal size lie in one, above each other: its channels."""
        return 1

    def misfits(self) -> Iterator[str]:
        return iter(())

    def without_decibels(self, settings: dict[str, float]) -> Iterator[str]:
        """The settings, by their keys in the recipe, that work on decibels where there are none."""
        for key, value in settings.items():
            if value and not self.decibels:
                yield (
                    f"{key} works on decibels, which feature.kind {self.kind} has not; set it to 0"
                )


class FramesSection(FeatureSection):
    """Pictures of windows, frame by frame."""

    n_fft: Fft = 1024
    hop: Hop = 256

    def misfits(self) -> Iterator[str]:
        if self.hop * 2 > self.n_fft:
            yield (
                f"feature.hop {self.hop} leaves gaps between windows of {self.n_fft} samples that "
                f"cannot be inverted; use at most {self.n_fft // 2}"
            )


class LogMelSection(FramesSection):
    """The picture: see features.LogMel."""

    kind: Literal["log_mel"] = "log_mel"
    mels: Annotated[int, Field(ge=8, le=1024)] = 80
    frames: Frames = 128
    floor_db: Floor = -80.0
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture."""
        return self.mels, self.frames

    @property
    def sides(self) -> str:
        """The settings that decide them, in words."""
        return f"feature.mels {self.mels} and feature.frames {self.frames}"


class SpectrogramSection(FramesSection):
    """All frequencies evenly spaced, half as many as n_fft: see features.Spectrogram."""

    kind: Literal["spectrogram"] = "spectrogram"
    frames: Frames = 128
    floor_db: Floor = -80.0
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_fft // 2, self.frames

    @property
    def sides(self) -> str:
        return f"half of feature.n_fft {self.n_fft} and feature.frames {self.frames}"


class WaveformSection(FeatureSection):
    """The samples themselves: see features.Waveform."""

    decibels = two_sided = False

    kind: Literal["waveform"] = "waveform"
    samples: Annotated[int, Field(ge=64, le=480_000)] = 16000
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def shape(self) -> tuple[int, int]:
        return 1, self.samples

    @property
    def sides(self) -> str:
        return f"the one line of feature.kind waveform and feature.samples {self.samples}"


class PairSection(FramesSection):
    """A dry and a wet sound: see features.Pair."""

    decibels = False

    kind: Literal["pair"] = "pair"
    samples: Annotated[int, Field(ge=1024, le=480_000)] = 32768  # of each of the two
    picture: Literal["log_mel", "power"] = "log_mel"
    mels: Annotated[int, Field(ge=8, le=1024)] = 64
    floor_db: Annotated[float, Field(ge=-142.0, le=-20.0)] = -80.0
    channels: Literal["joint", "difference", "angle", "phase"] = "difference"
    level: Literal["each", "common"] = "common"
    resolutions: Annotated[
        tuple[Fft, ...], Field(max_length=4)
    ] = ()  # the wet sound or the difference once more
    dtype: Precision = "float16"  # of the pictures on disk

    @property
    def stacked(self) -> int:
        return (4 if self.channels in ("angle", "phase") else 2) + len(self.resolutions)

    @property
    def shape(self) -> tuple[int, int]:
        height = self.mels if self.picture == "log_mel" else self.n_fft // 2
        return self.stacked * height, -(-self.samples // self.hop)

    @property
    def sides(self) -> str:
        height = "feature.mels" if self.picture == "log_mel" else "half of feature.n_fft"
        tall, wide = self.shape
        return (
            f"{height} {tall // self.stacked} and the {wide} frames that feature.samples "
            f"{self.samples} have"
        )

    def misfits(self) -> Iterator[str]:
        yield from super().misfits()
        if self.resolutions and self.picture != "log_mel":
            yield (
                "feature.resolutions show log-mels once more, but feature.picture is "
                f"{self.picture}; set feature.resolutions to []"
            )
        if len({self.n_fft, *self.resolutions}) <= len(self.resolutions):
            yield (
                f"feature.resolutions {list(self.resolutions)} should be windows of other lengths than "
                f"feature.n_fft {self.n_fft} and each other; leave out what is there twice"
            )
        for n_fft in self.resolutions:
            if self.hop * 2 > n_fft or n_fft % 2:
                yield (
                    f"feature.resolutions has windows of {n_fft} samples; with feature.hop {self.hop} use "
                    f"even numbers from {2 * self.hop} on, which leave no gaps"
                )
        if self.channels in ("angle", "phase") and self.picture != "power":
            yield (
                f"feature.channels {self.channels} needs the phase of each frequency, which mels have "
                "not; use feature.picture: power"
            )


AnyFeature = Annotated[
    Annotated[LogMelSection, Tag("log_mel")]
    | Annotated[SpectrogramSection, Tag("spectrogram")]
    | Annotated[WaveformSection, Tag("waveform")]
    | Annotated[PairSection, Tag("pair")],
    Discriminator(kind_or("log_mel")),
]
