"""Controllers: a place in a small cube to the knobs of an effect, and back."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from timbrespace.cli import app
from timbrespace.controller import Controller, fit, layout, measure
from timbrespace.controller.heard import SAMPLE_RATE, Ear
from timbrespace.controller.make import fitted, listen, make, rendered
from timbrespace.effects import Effect, Knob
from timbrespace.effects.catalogue import find
from timbrespace.errors import EffectError, MissingExtra
from timbrespace.geometry.axes import rank_correlation
from timbrespace.verbs_effects import effects_controller


class Trim(Effect):
    """A gain and three knobs that do nothing: one number says all that is heard of it."""

    name = "trim"
    words = "a gain, and knobs that nobody hears"
    knobs = (
        Knob("gain", "dB", -30.0, 0.0, 0.0),
        Knob("a", "", 0.0, 1.0, 0.5),
        Knob("b", "", 0.0, 1.0, 0.5),
    )

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        return samples * np.float32(10.0 ** (values["gain"] / 20.0))


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """A third of the steps: enough for what is claimed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "EAR_STEPS", 300)
        patch.setattr(fit, "STEPS", 400)
        yield


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """A bright sound: a falling saw at 150 Hz with a little noise."""
    t = np.arange(32768) / SAMPLE_RATE
    saw = 2.0 * (150.0 * t % 1.0) - 1.0
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(t))
    return (0.25 * np.exp(-1.5 * t) * (saw + noise)).astype(np.float32)


@pytest.fixture(scope="module")
def made(sound) -> Controller:
    return make(find("overdrive"), [sound], settings=250)


@pytest.fixture(scope="module")
def heard(made, sound) -> tuple[np.ndarray, np.ndarray]:
    """Random positions and how much effect, brightness and loudness is heard there."""
    ear = Ear([sound])
    places = np.random.default_rng(3).random((80, 2))
    told = [ear.hear(rendered(find("overdrive"), ear, one))[1] for one in made.knobs(places)]
    return places, np.array(told)


def test_positions_come_back_and_knobs_stay_in_range(made):
    places = np.random.default_rng(1).random((100, 2))
    units = made.knobs(places)
    assert units.shape == (100, 3) and units.min() >= 0.0 and units.max() <= 1.0
    assert np.abs(made.position(units) - places).mean() < 0.08  # 1/3 where nothing is known
    assert np.array_equal(made.knobs(places + 5.0), made.knobs(np.ones((100, 2))))
    assert np.array_equal(made.knobs(made.clean), made.knobs(np.zeros(2)))


def test_two_numbers_tell_the_two_knobs_that_are_heard(made):
    units = np.random.default_rng(4).random((300, 3))
    told = measure.knobs_from_position(made, units)
    assert told["knob_r2_each"]["drive"] > 0.8 and told["knob_r2_each"]["tone"] > 0.8
    assert measure.evenness(made.position(units)) > 0.8


def test_the_first_axis_rises_with_the_effect_and_the_corner_is_clean(made, heard, sound):
    places, told = heard
    assert rank_correlation(places[:, 0], told[:, 0]) > 0.8
    ear = Ear([sound])
    clean = ear.hear(rendered(find("overdrive"), ear, made.knobs(made.clean)))[1][0]
    assert clean < np.quantile(told[:, 0], 0.05)


def test_a_controller_is_the_same_after_it_was_saved(made, tmp_path):
    made.save(tmp_path / "pad.safetensors")
    opened = Controller.open(tmp_path / "pad.safetensors")
    assert opened.facts == made.facts and opened.find_effect() is find("overdrive")
    places = np.random.default_rng(2).random((50, 2))
    assert np.array_equal(opened.knobs(places), made.knobs(places))
    assert np.array_equal(opened.position(opened.knobs(places)), made.position(made.knobs(places)))


@pytest.mark.parametrize("kind", ["bottleneck", "pca"])
def test_a_knob_that_nobody_hears_gets_no_room(kind, sound):
    found = make(Trim(), [sound], kind=kind, settings=150)
    units = np.random.default_rng(5).random((200, 3))
    told = measure.knobs_from_position(found, units)["knob_r2_each"]
    assert told["gain"] > 0.7
    assert found.axes[0].knob == "gain" and found.axes[0].knob_correlation < -0.9


def test_settings_that_lie_together_are_spread_evenly_in_order():
    rng = np.random.default_rng(8)
    heap = np.clip(0.5 + 0.05 * rng.standard_normal((150, 2)) ** 3, 0.0, 1.0)  # most in the middle
    places = layout.spread_evenly(layout.oriented(heap, heap[:, ::-1]), seed=0)
    assert measure.evenness(heap) < 0.4 < 0.9 < measure.evenness(places)
    assert rank_correlation(places[:, 0], heap[:, 1]) > 0.9
    assert rank_correlation(places[:, 1], heap[:, 0]) > 0.9


@pytest.fixture(scope="module")
def wider(sound) -> dict[int, Controller]:
    """Controllers of one chain of 11 knobs in 3, 4 and 8 dimensions, which heard the same settings."""
    chain = find("eq+delay")
    known = listen(chain, [sound], 200, seed=0)
    return {d: fitted(chain, known, "bottleneck", d, seed=0) for d in (3, 4, 8)}


@pytest.mark.parametrize("dimensions", [3, 4, 8])
def test_more_than_two_numbers_play_an_effect_too(wider, sound, tmp_path, dimensions):
    wider[dimensions].save(tmp_path / "pad.safetensors")
    opened = Controller.open(tmp_path / "pad.safetensors")
    assert opened.dimensions == len(opened.axes) == len(opened.clean) == dimensions
    places = np.random.default_rng(1).random((60, dimensions))
    units = opened.knobs(places)
    assert np.array_equal(units, wider[dimensions].knobs(places)) and units.shape == (60, 11)
    assert np.abs(opened.position(units) - places).mean() < 0.08  # 1/3 where nothing is known
    with pytest.raises(EffectError, match=f"is {dimensions} dimensions from 0 to 1, got the shape"):
        opened.knobs(places[:, 1:])
    effect, ear = opened.find_effect(), Ear([sound])
    wet = [effect.render(sound, SAMPLE_RATE, effect.from_units(one)) for one in units[:2]]
    assert wet[0].shape == sound.shape and not np.allclose(*wet, atol=1e-3)
    told = np.array([ear.hear(rendered(effect, ear, one))[1][0] for one in units])
    clean = ear.hear(rendered(effect, ear, opened.knobs(opened.clean)))[1][0]
    assert clean < 0.5 * np.quantile(told, 0.05)
    assert rank_correlation(places[:, 0], told) > 0.4


def test_every_further_number_tells_more_of_the_knobs(wider):
    units = np.random.default_rng(4).random((300, 11))
    told = [measure.knobs_from_position(one, units)["knob_r2"] for one in wider.values()]
    assert told == sorted(told) and told[-1] > 2 * told[0] > 0.2


def test_umap_that_is_not_installed_is_said(sound, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra, match="bottleneck and pca need nothing extra"):
        make(Trim(), [sound], kind="umap", settings=60)


def test_the_same_seed_gives_the_same_controller(sound, monkeypatch):
    monkeypatch.setattr(fit, "EAR_STEPS", 20)
    monkeypatch.setattr(fit, "STEPS", 20)
    one, same, other = (
        make(find("overdrive"), [sound], settings=60, seed=seed) for seed in (1, 1, 2)
    )
    places = np.random.default_rng(6).random((20, 2))
    assert np.array_equal(one.knobs(places), same.knobs(places)) and one.axes == same.axes
    assert not np.array_equal(one.knobs(places), other.knobs(places))


def test_what_cannot_be_made_is_said(sound):
    class Single(Trim):
        knobs = Trim.knobs[:1]

    for effect, asked, words in (
        (Single(), {}, "one knob, which is its own controller"),
        (find("overdrive"), {"dimensions": 4}, "overdrive has 3 knobs"),
        (find("overdrive"), {"dimensions": 9}, "2 to 8 dimensions, got 9"),
        (find("overdrive"), {"kind": "tsne"}, "no controller of kind 'tsne'"),
        (find("overdrive"), {"settings": 5}, "at least 60 settings, got 5"),
    ):
        with pytest.raises(EffectError, match=words):
            make(effect, [sound], **asked)
    with pytest.raises(EffectError, match="louder than -60 dBFS"):
        make(find("overdrive"), [0.0 * sound], settings=60)


def test_a_controller_that_does_not_fit_is_refused(made, tmp_path):
    path = tmp_path / "pad.safetensors"
    replace(made, effect="overdrve").save(path)
    with pytest.raises(EffectError, match="did you mean overdrive"):
        Controller.open(path).find_effect()
    replace(made, made={}).save(path)
    with pytest.raises(EffectError, match="damaged"):
        Controller.open(path)
    replace(made, effect="bitcrush").save(path)
    with pytest.raises(EffectError, match="other knobs or ranges"):
        Controller.open(path).find_effect()
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(EffectError, match="damaged"):
        Controller.open(path)
    with pytest.raises(EffectError, match="is no file"):
        Controller.open(tmp_path / "none")
    with pytest.raises(EffectError, match=r"2 dimensions from 0 to 1, got the shape \(3,\)"):
        made.knobs(np.zeros(3))
    with pytest.raises(EffectError, match="got NaN"):
        made.knobs(np.array([0.5, np.nan]))


def test_half_way_lies_between_where_sounds_lie_on_a_line():
    line = np.linspace(0.0, 1.0, measure.STEPS)[None, :, None] * np.ones((3, 1, 4))
    straight = measure._of_paths(line)
    assert straight["midpoint"] == pytest.approx(1.0)
    assert straight["roughness"] == pytest.approx(0.0, abs=1e-9)
    assert straight["non_linearity"] == pytest.approx(0.0, abs=1e-9)
    bent = measure._of_paths(np.concatenate([line, line**2], 2))
    assert bent["midpoint"] > 1.01 and bent["non_linearity"] > 0.1


def test_an_axis_that_only_rises_is_told_from_one_that_also_falls(made):
    at = np.linspace(0.0, 0.9, 50)[:, None] * np.ones(2)
    axes = [{"effect": 0.9, "brightness": 0.0}, {"effect": 0.0, "brightness": -0.9}]

    def heard(knobs: np.ndarray) -> np.ndarray:
        return 20.0 * np.stack([at[:, 0] + 0.1, np.sin(12.0 * (at[:, 1] + 0.1)), at[:, 0]], 1)

    told = 20.0 * np.stack([at[:, 0], np.sin(12.0 * at[:, 1]), at[:, 0]], 1)
    first, second = measure.rises(made, lambda knobs: (knobs, heard(knobs)), at, told, axes)
    assert first == 1.0 and 0.3 < second < 0.7


def test_random_settings_cover_themselves_and_one_sound_covers_little():
    spread = np.random.default_rng(7).random((200, 3))
    assert measure.coverage(spread, spread) == 1.0
    assert measure.coverage(spread, spread[:1]) < 0.05
    assert measure.evenness(spread[:, :2]) > 0.9
    assert measure.evenness(np.full((50, 2), 0.5)) == pytest.approx(1 / 25)


def test_the_command_makes_measures_and_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "EAR_STEPS", 50)
    monkeypatch.setattr(fit, "STEPS", 50)
    for name, few in (("RENDERED", 6), ("PLACES", 12), ("PATHS", 2)):
        monkeypatch.setattr(measure, name, few)
    out = tmp_path / "pad.safetensors"
    asked = [
        "effects",
        "controller",
        "--effect",
        "overdrive",
        "--settings",
        "60",
        "--out",
        str(out),
    ]
    made = CliRunner().invoke(app, [*asked, "--json"])
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout.splitlines()[-1])
    assert facts["measures"]["held_out_sound"] and len(facts["axes"]) == 2
    told = CliRunner().invoke(app, ["effects", "controller", str(out)])
    assert told.exit_code == 0 and "clean corner: drive" in told.stdout
    assert CliRunner().invoke(app, ["effects", "controller"]).exit_code == 2
    for place in (tmp_path, tmp_path / "none" / "pad.safetensors"):
        with pytest.raises(EffectError, match="give a file in a folder that is there"):
            effects_controller("overdrive", place, settings=60)
