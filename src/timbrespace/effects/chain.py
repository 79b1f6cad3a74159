"""Effects in a row, as one effect."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count
from typing import TYPE_CHECKING

import numpy as np

from timbrespace.effects.effect import Effect

if TYPE_CHECKING:
    from torch import Tensor


class Chain(Effect):
    """One effect after another. A knob is called EFFECT.KNOB, that of a second effect of a kind
    EFFECT2.KNOB; a chain within a chain counts as its parts."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        """At least one effect, the first one first."""
        flat = [part for e in effects for part in (e.parts if isinstance(e, Chain) else (e,))]
        if not flat:
            raise ValueError("a chain needs at least one effect")
        self.parts = tuple(flat)
        self._titled: dict[str, Effect] = {}
        for effect in flat:
            names = chain([effect.name], (f"{effect.name}{k}" for k in count(2)))
            self._titled[next(name for name in names if name not in self._titled)] = effect
        self.name = "+".join(effect.name for effect in flat)
        self.words = ", then ".join(effect.words for effect in flat)
        self.level = "; ".join(f"{title}: {e.level}" for title, e in self._titled.items())
        self.host = " and ".join(dict.fromkeys(effect.host for effect in flat))
        self.differentiable = all(effect.differentiable for effect in flat)
        self.swings = any(effect.swings for effect in flat)
        self.knobs = tuple(
            replace(knob, name=f"{title}.{knob.name}")
            for title, effect in self._titled.items()
            for knob in effect.knobs
        )
        if all(effect.dry is not None for effect in flat):
            self.dry = {
                f"{title}.{name}": value
                for title, effect in self._titled.items()
                for name, value in (effect.dry or {}).items()
            }

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        start = int(values.get("start", 0))
        for title, effect in self._titled.items():
            own = {k.name: values[f"{title}.{k.name}"] for k in effect.knobs}
            samples = effect.render(samples, sample_rate, own, start=start)
        return samples

    def process_tensor(self, x: "Tensor", sample_rate: int, **values: "Tensor") -> "Tensor":
        for title, effect in self._titled.items():
            own = {k.name: values[f"{title}.{k.name}"] for k in effect.knobs}
            x = effect.process_tensor(x, sample_rate, **own)
        return x
