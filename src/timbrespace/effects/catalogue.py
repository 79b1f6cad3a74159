"""Which effects there are, by name."""

from collections.abc import Iterable

from timbrespace.effects.bitcrush import Bitcrush
from timbrespace.effects.chain import Chain
from timbrespace.effects.chorus import Chorus
from timbrespace.effects.compressor import Compressor
from timbrespace.effects.delay import Delay
from timbrespace.effects.effect import Effect
from timbrespace.effects.equaliser import Equaliser
from timbrespace.effects.flanger import Flanger
from timbrespace.effects.multiband import Multiband
from timbrespace.effects.overdrive import Overdrive
from timbrespace.effects.phaser import Phaser
from timbrespace.effects.reverb import Reverb
from timbrespace.effects.ringmod import Ringmod, Tremolo
from timbrespace.errors import EffectError, MissingExtra, suggestion

EFFECTS: dict[str, Effect] = {
    effect.name: effect
    for effect in (
        Overdrive(), Bitcrush(), Equaliser(), Compressor(), Multiband(), Delay(), Reverb(), Chorus(),
        Flanger(), Phaser(), Ringmod(), Tremolo(),
    )
}  # fmt: skip


def find(name: str) -> Effect:
    """The effect of this name: an own one (`delay`), one of a host (`lv2:Delay`), or several in a row
    (`overdrive+delay`); EffectError where there is none."""
    parts = [_find_one(part) for part in _parted(name)]
    return parts[0] if len(parts) == 1 else Chain(parts)


def _parted(name: str) -> list[str]:
    """The names of several effects in a row; a plug-in's may have a + of its own."""
    parts: list[str] = []
    for part in name.split("+"):
        if parts and ":" in parts[-1] and ":" not in part and part not in EFFECTS:
            parts[-1] += f"+{part}"
        else:
            parts.append(part)
    return parts


def found(names: Iterable[str]) -> tuple[dict[str, Effect], dict[str, str]]:
    """The effects of these names, and of each that needs a plug-in which cannot be had here, why, in a
    sentence. EffectError for a name that is none, and where all are missing."""
    from timbrespace.effects import hosts

    there: dict[str, Effect] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            there[name] = find(name)
        except (EffectError, MissingExtra) as error:
            if not all(part in EFFECTS or hosts.is_plugin(part) for part in _parted(name)):
                raise
            missing[name] = str(error)
    if missing and not there:
        raise EffectError("; ".join(missing.values()))
    return there, missing


def _find_one(name: str) -> Effect:
    if name in EFFECTS:
        return EFFECTS[name]
    if ":" in name:
        from timbrespace.effects import hosts

        return hosts.find(name)
    hint = suggestion(name, EFFECTS, f"known here: {', '.join(EFFECTS)}")
    raise EffectError(f"there is no effect {name!r}; {hint}")
