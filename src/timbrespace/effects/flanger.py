"""Flanger: a sound beside itself, a few milliseconds late, the delay swinging and fed back."""

import numpy as np

from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.effects.moving import read, swing

INAUDIBLE = 10.0 ** (-50.0 / 20.0)  # echoes below this are left out


class Flanger(Effect):
    """A comb that moves (Zölzer (ed.), DAFX, second edition, section 2.6.2), with feedback.

    The delayed sound is w = D (x + feedback w), where D reads a sound at p(t) = t - delay(t). Its echoes
    sum to (1 + f D)(1 + f^2 D^2)(1 + f^4 D^4) ... D x, and D^2k reads at p applied 2k times, which is
    itself a course that can be read between its samples: a few passes in place of a loop over samples.
    """

    name = "flanger"
    words = "a comb of notches that sweeps up and down"
    level = "up to 6 dB louder or softer at each frequency, more with feedback"
    knobs = (
        Knob("rate", "Hz", 0.05, 2.0, 0.3, "log", seconds=1.0),
        Knob("depth", "", 0.0, 1.0, 0.7),
        Knob("delay", "ms", 0.5, 8.0, 2.0, "log"),
        Knob("feedback", "", 0.0, 0.8, 0.3),
        Knob("mix", "", 0.0, 1.0, 0.5),
    )
    dry = {"mix": 0.0}

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        n, mix = samples.shape[-1], np.float32(values["mix"])
        most = 0.001 * values["delay"] * sample_rate  # samples, at the top of the swing
        moved = 0.45 * values["depth"] * (1.0 - swing(n, sample_rate, values["rate"], 0.25))
        times = np.arange(n, dtype=np.float64)
        places = times - np.maximum(1.0, most * (1.0 - moved))
        wet = read(samples, places)
        echo, shortest = values["feedback"], float((times - places).min())
        while echo > INAUDIBLE and shortest < n:
            wet += np.float32(echo) * read(wet, places)
            places = _again(places)
            echo, shortest = echo**2, 2.0 * shortest
        return (1 - mix) * samples + mix * wet


def _again(places: np.ndarray) -> np.ndarray:
    """`places` (n,) applied to itself; what lies before the beginning goes back at its first step."""
    times = np.arange(len(places), dtype=np.float64)
    return np.interp(places, times, places) + np.minimum(places, 0.0)
