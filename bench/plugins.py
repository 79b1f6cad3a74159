"""What a plug-in's own process costs: renders through it beside the same renders without one.

    python bench/plugins.py

Sounds of 2 s at 16 kHz, mono, default settings; the median of RENDERS renders. Needs LV2 plug-ins
(Debian: mda-lv2) and pedalboard. Writes bench/results/plugins.md; half a minute on one core.
"""

import importlib
import time
from collections.abc import Callable

import numpy as np
import result

from timbrespace.effects import hosts
from timbrespace.effects.hosts.plugin import PluginEffect

PLUGINS = (
    *(f"lv2:{name}" for name in ("Delay", "Overdrive", "Ambience", "Leslie", "MultiBand")),
    *(f"pedalboard:{name}" for name in ("Gain", "Delay", "Chorus", "Reverb", "Phaser")),
)
RENDERS = 200
RATE, SECONDS = 16000, 2.0


def main() -> None:
    result.options(__doc__).parse_args()
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, round(RATE * SECONDS)).astype(np.float32)
    rows = []
    for name in PLUGINS:
        effect = hosts.find(name)
        assert isinstance(effect, PluginEffect)
        began = time.perf_counter()
        effect.render(sound, RATE)
        first = time.perf_counter() - began
        values = effect.complete({})
        plugin = importlib.import_module(effect.module).load(effect.place)
        own = median(lambda p=plugin, v=values: p.render(sound[None], RATE, v))
        whole = median(lambda e=effect: e.render(sound, RATE))
        rows.append((
            f"`{name}`", f"{1e3 * whole:.2f}", f"{1e3 * own:.2f}", f"{1e3 * (whole - own):.2f}",
            f"{SECONDS / whole:.0f}", f"{1e3 * first:.0f}",
        ))  # fmt: skip
    result.write(
        result.FOLDER / "plugins.md",
        "Plug-ins in processes of their own",
        result.made_by("python bench/plugins.py"),
        "Milliseconds for a sound of 2 s at 16 kHz. The first render starts the process.",
        result.table(
            ("plug-in", "render", "its own part", "beyond it", "x real time", "first render"), rows
        ),
    )


def median(render: Callable[[], object]) -> float:
    """Seconds of a render."""
    times = []
    for _ in range(RENDERS):
        began = time.perf_counter()
        render()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


if __name__ == "__main__":
    main()
