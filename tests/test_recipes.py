"""Recipes: strict, helpful, complete when saved."""

import pytest

from timbrespace import recipe
from timbrespace.errors import RecipeError


@pytest.mark.parametrize("name", recipe.shipped(ablations=True))
def test_a_saved_recipe_is_the_same_recipe(name):
    wanted = recipe.load(name)
    assert recipe.parse(wanted.to_yaml()) == wanted
    assert wanted.name == name and wanted.about


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.bottleneck.lattent=64", "did you mean latent?"),
        ("train.epochs=0", "train.epochs: should be greater than or equal to 1, got 0"),
        ("train.precision=fp8", "'float32', 'bfloat16' or 'auto'"),
        ("feature.mels=81", "divisible by"),
        ("feature.hop=1000", "gaps"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("model.condition.labels=[pich]", "pitch"),
        ("objective.beta=many", "objective.beta"),
        ("epochs", "section.key=value"),
    ],
)
def test_a_wrong_setting_is_one_helpful_sentence(setting, words):
    with pytest.raises(RecipeError, match=".") as caught:
        recipe.load("instruments-conv", settings=(setting,))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(RecipeError) as caught:
        recipe.load("instruments", settings=("train.epoch=3", "seed=-1"))
    assert "did you mean epochs?" in str(caught.value) and "seed" in str(caught.value)


def test_a_mistyped_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean instruments?"):
        recipe.load("instrument")


def test_a_child_says_only_what_differs():
    parent, child = recipe.load("nsynth-baseline"), recipe.load("nsynth-pitch")
    assert child.train == parent.train and child.objective == parent.objective
    assert list(child.model.condition.labels) == ["pitch"]


def test_asking_for_a_beta_drops_the_rate_and_the_other_way_round():
    assert (
        recipe.load("instruments", settings=("objective.beta=2",)).objective.bits_per_sound is None
    )
    rate = recipe.load("nsynth-baseline", settings=("objective.bits_per_sound=9",))
    assert rate.objective.beta is None
    with pytest.raises(RecipeError, match="one of the two"):
        recipe.parse("name: a\nobjective: {beta: 1, bits_per_sound: 3}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b", "twice"),
        ("just words", "named sections"),
        ("name: [", "not valid YAML"),
        ("name: a\nobjective: &x {beta: 1}\ntrain: *x", "anchors"),
        ("parent: nsynth-pitch\nname: x", "one level"),
        ("name: ../../etc\nobjective: {beta: 1}", "name"),
        ("name: a", "objective is missing"),
    ],
)
def test_yaml_traps_are_refused(text, words):
    with pytest.raises(RecipeError) as caught:
        recipe.parse(text)
    assert words in str(caught.value)


def test_exponents_are_numbers():
    text = "name: a\nobjective: {beta: 1e-3}\ntrain: {learning_rate: 2e-3}"
    assert recipe.parse(text).objective.beta == 1e-3


@pytest.mark.parametrize("option", ["film", "skip"])
def test_what_would_reach_no_block_is_refused(option):
    settings = (f"model.decoder.{option}=true", "model.decoder.residual=0")
    with pytest.raises(RecipeError, match="residual is 0; set it to 1"):
        recipe.load("instruments-conv", settings=settings)
    recipe.load("instruments-conv", settings=(settings[0], "model.decoder.residual=1"))


@pytest.mark.parametrize("name", ["nsynth-baseline", "waveform"])
def test_a_decoder_cannot_tell_every_level_what_it_is_not_told(name):
    settings = ("model.decoder.film=true", "model.condition.labels={pitch: {to: encoder}}")
    with pytest.raises(RecipeError, match=r"film tells .* tells the decoder none"):
        recipe.load(name, settings=settings)
