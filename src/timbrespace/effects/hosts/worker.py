"""The process of one plug-in: python -m timbrespace.effects.hosts.worker MODULE PLACE.

MODULE's `load(place)` gives a `Plugin`. What it says of itself is the first line on standard output; each
request on standard input (`process.py` says how they look) is answered by one reply.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO, Protocol

import numpy as np

from timbrespace.errors import EffectError


class Plugin(Protocol):
    """What a host makes of a plug-in, in the process of the plug-in."""

    def facts(self) -> dict[str, Any]:
        """What it says of itself, as JSON has it."""
        ...

    def render(self, samples: np.ndarray, sample_rate: int, values: dict[str, float]) -> np.ndarray:
        """samples (channels, n) float32 with the effect, begun from rest."""
        ...


def main() -> None:
    module, place = sys.argv[1:]
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 0)
    os.dup2(silent, 1)  # a plug-in that prints must not print into the replies
    _leave_no_core_files()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who ends us
    waiting: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    plugin: Plugin | None = None
    try:
        plugin = importlib.import_module(module).load(place)
        assert plugin
        _say(replies, plugin.facts())
    except Exception as error:
        _say(replies, {"error": _sentence(error)})
    while plugin:
        header, raw = waiting.get()
        samples = np.frombuffer(raw, "<f4").reshape(header["shape"])
        try:
            made = plugin.render(samples, header["sample_rate"], header["values"])
            made = np.asarray(made, "<f4")
        except Exception as error:
            _say(replies, {"error": _sentence(error)})
        else:
            _say(replies, {"shape": made.shape}, made.tobytes())


def _leave_no_core_files() -> None:
    with contextlib.suppress(ImportError):  # Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _listen(requests: BinaryIO, waiting: queue.SimpleQueue[tuple[dict[str, Any], bytes]]) -> None:
    """Requests to the queue; where the parent has gone this process ends, whatever the plug-in does."""
    while line := requests.readline():
        header = json.loads(line)
        waiting.put((header, requests.read(4 * header["shape"][0] * header["shape"][1])))
    os._exit(0)


def _say(replies: BinaryIO, words: dict[str, Any], sound: bytes = b"") -> None:
    replies.write(json.dumps(words).encode() + b"\n" + sound)
    replies.flush()


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, EffectError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
