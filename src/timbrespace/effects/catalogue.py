"""Which effects there are, by name."""

from timbrespace.effects.effect import Effect
from timbrespace.effects.overdrive import Overdrive
from timbrespace.errors import EffectError, suggestion

EFFECTS: dict[str, Effect] = {effect.name: effect for effect in (Overdrive(),)}


def find(name: str) -> Effect:
    """The effect of this name; EffectError where there is none."""
    if name in EFFECTS:
        return EFFECTS[name]
    hint = suggestion(name, EFFECTS, f"known here: {', '.join(EFFECTS)}")
    raise EffectError(f"there is no effect {name!r}; {hint}")
