"""Delay: echoes that grow softer and darker."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from timbrespace.effects.effect import Effect
from timbrespace.effects.filters import radians
from timbrespace.effects.knobs import Knob, Lag

if TYPE_CHECKING:
    from torch import Tensor


class Delay(Effect):
    """Echoes every `time`: w(t) = x(t - time) + feedback lowpass(w)(t - time), the first echo as bright as
    the sound and each later one through a one-pole low-pass at `tone` once more (Zölzer (ed.), DAFX,
    second edition, section 2.6.1). `time` is rounded to a sample."""

    name = "delay"
    words = "echoes that grow softer and darker"
    level = "kept by each sound and echo; they add where they meet, at most to 1 / (1 - feedback)"
    knobs = (
        Lag("time", "ms", 20.0, 600.0, 250.0, "log"),
        Knob("feedback", "", 0.0, 0.85, 0.4),
        Knob("tone", "Hz", 500.0, 7000.0, 3000.0, "log"),
        Knob("mix", "", 0.0, 1.0, 0.4),
    )
    dry = {"mix": 0.0}
    differentiable = True

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        n, mix = samples.shape[-1], np.float32(values["mix"])
        late = round(0.001 * values["time"] * sample_rate)
        wet = np.zeros_like(samples)
        wet[..., late:] = samples[..., : max(0, n - late)]
        pole = np.exp(-radians(values["tone"], sample_rate, np))
        state = np.zeros((*samples.shape[:-1], 1))
        for start in range(2 * late, n, late):  # an echo is whole before the next one needs it
            echo = wet[..., start - late : min(start, n - late)]
            darker, state = lfilter([1.0 - pole], [1.0, -pole], echo, zi=state)
            wet[..., start : start + late] += values["feedback"] * darker
        return (1 - mix) * samples + mix * wet

    def process_tensor(self, x: "Tensor", sample_rate: int, **values: "Tensor") -> "Tensor":
        import torch

        from timbrespace.effects.tensors import responded, rounded

        columns = {name: value[:, None].double() for name, value in values.items()}
        late = rounded(0.001 * columns["time"] * sample_rate)
        pole = torch.exp(-radians(columns["tone"], sample_rate, torch))

        def response(delayed: "Tensor") -> "Tensor":
            once = torch.exp(late * torch.log(delayed))
            darker = (1.0 - pole) / (1.0 - pole * delayed)
            wet = once / (1.0 - columns["feedback"] * darker * once)
            return (1.0 - columns["mix"]) + columns["mix"] * wet

        return responded(x.double(), response).to(x.dtype)
