"""Effects: sound to sound with knobs."""

from timbrespace.effects.effect import Effect, Setting
from timbrespace.effects.knobs import Knob

__all__ = ["Effect", "Knob", "Setting"]
