"""The effects that spotify/pedalboard brings (GPL-3, an extra of ours), by its own names of its parameters.

Its setters take almost any number, so the ranges are ours: what is heard, and what sound at 16 kHz bears.
"""

import importlib.metadata

from timbrespace.effects.effect import Setting
from timbrespace.effects.hosts.plugin import Described, PluginEffect
from timbrespace.effects.knobs import Knob, Lag, Rate
from timbrespace.errors import EffectError, MissingExtra, suggestion

MISSING = "pedalboard is not installed: pip install 'timbrespace[plugins]'"

_MIX = Knob("mix", "", 0.0, 1.0, 0.5)
_ATTACK = Knob("attack_ms", "ms", 0.1, 50.0, 1.0, "log")
_RELEASE = Knob("release_ms", "ms", 10.0, 500.0, 100.0, "log")
_GAIN = Knob("gain_db", "dB", -18.0, 18.0, 6.0)
_Q = Knob("q", "", 0.3, 5.0, 0.7071, "log")
_RATE = Rate("rate_hz", "Hz", 0.1, 5.0, 1.0, "log")

BUILT_IN: dict[str, tuple[str, tuple[Knob, ...]]] = {
    "Bitcrush": ("fewer bits", (Knob("bit_depth", "bit", 2.0, 16.0, 8.0),)),
    "Chorus": (
        "a copy that drifts in time",
        (
            _RATE,
            Knob("depth", "", 0.0, 1.0, 0.25),
            Lag("centre_delay_ms", "ms", 1.0, 25.0, 7.0),
            Knob("feedback", "", 0.0, 0.85, 0.0),
            _MIX,
        ),
    ),
    "Clipping": ("hard clipping", (Knob("threshold_db", "dB", -40.0, 0.0, -6.0),)),
    "Compressor": (
        "loud parts made quieter, no make-up gain",
        (
            Knob("threshold_db", "dB", -50.0, 0.0, -20.0),
            Knob("ratio", "", 1.0, 20.0, 4.0, "log"),
            _ATTACK,
            _RELEASE,
        ),
    ),
    "Delay": (
        "echoes",
        (
            Lag("delay_seconds", "s", 0.02, 0.6, 0.25, "log"),
            Knob("feedback", "", 0.0, 0.85, 0.0),
            _MIX,
        ),
    ),
    "Distortion": (
        "tanh distortion, louder with drive",
        (Knob("drive_db", "dB", 0.0, 40.0, 25.0),),
    ),
    "Gain": ("louder or quieter", (Knob("gain_db", "dB", -24.0, 24.0, 0.0),)),
    "HighShelfFilter": (
        "more or less above a frequency",
        (Knob("cutoff_frequency_hz", "Hz", 1000.0, 7000.0, 3000.0, "log"), _GAIN, _Q),
    ),
    "HighpassFilter": (
        "less below a frequency, 6 dB per octave",
        (Knob("cutoff_frequency_hz", "Hz", 20.0, 4000.0, 200.0, "log"),),
    ),
    "LadderFilter": (
        "a resonant low-pass, 12 dB per octave",
        (
            Knob("cutoff_hz", "Hz", 100.0, 7000.0, 1000.0, "log"),
            Knob("resonance", "", 0.0, 1.0, 0.3),
            Knob("drive", "", 1.0, 10.0, 1.0, "log"),
        ),
    ),
    "Limiter": (
        "a limiter that adds gain",
        (Knob("threshold_db", "dB", -40.0, 0.0, -10.0), _RELEASE),
    ),
    "LowShelfFilter": (
        "more or less below a frequency",
        (Knob("cutoff_frequency_hz", "Hz", 50.0, 1000.0, 300.0, "log"), _GAIN, _Q),
    ),
    "LowpassFilter": (
        "less above a frequency, 6 dB per octave",
        (Knob("cutoff_frequency_hz", "Hz", 100.0, 7000.0, 2000.0, "log"),),
    ),
    "MP3Compressor": (
        "what MP3 leaves of it, 0 the best",
        (Knob("vbr_quality", "", 0.0, 9.0, 6.0),),
    ),
    "NoiseGate": (
        "quiet parts made quieter",
        (
            Knob("threshold_db", "dB", -80.0, -10.0, -40.0),
            Knob("ratio", "", 1.0, 20.0, 10.0, "log"),
            _ATTACK,
            _RELEASE,
        ),
    ),
    "PeakFilter": (
        "more or less around a frequency",
        (Knob("cutoff_frequency_hz", "Hz", 100.0, 6000.0, 1000.0, "log"), _GAIN, _Q),
    ),
    "Phaser": (
        "notches that sweep",
        (
            _RATE,
            Knob("depth", "", 0.0, 1.0, 0.5),
            Knob("centre_frequency_hz", "Hz", 200.0, 4000.0, 1300.0, "log"),
            Knob("feedback", "", 0.0, 0.8, 0.0),
            _MIX,
        ),
    ),
    "PitchShift": ("higher or lower, as long", (Knob("semitones", "st", -12.0, 12.0, 0.0),)),
    "Resample": (
        "a lower sample rate and back",
        (Knob("target_sample_rate", "Hz", 1000.0, 16000.0, 8000.0, "log"),),
    ),
    "Reverb": (
        "a room (Freeverb)",
        (
            Knob("room_size", "", 0.0, 1.0, 0.5),
            Knob("damping", "", 0.0, 1.0, 0.5),
            Knob("wet_level", "", 0.0, 1.0, 0.33),
            Knob("dry_level", "", 0.0, 1.0, 0.4),
            Knob("width", "", 0.0, 1.0, 1.0),
        ),
    ),
}


# Settings at which a sound is left as it is, up to rounding.
DRY: dict[str, Setting] = {
    "Chorus": {"mix": 0.0}, "Delay": {"mix": 0.0}, "Phaser": {"mix": 0.0}, "Gain": {"gain_db": 0.0},
    "HighShelfFilter": {"gain_db": 0.0}, "LowShelfFilter": {"gain_db": 0.0},
    "PeakFilter": {"gain_db": 0.0}, "Compressor": {"ratio": 1.0}, "NoiseGate": {"ratio": 1.0},
    "PitchShift": {"semitones": 0.0}, "Reverb": {"wet_level": 0.0, "dry_level": 0.5},
}  # fmt: skip


class PedalboardEffect(PluginEffect):
    host = "pedalboard"
    module = "timbrespace.effects.hosts.pedalboard_run"


def find(name: str) -> PedalboardEffect:
    """One of `BUILT_IN`; EffectError where there is no such one, MissingExtra without pedalboard."""
    if name not in BUILT_IN:
        hint = suggestion(name, BUILT_IN, f"those known here: {', '.join(BUILT_IN)}")
        raise EffectError(f"pedalboard has no effect {name!r}; {hint}")
    need()
    words, knobs = BUILT_IN[name]
    effect = PedalboardEffect(f"pedalboard:{name}", words, knobs, name)
    effect.dry = DRY.get(name)
    return effect


def described() -> list[Described]:
    if version() is None:
        return []
    return [Described(f"pedalboard:{name}", *about) for name, about in BUILT_IN.items()]


def state() -> str:
    """Whether it is there, in words."""
    return version() or MISSING


def need() -> None:
    """MissingExtra where pedalboard is not installed."""
    if version() is None:
        raise MissingExtra(MISSING)


def version() -> str | None:
    try:
        return importlib.metadata.version("pedalboard")
    except importlib.metadata.PackageNotFoundError:
        return None
