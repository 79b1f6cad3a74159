"""Figures as PNG bytes, and as SVG: curves, bars, pictures of sounds, maps and matrices.

Conventions
-----------
Every function takes numbers and returns the bytes of one PNG, whose `svg()` is the same figure;
nothing is shown, no global state of matplotlib is touched. Colours are those of Okabe & Ito (2008),
distinct to colour-blind eyes, and names also differ by marker; numbers use cividis, differences a
blue-white-red scale that is white at nothing. Labels are drawn as they are (no mathematics in dollar
signs) and shortened when long.
"""

from timbrespace.evaluation.figures.bars import (
    against_floor,
    agreement,
    agreement_by_study,
    beside,
    standing,
)
from timbrespace.evaluation.figures.curves import (
    bits_per_dimension,
    overlaid,
    pitch_errors,
    pitches_heard,
    training_curves,
    where,
)
from timbrespace.evaluation.figures.maps import (
    map_by_name,
    map_by_number,
    maps_by_knob,
    maps_by_name,
    way,
)
from timbrespace.evaluation.figures.matrices import moves
from timbrespace.evaluation.figures.pictures import sounds, spectrograms, strips
from timbrespace.evaluation.figures.plane import rate_distortion

__all__ = [
    "against_floor",
    "agreement",
    "agreement_by_study",
    "beside",
    "bits_per_dimension",
    "map_by_name",
    "map_by_number",
    "maps_by_knob",
    "maps_by_name",
    "moves",
    "overlaid",
    "pitch_errors",
    "pitches_heard",
    "rate_distortion",
    "sounds",
    "spectrograms",
    "standing",
    "strips",
    "training_curves",
    "way",
    "where",
]
