"""The same corpus from a cluster of processes as from this one, whatever dies on the way."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import timbrespace
from timbrespace import atomic
from timbrespace.data import cluster, workers
from timbrespace.data.cutting import Cut
from timbrespace.data.jobs import Jobs
from timbrespace.data.part import Job, make
from timbrespace.data.prepare import prepare
from timbrespace.errors import CorpusError, MissingExtra
from timbrespace.features.log_mel import LogMel

SMALL = LogMel(mels=16, frames=20, n_fft=512)


@pytest.fixture(scope="module")
def dask():
    """A scheduler and two worker processes of one thread each; a dead one is replaced."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
        memory_limit=0, silence_logs=50,
    ) as found:  # fmt: skip
        yield found


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """600 sounds, some broken: about 75 parts."""
    root = tmp_path_factory.mktemp("sounds") / "s"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(600):
        x = 0.3 * np.sin(2 * np.pi * (100 + i) * np.arange(4000) / 16000)
        soundfile.write(root / f"s{i:03d}.wav", x + 0.01 * rng.normal(size=4000), 16000)
    (root / "s100.wav").write_bytes(b"")
    (root / "s300.wav").write_text("not a sound")
    return root


@pytest.fixture(scope="module")
def local(sounds, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("local") / "c"
    prepare(sounds, out, feature=SMALL, workers=0)
    return everything(out)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def sentence(address: str, sounds: Path, out: Path, kind: type[Exception] = CorpusError) -> str:
    with pytest.raises(kind) as caught:
        prepare(sounds, out, feature=SMALL, cluster=address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pids(dask) -> list[int]:
    with dask.get_client() as client:
        return list(client.run(os.getpid).values())


def jobs_in(sounds: Path, folder: Path) -> list[Job]:
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(p.name for p in sounds.iterdir())
    return Jobs(sounds, files, SMALL, Cut(), folder, 600.0)


def test_a_worker_killed_in_the_middle_changes_no_byte(dask, sounds, local, tmp_path):
    victim, told, killed = pids(dask)[0], [], []

    def progress(done: int, total: int) -> None:
        told.append(done)
        if done > 100 and not killed:
            os.kill(victim, signal.SIGKILL)
            killed.append(done)

    prepare(
        sounds, tmp_path / "c", feature=SMALL, cluster=dask.scheduler_address, progress=progress
    )
    assert killed and killed[0] < 500, "it should die while there is work"
    assert told == sorted(told) and told[-1] == 600
    assert everything(tmp_path / "c") == local
    assert victim not in pids(dask)
    # A second time there is nothing to do, so that nobody needs to answer.
    prepare(sounds, tmp_path / "c", feature=SMALL, cluster="tcp://127.0.0.1:1")
    assert everything(tmp_path / "c") == local


def test_workers_reach_sounds_and_corpus_by_address_alone(dask, sounds, tmp_path, monkeypatch):
    monkeypatch.setenv("TIMBRESPACE_CACHE", str(tmp_path / "cache"))
    some = tmp_path / "there" / "s"
    some.mkdir(parents=True)
    for path in sorted(sounds.iterdir())[:200]:
        (some / path.name).write_bytes(path.read_bytes())
    near = prepare(some, tmp_path / "c", feature=SMALL, workers=0)
    killed: list[int] = []

    def progress(done: int, total: int) -> None:
        if done > 30 and not killed:
            killed.append(pids(dask)[0])
            os.kill(killed[0], signal.SIGKILL)

    far = prepare(
        some.as_uri(), (tmp_path / "there" / "c").as_uri(), feature=SMALL,
        cluster=dask.scheduler_address, progress=progress,
    )  # fmt: skip
    assert killed
    for name in ("sounds.csv", "report.jsonl"):
        assert (tmp_path / "there" / "c" / name).read_bytes() == (near.path / name).read_bytes()
    assert np.array_equal(far.features(SMALL).values[:], near.features(SMALL).values[:])
    assert not list((tmp_path / "there").rglob("*.tmp.*"))
    assert not list((tmp_path / "cache").glob("outline-*"))


def test_a_further_feature_is_made_there_too(dask, sounds, tmp_path):
    other = LogMel(mels=12, frames=16, n_fft=512, dtype="float32")
    made = prepare(sounds, tmp_path / "c", feature=SMALL, workers=0)
    store = made.features(other, cluster=dask.scheduler_address)
    here = prepare(sounds, tmp_path / "d", feature=SMALL, workers=0).features(other)
    assert store.values.dtype == "float32" and (store.values[:] == here.values[:]).all()
    assert everything(tmp_path / "c") == everything(tmp_path / "d")


def test_nothing_of_ours_stays_in_the_cluster(dask, sounds, tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(
            sounds, tmp_path / "c", feature=SMALL, cluster=dask.scheduler_address,
            progress=interrupt,
        )  # fmt: skip
    assert not [name for name in everything(tmp_path / "c") if name.endswith("corpus.json")]

    def makers() -> int:
        return sum(map(len, cluster._Maker.of_caller.values()))

    with dask.get_client() as client:
        deadline = time.monotonic() + 10
        while any(client.processing().values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(client.processing().values())
        assert set(client.run(makers).values()) == {0}
    parts = len(list((tmp_path / "c").rglob("part-*.jsonl")))
    assert 0 < parts < 75
    assert not list((tmp_path / "c").rglob("cluster.tmp.*"))


def test_a_task_that_comes_after_its_callers_end_starts_nothing():
    assert (maker := cluster._Maker.take("ours")) is not None
    cluster.end("ours")
    assert maker.ended and cluster._Maker.take("ours") is None
    assert "ours" not in cluster._Maker.of_caller


def test_a_file_that_kills_its_decoder_is_named_and_skipped(dask, sounds, tmp_path):
    def poison() -> None:
        real = workers.Child.ask

        def ask(child, job):
            if 3 not in job.avoid and "s003.wav" in job.files:
                child.progress.write_bytes((3).to_bytes(8, "little"))
                child.process.kill()
            return real(child, job)

        workers.Child._real = real  # type: ignore[attr-defined]
        workers.Child.ask = ask  # type: ignore[method-assign]

    def heal() -> None:
        workers.Child.ask = workers.Child._real  # type: ignore[attr-defined]

    # Its digest is of files that have changed since, for this machine as well: that is no quarrel.
    job = replace(jobs_in(sounds, tmp_path / "f")[0], digest="0" * 16)
    assert job.files[3] == "s003.wav"
    made: list[Job] = []
    with dask.get_client() as client:
        client.run(poison)
        cluster.make_parts([job], dask.scheduler_address, made.append)
        client.run(heal)
    lines = (tmp_path / "f" / f"{job.stem}.jsonl").read_text().splitlines()[1:]
    assert [n for n, line in enumerate(lines) if '"crash"' in line] == [3]
    assert made == [job]


def test_workers_that_see_other_things_are_refused(dask, sounds, tmp_path, monkeypatch):
    jobs = jobs_in(sounds, tmp_path / "f")[:1]
    address = dask.scheduler_address

    def refused(some: list[Job]) -> str:
        with pytest.raises(CorpusError) as caught:
            cluster.make_parts(some, address, lambda job: None)
        assert "\n" not in str(caught.value) and "tcp://" in str(caught.value)
        return str(caught.value)

    with monkeypatch.context() as patch:
        patch.setattr(cluster, "__version__", "9.9")
        assert f"has timbrespace {timbrespace.__version__}, this machine has 9.9" in refused(jobs)
    with monkeypatch.context() as patch:  # the token is written somewhere else
        real = cluster._token
        patch.setattr(cluster, "_token", lambda folder: elsewhere(real, folder, tmp_path))
        assert "does not see" in refused(jobs)
    with monkeypatch.context() as patch:  # we see files that the worker sees otherwise
        wrong = replace(jobs[0], digest="0" * 16)
        patch.setattr(cluster, "_digest", lambda job: job.digest)
        assert "sees other files in" in refused([wrong])


def elsewhere(real, folder: Path, other: Path):
    """A token that the workers look for in a folder where it is not."""
    import contextlib

    @contextlib.contextmanager
    def token():
        with real(other) as path:
            yield str(Path(folder, Path(path).name))

    return token()


def test_a_full_disk_of_a_worker_is_said_once(dask, sounds, tmp_path):
    def fill() -> None:
        cluster._Maker.real = cluster._Maker.make  # type: ignore[attr-defined]
        full = {"errno": 28, "strerror": "No space left on device"}
        cluster._Maker.make = lambda self, job: full  # type: ignore[method-assign]

    def heal() -> None:
        cluster._Maker.make = cluster._Maker.real  # type: ignore[attr-defined]

    with dask.get_client() as client:
        client.run(fill)
        assert "is full; free some space" in sentence(
            dask.scheduler_address, sounds, tmp_path / "c"
        )
        client.run(heal)


def test_an_address_where_nobody_answers(sounds, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT", 1.0)
    began = time.monotonic()
    assert "no Dask scheduler answers" in sentence("tcp://127.0.0.1:1", sounds, tmp_path / "a")
    assert time.monotonic() - began < 5
    assert "is no Dask scheduler" in sentence("nowhere", sounds, tmp_path / "b")
    (tmp_path / "file.json").write_text("{}")
    assert "is no Dask scheduler" in sentence(str(tmp_path / "file.json"), sounds, tmp_path / "c")
    with pytest.raises(CorpusError, match="not both"):
        prepare(sounds, tmp_path / "d", cluster="tcp://127.0.0.1:1", workers=2)


def test_a_scheduler_file_and_no_workers(sounds, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "NO_WORKERS", 0.5)
    with LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0", silence_logs=50
    ) as empty:  # fmt: skip
        file = tmp_path / "scheduler.json"
        file.write_text(f'{{"address": "{empty.scheduler_address}"}}')
        assert "has had no worker" in sentence(str(file), sounds, tmp_path / "c")


def test_without_dask_the_sentence_names_the_extra(sounds, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = sentence("tcp://127.0.0.1:1", sounds, tmp_path / "c", MissingExtra)
    assert "pip install 'timbrespace[cluster]'" in said


def test_the_same_part_twice_at_once_is_harmless(sounds, tmp_path):
    (job,) = jobs_in(sounds, tmp_path / "f")[:1]
    make(job)
    once = everything(tmp_path / "f")
    failures: list[Exception] = []

    def again() -> None:
        try:
            for _ in range(5):
                make(job)
        except Exception as error:  # noqa: BLE001  any is a failure
            failures.append(error)

    threads = [threading.Thread(target=again) for _ in range(2)]  # of one PID, as in containers
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and everything(tmp_path / "f") == once


def test_another_machines_unfinished_file_is_left_for_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.platform, "node", lambda: "another")
    name = atomic.temporary_name("part").rpartition(".")[0]
    (tmp_path / f"{name}.99999999").write_text("being written there")
    monkeypatch.undo()
    atomic.remove_abandoned(tmp_path)
    assert len(everything(tmp_path)) == 1
    long_ago = time.time() - 2 * atomic.FOREIGN
    os.utime(tmp_path / f"{name}.99999999", (long_ago, long_ago))
    atomic.remove_abandoned(tmp_path)
    assert everything(tmp_path) == {}


def test_a_part_that_comes_into_sight_late(sounds, tmp_path, monkeypatch):
    (job,) = jobs_in(sounds, tmp_path / "f")[:1]
    monkeypatch.setattr(cluster, "VISIBLE", 0.3)
    with pytest.raises(CorpusError, match="is not seen"):
        cluster._wait_to_see(job)
    monkeypatch.setattr(cluster, "VISIBLE", 20.0)
    threading.Timer(0.3, make, [job]).start()
    cluster._wait_to_see(job)
