"""What is heard of a model: spectral distance to the recordings, beside its ceiling and floors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_evaluation import StandInRun, Tones

from timbrespace.batches import Pictures
from timbrespace.errors import CorpusError
from timbrespace.evaluation import heard
from timbrespace.evaluation.evaluate import evaluate
from timbrespace.evaluation.facts import Facts, Unanswerable


def listened(tmp_path, decode, corpus=None):
    """What is heard of a model that makes `decode` of the original pictures."""
    run = StandInRun(tmp_path / "run", corpus or Tones())
    rows = run.corpus.split_rows("valid")
    pictures = Pictures.of(run.corpus, run.corpus.store, rows, run.vocabulary)
    x = pictures.batch(torch.arange(len(rows)), torch.device("cpu"))[0]
    run.model = SimpleNamespace(decode=lambda z, labels: decode(z.reshape(-1, *x.shape[1:])))
    encoded = SimpleNamespace(rows=rows, pictures=pictures, z=x.flatten(1).numpy())
    floors = SimpleNamespace(mean=x.mean((0, 1)).numpy())
    facts = Facts(run, run.corpus, run.corpus, "valid", 0, encoded, encoded, floors, encoded.rows)  # type: ignore
    return heard.measure(facts)


def test_a_perfect_model_stands_at_its_ceiling_and_floors_are_far(tmp_path):
    found = listened(tmp_path, lambda x: x)
    assert found["sounds"] == 12 and found["reference"] == "recording" and found["note"] is None
    assert found["seconds"] == pytest.approx(15 * 128 / 8000)
    assert found["model"] == pytest.approx(found["inversion"], abs=1e-4)
    assert 0.0 < found["phase"]["mr_stft"] < found["inversion"]["mr_stft"]
    assert found["inversion"]["mr_stft"] < found["mean_sound"]["mr_stft"]
    assert found["mean_sound"]["mr_stft"] < found["noise"]["mr_stft"]


def test_a_model_is_heard_as_loud_as_the_original(tmp_path):
    def soft(x):
        return torch.where(x > -1.0, x - 0.25, x)  # 10 dB

    softer = listened(tmp_path, soft)
    assert softer["model"]["mr_stft"] == pytest.approx(softer["inversion"]["mr_stft"], abs=0.2)
    assert abs(softer["model"]["peak_db"] - softer["inversion"]["peak_db"]) < 0.5


def test_the_recording_is_what_counts_not_its_level(tmp_path):
    loud, soft = Tones(), Tones()
    soft.made = [(wave / 8, pitch, kind) for wave, pitch, kind in soft.made]
    soft.store.level_db = soft.store.level_db - 20 * np.log10(8.0)
    one, other = (listened(tmp_path, lambda x: x, corpus) for corpus in (loud, soft))
    assert one["model"] == pytest.approx(other["model"], abs=2e-3)


class Moved(Tones):
    """Recordings that cannot be read, all or only those of even rows."""

    kept = 1

    def audio(self, row, *, sample_rate=None):
        if row // 4 % 2 >= self.kept:
            raise CorpusError(f"sounds/{row}.wav is gone")
        return super().audio(row, sample_rate=sample_rate)


def test_what_cannot_be_read_is_left_out_and_said(tmp_path):
    found = listened(tmp_path, lambda x: x, Moved())
    assert found["sounds"] == 6 and found["reference"] == "recording"
    assert found["note"] == "6 of 12 recordings cannot be read (sounds/4.wav is gone)"


def test_without_recordings_the_inversion_is_the_original_under_another_name(tmp_path):
    corpus = Moved()
    corpus.kept = 0
    found = listened(tmp_path, lambda x: x, corpus)
    assert found["reference"] == "inversion" and not {"inversion", "phase"} & set(found)
    assert found["model"] == pytest.approx(
        {
            "mr_stft_to_inversion": 0.0, "log_mel_rmse_db_to_inversion": 0.0, "level_db": 0.0,
            "peak_db": 0.0,
        },
        abs=1e-3,
    )  # fmt: skip
    assert found["noise"]["mr_stft_to_inversion"] > 1.0


def test_an_evaluation_without_recordings_goes_through_and_the_report_says_so(tmp_path):
    corpus = Moved()
    corpus.kept = 0
    run = StandInRun(tmp_path / "run", corpus)
    metrics = evaluate(run)
    page = (run.path / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert metrics["heard"]["model"]["mr_stft_to_inversion"] > 0.0
    assert "12 of 12 recordings cannot be read" in page and "no recording could be read" in page
    ways = len(metrics["continuity"]["examples"])
    assert page.count("<audio") == 2 * sum(map(len, metrics["examples"].values())) + 2 * ways


def test_silence_is_not_compared(tmp_path):
    corpus = Tones()
    corpus.made = [(0.0 * wave, pitch, kind) for wave, pitch, kind in corpus.made]
    with pytest.raises(Unanswerable, match="silent"):
        listened(tmp_path, lambda x: x, corpus)
