"""Play one note of a SoundFont preset into samples, faithfully and without aliasing.

A note is its recording with the loop written out, read at another sample rate (which is what
transposition is), brought to the output rate by one band-limited resampling, then shaped by a
volume envelope in decibels and a resonant low-pass. Layers are added. Nothing random happens.

Conventions follow FluidSynth where fonts rely on it: attenuation counts 0.4 of what is written (the
EMU hardware's scale), velocity lowers the level by 40 log10(127 / velocity) dB, LFOs are triangles.
Of a stereo pair only the left recording is played: summing the two combs the sound. Pitch LFOs and
pitch envelopes are left out (they would break the one exact resampling), and so are reverb and
chorus.

Source: SoundFont Technical Specification 2.04, chapters 8 and 9.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import cast

import numpy as np
import soxr
from scipy.signal import butter, lfilter

from timbrespace.data.soundfont import Preset, SoundFont, Zone

_BLOCK = 32  # samples between control points: 2 ms at 16 kHz, shorter than any audible attack
_FILTER_BLOCKS = 8  # control points per filter update: 16 ms
_SILENT_DB = -96.0  # below one step of 16 bits
_OPEN = 0.45  # a cutoff above this share of the sample rate is no filter
_HALF = re.compile(r"[ _-]*\(?[LR]\)?$")  # "Flute C#4(L)", "Strings G2R"
_KEPT = 24  # resampled recordings kept: neighbours in pitch and velocity often share them


class Sampler:
    """Plays notes of one font; keeps recently resampled recordings, since velocities share them."""

    def __init__(self, font: SoundFont, sample_rate: int = 16000) -> None:
        self.font = font
        self.sample_rate = sample_rate
        self._waves: OrderedDict[tuple[float, ...], np.ndarray] = OrderedDict()
        # Synthetic pads carry DC in their loops; 20 Hz is below every note.
        self._high_pass = cast(
            tuple[np.ndarray, np.ndarray], butter(2, 20.0, "highpass", fs=sample_rate)
        )

    def note(
        self, preset: Preset, key: int, velocity: int, *, held: float = 3.0, released: float = 1.0
    ) -> np.ndarray:
        """One note (n,) float32, `held` + `released` seconds, at the font's own relative level.

        `key` is a MIDI number 0..127, `velocity` 1..127. All zeros if no zone serves the key.
        """
        length = round((held + released) * self.sample_rate)
        out = np.zeros(length, np.float32)
        for zone in audible_zones(self.font, preset.zones, key, velocity):
            layer = self._layer(zone, key, velocity, length, held)
            out[: len(layer)] += layer
        numerator, denominator = self._high_pass
        clean = np.asarray(lfilter(numerator, denominator, out))
        # The release of long sounds is still running at the end: 10 ms of fade avoid the click.
        fade = min(length, round(0.01 * self.sample_rate))
        clean[length - fade :] *= np.linspace(1.0, 0.0, fade)
        return clean.astype(np.float32)

    def _layer(self, zone: Zone, key: int, velocity: int, length: int, held: float) -> np.ndarray:
        values = zone.generators
        key = values["fixed_key"] if values["fixed_key"] >= 0 else key
        velocity = values["fixed_velocity"] if values["fixed_velocity"] > 0 else velocity
        times = np.arange(0, length + _BLOCK, _BLOCK) / self.sample_rate
        level = volume_db(values, key, velocity, times, held)
        audible = np.flatnonzero(level > _SILENT_DB)
        if len(audible) == 0:
            return np.zeros(0, np.float32)
        # A quarter-second grid lets velocities with slightly different ends share one resampling.
        step = self.sample_rate // 4
        needed = min(length, -(-(int(audible[-1]) + 1) * _BLOCK // step) * step)
        wave = self._resampled(zone, key, needed, held)
        wave = self._filtered(wave, values, key, times, held)
        gain = np.where(level > _SILENT_DB, np.power(10.0, level / 20), 0).astype(np.float32)
        return wave * _between(gain, len(wave))

    def _resampled(self, zone: Zone, key: int, needed: int, held: float) -> np.ndarray:
        """The recording at the note's pitch, up to `needed` samples at the output rate."""
        sample, values = self.font.samples[zone.sample], zone.generators
        rate = sample.sample_rate * 2.0 ** (transposition(self.font, zone, key) / 12)
        start, end, loop_start, loop_end = zone_points(self.font, zone)
        mode = values.get("loop_mode", 0) & 3
        looped = mode in (1, 3) and loop_start >= 0 and loop_start + 2 <= loop_end <= end
        token = (zone.sample, rate, start, end, loop_start, loop_end, mode, needed)
        if token in self._waves:
            self._waves.move_to_end(token)
            return self._waves[token]
        audio = self.font.audio(zone.sample)[:end]
        # A little more than needed, so that the resampler's end lies outside.
        frames = math.ceil((needed + 256) * rate / self.sample_rate)
        if not looped:
            part = audio[start : start + frames]
        elif mode == 1:
            part = _unroll(audio, start, loop_start, loop_end, start + frames)
        else:
            leave = start + round(held * rate)
            part = _unroll(audio, start, loop_start, loop_end, max(leave, loop_end))
            phase = (len(part) + start - loop_start) % (loop_end - loop_start)
            part = np.concatenate([part, audio[loop_start + phase :]])[:frames]
        wave = soxr.resample(np.ascontiguousarray(part), rate, self.sample_rate, quality="HQ")
        wave = wave[:needed]
        self._waves[token] = wave
        if len(self._waves) > _KEPT:
            self._waves.popitem(last=False)
        return wave

    def _filtered(
        self, wave: np.ndarray, values: dict[str, int], key: int, times: np.ndarray, held: float
    ) -> np.ndarray:
        """The resonant low-pass, in pieces where its cutoff moves."""
        if len(wave) == 0:
            return wave
        cents = cutoff_cents(values, key, times[::_FILTER_BLOCKS], held)
        hertz = 8.176 * 2.0 ** (np.minimum(cents, 13500) / 1200)
        if hertz.min() >= _OPEN * self.sample_rate:
            return wave
        hertz = np.clip(hertz, 20.0, _OPEN * self.sample_rate)
        # Steps of a thirtieth of an octave are inaudible and leave long pieces alone.
        steps = np.round(np.log2(hertz) * 30).astype(int)
        edges = np.flatnonzero(np.diff(steps)) + 1
        resonance = 10.0 ** ((max(values.get("resonance", 0), 0) / 10 - 3.01) / 20)
        out, state = np.empty(len(wave), np.float32), np.zeros(2)
        size = _BLOCK * _FILTER_BLOCKS
        for first, last in zip([0, *edges], [*edges, len(steps)], strict=True):
            begin, end = first * size, min(last * size, len(wave))
            if begin >= end:
                break
            b, a = _low_pass(2.0 ** (steps[first] / 30), resonance, self.sample_rate)
            out[begin:end], state = lfilter(b, a, wave[begin:end], zi=state)
        return out


def audible_zones(font: SoundFont, zones: Iterable[Zone], key: int, velocity: int) -> list[Zone]:
    """The zones that sound, without the right half of stereo pairs whose left half sounds too.

    Halves are told by their name, since many fonts (FluidR3 among them) leave links empty.
    """
    zones = [zone for zone in zones if zone.serves(key, velocity)]
    lefts = {_stem(font, zone) for zone in zones if _side(font, zone) < 0}
    return [zone for zone in zones if _side(font, zone) <= 0 or _stem(font, zone) not in lefts]


def _side(font: SoundFont, zone: Zone) -> int:
    """-1 for the left half of a stereo pair, 1 for the right one, 0 for anything else."""
    sample, pan = font.samples[zone.sample], zone.generators.get("pan", 0)
    if sample.is_left or sample.is_right:
        return -1 if sample.is_left else 1
    return -1 if pan <= -490 else 1 if pan >= 490 else 0


def _stem(font: SoundFont, zone: Zone) -> str:
    return _HALF.sub("", font.samples[zone.sample].name)


def transposition(font: SoundFont, zone: Zone, key: int) -> float:
    """How far a recording is shifted to give `key`, in semitones."""
    sample, values = font.samples[zone.sample], zone.generators
    root = values["root"] if 0 <= values["root"] <= 127 else sample.root
    root = root if root <= 127 else 60  # 255 marks an unpitched recording (7.10)
    semitones = (key - root) * values["scale_tuning"] / 100 + values.get("coarse_tune", 0)
    return semitones + (values.get("fine_tune", 0) + sample.correction) / 100


def volume_db(
    values: dict[str, int], key: int, velocity: int, times: np.ndarray, held: float
) -> np.ndarray:
    """Level in dB at `times` (s): velocity, attenuation, envelope and tremolo together.

    The attack rises linearly in amplitude; decay and release fall linearly in dB and take their
    written time for 100 dB (8.1.3).
    """
    delay, attack = _seconds(values["delay"]), _seconds(values["attack"])
    hold = _seconds(values["hold"] + values.get("key_to_hold", 0) * (60 - key))
    decay = _seconds(values["decay"] + values.get("key_to_decay", 0) * (60 - key))
    release = max(_seconds(values["release"]), 0.01)
    floor = -min(max(values.get("sustain", 0), 0), 1440) / 10

    def before_release(t: np.ndarray) -> np.ndarray:
        rise = np.clip((t - delay) / max(attack, 1e-3), 1e-6, 1.0)
        fall = np.maximum(floor, -100.0 * np.maximum(t - delay - attack - hold, 0) / decay)
        return 20 * np.log10(rise) + fall

    level = before_release(np.minimum(times, held))
    level -= 100.0 * np.maximum(times - held, 0) / release
    if values.get("lfo_to_volume", 0):
        level += _triangle(values, times) * values["lfo_to_volume"] / 10
    level -= 0.4 * max(values.get("attenuation", 0), 0) / 10
    return level - 40 * math.log10(127 / velocity)


def cutoff_cents(values: dict[str, int], key: int, times: np.ndarray, held: float) -> np.ndarray:
    """The low-pass cutoff in absolute cents (6900 is 440 Hz) at `times` (s)."""
    cents = np.full(len(times), float(values["cutoff"]))
    depth = values.get("envelope_to_cutoff", 0)
    if depth:
        delay, attack = _seconds(values["filter_delay"]), _seconds(values["filter_attack"])
        hold = _seconds(values["filter_hold"] + values.get("key_to_filter_hold", 0) * (60 - key))
        decay = _seconds(values["filter_decay"] + values.get("key_to_filter_decay", 0) * (60 - key))
        floor = 1 - min(max(values.get("filter_sustain", 0), 0), 1000) / 1000
        t = np.minimum(times, held)
        rise = np.clip((t - delay) / max(attack, 1e-3), 0.0, 1.0)
        fall = np.maximum(floor, 1 - np.maximum(t - delay - attack - hold, 0) / decay)
        left = 1 - np.maximum(times - held, 0) / _seconds(values["filter_release"])
        cents += depth * np.maximum(np.minimum(rise, fall) * left, 0)
    if values.get("lfo_to_cutoff", 0):
        cents += _triangle(values, times) * values["lfo_to_cutoff"]
    return cents


def _seconds(timecents: int) -> float:
    return 2.0 ** (min(max(timecents, -12000), 8000) / 1200)


def _triangle(values: dict[str, int], times: np.ndarray) -> np.ndarray:
    """The modulation LFO in [-1, 1]: it starts at 0 after its delay and rises first."""
    hertz = 8.176 * 2.0 ** (values.get("lfo_rate", 0) / 1200)
    phase = np.maximum(times - _seconds(values["lfo_delay"]), 0) * hertz + 0.25
    return 1 - 4 * np.abs(phase % 1.0 - 0.5)


def zone_points(font: SoundFont, zone: Zone) -> tuple[int, int, int, int]:
    """Start, end, loop start and loop end of a zone, in frames of its recording."""
    sample, values = font.samples[zone.sample], zone.generators

    def moved(name: str) -> int:
        return values.get(name, 0) + 32768 * values.get(f"{name}_coarse", 0)

    frames = len(font.audio(zone.sample))
    start = min(max(moved("start"), 0), frames - 1)
    end = min(max(frames + moved("end"), start + 1), frames)
    return start, end, sample.loop_start + moved("loop_start"), sample.loop_end + moved("loop_end")


def _unroll(
    audio: np.ndarray, start: int, loop_start: int, loop_end: int, until: int
) -> np.ndarray:
    """Attack and as many turns of the loop as reach frame `until`."""
    if until <= loop_end:
        return audio[start:until]
    turns = np.resize(audio[loop_start:loop_end], until - max(loop_end, start))
    return np.concatenate([audio[start:loop_end], turns])


def _between(points: np.ndarray, length: int) -> np.ndarray:
    """Straight lines between control points that lie `_BLOCK` samples apart."""
    blocks = -(-length // _BLOCK)
    ramp = np.arange(_BLOCK, dtype=np.float32) / _BLOCK
    ends = points[: blocks + 1]
    lines = ends[:-1, None] + (ends[1:] - ends[:-1])[:, None] * ramp
    return lines.reshape(-1)[:length]


def _low_pass(hertz: float, resonance: float, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Two-pole low-pass by the bilinear transform; the gain shrinks as the resonance grows."""
    omega = 2 * math.pi * hertz / sample_rate
    alpha, cosine = math.sin(omega) / (2 * resonance), math.cos(omega)
    gain = 1 / math.sqrt(max(resonance, 1.0))
    b1 = (1 - cosine) * gain / (1 + alpha)
    numerator = np.array([b1 / 2, b1, b1 / 2])
    return numerator, np.array([1.0, -2 * cosine / (1 + alpha), (1 - alpha) / (1 + alpha)])
