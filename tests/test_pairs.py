"""Pairs of dry and wet sounds: their picture, and how they are rendered."""

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from timbrespace import cli, verbs_effects
from timbrespace.data import pair_parts, pair_rendering
from timbrespace.data.corpus import Corpus
from timbrespace.data.pair_rendering import render_pairs
from timbrespace.data.pair_settings import grid_of, shared
from timbrespace.data.pairs import Pairs, dry_and_wet
from timbrespace.data.prepare import prepare
from timbrespace.effects import Effect, Knob, catalogue
from timbrespace.errors import AudioError, CorpusError, EffectError, RecipeError
from timbrespace.features.catalogue import feature_of
from timbrespace.features.log_mel import LogMel
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


def test_without_a_corpus_the_built_in_instruments_are_dry(tmp_path, monkeypatch):
    monkeypatch.setattr("timbrespace.verbs.DEMO_NOTES", 40)
    out = tmp_path / "pairs"
    with pytest.raises(EffectError, match="overdrve"):
        verbs_effects.effects_pairs(out, effects="overdrve")
    assert not list(tmp_path.iterdir())  # nothing is rendered for a slip
    made = verbs_effects.effects_pairs(out, effects="overdrive", n=4, seconds=0.5, workers=1)
    assert made.counts["pairs"] == 4 and (tmp_path / "pairs.dry" / "corpus").is_dir()


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
        ({"channels": "joint", "resolutions": (256, 2048)}, 3.5),
        ({"channels": "difference"}, 3.5),
        ({"channels": "difference", "resolutions": (256, 2048)}, 3.5),
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


def test_short_windows_see_when_and_long_ones_which_frequency():
    """Of a flutter at 70 Hz short windows see that it goes up and down, long ones its three lines, a half and
    twice a quarter as high as the one that was there."""
    time = torch.arange(8192) / 16000
    dry = torch.sin(2 * math.pi * 1000.0 * time)
    wet = dry * (0.5 + 0.5 * torch.sin(2 * math.pi * 70.0 * time))
    feature = Pair(**SMALL, resolutions=(256, 2048))
    values = feature.analyse(torch.cat([dry, wet])).values
    own, usual, short, long = values.unflatten(-2, (4, -1)).unbind(-3)
    assert feature.words.endswith(
        "in windows of 256 / in windows of 2048, each 32 mels by 64 frames"
    )
    row, steady = own.mean(1).argmax(), slice(16, -16)
    ripple = [GAIN_DB * seen[row, steady].std().item() for seen in (short, usual, long)]
    assert ripple[0] > 1.5 * ripple[1] > 1.5 * ripple[2] and ripple[2] < 0.2
    one, three = (10 * math.log10(power) for power in (0.5**2, 0.5**2 + 2 * 0.25**2))
    assert (
        one < GAIN_DB * long[row, steady].mean().item() < three
    )  # a mel weighs the outer lines less


def test_of_joint_pictures_the_wet_sound_is_seen_at_further_resolutions():
    dry, wet = chord(), 0.5 * chord().roll(3000)
    feature = Pair(**SMALL, channels="joint", level="each", resolutions=(256, 2048))
    whole = feature.analyse(torch.cat([dry, wet])).values.unflatten(-2, (4, -1))
    quiet = feature.analyse(torch.cat([0.01 * dry, wet])).values.unflatten(-2, (4, -1))
    torch.testing.assert_close(quiet[1:], whole[1:])  # nothing of the dry sound is in them
    for number, n_fft in ((2, 256), (3, 2048)):
        alone = Pair(**{**SMALL, "n_fft": n_fft}, channels="joint", level="each")
        seen = alone.analyse(torch.cat([dry, wet])).values.unflatten(-2, (2, -1))
        torch.testing.assert_close(whole[number], seen[1])


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
    with pytest.raises(RecipeError, match="leaves gaps between windows of 64"):
        Pair(**SMALL, resolutions=(64,))
    with pytest.raises(RecipeError, match="resolutions show log-mels once more"):
        Pair(**SMALL, picture="power", resolutions=(256,))


@pytest.mark.parametrize("channels", ["joint", "difference", "angle", "phase"])
def test_recipe_and_feature_agree(channels):
    settings = {"picture": "power", "channels": channels, "n_fft": 4096, "hop": 2048}
    section = PairSection(**settings, samples=131072, sample_rate=24000)
    feature = feature_of(section.model_dump())
    assert (section.shape, section.stacked) == (feature.shape, feature.stacked)
    assert feature.shape[1] == 64 and feature.words.count("/") == feature.stacked - 1
    assert not list(section.misfits())
    assert list(PairSection(channels="angle").misfits())


def test_further_resolutions_are_in_the_recipe_and_go_without_saying_where_there_are_none():
    section = PairSection(resolutions=(512, 4096))
    feature = feature_of(json.loads(json.dumps(feature_of(section.model_dump()).settings())))
    assert feature.settings()["resolutions"] == [512, 4096]
    assert (section.shape, section.stacked) == (feature.shape, feature.stacked) == ((256, 128), 4)
    assert feature.misfit(Pair()) and "resolutions" not in Pair().settings()
    assert list(PairSection(picture="power", resolutions=(512,)).misfits())
    for wrong, words in (((256,), "numbers from 512 on"), ((513,), "use even"), ((1024,), "there twice"),
                         ((512, 512), "there twice")):  # fmt: skip
        assert words in next(PairSection(resolutions=wrong).misfits())


# Rendering

SHORT = {"seconds": 0.512, "workers": 0}  # 8,192 samples


class Moody(Effect):
    """A gain that spoils its result in as many ways as there are, by its mood."""

    name, words = "moody", "a gain, when it is in the mood"
    knobs = (Knob("mood", "", 0.0, 1.0, 0.5), Knob("gain", "dB", -6.0, 20.0, 0.0))

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        mood = int(10.0 * values["mood"])
        if mood == 0:
            return 1e-4 * samples
        if mood == 1:
            return np.full_like(samples, np.nan)
        if mood == 2:
            raise EffectError("moody crashed (SIGSEGV)")
        if mood == 3:
            return samples[..., :-1]
        if mood == 4:
            return samples
        return samples * np.float32(10.0 ** (values["gain"] / 20.0))


class Mute(Moody):
    name = "mute"

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        raise EffectError("mute gave no answer in 5 s")


@pytest.fixture(scope="module")
def dry(tmp_path_factory) -> Path:
    """A corpus of 24 notes of six instruments, four of them to train on; one note is silence."""
    folder = tmp_path_factory.mktemp("dry")
    rng = np.random.default_rng(0)
    lines = [("file", "split", "instrument", "pitch")]
    for instrument in range(6):
        split = ("train", "train", "train", "train", "valid", "test")[instrument]
        for note in range(4):
            time = np.arange(rng.integers(4000, 20000)) / RATE
            pitch = 48 + 5 * note + instrument
            tone = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * np.exp(-2 * time)
            sound = 0.3 * tone + 0.01 * rng.standard_normal(len(time))
            if (instrument, note) == (0, 0):
                sound[:] = 3e-4
            soundfile.write(folder / f"{instrument}-{note}.wav", sound, RATE)
            lines.append((f"{instrument}-{note}.wav", split, f"i{instrument}", str(pitch)))
    with open(folder / "notes.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    feature = LogMel(n_fft=512, mels=16, frames=16)
    prepare(folder / "notes.csv", folder / "corpus", feature=feature, workers=0)
    return folder / "corpus"


@pytest.fixture(autouse=True)
def moods(monkeypatch):
    monkeypatch.setitem(catalogue.EFFECTS, "moody", Moody())
    monkeypatch.setitem(catalogue.EFFECTS, "mute", Mute())


@pytest.fixture(scope="module")
def made(dry, tmp_path_factory) -> Pairs:
    """Random pairs of two effects."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue.EFFECTS, "moody", Moody())
        out = tmp_path_factory.mktemp("pairs") / "pairs"
        return render_pairs(out, dry, ["overdrive", "moody"], number=80, **SHORT)


def contents(out: Path) -> dict[str, bytes]:
    """All that was rendered, by name."""
    files = sorted(p for p in (out / "sounds").rglob("*") if p.is_file())
    return {str(p.relative_to(out)): p.read_bytes() for p in [*files, out / "pairs.json"]}


def test_pairs_keep_instruments_apart_and_every_setting_on_two_sounds(dry, made):
    corpus, source = Corpus.open(made.path), Corpus.open(dry)
    assert len(corpus.rows) == 160 and set(np.unique(made.split)) == {0, 1, 2}
    assert corpus.labels("pitch") == [source.labels("pitch")[row] for row in corpus.labels("sound")]
    of = {source.labels("instrument")[r]: source.rows.split[r] for r in range(len(source.rows))}
    known = zip(corpus.labels("instrument"), made.split, strict=True)
    assert all(of[instrument] == split for instrument, split in known)
    for setting in np.unique(made.setting):
        rows = np.flatnonzero(made.setting == setting)
        assert len(rows) == 2 and len({corpus.labels("sound")[row] for row in rows}) == 2
        assert len(set(made.split[rows])) == len(set(made.effect[rows])) == 1
    assert 0 not in corpus.labels("sound")  # the silent note


def test_knobs_are_those_that_were_heard(made):
    """Units from the table, given to the effect again, make the same wet sounds of the dry ones."""
    rows, units = made.rows("overdrive"), made.units("overdrive")
    assert units.shape == (80, 3) and units.min() >= 0.0 and units.max() <= 1.0
    assert units.std(0).min() > 0.2
    effect, stored = catalogue.find("overdrive"), made.effects["overdrive"]
    assert stored.knobs == effect.knobs
    dry, wet = made.sounds(rows)
    assert np.abs(dry).max(1) == pytest.approx(10 ** (-12 / 20), abs=1e-4)
    for place in range(0, 80, 7):
        again = effect.render(dry[place], made.sample_rate, stored.from_units(units[place]))
        assert np.abs(again - wet[place]).max() < 1e-4
    slower = dry_and_wet(made.corpus, int(rows[0]), RATE // 2, made.samples // 2)  # resampled
    assert np.corrcoef(slower[0], dry[0, ::2])[0, 1] > 0.95
    with pytest.raises(CorpusError, match="a dry and a wet sound of 4096 were expected"):
        dry_and_wet(made.corpus, int(rows[0]), RATE, 4096)
    with pytest.raises(EffectError, match="only known by its knobs"):
        stored.render(dry[0], RATE)
    with pytest.raises(EffectError, match="it has: overdrive, moody"):
        made.rows("delay")


def test_what_cannot_be_used_is_counted_and_drawn_again(made):
    counts = made.counts["effects"]
    assert counts["overdrive"]["rejected"] == {}
    assert set(counts["moody"]["rejected"]) == {"silent", "not finite", "crashed", "wrong length"}
    assert counts["moody"]["pairs"] == 80 and counts["moody"]["left_out"] == 0
    mood = made.units("moody")[:, 0]
    assert mood.min() >= 0.4 and counts["moody"]["identical"] == (mood < 0.5).sum() > 0
    dry, wet = made.sounds(made.rows("moody"))
    assert np.array_equal(dry[mood < 0.5], wet[mood < 0.5])


def test_levels_are_kept_or_each_their_own(dry, made, tmp_path):
    dry_sound, wet = made.sounds(made.rows("moody"))
    mood, gain = made.units("moody").T
    gain_db = np.where(mood < 0.5, 0.0, -6.0 + 26.0 * gain)
    peaks = [20 * np.log10(np.abs(x).max(1)) for x in (dry_sound, wet)]
    assert peaks[1] - peaks[0] == pytest.approx(gain_db, abs=0.02)
    assert peaks[1].max() == pytest.approx(-1.0, abs=0.01)
    soft = gain_db > 11.0  # both were made softer
    assert peaks[0][~soft] == pytest.approx(-12.0, abs=0.01) and (peaks[0][soft] < -12.0).all()
    assert made.counts["effects"]["moody"]["softened"] == soft.sum() > 0
    each = render_pairs(tmp_path / "each", dry, ["moody"], number=6, level="each", **SHORT)
    for sounds in each.sounds(np.arange(6)):
        assert np.abs(sounds).max(1) == pytest.approx(10 ** (-12 / 20), abs=1e-4)


def test_an_interrupted_rendering_ends_in_the_same_bytes(dry, made, tmp_path, monkeypatch):
    monkeypatch.setattr(pair_rendering, "PART", 8)  # settings
    asked = {"number": 80, **SHORT}

    def stop(stage: str, done: int, total: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    out = tmp_path / "pairs"
    with pytest.raises(KeyboardInterrupt):
        render_pairs(out, dry, ["overdrive", "moody"], **asked, progress=stop)
    with pytest.raises(CorpusError, match="run the same|make one with"):
        Corpus.open(out)
    first = next((out / "sounds" / "overdrive").iterdir())
    first.write_bytes(first.read_bytes()[:100])  # as a full disk leaves it
    with pytest.raises(CorpusError, match="another seed"):
        render_pairs(out, dry, ["overdrive", "moody"], **asked, seed=1)
    began = []
    render_pairs(
        out, dry, ["overdrive", "moody"], **asked,
        progress=lambda stage, done, total: began.append((stage, done)),
    )  # fmt: skip
    assert 0 < began[0][1] < 100
    assert contents(out) == contents(made.path)
    with pytest.raises(CorpusError, match="another number"):
        render_pairs(out, dry, ["overdrive", "moody"], **{**asked, "number": 10})
    again = []
    render_pairs(
        out, dry, ["overdrive", "moody"], **asked, progress=lambda *at: again.append(at[0])
    )
    assert set(again) == {"prepare"}


def test_processes_make_the_same_bytes_as_one(dry, tmp_path):
    asked = {"settings": "grid", "number": 60, "seconds": 0.512}
    render_pairs(tmp_path / "one", dry, ["overdrive+eq"], **asked, workers=0)
    render_pairs(tmp_path / "two", dry, ["overdrive+eq"], **asked, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_grid_holds_the_corners_and_fixed_knobs_stand_in_the_middle(dry, tmp_path):
    assert (
        grid_of(3, 27) == (3, 3, 3)
        and grid_of(2, 700) == (27, 26)
        and grid_of(4, 3) == (2, 2, 1, 1)
    )
    grid = render_pairs(tmp_path / "grid", dry, ["overdrive"], settings="grid", number=27, **SHORT)
    units = {tuple(np.round(place, 4)) for place in grid.units("overdrive")}
    assert units == {(a, b, c) for a in (0, 0.5, 1) for b in (0, 0.5, 1) for c in (0, 0.5, 1)}
    assert set(np.unique(grid.split)) == {0, 1, 2}
    fixed = render_pairs(
        tmp_path / "fixed", dry, ["overdrive"], settings="fixed", number=9, **SHORT
    )
    assert fixed.units("overdrive") == pytest.approx(np.full((9, 3), 0.5), abs=1e-6)
    assert len(np.unique(fixed.setting)) == 1


def test_numbers_are_shared_as_the_corpus_is():
    assert shared(100, [80, 10, 10]) == (80, 10, 10)
    assert shared(7, [1000, 1, 1]) == (5, 1, 1)
    assert shared(2, [90, 0, 10]) == (1, 0, 1)
    assert shared(1, [90, 5, 5]) == (1, 0, 0)


def test_an_effect_that_gives_nothing_does_not_stop_the_others(dry, tmp_path):
    made = render_pairs(tmp_path / "pairs", dry, ["mute", "overdrive"], number=70, **SHORT)
    assert made.counts["effects"]["mute"] == {
        "pairs": 0, "left_out": 70, "identical": 0, "softened": 0, "grid": [],
        "rejected": {"hung": pair_parts.TRIES * pair_parts.LOST},
    }  # fmt: skip
    assert len(made.corpus.rows) == 70 and made.units("mute").shape == (0, 2)
    with pytest.raises(
        CorpusError, match="no effect gave a single pair .mute: mute gave no answer"
    ):
        render_pairs(tmp_path / "none", dry, ["mute"], number=70, **SHORT)
    assert not (tmp_path / "none" / "sounds").exists()


def test_pairs_of_speech_in_vctk_s_folders_keep_its_speakers_apart(tmp_path):
    """Four speakers in VCTK's layout: what a speaker says is dry in one split alone, and labelled."""
    rng = np.random.default_rng(0)
    lines = ["ID  AGE  GENDER  ACCENTS  REGION"]
    for number in range(4):
        speaker, other = f"p22{number}", ("F", "M")[number % 2]
        lines.append(f"{speaker}  {20 + number}  {other}  English  Southern")
        folder = tmp_path / "VCTK" / "wav48_silence_trimmed" / speaker
        folder.mkdir(parents=True)
        for utterance in range(1, 4):
            time = np.arange(rng.integers(6000, 12000)) / RATE
            said = 0.2 * np.sin(2 * np.pi * (100 + 30 * number) * utterance * time)
            for mic in ("mic1", "mic2"):
                soundfile.write(folder / f"{speaker}_{utterance:03}_{mic}.flac", said, RATE)
    (tmp_path / "VCTK" / "speaker-info.txt").write_text("\n".join(lines))
    feature = LogMel(n_fft=512, mels=16, frames=16)
    source = prepare(tmp_path / "VCTK", tmp_path / "corpus", feature=feature, workers=0)
    assert source.layout == "vctk" and len(source.rows) == 12
    made = render_pairs(
        tmp_path / "pairs", tmp_path / "corpus", ["delay", "eq"], number=24, **SHORT
    )
    speakers = np.array(made.corpus.labels("speaker"))
    assert speakers.tolist() == [source.labels("speaker")[k] for k in made.corpus.labels("sound")]
    assert {"F", "M"} == set(made.corpus.labels("gender"))
    homes = {(speaker, split) for speaker, split in zip(speakers, made.split.tolist(), strict=True)}
    assert len(homes) == 4 and {split for _, split in homes} == {0, 1, 2}
    for effect in ("delay", "eq"):
        assert set(made.split[made.rows(effect)]) == {0, 1, 2}


def test_plugins_make_pairs_with_their_own_knobs(dry, tmp_path):
    """LV2, alone and in a chain with one of ours: the settings in the table make the wet sounds again."""
    names = ["lv2:Overdrive", "eq+lv2:Delay"]
    made = render_pairs(tmp_path / "pairs", dry, names, number=8, **SHORT)
    assert list(made.effects) == names and len(made.corpus.rows) == 16 and not made.missing
    for name in names:
        effect, stored = catalogue.find(name), made.effects[name]
        assert stored.knobs == effect.knobs and "lv2" in stored.host
        sounds, units = zip(*made.sounds(made.rows(name)), strict=True), made.units(name)
        for (one, wet), places in zip(sounds, units, strict=True):
            gain = np.abs(one).max() / pair_parts.DRY_PEAK  # below 1 where both were made softer
            again = gain * effect.render(one / gain, RATE, stored.from_units(places))
            assert np.abs(again - wet).max() < 1e-3 and np.abs(one - wet).max() > 0.01


GONE = "there is no LV2 plug-in 'Nothing'"


def test_the_others_are_rendered_where_a_plugin_is_missing(dry, tmp_path, caplog, monkeypatch):
    """As if the missing ones had not been asked for; each is named once, written down and told."""
    names = ["lv2:Nothing", "overdrive", "overdrive+lv2:Nothing", "pedalboard:Chorus"]
    monkeypatch.setattr("timbrespace.effects.hosts.pedalboard.version", lambda: None)
    made = render_pairs(tmp_path / "some", dry, names, number=6, **SHORT)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "lv2",
        "overdrive+lv2",
        "pedalboard",
    ]
    assert [record.message.count(GONE) for record in caplog.records] == [1, 1, 0]
    assert list(made.missing) == [names[0], *names[2:]] and list(made.effects) == ["overdrive"]
    assert GONE in made.missing["overdrive+lv2:Nothing"]
    assert "pip install" in made.counts["missing"]["pedalboard:Chorus"]
    assert made.lines[2:] == [f"  {name:14} 0 pairs, missing" for name in made.missing]
    alone = render_pairs(tmp_path / "one", dry, ["overdrive"], number=6, **SHORT)
    some, one = contents(made.path), contents(alone.path)
    assert some.pop("pairs.json") != one.pop("pairs.json") and some == one and not alone.missing


def test_the_command_names_what_is_missing_and_refuses_a_slip_or_nothing_at_all(
    dry, tmp_path, monkeypatch, capsys, caplog
):
    out = tmp_path / "pairs"

    def run(effects: str) -> tuple[int, str, str]:
        words = f"effects pairs --corpus {dry} --effects {effects} -n 4 --seconds 0.512 --workers 1"
        monkeypatch.setattr(sys, "argv", ["timbrespace", *words.split(), "--out", str(out)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capsys.readouterr()

    for effects, said in (
        ("dely,lv2:Nothing", "there is no effect 'dely'; did you mean delay?"),
        ("delay+lv3:Nothing", "'lv3:Nothing' names no plug-in, which is HOST:NAME; did you mean lv2?"),
        ("lv2:Nothing", GONE),
    ):  # fmt: skip
        code, _, told = run(effects)
        assert code == 2 and told.startswith(f"timbrespace: {said}") and told.count("\n") == 1
        assert not out.exists() and not caplog.records
    code, told, _ = run("delay,lv2:Nothing")
    assert code == 0 and "4 pairs in" in told and "lv2:Nothing    0 pairs, missing" in told
    (warning,) = caplog.records  # Python shows it on stderr
    assert warning.message.startswith(f"lv2:Nothing is left out: {GONE}")


@pytest.mark.parametrize(
    "asked, told",
    [
        ({"settings": "randm"}, "settings should be fixed, random, grid"),
        ({"level": "loud"}, "level should be kept, each"),
        ({"number": 0}, "at least 1 pair"),
        ({"effects": ["overdrve"]}, "did you mean overdrive"),
        ({"effects": []}, "at least one effect"),
        ({"seconds": float("nan")}, "nan seconds"),
        ({"seconds": float("inf")}, "inf seconds"),
        ({"seconds": 0.001}, "whole number from 1024"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(dry, tmp_path, asked, told):
    asked = {"effects": ["overdrive"], **SHORT, **asked}
    with pytest.raises((CorpusError, EffectError, RecipeError), match=told):
        render_pairs(tmp_path / "pairs", dry, asked.pop("effects"), **asked)
    assert not (tmp_path / "pairs").exists()


def test_folders_that_hold_something_else_are_left_alone(dry, made, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(CorpusError, match="not empty and holds no pairs"):
        render_pairs(tmp_path, dry, ["overdrive"], **SHORT)
    with pytest.raises(CorpusError, match="holds pairs; give the corpus of dry sounds"):
        render_pairs(tmp_path / "pairs", made.path, ["overdrive"], **SHORT)
    with pytest.raises(CorpusError, match="make some with"):
        Pairs.open(dry)


def test_the_command_says_what_it_made(dry, tmp_path):
    out = tmp_path / "pairs"
    words = ["effects", "pairs", "--corpus", dry, "--effects", "moody", "-n", 20, "--out", out]
    words = [*map(str, words), "--seconds", "0.512", "--workers", "1"]
    told = CliRunner().invoke(cli.app, words)
    assert told.exit_code == 0 and "20 pairs in" in told.stdout and "rejected" in told.stdout
    said = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)
    assert said["pairs"] == 20 and said["effects"]["moody"]["rejected"]
    verbs_effects.effects_pairs(out, corpus=dry, effects="moody", n=20, seconds=0.512, workers=1)
    assert Pairs.open(out).counts == {k: said[k] for k in ("pairs", "splits", "effects", "missing")}
