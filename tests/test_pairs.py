"""Pairs of dry and wet sounds: their picture, and how they are rendered."""

import math

import pytest
import torch

from timbrespace.errors import AudioError, RecipeError
from timbrespace.features.catalogue import feature_of
from timbrespace.features.pair import GAIN_DB, Pair
from timbrespace.recipe.feature import PairSection

RATE = 16000
SMALL = {"samples": 8192, "n_fft": 512, "hop": 128, "mels": 32}


def chord(*, samples: int = 8192, n_fft: int = 512, peak: float = 0.2) -> torch.Tensor:
    """Three tones on bins of n_fft that die away slowly, and noise some 50 dB below them."""
    time = torch.arange(samples, dtype=torch.float64)
    tones = [torch.sin(2 * math.pi * k / n_fft * time + k) for k in (10, 33, 90)]
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sound = (torch.stack(tones).sum(0) + 0.004 * noise) * torch.exp(-time / samples)
    return (sound * peak / sound.abs().max()).float()


def test_difference_of_a_gain_is_that_gain_wherever_it_sounds():
    dry = chord()
    picture = Pair(**SMALL).analyse(torch.cat([dry, 2.0 * dry]))
    own, difference = picture.values.unflatten(-2, (2, -1)).unbind(-3)
    sounds = own > -0.9
    assert sounds.float().mean() > 0.3
    assert torch.allclose(difference[sounds] * GAIN_DB, torch.tensor(6.0206), atol=0.01)
    # against its own loudest cell each, a gain is not to be seen
    apart = Pair(**SMALL, level="each").analyse(torch.cat([dry, 2.0 * dry]))
    assert apart.values.unflatten(-2, (2, -1))[1].abs().max() < 1e-3


@pytest.mark.parametrize(
    "settings, most_db",
    [
        ({"channels": "joint"}, 3.5),
        ({"channels": "difference"}, 3.5),
        ({"channels": "difference", "picture": "power"}, 2.0),
        ({"channels": "angle", "picture": "power", "floor_db": -60.0}, 1.0),
        ({"channels": "phase", "picture": "power"}, 2.0),
    ],
)
@pytest.mark.parametrize("level", ["each", "common"])
def test_a_picture_gives_both_sounds_back(settings, most_db, level):
    """RMSE of the log-mels of both, in dB; with the level of each where it is in the picture."""
    dry = chord()
    wet = 0.4 * dry + 0.3 * dry.roll(2000) + 0.01 * torch.sin(torch.arange(8192) * 0.9)
    if level == "each":  # as pairs of this level have it
        wet = wet * (dry.abs().max() / wet.abs().max())
    feature = Pair(**SMALL, **settings, level=level)
    picture = feature.analyse(torch.cat([dry, wet])[None])
    assert picture.values.shape == (1, *feature.shape) and picture.values.abs().max() <= 1.0
    sound = feature.invert(picture.values, picture.level_db)
    assert sound.shape == (1, 16384)
    again = feature.analyse(sound)
    off = torch.sub(*feature.compared(picture.values, again.values)) * feature.yardstick.db_per_unit
    for half in off.chunk(2, -1):
        assert half.square().mean().sqrt() < most_db
    for made, original in zip(sound[0].chunk(2), (dry, wet), strict=True):
        gain = 10.0 * float((made.square().mean() / original.square().mean()).log10())
        assert abs(gain) < (1.0 if level == "each" else 0.5)
    if level == "common":
        told = float(feature.rms_db(picture.values, picture.level_db))
        assert told == pytest.approx(feature.loudness_db(torch.cat([dry, wet])), abs=0.5)


def test_phase_of_a_delay_is_exact_and_silence_says_nothing():
    """A tone on bin k that comes d samples later turns by -2 pi k d / n_fft."""
    n_fft, late, k = 512, 7, 40
    time = torch.arange(8192, dtype=torch.float64)
    dry, wet = (torch.sin(2 * math.pi * k / n_fft * (time - d)).float() for d in (0, late))
    feature = Pair(**SMALL, picture="power", channels="phase")
    values = feature.analyse(torch.cat([dry, wet])).values
    cosine, sine = values.unflatten(-2, (4, -1))[2:]
    inside = slice(4, -4)  # frames that see neither the beginning nor the end
    angle = torch.atan2(sine, cosine)[k, inside]
    turned = torch.tensor(-2 * math.pi * k * late / n_fft)
    assert torch.allclose(torch.sin(angle - turned), torch.zeros(()), atol=1e-3)
    assert torch.allclose(torch.cos(angle - turned), torch.ones(()), atol=1e-3)
    assert cosine.hypot(sine)[200, inside].max() < 0.01
    silent = feature.analyse(torch.zeros(16384))
    assert silent.values.unflatten(-2, (4, -1))[2:].abs().max() < 0.01
    assert float(silent.level_db) == -120.0
    assert not feature.invert(silent.values, silent.level_db).any()


def test_a_pair_that_is_too_short_or_too_long():
    feature, dry = Pair(**SMALL, channels="joint"), chord()
    alone = feature.analyse(dry[:5000])
    padded = torch.nn.functional.pad(dry[:5000], (0, 16384 - 5000))
    assert torch.equal(alone.values, feature.analyse(padded).values)
    assert (alone.values[32:] == -1.0).all()
    longer = torch.cat([dry, dry, 0.1 * dry])
    assert torch.equal(feature.analyse(longer).values, feature.analyse(longer[:16384]).values)
    windows = list(feature.windows(longer))
    assert sum(len(some.values) for some in windows) == 2
    assert feature.join(windows, length=len(longer)).shape == longer.shape
    with pytest.raises(AudioError, match="at least one sample"):
        feature.analyse(torch.zeros(0))
    with pytest.raises(AudioError, match="NaN"):
        feature.analyse(torch.full((16384,), math.nan))


def test_settings_that_cannot_be_say_why():
    with pytest.raises(RecipeError, match="did you mean difference"):
        Pair(channels="diference")
    with pytest.raises(RecipeError, match="use feature.picture: power"):
        Pair(channels="phase")
    with pytest.raises(RecipeError, match=r"feature\.samples should be a whole number"):
        Pair(samples=10)
    with pytest.raises(RecipeError, match="too many"):
        Pair(n_fft=256, hop=64, mels=200)


@pytest.mark.parametrize("channels", ["joint", "difference", "angle", "phase"])
def test_recipe_and_feature_agree(channels):
    settings = {"picture": "power", "channels": channels, "n_fft": 4096, "hop": 2048}
    section = PairSection(**settings, samples=131072, sample_rate=24000)
    feature = feature_of(section.model_dump())
    assert (section.shape, section.stacked) == (feature.shape, feature.stacked)
    assert feature.shape[1] == 64 and feature.words.count("/") == feature.stacked - 1
    assert not list(section.misfits())
    assert list(PairSection(channels="angle").misfits())
