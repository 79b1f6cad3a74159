"""The response that leads from one sound to another: what became of each of its samples, lag by lag."""

import numpy as np

SOFT = 0.01  # of the mean power: bins of a dry spectrum far below it count as without sound


class Response:
    """Of sounds (n,) to a dry one (n,): the quotient of their spectra as a response (n,), an echo at its lag;
    bins in which the dry sound has little power are left out softly (Wiener deconvolution)."""

    def __init__(self, dry: np.ndarray) -> None:
        from scipy.fft import next_fast_len, rfft

        self.size = next_fast_len(2 * len(dry), real=True)  # so that no lag comes round again
        spectrum = np.asarray(rfft(dry, self.size))
        power = np.square(np.abs(spectrum))
        self._inverse = spectrum.conj() / (power + SOFT * power.mean())

    def __call__(self, wet: np.ndarray) -> np.ndarray:
        from scipy.fft import irfft, rfft

        return np.asarray(irfft(np.asarray(rfft(wet, self.size)) * self._inverse, self.size))[
            : wet.shape[-1]
        ]
