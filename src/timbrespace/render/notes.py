"""How long a note is: what it holds lasts longer or shorter, its attack and its release stay.

Levels and places are in frames; a place between two frames is a fraction. What is stretched are curves
and pictures, never a waveform.
"""

from dataclasses import dataclass

import numpy as np

from timbrespace.errors import RunError

NEAR = (
    3.0  # dB below its loudest where a note's attack is over, and by which a release falls at once
)
SETTLED = 0.05  # seconds that follow before it holds
ENDED = 60.0  # dB below its loudest: it has died away
CUT = 30.0  # dB below its loudest, at most, of a note whose window ends before it does
FADE = 100.0  # milliseconds of the release that such a note is given


@dataclass(frozen=True)
class Course:
    """Of a note: the frames at which it begins to hold, begins to die away, and has died away; `cut`
    when its window ends before."""

    hold: int
    release: int
    end: int
    cut: bool

    def places(self, frames: int) -> np.ndarray:
        """Where in the note each of `frames` frames of one as long lies; RunError when there is no room
        for attack and release."""
        after = self.end - self.release
        if frames <= self.hold + after:
            raise RunError(
                f"attack and release of this note take {self.hold + after} frames, and {frames} were "
                "asked for; ask for a longer note"
            )
        held = np.linspace(self.hold, self.release, frames - self.hold - after)
        return np.concatenate(
            [np.arange(self.hold), held, np.arange(self.release + 1, self.end + 1)]
        )


def course_of(level_db: np.ndarray, seconds: float) -> Course:
    """The course of a note from the level of its frames (T,), which are `seconds` apart.

    It holds from when it comes near its loudest, and goes on as a straight line in dB through its first
    half says, until it falls below that line for good.
    """
    top = float(level_db.max())
    settled = max(1, round(SETTLED / seconds))
    end = int(np.flatnonzero(level_db >= top - ENDED)[-1])
    hold = min(int(np.flatnonzero(level_db >= top - NEAR)[0]) + settled, end)
    half = slice(hold, hold + max(2, (end - hold) // 2))
    at = np.arange(len(level_db))
    if len(at[half]) < 2:
        return Course(hold, end, end, cut=level_db[end] > top - CUT)
    slope, start = np.polyfit(at[half], level_db[half], 1)
    near = np.flatnonzero(level_db[: end + 1] >= start + slope * at[: end + 1] - NEAR)
    release = max(hold, int(near[-1]) - 1) if near[-1] < end else end
    return Course(hold, release, end, cut=bool(level_db[end] > top - CUT))


def stretched(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values (..., T) at places (N,) between the frames, in straight lines: (..., N)."""
    left = np.minimum(places.astype(np.int64), values.shape[-1] - 1)
    right = np.minimum(left + 1, values.shape[-1] - 1)
    share = (places - left).astype(values.dtype)
    return values[..., left] * (1 - share) + values[..., right] * share
