"""Ways between sounds: figures known by hand, and a space whose decoder is known."""

import io
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import continuity, figures, trajectory
from timbrespace.evaluation.facts import Unanswerable
from timbrespace.features.log_mel import LogMel

FEATURE = LogMel(mels=16, frames=8)
RUN = type("Run", (), {"feature": FEATURE})


# --- figures of one path ---


def test_a_line_passed_evenly_is_perfect():
    found = trajectory.figures(np.linspace(0.0, 1.0, 17)[:, None] * np.ones(5))
    perfect = {"straightness": 1, "evenness": 1, "max_step": 1, "linearity": 1}
    assert found == pytest.approx(perfect | {"roughness": 0, "bend": 0}, abs=1e-9)


def test_one_jump_and_back_and_forth_are_worst():
    jump = trajectory.figures(np.repeat([0.0, 1.0], [1, 16])[:, None])
    assert jump["evenness"] == pytest.approx(1 - 15**0.5) and jump["max_step"] == 16
    back = trajectory.figures(np.array([0.0, 1.0] * 8 + [0.0])[:, None])
    assert back["straightness"] == 0 and back["roughness"] == pytest.approx(1)
    assert back["linearity"] == pytest.approx(0, abs=1e-9) and "bend" not in back


def test_a_corner_is_known_by_hand():
    found = trajectory.figures(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    assert found == pytest.approx(
        {"straightness": 0.5**0.5, "evenness": 1, "max_step": 1, "roughness": 0.5**0.5,
         "linearity": 0.75, "bend": 0.5}
    )  # fmt: skip


def test_no_way_has_no_figures_and_no_path_is_refused():
    assert trajectory.figures(np.ones((5, 3))) is None
    with pytest.raises(TimbrespaceError, match="3 points or more"):
        trajectory.figures(np.ones((2, 3)))
    with pytest.raises(TimbrespaceError, match="not finite"):
        trajectory.figures(np.full((5, 3), np.nan))


def test_monotonic_is_what_goes_towards_the_other_end():
    assert trajectory.monotonicity([1.0, 2.0, 2.5, 9.0]) == 1.0
    assert trajectory.monotonicity([9.0, 3.0, 2.0, 1.0]) == 1.0
    assert trajectory.monotonicity([0.0, 4.0, 3.0, 2.0, 1.0]) == pytest.approx(0.0)
    assert trajectory.monotonicity([1.0, 5.0, 1.0]) is None


def test_ways_that_lead_alike():
    one = np.array([[0.0, 1.0], [2.0, 0.0]])
    assert trajectory.alike(one, 3 * one) == pytest.approx(1.0)
    assert trajectory.alike(one, -one) == pytest.approx(-1.0)
    assert trajectory.alike(one, 0 * one) is None


def test_descriptors_are_read_from_pictures():
    pictures = np.full((2, 16, 8), -1.0)
    pictures[0, 5, 3] = 1.0  # one cell
    pictures[1] = 1.0  # all cells alike
    one, noise = trajectory.seen(pictures, FEATURE)
    assert one[0] == pytest.approx(np.log2(float(FEATURE.frequencies[5])), abs=0.01)
    assert one[1] == pytest.approx(0, abs=0.05) and noise[2] == pytest.approx(0, abs=1e-6)
    assert one[3] == pytest.approx(3 * FEATURE.hop / FEATURE.sample_rate, rel=0.01)
    power = np.r_[np.full(15, 1e-8), 1 / 8 + 7e-8 / 8]  # the mean spectrum of the one cell
    assert one[2] == pytest.approx(10 * (np.log10(power).mean() - np.log10(power.mean())), abs=1e-3)


# --- which sounds make a pair ---


def labels(families=4, instruments=2, pitches=6):
    """(instrument, family, note) of every instrument at every pitch."""
    return [
        (f"{f}-{i}", str(f), (60 + p,))
        for f in range(families) for i in range(instruments) for p in range(pitches)
    ]  # fmt: skip


def test_pairs_share_the_note_and_no_instrument_is_in_two():
    table = labels()
    for seed in range(12):
        found = continuity.pairs(*zip(*table, strict=True), np.random.default_rng(seed))
        used = {}
        for pair in found:
            a, b = table[pair.a], table[pair.b]
            assert a[2] == b[2] == (pair.pitch,) and a[1] != b[1]
            used.setdefault(pair.number, set()).update((a[0], b[0]))
        assert len(found) == 4 * 6 and all(len(names) == 2 for names in used.values())
        assert len(set.union(*used.values())) == 8


def test_one_family_makes_pairs_of_instruments_and_one_sound_makes_none():
    found = continuity.pairs(*zip(*labels(families=1), strict=True), np.random.default_rng(0))
    assert len({pair.number for pair in found}) == 1 and len(found) == 6
    assert continuity.pairs(["a"], ["x"], [(60,)], np.random.default_rng(0)) == []


# --- a space whose decoder is known ---


class Decoder:
    """Pictures of latents (N, 3): a pattern for each number, and what `bent` makes of their square."""

    def __init__(self, bent: float = 0.0) -> None:
        self.patterns = np.random.default_rng(1).normal(0.0, 0.1, (3, 16, 8))
        self.bent = bent

    def __call__(self, z, positions=None):
        z = np.asarray(z, float)
        return np.tensordot(z + self.bent * z**2, self.patterns, 1).astype(np.float32)


@dataclass(frozen=True)
class Stand:
    """What `continuity` asks of `Facts`, of a decoder and labelled latents."""

    decode: Decoder
    here: SimpleNamespace
    there: SimpleNamespace
    table: list
    told: tuple = ("instrument", "family", "pitch")
    run: object = RUN
    learnt: str = "one"
    corpus: str = "one"

    def rng(self, name):
        return np.random.default_rng([0, *name.encode()])

    def labels(self, name):
        if name not in self.told or name == "velocity":
            return None
        place = self.told.index(name)
        return [row[place][0] if name == "pitch" else row[place] for row in self.table]

    labels_there = labels

    def originals(self, positions):
        return self.decode(self.here.mean[positions])


def stand(bent=0.0, spread=0.3, **changed) -> Stand:
    table = labels(pitches=10)
    rng = np.random.default_rng(2)
    centres = 2.0 * rng.standard_normal((8, 3))
    mean = centres.repeat(10, 0) + spread * rng.standard_normal((80, 3))
    decode = Decoder(bent)

    others = (mean + 0.3 * rng.standard_normal((80, 3))).astype(np.float32)

    def batch(at, device):
        return torch.from_numpy(decode(others[at.numpy()]))[:, None], {}

    here = SimpleNamespace(rows=np.arange(80), mean=mean.astype(np.float32), codes=None)
    pictures = SimpleNamespace(batch=batch)
    there = SimpleNamespace(rows=np.arange(80) + 80, mean=others, pictures=pictures)
    return replace(Stand(decode, here, there, table), **changed)


def test_a_linear_decoder_only_cross_fades():
    found = continuity.measure(stand())
    paths = found["paths"]
    assert paths["lerp"]["bend"]["mean"] == pytest.approx(0, abs=1e-3)
    for name, figure in paths["crossfade_decoded"].items():
        assert paths["lerp"][name]["mean"] == pytest.approx(figure["mean"], abs=1e-3)
    assert paths["slerp"]["bend"]["mean"] > 0.01
    assert paths["follow"]["latent_ratio"]["mean"] < paths["lerp"]["latent_ratio"]["mean"]
    bent = continuity.measure(stand(bent=0.3))["paths"]
    assert bent["lerp"]["bend"]["mean"] > 0.05 > bent["crossfade_decoded"]["bend"]["mean"]


def test_a_sound_is_not_its_own_neighbour():
    """Training sounds measured on themselves: else each end is at distance 0 from itself."""
    whole = stand()
    own = SimpleNamespace(rows=whole.here.rows, mean=whole.here.mean, pictures=whole.there.pictures)
    assert (
        continuity.measure(replace(whole, there=own))["paths"]["lerp"]["latent_ratio"]["mean"] > 0
    )


def test_what_leads_from_one_to_the_other_is_alike_at_all_pitches():
    same = continuity.measure(stand(spread=0.01))["cross_pitch"]
    assert same["latent"]["mean"] > 0.99 and same["lerp"]["mean"] > 0.95
    assert same["latent_other_pairs"]["mean"] < 0.6
    apart = continuity.measure(stand(spread=6.0))["cross_pitch"]
    assert abs(apart["latent"]["mean"]) < 0.4


def test_a_middle_on_a_real_sound_is_as_near_to_it_as_can_be():
    cells = np.linspace(0.0, 1.0, 17)[:, None] * np.ones((1, 4))
    line = continuity._figures(cells, cells, np.array([[0.5] * 4]), cells[[0, -1]], 40.0)
    assert line["nearest_over_real"] < 1e-4
    assert line["nearest_db"] == pytest.approx(0.0, abs=1e-4) and line["nearest_ratio"] < 1e-4
    assert line["descriptor_straightness"] == line["centroid_monotonicity"] == pytest.approx(1.0)
    line = continuity._figures(cells, cells, cells[[0, -1]], cells[[0, -1]] + 0.5, 40.0)
    assert line["nearest_db"] == pytest.approx(20.0)  # half a unit of 40 dB from both
    assert line["nearest_ratio"] is None  # the ends are decoded to what is known


def test_a_middle_is_held_against_the_distance_between_real_sounds():
    """Decoded ends may lie far from all that is real: what they cost is no excuse for the middle."""
    cells = np.linspace(-1.0, 1.0, 17)[:, None] * np.ones((1, 4))
    cells[[0, -1]] *= 3.0  # the decoder misses both ends by 2 units
    known = np.array([[-1.1] * 4, [1.1] * 4])
    recorded = np.array([[-1.0] * 4, [1.2] * 4])
    line = continuity._figures(cells, cells, known, recorded, 40.0)
    assert line["nearest_db"] == pytest.approx(44.0)
    assert line["nearest_over_real"] == pytest.approx(1.1 / 0.1)  # real ones lie 0.1 apart
    assert line["nearest_ratio"] == pytest.approx(1.1 / 1.9)  # and that would be plausible
    cells[8] = known[0] + 0.1  # as near to a real sound as real sounds are
    line = continuity._figures(cells, cells, known, recorded, 40.0)
    assert line["nearest_over_real"] == pytest.approx(1.0)


def test_what_is_recorded_is_as_near_as_real_sounds_by_definition():
    paths = continuity.measure(stand())["paths"]
    for name in ("crossfade", "mix"):
        figures = paths[name]
        assert figures["nearest_over_real"]["mean"] == pytest.approx(
            figures["nearest_ratio"]["mean"]
        )
    assert paths["lerp"]["nearest_over_real"]["mean"] > 0.0


def test_every_figure_is_told_with_its_floors():
    found = json.loads(json.dumps(continuity.measure(stand(bent=0.3)), allow_nan=False))
    assert found["sample"]["between"] == "of different families at one pitch"
    assert found["sample"]["pairs_of_instruments"] == 4 and found["sample"]["paths"] == 32
    assert set(found["paths"]) == set(continuity.NAMES)
    html = continuity.show(found).html
    for words in (*continuity.NAMES.values(), "two of one family", "wants 30 instruments or more"):
        assert words.replace("'", "&#x27;") in html


def test_what_is_not_known_is_said_and_the_rest_is_measured():
    nameless = continuity.measure(stand(told=()))
    assert (
        nameless["sample"]["between"]
        == "of different files at any pitch, since none is known in common"
    )
    assert nameless["gaps"]["why_not"].endswith("the sounds have no instrument")
    assert nameless["cross_pitch"]["why_not"] and "none" in continuity.show(nameless).html
    family = [(name, "one", note) for name, _, note in stand().table]
    one = continuity.measure(stand(table=family))
    assert one["sample"]["between"] == "of different instruments at one pitch"
    assert one["gaps"]["between"] is None and "no two families" in continuity.show(one).html


@pytest.mark.parametrize("codes, rows, spread, sentence", [
    (np.zeros((80, 1, 1)), 80, 1.0, "between two codes there is no way"),
    (None, 1, 1.0, "1 of them make no pair"),
    (None, 80, 0.0, "decode to one picture"),
])  # fmt: skip
def test_what_has_no_answer_says_why(codes, rows, spread, sentence):
    whole = stand()
    here = SimpleNamespace(
        rows=whole.here.rows[:rows], mean=spread * whole.here.mean[:rows], codes=codes
    )
    with pytest.raises(Unanswerable, match=sentence):
        continuity.measure(replace(whole, here=here, table=whole.table[:rows]))


# --- pictures ---


def test_strips_show_what_is_loud_where_it_is():
    from matplotlib.image import imread

    loud, silent = np.ones((3, 16, 8)), -np.ones((3, 16, 8))
    png = figures.strips([("above", loud), ("below", silent)], ["1", "2", "3"], FEATURE)
    seen = imread(io.BytesIO(png), format="png")[:, :, :3].mean(2)
    height, width = seen.shape
    above, below = seen[: int(0.55 * height)], seen[int(0.6 * height) :]
    middle = slice(int(0.3 * width), int(0.8 * width))
    assert np.median(above[:, middle]) > 0.8 and np.median(below[:, middle]) < 0.1
