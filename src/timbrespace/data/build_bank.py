"""Build the package's own bank: a font's melodic General MIDI presets as one small SF3 file.

Run `python -m timbrespace.data.build_bank FONT.sf2 OUT`. Every recording that `instruments` can
play becomes mono OGG-Vorbis at about 16 kHz (more where it is also played lower), cut to what a
four-second note needs; zones are written flat. The same font and libraries give the same bytes, and
`provenance.json` records where they came from.

Loops stay in tune: a loop must be a whole number of frames, and a short one would go flat if its
length were merely rounded, so each recording gets the sample rate (16 kHz or up to a few per cent
more) at which its loop is whole.

Source: SoundFont Technical Specification 2.04; RFC 3533 for OGG pages.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import struct
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from timbrespace.atomic import write_bytes, write_text
from timbrespace.data.instruments import BANK, HELD, RELEASED, SAMPLE_RATE, borne_pitches, family_of
from timbrespace.data.sampler import audible_zones, transposition, zone_points
from timbrespace.data.soundfont import GENERATORS, Preset, SoundFont, Zone
from timbrespace.errors import TimbrespaceError

# Known fonts by checksum; another font is recorded as unknown.
_KNOWN = {
    "74594e8f4250680adf590507a306655a299935343583256f3b722c48a1bc1cb0": {
        "name": "FluidR3 GM",
        "package": "fluid-soundfont-gm",
        "version": "3.1-5.3",
        "distribution": "Debian",
        "authors": "Frank Wen and contributors, 2000-2002, 2008",
        "licence": "MIT",
    }
}
# Vorbis, 0 best to 1 smallest. At 0.3 the bank differs from its font by 0.24 dB (median of log-mel
# cells within 50 dB of the peak; bench/instruments.py), in 11 MB, or 8 MB in a wheel: every stream
# repeats its codebooks, which a wheel compresses.
_QUALITY = 0.3
# Said otherwise in the bank (loops, ends, ranges), or without meaning in mono.
_DROPPED = {
    "pan", "keys", "velocities", "sample", "instrument", "end", "end_coarse", "loop_start",
    "loop_end", "loop_start_coarse", "loop_end_coarse",
}  # fmt: skip
_GUARD = 64  # frames after a loop, in which its seam may be moved
_LOOP = 0.1  # seconds that a loop has at least


@dataclass(frozen=True, order=True)
class _Use:
    """A recording of the font with the loop that a zone sets in it; (0, 0) is no loop."""

    sample: int
    loop: tuple[int, int]


@dataclass
class _Need:
    """The range of speeds at which a recording is played; 2 is an octave up."""

    fastest: float = 0.0
    slowest: float = 1.0

    @property
    def seconds(self) -> float:
        return (HELD + RELEASED) * self.fastest + 0.1

    @property
    def sample_rate(self) -> float:
        # Played slower, 16 kHz would lose treble; the last two semitones are not worth the bytes.
        return SAMPLE_RATE * min(max(2 ** (-2 / 12) / self.slowest, 1.0), 2.0)


@dataclass(frozen=True)
class _Recording:
    """A recording of the bank: its stream and its header."""

    name: str
    stream: bytes
    frames: int
    loop: tuple[int, int]
    sample_rate: int
    root: int
    correction: int


def build_bank(font_path: str | Path, out: str | Path, *, quality: float = _QUALITY) -> Path:
    """Write the bank and its provenance.json into the folder `out`; returns the bank's path.

    `quality` is soundfile's compression level for Vorbis, 0 (best) to 1 (smallest).
    """
    font_path, out = Path(font_path), Path(out)
    font = SoundFont.open(font_path)
    presets, needs = _choose(font)
    recordings: list[_Recording] = []
    index: dict[_Use, int] = {}
    for use in sorted(needs):
        index[use] = len(recordings)
        recordings.append(_recording(font, use, needs[use], len(recordings), quality))
    font.forget()
    data = _write(presets, recordings, index, font)
    out.mkdir(parents=True, exist_ok=True)
    path = out / BANK.name
    write_bytes(path, data)
    source = hashlib.sha256(font_path.read_bytes()).hexdigest()
    facts = {
        "bank": path.name,
        "bank_sha256": hashlib.sha256(data).hexdigest(),
        "bank_bytes": len(data),
        "source": _KNOWN.get(source, {"name": font_path.stem, "licence": "unknown"}),
        "source_file": font_path.name,
        "source_sha256": source,
        "command": f"python -m timbrespace.data.build_bank {font_path.name} OUT",
        "presets": len(presets),
        "recordings": len(recordings),
        "minutes": round(sum(r.frames / r.sample_rate for r in recordings) / 60, 2),
        "changes": "melodic General MIDI presets only; left channel of stereo pairs; resampled to "
        f"about {SAMPLE_RATE} Hz, or more where it is played lower; cut to the length of a "
        f"four-second note; Vorbis, compression level {quality}; pan, reverb and chorus dropped",
        "made_with": {
            "soundfile": soundfile.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "soxr": soxr.__version__,
        },
    }
    write_text(out / "provenance.json", json.dumps(facts, indent=1) + "\n")
    return path


def _use(font: SoundFont, zone: Zone) -> _Use:
    if not zone.generators.get("loop_mode", 0) & 1:
        return _Use(zone.sample, (0, 0))
    _, end, loop_start, loop_end = zone_points(font, zone)
    whole = loop_start >= 0 and loop_start + 2 <= loop_end <= end
    return _Use(zone.sample, (loop_start, loop_end) if whole else (0, 0))


def _choose(font: SoundFont) -> tuple[list[Preset], dict[_Use, _Need]]:
    """Presets with the zones that sound, and what they need of each recording."""
    presets: list[Preset] = []
    needs: dict[_Use, _Need] = defaultdict(_Need)
    for preset in font.presets:
        if preset.bank != 0 or family_of(preset.program) is None:
            continue
        pitches, _ = borne_pitches(font, preset)
        kept: dict[int, Zone] = {}
        for pitch in pitches:
            for velocity in range(1, 128):
                for zone in audible_zones(font, preset.zones, pitch, velocity):
                    kept[id(zone)] = zone
                    need = needs[_use(font, zone)]
                    speed = 2 ** (transposition(font, zone, pitch) / 12)
                    need.fastest = max(need.fastest, speed)
                    need.slowest = min(need.slowest, speed)
        zones = tuple(zone for zone in preset.zones if id(zone) in kept)
        if zones:
            presets.append(Preset(preset.name, preset.bank, preset.program, zones))
        font.forget()
    return presets, dict(needs)


def _recording(font: SoundFont, use: _Use, need: _Need, serial: int, quality: float) -> _Recording:
    sample, audio = font.samples[use.sample], font.audio(use.sample)
    frames = math.ceil(need.seconds * sample.sample_rate)
    start, end = use.loop
    ratio = min(1.0, need.sample_rate / sample.sample_rate)
    if 0 < end < frames:
        # Several turns make one loop of the bank, since the codec's error would buzz at the rate of
        # a short one. It is whole, and at least as fine as the rate asks for.
        length = (end - start) * math.ceil(_LOOP * sample.sample_rate / (end - start))
        whole = max(2, math.ceil(length * ratio - 1e-9))
        ratio = whole / length
        first = math.ceil(start * ratio)
        loop = (first, first + whole)
        # Resample the loop written out, so that the seam is as smooth as the turns.
        turns = length - (end - start) + math.ceil((_GUARD + 512) / ratio) + 2
        audio = np.concatenate([audio[:end], np.resize(audio[start:end], turns)])
        size = loop[1] + _GUARD
    else:
        audio, loop = audio[:frames], (0, 0)
        size = math.ceil(len(audio) * ratio)
    if ratio != 1.0:
        audio = soxr.resample(audio, sample.sample_rate, sample.sample_rate * ratio, quality="VHQ")
    audio = audio[:size]
    peak = float(np.abs(audio).max(initial=0))
    if peak > 0.99:  # resampling overshoots and Vorbis clips
        audio = audio * (0.99 / peak)
    rate = round(sample.sample_rate * ratio)
    # Short streams are mostly codebooks, so the best quality costs little; their loops need it.
    stream = _vorbis(audio, rate, serial, quality if len(audio) > rate else 0.0)
    return _Recording(
        sample.name, stream, len(audio), _smoothest(stream, loop), rate, sample.root,
        sample.correction,
    )  # fmt: skip


def _smoothest(stream: bytes, loop: tuple[int, int]) -> tuple[int, int]:
    """The loop moved by up to `_GUARD` frames, to where the codec left its seam smoothest."""
    if loop == (0, 0):
        return loop
    audio, _ = soundfile.read(io.BytesIO(stream), dtype="float64")
    start, end = loop
    # Five frames about the seam: the last before it and those after it.
    before, after = max(start - 2, 0), _GUARD + start - max(start - 2, 0)
    jump = (audio[before : before + after] - audio[end - start + before :][:after]) ** 2
    cost = np.convolve(jump, np.ones(5), "valid")
    move = int(cost.argmin()) + (2 - (start - before))
    return start + move, end + move


def _vorbis(audio: np.ndarray, sample_rate: int, serial: int, quality: float) -> bytes:
    """One OGG-Vorbis stream, its random serial number replaced so that builds repeat."""
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", sample_rate, 1, "VORBIS", format="OGG", compression_level=quality
    ) as sound:
        for begin in range(0, len(audio), 4096):  # libsndfile's encoder dislikes long blocks
            sound.write(audio[begin : begin + 4096])
    data, at = bytearray(file.getvalue()), 0
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        segments = data[at + 26]
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        struct.pack_into("<I", data, at + 14, serial + 1)
        struct.pack_into("<I", data, at + 22, 0)
        struct.pack_into("<I", data, at + 22, _checksum(data[at : at + size]))
        at += size
    return bytes(data)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_CRC = _crc_table()


def _checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _CRC[(value >> 24) ^ byte]
    return value


def _write(
    presets: list[Preset], recordings: list[_Recording], index: dict[_Use, int], font: SoundFont
) -> bytes:
    """The bytes of the SF3 file: names, streams, and the hierarchy of presets and zones."""
    streams, heads = io.BytesIO(), []
    for item in recordings:
        begin = streams.tell()
        streams.write(item.stream)
        heads.append(
            struct.pack(
                "<20sIIIIIBbHH",
                _name(item.name),
                begin,
                streams.tell(),
                *item.loop,
                item.sample_rate,
                item.root,
                item.correction,
                0,
                0x11,
            )  # fmt: skip
        )
    heads.append(struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0))
    phdr, pbag, pgen, inst, ibag, igen = [], [], [], [], [], []
    for number, preset in enumerate(presets):
        phdr.append(
            struct.pack("<20sHHHIII", _name(preset.name), preset.program, 0, number, 0, 0, 0)
        )
        pbag.append(struct.pack("<HH", len(pgen), 0))
        pgen.append(struct.pack("<HH", GENERATORS["instrument"], number))
        inst.append(struct.pack("<20sH", _name(preset.name), len(ibag)))
        zones = [_generators(zone, font, recordings, index) for zone in preset.zones]
        common = _common(zones)
        ibag.append(struct.pack("<HH", len(igen), 0))
        igen.extend(struct.pack("<Hh", key, value) for key, value in sorted(common.items()))
        for zone, values in zip(preset.zones, zones, strict=True):
            ibag.append(struct.pack("<HH", len(igen), 0))
            igen.append(struct.pack("<HBB", GENERATORS["keys"], *zone.keys))
            igen.append(struct.pack("<HBB", GENERATORS["velocities"], *zone.velocities))
            igen.extend(
                struct.pack("<Hh", key, value)
                for key, value in sorted(values.items())
                if common.get(key) != value
            )
            igen.append(struct.pack("<HH", GENERATORS["sample"], index[_use(font, zone)]))
    phdr.append(struct.pack("<20sHHHIII", b"EOP", 0, 0, len(presets), 0, 0, 0))
    pbag.append(struct.pack("<HH", len(pgen), 0))
    inst.append(struct.pack("<20sH", b"EOI", len(ibag)))
    ibag.append(struct.pack("<HH", len(igen), 0))
    assert len(igen) < 65536 and len(ibag) < 65536
    end = struct.pack("<HH", 0, 0)
    tables = [
        (b"phdr", phdr), (b"pbag", pbag), (b"pmod", [bytes(10)]), (b"pgen", [*pgen, end]),
        (b"inst", inst), (b"ibag", ibag), (b"imod", [bytes(10)]), (b"igen", [*igen, end]),
        (b"shdr", heads),
    ]  # fmt: skip
    title = f"{Path(font.name).stem}, melodic, 16 kHz".encode("latin-1", "replace") + b"\0"
    info = _list(b"INFO", [(b"ifil", struct.pack("<HH", 3, 0)), (b"INAM", title)])
    wave = _list(b"sdta", [(b"smpl", streams.getvalue())])
    names = _list(b"pdta", [(name, b"".join(rows)) for name, rows in tables])
    return _chunk(b"RIFF", b"sfbk" + info + wave + names)


def _generators(
    zone: Zone, font: SoundFont, recordings: list[_Recording], index: dict[_Use, int]
) -> dict[int, int]:
    """A zone's numbers by generator, without what mono hides; start offsets in the bank's rate."""
    ratio = recordings[index[_use(font, zone)]].sample_rate / font.samples[zone.sample].sample_rate
    values = {}
    for name, value in zone.generators.items():
        if name in _DROPPED:
            continue
        if name in ("start", "start_coarse"):
            value = round(value * ratio)
        values[GENERATORS[name]] = min(max(value, -32768), 32767)
    return values


def _common(zones: list[dict[int, int]]) -> dict[int, int]:
    """What can be said once: numbers that every zone has, at their commonest value."""
    shared = set.intersection(*(set(values) for values in zones))
    return {key: Counter(values[key] for values in zones).most_common(1)[0][0] for key in shared}


def _name(text: str) -> bytes:
    return text.encode("latin-1", "replace")[:20]


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _list(name: bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    return _chunk(b"LIST", name + b"".join(_chunk(*chunk) for chunk in chunks))


def main() -> int:
    """The command line; errors are one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description="Build the bank of sampled instruments.")
    parser.add_argument("font", help="an .sf2 file, such as Debian's FluidR3_GM.sf2")
    parser.add_argument("out", help="the folder to write the bank and provenance.json into")
    parser.add_argument("--quality", type=float, default=_QUALITY)
    arguments = parser.parse_args()
    try:
        path = build_bank(arguments.font, arguments.out, quality=arguments.quality)
    except (TimbrespaceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
