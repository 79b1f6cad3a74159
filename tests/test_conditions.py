"""Conditions: what the networks are told, what an unknown label costs, and what the latent keeps of it."""

import json
import logging
import os
import shutil
import signal
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from timbrespace import recipe, verbs
from timbrespace.batches import Pictures
from timbrespace.errors import RecipeError, RunError
from timbrespace.evaluation.latent import probe
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.conditions import Conditions
from timbrespace.models.removal import Adversary, Independence
from timbrespace.models.vocabulary import MIDI, Vocabulary
from timbrespace.runs import Run
from timbrespace.training.augment import training_batch
from timbrespace.training.state import State
from timbrespace.training.step import train_step

LABELS = (
    "model.condition.labels={pitch: {kind: continuous}, family: {drop: 0.2}, "
    "velocity: {kind: continuous, to: decoder}}"
)
SMALL = (
    "feature.mels=32", "feature.frames=32", "train.batch=8", "train.epochs=2",
    "model.encoder={kind: conv2d, channels: [4, 8], residual: 0, hidden: 16}",
    "model.decoder={kind: conv2d, channels: [4, 8], residual: 0, hidden: 16, film: true}",
    "model.bottleneck.latent=4", LABELS, "model.condition.remove={pitch: adversary}",
    "objective.weights.adversary=2",
)  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def told(tiny_corpus, tmp_path_factory) -> Run:
    """A run that is told three labels, and removes one."""
    out = tmp_path_factory.mktemp("conditions") / "run"
    return verbs.train("instruments", tiny_corpus, out, settings=SMALL)


# ---- what the networks are told -----------------------------------------------------------------


def test_a_number_between_two_has_a_vector_between_theirs():
    torch.manual_seed(0)
    conditions = Conditions({"pitch": MIDI}, 16, ("pitch",))

    def vector(*numbers: float) -> torch.Tensor:
        return conditions({"pitch": torch.tensor(numbers)}, len(numbers), CPU)

    for low in range(20, 110, 7):
        one, half, other, octave = vector(low, low + 0.5, low + 1, low + 12)
        step = (other - one).norm()
        assert max((half - one).norm(), (other - half).norm()) < step < (octave - one).norm()
    assert not torch.equal(vector(60.0)[0], vector(MIDI)[0])
    torch.testing.assert_close(conditions({}, 1, CPU), vector(MIDI))


def test_each_half_hears_the_labels_that_are_for_it():
    labels = "model.condition.labels={family: {to: encoder}, velocity: {to: decoder}}"
    wanted = recipe.load("nsynth-baseline", settings=(labels, "feature.frames=16"))
    torch.manual_seed(0)
    model = recipe.build(wanted, Vocabulary.of({"family": ["a", "b"], "velocity": ()})).eval()
    x, z = torch.rand(1, 1, 80, 16), torch.zeros(1, 32)

    def change(name: str) -> tuple[bool, ...]:
        one, other = {name: torch.tensor([0])}, {name: torch.tensor([1])}
        with torch.no_grad():
            heard = [(model.encode(x, said).mean, model.decode(z, said)) for said in (one, other)]
        return tuple(not torch.equal(a, b) for a, b in zip(*heard, strict=True))

    assert change("family") == (True, False) and change("velocity") == (False, True)


def test_a_vocabulary_has_a_fixed_order_and_one_number_for_all_it_does_not_know():
    words = Vocabulary.of(
        {"family": ["reed", "", "bass", None, "reed"], "year": [10, 9], "pitch": [60]}
    )
    assert words.words == {"family": ("bass", "reed"), "year": ("9", "10"), "pitch": ()}
    assert [words.number("family", v) for v in ("bass", "reed", "kazoo", None, "")] == [
        0,
        1,
        2,
        2,
        2,
    ]
    assert words.number("year", 10) == 1 and words.number("pitch", "60.5") == 60.5
    assert {words.number("pitch", v) for v in (None, "", "x", -1, 128, float("nan"))} == {MIDI}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.condition.labels={family: {kind: continuous}}", "wants a MIDI number"),
        ("model.condition.labels={pitch: {to: encoder}}", "tells the decoder none"),
        ("model.condition.labels={pitch: {form: x}}", "known here: kind, to, drop"),
        ("model.condition.labels.pitch.drop=1", "model.condition.labels.pitch.drop"),
        ("model.condition.remove={pitch: adversary}", "add objective.weights.adversary"),
        ("objective.weights={independence: 1}", "model.condition.remove"),
    ],
)
def test_conditions_that_cannot_be_are_one_sentence(setting, words):
    with pytest.raises(RecipeError) as caught:
        recipe.load("instruments-conv", settings=(setting,))
    assert words in str(caught.value)


def test_one_label_of_a_short_list_can_be_set_alone():
    wanted = recipe.load(
        "nsynth-pitch-family", settings=("model.condition.labels.family.drop=0.5",)
    )
    assert {n: label.drop for n, label in wanted.model.condition.labels.items()} == {
        "pitch": 0.0, "family": 0.5,
    }  # fmt: skip


# ---- the run ------------------------------------------------------------------------------------


def test_the_run_keeps_the_values_that_its_training_sounds_had(told):
    corpus = told.corpus
    families = {corpus.labels("family")[int(r)] for r in corpus.split_rows("train")}
    assert json.loads((told.path / "vocabulary.json").read_text())["family"] == sorted(families)
    assert Run.open(told.path).vocabulary == told.vocabulary


def test_a_label_that_the_corpus_has_not_is_refused_with_those_it_has(tiny_corpus, tmp_path):
    labels = "model.condition.labels=[pitch, genre]"
    with pytest.raises(RunError, match=r"'genre'.*has: .*family.*velocity"):
        verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=(*SMALL[:-3], labels))
    assert not (tmp_path / "run").exists()


def test_a_run_from_before_there_were_vocabularies_opens(tiny_run, tiny_notes, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "old")
    (tmp_path / "old" / "vocabulary.json").unlink()
    text = (tmp_path / "old" / "recipe.yaml").read_text()
    start, stop = text.index("    labels:\n"), text.index("    size: 128\n")
    (tmp_path / "old" / "recipe.yaml").write_text(
        text[:start] + "    labels: [pitch]\n" + text[stop:]
    )
    sound = sorted(tiny_notes.rglob("*.wav"))[:1]
    pairs = [verbs.reconstruct(r, sound, tmp_path / "o", pitch=60).files[0].read_bytes()
             for r in (tiny_run, tmp_path / "old")]  # fmt: skip
    assert pairs[0] == pairs[1]


def test_an_interrupted_training_with_all_of_it_goes_on_to_the_same_bits(
    told, tiny_corpus, tmp_path
):
    def interrupt(stage, done, total, facts):
        if stage == "train" and done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        verbs.train("instruments", tiny_corpus, out, settings=SMALL, progress=interrupt)
    verbs.train("instruments", tiny_corpus, out, settings=SMALL, resume=True)
    one, other = (load_file(path / "weights.safetensors") for path in (told.path, out))
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    assert any(k.startswith("removal.") for k in one)


def test_a_word_never_seen_is_unknown_and_said_once(told, tiny_notes, tmp_path, caplog):
    sounds = sorted(tiny_notes.rglob("*.wav"))[:2]

    def heard(name: str, **labels) -> bytes:
        made = verbs.reconstruct(told.path, sounds, tmp_path / name, pitch=60, labels=labels)
        return made.files[0].read_bytes()

    with caplog.at_level(logging.WARNING):
        strange, nothing = heard("strange", family="kazoo"), heard("nothing")
    assert strange == nothing and strange != heard(
        "known", family=told.vocabulary.words["family"][0]
    )
    assert [r.getMessage().count("kazoo") for r in caplog.records] == [1]
    latents = verbs.encode(
        told.path, sounds, tmp_path / "z.npz", pitch=60.5, labels={"velocity": 100}
    )
    made = verbs.decode(told.path, latents, tmp_path / "again")
    direct = verbs.reconstruct(
        told.path, sounds, tmp_path / "direct", pitch=60.5, labels={"velocity": 100}
    )
    assert made.pitches == [60.5, 60.5]
    assert made.files[0].read_bytes() == direct.files[0].read_bytes()


@pytest.mark.parametrize(
    ("labels", "words"),
    [({"colour": "red"}, "pitch, family, velocity, not 'colour'"), ({"velocity": 200}, "0 to 127")],
)
def test_labels_that_the_model_cannot_take_are_refused(told, tiny_notes, tmp_path, labels, words):
    sounds = sorted(tiny_notes.rglob("*.wav"))[:1]
    with pytest.raises(RunError, match=words):
        verbs.reconstruct(told.path, sounds, tmp_path, labels=labels)


def test_a_fraction_wants_a_continuous_pitch(tiny_run, tiny_notes, tmp_path):
    with pytest.raises(RunError, match="whole numbers, got 60.5"):
        verbs.reconstruct(tiny_run, sorted(tiny_notes.rglob("*.wav"))[:1], tmp_path, pitch=60.5)


# ---- labels dropped in training -----------------------------------------------------------------

TOY = """
name: toy
seed: 3
feature: {mels: 16, frames: 16}
model:
  encoder: {channels: [8, 16], hidden: 32}
  bottleneck: {latent: 4}
  decoder: {channels: [8, 16], hidden: 32}
  condition: {labels: {family: {drop: DROP}}, size: 8, REMOVE}
objective: {beta: 0.02, weights: {WEIGHTS}}
train: {batch: 64, learning_rate: 3e-3, precision: float32}
"""
FAMILIES = Vocabulary.of({"family": list("abcd")})


def toy(drop: float = 0.0, remove: str = "", weights: str = "") -> recipe.Recipe:
    text = TOY.replace("DROP", str(drop)).replace("REMOVE", remove).replace("WEIGHTS", weights)
    return recipe.parse(text)


def toy_pictures(count: int = 512) -> Pictures:
    """A bar whose height is the family's and whose width is the sound's own."""
    rng = np.random.default_rng(0)
    family, width = rng.integers(0, 4, count), rng.uniform(3, 14, count)
    values = np.full((count, 16, 16), -0.8, np.float32)
    for picture, row, wide in zip(values, family, width, strict=True):
        picture[4 * row : 4 * row + 3] = np.clip(wide - np.arange(16), -0.8, 0.8)
    labels = {"family": torch.from_numpy(family)}
    return Pictures(None, np.arange(count), labels, torch.from_numpy(values), FAMILIES)


@cache
def trained(drop: float = 0.0, remove: str = "", weights: str = "") -> Autoencoder:
    wanted, pictures = toy(drop, remove, weights), toy_pictures()
    state = State.fresh(wanted, CPU, FAMILIES)
    for step in range(300):
        positions = torch.arange(64) + step % 8 * 64
        x, labels = training_batch(pictures, positions, wanted, step, CPU)
        train_step(state, wanted, x, labels, steps=300, autocast=False)
    return state.model.eval()


def test_which_labels_are_dropped_is_a_function_of_seed_and_step():
    pictures, wanted = toy_pictures(), toy(drop=0.25)

    def family(step: int) -> torch.Tensor:
        return training_batch(pictures, torch.arange(512), wanted, step, CPU)[1]["family"]

    assert torch.equal(family(3), family(3)) and not torch.equal(family(3), family(4))
    gone = family(3) == FAMILIES.count("family")
    assert 0.15 < gone.float().mean() < 0.35
    assert torch.equal(family(3)[~gone], pictures.labels["family"][~gone])


def test_two_sounds_at_once_have_the_labels_that_both_have():
    families = Vocabulary.of({"pitch": (), "family": ["a", "b"]})
    settings = ("train.augment.layer=1", "model.condition.labels.family.drop=0")
    wanted = recipe.load("instruments-family", settings=settings)
    kept = torch.rand(64, 128, 256) * 2 - 1
    labels = {"pitch": torch.full((64,), 60), "family": torch.arange(64) % 2}
    pictures = Pictures(None, np.arange(64), labels, kept, families)
    found = training_batch(pictures, torch.arange(64), wanted, 0, CPU)[1]
    unknown = found["family"] == 2
    assert 16 < unknown.sum() < 48 and torch.equal(found["pitch"], labels["pitch"])
    assert torch.equal(found["family"][~unknown], labels["family"][~unknown])


def test_an_unknown_label_costs_little_once_labels_were_dropped():
    x, labels = toy_pictures().batch(torch.arange(512), CPU)

    def error(drop: float, said: dict[str, torch.Tensor]) -> float:
        model = trained(drop)
        with torch.no_grad():
            return float((model.decode(model.encode(x, said).mean, said) - x).square().mean())

    assert error(0.3, {}) < 2.0 * error(0.3, labels)
    assert error(0.0, {}) > 5.0 * error(0.0, labels)


# ---- a label removed from the latent ------------------------------------------------------------


def test_the_adversary_learns_and_turns_the_encoder_the_other_way():
    torch.manual_seed(0)
    adversary = Adversary("family", 4, 3)
    z, label = torch.randn(8, 4, requires_grad=True), torch.arange(8) % 3
    adversary(z, label).backward()
    plain = z.detach().clone().requires_grad_()
    functional.cross_entropy(adversary.net(plain), label).backward()
    assert z.grad is not None and plain.grad is not None
    torch.testing.assert_close(z.grad, -plain.grad)


def test_independence_runs_from_none_to_one():
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(256) % 4
    apart = 100.0 * functional.one_hot(label).float()
    none = torch.randn(256, 4, generator=generator)
    words = Independence("family", 4, 4)
    assert words(apart, label) > 0.99 and words(none, label) < 0.1
    assert words(none, label) < words(none + 0.02 * apart, label) < words(apart, label)
    notes, pitch = Independence("pitch", 1, MIDI), torch.arange(40, 80)
    near = notes(pitch.float()[:, None], pitch)
    assert (
        near > notes(pitch[torch.randperm(40, generator=generator)].float()[:, None], pitch) + 0.3
    )


@pytest.mark.parametrize(("way", "weight"), [("adversary", 1.0), ("independence", 5.0)])
def test_a_removed_label_is_hardly_left_in_the_latent(way, weight):
    x, labels = toy_pictures().batch(torch.arange(512), CPU)

    def left(model: Autoencoder) -> tuple[float, float]:
        """How often a linear reader finds the family in z, and the model's squared error."""
        with torch.no_grad():
            latent = model.encode(x, labels)
            z = latent.sample(torch.randn(512, 4, generator=torch.Generator().manual_seed(1)))
            error = float((model.decode(z, labels) - x).square().mean())
        names = labels["family"].tolist()
        found = probe(z[:256].numpy(), names[:256], z[256:].numpy(), names[256:])
        assert found is not None
        return found["linear"], error

    plain = left(trained())
    removed = left(trained(0.0, f"remove: {{family: {way}}}", f"{way}: {weight}"))
    assert plain[0] > 0.6 and removed[0] < 0.5  # chance is 0.25
    assert removed[1] < 3.0 * plain[1]
