"""Training: the same bits after every interruption, honest logs, clear refusals."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from timbrespace import verbs
from timbrespace.errors import RunError
from timbrespace.runs import Run
from timbrespace.training import checkpoint

SMALL = (
    "feature.mels=32", "feature.frames=32", "train.batch=8", "train.epochs=3",
    "model.encoder={kind: conv2d, channels: [4, 8], residual: 0, hidden: 16}",
    "model.decoder={kind: conv2d, channels: [4, 8], residual: 0, hidden: 16, film: true}",
    "model.bottleneck.latent=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tiny_corpus, tmp_path_factory) -> Run:
    """A training that was never interrupted."""
    out = tmp_path_factory.mktemp("training") / "whole"
    return verbs.train("instruments", tiny_corpus, out, settings=SMALL)


def weights(run_path) -> dict[str, torch.Tensor]:
    return load_file(run_path / "weights.safetensors")


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(whole, tiny_corpus, tmp_path):
    again = verbs.train("instruments", tiny_corpus, tmp_path / "again", settings=SMALL)
    other = verbs.train("instruments", tiny_corpus, tmp_path / "other", settings=(*SMALL, "seed=1"))
    assert same(weights(whole.path), weights(again.path))
    assert not same(weights(whole.path), weights(other.path))


def test_an_interrupted_training_goes_on_to_the_same_bits(whole, tiny_corpus, tmp_path):
    """Ctrl-C in the middle of an epoch, twice, and at its last step."""
    out = tmp_path / "run"

    def interrupt_at(step: int):
        def progress(stage, done, total, facts):
            if stage == "train" and done == step:
                os.kill(os.getpid(), signal.SIGINT)

        return progress

    for step, resume in ((2, False), (6, True), (10, True)):
        with pytest.raises(KeyboardInterrupt):
            verbs.train(
                "instruments", tiny_corpus, out, settings=SMALL, resume=resume,
                progress=interrupt_at(step),
            )  # fmt: skip
    verbs.train("instruments", tiny_corpus, out, settings=SMALL, resume=True)
    assert same(weights(whole.path), weights(out))
    lines = (out / "history.csv").read_text().splitlines()
    epochs = [float(line["epoch"]) for line in csv.DictReader(lines)]
    assert epochs == [1.0, 2.0, 3.0]


def test_kill_9_after_the_first_epoch_resumes_to_the_same_bits(whole, tiny_corpus, tmp_path):
    out = tmp_path / "run"
    code = (
        "import sys; from timbrespace import verbs\n"
        "import time\n"
        "slow = lambda s, d, t, f: time.sleep(0.05)\n"
        f"import torch; torch.set_num_threads({torch.get_num_threads()})\n"
        f"verbs.train('instruments', {str(tiny_corpus)!r}, {str(out)!r}, settings={SMALL!r}, "
        "progress=slow)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (out / "checkpoints" / "last").is_dir() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert (out / "checkpoints" / "last").is_dir()
    assert not Run.open(out).status()["finished"]
    verbs.train("instruments", tiny_corpus, out, settings=SMALL, resume=True)
    assert same(weights(whole.path), weights(out))


def test_a_damaged_checkpoint_is_noticed_and_the_previous_one_used(tmp_path):
    last = tmp_path / "checkpoints" / "last"
    for step in (1, 2):
        checkpoint.save(last, {"model.a": torch.full((100,), float(step))}, {"step": step})
    assert checkpoint.load_newest(tmp_path / "checkpoints")[1]["step"] == 2
    file = last / "state.safetensors"
    data = bytearray(file.read_bytes())
    data[-7] ^= 1
    file.write_bytes(bytes(data))
    assert checkpoint.load_newest(tmp_path / "checkpoints")[1]["step"] == 1
    (tmp_path / "checkpoints" / "previous" / "state.json").write_text("{}")
    with pytest.raises(RunError, match="no whole checkpoint"):
        checkpoint.load_newest(tmp_path / "checkpoints")


def test_the_run_folder_explains_itself(whole):
    for name in ("recipe.yaml", "split.csv", "feature.json", "history.csv", "status.json"):
        assert (whole.path / name).stat().st_size > 0
    run = Run.open(whole.path)
    assert run.status()["finished"] and len(run.history()) == 3
    assert set(run.split().values()) <= {"train", "valid", "test"}
    assert {"valid_rmse_db", "valid_bits", "beta", "train_kl_nats"} <= set(run.history()[0])


def test_encoder_and_decoder_work_apart(whole):
    run = Run.open(whole.path)
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    labels = {"pitch": torch.tensor([50, 60])}
    with torch.no_grad():
        mean = run.load_encoder()(x, labels).mean
        torch.testing.assert_close(mean, run.model.encode(x, labels).mean)
        torch.testing.assert_close(run.load_decoder()(mean, labels), run.model.decode(mean, labels))


def test_resuming_with_other_settings_is_refused_by_name(whole, tiny_corpus):
    with pytest.raises(RunError, match=r"train\.epochs"):
        verbs.train(
            "instruments", tiny_corpus, whole.path, settings=(*SMALL, "train.epochs=4"), resume=True
        )


def test_a_run_is_never_overwritten(whole, tiny_corpus):
    with pytest.raises(RunError, match="not empty"):
        verbs.train("instruments", tiny_corpus, whole.path, settings=SMALL)


def test_a_loss_that_is_no_number_stops_with_a_sentence(tiny_corpus, tmp_path):
    wild = (*SMALL, "train.learning_rate=1", "train.clip=1e6", "train.warmup_steps=0",
            "objective.beta=1e6", "train.epochs=200")  # fmt: skip
    with pytest.raises(RunError, match="came to NaN or infinity"):
        verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=wild)


def test_early_stopping_keeps_the_best_weights(tiny_corpus, tmp_path):
    stuck = (*SMALL, "train.patience=1", "train.epochs=40", "train.learning_rate=1e-30")
    run = verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=stuck)
    assert run.status()["finished"] and run.status()["epoch"] < 40
    best = load_file(run.path / "checkpoints" / "best.safetensors")
    assert same(best, weights(run.path))
