"""A host whose plug-ins do what plug-ins should not: `place` says what."""

import ctypes
import os
import time
from typing import Any

import numpy as np


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
