"""Flanger: a sound beside itself, a few milliseconds late, the delay swinging and fed back."""

from collections.abc import Iterator
from typing import Any

from timbrespace.effects.differentiable import Differentiable
from timbrespace.effects.knobs import Knob, Lag, Rate
from timbrespace.effects.moving import read, swing

INAUDIBLE = 10.0 ** (-50.0 / 20.0)  # echoes below this are left out


class Flanger(Differentiable):
    """A comb that moves (Zölzer (ed.), DAFX, second edition, section 2.6.2), with feedback.

    The delayed sound is w = D (x + feedback w), where D reads a sound at p(t) = t - delay(t). Its echoes
    sum to (1 + f D)(1 + f^2 D^2)(1 + f^4 D^4) ... D x, and D^2k reads at p applied 2k times, which is
    itself a course that can be read between its samples: a few passes in place of a loop over samples.
    """

    name = "flanger"
    words = "a comb of notches that sweeps up and down"
    level = "up to 6 dB louder or softer at each frequency, more with feedback"
    knobs = (
        Rate("rate", "Hz", 0.05, 2.0, 0.3, "log", seconds=1.0),
        Knob("depth", "", 0.0, 1.0, 0.7),
        Lag("delay", "ms", 0.5, 8.0, 2.0, "log"),
        Knob("feedback", "", 0.0, 0.8, 0.3),
        Knob("mix", "", 0.0, 1.0, 0.5),
    )
    dry = {"mix": 0.0}
    swings = True

    def formula(self, x: Any, sample_rate: int, maths: Any, **values: Any) -> Any:
        mix, echo, now = values["mix"], values["feedback"], maths.times(x)
        most = 0.001 * values["delay"] * sample_rate  # samples, at the top of the swing
        swung = swing(x, sample_rate, values["rate"], maths, 0.25, values.get("start", 0))
        moved = 0.45 * values["depth"] * (1.0 - swung)
        behind = maths.xp.clip(most * (1.0 - moved), 1.0, None)
        wet = read(x, now - behind, maths)
        heard = _heard(echo, -maths.largest(-behind), len(now), maths)
        for strength, places in zip(heard, _doubled(now - behind, maths), strict=False):
            wet = wet + strength * read(wet, places, maths)
        return (1.0 - mix) * x + mix * wet


def _heard(echo: Any, shortest: float, n: int, maths: Any) -> Iterator[Any]:
    """echo, echo^2, echo^4 ... while they are heard in n samples, the first `shortest` samples late."""
    strongest = maths.largest(echo)
    while strongest > INAUDIBLE and shortest < n:
        yield echo * (echo > INAUDIBLE)
        echo, strongest, shortest = echo**2, strongest**2, 2.0 * shortest


def _doubled(places: Any, maths: Any) -> Iterator[Any]:
    """A course (..., n), and what it is when it is gone 2, 4, 8 ... times."""
    while True:
        yield places
        # Before the beginning there is no course to read: it goes back at its first step.
        places = maths.interpolated(places, places) + maths.xp.clip(places, None, 0.0)
