"""MIG, SAP and DCI where the answer is known by hand, and where there is nothing to find."""

import json
import math

import numpy as np
import pytest

from timbrespace.evaluation import disentanglement as d
from timbrespace.evaluation.facts import Unanswerable
from timbrespace.evaluation.views import Sounds


def test_information_is_that_of_scikit_learn_and_of_a_table_by_hand():
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(300, 3)), rng.integers(0, 4, 300)
    x[:, 1] += labels
    bins = d.binned(x)[0]
    found = d.information(d.counts(bins, labels))
    assert found == pytest.approx([mutual_info_score(b, labels) for b in bins.T])
    # 3 of 4 sounds right: ln 2 less the entropy of a quarter
    table = np.array([[[3.0, 1.0], [1.0, 3.0]]])
    assert d.information(table)[0] == pytest.approx(math.log(2) - 0.562335, abs=1e-6)


def test_mig_by_hand():
    label = np.array([0, 0, 1, 1])
    other = np.array([0, 1, 0, 1])
    one_number = np.stack([label, other], 1).astype(float)
    assert d.mig(one_number, label) == pytest.approx(1.0) == d.mig(one_number, other)
    assert d.mig(np.stack([label, label], 1).astype(float), label) == 0.0  # in two numbers
    assert d.mig(np.zeros((4, 3)), label) == 0.0
    # one number says all (ln 2), the other what the table above says: 1 - 0.1308 / 0.6931
    eight = np.repeat([0, 1], 4)
    partly = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    assert d.mig(np.stack([eight, partly], 1).astype(float), eight) == pytest.approx(
        0.81128, abs=1e-5
    )


def test_sap_by_hand():
    y = np.array([1.0, 2.0, 3.0, 4.0])
    noise = np.array([1.0, -1.0, -1.0, 1.0])  # uncorrelated with y
    both = np.stack([2 * y + 1, noise], 1), y
    assert d.sap(both, both, named=False) == pytest.approx(1.0)
    # correlation of y with [1, 2, 4, 3] is 0.8
    near = np.stack([y, [1.0, 2.0, 4.0, 3.0]], 1), y
    assert d.sap(near, near, named=False) == pytest.approx(1 - 0.64)
    still = np.c_[np.full(7, 0.1), np.zeros(7)], np.arange(7.0) ** 2
    assert d.sap(still, still, named=False) == pytest.approx(0.0, abs=1e-9)
    names = np.array([0, 0, 0, 1])
    x = np.stack([names, [0, 1, 1, 0]], 1).astype(float), names
    # thresholds: all right, beside 2 of 3 and 1 of 1 balanced to 5/6, of which guessing has 1/2
    assert d.sap(x, x, named=True) == pytest.approx(1 - (5 / 6 - 1 / 2) * 2)


def test_concentration_by_hand():
    each_its_own = np.array([[0.9, 0.1], [0.1, 0.9]])
    expected = 1 - 0.468996  # 1 less the entropy of a tenth, bits
    assert d.disentanglement(each_its_own) == pytest.approx(expected, abs=1e-5)
    assert d.completeness(each_its_own) == pytest.approx([expected] * 2, abs=1e-5)
    assert d.disentanglement(np.eye(3)) == 1.0 and d.completeness(np.eye(3)).tolist() == [1.0] * 3
    assert d.disentanglement(np.ones((4, 2))) == 0.0 == d.completeness(np.ones((4, 2)))[0]
    # a number that tells of nothing weighs nothing
    assert d.disentanglement(np.array([[1.0, 0.0], [0.0, 0.0]])) == 1.0
    assert d.disentanglement(np.zeros((2, 2))) == 0.0


def sounds(count, seed, first_instrument=0, **labels):
    rng = np.random.default_rng(seed)
    family = rng.integers(0, 4, count)
    own = 2 * family + rng.integers(0, 2, count)
    told = {
        "family": [f"family {f}" for f in family],
        "instrument": [f"instrument {i + first_instrument}" for i in own],
        "pitch": rng.integers(40, 80, count).tolist(),
        "velocity": rng.choice([25, 75, 127], count).tolist(),
    }
    return Sounds.of(first_instrument * 1_000 + np.arange(count), told | labels), own, rng


def space(kind, **labels):
    """Views of 400 sounds and 600 of other instruments, whose numbers are made of their labels."""
    made = []
    for count, seed, first in ((400, 0, 0), (600, 1, 8)):
        told, own, rng = sounds(count, seed, first, **({k: v[:count] for k, v in labels.items()}))
        pitch = np.nan_to_num(told.pitches, nan=60.0)
        factors = np.stack([own // 2, (pitch - 60) / 12], 1) + 0.02 * rng.normal(size=(count, 2))
        turn = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))[0]
        idle = rng.normal(size=(count, 4))
        numbers = {
            "apart": np.c_[factors, 0.01 * idle], "mixed": np.c_[factors, 0.01 * idle] @ turn,
            "nothing": np.c_[idle, idle[:, :2]], "constant": np.ones((count, 6)),
        }[kind]  # fmt: skip
        made.append((told, numbers))
    (asked, here), (others, there) = made
    return {"z": (here, there)}, asked, others


def test_a_number_for_each_factor_is_disentangled_and_a_turn_of_it_is_not():
    apart, mixed = (d.evaluate(*space(kind), seed=0)["z"] for kind in ("apart", "mixed"))
    assert apart["disentanglement"] > 0.65  # forests give some weight to idle numbers
    assert apart["by_factor"]["family"]["mig"] > 0.9 and apart["by_factor"]["pitch"]["sap"] > 0.9
    assert apart["by_factor"]["family"]["completeness"] > 0.5
    for factor in ("family", "pitch"):
        assert apart["by_factor"][factor]["informativeness"] > 0.9
        assert mixed["by_factor"][factor]["informativeness"] > 0.8  # it is all there, but spread
        for name in ("mig", "sap", "completeness"):
            assert mixed["by_factor"][factor][name] < 0.5 * apart["by_factor"][factor][name]
    assert mixed["disentanglement"] < 0.5 * apart["disentanglement"]


@pytest.mark.parametrize("kind", ["family", "pitch"])
def test_an_interval_holds_its_figure_and_notes_are_no_instruments(kind):
    """24 instruments of 6 families, each of which shifts its 20 notes and is named well or badly as a whole."""
    rng = np.random.default_rng(1)
    own = np.repeat(np.arange(24), 20)
    points = rng.normal(size=(24, 6))[own] + 0.5 * rng.normal(size=(480, 6))
    y = own % 6 if kind == "family" else rng.integers(40, 80, 480).astype(float)
    points[:, 1] += y if kind == "family" else y / 12
    said = np.where(rng.random(24)[own] < 0.5, y, rng.permutation(y))
    factor = d.Factor(kind, 1, np.arange(480), 0, np.arange(480), (y, y))
    labels, named = np.unique(y, return_inverse=True)[1], kind == "family"
    figures = {
        "mig": d.mig(points, labels), "sap": d.sap((points, y), (points, y), named=named),
        "informativeness": d._informativeness(np.stack([y, said], 1), named),
    }  # fmt: skip
    whole, single = (
        d._intervals(factor, points, points, labels, said, groups, 0)
        for groups in (own, range(480))
    )
    for name, figure in figures.items():
        low, high = whole[f"{name}_interval"]
        assert low < figure < high, name
        if name == "informativeness":
            assert high - low > 2.0 * np.ptp(single[f"{name}_interval"])
    alone = d._intervals(factor, points, points, labels, said, [0] * 480, 0)
    assert set(alone.values()) == {None}


def test_intervals_stand_at_z_alone():
    tables, asked, others = space("apart")
    found = d.evaluate(tables | {"mu": tables["z"]}, asked, others, seed=0)
    family = found["z"]["by_factor"]["family"]
    assert family["mig_interval"][0] < family["mig"] and "[" in d.show(found).html
    assert "mig_interval" not in found["mu"]["by_factor"]["family"]


@pytest.mark.parametrize("kind", ["nothing", "constant"])
def test_a_space_of_nothing_has_next_to_nothing(kind):
    found = d.evaluate(*space(kind), seed=0)
    assert found["factors"] == ["family", "pitch", "velocity", "instrument"]
    for factor, line in found["z"]["by_factor"].items():
        assert line["mig"] < 0.05 and line["sap"] < 0.15, factor
        assert line["informativeness"] < (0.45 if factor == "family" else 0.35)
    assert found["told_apart"] == [] and found["z"]["disentanglement"] is None
    assert "No factor" in d.show(found).html
    json.dumps(found, allow_nan=False)


def test_what_is_not_known_is_not_asked_and_says_why():
    found = d.evaluate(*space("apart", velocity=["loud"] * 600, instrument=[None] * 600), seed=0)
    assert found["factors"] == ["family", "pitch"]
    assert set(found["not_asked"]) == {"velocity", "instrument"}
    one = d.evaluate(
        *space("apart", family=["a"] * 600, velocity=[1] * 600, instrument=["i"] * 600), seed=0
    )
    assert one["factors"] == ["pitch"] and one["z"]["disentanglement"] is None
    assert "one factor" in d.show(one).html
    none = [None] * 600
    with pytest.raises(Unanswerable, match="family: no two values"):
        d.evaluate(*space("apart", family=none, pitch=none, velocity=none, instrument=none), seed=0)
