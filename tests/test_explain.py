"""What of a sound is lost where: phase, picture, model, each heard and measured by itself."""

import base64
import io
import json
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from test_verbs import command

from timbrespace import verbs
from timbrespace.audio.level import jumps
from timbrespace.audio.scratch import whole
from timbrespace.errors import AudioError
from timbrespace.features.feature import Feature
from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import Recovery
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.features.waveform import Waveform
from timbrespace.render import distance as far
from timbrespace.render.explain import STAGES, explain, phase_alone
from timbrespace.render.synth import Synth
from timbrespace.runs import Run

RATE = 16000
MEL = LogMel(mels=80, frames=64)


class Through(Synth):
    """A model that gives pictures back as they are, or any sound as `made`."""

    def __init__(self, feature: Feature, made: np.ndarray | None = None) -> None:
        self.feature, self.made = feature, made
        self.vocoder, self.recovery, self.pitched = None, Recovery(), False

    def encode(self, samples: np.ndarray, **told: Any) -> Any:
        return SimpleNamespace(pitch=told["pitch"], samples=samples, jumps=jumps(samples, RATE))

    def decode_long(self, encoded: Any, keep: Any) -> Any:
        if self.made is not None:
            return self.made
        windows = self.feature.windows(encoded.samples)
        return keep(some.numpy() for some in self.joined(windows, None, len(encoded.samples)))


def chord(seconds: float = 1.0, peak: float = 0.5) -> np.ndarray:
    """Partials that 80 mels cannot tell apart at the top, dying away."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 220.0 * k * t) / k for k in range(1, 24)) * np.exp(-t)
    return (peak * wave / np.abs(wave).max()).astype(np.float32)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(count, np.float32)


def test_a_sound_at_half_its_level_is_6_db_and_a_factor_of_two_away():
    whole = noise(8000)
    assert far.distance(whole, whole, RATE) == far.Distance(0.0, 0.0, 0.0)
    half = far.distance(whole, whole / 2, RATE)
    assert half.mr_stft == pytest.approx(0.5 + np.log(2.0), abs=1e-4)
    assert half.log_mel_rmse_db == pytest.approx(6.02, abs=0.01)
    assert half.level_db == pytest.approx(-6.02, abs=0.01)
    assert far.distance(whole * 1e-3, whole / 2e3, RATE).mr_stft == pytest.approx(
        half.mr_stft, 1e-3
    )


def test_a_long_sound_is_as_far_as_its_parts(monkeypatch):
    whole = noise(40000)
    made = np.concatenate([whole[:30000], np.float32(0.5) * whole[30000:]])
    monkeypatch.setattr(far, "PART", 10000)
    assert far.mr_stft(whole, made) == pytest.approx((0.5 + np.log(2.0)) / 4, abs=1e-3)


def test_no_rendering_clicks_but_where_the_original_does():
    for edges in ((False, False), (True, True)):
        player = Through(MEL, noise(RATE))
        player.encode = lambda samples, edges=edges, **_: SimpleNamespace(  # type: ignore[method-assign]
            pitch=None, jumps=edges
        )
        stages = explain(player, noise(RATE), whole).stages
        for name in ("phase", "picture"):
            ends = np.abs(stages[name].samples[[0, -1]])
            assert (ends > 1e-3).all() if all(edges) else (ends < 1e-3).all(), name


def test_phase_loses_least_and_the_picture_what_its_mels_do_not_tell():
    original = chord(3.0)  # of three windows
    found = explain(Through(MEL), original, whole)
    d = {name: stage.distance for name, stage in found.stages.items()}
    assert tuple(found.stages) == STAGES
    assert d["phase"].mr_stft < 0.5 < d["picture"].mr_stft
    assert d["phase"].log_mel_rmse_db < 1.0
    assert d["model"] == d["picture"]
    assert found.sentence.startswith("Most is lost in the picture: MR-STFT")
    for stage in found.stages.values():
        assert stage.samples.dtype == np.float32 and len(stage.samples) == len(original)
        assert abs(stage.distance.level_db) < 0.5


def test_a_picture_of_all_bins_loses_little_more_than_the_search_for_phase():
    found = explain(Through(Spectrogram(frames=64, floor_db=-70.0)), chord(), whole)
    phase, picture, _ = (found.stages[name].distance.mr_stft for name in STAGES)

    assert 0.98 * phase < picture < 1.2 * phase
    assert found.sentence.startswith("Most is lost in the search for phase")


def test_a_model_that_forgets_is_named():
    found = explain(Through(MEL, noise(RATE) * np.float32(0.1)), chord(), whole)
    assert found.sentence.startswith("Most is lost in the model")


def test_samples_lose_neither_phase_nor_picture():
    original = chord(2.5)
    found = explain(Through(Waveform(samples=8000), original / 2), original, whole)
    for name in ("phase", "picture"):
        np.testing.assert_allclose(found.stages[name].samples, original, atol=1e-6)
    assert found.stages["model"].distance.level_db == pytest.approx(-6.02, abs=0.01)
    assert "no phase to be found and no picture to lose" in found.sentence


@pytest.mark.parametrize("peak", [0.5, 1e-5])
def test_phase_found_for_true_magnitudes_keeps_pitch_level_and_what_is_soft(peak):
    t = np.arange(2 * RATE) / RATE
    tone, soft = np.sin(2 * np.pi * 441.3 * t), 1e-3 * np.sin(2 * np.pi * 3000.0 * t)
    original = (peak * (tone + soft)).astype(np.float32)
    made = phase_alone(MEL, original, whole)
    one, other = (
        np.abs(np.fft.rfft(x * np.hanning(len(x)), 16 * len(x))) for x in (original, made)
    )
    assert abs(1200 * np.log2(other.argmax() / one.argmax())) < 1.0  # cents
    at = round(3000.0 * 16 * 2)
    for heard in (slice(None), slice(at - 32, at + 33)):  # the tone, and what is 60 dB below it
        assert 20 * np.log10(other[heard].max() / one[heard].max()) == pytest.approx(0.0, abs=0.5)


CLICK = np.zeros(8000, np.float32)
CLICK[3000] = 1.0
SQUARE = np.sign(np.sin(np.arange(16000) * 0.1)).astype(np.float32)
HARD = {
    "silence": np.zeros(8000, np.float32), "one sample": np.full(1, 0.5, np.float32),
    "twenty milliseconds": chord(0.02), "click": CLICK, "offset": np.full(8000, 0.5, np.float32),
    "full-scale square": SQUARE, "next to silence": chord(0.5, 1e-5), "inaudible": chord(0.5, 1e-8),
}  # fmt: skip


@pytest.mark.parametrize("feature", [MEL, Waveform(samples=4000)], ids=lambda f: f.kind)
@pytest.mark.parametrize("name", HARD)
def test_hard_sounds_have_figures_and_a_sentence(name, feature):
    original = HARD[name]
    found = explain(Through(feature), original, whole)
    for stage in found.stages.values():
        assert stage.samples.shape == original.shape and np.isfinite(stage.samples).all()
        assert all(np.isfinite(value) for value in vars(stage.distance).values())
    silent = name in ("silence", "inaudible", "offset")  # nothing of which is heard
    assert found.sentence.startswith("The sound is silent") == silent
    assert not silent or not any(stage.samples.any() for stage in found.stages.values())
    assert ("are rough" in found.sentence) == (len(original) < 1025)


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.array([0.1, np.nan, 0.2]), "NaN or infinite"),
        (np.zeros(0), "at least one sample"),
        (np.zeros((2, 9)), "should be"),
    ],
)
def test_what_is_no_sound_is_one_sentence(samples, sentence):
    with pytest.raises(AudioError, match=sentence):
        explain(Through(MEL), samples, whole)


def test_an_explanation_is_four_sounds_a_figure_and_a_table(tiny_run, tiny_notes, tmp_path):
    source = sorted(tiny_notes.rglob("*.wav"))[0]
    told = command("reconstruct", tiny_run, source, "--explain", "--json", "--out", tmp_path)
    assert told.returncode == 0, told.stderr
    (account,) = json.loads(told.stdout)["sounds"]
    assert list(account["stages"]) == ["phase", "picture", "model"]
    figures = [account["stages"][name]["mr_stft"] for name in account["stages"]]
    assert figures[0] < figures[1] < figures[2]
    samples, rate = soundfile.read(source)
    for name in ("original", *STAGES):
        path = tmp_path / f"{source.stem}.{name}.wav"
        assert account["files"][name] == str(path)
        heard, got = soundfile.read(path)
        assert got == rate and len(heard) == len(samples)
    assert (tmp_path / f"{source.stem}.explained.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_allclose(
        soundfile.read(account["files"]["original"])[0], samples, atol=2 / 32768
    )
    with pytest.raises(AudioError):
        bad = tmp_path / "nan.wav"
        soundfile.write(bad, np.full(4000, np.nan), RATE, "FLOAT")
        verbs.explain(tiny_run, [bad], tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_what_would_clip_lowers_all_four_alike(tiny_run, tmp_path):
    loud = tmp_path / "square.wav"
    soundfile.write(loud, SQUARE, RATE, "FLOAT")
    (account,) = verbs.explain(tiny_run, [loud], tmp_path / "out", pitch=60)
    heard = {name: soundfile.read(account.files[name])[0] for name in ("original", *STAGES)}
    assert max(np.abs(sound).max() for sound in heard.values()) == pytest.approx(0.9886, abs=1e-3)
    assert np.abs(heard["original"]).max() < 0.9
    original, picture = (heard[name].astype(np.float32) for name in ("original", "picture"))
    made = far.mr_stft(original, picture)
    assert made == pytest.approx(account.stages["picture"]["mr_stft"], rel=0.05)


class Players(HTMLParser):
    """The sounds of a page by their words, a dict for each row of players."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, bytes]] = []
        self.words: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if told.get("class") == "players":
            self.rows.append({})
        elif tag == "label":
            self.words = ""
        elif tag == "audio" and self.words is not None:
            kind, _, data = told["src"].partition(",")
            assert kind == "data:audio/wav;base64"
            self.rows[-1][self.words] = base64.b64decode(data, validate=True)
            self.words = None

    def handle_data(self, data: str) -> None:
        if self.words is not None:
            self.words += data


def test_the_report_lets_hear_what_is_lost_where(tiny_run):
    run = Run.open(tiny_run)
    examples = json.loads((tiny_run / "evaluation" / "metrics.json").read_text())["examples"]
    rows = [row for group in examples.values() for row in group]
    page = Players()
    page.feed((tiny_run / "evaluation" / "report.html").read_text(encoding="utf-8"))
    shown = [row for row in page.rows if "original" in row]  # the ways of `continuity` have none
    assert len(shown) == len(rows) > 2
    errors = []
    for row, wavs in zip(rows, shown, strict=True):
        assert list(wavs) == [
            "original", "phase found for the true magnitudes", "inversion of the original picture",
            "model",
        ]  # fmt: skip
        recorded = run.corpus.audio(row, sample_rate=RATE).mono()
        size = min(len(recorded), round(run.feature.seconds * RATE))
        sounds = []
        for wav in wavs.values():
            samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
            assert (rate, samples.shape) == (RATE, (size,)) and np.ptp(samples) > 0.001
            sounds.append(samples)
        original, *stages = sounds
        assert np.corrcoef(original, recorded[:size])[0, 1] > 0.999
        errors.append([far.distance(original, stage, RATE).mr_stft for stage in stages])
    phase, picture, model = np.array(errors).T
    assert (phase > 0.0).all() and (phase < picture).all() and (picture < model).all()
