"""What every effect has: a name, knobs, and a way from sound to sound that depends on nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.effects.knobs import Knob, Lag
from timbrespace.errors import EffectError, suggestion

if TYPE_CHECKING:
    from torch import Tensor

LOUDEST = 1e9  # times full scale: what is beyond is no sound
Setting = Mapping[str, float]  # the value of each knob by name, in the knob's unit


def usable(sound: np.ndarray) -> bool:
    """Whether all samples are numbers, and none beyond LOUDEST."""
    return bool(max(sound.max(), -sound.min()) <= LOUDEST)


class Effect(ABC):
    """Sound to sound with knobs: the same sound and setting always give the same samples.

    `dry` is a setting that leaves a sound as it is, None where the effect has none; `level` says in
    words what becomes of the level; `differentiable`, whether `process_tensor` gives each knob a
    gradient; `swings`, whether an oscillator or a clock runs in it, so that it matters when a sound
    begins. Rows of a sound (channels, or the sounds of a batch) do not hear each other.
    """

    name: str
    words: str
    knobs: tuple[Knob, ...]
    dry: Setting | None = None
    level: str = "kept"
    host: str = "own"
    differentiable: bool = False
    swings: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What it is as plain data, each knob with its range in words."""
        return {
            "name": self.name, "host": self.host, "words": self.words, "level": self.level,
            "differentiable": self.differentiable, "dry": self.dry,
            "knobs": [knob.facts for knob in self.knobs],
        }  # fmt: skip

    @abstractmethod
    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        """The samples (..., n) float32 with the effect, equally many; each knob has a value, and where the
        effect `swings`, `start` too, as for `render`."""

    def process_tensor(self, x: "Tensor", sample_rate: int, **values: "Tensor") -> "Tensor":
        """x (B, n) with the effect, each sound by its own value (B,) of each knob: what `process` gives,
        to 1e-3 of the peak, with gradients. EffectError where the effect is not `differentiable`."""
        raise EffectError(
            f"{self.name} gives its knobs no gradients; choose an effect that does, or search its knobs"
        )

    def render(
        self, samples: np.ndarray, sample_rate: int, setting: Setting | None = None, *,
        start: int = 0,
    ) -> np.ndarray:  # fmt: skip
        """samples (..., n) at `sample_rate` Hz with the effect: float32 of the same shape, begun from
        rest, cut where the sound ends, and as loud as comes of it (not limited). `start`: which sample of a
        longer sound the first one is; oscillators are where they would be there.

        Knobs that `setting` leaves out stand at their defaults. EffectError for a sound that is empty or
        not finite, for a knob that is not there or out of range, and for a result that cannot be used.
        """
        values = self.complete(setting or {})
        sound = np.asarray(samples, np.float32)
        if not sound.ndim or not sound.shape[-1]:
            raise EffectError(f"{self.name} got a sound without samples; give it one that has some")
        if not np.isfinite(sound).all():
            raise EffectError(
                f"{self.name} got a sound with NaN or infinity; repair the sound first"
            )
        begun = {"start": start} if self.swings else {}
        made = np.asarray(self.process(sound, sample_rate, **values, **begun))
        if made.shape != sound.shape:
            raise EffectError(
                f"{self.name} gave samples of shape {made.shape} for {sound.shape}; equally many were "
                "expected, so its result is not used"
            )
        if not usable(made):
            raise EffectError(
                f"{self.name} gave NaN, or more than {LOUDEST:g} times full scale, at {self.told(values)}"
            )
        return made.astype(np.float32, copy=False)

    def complete(self, setting: Setting) -> dict[str, float]:
        """A value for each knob, in their order: the setting's, else the default; EffectError for a
        name that is no knob of this effect, and a value outside of its range."""
        names = [knob.name for knob in self.knobs]
        for name in setting:
            if name not in names:
                hint = suggestion(name, names, f"its knobs are: {', '.join(names)}")
                raise EffectError(f"{self.name} has no knob {name!r}; {hint}")
        try:
            return {k.name: k.check(setting.get(k.name, k.default)) for k in self.knobs}
        except EffectError as error:
            raise EffectError(f"{self.name}: {error}") from None

    def to_units(self, setting: Setting) -> np.ndarray:
        """Where the knobs stand, (K,) from 0 to 1, in the order of `knobs`."""
        values = self.complete(setting)
        return np.array([knob.to_unit(values[knob.name]) for knob in self.knobs])

    def from_units(self, places: np.ndarray) -> dict[str, float]:
        """The setting of knobs that stand at `places` (K,); what lies outside of 0..1 is brought in."""
        inside = np.clip(np.asarray(places, float), 0.0, 1.0)
        return {
            knob.name: knob.from_unit(float(place))
            for knob, place in zip(self.knobs, inside, strict=True)
        }

    def unheard(self, setting: Setting, channels: int, seconds: float) -> tuple[str, ...]:
        """What of a setting nobody can hear in such a sound, a sentence each: knobs that it names, and
        what would begin after the sound has ended."""
        values = self.complete(setting)
        told = (
            knob.unheard(channels, seconds, values[knob.name])
            for knob in self.knobs
            if knob.name in setting or isinstance(knob, Lag)
        )
        return tuple(words for words in told if words)

    def told(self, setting: Setting) -> str:
        """A setting for people, such as "drive 12 dB, tone 4000 Hz"."""
        values = self.complete(setting)
        return ", ".join(f"{knob.name} {knob.words(values[knob.name])}" for knob in self.knobs)
