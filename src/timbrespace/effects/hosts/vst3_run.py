"""A VST3 plug-in at work, loaded by pedalboard; only ever in a worker's process."""

import contextlib
from typing import Any

import numpy as np
import pedalboard

from timbrespace.errors import EffectError

NOT_KNOBS = ("bypass", "program")  # in the names of parameters that are none of the sound's


def load(place: str) -> "Vst3Plugin":
    """The plug-in at this path."""
    return Vst3Plugin(place)


class Vst3Plugin:
    """One plug-in, reset before every render; loaded anew where that leaves something of the last sound,
    which takes 0.1 to 0.3 s."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.plugin = self.opened()
        if not self.plugin.is_effect:
            raise EffectError("it is an instrument; an effect was expected")
        self.scales: dict[
            str, tuple[np.ndarray, np.ndarray]
        ] = {}  # a knob's values, and their places
        self.knobs = [
            self.knob(name, parameter)
            for name, parameter in self.plugin.parameters.items()
            if parameter.is_automatable and not any(word in name for word in NOT_KNOBS)
        ]
        self.remembers = False
        self.remembers = not self.repeats()

    def opened(self) -> Any:
        try:
            return pedalboard.VST3Plugin(self.path)
        except (ImportError, ValueError) as error:
            raise EffectError(f"it cannot be loaded: {error}") from None

    def repeats(self) -> bool:
        """Whether a sound sounds the same after another one."""
        one, other = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 1, 4096)).astype(np.float32)
        middle = {knob["name"]: (knob["low"] + knob["high"]) / 2.0 for knob in self.knobs}
        first, _, again = (self.render(x, 16000, middle) for x in (one, other, one))
        return np.array_equal(first, again, equal_nan=True)

    def knob(self, name: str, parameter: Any) -> dict[str, Any]:
        """In the parameter's unit where its values are numbers that grow, else from 0 to 1."""
        steps = list(parameter.valid_values)
        values = np.array(steps if parameter.type is float else [], float)
        if len(values) < 2 or not (np.diff(values) > 0.0).all():
            values = np.array([0.0, 1.0])
        places = np.linspace(0.0, 1.0, len(values))
        self.scales[name] = values, places
        low, high = float(values[0]), float(values[-1])
        middle, default = np.interp([0.5, parameter.default_raw_value], places, values)
        is_log = low > 0.0 and abs(middle / np.sqrt(low * high) - 1.0) < 0.1 * (high / low) ** 0.5
        is_log = is_log and abs(middle - (low + high) / 2.0) > 0.1 * (high - low)
        unit = (parameter.label or "").strip() if len(values) > 2 else ""
        return {
            "name": name, "unit": unit, "low": low, "high": high, "default": float(default),
            "curve": "log" if is_log else "linear",
        }  # fmt: skip

    def facts(self) -> dict[str, Any]:
        words = f"{self.plugin.name} by {self.plugin.manufacturer_name}"
        return {"words": words, "knobs": self.knobs}

    def render(self, samples: np.ndarray, sample_rate: int, values: dict[str, float]) -> np.ndarray:
        """A plug-in that does not take one channel hears it twice, and the mean of two is given back; one
        that does not take two has each in turn."""
        if self.remembers:
            self.plugin = self.opened()
        for name, value in values.items():
            self.plugin.parameters[name].raw_value = float(np.interp(value, *self.scales[name]))
        with contextlib.suppress(ValueError):
            return self.process(samples, sample_rate)
        if len(samples) == 1:
            both = self.process(np.repeat(samples, 2, axis=0), sample_rate)
            return both.mean(axis=0, keepdims=True)
        return np.concatenate([self.process(one[None], sample_rate) for one in samples])

    def process(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        return self.plugin.process(samples, sample_rate, reset=True)
