"""Families, instruments and pitch in a space: what is said of spaces where the truth is known."""

import json
import math

import numpy as np
import pytest

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import nearness, overlap, structure
from timbrespace.evaluation.facts import Unanswerable
from timbrespace.evaluation.figures import matrices
from timbrespace.evaluation.views import Sounds, in_noise_widths, validate, whitened

FAMILIES, INSTRUMENTS, PITCHES = 3, 4, 8  # instruments of each family, at each pitch one sound


def sounds(first_row=0, first_instrument=0, **labels):
    """Labels of every family, instrument and pitch, and their numbers (N,)."""
    family, own, pitch = (
        v.ravel() for v in np.mgrid[:FAMILIES, :INSTRUMENTS, :PITCHES].astype(int)
    )
    named = {
        "family": [f"family {f}" for f in family],
        "instrument": [f"{f}-{i + first_instrument}" for f, i in zip(family, own, strict=True)],
        "pitch": (60 + 3 * pitch).tolist(),
    }
    rows = first_row + np.arange(len(family))
    return Sounds.of(rows, named | labels), family, own + INSTRUMENTS * family, pitch


def points(codes, rng, spread=0.05):
    """One place in 8 numbers for each code, with noise around it."""
    places = np.random.default_rng(7).normal(0.0, 3.0, (codes.max() + 1, 8))
    return places[codes] + spread * rng.standard_normal((len(codes), 8))


def measured(layout, **labels):
    """Figures of a layout (family, instrument, pitch, rng) -> points, asked of other instruments than
    learnt."""
    rng = np.random.default_rng(0)
    asked, *one = sounds(**labels)
    others, *other = sounds(1_000, INSTRUMENTS)
    view = layout(*one, rng), layout(*other, rng)
    order = [rng.permutation(len(v)) for v in view]
    shuffled = tuple(v[o] for v, o in zip(view, order, strict=True))
    views = {"z": view, "mu": view, "pca_32": view, "shuffled_labels": shuffled}
    return structure.evaluate(views, asked, others, rng=np.random.default_rng(1))


def test_figures_of_single_sounds_have_the_means_that_are_told():
    """Families lie apart but for one sound, which is with another family and says so."""

    def layout(family, own, pitch, rng):
        return points(np.where(np.arange(len(family)) == 5, 1, family), rng)

    found = measured(layout)
    each, narrow = found["each"], "1"
    assert (
        each["family_across_mu"][5] == 0.0 and sum(each["family_across_mu"]) == len(each["row"]) - 1
    )
    assert each["silhouette_mu"][5] < -0.5 < 0.5 < min(each["silhouette_mu"][:5])
    for column, part in (
        ("silhouette", found["silhouette"][narrow]),
        ("silhouette_across", found["silhouette_across_instruments"][narrow]),
        ("family_across", found["neighbours"]["family_across_instruments"]),
    ):
        assert np.mean(each[f"{column}_pca_32"]) == pytest.approx(part["pca_32"]["mean"])
    lone = measured(layout, family=["only"] * 96)["each"]
    assert "silhouette_mu" not in lone


def test_silhouettes_are_those_of_scikit_learn():
    from sklearn.metrics import silhouette_samples

    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(60, 5)), rng.integers(0, 4, 60)
    lengths = nearness.distances(x, x)
    found = nearness.silhouettes(lengths, labels, labels, ~np.eye(60, dtype=bool))
    assert found == pytest.approx(silhouette_samples(x, labels), abs=1e-5)


def test_neighbours_confusion_and_r2_are_those_of_scikit_learn():
    from sklearn.metrics import confusion_matrix, r2_score
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 4)), rng.normal(size=(200, 4))
    truth, labels = rng.integers(0, 2, 90), rng.integers(0, 2, 200)  # five votes on two: no tie
    nearest = nearness.near(nearness.distances(x, y), np.ones((90, 200), bool))
    reader = KNeighborsClassifier(5).fit(y, labels)
    assert (nearest == reader.kneighbors(x, return_distance=False)).all()
    said = nearness.votes(labels, nearest)
    assert (said == reader.predict(x)).all()
    table = confusion_matrix(truth, said, normalize="true")
    assert nearness.confusion(truth, said, 2) == pytest.approx(table)
    assert nearness.r2(x[:, 0], x[:, 1]) == pytest.approx(r2_score(x[:, 0], x[:, 1]))


def test_a_silhouette_by_hand_and_sounds_that_have_none():
    x = np.array([[0.0], [1.0], [4.0], [6.0]])
    labels = np.array([0, 0, 1, 2])
    lengths = nearness.distances(x, x)
    found = nearness.silhouettes(lengths, labels, labels, ~np.eye(4, dtype=bool))
    # of the first: a = 1, b = 4 from the nearest other family; the last two are alone in theirs
    assert found[:2] == pytest.approx([3 / 4, 2 / 3]) and np.isnan(found[2:]).all()


def test_neighbours_vote_and_the_nearest_decides_a_tie():
    lengths = np.array([[1.0, 2.0, 3.0, 4.0, 0.5]])
    allowed = np.array([[True, True, True, True, False]])
    found = nearness.near(lengths, allowed, 5)
    assert found.tolist() == [[0, 1, 2, 3, -1]]
    assert nearness.votes(np.array([1, 0, 0, 1, 2]), found).tolist() == [1]
    # the nearest decides between two and two, and loses against three
    assert nearness.votes(np.array([1, 0, 0, 0, 2]), found).tolist() == [0]
    assert nearness.votes(np.array([1, 0]), np.array([[-1, -1]])).tolist() == [-1]


def test_confusion_counts_rows_and_r2_is_that_of_the_mean():
    table = nearness.confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, -1]), 3)
    assert table[:2].tolist() == [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]] and np.isnan(table[2]).all()
    truth = np.array([1.0, 2.0, 3.0])
    assert nearness.r2(truth, truth) == 1.0 and nearness.r2(truth, np.full(3, 2.0)) == 0.0
    assert nearness.r2(truth, truth[::-1]) == -3.0 and nearness.r2(np.ones(3), truth) is None


def test_a_space_of_families_is_perfect_in_all_its_figures():
    found = measured(lambda family, own, pitch, rng: points(family, rng))
    for name in ("silhouette", "silhouette_across_instruments"):
        for window in ("any", "6", "1"):
            z, chance = found[name][window]["z"], found[name][window]["shuffled_labels"]
            assert z["mean"] > 0.9 and z["families_above_0"] == z["families"] == 3
            assert chance["mean"] < 0.0 < 0.9 < z["low"]
    across = found["neighbours"]["family_across_instruments"]
    assert across["z"]["mean"] == 1.0 == across["z"]["half_an_octave_away"]
    assert across["z"]["confusion"] == np.eye(3).tolist()
    assert across["shuffled_labels"]["mean"] < 0.6 and across["majority"] == pytest.approx(1 / 3)
    assert found["overlap"]["z"]["mean"] < 0.01
    # nothing of the pitch is in it
    assert abs(found["pitch_leakage"]["z"]["linear_r2"]) < 0.2


def test_notes_of_one_instrument_that_lie_together_are_no_family():
    # every instrument has a place of its own, wherever its family lies; training has the same ones
    rng = np.random.default_rng(0)
    (asked, _, own, _), (others, *_) = sounds(), sounds(1_000)
    view = points(own, rng), points(own, rng)
    found = structure.evaluate({"z": view}, asked, others, rng=rng)
    assert found["neighbours"]["instrument"]["z"]["mean"] == 1.0
    assert found["neighbours"]["family"]["z"]["mean"] == 1.0  # says no more than that
    assert found["neighbours"]["family_across_instruments"]["z"]["mean"] < 0.6
    assert found["silhouette_across_instruments"]["any"]["z"]["mean"] < 0.1


def test_a_space_of_pitch_knows_no_family_and_is_seen_to_leak():
    found = measured(lambda family, own, pitch, rng: points(pitch, rng))
    assert found["pitch_leakage"]["z"]["neighbours_r2"] > 0.99
    assert found["neighbours"]["family_across_instruments"]["z"]["mean"] < 0.6
    assert found["silhouette"]["1"]["z"]["mean"] < 0.05
    straight = measured(lambda family, own, pitch, rng: np.stack([pitch, 0 * pitch], 1) * 1.0)
    assert straight["pitch_leakage"]["z"]["linear_r2"] > 0.99


def test_neighbours_are_asked_across_pitches_only():
    # at its own pitch each sound lies on its family, at any other on another one
    found = measured(
        lambda family, own, pitch, rng: points(8 * pitch + (family + pitch) % FAMILIES, rng, 0.01)
    )
    assert found["neighbours"]["family"]["z"]["mean"] < 0.8


@pytest.mark.parametrize(
    ("labels", "parts", "says"),
    [
        ({"family": ["a"] * 96}, ("silhouette",), "that say it are a"),
        (
            {"family": [None] * 96},
            ("silhouette", "silhouette_across_instruments"),
            "no labels of fam",
        ),
        ({"instrument": [None] * 96}, ("silhouette_across_instruments",), "of another instrument"),
        ({"pitch": [None] * 96}, ("pitch_leakage",), "two pitches or more"),
        ({"pitch": [60] * 96}, ("pitch_leakage",), "two pitches or more"),
    ],
)
def test_what_labels_cannot_answer_says_why(labels, parts, says):
    found = measured(lambda family, own, pitch, rng: points(family, rng), **labels)
    for part in parts:
        assert says in found[part]["why_not"]
    json.dumps(found, allow_nan=False)


def test_two_sounds_and_constant_latents_are_answered_without_nan():
    asked = Sounds.of(np.arange(2), {"family": ["a", "b"], "pitch": [60, 61]})
    others = Sounds.of(np.arange(5, 9), {"family": ["a", "b", "a", "b"], "pitch": [60, 61, 61, 60]})
    view = np.zeros((2, 3)), np.zeros((4, 3))
    found = structure.evaluate({"z": view, "mu": view}, asked, others, rng=np.random.default_rng(0))
    json.dumps(found, allow_nan=False)
    constant = measured(lambda family, own, pitch, rng: np.zeros((96, 4)))
    json.dumps(constant, allow_nan=False)
    assert constant["silhouette"]["any"]["z"]["mean"] == 0.0
    assert constant["overlap"]["z"]["mean"] == 1.0


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(TimbrespaceError, match="diverged"):
        validate(np.array([[np.nan]]), np.zeros((1, 1)))
    with pytest.raises(TimbrespaceError, match="of one space"):
        validate(np.zeros((2, 3)), np.zeros((2, 4)))


def test_scales_of_numbers():
    mean = np.array([[0.0, 0.0], [4.0, 4.0]])
    one, _ = in_noise_widths((mean, mean), np.log(np.tile([4.0, 1.0], (2, 1))))
    assert one[1].tolist() == [2.0, 4.0]
    still = np.array([[1.0, 0.0], [1.0, 4.0]])
    assert whitened((still, still))[1].tolist() == [[0.0, 0.0], [0.0, 2.0]]


# --- overlap ---


def test_the_coefficient_of_two_normals_is_its_closed_form():
    assert overlap.bhattacharyya(0.0, 1.0, 0.0, 1.0) == 1.0
    assert overlap.bhattacharyya(0.0, 1.0, 2.0, 1.0) == pytest.approx(math.exp(-0.5))
    assert overlap.bhattacharyya(0.0, 1.0, 0.0, 4.0) == pytest.approx(math.sqrt(0.8))
    assert overlap.bhattacharyya(0.0, 0.0, 1.0, 0.0) == 0.0
    assert overlap.bhattacharyya(1.0, 0.0, 1.0, 0.0) == 1.0
    x = np.linspace(-20.0, 20.0, 40_001)
    densities = [
        np.exp(-((x - m) ** 2) / 2 / v) / np.sqrt(2 * np.pi * v) for m, v in ((0, 1), (1, 3))
    ]
    whole = np.sqrt(densities[0] * densities[1]).sum() * (x[1] - x[0])
    assert overlap.bhattacharyya(0.0, 1.0, 1.0, 3.0) == pytest.approx(whole, abs=1e-6)


def test_families_that_are_chance_overlap_though_any_line_parts_what_it_learnt_on():
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b"], 40)
    # 64 numbers of 20 sounds a half: on its own sounds the line would part them wholly
    _, table = overlap.overlaps(rng.normal(size=(80, 64)), names, rng=rng)
    assert table[0, 1] > 0.9
    _, apart = overlap.overlaps(
        rng.normal(size=(80, 64)) + 20 * (names == "a")[:, None], names, rng=rng
    )
    assert apart[0, 1] < 0.01 and apart[0, 0] == 1.0


def test_what_is_measured_is_of_other_instruments():
    # each instrument lies anywhere, its notes close together: families mean nothing here
    rng = np.random.default_rng(0)
    own = np.repeat(np.arange(12), 20)
    x = rng.normal(size=(12, 32))[own] + 0.01 * rng.normal(size=(240, 32))
    families = np.where(own < 6, "a", "b")
    by_instrument = overlap.overlaps(x, families, own.astype(str).tolist(), rng=rng)[1][0, 1]
    by_sound = overlap.overlaps(x, families, rng=rng)[1][0, 1]
    assert by_sound < 0.1 < 0.4 < by_instrument


def test_register_is_no_family():
    rng = np.random.default_rng(0)
    names = np.repeat(["bass", "flute"], 200)
    pitch = np.r_[rng.integers(36, 66, 200), rng.integers(54, 84, 200)]
    x = np.stack([pitch / 6 + rng.normal(size=400), rng.normal(size=400)], 1)
    assert overlap.overlaps(x, names, rng=rng)[1][0, 1] < 0.75
    assert overlap.overlaps(x, names, None, pitch.tolist(), rng=rng)[1][0, 1] > 0.95
    far = np.where(names == "bass", pitch, pitch + 48)
    assert np.isnan(overlap.overlaps(x, names, None, far.tolist(), rng=rng)[1][0, 1])


def test_the_nearest_families_merge_first():
    table = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 1.0]])
    tree = overlap.merges(table)
    assert tree[0, :3].tolist() == pytest.approx([0, 1, 0.2])
    assert tree[1, 2] == pytest.approx(1 - (0.1 + 0.3) / 2)
    table[0, 2] = table[2, 0] = np.nan  # not measured: apart
    assert overlap.merges(table)[1, 2] == pytest.approx(1 - (0.0 + 0.3) / 2)


def test_one_family_has_no_overlap():
    with pytest.raises(TimbrespaceError, match="two families"):
        overlap.overlaps(np.zeros((4, 2)), ["a"] * 4, rng=np.random.default_rng(0))
    asked = Sounds.of(np.arange(4), {"family": ["a"] * 4})
    with pytest.raises(Unanswerable, match="that say it are a"):
        structure._overlaps(
            {"z": (np.zeros((4, 2)), np.zeros((4, 2)))}, asked, asked, np.random.default_rng(0)
        )


def test_a_family_of_the_merge_tree_stands_beside_its_row_of_the_matrix():
    table = np.eye(4) + 0.5 * (1 - np.eye(4))
    merges = [[0, 1, 0.2, 2], [2, 3, 0.3, 2], [4, 5, 0.5, 4]]
    drawn = matrices.overlap(list("abcd"), table.tolist(), merges, "overlap")
    tree, cells = drawn.figure.axes
    assert tree.get_ylim() == cells.get_ylim()
    ours, theirs = tree.get_position(), cells.get_position()
    assert (ours.y0, ours.y1) == pytest.approx((theirs.y0, theirs.y1))
