"""Notes of the built-in instruments, where a few dry sounds are needed and none is given."""

from collections.abc import Sequence

import numpy as np


def built_in(notes: Sequence[tuple[int, int]], sample_rate: int) -> list[np.ndarray]:
    """Notes (n,) of four seconds, float32, at the bank's own levels, by General MIDI program and key."""
    from timbrespace.data.instruments import BANK
    from timbrespace.data.sampler import Sampler
    from timbrespace.data.soundfont import SoundFont

    font = SoundFont.open(BANK)
    presets = {preset.program: preset for preset in font.presets if preset.bank == 0}
    sampler = Sampler(font, sample_rate)
    return [sampler.note(presets[program], key, 100) for program, key in notes]
