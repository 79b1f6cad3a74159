"""Matching finds the setting that made a reference, says how sure it is, and keeps its budget."""

import json
import re
from dataclasses import replace
from pathlib import Path

import auraloss
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from timbrespace.audio.files import read, resample, write
from timbrespace.cli import app
from timbrespace.data.notes import built_in
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError
from timbrespace.matching.blind import match_blind
from timbrespace.matching.cues import cues
from timbrespace.matching.distance import SIZES, Target, log_mel_l1, mr_stft, rounding
from timbrespace.matching.match import TRIED, Prediction, match, match_one_of
from timbrespace.matching.style import match_style
from timbrespace.matching.trials import Expected, Trials
from timbrespace.verbs_effects import effects_match

RATE = 16000


def pluck(seconds: float = 1.5, seed: int = 0) -> np.ndarray:
    """A note of many partials with a noisy start, peak near -6 dBFS."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 147.0 * k * t) * np.exp(-t * (1.0 + k)) / k for k in range(1, 30))
    noise = rng.standard_normal(len(t)) * np.exp(-t * 30.0)
    return (0.25 * (tone + noise)).astype(np.float32)


class Gain(Effect):
    """A gain in dB beside a knob that does nothing and one of stereo."""

    name = "gain"
    words = "louder or softer"
    knobs = (
        Knob("gain", "dB", -20.0, 20.0, 0.0),
        Knob("idle", "", 0.0, 1.0, 0.5),
        Knob("width", "", 0.0, 1.0, 0.5, stereo=True),
    )

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        return samples * np.float32(10.0 ** (values["gain"] / 20.0))


def test_the_distance_is_that_of_the_field():
    one, other = pluck(), find("overdrive").render(pluck(), RATE)
    published = auraloss.freq.MultiResolutionSTFTLoss(
        fft_sizes=list(SIZES), hop_sizes=[n // 2 for n in SIZES], win_lengths=list(SIZES),
        w_sc=0.0, w_lin_mag=1.0, w_log_mag=1.0,
    )  # fmt: skip
    theirs = published(*(torch.from_numpy(x)[None, None] for x in (other, one)))
    assert mr_stft(other, one) == pytest.approx(float(theirs), rel=1e-4)
    assert mr_stft(one, one) == 0.0
    # where nothing lies below the floor, twice as loud is 6.02 dB everywhere
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert log_mel_l1(2 * noise, noise, RATE) == pytest.approx(6.02, abs=0.01)


def test_delays_and_rates_are_read_from_the_pair():
    dry = pluck()
    delay, ringmod = find("delay"), find("ringmod")
    late = delay.render(dry, RATE, {"time": 173.0, "mix": 0.4})
    ring = ringmod.render(dry, RATE, {"carrier": 517.0})
    times = [delay.knobs[k].from_unit(p) for k, p in cues(dry, late, RATE, delay.knobs) if k == 0]
    carriers = [p for k, p in cues(dry, ring, RATE, ringmod.knobs) if k == 0]
    assert times[0] == pytest.approx(173.0, abs=0.1)
    assert ringmod.knobs[0].from_unit(carriers[0]) == pytest.approx(517.0, abs=1.0)


def test_the_rounding_of_a_file_is_not_taken_for_sound():
    overdrive, dry = find("overdrive"), 0.1 * np.pad(pluck(), (0, 2 * RATE))
    wet = overdrive.render(dry, RATE, {"drive": 25.0})
    rounded = (np.round(wet * 32768.0) / 32768.0).astype(np.float32)
    assert rounding(wet) == 0.0
    assert rounding(rounded) == pytest.approx(float(np.std(rounded - wet)[()]), rel=0.5)
    noise = rounding(rounded)
    assert mr_stft(wet, rounded, noise=noise) < 0.1 * mr_stft(wet, rounded)
    assert match(overdrive, dry, rounded, RATE, renders=60, intervals=False).ratio < 0.1


@pytest.mark.parametrize(
    ("name", "setting", "knob", "tolerance"),
    [
        ("overdrive", {"drive": 27.0, "tone": 1800.0, "asymmetry": 0.7}, "drive", 1.0),
        ("delay", {"time": 211.0, "feedback": 0.6, "tone": 2000.0, "mix": 0.5}, "time", 0.5),
        ("ringmod", {"carrier": 90.0, "depth": 0.6, "shape": 0.3}, "depth", 0.05),
    ],
)
def test_a_known_setting_is_found_again(name, setting, knob, tolerance):
    effect, dry = find(name), pluck()
    found = match(effect, dry, effect.render(dry, RATE, setting), RATE)
    assert found.setting[knob] == pytest.approx(setting[knob], abs=tolerance)
    assert found.ratio < 0.01 and found.note is None
    effect.complete(found.setting)  # never out of range
    known = {c.knob: c for c in found.knobs}[knob]
    assert known.low <= setting[knob] <= known.high
    names = ["nothing", "centre", "Sobol", "CMA-ES", "polish", "again"]
    assert [step.name for step in found.steps] in (names[:4], names[:5], names)


def test_the_same_seed_tries_the_same_and_keeps_its_budget():
    effect, dry, made = find("chorus"), pluck(), []
    wet = effect.render(dry, RATE, {"rate": 2.2, "depth": 0.8, "delay": 17.0, "mix": 0.7})
    render = effect.render

    def counted(*arguments: object) -> np.ndarray:
        made.append(arguments)
        return render(*arguments)

    effect = find("chorus")
    effect.render = counted
    try:
        one, two = (
            match(effect, dry, wet, RATE, renders=50, seed=3, intervals=False) for _ in "ab"
        )
    finally:
        del effect.render
    assert one.setting == two.setting and one.steps[-1].distance < one.steps[0].distance
    assert one.steps[-1].renders == 50
    assert len(made) == 2 * (50 + 1)  # the centre is heard once more, to be told


def test_what_can_hardly_be_heard_is_left_in_the_middle():
    dry, effect = pluck(), Gain()
    wet = 0.5 * dry
    at = effect.to_units({"gain": -6.02})[0]
    trials = Trials(effect, dry, RATE, Target(wet, 1.0), renders=20)
    for idle in (0.0, 0.5, 1.0):
        trials(np.array([at + 0.02, idle, 0.5]))
    assert trials.best[1] == 0.5 and np.ptp(trials.distances) == 0.0
    trials(np.array([at + 0.4, 0.5, 0.5]))  # much further off
    assert trials.best[0] == at + 0.02
    trials(np.array([at, 1.0, 0.0]))
    assert trials.found and trials.best[1] == 1.0 and trials.nearest is not None
    np.testing.assert_allclose(trials.nearest, wet, atol=1e-3)


def test_what_can_hardly_be_heard_is_where_a_model_expects_it():
    dry, effect = pluck(), Gain()
    at = effect.to_units({"gain": -6.02})[0]
    expected = Expected(np.array([0.5, 0.8, 0.5]), np.array([0.3, 0.1, 0.0]))
    trials = Trials(effect, dry, RATE, Target(0.5 * dry, 1.0), renders=20, expected=expected)
    for idle in (0.5, 0.8, 1.0):
        trials(np.array([at + 0.02, idle, 0.5]))
    assert trials.best[1] == 0.8 and np.ptp(trials.distances) == 0.0
    trials(np.array([0.5, 0.8, 0.5]))  # where the model expects it, and much further off
    assert trials.best[0] == at + 0.02
    far, near = (trials.unlikely(np.array([at, idle, 0.5])) for idle in (0.2, 0.7))
    assert far > near > 0.0
    # A model that is sure and wrong cannot outweigh what is heard.
    wrong = Expected(np.array([1.0, 0.5, 0.5]), np.zeros(3))
    trials = Trials(effect, dry, RATE, Target(0.5 * dry, 1.0), renders=20, expected=wrong)
    assert trials.unlikely(np.zeros(3)) <= 2.0
    trials(np.array([1.0, 0.5, 0.5]))
    trials(np.array([at + 0.05, 0.5, 0.5]))
    assert trials.best[0] == at + 0.05


def test_a_knob_that_cannot_be_heard_is_called_so():
    dry, effect = pluck(), Gain()
    found = match(effect, dry, 0.5 * dry, RATE)
    gain, idle, width = found.knobs
    assert gain.word == "sure" and gain.low <= -6.02 <= gain.high
    assert idle.word == "cannot be heard here" and (idle.low, idle.high) == (0.0, 1.0)
    assert width.word == "cannot be heard here" and "mono" in str(width.why)
    hasty = match(effect, dry, 0.5 * dry, RATE, seconds=0.0).knobs[0]  # nobody looked
    assert hasty.word == "rough" and (hasty.low, hasty.high) == (-20.0, 20.0)


def test_the_effect_is_told_where_none_is_named():
    dry, effects = pluck(), [find(name) for name in ("overdrive", "delay", "ringmod")]
    wet = effects[1].render(dry, RATE, {"time": 120.0, "feedback": 0.5, "mix": 0.5})
    found = match_one_of(effects, dry, wet, RATE, renders=60)
    assert found.effect.name == "delay" and found.sure == "sure"
    assert set(found.others) == {"overdrive", "ringmod"}
    # Some renders with each effect tell which it is; the search goes on from there.
    assert [s.renders for s in found.steps[:2]] == [0, 3 * TRIED + 1]
    assert 4 * TRIED < found.steps[-1].renders <= 3 * TRIED + 60


def test_an_effect_that_crashes_does_not_stop_the_others(caplog):
    class Broken(Gain):
        def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
            raise EffectError(f"{self.name} crashed (SIGSEGV)")

    class Other(Broken):
        name = "other"

    dry, delay = pluck(0.5), find("delay")
    wet = delay.render(dry, RATE, {"time": 120.0, "mix": 0.5})
    likeliest = Prediction({"gain": 0.9, "delay": 0.1}, {})
    for predict in (None, lambda dry, wet, rate: likeliest):
        caplog.clear()
        found = match_one_of([Broken(), delay], dry, wet, RATE, renders=20, predict=predict)
        assert found.effect.name == "delay" and not found.others and found.ratio < 0.5
        (record,) = caplog.records
        assert record.message == found.note == "gain is left out: gain crashed (SIGSEGV)"
        with pytest.raises(
            EffectError, match=r"gain crashed \(SIGSEGV\); other crashed \(SIGSEGV\)"
        ):
            match_one_of([Broken(), Other()], dry, wet, RATE, predict=predict)
    caplog.clear()
    with pytest.raises(EffectError, match="the reference is silent"):
        match_one_of([Broken(), delay], dry, 0 * dry, RATE)
    assert not caplog.records


def test_a_match_is_no_further_than_what_was_known_before_the_search():
    """Of another effect the search's own distance can prefer what is further by the one that is told."""
    dry = pluck()
    for name, other, place in (("eq", "reverb", 0.7), ("delay", "reverb", 0.3)):
        effect, reference = find(name), find(other)
        units = np.full(len(reference.knobs), place)
        wet = reference.render(dry, RATE, reference.from_units(units))
        found = match(effect, dry, wet, RATE, renders=20, intervals=False)
        nothing, centre = (step.distance for step in found.steps[:2])
        known = [
            effect.from_units(effect.to_units(effect.dry or {})),
            effect.from_units(np.full(len(effect.knobs), 0.5)),
        ]
        assert found.steps[-1].distance == min(nothing, centre)
        assert found.setting == known[centre <= nothing]


def test_a_search_that_can_try_nothing_ends():
    class Deaf(Gain):
        def render(self, samples, sample_rate, setting=None):
            if setting["gain"] == 0.0:
                return samples
            raise EffectError("there is nothing but 0")

    assert match(Deaf(), pluck(), 0.5 * pluck(), RATE, renders=30).note


def test_a_sound_matched_to_itself_needs_nothing():
    dry = pluck()
    found = match_one_of([find("overdrive"), find("delay")], dry, dry, RATE, renders=10)
    assert (
        found.ratio is None and found.sure == "rough" and "no effect is needed" in str(found.note)
    )


@pytest.mark.parametrize("rate", [1000, 96000, 192000])
def test_rates_at_which_nothing_is_compared_are_matched_at_the_nearest(rate, tmp_path):
    dry = resample(pluck(0.6), RATE, rate)
    wet = find("overdrive").render(dry, rate, {"drive": 30.0})
    for name, sound in (("dry", dry), ("wet", wet)):
        write(tmp_path / f"{name}.wav", sound, rate, format="float")
    found = effects_match(
        tmp_path / "dry.wav", tmp_path / "wet.wav", tmp_path / "out", effect="overdrive", renders=20
    )
    nearest = 8000 if rate == 1000 else 48000
    assert any(f"compared at {nearest} Hz" in note for note in found.facts["notes"])
    assert read(found.sound).sample_rate == rate and found.picture.exists() and found.file.exists()


def test_a_match_writes_over_none_of_its_sounds(driven, tmp_path):
    for number, name in enumerate(("result.wav", "match.json")):
        given = [*driven]
        given[number] = given[number].rename(tmp_path / name)
        before = given[number].read_bytes()
        with pytest.raises(EffectError, match=f"{name} would be written over; give another"):
            effects_match(*given, tmp_path, effect="overdrive")
        assert given[number].read_bytes() == before
        given[number].rename(driven[number])


def test_style_is_taken_from_another_sound():
    dry, effect = pluck(seed=0), find("overdrive")
    other = pluck(1.1, seed=1)
    setting = {"drive": 32.0, "tone": 1200.0, "asymmetry": 0.3}
    wanted, reference = (effect.render(x, RATE, setting) for x in (dry, other))
    found = match_style(effect, dry, reference, RATE, renders=60)
    result = effect.render(dry, RATE, found.setting)
    assert mr_stft(result, wanted) < 0.6 * mr_stft(dry, wanted) and found.ratio < 0.6
    assert all(k.low <= setting[k.knob] <= k.high for k in found.knobs[:2])
    assert match_style(effect, dry, reference, RATE, renders=60).setting == found.setting
    assert found.note is None
    without = match_style(effect, dry, other, RATE, renders=60)
    assert "may as well be without overdrive" in str(without.note)


def test_of_several_effects_the_style_is_that_of_the_one_the_reference_has(tmp_path):
    dry = pluck()
    (note,) = built_in([(25, 52)], RATE)
    other = note[: 3 * RATE // 2] * (0.25 / np.abs(note).max())
    wet = find("bitcrush").render(other, RATE, {"bits": 3.0, "rate": 2500.0, "mix": 1.0})
    for name, sound in (("dry", dry), ("wet", wet)):
        write(tmp_path / f"{name}.wav", sound, RATE, format="float")
    words = [
        "effects",
        "match",
        *(str(tmp_path / f"{name}.wav") for name in ("dry", "wet")),
        "--style",
    ]
    words += ["--effect", "overdrive", "--effect", "bitcrush", "--seconds", "600", "--out"]
    told = CliRunner().invoke(app, [*words, str(tmp_path / "out")])
    assert re.search(r"^bitcrush \((sure|rough)\): bits", told.stdout, re.MULTILINE)
    found = json.loads((tmp_path / "out" / "match.json").read_text(encoding="utf-8"))
    assert found["effect"] == "bitcrush" == next(iter(found["probabilities"]))
    assert set(found["probabilities"]) == {"overdrive", "bitcrush", "none"}
    assert (found["sure"] == "sure") == (found["probabilities"]["bitcrush"] >= 0.8)
    for name, share in found["probabilities"].items():
        assert re.search(rf"{name} +{share:.0%}", told.stdout) or share < 0.01


def test_effect_and_knobs_are_told_by_the_wet_sound_alone(tmp_path):
    (note,) = built_in([(25, 52)], RATE)  # none of those that settings are tried on
    dry = note[: 3 * RATE // 2] * (0.25 / np.abs(note).max())
    wet = find("overdrive").render(dry, RATE, {"drive": 35.0, "tone": 3000.0})
    write(tmp_path / "wet.wav", wet, RATE)
    words = ["effects", "blind", str(tmp_path / "wet.wav"), "--seconds", "600", "--json"]
    told = CliRunner().invoke(app, [*words, "--effect", "delay", "--effect", "overdrive"])
    found = json.loads(told.stdout)
    assert next(iter(found["probabilities"])) == found["effect"] == "overdrive"
    assert sum(found["probabilities"].values()) == pytest.approx(1.0)
    assert 10.0 < found["knobs"][0]["low"] <= 35.0 <= found["knobs"][0]["high"]
    with pytest.raises(EffectError, match="the sound is silent"):
        match_blind([find("delay")], 0.0 * wet, RATE)


def test_the_verb_writes_a_match_of_files_that_differ_in_rate_and_length(tmp_path):
    dry, effect = pluck(), find("overdrive")
    wet = effect.render(dry, RATE, {"drive": 30.0, "tone": 1500.0})
    write(tmp_path / "dry.wav", dry, RATE, format="float")
    write(tmp_path / "wet.wav", resample(np.pad(wet, (0, 3000)), RATE, 22050), 22050)
    found = effects_match(
        tmp_path / "dry.wav", tmp_path / "wet.wav", tmp_path / "out", effect="overdrive",
        renders=60, seconds=60.0,
    )  # fmt: skip
    told = json.loads(found.file.read_text(encoding="utf-8"))
    assert told["setting"]["tone"] == pytest.approx(1500.0, rel=0.05) and told["ratio"] < 0.5
    assert any("22050 Hz" in note for note in told["notes"])
    assert any("lengths differ" in note for note in told["notes"])
    assert read(found.sound).samples.shape == (1, len(dry)) and found.picture.stat().st_size > 5000
    noise = np.random.default_rng(0).standard_normal(3 * RATE) * np.geomspace(1e-3, 0.2, 3 * RATE)
    write(tmp_path / "noise.wav", noise, RATE)
    with pytest.raises(EffectError, match="match its style"):
        effects_match(tmp_path / "dry.wav", tmp_path / "noise.wav", tmp_path, effect="overdrive")
    with pytest.raises(EffectError, match="there is no effect 'overdrve'; did you mean overdrive"):
        effects_match(tmp_path / "dry.wav", tmp_path / "wet.wav", tmp_path, effect="overdrve")


@pytest.fixture
def driven(tmp_path) -> tuple[Path, Path]:
    """A dry file and the same with overdrive, then delay."""
    dry = pluck(0.9)
    wet = find("overdrive+delay").render(dry, RATE, DRIVEN)
    write(tmp_path / "dry.wav", dry, RATE, format="float")
    write(tmp_path / "wet.wav", wet, RATE, format="float")
    return tmp_path / "dry.wav", tmp_path / "wet.wav"


DRIVEN = {
    "overdrive.drive": 25.0, "overdrive.tone": 2500.0, "delay.time": 190.0, "delay.feedback": 0.4,
    "delay.mix": 0.5,
}  # fmt: skip


def test_a_chain_is_matched_told_and_written(driven, tmp_path):
    """The knobs of both effects by their names in the chain, and each step nearer than the one before."""
    out, effect = tmp_path / "out", find("overdrive+delay")
    words = ["--chain", "overdrive,delay", "--out", str(out), "--renders", "100", "--seconds", "60"]
    shown = CliRunner().invoke(app, ["effects", "match", *map(str, driven), *words]).stdout
    told = json.loads((out / "match.json").read_text(encoding="utf-8"))
    assert told["effect"] == effect.name and list(told["setting"]) == [k.name for k in effect.knobs]
    names = ["nothing", "centre", "Sobol", "CMA-ES", "polish", "again"]
    assert [step["name"] for step in told["steps"]] in (names[:5], names)
    far = [step["distance"] for step in told["steps"]]
    assert far == sorted(far, reverse=True) and told["steps"][-1]["renders"] == 100
    assert told["ratio"] == pytest.approx(far[-1] / far[0]) and told["ratio"] < 0.35
    sure = {knob["knob"]: knob for knob in told["knobs"]}
    assert list(sure) == list(told["setting"]) and sure["delay.time"]["unit"] == "ms"
    time = sure["delay.time"]
    assert time["word"] == "sure" and time["low"] <= DRIVEN["delay.time"] <= time["high"]
    assert time["value"] == told["setting"]["delay.time"] == pytest.approx(190.0, abs=1.0)
    made = effect.render(read(driven[0]).samples, RATE, told["setting"])
    assert np.abs(read(out / "result.wav").samples - made).max() < 1e-5
    assert (out / "match.png").stat().st_size > 5000

    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.splitlines()}
    assert shown.startswith("overdrive+delay (asked for): overdrive.drive ")
    for step, left in zip(told["steps"], far, strict=True):
        words = f"{left:.3f} {left / far[0]:.2f} {step['renders']} "
        assert lines[step["name"]].startswith(words)
    for name, knob in sure.items():
        assert lines[name].startswith(f"{knob['value']:.4g} ") and knob["word"] in lines[name]

    again = effects_match(
        *driven, tmp_path / "again", effect=effect.name, renders=100, seconds=60.0
    ).facts
    for step in (*told["steps"], *again["steps"]):
        assert step.pop("seconds") >= 0.0
    assert again == told


def test_the_knobs_of_a_plugin_are_found_through_its_process(tmp_path):
    """LV2's overdrive, of which nobody here knows the formula."""
    dry, effect = pluck(0.6), find("lv2:Overdrive")
    setting = effect.complete({"drive": 0.8, "muffle": 0.3})
    for name, sound in (("dry", dry), ("wet", effect.render(dry, RATE, setting))):
        write(tmp_path / f"{name}.wav", sound, RATE, format="float")
    found = effects_match(
        tmp_path / "dry.wav", tmp_path / "wet.wav", tmp_path, effect="lv2:Overdrive", renders=60,
        seconds=60.0,
    )  # fmt: skip
    assert found.match.ratio < 0.2 and found.match.effect.host == "lv2"
    told = json.loads(found.file.read_text(encoding="utf-8"))
    assert told["setting"]["drive"] == pytest.approx(0.8, abs=0.05)
    drive = next(knob for knob in told["knobs"] if knob["knob"] == "drive")
    assert drive["low"] <= 0.8 <= drive["high"]
    made = effect.render(dry, RATE, told["setting"])
    assert np.abs(read(found.sound).samples[0] - made).max() < 1e-5


def test_a_missing_plugin_is_one_sentence_and_others_are_tried(driven, tmp_path, caplog):
    gone = "there is no LV2 plug-in 'Nothing'"
    for names in ("overdrive+lv2:Nothing", ["lv2:Nothing"]):
        with pytest.raises(EffectError, match=f"^{gone} in .*brings some"):
            effects_match(*driven, tmp_path / "none", effect=names)
    assert not (tmp_path / "none").exists() and not caplog.records
    found = effects_match(
        *driven, tmp_path / "one", effect=["lv2:Nothing", "overdrive"], renders=8, seconds=60.0
    )
    assert found.match.effect.name == "overdrive"
    (note, *_) = found.facts["notes"]
    assert note.startswith(f"lv2:Nothing is left out: {gone}")
    assert [record.message for record in caplog.records] == [note]


@pytest.mark.filterwarnings("error")
def test_silence_of_another_length_is_said_without_a_warning(tmp_path):
    write(tmp_path / "silent.wav", np.zeros(9000), RATE)
    write(tmp_path / "dry.wav", pluck(), RATE)
    for given, words in (("silent dry", "the sound is"), ("dry silent", "the reference is")):
        files = [tmp_path / f"{name}.wav" for name in given.split()]
        with pytest.raises(EffectError, match=f"{words} silent"):
            effects_match(*files, tmp_path / "out", effect="delay")
    assert not (tmp_path / "out").exists()


def test_a_reference_without_the_effect_and_sounds_that_cannot_be_compared_are_said():
    dry, ringmod = pluck(), find("ringmod")
    backwards = np.ascontiguousarray(dry[::-1])
    assert "no effect is needed" in str(match(ringmod, dry, dry, RATE, renders=8).note)
    loud = match(replace_dry(ringmod), dry, 0.99 * dry + 0.01 * backwards, RATE, renders=20)
    assert "does not seem to be in the reference" in str(loud.note)
    for sound, reference, words in (
        (dry, dry[:-1], "cut both alike"), (0 * dry, dry, "the sound is silent"),
        (dry, 0 * dry, "the reference is silent"), (dry[:1], dry[:1], "1 samples"),
    ):  # fmt: skip
        with pytest.raises(EffectError, match=words):
            match(ringmod, sound, reference, RATE)


def replace_dry(effect: Effect) -> Effect:
    """The same effect with a depth that always does much."""

    class Deep(type(effect)):
        dry = None
        knobs = tuple(replace(k, low=0.9) if k.name == "depth" else k for k in effect.knobs)

    return Deep()
