"""A host whose plug-ins do what plug-ins should not: `place` says what."""

import ctypes
import os
import subprocess
import time
from typing import Any

import numpy as np

from timbrespace.effects.hosts.plugin import PluginEffect
from timbrespace.effects.hosts.process import worker
from timbrespace.effects.knobs import Knob

__all__ = ["BAD", "GOOD", "load", "misbehaving", "worker"]

GOOD, BAD = np.array([0.0, 0.5], np.float32), np.array([0.5, 0.5], np.float32)


class MisbehavingEffect(PluginEffect):
    host = "test"
    module = "misbehaving"


def misbehaving(place: str, limit: float = 20.0) -> MisbehavingEffect:
    knobs = (Knob("much", "dB", 0.0, 1.0, 0.5),)
    return MisbehavingEffect(f"test:{place}", "", knobs, place, limit)


class Misbehaving:
    def __init__(self, place: str) -> None:
        self.place = place

    def facts(self) -> dict[str, Any]:
        return {"pid": os.getpid()}

    def render(self, samples: np.ndarray, sample_rate: int, values: dict[str, float]) -> np.ndarray:
        """The samples, as they came where they begin with 0; else the thing happens."""
        if not samples[0, 0]:
            return samples
        if self.place == "crash":
            ctypes.string_at(0)
        if self.place == "hang":
            time.sleep(60.0)
        if self.place == "fork":
            subprocess.Popen(["sleep", "60"])
            time.sleep(60.0)
        if self.place == "loud":
            return samples * np.float32(3e38)
        if self.place == "leave":
            os._exit(3)
        if self.place == "refuse":
            raise ValueError("no such filter at this rate")
        if self.place == "print":
            os.write(1, b"loading presets\n")
        if self.place == "nan":
            return samples * np.nan
        if self.place == "short":
            return samples[:, 1:]
        return samples


def load(place: str) -> Misbehaving:
    if place == "unloadable":
        ctypes.string_at(0)
    return Misbehaving(place)
