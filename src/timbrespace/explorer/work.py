"""Work of seconds that the page asks for: one at a time, with progress, and it can be stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from timbrespace.errors import RunError, TimbrespaceError

PATIENCE = 10.0  # seconds that stopped work may take to end

Tell = Callable[[str, int, int], None]  # the stage, how much of it is done, of how much

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """Where work stands: its number, what it does and how far it is with that, and in the end what came of
    it, or in one sentence why nothing did."""

    number: int = 0
    kind: str = ""
    state: Literal["none", "running", "done", "stopped", "failed"] = "none"
    stage: str = ""
    done: int = 0
    total: int = 0
    result: dict[str, Any] | None = None
    sentence: str = ""

    def told(self) -> dict[str, Any]:
        return asdict(self)


class _Stopped(Exception):
    pass


class Work:
    """What is being worked at, or was last."""

    def __init__(self) -> None:
        self.standing = Standing()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def begin(self, kind: str, do: Callable[[Tell], dict[str, Any]]) -> None:
        """Begin with `do`, which is given a function to tell how far it is. RunError while something else
        is being worked at."""
        with self._guard:
            if self.standing.state == "running":
                raise RunError(
                    f"A {self.standing.kind} is being made already; wait for it, or stop it."
                )
            self._stop = threading.Event()
            self.standing = Standing(self.standing.number + 1, kind, "running")
            self._thread = threading.Thread(target=self._run, args=(do, self._stop), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """It ends where it next tells how far it is."""
        self._stop.set()

    def close(self) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _run(self, do: Callable[[Tell], dict[str, Any]], stop: threading.Event) -> None:
        def tell(stage: str, done: int, total: int) -> None:
            if stop.is_set():
                raise _Stopped
            self.standing = replace(self.standing, stage=stage, done=done, total=total)

        try:
            result = do(tell)
        except _Stopped:
            self.standing = replace(self.standing, state="stopped", sentence="Stopped.")
        except TimbrespaceError as error:
            self.standing = replace(self.standing, state="failed", sentence=str(error))
        except Exception:
            log.exception("effects: a %s failed", self.standing.kind)
            sentence = "The explorer made a mistake; its terminal says more."
            self.standing = replace(self.standing, state="failed", sentence=sentence)
        else:
            self.standing = replace(self.standing, state="done", result=result)
