"""The vocoder: phase in one sweep, what an untrained one does to tones, its file, its training."""

import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from test_rendering import Whole

from timbrespace import verbs, verbs_vocoders
from timbrespace.audio.files import read
from timbrespace.audio.pitch import note
from timbrespace.cli import app
from timbrespace.errors import AudioError, CorpusError, RecipeError, RunError
from timbrespace.features import decibels
from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import Recovery
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.features.sweep import advance_of, peaks_uphill, sweep
from timbrespace.models.vocoder import NOISE_SIZES, Curves, VocoderNet, even_noise
from timbrespace.render.synth import Synth
from timbrespace.vocoders import train as training
from timbrespace.vocoders.measure import measure, way_back
from timbrespace.vocoders.recordings import recordings
from timbrespace.vocoders.train import Plan, State, batch_of, losses
from timbrespace.vocoders.vocoder import SHIPPED, Vocoder, contract, shipped

RATE = 16000
FEATURE = LogMel(mels=128)
SMALL = LogMel(mels=32)  # the tiny run's pictures
PLAN = Plan(steps=4, batch=2, channels=8, blocks=1)


def tone(hertz: float, seconds: float = 1.0, level: float = 0.3) -> np.ndarray:
    clock = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * clock)).astype(np.float32)


def transform(sound: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(1024)
    return torch.stft(sound, 1024, 256, window=window, pad_mode="constant", return_complex=True).mT


@pytest.fixture(autouse=True)
def noise_of_a_moment(monkeypatch):
    """A tenth of a second of even noise for the networks that are made here."""
    monkeypatch.setattr("timbrespace.models.vocoder.NOISE", 2048)


@pytest.fixture(scope="module")
def fresh() -> Vocoder:
    torch.manual_seed(0)
    net = VocoderNet(FEATURE, channels=16, blocks=1)
    about = {"feature": contract(FEATURE), "network": {"channels": 16, "blocks": 1}}
    return Vocoder(net, about)


@pytest.fixture(scope="module")
def trained(tiny_corpus, tmp_path_factory):
    """A file for the tiny run's pictures, after two steps."""
    out = tmp_path_factory.mktemp("vocoder") / "v.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "HEARD", 2)
        verbs_vocoders.vocoder_train(
            tiny_corpus, out, mels=32, steps=2, batch=2, channels=8, blocks=1, licence="CC0-1.0"
        )
    return out


def level_db(sound: np.ndarray) -> float:
    return 20 * math.log10(float(np.sqrt(np.mean(np.square(sound[4000:12000])))))


# ------------------------------------------------------------------------------------------ phase


def test_every_bin_belongs_to_the_peak_above_it():
    frame = np.array([[0.1, 0.5, 0.3, 0.2, 0.4, 0.9, 0.1], [3.0, 2.0, 1.0, 2.0, 1.0, 0.5, 0.6]])
    assert peaks_uphill(frame).tolist() == [[1, 1, 1, 5, 5, 5, 5], [7, 7, 10, 10, 10, 13, 13]]


def test_the_sweep_gives_magnitudes_their_sound_back():
    """Two tones and a chord's partials: pitch within a cent, level within 0.2 dB, and magnitudes
    nearer (spectral convergence) than -25 dB; random phase comes to -5 dB."""
    sound = torch.from_numpy(tone(440.0) + tone(1327.0) + tone(233.1, level=0.1))
    truth = transform(sound)[None]
    log = truth.abs().clamp_min(1e-6).log().numpy()
    phase = torch.from_numpy(sweep(log, advance_of(log, 1024, 256), 1024, 256).copy())
    made = torch.istft(
        torch.polar(truth.abs(), phase)[0].mT, 1024, 256, window=torch.hann_window(1024),
        length=len(sound),
    )  # fmt: skip
    inner = slice(8, -8)
    one, other = truth[0, inner].abs(), transform(made)[inner].abs()
    assert 20 * math.log10(float((one - other).norm() / one.norm())) < -25.0
    assert abs(level_db(made.numpy()) - level_db(sound.numpy())) < 0.2


def test_even_noise_is_twice_as_even_as_white_noise():
    torch.manual_seed(0)
    noise = even_noise(4096)
    assert float(noise.square().mean()) == pytest.approx(1.0, abs=1e-4)
    for size in NOISE_SIZES[:3]:
        frames = torch.cat([noise, noise[:size]]).unfold(0, size, size // 4)  # round its end
        log = torch.fft.rfft(frames * torch.hann_window(size)).abs()[:, 1:-1].log()
        assert float((log - log.mean()).abs().mean()) < 0.35  # white noise: 0.49


# -------------------------------------------------------------------------------- an untrained one


@pytest.mark.parametrize("hertz", [110.0, 440.0, 1500.0])
def test_a_tone_keeps_its_pitch_and_level_without_training(fresh, hertz):
    sound = tone(hertz)
    picture = FEATURE.analyse_all(torch.from_numpy(sound))
    made = fresh.invert(picture.values, picture.level_db, length=len(sound)).numpy()
    found = note(made, RATE)
    assert found and abs(1200 * math.log2(found / hertz)) < 20.0
    assert abs(level_db(made) - level_db(sound)) < 2.0


def test_level_moves_the_sound_and_nothing_else_of_an_untrained_one(fresh):
    picture = FEATURE.analyse_all(torch.from_numpy(tone(440.0)))
    one = fresh.invert(picture.values, torch.tensor(-10.0))
    other = fresh.invert(picture.values, torch.tensor(10.0))
    assert torch.allclose(one * 10.0, other, atol=1e-4)


def test_any_length_in_batches_and_always_the_same(fresh):
    sounds = torch.from_numpy(np.stack([tone(f, 0.5) for f in (220.0, 330.0, 990.0)]))
    picture = FEATURE.analyse_all(sounds)
    pitch = torch.tensor([57.0, -1.0, 83.2])
    together = fresh.invert(picture.values, picture.level_db, pitch=pitch)
    assert together.shape == (3, (picture.values.shape[-1] - 1) * 256)
    alone = fresh.invert(picture.values[1], picture.level_db[1])
    assert torch.allclose(together[1], alone, atol=1e-4)
    assert torch.equal(together, fresh.invert(picture.values, picture.level_db, pitch=pitch))
    for length in (0, 1, 5000, 20000):
        made = fresh.invert(picture.values, picture.level_db, length=length)
        assert made.shape == (3, length) and torch.isfinite(made).all()
    assert not made[:, 9000:].any()  # nothing follows where the last frame ends
    one_frame = fresh.invert(picture.values[0, :, :1], picture.level_db[0], length=100)
    assert one_frame.shape == (100,)


@pytest.mark.parametrize("share", [3.0, -3.0])
def test_blocks_of_a_long_sound_continue_each_other(fresh, monkeypatch, share):
    """Of tones and of noise: neither level nor pitch goes with the seams, every 112 frames."""
    net = VocoderNet(FEATURE, channels=16, blocks=1, noise=fresh.net.noise)
    net.leave.bias.data[513:1026] = share
    vocoder = Vocoder(net, {})
    sound = tone(333.0, 6.0)
    picture = FEATURE.analyse_all(torch.from_numpy(sound))
    seconds = {}
    for block in (decibels.BLOCK, 160):
        monkeypatch.setattr(decibels, "BLOCK", block)
        seconds[block] = vocoder.invert(picture.values, picture.level_db, length=len(sound)).numpy()
    whole, parts = (x[: len(sound) // 800 * 800] for x in seconds.values())
    assert whole.shape == parts.shape and not np.array_equal(whole, parts)
    levels = [np.sqrt(np.square(x.reshape(-1, 800)).mean(1))[4:-4] for x in (whole, parts)]
    change = 20 * np.log10(levels[1] / levels[0])
    assert np.abs(change).max() < 1.0, np.abs(change).max()
    synth = Synth(Whole(FEATURE), FEATURE, vocoder=vocoder)
    streamed = synth.joined(FEATURE.windows(sound), None, len(sound))
    assert max(len(some) for some in streamed) <= 160 * 256


def test_rounds_bring_the_mels_nearer_and_raise_nothing_under_the_floor():
    """A tone, then the little that a recording has there: a network that knows how little is heeded."""
    torch.manual_seed(0)
    net = VocoderNet(FEATURE, channels=16, blocks=1)
    sound = np.concatenate([tone(440.0), 1e-6 * tone(440.0)])
    picture = FEATURE.analyse_all(torch.from_numpy(sound))
    net.leave.bias.data[:513] = -2.0  # nepers: softer than the picture says by 17 dB
    tails, errors = [], []
    for rounds in (0, 5):
        made = Vocoder(net, {}, rounds=rounds).invert(picture.values, picture.level_db)
        again = FEATURE.analyse_all(made)
        absolute = (FEATURE.to_db(x.values) + x.level_db for x in (picture, again))
        one, other = (db[:, 8:52] for db in absolute)  # of the tone
        errors.append(float((one - other).square().mean().sqrt()))
        tails.append(float(made[20000:30000].square().mean().sqrt()))
    assert errors[1] < 0.3 * errors[0]
    assert tails[1] < 1.5 * tails[0]


def test_silence_stays_silence_and_bad_pictures_are_refused(fresh):
    nothing = torch.full((128, 40), -1.0)
    assert not fresh.invert(nothing, torch.tensor(0.0)).any()
    with pytest.raises(AudioError, match="NaN"):
        fresh.invert(nothing * torch.nan, torch.tensor(0.0))
    with pytest.raises(RecipeError, match=r"128 mels .* got the shape \(80, 40\)"):
        fresh.invert(nothing[:80], torch.tensor(0.0))


# -------------------------------------------------------------------------------------- the contract


def test_a_file_gives_the_same_sound_back_and_says_what_it_is(trained):
    about = verbs_vocoders.vocoder_info(trained)
    assert about["feature"]["mels"] == 32 and about["feature"]["mel_scale"] == "slaney"
    assert about["licence"] == "CC0-1.0" and about["training"]["seed"] == 0
    assert "timbrespace vocoder train corpus" in about["training"]["command"]
    assert "--mels 32" in about["training"]["command"] and about["training"]["steps"] in (1, 2)
    picture = SMALL.analyse_all(torch.from_numpy(tone(440.0)))
    one, other = (Vocoder.open(trained).invert(*vars(picture).values()) for _ in range(2))
    assert torch.equal(one, other) and one.abs().max() > 0.05


def test_other_pictures_than_it_was_trained_for_are_refused_in_one_sentence(fresh):
    fresh.check(LogMel(mels=128, frames=77))  # frames are free
    with pytest.raises(RecipeError) as refusal:
        fresh.check(LogMel(22050, hop=200, mels=80))
    said = str(refusal.value)
    assert "trained for sample_rate 16000, hop 256, mels 128" in said
    assert said.endswith(
        "timbrespace vocoder train CORPUS --out FILE --sample-rate 22050 --hop 200 --mels 80"
    )
    with pytest.raises(
        RecipeError, match="for floor_db -80.0 and these pictures have floor_db -60.0"
    ):
        fresh.check(LogMel(mels=128, floor_db=-60))
    with pytest.raises(RecipeError, match="spectrogram; leave the vocoder out"):
        fresh.check(Spectrogram())


def test_no_vocoder_and_a_damaged_one_are_refused(trained, tmp_path):
    with pytest.raises(RunError, match="there is no vocoder nothing; give a file"):
        Vocoder.open("nothing")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(trained.read_bytes()[:-500])
    with pytest.raises(RunError, match=r"damaged.safetensors is no vocoder, or is damaged"):
        Vocoder.open(damaged)


def test_a_vocoder_of_another_mel_scale_is_refused(trained, tmp_path):
    other = Vocoder.open(trained)
    other.about["feature"] = {**other.about["feature"], "mel_scale": "htk"}
    other.save(tmp_path / "htk.safetensors")
    with pytest.raises(RecipeError, match=r"mel_scale .*htk"):
        Vocoder.open(tmp_path / "htk.safetensors")


# -------------------------------------------------------------------------------------- training


def weights(file) -> dict[str, torch.Tensor]:
    return Vocoder.open(file).net.state_dict()


def test_a_training_that_was_interrupted_ends_in_the_same_bits(
    tiny_corpus, tiny_notes, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "HEARD", 2)
    training.train(tiny_corpus, tmp_path / "straight", SMALL, PLAN)

    def stop(stage, done, total, facts):
        if stage == "train" and done == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        training.train(tiny_corpus, tmp_path / "broken", SMALL, PLAN, progress=stop)
    with pytest.raises(RunError, match=r"other settings \(seed\)"):
        other = Plan(steps=4, batch=2, channels=8, blocks=1, seed=1)
        training.train(tiny_corpus, tmp_path / "broken", SMALL, other, resume=True)
    training.train(tiny_corpus, tmp_path / "broken", SMALL, PLAN, resume=True)
    one, other = (
        training._load(tmp_path / f"{name}.training", {})[0] for name in ("straight", "broken")
    )
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    with pytest.raises(RunError, match="is there already; go on with --resume"):
        training.train(tiny_corpus, tmp_path / "broken", SMALL, PLAN)
    with pytest.raises(RunError, match=r"other settings \(recordings\); resume with the same"):
        training.train([tiny_corpus, tiny_notes], tmp_path / "broken", SMALL, PLAN, resume=True)


def test_places_without_recordings_are_refused(tiny_corpus, tmp_path):
    soundfile.write(tmp_path / "one.wav", tone(300.0, 0.2), RATE)
    for places, says in (
        ([], "no recordings are given"),
        (tmp_path, "none are held out to measure with|has no sounds to learn from"),
    ):
        with pytest.raises(CorpusError, match=says):
            recordings(places, RATE)


def test_magnitudes_come_nearer_in_a_few_steps(tiny_corpus, monkeypatch):
    """Sixteen steps on one batch: the log magnitudes come nearer by a tenth of a neper at least."""
    monkeypatch.setattr(training, "WARM_UP", 1)
    plan = Plan(steps=16, batch=4, channels=32, blocks=1, learning_rate=5e-3)
    state = State(SMALL, plan, torch.device("cpu"))
    batch = batch_of(recordings(tiny_corpus, RATE).train, SMALL, plan, 0)
    with torch.no_grad():
        before = float(losses(state.net, batch)[0]["magnitude"])
    for _ in range(16):
        found = training.train_step(state, batch, 0.0, plan, False)
    assert found["magnitude"] < before - 0.1


def test_bins_that_are_surely_tone_or_noise_go_on_learning():
    net = VocoderNet(FEATURE, channels=16, blocks=1)
    share = torch.tensor([-200.0, -40.0, 0.0, 40.0, 200.0]).repeat_interleave(8).expand(1, 8, -1)
    share = torch.nn.functional.pad(share, (0, 513 - share.shape[-1])).requires_grad_()
    still = torch.zeros(1, 8, 513)
    made = net.texture(Curves(still, share, still))
    made.abs().sum().backward()
    assert torch.isfinite(share.grad).all() and share.grad.any()
    assert torch.allclose(made[0, :, 35].abs(), torch.ones(8), atol=1e-4)  # all tone


def test_the_same_step_draws_the_same_pieces(tiny_corpus):
    sounds = recordings(tiny_corpus, RATE).train
    plan = Plan(steps=1, batch=4, smooth=0.5)
    one, other, later = (batch_of(sounds, SMALL, plan, step) for step in (7, 7, 8))
    assert torch.equal(one.values, other.values) and not torch.equal(one.values, later.values)
    assert one.values.abs().max() <= 1.0 and set(one.pitch.tolist()) <= {-1.0, *sounds.pitch}


def test_a_folder_holds_out_whole_instruments(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for number in range(20):
            soundfile.write(tmp_path / name / f"{number}.wav", tone(300.0, 0.2), RATE)
    split = recordings(tmp_path, RATE)
    assert len(split.train) + len(split.valid) == 60 and 1 <= len(split.valid) <= 15


def test_several_places_are_learnt_from_a_small_one_more_often_than_its_number_says(
    tiny_corpus, tmp_path
):
    for number in range(8):
        soundfile.write(tmp_path / f"{number}.wav", tone(100.0 * (number + 3), 0.2), RATE)
    corpus = recordings(tiny_corpus, RATE)
    split = recordings([tiny_corpus, tmp_path], RATE)
    here = len(split.train) - len(corpus.train)
    assert 0 < here <= 8 and split.about == f"{len(corpus.train)} recordings of notes, " + (
        f"{here} recordings of {tmp_path.name}"
    )
    folder = recordings(tmp_path, RATE)
    for part in ("train", "valid"):
        both, one, other = (getattr(x, part) for x in (split, corpus, folder))
        assert both.pitch.tolist() == [*one.pitch, *other.pitch]
        for number in (0, len(one) - 1, len(one), len(both) - 1):
            alone = one.samples(number) if number < len(one) else other.samples(number - len(one))
            assert np.array_equal(both.samples(number), alone)
    first = split.train.order(np.random.default_rng(0))
    assert sorted(first) == list(range(len(split.train)))
    assert np.mean(first[:9] >= len(corpus.train)) > np.mean(first >= len(corpus.train))
    rng = np.random.default_rng(0)
    drawn = [split.train.draw(rng) >= len(corpus.train) for _ in range(4000)]
    roots = np.sqrt([len(corpus.train), here])
    assert np.mean(drawn) == pytest.approx(roots[1] / roots.sum(), abs=0.03)
    assert roots[1] / roots.sum() > 2 * here / len(split.train)


def test_adversaries_learn_to_tell_and_their_terms_reach_the_network(tiny_corpus):
    plan = Plan(steps=1, batch=2, channels=8, blocks=1, adversarial=True)
    state = State(SMALL, plan, torch.device("cpu"))
    batch = batch_of(recordings(tiny_corpus, RATE).train, SMALL, plan, 0)
    found = training.train_step(state, batch, 0.0, plan, False)
    assert found["adversary"] > 0.0 and found["match"] > 0.0
    assert all(p.grad is not None for p in state.net.leave.parameters())


# -------------------------------------------------------------------------------- the command line


def test_from_the_command_line(trained, tiny_corpus, tiny_run, tiny_notes, tmp_path, capsys):
    sound = next(tiny_notes.rglob("*.wav"))
    command = ["vocoder", "evaluate", trained, tiny_corpus, "--sounds", 2, "--json"]
    app([str(word) for word in command], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["method"] for row in rows][-2:] == ["vocoder", "vocoder, pitch unknown"]
    assert rows[0]["mr_stft"] > 0.0
    command = ["reconstruct", tiny_run, sound, "--vocoder", trained, "--out", tmp_path]
    app([str(word) for word in command], standalone_mode=False)
    made, _ = soundfile.read(capsys.readouterr().out.split("  (")[0].strip())
    plain = verbs.reconstruct(tiny_run, [sound], tmp_path / "plain").files[0]
    usual, _ = soundfile.read(plain)
    assert made.shape == usual.shape and np.abs(made).max() > 0.01
    assert not np.allclose(made, usual, atol=1e-3)
    exported = {}
    for name, extra in (("vocoder", ["--vocoder", trained]), ("none", [])):
        command = ["export", tiny_run, "--from", sound, "--keys", "C4", "--pitch", 60, *extra]
        command += ["--to", "samples", "--out", tmp_path / name]
        app([str(word) for word in command], standalone_mode=False)
        file = next((tmp_path / name).glob("*.wav"))
        exported[name] = soundfile.read(file)[0][:4000]
    short = min(map(len, exported.values()))
    assert not np.allclose(exported["vocoder"][:short], exported["none"][:short], atol=1e-3)


def test_the_shipped_one_is_nearer_than_the_classical_way_on_unheard_instruments(tiny_notes):
    """Nearer by MR-STFT; its mels are farther, which is why it is an option (docs/vocoder.md)."""
    (name,) = shipped()
    one = Vocoder.open(name)
    feature = LogMel(mels=128)
    assert one.feature.contract == feature.contract
    assert Path(str(SHIPPED), f"{name}.md").is_file() and one.about["licence"] == "Apache-2.0"
    paths = sorted((tiny_notes / "nsynth-test" / "audio").glob("*.wav"))[:6]
    sounds = torch.from_numpy(np.stack([read(path).mono()[: 3 * RATE] for path in paths]))
    pitch = torch.tensor([float(path.stem.split("-")[-2]) for path in paths])
    ways = {
        "vocoder": way_back(one),
        "classical": lambda values, level, _, __, length: feature.invert(
            values, level, recovery=Recovery("pghi", 5), length=length
        ),
    }
    ours, classical = measure(feature, sounds, pitch, ways)
    assert ours["mr_stft"] < classical["mr_stft"] and ours["pitch_kept"] > 0.8
