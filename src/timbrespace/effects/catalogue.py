"""Which effects there are, by name."""

from timbrespace.effects.bitcrush import Bitcrush
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
from timbrespace.errors import EffectError, suggestion

EFFECTS: dict[str, Effect] = {
    effect.name: effect
    for effect in (
        Overdrive(), Bitcrush(), Equaliser(), Compressor(), Multiband(), Delay(), Reverb(), Chorus(),
        Flanger(), Phaser(), Ringmod(), Tremolo(),
    )
}  # fmt: skip


def find(name: str) -> Effect:
    """The effect of this name; EffectError where there is none."""
    if name in EFFECTS:
        return EFFECTS[name]
    hint = suggestion(name, EFFECTS, f"known here: {', '.join(EFFECTS)}")
    raise EffectError(f"there is no effect {name!r}; {hint}")
