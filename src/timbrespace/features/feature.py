"""What every feature has: a way from sound to a picture and back, and settings that name it."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from timbrespace.audio.scratch import Samples
from timbrespace.errors import RecipeError, suggestion
from timbrespace.features.phase import Recovery

if TYPE_CHECKING:
    from timbrespace.features.decibels import Decibels

SILENCE_DB = -120.0  # the level of a sound that has none
KEPT = ("dtype",)  # settings that say how pictures are kept, not what they mean
LENGTHS = ("frames", "samples")  # settings that say how long they are
DTYPES = ("float16", "float32")  # of pictures on disk; halves err by at most 0.01 dB of 80


@dataclass(frozen=True)
class Picture:
    """What a sound looks like.

    values: (*, height, width) in [-1, 1], as the feature means them.
    level_db: (*,) what 1 means, in dB; -120 for silence.
    """

    values: Tensor
    level_db: Tensor


@dataclass(frozen=True)
class Feature(ABC):
    """Settings of a picture of sound; `analyse` and `invert` are each other's inverse.

    sample_rate in Hz; dtype is how a corpus keeps pictures, float16 or float32. RecipeError for what
    cannot be.
    """

    sample_rate: int = 16000
    dtype: str = field(default="float16", kw_only=True)

    kind: ClassVar[str]
    keeps_phase: ClassVar[bool] = False  # whether a picture says where each wave begins
    ranges: ClassVar[dict[str, tuple[float, float]]]  # of the settings that are numbers
    stated: ClassVar[dict[str, Any]] = {}  # what is the same in all features of this kind

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges.items():
            value = getattr(self, name)
            whole = type(type(self).__dataclass_fields__[name].default) is int
            number = isinstance(value, int if whole else (int, float))
            if not number or isinstance(value, bool) or not low <= value <= high:
                sort = "a whole number" if whole else "a number"
                raise RecipeError(
                    f"feature.{name} should be {sort} from {low:g} to {high:g}, got {value!r}"
                )
        if self.dtype not in DTYPES:
            raise RecipeError(f"feature.dtype should be {' or '.join(DTYPES)}, got {self.dtype!r}")

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(height, width) of every picture that `analyse` makes."""

    @property
    def stacked(self) -> int:
        """How many pictures of equal size lie in one, above each other: its channels."""
        return 1

    @property
    @abstractmethod
    def span(self) -> int:
        """Length in samples of the window that `analyse` shows."""

    @property
    @abstractmethod
    def seen(self) -> int:
        """How many samples change the picture; those after them are not looked at."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Samples between the windows of a longer sound, which `join` fades into each other."""

    @abstractmethod
    def windows(self, samples: Tensor | Samples) -> Iterator[Picture]:
        """A sound (n,) of any length as pictures (W, height, width), some at a time, of windows that
        begin every `step` samples, each against its own level (W,)."""

    @property
    def seconds(self) -> float:
        """Length of the window that `analyse` shows."""
        return self.span / self.sample_rate

    @property
    def words(self) -> str:
        """What a picture is, for people."""
        return f"{self.shape[0]} by {self.shape[1]}"

    @property
    @abstractmethod
    def yardstick(self) -> "Decibels":
        """The feature of decibels in whose pictures errors are told."""

    def settings(self) -> dict[str, Any]:
        """Everything `from_settings` needs, as plain values; float16 goes without saying."""
        plain = {"kind": self.kind, **asdict(self)}
        if self.dtype == DTYPES[0]:
            del plain["dtype"]
        return plain

    @property
    def contract(self) -> dict[str, Any]:
        """What pictures mean: the settings, and what is the same in all features of this kind."""
        return {**self.settings(), **self.stated}

    def misfit(self, other: "Feature", *, windows: bool = True) -> str | None:
        """In which settings pictures of `other` mean something else than ours, such as "hop 512 in place
        of 256"; None where they mean the same. How they are kept does not matter, and without `windows`
        neither does how long they are."""
        free = KEPT if windows else KEPT + LENGTHS
        ours, theirs = self.contract, other.contract
        names = [key for key in {**ours, **theirs} if key not in free]
        if ours["kind"] != theirs["kind"]:
            names = ["kind"]
        told = [
            f"{key} {theirs.get(key)} in place of {ours.get(key)}"
            for key in names
            if ours.get(key) != theirs.get(key)
        ]
        return ", ".join(told) or None

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """The feature that `settings` or a `contract` describes; RecipeError names what is impossible."""
        for key, value in cls.stated.items():
            if settings.get(key, value) != value:
                raise RecipeError(
                    f"feature.{key} of {cls.kind} should be {value!r}, got {settings[key]!r}"
                )
        settings = {key: value for key, value in settings.items() if key not in cls.stated}
        known = ["kind", *(field.name for field in fields(cls))]
        unknown = [str(key) for key in settings if key not in known]
        if unknown:
            hint = suggestion(unknown[0], known, f"known here: {', '.join(known)}")
            raise RecipeError(f"feature.{unknown[0]} is no setting of {cls.kind}; {hint}")
        if settings.get("kind", cls.kind) != cls.kind:
            raise RecipeError(f"feature.kind should be {cls.kind}, got {settings['kind']!r}")
        return cls(**{key: value for key, value in settings.items() if key != "kind"})

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that differ when any setting does."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @abstractmethod
    def analyse(self, samples: Tensor) -> Picture:
        """The first window of samples (*, n), full scale 1.0; after the sound's end comes silence.

        AudioError for NaN, infinity or no samples at all.
        """

    @abstractmethod
    def invert(
        self, values: Tensor, level_db: Tensor, *, recovery: Recovery = Recovery(),
        length: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Samples (*, length) of pictures (*, height, width) whose level is level_db (*,).

        length in samples defaults to what the picture shows. `recovery` is how a feature that keeps
        no phase looks for one.
        """

    def view(self, values: Tensor, level_db: Tensor | float = 0.0) -> Picture:
        """Pictures (*, height, width) of level_db (*,) as the yardstick shows them."""
        level = torch.as_tensor(level_db, dtype=torch.float32, device=values.device)
        return Picture(values, level.expand(values.shape[:-2]))

    def compared(self, original: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Two sets of pictures (N, height, width) as the yardstick shows them, both against the
        level of the original; what is made may lie outside of [-1, 1]."""
        return original, made

    def distortion(self, mse: float) -> dict[str, float]:
        """What a mean squared error of pictures means, by name."""
        return {"rmse_db": mse**0.5 * self.yardstick.db_per_unit}

    def figures(self, original: Tensor, made: Tensor) -> dict[str, Tensor]:
        """What is measured of pictures (N, height, width) besides their squared error: (N,) each."""
        return {}

    @abstractmethod
    def rms_db(self, values: Tensor, level_db: Tensor | float = 0.0) -> Tensor:
        """RMS in dBFS (*,) of the sound of pictures (*, height, width) of level_db (*,); -120 at the
        least."""

    @abstractmethod
    def loudness_db(self, samples: Tensor | Samples) -> float:
        """RMS in dBFS of a sound (n,) as far as the feature hears it; -120 at the least."""

    @abstractmethod
    def joined(
        self, windows: Iterable[Picture], *, length: int, recovery: Recovery = Recovery()
    ) -> Iterator[Tensor]:
        """One sound (length,), some samples at a time, of its `windows`, some (W, height, width) at a time,
        each `step` samples after the last; where they overlap they fade into each other."""

    def join(
        self, windows: Iterable[Picture], *, length: int, recovery: Recovery = Recovery()
    ) -> Tensor:
        """All of `joined`, (length,)."""
        return torch.cat(list(self.joined(windows, length=length, recovery=recovery)))
