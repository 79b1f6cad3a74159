"""What an evaluation says of pitch: errors in cents, beside their ceiling and floors; and the swap."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_evaluation import FEATURE, StandInRun, Tones
from test_heard import Moved

from timbrespace.audio.pitch import Pitch
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import pitch, swap
from timbrespace.evaluation.evaluate import evaluate
from timbrespace.evaluation.facts import Facts, Unanswerable

RNG = np.random.default_rng
NONE = float("nan")


# ------------------------------------------------------------------------------ the metric


def test_what_is_in_tune_is_perfect():
    wanted = np.array([40.0, 60.5, 81.0])
    found = pitch.evaluate(wanted, wanted, rng=RNG(0))
    assert found["median_cents"] == 0.0 and found["within_10"] == found["within_50"] == 1.0
    assert found["octave_errors"] == found["other_errors"] == found["unvoiced"] == 0.0
    assert found["median_cents_interval"] == (0.0, 0.0) and found["within_50_interval"] is None


def test_where_nothing_is_heard_there_is_no_error_but_everything_is_lost():
    found = pitch.evaluate(np.full(3, NONE), np.array([40.0, 60.0, 80.0]), rng=RNG(0))
    assert found["median_cents"] is None and found["median_cents_interval"] is None
    assert found["unvoiced"] == 1.0 and found["within_50"] == 0.0


def test_each_sound_is_one_of_four():
    # 4, 30, 1170 (an octave less 30), -2440 (two octaves and 40), 300 cents, and silence
    found = np.array([60.04, 60.30, 71.70, 35.60, 63.0, NONE])
    figures = pitch.evaluate(found, np.full(6, 60.0), rng=RNG(0))
    assert figures["sounds"] == 6 and figures["median_cents"] == pytest.approx(300.0)
    shares = [figures[name] for name in pitch.SHARES]
    assert shares == pytest.approx([1 / 6, 2 / 6, 2 / 6, 1 / 6, 1 / 6])
    assert sum(shares[1:]) == pytest.approx(1.0)


def test_shares_lie_where_the_definition_draws_the_line():
    errors = np.array([10.0, 10.1, 49.9, 50.0, 1150.0, 1150.1, -1249.9, 1250.0])
    within_10, within_50, octaves, others, _ = pitch.shares(errors).T.astype(bool)
    assert errors[within_10].tolist() == [10.0] and errors[octaves].tolist() == [1150.1, -1249.9]
    assert errors[others].tolist() == [50.0, 1150.0, 1250.0] and within_50.sum() == 3


def test_shares_and_recall_are_those_of_mir_eval():
    """Raw pitch accuracy, raw chroma accuracy and voicing recall, of errors on both sides of every line."""
    melody = pytest.importorskip("mir_eval.melody")
    rng = np.random.default_rng(0)
    wanted = rng.uniform(40.0, 80.0, 200)
    octaves, off = rng.choice([-12.0, 0.0, 0.0, 12.0, 24.0], 200), rng.normal(0.0, 0.5, 200)
    found = np.where(rng.random(200) < 0.1, np.nan, wanted + octaves + off)
    figures = pitch.evaluate(found, wanted, rng=rng)
    voiced, silent = np.ones(200), np.nan_to_num(100.0 * found)
    accuracy = melody.raw_pitch_accuracy(voiced, 100.0 * wanted, voiced, silent)
    chroma = melody.raw_chroma_accuracy(voiced, 100.0 * wanted, voiced, silent)
    assert 0.2 < accuracy < chroma - 0.1 < 0.9
    assert figures["within_50"] == pytest.approx(accuracy)
    assert figures["within_50"] + figures["octave_errors"] == pytest.approx(chroma)
    one, other = (SimpleNamespace(voiced=rng.random(50) < 0.6) for _ in range(2))
    recall, _ = melody.voicing_measures(other.voiced, one.voiced)
    assert pitch.voiced_recall(one, other) == pytest.approx(recall)  # type: ignore


def test_sounds_without_a_pitch_to_keep_are_left_out_and_groups_go_with_them():
    wanted, found = np.array([60.0, NONE, 62.0]), np.array([60.0, 61.0, 65.0])
    figures = pitch.evaluate(found, wanted, ["a", "a", "b"], rng=RNG(0))
    assert figures["sounds"] == 2 and figures["within_50"] == 0.5
    assert figures["within_50_interval"] == (0.0, 1.0)
    with pytest.raises(TimbrespaceError, match="none of 2 sounds has a pitch"):
        pitch.evaluate(found[:2], np.full(2, NONE), rng=RNG(0))
    with pytest.raises(TimbrespaceError, match="should both be"):
        pitch.evaluate(found, wanted[:2], rng=RNG(0))


def test_voiced_recall_counts_the_frames_of_the_recording():
    def frames(*confidence):
        return Pitch(
            np.full(len(confidence), 440.0), np.array(confidence), np.zeros(len(confidence))
        )

    recording = frames(1.0, 1.0, 0.6, 0.6, 0.2)
    assert pitch.voiced_recall(recording, recording) == 1.0
    assert pitch.voiced_recall(frames(0, 0, 0, 0, 1), recording) == 0.0
    assert pitch.voiced_recall(frames(0.9, 0.1, 0.5), recording) == 0.5  # too short, too
    assert pitch.voiced_recall(recording, frames(0.1, 0.1)) is None


def test_labels_of_pitch_may_be_anything():
    found = pitch.known([60, "61.5", None, "C4", ""], 5)
    assert found[:2].tolist() == [60.0, 61.5] and np.isnan(found[2:]).all()
    assert np.isnan(pitch.known(None, 3)).all()


# ------------------------------------------------------------------------------ the question


def asked(corpus, sounds):
    """Facts of a model whose sounds are `sounds(the recording)`; the recordings are those of the corpus."""
    rows = corpus.split_rows("valid")
    heard = [
        SimpleNamespace(
            position=i, recording=corpus.made[row][0].astype(np.float32), unread=None,
            inversion=corpus.made[row][0].astype(np.float32), model=sounds(corpus.made[row][0]),
        )
        for i, row in enumerate(rows)
    ]  # fmt: skip
    condition = SimpleNamespace(told=lambda half: ("pitch",))
    recipe = SimpleNamespace(model=SimpleNamespace(condition=condition))
    facts = SimpleNamespace(
        run=SimpleNamespace(feature=FEATURE, recipe=recipe), heard=heard,
        here=SimpleNamespace(rows=rows), groups=[f"instrument {i % 3}" for i in range(len(rows))],
        labels=lambda name: [corpus.rows[r].labels.get(name) for r in rows],
        floors=SimpleNamespace(mean=corpus.store.read(rows).mean(0)), rng=lambda name: RNG(0),
    )  # fmt: skip
    facts.tracked = Facts.tracked.func(facts)  # type: ignore
    return facts


def test_a_model_that_plays_the_recording_is_in_tune_with_it_and_the_label():
    found = pitch.measure(asked(Tones(), lambda wave: wave.astype(np.float32)))
    assert found["to_original"]["model"]["median_cents"] == 0.0
    assert found["to_label"]["recording"] == found["to_label"]["model"]
    assert found["to_label"]["model"]["within_10"] == 1.0
    assert found["voiced_recall"]["model"]["mean"] == 1.0
    assert found["to_original"]["another_sound"]["within_50"] < 0.5
    assert found["each"]["pitch_cents"] == [0.0] * 12 and found["told"]
    assert found["each"]["pitch_kept"] == [1.0] * 12


def test_a_model_an_octave_too_high_and_one_of_noise_are_told_apart():
    octave = pitch.measure(asked(Tones(), lambda wave: np.tile(wave[::2], 2).astype(np.float32)))
    assert octave["to_label"]["model"]["octave_errors"] == 1.0
    noise = pitch.measure(asked(Tones(), lambda wave: RNG(0).standard_normal(3000)))
    assert noise["to_label"]["model"]["unvoiced"] == 1.0
    assert noise["voiced_recall"]["model"]["mean"] < 0.1
    assert "no pitch heard" in pitch.show(noise).html
    # what is not heard has no error and is not kept
    assert set(noise["each"]["pitch_cents"]) == {""} and set(noise["each"]["pitch_kept"]) == {0.0}


def test_without_labels_the_recordings_remain_and_without_both_there_is_no_answer():
    found = pitch.measure(asked(Tones(labelled=False), lambda wave: wave.astype(np.float32)))
    assert found["to_label"] == {"why_not": "the sounds have no labels of pitch"}
    assert found["to_original"]["model"]["within_10"] == 1.0
    assert "not answered, the sounds have no labels of pitch" in pitch.show(found).html
    silent = Tones(labelled=False)
    silent.made = [(0.0 * wave, *rest) for wave, *rest in silent.made]
    with pytest.raises(Unanswerable, match="no recording has a pitch that is heard"):
        pitch.measure(asked(silent, lambda wave: wave.astype(np.float32)))


def test_an_evaluation_asks_for_pitch_and_the_report_shows_it(tmp_path):
    corpus = Moved()
    corpus.kept = 0
    run = StandInRun(tmp_path / "run", corpus)
    metrics = evaluate(run)
    found = metrics["pitch"]
    assert "why_not" in found["to_original"] and found["to_label"]["inversion"]["sounds"] == 12
    page = (run.path / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert ">Pitch</h2>" in page and "12 of 12 recordings cannot be read" in page
    assert (run.path / "evaluation" / "figures" / "pitch.png").stat().st_size > 5_000


# ------------------------------------------------------------------------------ the swap


def test_a_perfect_swap_and_one_that_nobody_heard():
    own, asked, family = np.full(4, 60.0), np.array([50.0, 55, 67, 72]), ["reed", "bell"] * 2
    found = swap.evaluate(asked, asked, own, family, family, rng=RNG(0))
    assert (found["asked_pitch"], found["family"], found["both"]) == (1.0, 1.0, 1.0)
    assert found["own_pitch"] == found["octave_errors"] == 0.0
    deaf = swap.evaluate(own, asked, own, family[::-1], family, rng=RNG(0))
    assert (deaf["asked_pitch"], deaf["family"], deaf["own_pitch"]) == (0.0, 0.0, 1.0)
    silent = swap.evaluate(np.full(4, NONE), asked, own, family, family, rng=RNG(0))
    assert silent["asked_pitch"] == silent["own_pitch"] == silent["both"] == 0.0


def test_shares_of_pairs_are_counted_each_by_itself():
    asked, own = np.full(5, 60.0), np.full(5, 53.0)
    found = np.array([60.3, 72.1, 53.0, 60.0, NONE])
    named, family = ["a", "a", "b", None, "b"], ["a", "a", "a", "a", None]
    shares = swap.evaluate(found, asked, own, named, family, list("xxyyz"), rng=RNG(0))
    assert (shares["asked_pitch"], shares["octave_errors"], shares["own_pitch"]) == (0.4, 0.2, 0.2)
    assert shares["family"] == pytest.approx(2 / 3) and shares["both"] == pytest.approx(1 / 3)
    low, high = shares["asked_pitch_interval"]
    assert 0.0 <= low < 0.4 < high <= 1.0
    unknown = swap.evaluate(found, asked, own, [None] * 5, family, rng=RNG(0))
    assert unknown["family"] is None and unknown["both"] is None
    with pytest.raises(TimbrespaceError, match="give one of each for every pair"):
        swap.evaluate(found, asked[:4], own, named, family, rng=RNG(0))


def test_partners_have_another_pitch_and_family_within_the_register():
    pitches = np.array([40.0, 50.0, 60.0, 60.0, NONE, 90.0])
    families = ["a", "a", "b", "a", "b", "b"]
    pairs = swap.paired_up(pitches, families, {"a": (35.0, 70.0), "b": (80.0, 95.0)}, RNG(0))
    assert pairs == [(0, 2), (1, 2), (2, 5), (3, 0)] or pairs == [(0, 2), (1, 2), (2, 5), (3, 1)]
    many = swap.paired_up(np.arange(60.0), ["a"] * 60, {"a": (0.0, 99.0)}, RNG(0))
    assert len(many) == swap.PAIRS == len({a for a, _ in many}) and all(a != b for a, b in many)


def test_nobody_is_named_after_itself():
    points = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    taught = swap.Taught(points, ["a", "b", "c"], np.array([4, 7, 9]))
    assert taught.named(points[:1], np.array([5])) == ["a"]
    assert taught.named(points[:1], np.array([4])) == ["b"]
    assert taught.named(points[:1], np.array([4]), np.array([7])) == ["c"]
    assert swap.Taught(points, ["a"] * 3, np.arange(3)).named(points[:1]) == [None]


class Waves:
    """A feature whose pictures are the samples."""

    sample_rate, seconds = 8000, 0.375

    def rms_db(self, made):
        return torch.zeros(len(made))

    def invert(self, made, level):
        return made


def swapping(corpus, obeys=True):
    """Facts of a model whose z is the timbre, and which plays the pitch it is told, or its own."""
    rows = corpus.split_rows("valid")
    time = np.arange(3000) / 8000
    kinds = np.array([corpus.made[row][2] for row in rows])
    own = np.array([corpus.made[row][1] for row in rows])

    def play(midi, kind):
        hertz = 440 * 2 ** ((midi - 69) / 12)
        wave = sum(np.sin(2 * np.pi * hertz * k * time) / k ** (1 + kind) for k in (1, 2, 3))
        return (wave * np.exp(-6 * time) / 3).astype(np.float32)

    def decode(z, labels):
        told = labels["pitch"].tolist() if obeys else z[:, 1].tolist()
        sounds = [play(p, k) for p, k in zip(told, z[:, 0].tolist(), strict=True)]
        return torch.tensor(np.stack(sounds))[:, None]

    facts = asked(corpus, lambda wave: wave.astype(np.float32))
    facts.run.feature, facts.run.model = Waves(), SimpleNamespace(decode=decode)
    for one in facts.heard:
        one.loudness_db = 0.0
    facts.here.z = np.stack([kinds, own], 1).astype(np.float32)
    facts.here.pictures = SimpleNamespace(labels={"pitch": torch.tensor(own)})
    facts.there, facts.corpus, facts.labels_there = facts.here, corpus, facts.labels
    return facts


def test_a_model_that_obeys_is_heard_at_the_pitch_of_b_with_the_family_of_a():
    found = swap.measure(swapping(Tones(count=64)))
    assert found["swapped"]["asked_pitch"] == 1.0 and found["swapped"]["own_pitch"] == 0.0
    assert found["swapped"]["family"] > 0.7 > 0.5 > found["b"]["family"]  # chance is a third
    assert found["a"]["own_pitch"] == found["b"]["asked_pitch"] == 1.0
    assert found["unswapped"]["own_pitch"] == 1.0 and found["unswapped"]["asked_pitch"] == 0.0
    each = found["each"]
    assert len(each["row"]) == found["pairs"] == len(set(each["row"]))
    for column, figure in (("swap_pitch", "asked_pitch"), ("swap_family", "family")):
        assert np.mean(each[column]) == pytest.approx(found["swapped"][figure])
    assert np.mean(each["family_heard"]) == pytest.approx(found["unswapped"]["family"])
    page = swap.show(found)
    assert "A&#x27;s latent at B&#x27;s pitch" in page.html and len(page.figures["swap"]) > 5_000


def test_a_model_that_does_not_listen_is_found_out():
    found = swap.measure(swapping(Tones(count=64), obeys=False))
    assert found["swapped"]["asked_pitch"] == 0.0 and found["swapped"]["own_pitch"] == 1.0


def test_one_family_leaves_the_pitch_to_be_asked_and_says_so():
    corpus = Tones(count=48)
    for row in corpus.rows:
        row.labels["family"] = "reed"
    found = swap.measure(swapping(corpus))
    assert found["swapped"]["asked_pitch"] == 1.0 and found["swapped"]["family"] is None
    assert "are of 1 families; two are needed" in found["notes"][0]
    assert set(found["each"]["swap_family"]) == set(found["each"]["family_heard"]) == {""}
    assert "not known" in swap.show(found).html


def test_what_cannot_be_swapped_says_why():
    facts = swapping(Tones())
    facts.here.pictures.labels["pitch"][:] = 128
    with pytest.raises(Unanswerable, match="0 of 12 sounds have a pitch"):
        swap.measure(facts)
    facts.run.recipe.model.condition.told = lambda half: ()
    with pytest.raises(Unanswerable, match="not told the pitch, so that it cannot be asked"):
        swap.measure(facts)
