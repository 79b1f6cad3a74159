"""Effects: sound to sound with knobs."""

from timbrespace.effects.chain import Chain
from timbrespace.effects.effect import Effect, Setting
from timbrespace.effects.knobs import Knob

__all__ = ["Chain", "Effect", "Knob", "Setting"]
