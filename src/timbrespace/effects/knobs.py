"""A knob: one number of an effect, with its unit, range and curve."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from timbrespace.errors import EffectError

Curve = Literal["linear", "log"]


@dataclass(frozen=True)
class Knob:
    """One number of an effect, in its own `unit` from `low` to `high`.

    `curve` says how it lies on 0..1: evenly, or evenly in its logarithm. `stereo`: it changes only how
    two channels differ. `seconds`: in a shorter sound it cannot be heard.
    """

    name: str
    unit: str
    low: float
    high: float
    default: float
    curve: Curve = "linear"
    stereo: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.low < self.high or not self.low <= self.default <= self.high:
            raise ValueError(f"{self.name}: {self.low} <= {self.default} <= {self.high} is not so")
        if self.curve == "log" and self.low <= 0.0:
            raise ValueError(f"{self.name}: a logarithm needs a range above 0, got {self.low}")

    def to_unit(self, value: float) -> float:
        """Where a value of the range lies, 0 to 1; `from_unit` is its inverse."""
        if self.curve == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def from_unit(self, place: float) -> float:
        """The value at a place from 0 to 1."""
        if self.curve == "log":
            value = self.low * (self.high / self.low) ** place
        else:
            value = self.low + place * (self.high - self.low)
        return min(self.high, max(self.low, value))

    def check(self, value: float) -> float:
        """The value as a number; EffectError where it is none or lies outside of the range."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not self.low <= number <= self.high:
            raise EffectError(
                f"{self.name} should be from {self.words(self.low)} to {self.words(self.high)}, "
                f"got {value}"
            )
        return number

    def unheard(self, channels: int, seconds: float, value: float | None = None) -> str | None:
        """Why nobody can hear this knob in such a sound, at this value if one is given, in words; None
        where one can."""
        if self.stereo and channels < 2:
            return f"{self.name} changes only how left and right differ, and this sound is mono"
        if seconds < self.seconds:
            return f"{self.name} needs {self.seconds:g} s to be heard, and this sound has {seconds:.2g} s"
        return None

    @property
    def range(self) -> str:
        """In words."""
        return f"{self.low:.4g} to {self.words(self.high)}"

    @property
    def facts(self) -> dict[str, Any]:
        """What it is as plain data."""
        return {**asdict(self), "range": self.range}

    def words(self, value: float) -> str:
        """A value with its unit, for people: four digits."""
        return f"{float(f'{value:.4g}'):g} {self.unit}".rstrip()


class Lag(Knob):
    """A knob in ms or s: how much later than the sound an echo, a room or a copy begins."""

    def unheard(self, channels: int, seconds: float, value: float | None = None) -> str | None:
        lag = self.low if value is None else value
        if lag * {"ms": 0.001, "s": 1.0}[self.unit] >= seconds:
            return f"{self.name} is {self.words(lag)}, and this sound has ended by then ({seconds:.2g} s)"
        return super().unheard(channels, seconds, value)


class Rate(Knob):
    """A knob in Hz: how often a second something goes up and down or round."""

    def unheard(self, channels: int, seconds: float, value: float | None = None) -> str | None:
        turn = 1.0 / (self.high if value is None else value)
        if turn > seconds:
            return (
                f"{self.name} needs {turn:.2g} s for one turn, and this sound has {seconds:.2g} s"
            )
        return super().unheard(channels, seconds, value)
