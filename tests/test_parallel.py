"""Data-parallel training: the same thing from one process or two, and one clear end for all."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training import SMALL, same, weights

from timbrespace import verbs
from timbrespace.errors import CorpusError, RunError
from timbrespace.runs import Run
from timbrespace.training import launch, loop
from timbrespace.training.parallel import Place, Ranks

# 22 steps of unequal shares, without the terms that look at a batch's statistics
EXACT = (*SMALL, "train.batch=7", "train.epochs=2", "train.precision=float32",
         "objective.loud=0", "objective.free_bits=0")  # fmt: skip

# Each rank trains to the end. A second run is ended by Ctrl-C on the second rank, and resumed. A third
# has buffers that move with each batch. In the middle of the last, the second rank is killed.
SCRIPT = """
import os, json, signal, sys
import torch
from timbrespace import recipe
from timbrespace.data.corpus import Corpus
from timbrespace.errors import CorpusError, RunError
from timbrespace.runs import Run
from timbrespace.training import loop, parallel

corpus, out, exact = Corpus.open(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
states, steps, fresh, step = [], [], loop.State.fresh, loop.train_step
loop.State.fresh = lambda *a: states.append(fresh(*a)) or states[-1]

def train(name, settings=(), resume=False, signal_at=None):
    def step_or_signal(*a, **k):
        steps.append(name)
        if steps.count(name) == (signal_at or (0,))[0] and ranks.rank == 1:
            os.kill(os.getpid(), signal_at[1])
        return step(*a, **k)

    loop.train_step = step_or_signal
    wanted = recipe.load("instruments", settings=(*exact, *settings))
    if ranks.leads and not resume:
        Run.create(f"{out}/{name}", wanted, corpus)
    ranks.any(True)
    try:
        loop.train_run(Run.open(f"{out}/{name}"), ranks=ranks, resume=resume)
    except KeyboardInterrupt:
        return "interrupted"
    packed, facts = states[-1].pack()
    bits = {name: value.double().sum().item() for name, value in packed.items()}
    return [bits, facts["step"], torch.get_num_threads()]

try:
    with parallel.joined() as ranks:
        said = {"whole": train("whole"), "stopped": train("stopped", signal_at=(13, signal.SIGINT))}
        said["resumed"] = train("stopped", resume=True)
        said["norm"] = train("norm", ["model.encoder.norm=batch", "train.epochs=1"])
        said["steps"] = len(steps)
        part = "{kind: principal, components: 16, hidden: 16}"
        nets = [f"model.encoder={part}", f"model.decoder={part}", "train.epochs=1"]
        said["principal"] = train("principal", nets)
        small = torch.nn.BatchNorm1d(1)
        small.running_mean.fill_(5.0 + ranks.rank)
        if ranks.rank:
            small.weight.grad = torch.ones(1)
        told = ranks.share(7).average(small, {"loss": torch.tensor(float(ranks.rank))})
        said["average"] = [told["loss"], small.weight.grad.item(), small.running_mean.item()]
        assert small.bias.grad is None
        with open(f"{out}/rank{ranks.rank}.json", "w") as file:
            json.dump(said, file)
        train("lost", signal_at=(13, signal.SIGKILL))
except RunError as error:
    with open(f"{out}/lost.txt", "w") as file:
        file.write(str(error))
"""


@pytest.fixture(scope="module")
def one(tiny_corpus, tmp_path_factory) -> Run:
    """The run of one process."""
    out = tmp_path_factory.mktemp("parallel") / "one"
    return verbs.train("instruments", tiny_corpus, out, settings=EXACT)


@pytest.fixture(scope="module")
def two(one, tiny_corpus, tmp_path_factory) -> Path:
    """Runs of two processes, told of each other as torchrun does, and what each said of them."""
    out = tmp_path_factory.mktemp("parallel")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port)}  # fmt: skip
    command = [sys.executable, "-c", SCRIPT, str(tiny_corpus), str(out), json.dumps(EXACT)]
    ranks = [
        subprocess.Popen(command, env={**os.environ, **told, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    try:
        assert [rank.wait(timeout=100) for rank in ranks] == [0, -signal.SIGKILL]
    finally:
        for rank in ranks:
            rank.kill()
    return out


def test_two_processes_train_what_one_does(one, two):
    """To the rounding of sums: a shared draw of the wrong sounds or noise is off by a thousand times."""
    alone, shared = weights(one.path), weights(two / "whole")
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-5)
    for column in ("train_total", "beta", "valid_mse"):
        ours, theirs = (run.history()[-1][column] for run in (one, Run.open(two / "whole")))
        assert theirs == pytest.approx(ours, rel=1e-4)


def test_ranks_hold_the_same_bits(two):
    first, second = (json.loads((two / f"rank{r}.json").read_text()) for r in range(2))
    assert first == second and len(first["norm"][0]) > len(first["whole"][0])
    assert first["principal"][0]["model.encoder.net.components.basis"] != 0.0
    assert first["whole"][1:] == [22, max(1, len(os.sched_getaffinity(0)) // 2)]


def test_an_average_is_over_sounds_and_buffers_are_the_first_ranks(two):
    """The second rank has 4 of 7 sounds; its loss and gradient are 1, the first has none."""
    said = json.loads((two / "rank0.json").read_text())
    assert said["average"] == pytest.approx([4 / 7, 4 / 7, 5.0])


def test_ctrl_c_on_any_rank_stops_all_and_resumes_to_the_same_bits(two):
    said = json.loads((two / "rank0.json").read_text())
    assert said["stopped"] == "interrupted" and said["steps"] == 22 + 22 + 11
    assert said["resumed"] == said["whole"] and same(
        weights(two / "stopped"), weights(two / "whole")
    )


def test_a_lost_rank_is_said_by_the_others(two):
    said = (two / "lost.txt").read_text()
    assert said.startswith("another process of this training is lost (")
    assert said.endswith("; the last checkpoint is kept: start again with --resume")
    assert load_file(two / "lost" / "checkpoints" / "last" / "state.safetensors")


def test_ctrl_c_here_ends_the_ranks_and_keeps_what_they_have_learnt(tiny_corpus, tmp_path):
    told = []

    def interrupt(stage, done, total, facts) -> None:
        told.append(stage)
        if stage == "train" and done == 12:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        verbs.train(
            "instruments", tiny_corpus, tmp_path / "r", settings=(*SMALL, "train.epochs=400"),
            processes=2, progress=interrupt,
        )  # fmt: skip
    facts = json.loads((tmp_path / "r" / "checkpoints" / "last" / "state.json").read_text())
    assert facts["position"] > 0 and facts["step"] < 400  # as it stopped, not after an epoch
    assert told[0] == "train" and "validate" in told


HANGS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


@pytest.mark.parametrize(
    ("first", "error", "sentence"),
    [
        ("import os; os.kill(os.getpid(), 9)", RunError, "process 1 of 2 was killed by signal 9"),
        ("raise ZeroDivisionError", RunError, "process 1 of 2 ended with code 1; the last"),
        ("""print('{"error": "no row", "kind": "CorpusError"}'); exit(2)""", CorpusError, "no row"),
        ("""print('{"errno": 28, "strerror": "full", "file": "f"}'); exit(2)""", OSError, "full"),
        ("exit(130)", KeyboardInterrupt, "^$"),
    ],
)
def test_whatever_ends_one_rank_ends_all(first, error, sentence, monkeypatch, tmp_path):
    """The second one hangs and does not hear SIGTERM."""
    monkeypatch.setattr(launch, "GRACE", 0.2)
    children = []

    def start(orders) -> subprocess.Popen:
        code = HANGS if orders["place"]["rank"] else first
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        children.append(child)
        return child

    monkeypatch.setattr(launch, "_start", start)
    with pytest.raises(error, match=sentence):
        launch.train_here(Run(tmp_path, None, {}), 2)  # type: ignore[arg-type]
    assert all(child.poll() is not None for child in children)


def test_no_rank_copies_the_pictures(two):
    pictures = loop._pictures(Run.open(two / "whole"))
    assert [some.kept for some in pictures] == [None, None]


def test_shares_make_up_the_batch():
    shares = [Ranks(rank, 3, torch.device("cpu")).share(8) for rank in range(3)]
    batch = torch.arange(8)
    assert torch.equal(torch.cat([share.of(batch) for share in shares]), batch)
    assert [share.stop - share.start for share in shares] == [2, 3, 3]
    with pytest.raises(RunError, match="2 sounds, too few for 3 processes"):
        Ranks(0, 3, torch.device("cpu")).share(2)


def test_a_place_among_processes_is_read_with_distrust(monkeypatch):
    for name, value in (("RANK", "3"), ("MASTER_ADDR", "here"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    assert Place.told() == Place()  # not all are set: nobody means us
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Place.told() == Place(3, 4)
    for wrong in ("3", "x", "-1"):
        monkeypatch.setenv("WORLD_SIZE", wrong)
        with pytest.raises(RunError, match=f"RANK=3, WORLD_SIZE={wrong}"):
            Place.told()


def test_processes_that_cannot_be_are_refused(tiny_corpus, tmp_path):
    for wrong, reason in (("two", "a number from 1"), (0, "a number from 1"), ("gpus", "no GPU")):
        if wrong == "gpus" and torch.cuda.is_available():
            continue
        with pytest.raises(RunError, match=reason):
            verbs.train("instruments", tiny_corpus, tmp_path / "r", processes=wrong)
    assert not (tmp_path / "r").exists()
