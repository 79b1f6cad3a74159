"""Read SoundFont 2 files, and SoundFont 3 files whose samples are OGG-Vorbis streams.

A font is presets (what a player picks) made of layered instruments made of zones (a sample, the
keys and velocities it serves, and some sixty numbers called generators). Here the three levels are
resolved into flat `Zone`s, so that a renderer never meets the hierarchy.

Source: SoundFont Technical Specification 2.04 (E-mu Systems, 2006); SF3 as MuseScore writes it:
`sample` headers carry flag 0x10, and start/end are byte offsets of one OGG stream in the `smpl`
chunk. SF3 writers do not pad odd chunks as RIFF asks, which the reader allows for.
"""

from __future__ import annotations

import io
import mmap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from timbrespace.errors import CorpusError

# Generators that are used by name; numbers from section 8.1.2 of the specification.
GENERATORS = {
    "start": 0, "end": 1, "loop_start": 2, "loop_end": 3, "start_coarse": 4,
    "lfo_to_pitch": 5, "vibrato_to_pitch": 6, "envelope_to_pitch": 7,
    "cutoff": 8, "resonance": 9, "lfo_to_cutoff": 10, "envelope_to_cutoff": 11,
    "end_coarse": 12, "lfo_to_volume": 13, "pan": 17,
    "lfo_delay": 21, "lfo_rate": 22, "vibrato_delay": 23, "vibrato_rate": 24,
    "filter_delay": 25, "filter_attack": 26, "filter_hold": 27, "filter_decay": 28,
    "filter_sustain": 29, "filter_release": 30, "key_to_filter_hold": 31,
    "key_to_filter_decay": 32,
    "delay": 33, "attack": 34, "hold": 35, "decay": 36, "sustain": 37, "release": 38,
    "key_to_hold": 39, "key_to_decay": 40,
    "instrument": 41, "keys": 43, "velocities": 44, "loop_start_coarse": 45,
    "fixed_key": 46, "fixed_velocity": 47, "attenuation": 48, "loop_end_coarse": 50,
    "coarse_tune": 51, "fine_tune": 52, "sample": 53, "loop_mode": 54,
    "scale_tuning": 56, "root": 58,
}  # fmt: skip
_NAMES = {number: name for name, number in GENERATORS.items()}
_DEFAULTS = {
    "cutoff": 13500, "scale_tuning": 100, "fixed_key": -1, "fixed_velocity": -1, "root": -1,
    **dict.fromkeys(
        ("lfo_delay", "vibrato_delay", "filter_delay", "filter_attack", "filter_hold",
         "filter_decay", "filter_release", "delay", "attack", "hold", "decay", "release"),
        -12000,
    ),
}  # fmt: skip
# These belong to instruments only; a preset that carries them is wrong and they are ignored (8.5).
_INSTRUMENT_ONLY = {
    "start", "end", "loop_start", "loop_end", "start_coarse", "end_coarse", "loop_start_coarse",
    "loop_end_coarse", "fixed_key", "fixed_velocity", "loop_mode", "root", "sample",
}  # fmt: skip

_RIGHT, _LEFT, _ROM, _VORBIS = 2, 4, 0x8000, 0x10
_PRESET = np.dtype(
    [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "<u4", 3)]
)
_INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("number", "<u2"), ("amount", "<i2")])
_SAMPLE = np.dtype(
    [("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"),
     ("loop_end", "<u4"), ("sample_rate", "<u4"), ("root", "u1"), ("correction", "i1"),
     ("link", "<u2"), ("kind", "<u2")]
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One recording: where it lies, its loop (frames from its own start), its pitch."""

    name: str
    start: int
    end: int
    loop_start: int
    loop_end: int
    sample_rate: int
    root: int
    correction: int
    link: int
    kind: int

    @property
    def compressed(self) -> bool:
        return bool(self.kind & _VORBIS)

    @property
    def is_left(self) -> bool:
        return self.kind & 0xF == _LEFT

    @property
    def is_right(self) -> bool:
        return self.kind & 0xF == _RIGHT


@dataclass(frozen=True)
class Zone:
    """A recording with everything a preset says about it; ranges are inclusive MIDI numbers."""

    sample: int
    keys: tuple[int, int]
    velocities: tuple[int, int]
    generators: dict[str, int] = field(repr=False)

    def serves(self, key: int, velocity: int) -> bool:
        return (
            self.keys[0] <= key <= self.keys[1]
            and self.velocities[0] <= velocity <= self.velocities[1]
        )


@dataclass(frozen=True)
class Preset:
    """What a player selects: a name, its bank and program (0..127), and its zones."""

    name: str
    bank: int
    program: int
    zones: tuple[Zone, ...] = field(repr=False)


class SoundFont:
    """An opened font; samples are decoded when first asked for and then kept."""

    def __init__(
        self, name: str, presets: list[Preset], samples: list[Sample], wave: memoryview
    ) -> None:
        self.name = name
        self.presets = presets
        self.samples = samples
        self._wave = wave
        self._decoded: dict[int, np.ndarray] = {}

    @classmethod
    def open(cls, path: str | Path) -> SoundFont:
        """Open an .sf2 or .sf3 file; CorpusError when it is missing, damaged or something else."""
        path = Path(path)
        if path.is_dir():
            raise CorpusError(f"{path} is a folder; name one SoundFont file (.sf2 or .sf3).")
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise CorpusError(
                f"There is no SoundFont at {path}; name an existing .sf2 or .sf3 file."
            ) from None
        except (OSError, ValueError) as error:
            raise CorpusError(f"The SoundFont {path} cannot be read: {error}.") from None
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: bytes | mmap.mmap, where: str = "the font") -> SoundFont:
        """Parse the bytes of a font; `where` names it in errors."""
        view = memoryview(data)
        if len(view) < 12 or view[:4] != b"RIFF" or view[8:12] != b"sfbk":
            raise CorpusError(
                f"{where} is not a SoundFont (its first bytes are not RIFF...sfbk); "
                "expected an .sf2 or .sf3 file."
            )
        try:
            chunks = _walk(view, where)
            wave, tables = chunks[b"smpl"], {key: _table(chunks, key, where) for key in _TABLES}
            samples = [_sample(row) for row in tables[b"shdr"][:-1]]
            presets = _resolve(tables)
        except KeyError as error:
            missing = error.args[0]
            name = missing.decode("latin-1") if isinstance(missing, bytes) else str(missing)
            raise CorpusError(
                f"{where} is a damaged SoundFont: its '{name}' part is missing; fetch it again."
            ) from None
        except (IndexError, ValueError) as error:
            raise CorpusError(
                f"{where} is a damaged SoundFont ({error}); fetch it again."
            ) from None
        if not presets:
            raise CorpusError(f"{where} holds no presets; expected at least one instrument.")
        used = {zone.sample for preset in presets for zone in preset.zones}
        if used and max(used) >= len(samples):
            raise CorpusError(
                f"{where} is a damaged SoundFont: it names recording {max(used)} "
                f"of {len(samples)}; fetch it again."
            )
        for index in used:
            _check(samples[index], len(wave), where)
        return cls(where, presets, samples, wave)

    def audio(self, index: int) -> np.ndarray:
        """The recording (n,) as float32 in [-1, 1), decoded lazily; CorpusError if it cannot be."""
        if index not in self._decoded:
            sample = self.samples[index]
            if sample.compressed:
                self._decoded[index] = self._vorbis(sample)
            else:
                raw = np.frombuffer(self._wave[2 * sample.start : 2 * sample.end], "<i2")
                self._decoded[index] = raw.astype(np.float32) / 32768
        return self._decoded[index]

    def forget(self) -> None:
        """Drop decoded recordings, to bound memory between instruments."""
        self._decoded.clear()

    def encoded(self, index: int) -> bytes:
        """The stored bytes of one recording, for checksums and for telling recordings apart."""
        sample = self.samples[index]
        width = 1 if sample.compressed else 2
        return bytes(self._wave[width * sample.start : width * sample.end])

    def _vorbis(self, sample: Sample) -> np.ndarray:
        import soundfile

        stream = io.BytesIO(self._wave[sample.start : sample.end])
        try:
            samples, _ = soundfile.read(stream, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise CorpusError(
                f"{self.name} is a damaged SoundFont: its recording '{sample.name}' "
                f"cannot be decoded ({error}); fetch it again."
            ) from None
        return np.ascontiguousarray(samples[:, 0])


_TABLES = {
    b"phdr": _PRESET, b"pbag": _BAG, b"pgen": _GENERATOR, b"inst": _INSTRUMENT, b"ibag": _BAG,
    b"igen": _GENERATOR, b"shdr": _SAMPLE,
}  # fmt: skip
_FOURCC = set(_TABLES) | {
    b"LIST", b"smpl", b"sm24", b"pmod", b"imod", b"ifil", b"isng", b"INAM", b"irom", b"iver",
    b"ICRD", b"IENG", b"IPRD", b"ICOP", b"ICMT", b"ISFT",
}  # fmt: skip


def _walk(view: memoryview, where: str) -> dict[bytes, memoryview]:
    """Every leaf chunk by its four letters, whether or not odd chunks are padded."""
    chunks: dict[bytes, memoryview] = {}
    todo = [(12, len(view))]
    while todo:
        at, stop = todo.pop()
        while at + 8 <= stop:
            name = bytes(view[at : at + 4])
            size = int.from_bytes(view[at + 4 : at + 8], "little")
            begin, end = at + 8, at + 8 + size
            if end > len(view):
                raise CorpusError(
                    f"{where} is cut short: its '{name.decode('latin-1')}' part should end at byte "
                    f"{end} and the file has {len(view)}; fetch it again."
                )
            if name == b"LIST":
                todo.append((begin + 4, end))
            else:
                chunks.setdefault(name, view[begin:end])
            # RIFF pads to even; SF3 writers do not: believe whichever leads to a known name.
            at = end
            if size % 2 and bytes(view[end : end + 4]) not in _FOURCC:
                at = end + 1
    return chunks


def _table(chunks: dict[bytes, memoryview], name: bytes, where: str) -> np.ndarray:
    raw, row = chunks[name], _TABLES[name]
    if len(raw) % row.itemsize or len(raw) == 0:
        raise CorpusError(
            f"{where} is a damaged SoundFont: its '{name.decode()}' part has {len(raw)} bytes, "
            f"expected a multiple of {row.itemsize}; fetch it again."
        )
    return np.frombuffer(raw, row)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1").strip()


def _sample(row: np.void) -> Sample:
    start, kind = int(row["start"]), int(row["kind"])
    # SF3 counts loops from the sample's own start already; SF2 from the start of the pool.
    origin = 0 if kind & _VORBIS else start
    return Sample(
        _text(row["name"]), start, int(row["end"]), int(row["loop_start"]) - origin,
        int(row["loop_end"]) - origin, int(row["sample_rate"]), int(row["root"]),
        int(row["correction"]), int(row["link"]), kind,
    )  # fmt: skip


def _check(sample: Sample, size: int, where: str) -> None:
    """Refuse a recording that does not lie within the wave data or has no usable rate."""
    if sample.kind & _ROM:
        raise CorpusError(
            f"{where} needs a recording in the ROM of a sound card ('{sample.name}'); "
            "choose a font that carries its own recordings."
        )
    last = sample.end if sample.compressed else 2 * sample.end
    if not (sample.start < sample.end and last <= size and 400 <= sample.sample_rate <= 400_000):
        raise CorpusError(
            f"{where} is a damaged SoundFont: its recording '{sample.name}' lies at "
            f"{sample.start}..{sample.end} of {size} bytes at {sample.sample_rate} Hz; "
            "fetch it again."
        )


@dataclass
class _Bag:
    """The generators of one zone as written, with the ranges and the target taken out."""

    values: dict[str, int]
    keys: tuple[int, int] | None = None
    velocities: tuple[int, int] | None = None
    target: int | None = None


def _bags(
    headers: np.ndarray, bags: np.ndarray, generators: np.ndarray, target: str
) -> list[tuple[_Bag, list[_Bag]]]:
    """Per preset or instrument: its global zone and its local zones."""
    numbers, amounts = generators["number"].tolist(), generators["amount"].tolist()
    starts = bags["generator"].tolist()
    first = headers["bag"].tolist()
    out = []
    for index in range(len(headers) - 1):
        everywhere, local = _Bag({}), []
        for at in range(first[index], first[index + 1]):
            bag = _Bag({})
            for row in range(starts[at], starts[at + 1]):
                name, amount = _NAMES.get(numbers[row]), amounts[row]
                if name in ("keys", "velocities"):
                    setattr(bag, name, (amount & 0xFF, (amount >> 8) & 0xFF))
                elif name == target:
                    bag.target = amount & 0xFFFF
                elif name is not None:
                    bag.values[name] = amount
            if bag.target is not None:
                local.append(bag)
            elif at == first[index]:
                everywhere = bag
        out.append((everywhere, local))
    return out


def _resolve(tables: dict[bytes, np.ndarray]) -> list[Preset]:
    """Flatten presets over instruments: instrument values, plus the preset's as offsets (9.4)."""
    instruments = _bags(tables[b"inst"], tables[b"ibag"], tables[b"igen"], "sample")
    players = _bags(tables[b"phdr"], tables[b"pbag"], tables[b"pgen"], "instrument")
    presets = []
    for row, (above, layers) in zip(tables[b"phdr"][:-1], players, strict=True):
        zones = []
        for layer in layers:
            offsets = {
                key: value
                for key, value in {**above.values, **layer.values}.items()
                if key not in _INSTRUMENT_ONLY
            }
            assert layer.target is not None
            beneath, parts = instruments[layer.target]
            for part in parts:
                values = {**_DEFAULTS, **beneath.values, **part.values}
                for key, value in offsets.items():
                    values[key] = values.get(key, 0) + value
                keys = _overlap(part.keys, beneath.keys, layer.keys, above.keys)
                velocities = _overlap(
                    part.velocities, beneath.velocities, layer.velocities, above.velocities
                )
                if keys and velocities:
                    assert part.target is not None
                    zones.append(Zone(part.target, keys, velocities, values))
        presets.append(
            Preset(_text(row["name"]), int(row["bank"]), int(row["program"]), tuple(zones))
        )
    return sorted(presets, key=lambda preset: (preset.bank, preset.program))


def _overlap(
    part: tuple[int, int] | None, beneath: tuple[int, int] | None,
    layer: tuple[int, int] | None, above: tuple[int, int] | None,
) -> tuple[int, int] | None:  # fmt: skip
    """Local ranges replace global ones on each level; the levels intersect."""
    low, high = 0, 127
    for local, general in ((part, beneath), (layer, above)):
        limits = local or general or (0, 127)
        low, high = max(low, limits[0]), min(high, limits[1])
    return (low, high) if low <= high else None
