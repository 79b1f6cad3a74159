"""What tests measure of a tone."""

import numpy as np


def strongest(sound: np.ndarray, rate: int) -> float:
    """Hertz of the strongest partial of a sound (n,): the peak of a parabola through the log spectrum, Hann
    window."""
    windowed = sound.astype(np.float64) * np.hanning(len(sound))
    spectrum = np.abs(np.fft.rfft(windowed, 8 * len(sound)))
    top = int(spectrum.argmax())
    a, b, c = np.log(spectrum[top - 1 : top + 2])
    return (top + 0.5 * (a - c) / (a - 2 * b + c)) * rate / (8 * len(sound))
