"""What an evaluation says of effects: perfect and worst cases, figures worked out by hand, a real run."""

import json

import numpy as np
import pytest

from timbrespace import verbs, verbs_effects
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import (
    comparison,
    effect_clusters,
    effect_knobs,
    effect_paths,
    effects,
)
from timbrespace.evaluation.effect_clusters import Marks
from timbrespace.evaluation.effect_knobs import Settings
from timbrespace.evaluation.effect_statistics import CARRIERS, COUNT, LAGS, paired

RNG = np.random.default_rng
EFFECTS = ("chorus", "delay", "overdrive")
TINY = (
    "feature.samples=8192", "feature.mels=32", "train.batch=16", "train.epochs=3",
    "model.encoder.channels=[8, 8, 8, 8]", "model.decoder.channels=[8, 8, 8, 8]",
    "model.encoder.hidden=32", "model.decoder.hidden=32", "model.bottleneck.latent=6",
)  # fmt: skip


def marks(count: int, first: int = 0) -> Marks:
    """Pairs of three effects; two follow each other with one setting, on the sounds of four players."""
    at = np.arange(count)
    return Marks(
        at + first,
        [EFFECTS[i // 2 % 3] for i in at],
        [f"{first}-{i // 2}" for i in at],
        [f"{first}-{i % 8}" for i in at],
        [f"{first}-{i % 4}" for i in at],
    )


def unit_settings(asked: Marks, learnt: Marks) -> Settings:
    """One knob each, drawn anew for each setting."""

    def places(one: Marks) -> np.ndarray:
        table = np.full((len(one.rows), 3), np.nan)
        of = dict(zip(one.settings, RNG(len(one.rows)).random(len(one.rows)), strict=True))
        for i, (effect, setting) in enumerate(zip(one.effects, one.settings, strict=True)):
            table[i, EFFECTS.index(effect)] = of[setting]
        return table

    names = [f"{name}.mix" for name in EFFECTS]
    return Settings(names, list(EFFECTS), places(asked), places(learnt))


@pytest.fixture(scope="module")
def world() -> tuple[Marks, Marks, Settings]:
    asked, learnt = marks(120), marks(240, 1000)
    return asked, learnt, unit_settings(asked, learnt)


def latent_of(one: Marks, places: np.ndarray) -> np.ndarray:
    """A latent that is the effect and the knob, and nothing else."""
    which = np.eye(3)[[EFFECTS.index(effect) for effect in one.effects]]
    return np.hstack([10.0 * which, np.nan_to_num(places)])


def test_a_latent_that_is_the_effect_and_the_knob_is_perfect(world):
    asked, learnt, settings = world
    view = latent_of(asked, settings.asked), latent_of(learnt, settings.learnt)
    which = effect_clusters.evaluate({"mu": view}, asked, learnt, rng=RNG(0), seed=0)
    line = which["views"]["mu"]
    assert [line[r]["mean"] for r in ("knn", "logistic", "forest")] == [1.0, 1.0, 1.0]
    assert line["silhouette"]["mean"] > 0.95 and line["ari"] == line["nmi"] == 1.0
    assert np.array_equal(line["forest"]["confusion"], np.eye(3))
    knobs = effect_knobs.evaluate(
        {"mu": view, "hand": view}, settings, asked, learnt, rng=RNG(0), seed=0
    )
    assert knobs["identifiable"] == 3 and not knobs["unidentifiable"]
    best = knobs["methods"]["mu_ridge"]
    assert best["mae"] < 0.01 and best["r2"] > 0.99
    assert knobs["methods"]["centre"]["mae"] > 0.2
    known = effect_clusters.invariance({"mu": view[0]}, asked)["views"]["mu"]
    assert known["shared_variance"]["setting"] == pytest.approx(1.0)
    assert abs(known["shared_variance"]["sound"]) < 0.1 and known["voice"] < 0.5


def test_noise_knows_nothing(world):
    asked, learnt, settings = world
    view = RNG(1).standard_normal((120, 4)), RNG(2).standard_normal((240, 4))
    which = effect_clusters.evaluate({"mu": view}, asked, learnt, rng=RNG(0), seed=0)
    line = which["views"]["mu"]
    assert max(line[r]["mean"] for r in ("knn", "logistic", "forest")) < 0.5
    assert line["silhouette"]["mean"] < 0.0 and abs(line["ari"]) < 0.1
    knobs = effect_knobs.evaluate(
        {"mu": view, "hand": view}, settings, asked, learnt, rng=RNG(0), seed=0
    )
    assert knobs["unidentifiable"] == settings.knobs and knobs["identifiable"] == 0
    assert knobs["methods"] == {}  # no mean of what nobody can tell
    shared = effect_clusters.invariance({"mu": view[0]}, asked)["views"]["mu"]["shared_variance"]
    assert all(abs(value) < 0.15 for value in shared.values())


def test_shared_variance_by_hand():
    # groups 0, 2 and 4, 6: means 1 and 5; between 2 * (4 + 4) / 1 = 16, within (1 * 4) / 2 = 2
    points = np.array([[0.0], [2.0], [4.0], [6.0]])
    found = effect_clusters.shared_variance(points, ["a", "a", "b", "b"])
    assert found == pytest.approx((16 - 2) / (16 + 2))
    assert effect_clusters.shared_variance(points, ["a", "b", "c", "d"]) is None


def test_one_player_of_many_pairs_counts_once_in_intervals(world):
    asked, _, _ = world
    assert len(set(effect_clusters.drawn_as_one(asked))) == 4
    nobody = Marks(asked.rows, asked.effects, asked.settings, asked.sounds, [None] * 120)
    assert len(set(effect_clusters.drawn_as_one(nobody))) == 8


def test_a_neighbour_of_the_same_dry_sound_does_not_tell_who_plays():
    """Two pairs of each sound lie together; the next nearest are another player's."""
    points = np.array([[0.0], [0.0], [1.0], [1.0], [10.0], [10.0], [11.0], [11.0]])
    sounds = ["a", "a", "b", "b", "c", "c", "d", "d"]
    players = ["x", "x", "y", "y", "x", "x", "y", "y"]
    one = Marks(np.arange(8), ["delay"] * 8, [None] * 8, list(sounds), list(players))
    assert effect_clusters.invariance({"mu": points}, one)["views"]["mu"]["voice"] < 0.5


def test_rails_by_hand():
    truth = np.array([[0.01, np.nan], [0.5, np.nan], [np.nan, 0.99], [np.nan, 0.3]])
    said = np.array([[0.02, 0.0], [0.04, 0.0], [0.0, 0.96], [0.0, 0.06]])
    assert effect_knobs.rails(truth, said) == {"said": 0.75, "true": 0.5}
    assert effect_knobs.rails(truth, None) is None


def test_knobs_are_read_off_what_a_latent_has_to_beat(world):
    asked, learnt, settings = world
    told = latent_of(asked, settings.asked), latent_of(learnt, settings.learnt)
    noise = RNG(1).standard_normal((120, 4)), RNG(2).standard_normal((240, 4))
    views = {"mu": noise, "untrained": noise, "pca": told, "pca_difference": told, "hand": noise}
    knobs = effect_knobs.evaluate(views, settings, asked, learnt, rng=RNG(0), seed=0)
    assert set(knobs["methods"]) <= set(effects.METHODS)
    assert knobs["identifiable"] == 3  # by principal components alone
    errors = {name: line["mae"] for name, line in knobs["methods"].items()}
    assert max(errors["pca_ridge"], errors["pca_difference_ridge"]) < 0.01
    assert errors["untrained_ridge"] > 0.15 and errors["hand_trees"] > 0.15


def test_the_section_of_an_evaluation_from_before_those(world):
    asked, learnt, settings = world
    view = latent_of(asked, settings.asked), latent_of(learnt, settings.learnt)
    found = effect_knobs.evaluate({"mu": view}, settings, asked, learnt, rng=RNG(0), seed=0)
    shown = "".join(effects._knobs_shown(found, {}))
    assert "ridge, mu" in shown and "hand" in shown


def test_the_head_is_taken_at_its_word(world):
    asked, learnt, settings = world
    view = RNG(1).standard_normal((120, 4)), RNG(2).standard_normal((240, 4))
    head = np.where(np.isfinite(settings.asked), settings.asked + 0.1, 0.0)
    knobs = effect_knobs.evaluate(
        {"mu": view, "hand": view}, settings, asked, learnt, head=head, rng=RNG(0), seed=0
    )
    inside = np.clip(settings.asked + 0.1, 0.0, 1.0) - settings.asked
    each = np.nanmean(np.abs(inside), 0)
    assert knobs["methods"]["head"]["mae"] == pytest.approx(each.mean())
    low, high = knobs["methods"]["head"]["mae_interval"]
    assert low <= knobs["methods"]["head"]["mae"] <= high


def test_knobs_that_cannot_be_asked_for_are_named(world):
    asked, learnt, settings = world
    still, rare = settings.asked.copy(), settings.learnt.copy()
    still[:, 0][np.isfinite(still[:, 0])] = 0.5
    rare[6:, 1] = np.nan
    some = Settings(settings.knobs, settings.effects, still, rare)
    view = RNG(1).standard_normal((120, 4)), RNG(2).standard_normal((240, 4))
    found = effect_knobs.evaluate(
        {"mu": view, "hand": view}, some, asked, learnt, rng=RNG(0), seed=0
    )
    assert "stands still" in found["not_asked"]["chorus.mix"]
    assert "too few" in found["not_asked"]["delay.mix"]
    assert list(found["knobs"]) == ["overdrive.mix"]
    none = Settings([], [], np.empty((120, 0)), np.empty((240, 0)))
    found = effect_knobs.evaluate(
        {"mu": view, "hand": view}, none, asked, learnt, rng=RNG(0), seed=0
    )
    assert found["why_not"] == "the effects of these pairs have no knobs"


def test_one_effect_is_no_question(world):
    asked, learnt, _ = world
    same = Marks(asked.rows, ["delay"] * 120, asked.settings, asked.sounds, asked.voices)
    view = np.zeros((120, 2)), np.zeros((240, 2))
    other = Marks(learnt.rows, ["delay"] * 240, learnt.settings, learnt.sounds, learnt.voices)
    found = effect_clusters.evaluate({"mu": view}, same, other, rng=RNG(0), seed=0)
    assert found == {"why_not": "all pairs have one effect, delay"}


def test_changes_on_a_way_by_hand():
    """The dry half stays, the wet one goes from -1 to 1 in nine steps: its root mean square is known."""
    wet = np.linspace(-1.0, 1.0, 9)[:, None, None]
    pictures = np.concatenate([np.full((9, 4, 5), 0.3), np.broadcast_to(wet, (9, 4, 5))], 2)
    dry_db, wet_db = effect_paths.changes(pictures, unit=40.0)
    assert dry_db == pytest.approx(0.0, abs=1e-12)
    assert wet_db == pytest.approx(40.0 * np.sqrt(np.mean(wet**2)))


def test_errors_of_channels_by_hand():
    """2 dB too loud in both: nothing is wrong with what lies between them."""
    original = np.zeros((3, 4, 10))
    errors = effect_paths.channel_errors(original, original + 0.05, unit=40.0)
    assert errors[0] == pytest.approx([4.0, 4.0, 0.0])


def test_ways_keep_what_they_should(world):
    asked = world[0]
    for a, b in effect_paths.two_effects(asked, RNG(0)):
        assert asked.sounds[a] == asked.sounds[b] and asked.effects[a] != asked.effects[b]
    ways = effect_paths.two_sounds(asked, RNG(0))
    assert ways
    for a, b in ways:
        assert asked.settings[a] == asked.settings[b] and asked.sounds[a] != asked.sounds[b]
    for a, b in effect_paths.others(ways, asked.effects):
        assert asked.effects[a] != asked.effects[b]


def test_hand_features_see_an_echo_and_a_carrier():
    rate, n = 16000, 16384
    dry = RNG(0).standard_normal(n) * np.exp(-np.arange(n) / 2000.0)
    echo = dry + 0.7 * np.r_[np.zeros(3200), dry[:-3200]]  # 0.2 s
    numbers = paired(dry, echo, rate)
    assert numbers.shape == (COUNT,) and np.isfinite(numbers).all()
    lags = COUNT - 6 - len(CARRIERS) - len(LAGS)
    assert 10.0 ** numbers[lags + len(LAGS) - 1] == pytest.approx(0.2, rel=0.01)
    ring = dry * np.cos(2.0 * np.pi * 300.0 * np.arange(n) / rate)
    assert 10.0 ** paired(dry, ring, rate)[COUNT - 7] == pytest.approx(300.0, rel=0.02)
    assert paired(dry, 2.0 * dry, rate)[:20] == pytest.approx(20.0 * np.log10(2.0), abs=0.2)
    with pytest.raises(TimbrespaceError, match="one length"):
        paired(dry, dry[:-1], rate)


@pytest.fixture(scope="module")
def pair_run(tiny_corpus, tmp_path_factory):
    """A run of a moment on real pairs, with its space."""
    folder = tmp_path_factory.mktemp("pairs")
    verbs_effects.effects_pairs(
        folder / "pairs", corpus=tiny_corpus, effects="overdrive,delay", n=60, seconds=0.512,
        workers=1,
    )  # fmt: skip
    verbs.train("effects", folder / "pairs", folder / "run", settings=TINY)
    verbs.space(folder / "run", umap=False)
    return folder / "run"


def test_a_run_of_pairs_from_end_to_end(pair_run):
    found = verbs.evaluate(pair_run, split="test")
    section = found["effects"]
    assert section["which"]["effects"] == ["delay", "overdrive"]
    assert set(section["which"]["views"]) == {
        "mu", "z", "untrained", "pca", "pca_difference", "hand"
    }  # fmt: skip
    assert "overdrive.drive" in section["knobs"]["knobs"]
    assert section["knobs"]["rails"]["said"] >= 0.0
    methods = section["knobs"]["knobs"]["overdrive.drive"]["methods"]
    assert set(methods) == set(effects.METHODS)
    crossfade = section["paths"]["two_effects"]
    if "why_not" not in crossfade:  # a dry sound that came with both
        assert crossfade["crossfade"]["dry_db"]["mean"] < 0.5
    assert section["paths"]["two_sounds"]["model"]["ways"] > 0
    for name in ("pitch", "continuity", "axes", "swap"):
        assert found[name]["why_not"]
    verbs.space(pair_run, umap=False)
    named = verbs.axes(pair_run)
    assert not named.found and "two sounds" in named.missing["bright"]
    json.dumps(found, allow_nan=False)
    folder = pair_run / "evaluation"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What the space knows of effects" in page and "Between two pairs" in page
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert {"effects-confusion.png", "effects-map-pca.png", "knobs-map-pca.png"} <= drawn
    atlas = (folder / "map.html").read_text(encoding="utf-8")
    assert '"overdrive.drive":{"numbers"' in atlas and '"effect":{"words"' in atlas
    (line,) = comparison.rows([pair_run])
    assert line["effect_knn"] == section["which"]["views"]["mu"]["knn"]["mean"]
    heads = comparison.cells([line])[0]
    assert {"effect", "by forest", "silhouette by effect", "knobs off"} <= set(heads)
    assert line["effect_silhouette"] == section["which"]["views"]["mu"]["silhouette"]["mean"]


def test_a_run_of_single_sounds_has_no_such_section(tiny_run):
    metrics = json.loads((tiny_run / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["effects"] is None
    page = (tiny_run / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert "What the space knows of effects" not in page
    (line,) = comparison.rows([tiny_run])
    assert "effect" not in comparison.cells([line])[0]


def test_the_section_of_pairs_without_anything_to_ask():
    """One effect, no knobs, no shared sounds: sentences, and no figure made of nothing."""
    line = {"rmse_db": 1.0, "interval": None}
    found = {
        "pairs": 4, "training_pairs": 4, "groups": 1,
        "which": {"why_not": "all pairs have one effect, delay"},
        "invariance": {"voices": 0, "chance": None, "views": {
            "mu": {"voice": None, "shared_variance": {"effect": None, "setting": 0.5, "sound": None}},
        }},
        "knobs": {"why_not": "the effects of these pairs have no knobs"},
        "channels": {"numbers": 2, "lines": {
            name: dict.fromkeys(effects.CHANNELS, line)
            for name in ("model", "model_at_mean", "pca", "mean_pair")
        }},
        "paths": {
            "two_effects": {"why_not": "no dry sound was measured with two effects"},
            "two_sounds": {"why_not": "no setting was measured on two sounds"}, "examples": {},
        },
    }  # fmt: skip
    shown = effects.show(found)
    assert shown.figures == {} and shown.html.count("not answered") == 2
    assert "not known" in shown.html
