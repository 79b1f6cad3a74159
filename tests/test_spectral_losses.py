"""Spectral losses against the library that defined them, and against what sound does."""

import math

import pytest
import torch

from timbrespace.losses.reconstruction import gaussian_nll
from timbrespace.losses.spectral import (
    OCTAVES,
    PARALLEL_WAVEGAN,
    MultiResolutionStft,
    Spectral,
    multi_resolution_stft,
)

RATE = 16_000


def tones(count: int = 3, samples: int = 6000) -> torch.Tensor:
    """Decaying sines with a little noise, (count, samples), about -15 dB RMS."""
    time = torch.arange(samples) / RATE
    pitches = 220.0 * 2.0 ** (torch.arange(count) / 3.0)[:, None]
    noise = torch.randn(count, samples, generator=torch.Generator().manual_seed(0))
    return 0.5 * torch.exp(-3.0 * time) * torch.sin(2 * math.pi * pitches * time) + 0.003 * noise


@pytest.mark.parametrize("resolutions", [PARALLEL_WAVEGAN, OCTAVES])
def test_the_multi_resolution_stft_is_auraloss(resolutions):
    """Sound by sound: auraloss 0.4 divides by the size of the whole batch, so that loud ones rule."""
    auraloss = pytest.importorskip("auraloss")
    x, target = tones().flip(0), tones()
    theirs = auraloss.freq.MultiResolutionSTFTLoss(
        [r.n_fft for r in resolutions], [r.hop for r in resolutions],
        [r.window for r in resolutions],
    )  # fmt: skip
    wanted = torch.stack([theirs(x[i, None, None], target[i, None, None]) for i in range(3)])
    ours = multi_resolution_stft(x, target, resolutions=resolutions)
    assert ours == pytest.approx(wanted.mean().item(), rel=1e-5)


def test_a_sound_half_as_loud_costs_what_the_formula_says():
    """Convergence 1/2 and log magnitudes apart by log 2, at every resolution."""
    target = torch.randn(2, 6000, generator=torch.Generator().manual_seed(1))
    assert multi_resolution_stft(target, target) == 0.0
    wanted = 0.5 + math.log(2.0)
    assert multi_resolution_stft(0.5 * target, target) == pytest.approx(wanted, rel=1e-3)


def test_a_near_silent_target_makes_no_spike():
    soft = tones() * 1e-4  # about -95 dB
    wrong = (tones().flip(0) * 1e-2).requires_grad_()
    spike = multi_resolution_stft(wrong, soft, floor_db=-math.inf)
    floored = multi_resolution_stft(wrong, soft)
    assert spike > 50.0 and floored < 5.0
    floored.backward()
    silence = torch.zeros(3, 6000, requires_grad=True)
    multi_resolution_stft(silence, torch.zeros(3, 6000)).backward()
    for sound in (wrong, silence):
        assert sound.grad is not None and sound.grad.isfinite().all()


def test_the_stft_refuses_what_is_no_waveform():
    with pytest.raises(ValueError, match=r"\(B, N\)"):
        multi_resolution_stft(torch.zeros(2, 1, 6000), torch.zeros(2, 1, 6000))
    with pytest.raises(ValueError, match="1024 samples"):
        multi_resolution_stft(torch.zeros(2, 1000), torch.zeros(2, 1000))


def test_the_term_of_a_waveform_feature_is_that_of_its_samples():
    x, target = tones().flip(0), tones()
    term = MultiResolutionStft(sizes=(256, 512, 1024, 2048), floor_db=-60.0)
    ours = term(x[:, None, None], target[:, None, None])
    assert ours == multi_resolution_stft(x, target)


AXES = {"frequency": (-2,), "time": (-1,), "both": (-2, -1)}


@pytest.mark.parametrize("along", AXES)
@pytest.mark.parametrize("shape", [(2, 1, 6, 8), (3, 1, 5, 7)])
def test_the_spectral_term_is_a_squared_error_that_forgets_where(along, shape):
    """By Parseval's theorem all of a picture is seen once; what is moved round the axis is the same;
    and no two pictures differ by more than their squared error."""
    names = ("frequency", "time") if along == "both" else (along,)
    term, generator = Spectral(along=names), torch.Generator().manual_seed(0)
    x, y = (torch.randn(shape, generator=generator) for _ in range(2))
    assert term(x, torch.zeros(shape)) == pytest.approx(gaussian_nll(x, torch.zeros(shape)).item())
    moved = torch.roll(x, [2] * len(AXES[along]), AXES[along])
    assert term(moved, x).item() == pytest.approx(0.0, abs=1e-10)
    assert 0.1 < term(x, y) < gaussian_nll(x, y)


def test_evenly_spaced_partials_are_a_line_along_frequency():
    """A comb of another spacing costs more than the same comb a little higher."""
    rows = torch.arange(64)
    comb = (rows % 8 == 0).float().view(1, 1, 64, 1)
    higher, wider = torch.roll(comb, 3, 2), (rows % 16 == 0).float().view(1, 1, 64, 1)
    term = Spectral(along=("frequency",))
    assert term(higher, comb) < 1e-6 < term(wider, comb)
    assert gaussian_nll(higher, comb) > gaussian_nll(wider, comb)
