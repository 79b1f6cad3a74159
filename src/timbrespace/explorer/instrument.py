"""The chosen point as an instrument: its notes, and its export as a zip, one at a time."""

from __future__ import annotations

import logging
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.exporting import keyboard
from timbrespace.exporting.sfz import velocity_db

if TYPE_CHECKING:
    import numpy as np

    from timbrespace.exporting.instrument import Instrument, Over, Tell, To
    from timbrespace.exporting.points import Point
    from timbrespace.render.synth import Synth

AS_IT_IS = 60  # the key of a sound whose pitch nobody knows, of a model that is not told the pitch
LONGEST_NAME = 60  # characters
PIECE = 2**20  # bytes of a zip that are sent at once
PATIENCE = 10.0  # seconds that a stopped export may take to end

log = logging.getLogger(__name__)


def note(
    synth: Synth, point: Point, pitch: int, velocity: int, seconds: float | None
) -> np.ndarray:
    """A note (n,) of a point, as `timbrespace.play` makes it: at the pitch, as hard as `velocity` (1 to
    127) says, `seconds` long or as long as its window. RunError for a model that is not told the pitch."""
    if not synth.pitched:
        raise RunError(
            "This model is not told the pitch, so it cannot play another; an export leaves that to a "
            "sampler."
        )
    labels = point.labels | ({"velocity": velocity} if "velocity" in synth.told else {})
    louder = velocity_db(velocity) - velocity_db(keyboard.USUAL)
    return synth.play(
        point.latent, seconds=seconds, pitch=pitch, labels=labels, rms_db=point.rms_db + louder
    )


def instrument(
    synth: Synth, points: Sequence[Point], keys: str, over: Over, run: str
) -> Instrument:
    """A point, or the way between two over velocity or key, on the keys, as "C2-C6", as
    `timbrespace.export` spreads it. RunError for keys that are none, or too few for the way."""
    from timbrespace.exporting.instrument import LAYERS, Instrument, changes, file_name, spread

    low, high = keyboard.key_range(keys)
    root = AS_IT_IS if points[0].pitch is None else points[0].pitch
    layers = keyboard.layers(LAYERS if changes(synth, points, over) else 1)
    name = file_name("-to-".join(point.name[: LONGEST_NAME // len(points)] for point in points))
    about = f"{' to '.join(point.about for point in points)}, by the run {run}"
    zones = spread(synth, low, high, root)
    return Instrument(name, tuple(points), tuple(zones), tuple(layers), over, about)


@dataclass(frozen=True)
class Progress:
    """Where an export stands: its number, what it does now and how far it is with that, and in the end
    the name and bytes of its zip, or in one sentence why there is none."""

    number: int = 0
    state: Literal["none", "running", "done", "stopped", "failed"] = "none"
    stage: str = ""
    done: int = 0
    total: int = 0
    file: str = ""
    bytes: int = 0
    sentence: str = ""

    def told(self) -> dict[str, str | int]:
        return asdict(self)


class _Stopped(Exception):
    pass


class Exports:
    """The exports of a session, one at a time. The newest zip is kept until the next begins, in a file
    without a name; its samples lie in a temporary folder only while they are made."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._zip: IO[bytes] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def begin(self, made: Instrument, synth: Synth, to: To, format: str) -> int:
        """Begin to write and pack an instrument, in one of audio.files.FORMATS; its number. RunError while
        another is being made."""
        with self._guard:
            if self.progress.state == "running":
                raise RunError("An export is being made already; wait for it, or stop it.")
            self._discard()
            self._stop = threading.Event()
            number = self.progress.number + 1
            self.progress = Progress(number, "running", file=f"{made.name}-{to}.zip")
            args = (made, synth, to, format, self._stop)
            self._thread = threading.Thread(target=self._make, args=args, daemon=True)
            self._thread.start()
        return number

    def stop(self) -> None:
        """Stop the one that is being made; it ends after the samples that it is at."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        with self._guard:
            self._discard()

    def _discard(self) -> None:
        if self._zip is not None:
            self._zip.close()
        self._zip = None

    def zip(self, number: int) -> tuple[Progress, Iterator[bytes]] | None:
        """The zip of the export of this number in pieces; None when there is none (any more)."""
        with self._guard:
            progress, file = self.progress, self._zip
        if file is None or number != progress.number:
            return None

        def pieces() -> Iterator[bytes]:
            for start in range(0, progress.bytes, PIECE):
                with self._guard:  # others may be reading the same file
                    if file.closed:
                        return  # the next export has begun: the browser says that it is not whole
                    file.seek(start)
                    piece = file.read(PIECE)
                yield piece

        return progress, pieces()

    def _make(
        self, made: Instrument, synth: Synth, to: To, format: str, stop: threading.Event
    ) -> None:
        def tell(stage: str, done: int, total: int) -> None:
            if stop.is_set():
                raise _Stopped
            self.progress = replace(self.progress, stage=stage, done=done, total=total)

        try:
            with tempfile.TemporaryDirectory(prefix="timbrespace-") as folder:
                made.write(synth, Path(folder), to=to, format=format, tell=tell)
                file, size = packed(Path(folder), made.name, tell)
        except _Stopped:
            self.progress = replace(self.progress, state="stopped", sentence="Export stopped.")
        except TimbrespaceError as error:
            self.progress = replace(self.progress, state="failed", sentence=str(error))
        except OSError as error:
            sentence = f"The export could not be written: {error.strerror or error}."
            self.progress = replace(self.progress, state="failed", sentence=sentence)
        except Exception:
            log.exception("explorer: an export failed")
            sentence = "The explorer made a mistake; its terminal says more."
            self.progress = replace(self.progress, state="failed", sentence=sentence)
        else:
            with self._guard:
                self._zip = file
                self.progress = replace(self.progress, state="done", bytes=size)


def packed(folder: Path, name: str, tell: Tell) -> tuple[IO[bytes], int]:
    """All files of a folder as a zip, in which they lie in a folder `name`, and its bytes; the zip has no
    name on disk and is gone when it is closed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    pack = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as into:
            for done, path in enumerate(files, 1):
                into.write(path, f"{name}/{path.relative_to(folder).as_posix()}")
                tell("pack", done, len(files))
    except BaseException:
        pack.close()
        raise
    return pack, pack.tell()
