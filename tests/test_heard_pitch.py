"""What an evaluation says of pitch: errors in cents, beside their ceiling and floors; and the swap."""

from types import SimpleNamespace

import numpy as np
import pytest
from test_evaluation import FEATURE, StandInRun, Tones
from test_heard import Moved

from timbrespace.audio.pitch import Pitch
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import pitch
from timbrespace.evaluation.evaluate import evaluate
from timbrespace.evaluation.facts import Unanswerable

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
    return SimpleNamespace(
        run=SimpleNamespace(feature=FEATURE, recipe=recipe), heard=heard,
        here=SimpleNamespace(rows=rows), groups=[f"instrument {i % 3}" for i in range(len(rows))],
        labels=lambda name: [corpus.rows[r].labels.get(name) for r in rows],
        floors=SimpleNamespace(mean=corpus.store.read(rows).mean(0)), rng=lambda name: RNG(0),
    )  # fmt: skip


def test_a_model_that_plays_the_recording_is_in_tune_with_it_and_the_label():
    found = pitch.measure(asked(Tones(), lambda wave: wave.astype(np.float32)))
    assert found["to_original"]["model"]["median_cents"] == 0.0
    assert found["to_label"]["recording"] == found["to_label"]["model"]
    assert found["to_label"]["model"]["within_10"] == 1.0
    assert found["voiced_recall"]["model"]["mean"] == 1.0
    assert found["to_original"]["another_sound"]["within_50"] < 0.5
    assert found["each"]["pitch_cents"] == [0.0] * 12 and found["told"]


def test_a_model_an_octave_too_high_and_one_of_noise_are_told_apart():
    octave = pitch.measure(asked(Tones(), lambda wave: np.tile(wave[::2], 2).astype(np.float32)))
    assert octave["to_label"]["model"]["octave_errors"] == 1.0
    noise = pitch.measure(asked(Tones(), lambda wave: RNG(0).standard_normal(3000)))
    assert noise["to_label"]["model"]["unvoiced"] == 1.0
    assert noise["voiced_recall"]["model"]["mean"] < 0.1
    assert "no pitch heard" in pitch.show(noise).html


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
    assert "<h2>Pitch</h2>" in page and "12 of 12 recordings cannot be read" in page
    assert (run.path / "evaluation" / "figures" / "pitch.png").stat().st_size > 5_000
