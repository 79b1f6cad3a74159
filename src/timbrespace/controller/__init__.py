"""Controllers: 2 to 8 numbers that play all knobs of an effect."""

from timbrespace.controller.controller import Axis, Controller

__all__ = ["Axis", "Controller"]
