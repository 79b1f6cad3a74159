"""Parts made by an existing Dask cluster, on storage that the caller and all its workers see: at the
same path, or at an address that fsspec reaches.

A task is one job, a line of text, and its result is the part's files. A Dask worker hands the job to
a child process of its own, the same that a local pool has (see `workers`): one thread for
arithmetic, a decoder that hangs or crashes is killed and its file named, and the Dask worker lives
on. A worker that dies loses the part that it was making, which Dask gives to another. The same part
made twice at once is harmless: each maker writes its own file, and the last rename wins.
"""

import contextlib
import json
import os
import queue
import secrets
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbrespace import __version__
from timbrespace.atomic import temporary_name
from timbrespace.audio.files import printable
from timbrespace.data import workers
from timbrespace.data.cutting import Cut
from timbrespace.data.part import Job, inputs_digest
from timbrespace.data.storage import Storage, is_address, shown
from timbrespace.errors import CorpusError, MissingExtra
from timbrespace.features.catalogue import feature_of

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT = 10.0  # seconds that a scheduler may take to answer
NO_WORKERS = 300.0  # seconds without any worker; a queue may need some to start one
VISIBLE = 90.0  # seconds until another machine's file is seen; NFS remembers absence for up to 60
TRIES = 3  # times that Dask may give a job up, each after several workers died of it
IDLE = 60.0  # seconds that a child process waits for the next job of a caller that is gone
_LOOK = 1.0  # seconds between looks at the cluster


def make_parts(
    jobs: Sequence[Job], address: str, done: workers.Done, *, place: str | None = None
) -> None:
    """Make every job's part on the Dask cluster at `address` (tcp://HOST:PORT or a scheduler file).

    `done` is told, in the caller's thread, as each is finished. `place` is the address where parts
    are put instead of the folder that the jobs name. MissingExtra without `distributed`. CorpusError
    when no scheduler answers, when workers are missing, see other files or have another
    timbrespace; OSError when they cannot write. Parts finished before any of these stay, and
    nothing goes on in the cluster after a KeyboardInterrupt.
    """
    if not jobs:
        return
    with _connected(address) as client:
        folder = place or os.path.abspath(jobs[0].folder)
        with _token(folder) as token:
            _Run(client, address, token, done).run(replace(j, folder=folder) for j in jobs)


@contextlib.contextmanager
def _connected(address: str) -> Iterator["Client"]:
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra(
            "Dask is not installed: pip install 'timbrespace[cluster]'; without --cluster, prepare "
            "uses the cores of this machine"
        ) from None
    try:
        client = Client(_tcp(address), timeout=CONNECT, set_as_default=False, name="timbrespace")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(
            f"no Dask scheduler answers at {printable(address)} ({reason}); check the address, and "
            "that the scheduler runs"
        ) from None
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=CONNECT)


def _tcp(address: str) -> str:
    """The address, or the one that a scheduler file holds."""
    if "://" in address:
        return address
    try:
        return str(json.loads(Path(address).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CorpusError(
            f"{printable(address)} is no Dask scheduler: give its address (tcp://HOST:8786) or the "
            "path of its scheduler file"
        ) from None


@contextlib.contextmanager
def _token(folder: str) -> Iterator[str]:
    """A file in `folder` whose content is its name: who can read it sees the same folder."""
    name = temporary_name("cluster")
    if is_address(folder):
        storage = Storage(folder)
        storage.write(name, name.encode())
        try:
            yield f"{folder}/{name}"
        finally:
            storage.remove(name)
        return
    path = Path(folder, name)
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(name)
        yield str(path)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _sees(token: str) -> bool:
    try:
        if is_address(token):
            folder, _, name = token.rpartition("/")
            return Storage(folder).read(name) == name.encode()
        return Path(token).read_bytes() == Path(token).name.encode()
    except OSError:
        return False


class _Run:
    """The jobs of one `make_parts` on their way: a few for each thread of the cluster at a time, so
    that millions of files never lie in the scheduler's memory at once."""

    def __init__(self, client: "Client", address: str, token: str, done: workers.Done) -> None:
        self.client, self.address, self.token, self.done = client, printable(address), token, done
        self.news: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self.flying: dict[str, tuple[Future, Job | None, int]] = {}
        self.alone_since: float | None = None
        self.looked = 0.0
        self.threads = 1

    def run(self, jobs: Iterable[Job]) -> None:
        try:
            self._send(None)  # a look at the folder, before any work
            self._next()
            waiting = iter(jobs)
            while True:
                while len(self.flying) < 8 + 3 * self.threads and (job := next(waiting, None)):
                    self._send(job)
                if not self.flying:
                    return
                self._next()
        finally:
            self._leave()

    def _send(self, job: Job | None, tries: int = 1, *, trust: bool = False) -> None:
        text = None if job is None else job.to_json()
        name = "look" if job is None else job.stem
        future = self.client.submit(
            work, text, self.token, __version__, trust,
            key=f"timbrespace-{name}-{secrets.token_hex(4)}", pure=False,
            priority=0 if job is None else -job.number,
        )  # fmt: skip
        self.flying[str(future.key)] = (future, job, tries)
        future.add_done_callback(self.news.put)

    def _next(self) -> None:
        """Wait for one job to end, well or not, and act on it."""
        while True:
            self._look_at_workers()
            with contextlib.suppress(queue.Empty):
                future = self.news.get(timeout=_LOOK)
                break
        _, job, tries = self.flying.pop(str(future.key))
        answer = self._answer(future, job, tries)
        if answer is None or job is None:
            return
        if answer.get("other_files"):
            if _digest(job) == job.digest:
                raise CorpusError(
                    f"{answer['worker']} sees other files in {printable(job.root)} than this "
                    "machine; all must see the same files, sizes and times there: mount one storage"
                )
            self._send(job, tries, trust=True)  # a file has changed since: that is no quarrel
        elif "errno" in answer:
            raise OSError(answer["errno"], f"{answer['strerror']} (on {answer['worker']})")
        else:
            _wait_to_see(job)
            self.done(job)

    def _answer(self, future: "Future", job: Job | None, tries: int) -> dict[str, Any] | None:
        """What `work` said; None where the job was sent again."""
        from distributed import KilledWorker

        if future.status == "cancelled":
            raise CorpusError(
                f"the Dask cluster at {self.address} has cancelled the work or ended; run the same "
                "command again, what is finished is kept"
            )
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            if tries < TRIES:
                self._send(job, tries + 1)
                return None
            what = "a look at the folder" if job is None else (
                f"the part from {printable(job.files[0])} to {printable(job.files[-1])}"
            )  # fmt: skip
            raise CorpusError(
                f"Dask workers died again and again of {what}; give them more memory (see "
                "docs/scale.md) or move those files away, what is finished is kept"
            )
        if error is not None:
            if isinstance(error, CorpusError):
                raise CorpusError(f"a Dask worker gave up: {error}")
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise CorpusError(
                f"the Dask cluster at {self.address} cannot run the work ({reason}); its scheduler "
                f"and workers need timbrespace {__version__} installed"
            )
        answer: dict[str, Any] = future.result()
        if answer.get("version"):
            raise CorpusError(
                f"{answer['worker']} has timbrespace {answer['version']}, this machine has "
                f"{__version__}; install the same on all"
            )
        if answer.get("unseen"):
            raise CorpusError(
                f"{answer['worker']} does not see {shown(os.path.dirname(self.token))}; the corpus "
                "must lie on storage that this machine and all workers see at the same path, or at "
                "an address"
            )
        return answer

    def _look_at_workers(self) -> None:
        now = time.monotonic()
        if now - self.looked < _LOOK:
            return
        try:
            self.threads = sum(self.client.nthreads().values())  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001  whatever the connection says, it is gone
            raise CorpusError(
                f"the Dask scheduler at {self.address} does not answer any more "
                f"({type(error).__name__}); run the same command again, what is finished is kept"
            ) from None
        self.looked = now = time.monotonic()
        if self.threads:
            self.alone_since = None
            return
        self.alone_since = self.alone_since or now
        if now - self.alone_since > NO_WORKERS:
            raise CorpusError(
                f"the Dask scheduler at {self.address} has had no worker for {NO_WORKERS:g} s; "
                "start some and run the same command again, what is finished is kept"
            )

    def _leave(self) -> None:
        with contextlib.suppress(Exception):
            if self.flying:
                self.client.cancel([future for future, _, _ in self.flying.values()], force=True)
            self.client.run(end, self.token, on_error="ignore")


def _wait_to_see(job: Job) -> None:
    """Return when the part's files are there for us too; CorpusError when they do not come."""
    if is_address(job.folder):  # what lies there is seen at once
        return
    folder, deadline = Path(job.folder), time.monotonic() + VISIBLE
    while not all((folder / f"{job.stem}{suffix}").is_file() for suffix in (".npy", ".jsonl")):
        if time.monotonic() > deadline:
            raise CorpusError(
                f"a part that a worker wrote is not seen in {printable(folder)} after {VISIBLE:g} "
                "s; all must see the same storage there"
            )
        with contextlib.suppress(OSError):  # opening the folder makes NFS ask the server again
            os.close(os.open(folder, os.O_RDONLY))
        time.sleep(0.1)


def _digest(job: Job) -> str:
    feature, cut = feature_of(job.feature), Cut.from_settings(job.cut)
    return inputs_digest(Path(job.root), job.files, feature, cut, job.max_seconds)


# What follows runs on the workers.


def work(text: str | None, token: str, version: str, trust: bool) -> dict[str, Any]:
    """Make the part of a job's text (None: only look), or say why not: the worker's address with
    `version`, `unseen`, `other_files`, or `errno` and `strerror`.

    Unless `trust`, the files must have the names, sizes and times that the job was made for.
    """
    from distributed import get_worker

    refused: dict[str, Any] = {"worker": f"the Dask worker {get_worker().address}"}
    if version != __version__:
        return {**refused, "version": __version__}
    if not _sees(token):
        return {**refused, "unseen": True}
    if text is None:
        return {}
    job = Job.from_json(text)
    # What lies at an address is the same for all.
    if not trust and not is_address(job.root) and _digest(job) != job.digest:
        return {**refused, "other_files": True}
    maker = _Maker.take(token)
    if maker is None:
        return {**refused, "unseen": True}
    try:
        failure = _put(job, maker) if is_address(job.folder) else maker.make(job)
    finally:
        maker.give_back()
    return {**refused, **failure} if failure else {}


def _put(job: Job, maker: "_Maker") -> dict[str, Any]:
    """Make a part in a folder of this machine and put it where the job says."""
    with tempfile.TemporaryDirectory(prefix="timbrespace-") as folder:
        failure = maker.make(replace(job, folder=folder))
        if not failure:
            storage = Storage(job.folder)
            for suffix in (".npy", ".jsonl"):
                storage.put(Path(folder) / f"{job.stem}{suffix}", f"{job.stem}{suffix}")
        return failure


def end(token: str) -> None:
    """Stop the child processes that this worker has for the caller with that token, and start no more."""
    with _Maker._choosing:
        _Maker.gone.add(token)
        makers = _Maker.of_caller.pop(token, [])
    for maker in makers:
        maker.end()


class _Maker:
    """A child process that makes a part at a time for one caller; it is replaced when it hangs or
    dies, and kept between parts, because starting one takes as long as a thousand notes."""

    of_caller: dict[str, list["_Maker"]] = {}
    gone: set[str] = set()  # tokens of callers that have ended
    _choosing = threading.Lock()

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="timbrespace-")
        self.child: workers.Child | None = None
        self.busy = True
        self.ended = False
        self.expiry = threading.Timer(IDLE, self.end)

    @classmethod
    def take(cls, token: str) -> "_Maker | None":
        """One that is idle, or a new one; None for a task that comes after its caller's end."""
        with cls._choosing:
            if token in cls.gone:
                return None
            makers = cls.of_caller.setdefault(token, [])
            makers[:] = [maker for maker in makers if not maker.ended]
            for maker in makers:
                if not maker.busy:
                    maker.busy = True
                    maker.expiry.cancel()
                    return maker
            makers.append(cls())
            return makers[-1]

    def give_back(self) -> None:
        with self._choosing:
            self.busy = False
            if self.ended:
                return
            self.expiry = threading.Timer(IDLE, self._expire)
            self.expiry.daemon = True
            self.expiry.start()

    def _expire(self) -> None:
        with self._choosing:
            if not self.busy:
                self.end()

    def end(self) -> None:
        self.ended = True
        self.expiry.cancel()
        if self.child is not None:
            with contextlib.suppress(OSError):
                self.child.process.kill()
            if not self.busy:
                workers.stop(self.child)

    def make(self, job: Job) -> dict[str, Any]:
        """{} when the part is written, else what the system said; a file that the child does not
        survive is skipped, and named in the part."""
        over = threading.Event()
        threading.Thread(target=self._watch, args=(over,), daemon=True).start()
        try:
            while not self.ended:
                if self.child is None:
                    self._start()
                child = self.child
                assert child is not None
                answer = child.ask(job)
                if answer:
                    return json.loads(answer)
                self.child = None
                child.process.wait()
                if not self.ended:
                    child.look()
                    job = workers.without(job, child)
            raise CorpusError("the work was cancelled")
        finally:
            over.set()

    def _start(self) -> None:
        child = self.child = workers.start(Path(self.folder.name) / "progress")
        assert child.process.stdout is not None
        child.ready = child.process.stdout.readline().strip() == b"ready"
        if not child.ready:
            self.child = None
            raise CorpusError(f"a child process could not start ({workers.last_words(child)})")

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(workers.POLL):
            if self.child is not None:
                workers.kill_if_stuck(self.child)
