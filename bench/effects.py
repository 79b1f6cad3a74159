"""How many times faster than real time each own effect renders, on one core.

    OMP_NUM_THREADS=1 python bench/effects.py [--settings 20] [--seconds 2]

Noise of `seconds` at 16 and 44.1 kHz, mono, the best of three renders of each of `settings` random settings;
the times are those of the processor, so that a busy machine does not count; freed memory is kept, as commands
keep it (`memory.py` has what that gains). Over the median setting and,
in brackets, over the slowest. Writes bench/results/effects.md.
"""

import time

import numpy as np
from result import FOLDER, made_by, options, table, write

from timbrespace.effects import Effect
from timbrespace.effects.catalogue import EFFECTS
from timbrespace.machine import keep_memory

RATES = (16000, 44100)


def best(effect: Effect, sound: np.ndarray, rate: int, setting: dict[str, float]) -> float:
    """Seconds of the processor for one render."""
    times = []
    for _ in range(3):
        began = time.process_time()
        effect.render(sound, rate, setting)
        times.append(time.process_time() - began)
    return min(times)


def row(effect: Effect, settings: int, seconds: float) -> list[str]:
    cells = [effect.name]
    for rate in RATES:
        rng = np.random.default_rng(0)
        sound = (0.2 * rng.standard_normal(round(seconds * rate))).astype(np.float32)
        effect.render(sound, rate)  # what is made once for a rate
        places = rng.random((settings, len(effect.knobs)))
        took = [best(effect, sound, rate, effect.from_units(place)) for place in places]
        cells.append(f"{seconds / np.median(took):.0f} ({seconds / max(took):.0f})")
    return cells


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--settings", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    keep_memory()
    rows = [row(effect, args.settings, args.seconds) for effect in EFFECTS.values()]
    write(
        FOLDER / "effects.md", "Effects against real time",
        f"Times real time of {args.seconds:g} s on one core at the median of {args.settings} random "
        "settings (at the slowest).",
        table(("effect", *(f"{rate} Hz" for rate in RATES)), rows),
        made_by(f"OMP_NUM_THREADS=1 python bench/effects.py --settings {args.settings}"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
