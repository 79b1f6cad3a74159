"""How loud a sound is from moment to moment, and what a compressor makes of it."""

import numpy as np

PACE = 4000.0  # Hz at which levels are followed
SILENCE = 1e-6  # -120 dBFS: below this all is as quiet


def reduction(
    samples: np.ndarray, sample_rate: int, *, threshold: float, ratio: float, attack: float,
    release: float, knee: float = 6.0, pace: float = PACE,
) -> np.ndarray:  # fmt: skip
    """By how many dB a compressor lowers each of samples (..., n), each row by its own level.

    Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design" (JAES 2012): peaks in dB,
    the gain computer with a soft `knee` of dB about `threshold` dBFS (eq. 4), then smoothing of the
    reduction in dB with the times `attack` and `release` in ms (branching, eq. 16). Peaks are taken and
    smoothed in steps of a quarter of a millisecond, and the reduction is straight between them.
    """
    n = samples.shape[-1]
    step = max(1, round(sample_rate / pace))
    edge = [(0, 0)] * (samples.ndim - 1)
    padded = np.pad(np.abs(samples), [*edge, (0, -n % step)])
    peaks = padded.reshape(*samples.shape[:-1], -1, step).max(-1)
    wanted = computed(20.0 * np.log10(np.maximum(peaks, SILENCE)), threshold, ratio, knee)
    stays = [float(np.exp(-1000.0 * step / (sample_rate * ms))) for ms in (attack, release)]
    rows = wanted.reshape(-1, wanted.shape[-1])
    followed = [_followed(row.tolist(), *stays) for row in rows]
    at, ends = np.arange(n), step * np.arange(1, rows.shape[-1] + 1) - 1
    return np.reshape([np.interp(at, ends, row) for row in followed], samples.shape)


def computed(level: np.ndarray, threshold: float, ratio: float, knee: float) -> np.ndarray:
    """By how many dB a level (dBFS, any shape) is lowered once all has settled."""
    over = level - threshold
    slope = 1.0 - 1.0 / ratio
    bend = np.clip(over + knee / 2.0, 0.0, knee) ** 2 / (2.0 * knee)
    return slope * np.where(over > knee / 2.0, over, bend)


def _followed(wanted: list[float], rising: float, falling: float) -> list[float]:
    """What follows `wanted` from 0 on: of the way that is left, `rising` or `falling` stays each step."""
    now, course = 0.0, []
    for goal in wanted:
        now = goal + (rising if goal > now else falling) * (now - goal)
        course.append(now)
    return course
