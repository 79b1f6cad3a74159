"""An effect of pedalboard at work; only ever in a worker's process."""

from typing import Any

import numpy as np
import pedalboard


def load(place: str) -> "BuiltIn":
    """The effect of this name."""
    return BuiltIn(getattr(pedalboard, place))


class BuiltIn:
    """One effect; every render has an instance of its own."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def facts(self) -> dict[str, Any]:
        return {}

    def render(self, samples: np.ndarray, sample_rate: int, values: dict[str, float]) -> np.ndarray:
        return self.kind(**values).process(samples, sample_rate)
