"""Effects: what each does to a sound, against theory and plain loops, and at the edges."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, freqz, sosfilt

from timbrespace import verbs_effects
from timbrespace.audio.level import rms_db
from timbrespace.cli import app
from timbrespace.effects import Chain, Effect, Knob
from timbrespace.effects.catalogue import EFFECTS, find
from timbrespace.effects.knobs import Lag
from timbrespace.effects.mono import listened
from timbrespace.effects.reverb import decay_time
from timbrespace.errors import AudioError, EffectError

RATE = 16000
OWN = list(EFFECTS.values())
DIFFERENTIABLE = [effect for effect in OWN if effect.differentiable]
RNG = np.random.default_rng(7)
NOISE = (0.3 * RNG.standard_normal(RATE // 2)).astype(np.float32)
named = pytest.mark.parametrize("effect", OWN, ids=lambda e: e.name)


def click(n: int = RATE) -> np.ndarray:
    return np.eye(1, n, dtype=np.float32)[0]


def sine(frequency: float, level: float = 1.0, n: int = RATE) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency / RATE * np.arange(n))).astype(np.float32)


def response(
    effect: Effect, setting: dict[str, float], n: int = RATE
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and the effect's magnitudes there, from its answer to a soft click."""
    answer = 1000 * effect.render(0.001 * click(n), RATE, setting)
    return np.fft.rfftfreq(n, 1 / RATE), np.abs(np.fft.rfft(answer))


def corners(effect: Effect, count: int) -> list[dict[str, float]]:
    places = RNG.integers(0, 2, (count, len(effect.knobs)))
    return [effect.from_units(place) for place in places]


# What holds for all


@named
def test_the_ends_of_all_knobs_give_usable_sounds_of_any_length_rate_and_level(effect):
    square = np.sign(sine(110.0, n=3000))
    sounds = (
        np.zeros(500), np.ones(1), np.array([1.0, -1.0]), square, 100 * RNG.standard_normal(400),
        1e-20 * RNG.standard_normal(300),
    )  # fmt: skip
    for number, setting in enumerate(corners(effect, 12)):
        for rate in (8000, 16000, 44100, 48000)[number % 2 :: 2]:
            for sound in sounds:
                made = effect.render(sound, rate, setting)  # refuses NaN and other lengths
                assert np.abs(made).max() <= 100 * np.abs(sound).max()
                assert sound.any() or not made.any(), "silence stays silence"


@named
def test_the_same_sound_and_setting_give_the_same_samples_in_any_company(effect):
    setting = effect.from_units(RNG.random(len(effect.knobs)))
    alone = effect.render(NOISE, RATE, setting)
    beside = effect.render(np.stack([np.roll(NOISE, 9) * 3, NOISE])[None], RATE, setting)[0, 1]
    assert np.array_equal(alone, effect.render(NOISE, RATE, setting))
    assert np.allclose(alone, beside, atol=1e-6)


@named
def test_begun_late_it_swings_as_it_would_have(effect):
    sound = 0.3 * np.random.default_rng(2).standard_normal(3 * RATE).astype(np.float32)
    setting = {"size": 0.2} if effect.name == "reverb" else {}
    whole, start = effect.render(sound, RATE, setting), 7001
    late = effect.render(sound[start:], RATE, setting, start=start)
    off = (late - whole[start:])[RATE:]
    assert np.sqrt(np.mean(off**2)) < 0.01 * np.sqrt(np.mean(whole**2))
    behind = Chain([find("eq"), effect]).render(sound[start:], RATE, start=start)
    alone = effect.render(find("eq").render(sound[start:], RATE), RATE, start=start)
    assert np.array_equal(behind, alone)


@named
def test_a_sound_is_made_as_it_goes_on(effect):
    setting = effect.from_units(RNG.random(len(effect.knobs)))
    whole = effect.render(NOISE, RATE, setting)
    begun = effect.render(NOISE[:3001], RATE, setting)
    assert np.allclose(whole[:2990], begun[:2990], atol=1e-5)  # 10: what lies between samples


@pytest.mark.parametrize("effect", [e for e in OWN if e.dry], ids=lambda e: e.name)
def test_dry_is_the_sound_itself(effect):
    setting = {**effect.from_units(RNG.random(len(effect.knobs))), **effect.dry}
    assert np.array_equal(effect.render(NOISE, RATE, setting), NOISE)


@named
def test_places_and_settings_are_inverse(effect):
    places = RNG.random(len(effect.knobs))
    assert np.allclose(effect.to_units(effect.from_units(places)), places)
    assert effect.from_units(np.full(len(places), 2.0)) == {k.name: k.high for k in effect.knobs}


def test_a_wrong_knob_a_wrong_value_and_a_wrong_sound_are_told():
    delay = find("delay")
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"tme": 30}, "delay has no knob 'tme'; did you mean time?"),
        ({"time": 5}, "delay: time should be from 20 ms to 600 ms, got 5"),
        ({"mix": "much"}, "delay: mix should be from 0 to 1, got much"),
    )
    for setting, words in cases:
        with pytest.raises(EffectError) as told:
            delay.render(NOISE, RATE, setting)
        assert str(told.value) == words
    with pytest.raises(EffectError, match="without samples"):
        delay.render(np.zeros((2, 0)), RATE)
    with pytest.raises(EffectError, match="NaN or infinity; repair"):
        delay.render(np.array([0.0, np.nan]), RATE)
    with pytest.raises(EffectError, match="no effect 'dely'; did you mean delay?"):
        find("overdrive+dely")


def test_what_cannot_be_heard_says_so():
    rate = next(k for k in find("chorus").knobs if k.name == "rate")
    assert "needs 1 s to be heard, and this sound has 0.5 s" in str(rate.unheard(1, 0.5))
    assert rate.unheard(1, 1.5) is None
    assert "mono" in str(Knob("width", "", 0.0, 1.0, 0.5, stereo=True).unheard(1, 9.0))


@pytest.mark.parametrize(
    ("name", "knob", "value", "seconds", "said"),
    [
        ("delay", "time", 600.0, 0.25, "time is 600 ms, and this sound has ended by then (0.25 s)"),
        ("reverb", "predelay", 80.0, 0.05, "predelay is 80 ms, and"),
        ("chorus", "delay", 25.0, 0.02, "delay is 25 ms, and"),
        ("pedalboard:Delay", "delay_seconds", 0.5, 0.4, "delay_seconds is 0.5 s, and"),
        ("phaser", "rate", 0.1, 2.0, "rate needs 10 s for one turn, and this sound has 2 s"),
        ("tremolo", "rate", 20.0, 0.1, "rate needs 0.5 s to be heard, and this sound has 0.1 s"),
    ],
)
def test_what_lies_beyond_the_end_of_a_sound_says_so(name, knob, value, seconds, said):
    effect = find(name)
    (told,) = effect.unheard({knob: value}, 1, seconds)
    assert told.startswith(said)
    assert effect.unheard({knob: value}, 1, 20.0) == ()
    assert effect.unheard({}, 1, 20.0) == ()


def test_an_echo_that_nobody_set_says_so_too_and_in_a_chain():
    assert "time is 250 ms" in find("delay").unheard({"mix": 1.0}, 1, 0.2)[0]
    (told,) = find("overdrive+delay").unheard({"overdrive.drive": 3.0}, 1, 0.2)
    assert told.startswith("delay.time is 250 ms")
    dry = np.ones(4000, np.float32)  # 0.25 s
    wet = find("delay").render(dry, RATE, {"time": 260.0, "mix": 0.5})
    assert np.array_equal(wet, 0.5 * dry)  # as it says
    assert next(k for k in find("delay").knobs if k.name == "time").unheard(1, 0.01)


class Wide(Effect):
    """`width` turns the difference of left and right, `loud` all, `mode` nothing; `odd` cannot be turned."""

    name, words, host = "wide", "a stand-in for a plug-in", "test"
    knobs = tuple(Knob(name, "", 0.0, 1.0, 0.5) for name in ("width", "loud", "mode", "odd"))

    def process(self, samples, sample_rate, **values):
        if values["odd"] != 0.5:
            raise EffectError("wide crashed")
        middle = samples.mean(0, keepdims=samples.ndim > 1)
        if samples.ndim == 1:
            return values["loud"] * samples
        return values["loud"] * (middle + values["width"] * (samples - middle))


def test_knobs_that_change_nothing_in_mono_are_found_by_listening():
    assert [k.name for k in listened(Wide()).knobs if k.stereo] == ["width"]
    assert [k.name for k in listened(Wide(), {"loud"}).knobs if k.stereo] == []
    assert [k.name for k in listened(Chain([Wide(), find("delay")])).knobs if k.stereo] == [
        "wide.width"
    ]
    assert listened(Wide()).unheard({"width": 1.0}, 1, 9.0)[0].endswith("this sound is mono")
    assert listened(Wide()).unheard({"width": 1.0}, 2, 9.0) == ()
    assert not any(knob.stereo for knob in Wide.knobs)
    assert isinstance(listened(Chain([Wide(), find("delay")])).knobs[4], Lag)


# What each does


def test_overdrive_keeps_quiet_sounds_and_makes_the_harmonics_it_says():
    overdrive = find("overdrive")
    quiet = overdrive.render(sine(500.0, 1e-4), RATE, {"drive": 20.0, "tone": 7000.0})
    assert np.abs(quiet[RATE // 2 :]).max() == pytest.approx(1e-4, rel=0.01)
    for asymmetry, even in ((0.0, 1e-4), (1.0, 0.02)):
        loud = overdrive.render(sine(500.0, 0.5), RATE, {"drive": 20.0, "asymmetry": asymmetry})
        partials = np.abs(np.fft.rfft(loud[-RATE // 2 :]))[::250]  # 0, 500, 1000 Hz ...
        assert partials[3] > 0.1 * partials[1]
        assert (partials[2] > even * partials[1]) == bool(asymmetry)
        assert partials[0] < 1e-3 * partials[1]


def test_the_delay_echoes_at_its_time_softer_and_darker():
    made = find("delay").render(
        click(), RATE, {"time": 50.0, "feedback": 0.5, "tone": 2000.0, "mix": 0.25}
    )
    pole = np.exp(-2 * np.pi * 2000 / RATE)
    assert made[0] == pytest.approx(0.75) and made[800] == pytest.approx(0.25)
    assert made[1600:1603] == pytest.approx(0.25 * 0.5 * (1 - pole) * pole ** np.arange(3))
    assert made[2400:3200].sum() == pytest.approx(0.25 * 0.5**2, rel=1e-4)
    assert not made[1:800].any() and not made[801:1600].any()


def test_the_room_dies_away_at_every_frequency_at_its_own_pace():
    room = find("reverb").render(
        click(2 * RATE), RATE, {"size": 0.6, "damping": 0.5, "predelay": 50.0, "mix": 1.0}
    )
    assert not room[:800].any() and np.sum(room**2) == pytest.approx(1.0, rel=0.1)
    middles, times = np.array([350.0, 700.0, 1400.0, 2800.0, 5600.0]), []
    for middle in middles:
        band = butter(3, [middle / 1.3, middle * 1.3], "bandpass", fs=RATE, output="sos")
        left = 10 * np.log10(np.cumsum(np.square(sosfilt(band, room)[::-1]))[::-1])
        left -= left[0]  # Schroeder's backward sum, dB
        times.append(2 * (np.argmax(left < -35) - np.argmax(left < -5)) / RATE)
    assert times == pytest.approx(decay_time(0.6, 0.5, middles), rel=0.15)


def test_a_larger_room_rings_longer_by_schroeders_integral():
    """From -5 to -35 dB of the whole tail, undamped: the time that the knob stands for."""
    times = []
    for size in (0.0, 0.5, 1.0):
        setting = {"size": size, "damping": 0.0, "predelay": 0.0, "mix": 1.0}
        room = find("reverb").render(click(6 * RATE), RATE, setting)
        left = 10 * np.log10(np.cumsum(np.square(room[::-1], dtype=np.float64))[::-1])
        left -= left[0]
        times.append(2 * (np.argmax(left < -35) - np.argmax(left < -5)) / RATE)
    assert times == pytest.approx([0.2, 0.8**0.5, 4.0], rel=0.1)  # 0.2 s to 4 s, in even ratios


@pytest.mark.parametrize("name", ["chorus", "flanger"])
def test_at_rest_a_copy_makes_a_comb(name):
    delay = 8.0  # ms: notches at odd multiples of 62.5 Hz, peaks between
    still = {"depth": 0.0, "delay": delay, "mix": 0.5}
    if name == "flanger":
        still["feedback"] = 0.0
    frequencies, gains = response(find(name), still, 2 * RATE)
    assert gains[np.isin(frequencies, 125.0 * np.arange(1, 50))].min() > 0.999
    assert gains[np.isin(frequencies, 62.5 * np.arange(1, 99, 2))].max() < 1e-3


def test_the_flanger_is_its_own_recursion_while_it_moves():
    flanger, n = find("flanger"), 2000
    setting = {"rate": 2.0, "depth": 0.8, "delay": 3.0, "feedback": 0.7, "mix": 1.0}
    x = sine(200.0, n=n) + sine(430.0, n=n)
    made = flanger.render(x, RATE, setting)
    wet, swing = np.zeros(n), np.cos(2 * np.pi * 2.0 / RATE * np.arange(n))
    behind = 48 * (1 - 0.45 * 0.8 * (1 - swing))
    for t in range(n):
        place = t - behind[t]
        if place >= 0:
            at, share = int(place), place % 1
            fed = x[:n] + 0.7 * wet
            wet[t] = (1 - share) * fed[at] + share * fed[at + 1]
    assert np.abs(made - wet).max() < 0.02 * np.abs(wet).max()


def test_the_phaser_is_its_own_loop_while_it_moves():
    phaser, n = find("phaser"), 700
    setting = {"rate": 5.0, "depth": 1.0, "centre": 900.0, "feedback": 0.7}
    made = phaser.render(NOISE[:n], RATE, setting)
    corner = np.minimum(900 * 2 ** (1.5 * np.sin(2 * np.pi * 5 / RATE * np.arange(n))) / RATE, 0.45)
    a = (np.tan(np.pi * corner) - 1) / (np.tan(np.pi * corner) + 1)
    # Each all-pass filter answers at once, so the loop closes on a sum that is linear in what it is fed.
    before, after, wanted = np.zeros(4), np.zeros(4), []
    for t, x in enumerate(NOISE[:n]):
        rest = 0.0
        for k in range(4):
            rest = a[t] * rest + before[k] - a[t] * after[k]
        fed = x + 0.7 * (a[t] ** 4 * x + rest) / (1 - 0.7 * a[t] ** 4)
        for k in range(4):
            out = a[t] * fed + before[k] - a[t] * after[k]
            before[k], after[k], fed = fed, out, out
        wanted.append(0.5 * (x + out))
    assert np.allclose(made, wanted, atol=1e-5)


def test_the_phasers_notches_lie_where_its_stages_turn_by_half():
    frequencies, gains = response(find("phaser"), {"depth": 0.0, "centre": 1000.0, "feedback": 0.0})
    for turn in (22.5, 67.5):
        warped = np.tan(np.pi * 1000 / RATE) * np.tan(np.radians(turn))
        notch = RATE / np.pi * np.arctan(warped)
        near = np.abs(frequencies - notch) < 3
        assert gains[near].min() < 0.01
    assert gains[0] == pytest.approx(1.0, abs=1e-4)


def test_the_compressor_has_the_static_curve_it_says():
    compressor = find("compressor")
    for level in (-40.0, -21.0, -20.0, -10.0, 0.0):
        square = np.full(RATE, 10 ** (level / 20))
        made = compressor.render(square, RATE, {"threshold": -20.0, "ratio": 4.0})
        over = level + 20.0
        knee = max(0.0, over + 3.0) ** 2 / 12.0 if over <= 3.0 else over
        assert 20 * np.log10(made[-1]) == pytest.approx(level - 0.75 * knee, abs=0.01)


def test_the_compressors_times_are_those_of_its_knobs():
    compressor, step = find("compressor"), np.ones(2 * RATE)
    step[: RATE // 2] = step[RATE:] = 0.001
    made = compressor.render(
        step, RATE, {"threshold": -40.0, "ratio": 10.0, "attack": 20.0, "release": 100.0}
    )
    lowered = -20 * np.log10(made / step)
    full = lowered[RATE - 1]
    assert full == pytest.approx(36.0, abs=0.01) and np.abs(lowered[: RATE // 2 - 10]).max() < 1e-5
    for start, ms, share in ((RATE // 2, 20, 1 - np.exp(-1)), (RATE, 100, np.exp(-1))):
        assert lowered[start + ms * RATE // 1000] == pytest.approx(share * full, rel=0.02)


@pytest.mark.parametrize("low_gain", [-18.0, 18.0])
@pytest.mark.parametrize("mid", [(300.0, 18.0, 0.5), (5000.0, -18.0, 5.0)])
@pytest.mark.parametrize("high_gain", [-18.0, 18.0])
def test_the_equaliser_is_the_cookbooks(low_gain, mid, high_gain):
    """The digital coefficients as R. Bristow-Johnson's cookbook prints them, shelves of slope 1, by scipy."""

    def biquad(kind: str, frequency: float, gain: float, q: float = 0.5**0.5) -> list[float]:
        a, w = 10 ** (gain / 40), 2 * np.pi * frequency / RATE
        cos, alpha = np.cos(w), np.sin(w) / (2 * q)
        root, more, less = 2 * np.sqrt(a) * alpha, a + 1, a - 1
        if kind == "low":
            return [
                a * (more - less * cos + root), 2 * a * (less - more * cos),
                a * (more - less * cos - root), more + less * cos + root,
                -2 * (less + more * cos), more + less * cos - root,
            ]  # fmt: skip
        if kind == "high":
            return [
                a * (more + less * cos + root), -2 * a * (less + more * cos),
                a * (more + less * cos - root), more - less * cos + root,
                2 * (less - more * cos), more - less * cos - root,
            ]  # fmt: skip
        return [1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a]

    setting = {
        "low_frequency": 250.0, "low_gain": low_gain, "mid_frequency": mid[0], "mid_gain": mid[1],
        "mid_q": mid[2], "high_frequency": 3000.0, "high_gain": high_gain,
    }  # fmt: skip
    frequencies, gains = response(find("eq"), setting)
    bands = [
        biquad("low", 250.0, low_gain),
        biquad("bell", *mid),
        biquad("high", 3000.0, high_gain),
    ]
    wanted = np.prod([freqz(b[:3], b[3:], frequencies, fs=RATE)[1] for b in bands], axis=0)
    assert 20 * np.log10(gains) == pytest.approx(20 * np.log10(np.abs(wanted)), abs=0.01)


def test_the_bands_of_the_multiband_sum_to_a_level_response_at_rest():
    multiband = find("multiband")
    _, gains = response(multiband, {})
    assert np.abs(20 * np.log10(gains)).max() < 0.01
    loud = multiband.render(
        sine(50.0), RATE, {"low_threshold": -20.0, "low_gain": 6.0, "release": 500.0}
    )
    settled = 20 * np.log10(np.abs(loud[-RATE // 4 :]).max())
    assert settled == pytest.approx(-15.0 + 6.0, abs=0.5)  # 4:1 above -20 dB, and the gain
    high = multiband.render(sine(6000.0, 0.02), RATE, {"low_gain": 12.0, "mid_gain": -12.0})
    assert np.abs(high[-RATE // 4 :]).max() == pytest.approx(0.02, rel=0.05)


def test_bitcrush_leaves_few_levels_and_few_samples():
    made = find("bitcrush").render(sine(101.0), RATE, {"bits": 3.0, "rate": 4000.0})
    assert set(np.unique(made)) <= set(np.arange(-4, 5) / 4)
    held = made.reshape(-1, 4)
    assert (held == held[:, :1]).all() and len(np.unique(made)) == 9


def test_bitcrush_holds_nothing_that_is_yet_to_come():
    """Rates at which a tick's first sample, by rounding, came out as the next one."""
    for sample_rate, rate, samples in ((48000, 1100.0, 481), (16000, 1025.0, 641)):
        ramp = np.arange(samples, dtype=np.float32) / samples
        made = find("bitcrush").render(ramp, sample_rate, {"bits": 12.0, "rate": rate})
        assert (made <= ramp + 2.0**-12).all()


def test_ring_modulation_makes_side_bands_and_leaves_nothing_between():
    made = find("ringmod").render(sine(1000.0), RATE, {"carrier": 300.0})
    spectrum = 2 * np.abs(np.fft.rfft(made)) / RATE
    assert spectrum[[700, 1300]] == pytest.approx([0.5, 0.5], abs=1e-3)
    assert np.delete(spectrum, [700, 1300]).max() < 1e-3


@pytest.mark.parametrize(("depth", "carrier"), [(1.0, 437.0), (0.3, 1234.5)])
def test_ring_modulation_is_the_product_with_a_sine(depth, carrier):
    made = find("ringmod").render(NOISE, RATE, {"carrier": carrier, "depth": depth, "shape": 0.0})
    turn = np.sin(2 * np.pi * carrier / RATE * np.arange(len(NOISE)))
    assert np.allclose(made, NOISE * (1 - depth + depth * turn), atol=1e-5)


@pytest.mark.parametrize(("depth", "rate"), [(1.0, 7.3), (0.4, 16.0)])
def test_the_tremolo_is_the_product_with_a_raised_cosine(depth, rate):
    made = find("tremolo").render(NOISE, RATE, {"rate": rate, "depth": depth, "shape": 0.0})
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * rate / RATE * np.arange(len(NOISE)))
    assert np.allclose(made, NOISE * (1 - depth * swing), atol=1e-5)


def test_the_tremolo_goes_from_full_level_down_by_its_depth():
    made = find("tremolo").render(np.ones(RATE), RATE, {"rate": 4.0, "depth": 0.75})
    assert made[0] == 1.0 and made.min() == pytest.approx(0.25)
    assert np.argmin(made[:4000]) == 2000 and made[4000] == pytest.approx(1.0)
    hard = find("tremolo").render(np.ones(RATE), RATE, {"rate": 4.0, "depth": 0.75, "shape": 1.0})
    assert np.mean((hard > 0.27) & (hard < 0.98)) < 0.2


# Gradients


@pytest.mark.parametrize("effect", DIFFERENTIABLE, ids=lambda e: e.name)
def test_torch_makes_the_same_sound_with_gradients_for_every_knob(effect):
    torch = pytest.importorskip("torch")
    settings = [effect.from_units(place) for place in RNG.random((2, len(effect.knobs)))]
    settings.append({knob.name: knob.low for knob in effect.knobs})
    settings.append({knob.name: knob.high for knob in effect.knobs})
    for n in (4000, 1):
        sounds = np.stack([np.roll(NOISE, k)[:n] for k in range(len(settings))])
        values = {
            knob.name: torch.tensor(
                [s[knob.name] for s in settings], dtype=torch.float64, requires_grad=True
            )
            for knob in effect.knobs
        }
        made = effect.process_tensor(torch.from_numpy(sounds), RATE, **values)
        wanted = [effect.render(x, RATE, s) for x, s in zip(sounds, settings, strict=True)]
        assert made.dtype == torch.float32
        assert np.abs(made.detach().numpy() - wanted).max() < 1e-3
        made.square().sum().backward()
        for name, value in values.items():
            assert value.grad is not None and torch.isfinite(value.grad).all(), name


@pytest.mark.parametrize("effect", DIFFERENTIABLE, ids=lambda e: e.name)
def test_gradients_are_the_slopes_of_the_sound(effect):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(NOISE[None, :3000]).double()
    target = torch.from_numpy(np.roll(NOISE, 5)[None, :3000]).double()
    place = 0.3 + 0.4 * RNG.random(len(effect.knobs))
    setting = effect.from_units(place)

    def far(**values: Any) -> Any:
        made = effect.process_tensor(x, RATE, **values)
        return (made * target).sum() + made.square().sum()

    values = {
        k: torch.tensor([v], dtype=torch.float64, requires_grad=True) for k, v in setting.items()
    }
    far(**values).backward()
    for knob in effect.knobs:
        if (effect.name, knob.name) in {("delay", "time"), ("reverb", "predelay")}:
            continue  # rounded to a sample: the slope is that of the delay that it stands for
        step = 1e-6 * (knob.high - knob.low)
        sides = [
            {
                k: torch.tensor([v + sign * step * (k == knob.name)], dtype=torch.float64)
                for k, v in setting.items()
            }
            for sign in (1, -1)
        ]
        slope = (far(**sides[0]) - far(**sides[1])) / (2 * step)
        assert float(values[knob.name].grad) == pytest.approx(float(slope), rel=1e-2, abs=1e-7)


def test_an_effect_without_gradients_says_so():
    assert {e.name for e in OWN} - {e.name for e in DIFFERENTIABLE} == {"bitcrush"}
    with pytest.raises(EffectError, match="bitcrush gives its knobs no gradients; choose"):
        find("bitcrush").process_tensor(None, RATE)  # pyright: ignore[reportArgumentType]


# Chains


def test_a_chain_is_its_effects_one_after_another():
    chain = find("eq+delay+delay")
    setting = {"eq.low_gain": 9.0, "delay.time": 30.0, "delay2.time": 70.0, "delay2.mix": 0.9}
    by_hand = find("eq").render(NOISE, RATE, {"low_gain": 9.0})
    by_hand = find("delay").render(by_hand, RATE, {"time": 30.0})
    by_hand = find("delay").render(by_hand, RATE, {"time": 70.0, "mix": 0.9})
    assert np.array_equal(chain.render(NOISE, RATE, setting), by_hand)
    assert chain.name == "eq+delay+delay" and chain.differentiable
    assert np.array_equal(chain.render(NOISE, RATE, chain.dry), NOISE)
    assert find("delay+compressor").dry is None
    assert Chain([Chain([find("eq"), find("delay")]), find("delay")]).knobs == chain.knobs
    plugin = find("lv2:Delay")
    plugin.name = "delay2"  # as that of another maker may be
    knobs = Chain([find("delay"), find("delay"), plugin]).knobs
    assert {k.name.partition(".")[0] for k in knobs} == {"delay", "delay2", "delay22"}
    with pytest.raises(EffectError, match=r"no knob 'delay3.time'; did you mean delay2?.time\?"):
        chain.complete({"delay3.time": 30.0})


def test_a_chain_hands_gradients_through():
    torch = pytest.importorskip("torch")
    chain = find("overdrive+eq")
    values = {k.name: torch.tensor([k.default], requires_grad=True) for k in chain.knobs}
    made = chain.process_tensor(torch.from_numpy(NOISE[None]), RATE, **values)
    made.square().mean().backward()
    assert float(values["overdrive.drive"].grad) != 0.0
    assert not find("overdrive+bitcrush").differentiable


# Verbs


@pytest.fixture
def files(tmp_path) -> Path:
    stereo = np.stack([sine(300.0, 0.99), sine(400.0, 0.5)], 1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 44100)
    soundfile.write(tmp_path / "silent.flac", np.zeros(5000), 8000)
    soundfile.write(tmp_path / "one.wav", np.ones(1), RATE)
    (tmp_path / "bad.wav").write_text("no sound")
    return tmp_path


def test_apply_keeps_rate_and_channels_limits_and_names_what_is_bad(files):
    names = ["stereo.wav", "bad.wav", "one.wav", "silent.flac"]
    made = verbs_effects.effects_apply(
        [files / name for name in names], files / "out", effect="eq+tremolo",
        setting={"eq.low_gain": 18.0, "tremolo.rate": 3.0},
    )  # fmt: skip
    assert [one.file and one.file.name for one in made] == [
        "stereo.eq+tremolo.wav", None, None, "silent.eq+tremolo.wav"
    ]  # fmt: skip
    sound, rate = soundfile.read(files / "out" / "stereo.eq+tremolo.wav")
    assert rate == 44100 and sound.shape == (RATE, 2) and 0.97 < np.abs(sound).max() < 0.99
    assert made[0].limited > 3.0 and "tremolo.rate needs 0.5 s" in made[0].unheard[0]
    assert "bad.wav: not a sound file" in str(made[1].error) and "only 1 sample " in str(
        made[2].error
    )
    assert not soundfile.read(files / "out" / "silent.eq+tremolo.wav")[0].any()


def test_apply_makes_up_for_the_level_that_an_effect_takes_or_adds(files, capsys):
    words = ["effects", "apply", str(files / "stereo.wav"), str(files / "silent.flac")]
    app(
        [*words, "--effect", "overdrive", "--set", "drive=40", "--same-level", "--out", str(files / "o")],
        standalone_mode=False,
    )  # fmt: skip
    told = capsys.readouterr().out.splitlines()
    dry, wet = (
        soundfile.read(file)[0]
        for file in (files / "stereo.wav", files / "o" / "stereo.overdrive.wav")
    )
    assert rms_db(wet) == pytest.approx(rms_db(dry), abs=0.5) and np.abs(wet).max() < 0.99
    assert float(told[0].split("made ")[1].split()[0]) > 20.0 and "dB louder" in told[0]
    assert "made" not in told[1]  # of silence
    (softer,) = verbs_effects.effects_apply(
        [files / "stereo.wav"], files / "o", effect="eq", same_level=True,
        setting={"low_gain": 12.0, "mid_gain": 12.0},
    )  # fmt: skip
    assert softer.louder < -6.0
    sound, _ = soundfile.read(softer.file)
    assert rms_db(sound) == pytest.approx(rms_db(dry), abs=0.2)
    (faint,) = verbs_effects.effects_apply(
        [files / "stereo.wav"], files / "o", effect="eq+compressor+eq", same_level=True,
        setting={
            "eq.low_gain": -18.0, "eq.mid_gain": -18.0, "eq.high_gain": -18.0,
            "compressor.threshold": -50.0, "compressor.ratio": 20.0,
            "eq2.low_gain": -18.0, "eq2.mid_gain": -18.0, "eq2.high_gain": -18.0,
        },
    )  # fmt: skip
    assert faint.louder == 40.0


def test_apply_overwrites_no_input_and_names_the_file_of_which_an_effect_fails(files, monkeypatch):
    ours = [files / "stereo.wav", files / "stereo.overdrive.wav"]
    ours[1].write_bytes(ours[0].read_bytes())
    made = verbs_effects.effects_apply(ours, files, effect="overdrive")
    assert [one.file.name for one in made if one.file] == [
        "stereo.overdrive-2.wav", "stereo.overdrive.overdrive.wav"
    ]  # fmt: skip
    assert ours[1].read_bytes() == ours[0].read_bytes()

    def fails(*_: object, **__: object) -> None:
        raise EffectError("it crashed")

    monkeypatch.setattr(type(find("overdrive")), "render", fails)
    (failed,) = verbs_effects.effects_apply(ours[:1], files, effect="overdrive")
    assert failed.error == f"{ours[0]}: it crashed"
    (files / "gone").symlink_to(files / "nowhere" / "deep")
    with pytest.raises(AudioError, match="no folder can be made at"):
        verbs_effects.effects_apply(ours, files / "gone", effect="overdrive")
    with pytest.raises(AudioError, match="wet.WAV would be a file; --out wants a folder, as wet$"):
        verbs_effects.effects_apply(ours, files / "wet.WAV", effect="overdrive")
    assert not (files / "wet.WAV").exists()


def test_apply_at_the_command_line(files, capsys):
    words = ["effects", "apply", str(files / "stereo.wav"), str(files / "bad.wav")]
    code = app(
        [*words, "--effect", "overdrive", "--set", "drive=12", "--out", str(files), "--json"],
        standalone_mode=False,
    )
    told = capsys.readouterr()
    first, second = json.loads(told.out)["sounds"]
    assert code == 2 and Path(first["file"]).exists() and second["file"] is None
    assert "bad.wav: not a sound file" in told.err
    with pytest.raises(EffectError, match="drive came twice"):
        app(
            [*words, *["--set", "drive=1"] * 2, "--effect", "x", "--out", "x"],
            standalone_mode=False,
        )
    with pytest.raises(EffectError, match="write it as drive=12"):
        app(
            [*words, "--effect", "overdrive", "--set", "drive", "--out", "x"], standalone_mode=False
        )


def test_list_tells_every_knob_and_is_what_the_page_says(capsys):
    app(["effects", "list", "chorus"], standalone_mode=False)
    told = capsys.readouterr().out
    assert (
        "0.1 to 5 Hz" in told and "not heard in less than 1 s" in told and "dry at: mix 0" in told
    )
    found = {one["name"]: one for one in verbs_effects.effects_list()}
    assert set(EFFECTS) <= set(found) and len(EFFECTS) == 12
    page = (Path(__file__).parent.parent / "docs" / "effects.md").read_text(encoding="utf-8")
    for effect in OWN:
        row = f"| `{effect.name}` | {effect.words} | "
        knobs = ", ".join(f"{k['name']} {k['range']}" for k in found[effect.name]["knobs"])
        assert f"{row}{knobs} |" in page, f"docs/effects.md should have: {row}{knobs} |"
