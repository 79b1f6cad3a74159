"""VST3 plug-ins, which pedalboard loads: by their path, with the knobs that they name themselves."""

import os
import sys
from pathlib import Path

from timbrespace.effects.hosts import pedalboard
from timbrespace.effects.hosts.plugin import Described, PluginEffect
from timbrespace.effects.hosts.process import worker
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError


class Vst3(PluginEffect):
    host = "vst3"
    module = "timbrespace.effects.hosts.vst3_run"


def find(path: str) -> Vst3:
    """The plug-in at a path; EffectError where it cannot be loaded, MissingExtra without pedalboard.

    It is loaded to know its knobs, which may take a second.
    """
    pedalboard.need()
    if not Path(path).exists():
        raise EffectError(f"there is no VST3 plug-in at {path}; give the path of a .vst3")
    facts = worker(f"vst3:{path}", Vst3.module, path).facts()
    knobs = tuple(Knob(**knob) for knob in facts["knobs"])
    return Vst3(f"vst3:{path}", facts["words"], knobs, path)


def described() -> list[Described]:
    """Those in the system's usual folders, none of them loaded."""
    if pedalboard.version() is None:
        return []
    found = (path for folder in folders() if folder.is_dir() for path in folder.rglob("*.vst3"))
    outer = (path for path in found if not any(p.suffix == ".vst3" for p in path.parents))
    return [Described(f"vst3:{path}", path.stem, None) for path in sorted(outer)]


def state() -> str:
    """How many there are, in words."""
    if pedalboard.version() is None:
        return pedalboard.MISSING
    return f"{len(described())} in {', '.join(map(str, folders()))}; others by their path"


def folders() -> list[Path]:
    """Where VST3s lie on this system (Steinberg, "Plug-in Locations")."""
    home = Path.home()
    if sys.platform == "darwin":
        return [home / "Library/Audio/Plug-Ins/VST3", Path("/Library/Audio/Plug-Ins/VST3")]
    if sys.platform == "win32":
        return [
            Path(os.environ.get("COMMONPROGRAMFILES", "C:/Program Files/Common Files")) / "VST3"
        ]
    return [home / ".vst3", Path("/usr/lib/vst3"), Path("/usr/local/lib/vst3")]
