"""What a recipe asks of the objective: options that train and resume, and clear refusals."""

from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training import SMALL, same, weights

from timbrespace import recipe, verbs
from timbrespace.batches import Pictures
from timbrespace.data.corpus import Corpus
from timbrespace.data.dissimilarities import Dissimilarities
from timbrespace.errors import CorpusError, RecipeError, RunError
from timbrespace.losses.catalogue import NAMES
from timbrespace.recipe.objective import TermName
from timbrespace.training import loop
from timbrespace.training.objective import beta_factor, objective_of
from timbrespace.training.perceptual import Anchors

EVERYTHING = (
    *SMALL, "train.epochs=1", "objective.bits_per_sound=30",
    "objective.sigma={kind: learned, value: 0.5}", "objective.bands=[[0, 1], [500, 2]]",
    "objective.weights={l1: 0.1, spectral: 0.05, output_range: 0.1, cosine: 1, perceptual: 100}",
    "objective.perceptual.sounds=8",
)  # fmt: skip


@pytest.fixture(scope="module")
def dissimilarities(tiny_corpus, tmp_path_factory):
    """A file of how far apart the pitches of twelve training sounds are, in octaves."""
    corpus = Corpus.open(tiny_corpus)
    rows, pitch = corpus.split_rows("train")[:12], corpus.labels("pitch")
    notes = np.array([float(str(pitch[int(row)])) for row in rows])
    table = Dissimilarities(
        tuple(corpus.rows.name(int(row)) for row in rows),
        np.abs(notes[:, None] - notes[None]) / 12.0,
    )
    path = tmp_path_factory.mktemp("dissimilarities") / "pitch.csv"
    path.write_text(table.to_csv())
    return path


def test_the_catalogue_and_the_recipe_know_the_same_terms():
    assert set(get_args(TermName)) == NAMES


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("instruments", ("objective.weights.l2=1",), "l2 is no term; did you mean l1?"),
        ("instruments", ("objective.weights.gaussian_nll=1",), "once more"),
        ("instruments", ("objective.weights.kl=1",), "kl is no term"),
        ("instruments", ("objective.weights.perceptual=1",), "give both or neither"),
        ("instruments", ("objective.weights.multi_resolution_stft=1",), "waveform"),
        ("instruments", ("objective.bands=[[100, 1]]",), "rise from 0 Hz"),
        ("instruments", ("objective.bands=[[0, 0]]",), "at least one band"),
        ("instruments", ("objective.cycle.cycles=4",), "bits_per_sound both move beta"),
        ("nsynth-baseline", ("objective.cycle.cycles=4",), "warmup_steps both move beta"),
        ("nsynth-baseline", ("objective.sigma.kind=optimal",), "sigma belongs to gaussian_nll"),
        ("instruments", ("objective.spectral.along=[time, time]",), "each axis once"),
        ("waveform", ("objective.bands=[[0, 1]]",), "decibels"),
        ("waveform", ("objective.reconstruction=spectral",), "decibels"),
    ],
)
def test_what_cannot_fit_is_refused_before_anything_is_read(name, settings, words):
    with pytest.raises(RecipeError) as caught:
        recipe.load(name, settings=settings)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_bands_are_those_of_the_pictures_rows():
    settings = ("objective.bands=[[0, 1], [1000, 2]]",)
    for name in ("nsynth-baseline", "instruments"):
        bands = objective_of(recipe.load(name, settings=settings)).bands
        assert bands is not None and bands.mean().item() == pytest.approx(1.0)
        assert torch.equal(bands.sort().values, bands) and bands[-1] / bands[0] == 2.0
    linear = objective_of(
        recipe.load("nsynth-baseline", settings=(*settings, "feature={kind: spectrogram}"))
    ).bands
    assert linear is not None and int((linear < linear.max()).sum()) == 64  # 1000 Hz / 15.625


def test_a_cycle_moves_beta_over_the_whole_training():
    wanted = recipe.load(
        "nsynth-baseline",
        settings=("objective.warmup_steps=0", "objective.cycle={shape: linear, cycles: 2}"),
    )
    assert [beta_factor(wanted, step, 40) for step in (0, 5, 10, 19, 20)] == [0, 0.5, 1, 1, 0]


def test_a_learned_sigma_and_every_further_term_resume_to_the_same_bits(
    tiny_corpus, tmp_path, dissimilarities
):
    settings = (*EVERYTHING, f"objective.perceptual.file={dissimilarities}")
    whole = verbs.train("instruments", tiny_corpus, tmp_path / "whole", settings=settings)
    line = whole.history()[-1]
    assert {"train_l1", "train_spectral", "train_output_range", "train_perceptual"} <= line.keys()

    def interrupt(stage, done, total, facts):
        if stage == "train" and done == 4:
            raise KeyboardInterrupt

    saved = loop.CHECKPOINT_SECONDS
    loop.CHECKPOINT_SECONDS = -1.0  # a checkpoint after every step
    try:
        with pytest.raises(KeyboardInterrupt):
            verbs.train(
                "instruments", tiny_corpus, tmp_path / "cut", settings=settings, progress=interrupt
            )
    finally:
        loop.CHECKPOINT_SECONDS = saved
    half = load_file(tmp_path / "cut" / "checkpoints" / "last" / "state.safetensors")
    verbs.train("instruments", tiny_corpus, tmp_path / "cut", settings=settings, resume=True)
    ends = [
        load_file(tmp_path / name / "checkpoints" / "last" / "state.safetensors")
        for name in ("whole", "cut")
    ]
    assert same(*ends) and same(weights(whole.path), weights(tmp_path / "cut"))
    sigma = "objective.main.log_sigma"
    assert half[sigma] != ends[0][sigma] and half[sigma] != torch.tensor(0.5).log()


def test_distances_in_the_latent_follow_the_file(tiny_corpus, tmp_path, dissimilarities):
    learn = (*SMALL, "train.epochs=4", "train.learning_rate=0.003", "objective.weights.perceptual=")
    found = {}
    for weight in (1e-6, 1e4):
        settings = (*learn[:-1], f"{learn[-1]}{weight}",
                    f"objective.perceptual.file={dissimilarities}")  # fmt: skip
        run = verbs.train("instruments", tiny_corpus, tmp_path / str(weight), settings=settings)
        found[weight] = run.history()[-1]["train_perceptual"]
    assert found[1e4] < 0.5 * found[1e-6]


def test_tables_of_a_folder_are_followed_each_by_itself(tiny_corpus, tmp_path, dissimilarities):
    folder = tmp_path / "heard"
    folder.mkdir()
    whole = Dissimilarities.read(dissimilarities)
    for name, some, unit in (("low", slice(6), 1.0), ("high", slice(6, None), 1000.0)):
        part = Dissimilarities(whole.names[some], unit * whole.values[some, some])
        (folder / f"{name}.csv").write_text(part.to_csv())
    settings = (*SMALL, "objective.weights.perceptual=1000", f"objective.perceptual.file={folder}")
    run = verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=settings)
    assert sorted(p.name for p in run.dissimilarities_path.iterdir()) == ["high.csv", "low.csv"]
    pictures = Pictures.of(
        run.corpus, run.corpus.features(run.feature), run.corpus.split_rows("train"), run.vocabulary
    )
    anchors = Anchors.of(run, pictures)
    assert anchors is not None and [len(where) for where, _ in anchors.tables] == [6, 6]
    torch.manual_seed(0)
    model, cpu = recipe.build(run.recipe, run.vocabulary).eval(), torch.device("cpu")
    with torch.no_grad():
        found = [
            anchors.term(model, cpu, torch.Generator().manual_seed(seed)).item()
            for seed in range(12)
        ]
    # each term is of all sounds of one table, so that the terms are as many as the tables
    low, high = min(found), max(found)
    assert high > 1.1 * low
    assert all(min(term - low, high - term) < 1e-4 * high for term in found)
    (folder / "low.csv").unlink()
    (folder / "high.csv").unlink()
    with pytest.raises(CorpusError, match="holds no tables"):
        verbs.train("instruments", tiny_corpus, tmp_path / "none", settings=settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "least 3"),
        (",a,b\na,0,1\nc,1,0\n", "same order"),
        (",a,b\na,0,1\nb,1\n", "b has 1 numbers"),
        (",a,b\na,0,x\nb,1,0\n", "should hold numbers"),
        (",a,b\na,0,nan\nb,nan,0\n", "finite number"),
        (",a,b\na,0,-1\nb,-1,0\n", "at least 0"),
        (",a,b\na,1,1\nb,1,0\n", "a and a should have 0"),
        (",a,b\na,0,1\nb,2,0\n", "make it symmetric"),
        (",a,b\na,0,1\nb,1,0\n", "'a', which is no sound"),
    ],
)
def test_a_wrong_table_is_one_sentence_before_the_training(text, words, tiny_corpus, tmp_path):
    (tmp_path / "table.csv").write_text(text)
    settings = (*SMALL, "objective.weights.perceptual=1",
                f"objective.perceptual.file={tmp_path / 'table.csv'}")  # fmt: skip
    with pytest.raises(CorpusError) as caught:
        verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=settings)
    assert words in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["picture", "weight"])
def test_a_poisoned_batch_stops_before_anything_is_learnt_of_it(
    where, tiny_corpus, tmp_path, monkeypatch
):
    """One sound of the third step is NaN, or a weight is infinite from there on."""
    states, batches, batch, step = [], [], loop.training_batch, loop.train_step

    def poisoned_batch(pictures, here, *rest):
        x, labels = batch(pictures, here, *rest)
        batches.append(here)
        if len(batches) == 3 and where == "picture":
            x[5, 0, 7, 7] = torch.nan
        return x, labels

    def watched_step(state, *rest, **named):
        if len(batches) == 3 and where == "weight":
            next(state.model.decoder.net.parameters()).data[0] = torch.inf
        states.append({k: v.clone() for k, v in state.model.state_dict().items()})
        try:
            return step(state, *rest, **named)
        finally:
            states.append(state.model.state_dict())

    monkeypatch.setattr(loop, "training_batch", poisoned_batch)
    monkeypatch.setattr(loop, "train_step", watched_step)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(RunError) as caught:
        verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=SMALL)
    said = str(caught.value)
    assert "step 3 (epoch 1)" in said and "reconstruction" in said and "total" in said
    if where == "picture":
        corpus = Corpus.open(tiny_corpus)
        row = int(corpus.split_rows("train")[batches[2][5]])
        assert f"in 1 of the batch's 8 sounds: row {row} ({corpus.rows[row].file})" in said
        assert "prepare the corpus again" in said
    else:
        assert "train.learning_rate" in said
    assert len(states) == 6 and same(states[4], states[5])
    last = load_file(tmp_path / "run" / "checkpoints" / "last" / "state.safetensors")
    assert all(value.isfinite().all() for value in last.values())
