"""Agreement with listeners: what is perfect, what is worst, what the libraries say, and the run's part."""

import hashlib
import json
import shutil
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.stats
import soundfile
import torch
from sklearn.metrics import ndcg_score
from typer.testing import CliRunner

from timbrespace import verbs
from timbrespace.cli import app
from timbrespace.data import ratings
from timbrespace.data.corpus import Corpus
from timbrespace.data.dissimilarities import Dissimilarities
from timbrespace.embedding import cepstrum
from timbrespace.errors import CorpusError, TimbrespaceError
from timbrespace.evaluation import perception, representations
from timbrespace.evaluation.agreement import agreement, combined, cosine, euclidean, triplet
from timbrespace.geometry.project import Pca
from timbrespace.recipe import build, load
from timbrespace.runs import Run

RATE, STUDIES, SOUNDS = 44_100, ("Bright2001", "Dull2002"), 6


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Two studies in the benchmark's layout: tones with 1 to 10 partials, rated by their number."""
    root = tmp_path_factory.mktemp("ratings") / "checkout"
    inside = root / ratings.INSIDE
    lines, rng = [], np.random.default_rng(0)
    for study, hertz in zip(STUDIES, (311.0, 262.0), strict=True):
        (inside / ratings.SOUNDS / study).mkdir(parents=True)
        (inside / ratings.RATINGS).mkdir(exist_ok=True)
        partials = rng.permutation(np.arange(1, 11))[:SOUNDS]
        for number, count in enumerate(partials):
            time = np.arange(RATE * (1 + number % 2) // 4) / RATE
            tone = sum(np.sin(2 * np.pi * hertz * k * time) for k in range(1, count + 1)) / count
            file = inside / ratings.SOUNDS / study / f"{number} of {count}.aiff"
            soundfile.write(file, 0.3 * tone, RATE)
        rated = 3.0 * np.abs(partials[:, None] - partials)
        matrix = inside / ratings.RATINGS / f"{study}{ratings.SUFFIX}"
        np.savetxt(matrix, np.triu(rated))  # half of it, as the benchmark's
    for file in sorted(inside.rglob("*.*")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{digest}  {file.relative_to(inside)}\n")
    (root / "listing").write_text("".join(lines))
    return root


@pytest.fixture
def listed(benchmark, monkeypatch):
    monkeypatch.setattr(ratings, "LISTING", benchmark / "listing")
    return benchmark


def rated(*sizes: int) -> list[np.ndarray]:
    """Ratings (n, n) of studies, at most 1."""
    rng = np.random.default_rng(1)
    found = []
    for n in sizes:
        places = np.sqrt(rng.permutation(n))  # all differences differ
        distances = np.abs(places[:, None] - places)
        found.append(distances / distances.max())
    return found


# --- scores ---


def test_distances_that_are_the_ratings_agree_perfectly_whatever_their_unit():
    theirs = rated(5, 8)
    found = agreement([7.0 * one for one in theirs], theirs)
    assert {name: found[name] for name in ("triplet", "spearman", "kendall", "ndcg")} == (
        pytest.approx(dict.fromkeys(("triplet", "spearman", "kendall", "ndcg"), 1.0))
    )
    assert found["mae"] == pytest.approx(0.0)


def test_the_opposite_order_is_the_worst():
    theirs = rated(5, 8)
    found = agreement([(1.5 - one) * (1 - np.eye(len(one))) for one in theirs], theirs)
    assert (found["triplet"], found["spearman"], found["kendall"]) == pytest.approx((0, -1, -1))


def test_a_space_of_one_point_agrees_in_nothing_and_nothing_is_nan():
    found = agreement([np.zeros((6, 6))], rated(6))
    assert (found["triplet"], found["spearman"], found["kendall"]) == (0.0, 0.0, 0.0)
    assert 0.0 < found["ndcg"] < 1.0


def test_a_small_case_by_hand():
    # of three pairs one is rated 0.05 apart and does not count, one is ordered alike, one is a tie
    assert triplet(np.array([[1.0, 2.0, 1.0]]), np.array([[0.2, 0.6, 0.65]])) == 0.5
    assert triplet(np.array([[1.0, 2.0]]), np.array([[0.2, 0.25]])) == 0.0


def test_scores_are_those_of_scipy_and_scikit_learn_with_ties():
    rng = np.random.default_rng(2)
    ours, theirs = (rng.integers(1, 6, (2, 9, 9)) / 5.0).astype(float)
    ours, theirs = (np.triu(one, 1) + np.triu(one, 1).T for one in (ours, theirs))
    found = agreement([ours], [theirs]).scores
    for anchor in range(9):
        near, given = (np.delete(one[anchor], anchor) for one in (ours, theirs))
        wanted = {
            "spearman": scipy.stats.spearmanr(near, given)[0],
            "kendall": scipy.stats.kendalltau(near, given)[0],
            "ndcg": ndcg_score(1.0 - given[None], 1.0 - near[None]),
        }
        for name, value in wanted.items():
            assert found[name][anchor] == pytest.approx(value), name


def test_studies_count_by_their_sounds_and_errors_by_their_pairs():
    theirs = rated(4, 8)
    found = agreement([theirs[0], np.zeros((8, 8))], theirs)
    assert found["triplet"] == pytest.approx(4 / 12)
    pairs = np.triu_indices(8, 1)
    assert found["mae"] == pytest.approx(theirs[1][pairs].sum() / (6 + 28))
    assert found.by_study["spearman"] == pytest.approx([1.0, 0.0])


def test_distances_that_are_none_are_refused_in_a_sentence():
    for wrong in (np.full((5, 5), np.nan), -np.ones((5, 5)), np.zeros((4, 4))):
        with pytest.raises(TimbrespaceError, match="distances"):
            agreement([wrong], rated(5))


def test_ways_are_mixed_in_equal_parts_whatever_their_unit():
    one, other = rated(5, 5)
    mixed = combined([[one], [1000.0 * other]])[0]
    assert mixed == pytest.approx((one + other) / 2)


# --- the benchmark's files ---


def test_sounds_and_ratings_belong_together(listed):
    studies = ratings.read_studies(listed)
    assert [study.name for study in studies] == list(STUDIES)

    def partials(sounds):
        spectra = [np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) for sound in sounds]
        peaks = [(x > np.roll(x, 1)) & (x > np.roll(x, -1)) & (x > 0.3 * x.max()) for x in spectra]
        return np.array([[float(one.sum())] for one in peaks])

    found = perception.score(partials, studies, sample_rate=RATE)
    assert found["spearman"] == pytest.approx(1.0) and found["mae"] == pytest.approx(0.0, abs=1e-9)
    away = perception.score(partials, studies, distance=lambda p: np.exp(-euclidean(p)))
    assert away["spearman"] == pytest.approx(-1.0) and away["triplet"] == 0.0


@pytest.mark.parametrize("what", ["changed", "missing", "no checkout"])
def test_other_files_are_refused_before_anything_is_measured(what, listed, tmp_path, tiny_run):
    copy = shutil.copytree(listed, tmp_path / "copy")
    sound = sorted(copy.rglob("*.aiff"))[3]
    if what == "changed":
        sound.write_bytes(sound.read_bytes()[:-2] + b"\1\1")
    elif what == "missing":
        sound.unlink()
    else:
        shutil.rmtree(copy / ratings.INSIDE)
    with pytest.raises(CorpusError) as caught:
        ratings.read_studies(copy)
    assert "\n" not in str(caught.value)
    assert ("copy" if what == "no checkout" else sound.name) in str(caught.value)
    before = (tiny_run / "evaluation" / "metrics.json").read_bytes()
    result = CliRunner().invoke(app, ["evaluate", str(tiny_run), "--perception", str(copy)])
    assert result.exit_code != 0 and isinstance(result.exception, CorpusError)
    assert (tiny_run / "evaluation" / "metrics.json").read_bytes() == before


def test_the_committed_listing_names_every_file_of_the_benchmark_once():
    names = [line.split("  ", 1)[1] for line in ratings.LISTING.read_text().splitlines()]
    assert len(set(names)) == 334 + 21 and sum(n.startswith(ratings.RATINGS) for n in names) == 21


# --- representations ---


def test_mfccs_are_those_of_librosa():
    sound = np.random.default_rng(3).standard_normal(9000).astype(np.float32)
    wanted = librosa.feature.mfcc(
        S=librosa.power_to_db(
            librosa.feature.melspectrogram(
                y=sound, sr=RATE, n_fft=2048, hop_length=512, n_mels=128, htk=True, norm=None,
                pad_mode="reflect",
            ),
            top_db=80.0,
        ),
        n_mfcc=40,
    )  # fmt: skip
    assert cepstrum.mfcc(sound) == pytest.approx(wanted, abs=1e-2)


def test_the_shorter_of_two_sounds_is_filled_up(listed):
    study = ratings.read_studies(listed)[0]
    found = representations.mfcc_distances([study], angle=False)[0]
    sounds = study.samples(RATE)
    assert len(sounds[0]) == len(sounds[2]) < len(sounds[1])
    for other in (1, 2):
        pair = (sounds[0], sounds[other])
        longer = max(map(len, pair))
        one, two = (cepstrum.mfcc(np.pad(x, (0, longer - len(x)))).ravel() for x in pair)
        assert found[0, other] == pytest.approx(np.linalg.norm(one - two), rel=1e-5)
    assert np.array_equal(found, found.T)


def test_whitening_gives_each_component_that_varies_the_same_say():
    rng = np.random.default_rng(4)
    points = rng.standard_normal((200, 3)) * (100.0, 1.0, 0.0)
    pca = Pca.fit(points, 3)
    white = representations.whitened(pca, [points + (0.0, 0.0, 1e-3)], 3)[0]
    assert white.std(0) == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)


def test_the_cosine_ignores_size_and_knows_opposites():
    found = cosine(np.array([[1.0, 0.0], [5.0, 0.0], [-2.0, 0.0], [0.0, 0.0]]))
    assert found[0] == pytest.approx([0.0, 0.0, 2.0, 1.0])


def test_noise_widths_are_those_of_both_sounds():
    mean = np.array([[0.0, 0.0], [3.0, 4.0]])
    found = representations.in_noise((mean, np.log([[1.0, 1.0], [3.0, 7.0]])))
    assert found[0, 1] == pytest.approx(np.sqrt(9 / 2 + 16 / 4))


def test_a_model_before_training_is_random_or_a_linear_code_and_disturbs_no_other_draw(tiny_run):
    run = Run.open(tiny_run)
    state = torch.get_rng_state()
    fresh = [
        representations.before_training(run.recipe, run.vocabulary, None, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    x = [torch.rand(4, 32, 64)]
    means = [representations.latents(model, x)[0][0] for model in fresh]
    assert np.array_equal(means[0], means[1]) and not np.allclose(means[0], means[2])
    assert not representations.starts_linear(fresh[0])
    assert representations.starts_linear(build(load("instruments")))


# --- a run ---


def test_a_run_is_measured_beside_what_it_has_to_beat_and_the_report_says_so(
    tiny_run, listed, tmp_path
):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    verbs.space(run, umap=False, axes=False, embed=True)
    result = CliRunner().invoke(app, ["evaluate", str(run), "--perception", str(listed)])
    assert result.exit_code == 0, result.output
    assert "of triplets as listeners do" in result.output
    found = json.loads((run / "evaluation" / "metrics.json").read_text())["perception"]
    assert (found["studies"], found["sounds"], found["pairs"]) == (2, 12, 30)
    assert list(found["ways"]) == list(perception.WAYS)
    assert found["reproduced"] is False and "do not compare" in perception.sentence(found)
    for scores in found["ways"].values():
        low, high = scores["triplet_interval"]
        assert 0.0 <= low <= scores["triplet"] <= high <= 1.0
    gap = found["differences"]["model"]["mfcc"]["triplet"]["difference"]
    ways = found["ways"]
    assert ways["both"]["mae"] != ways["both_scaled"]["mae"]  # other weights of the same parts
    assert gap == pytest.approx(ways["model"]["triplet"] - ways["mfcc"]["triplet"])
    assert found["by_study"]["Dull2002"]["sounds"] == SOUNDS
    page = (run / "evaluation" / "report.html").read_text()
    assert "What listeners say" in page and "published: MFCC" in page
    assert (run / "evaluation" / "figures" / "perception-studies.png").is_file()


def test_latents_that_are_not_finite_are_a_sentence(tiny_run, listed, monkeypatch):
    monkeypatch.setattr(
        representations, "latents", lambda *_: [(np.full((SOUNDS, 2), np.nan),) * 2] * 2
    )
    run = Run.open(tiny_run)
    pictures = [torch.zeros(SOUNDS, 32, 64)] * 2
    monkeypatch.setattr(representations, "pictures", lambda *_: pictures)
    with pytest.raises(TimbrespaceError, match="diverged"):
        perception.distances_of(run, ratings.read_studies(listed), pca=None, learnt=None)


def test_without_ratings_the_question_is_not_asked(tiny_run):
    assert "perception" not in json.loads((tiny_run / "evaluation" / "metrics.json").read_text())
    assert "perception" in verbs.evaluate.__annotations__


def test_a_study_that_judges_is_left_out_of_training_with_all_its_sounds(
    listed, tiny_corpus, tiny_run, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "experiments"))
    import listening

    studies, base = ratings.read_studies(listed), Corpus.open(tiny_corpus)
    assert ratings.related(studies) == [(0,), (1,)]
    (tmp_path / "sounds.csv").write_text(listening.sounds(base, studies, (0,)))
    corpus = verbs.prepare(tmp_path / "sounds.csv", tmp_path / "corpus", layout="table", workers=0)
    family = np.array(corpus.labels("family"), str)
    assert set(family[corpus.split_rows("test")]) >= {STUDIES[0]}
    train = family[corpus.split_rows("train")]
    assert STUDIES[0] not in train and (train == STUDIES[1]).sum() == SOUNDS
    listening.ratings(corpus, studies[1:], tmp_path / "heard")
    tables = Dissimilarities.read_all(tmp_path / "heard")
    rows, values = tables[f"{STUDIES[1]}.csv"].of_training_sounds(corpus)
    assert len(rows) == SOUNDS and values == pytest.approx(studies[1].ratings)
    judged = listening.judge(Run.open(tiny_run), studies[:1])
    assert len(judged[STUDIES[0]]["spearman"]) == SOUNDS


def test_studies_of_one_publication_or_with_a_common_sound_are_held_out_together(tmp_path):
    def study(name, *contents):
        files = []
        for number, content in enumerate(contents):
            files.append(tmp_path / f"{name}-{number}")
            files[-1].write_bytes(content)
        return ratings.Study(name, tuple(files), np.zeros((len(files),) * 2))

    found = ratings.related(
        [study("A1_x", b"1"), study("B2", b"2", b"3"), study("A1_y", b"4"), study("C3", b"5", b"3")]
    )
    assert found == [(0, 2), (1, 3)]
