"""A plug-in as an effect: its knobs here, its sound made in a process of its own."""

from typing import ClassVar, NamedTuple

import numpy as np

from timbrespace.effects.effect import Effect, usable
from timbrespace.effects.hosts.process import worker
from timbrespace.effects.knobs import Knob

LIMIT = 10.0  # seconds a render may take beside twice the length of the sound


class Described(NamedTuple):
    """A plug-in that was found and not loaded; `knobs` is None where only loading it would tell them."""

    name: str
    words: str
    knobs: tuple[Knob, ...] | None


class PluginEffect(Effect):
    """An effect of another maker. (2, n) and (..., 2, n) are stereo, all other channels mono sounds of
    their own; a mono sound hears the mean of a plug-in's outputs.

    `module` has the `load` that the worker calls with `place`; `limit`: seconds that a render may take
    beside twice the length of the sound.
    """

    module: ClassVar[str]
    level = "as the plug-in leaves it"

    def __init__(
        self, name: str, words: str, knobs: tuple[Knob, ...], place: str, limit: float = LIMIT
    ) -> None:
        self.name, self.words, self.knobs = name, words, knobs
        self.place, self.limit = place, limit

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        stereo = samples.ndim > 1 and samples.shape[-2] == 2
        sounds = samples.reshape(-1, 2 if stereo else 1, samples.shape[-1])
        limit = self.limit + 2.0 * samples.shape[-1] / sample_rate
        runner = worker(self.name, self.module, self.place)
        made = [runner.render(sound, sample_rate, values, limit) for sound in sounds]
        whole = np.reshape(made, samples.shape)
        if not usable(whole):
            runner.end()  # nobody knows what else it wrote, and where
        return whole
