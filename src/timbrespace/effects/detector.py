"""How loud a sound is from moment to moment, and by how much a compressor lowers it."""

import math
from typing import Any

PACE = 4000.0  # Hz at which levels are followed
SILENCE = 1e-6  # -120 dBFS: below this all is as quiet


def reduction(
    x: Any, sample_rate: int, maths: Any, *, threshold: Any, ratio: Any, attack: Any, release: Any,
    knee: float = 6.0, pace: float = PACE,
) -> Any:  # fmt: skip
    """By how many dB a compressor lowers each sample of x (..., n), each row by its own level.

    Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design" (JAES 2012): peaks in dB,
    the gain computer with a soft `knee` of dB about `threshold` dBFS (eq. 4), then smoothing of the
    reduction in dB with the times `attack` and `release` in ms (branching, eq. 16). Peaks are taken and
    smoothed about `pace` times a second, and the reduction is straight between them.
    """
    step = max(1, round(sample_rate / pace))
    filled = maths.lengthened(abs(x), -x.shape[-1] % step)
    peaks = maths.largest_of_last(filled.reshape(*x.shape[:-1], -1, step))
    level = 20.0 * maths.xp.log10(maths.xp.clip(peaks, SILENCE, None))
    stays = [math.e ** (-1000.0 * step / (sample_rate * ms)) for ms in (attack, release)]
    followed = maths.followed(computed(level, threshold, ratio, knee, maths.xp), *stays)
    return maths.interpolated(followed, (maths.times(x) + 1.0) / step - 1.0)


def computed(level: Any, threshold: Any, ratio: Any, knee: float, xp: Any) -> Any:
    """By how many dB a level (dBFS, any shape) is lowered once all has settled."""
    over = level - threshold
    bend = xp.clip(over + knee / 2.0, 0.0, knee) ** 2 / (2.0 * knee)
    return (1.0 - 1.0 / ratio) * xp.where(over > knee / 2.0, over, bend)


def gain(decibels: Any, maths: Any) -> Any:
    """The factor of so many dB."""
    return maths.xp.exp(maths.single(decibels) * (math.log(10.0) / 20.0))
