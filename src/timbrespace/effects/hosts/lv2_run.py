"""An LV2 plug-in at work, through the C interface of LV2 core 1.18; only ever in a worker's process."""

import ctypes as c
import os
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.effects.hosts.lv2 import Description, describe
from timbrespace.errors import EffectError

BLOCK = 4096  # samples per call of run()
MOST_LATENCY = 10.0  # seconds that are made up for

_Handle = c.c_void_p
_Step = c.CFUNCTYPE(None, _Handle)


class _Descriptor(c.Structure):
    """LV2_Descriptor."""


_Descriptor._fields_ = [
    ("uri", c.c_char_p),
    ("instantiate", c.CFUNCTYPE(_Handle, c.POINTER(_Descriptor), c.c_double, c.c_char_p, c.c_void_p)),
    ("connect_port", c.CFUNCTYPE(None, _Handle, c.c_uint32, c.c_void_p)),
    ("activate", _Step),
    ("run", c.CFUNCTYPE(None, _Handle, c.c_uint32)),
    ("deactivate", _Step),
    ("cleanup", _Step),
    ("extension_data", c.c_void_p),
]  # fmt: skip


def load(place: str) -> "Lv2Plugin":
    """The plug-in at "BUNDLE\\nURI"."""
    bundle, uri = place.split("\n")
    return Lv2Plugin(describe(Path(bundle), uri))


class Lv2Plugin:
    """One plug-in; every render has an instance of its own, so nothing is left from the one before."""

    def __init__(self, about: Description) -> None:
        self.about = about
        try:
            self.library = c.CDLL(str(about.library))
            listing = self.library.lv2_descriptor
        except (OSError, AttributeError) as error:
            raise EffectError(f"its library cannot be loaded: {error}") from None
        listing.argtypes, listing.restype = [c.c_uint32], c.POINTER(_Descriptor)
        index = 0
        while found := listing(index):
            if found.contents.uri.decode() == about.uri:
                break
            index += 1
        else:
            raise EffectError(f"{about.library.name} holds no {about.uri}")
        self.descriptor = found
        self.seed = c.CDLL(None).srand  # of rand(), which noise and dither are made with

    def facts(self) -> dict[str, Any]:
        return {}

    def render(self, samples: np.ndarray, sample_rate: int, values: dict[str, float]) -> np.ndarray:
        """Channels go to as many inputs; a plug-in with one input has each channel in turn. One channel
        is the mean of the outputs."""
        if len(samples) > 1 and len(self.about.audio(is_input=True)) == 1:
            return np.concatenate([self.render(one[None], sample_rate, values) for one in samples])
        made = self._run(samples, sample_rate, values)
        if len(samples) == 1:
            return made.mean(axis=0, keepdims=True)
        return made[:2] if len(made) > 1 else np.repeat(made, 2, axis=0)

    def _run(self, samples: np.ndarray, sample_rate: int, values: dict[str, float]) -> np.ndarray:
        """samples (channels, n) to all outputs (outputs, n), with the plug-in's latency taken away."""
        about, plugin = self.about, self.descriptor.contents
        self.seed(1)
        instance = plugin.instantiate(
            self.descriptor, sample_rate, os.fsencode(f"{about.bundle}/"), c.byref(c.c_void_p())
        )
        if not instance:
            raise EffectError(f"it does not work at {sample_rate} Hz")
        numbers = {port.index: c.c_float() for port in about.ports if port.kind == "control"}
        inputs, outputs = about.audio(is_input=True), about.audio(is_input=False)
        heard = np.zeros((len(inputs), BLOCK), np.float32)
        made = np.zeros((len(outputs), BLOCK), np.float32)
        buffers = dict(zip((p.index for p in (*inputs, *outputs)), (*heard, *made), strict=True))
        for port in about.ports:
            if port.kind == "control" and port.is_input:
                value = values.get(port.symbol, port.default)
                value = value * sample_rate if port.of_rate else value
                numbers[port.index].value = round(value) if port.whole else value
            if port.kind == "control":
                plugin.connect_port(instance, port.index, c.addressof(numbers[port.index]))
            elif port.kind == "audio":
                plugin.connect_port(instance, port.index, buffers[port.index].ctypes.data)
            else:
                plugin.connect_port(instance, port.index, None)
        if plugin.activate:
            plugin.activate(instance)
        length, late = samples.shape[1], 0
        blocks: list[np.ndarray] = []
        at = 0
        while at < length + late:
            count = min(BLOCK, length + late - at)
            part = samples[:, at : at + count]
            heard[:, : part.shape[1]] = np.resize(part, (len(inputs), part.shape[1]))
            heard[:, part.shape[1] :] = 0.0
            plugin.run(instance, count)
            blocks.append(made[:, :count].copy())
            at += count
            late = self._latency(numbers, sample_rate)
        if plugin.deactivate:
            plugin.deactivate(instance)
        plugin.cleanup(instance)
        return np.concatenate(blocks, axis=1)[:, late : late + length]

    def _latency(self, numbers: dict[int, c.c_float], sample_rate: int) -> int:
        """Samples by which the plug-in says that its output lags."""
        said = [numbers[p.index].value for p in self.about.ports if p.latency and not p.is_input]
        late = said[0] if said else 0.0
        return int(late) if 0.0 < late < MOST_LATENCY * sample_rate else 0
