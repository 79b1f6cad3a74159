"""How near sounds come back from their pictures: the figures of every way back.

Conventions
-----------
Sounds are (n,) at one sample rate, divided by the original's peak. rmse_db compares log-mel pictures,
each relative to its own loudest cell. mr_stft is that of `losses.spectral` (Yamamoto, Song & Kim 2020) at
windows of 256 to 2,048 samples. pitch_kept: the share of sounds whose pitch (`audio.pitch`) comes back
within 50 cents; a sound without one keeps it by coming back without one. A perfect way back has 0, 0
and 1. ms: CPU time for two seconds of sound.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio.pitch import note
from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import Recovery
from timbrespace.losses.spectral import multi_resolution_stft
from timbrespace.machine import torch_threads
from timbrespace.vocoders.recordings import Recordings

if TYPE_CHECKING:
    from timbrespace.vocoders.vocoder import Vocoder

SECONDS = 2.0
KEPT_CENTS = 50.0
SILENT = 1e-4  # a peak below it is silence

Back = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]


def drawn(recordings: Recordings, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Up to `count` recordings as (N, samples) of two seconds, divided by their peaks, and pitches
    (N,); those that are silent are passed over."""
    samples = round(SECONDS * recordings.sample_rate)
    sounds, pitches = [], []
    for number in recordings.order(np.random.default_rng(seed)):
        sound = recordings.samples(int(number))[:samples]
        peak = float(np.abs(sound).max(initial=0.0))
        if peak > SILENT:
            sounds.append(np.pad(sound / peak, (0, samples - len(sound))))
            pitches.append(float(recordings.pitch[number]))
        if len(sounds) == count:
            break
    return torch.from_numpy(np.stack(sounds)), torch.tensor(pitches)


def figures(feature: LogMel, original: Tensor, made: Tensor) -> dict[str, float]:
    """rmse_db, mr_stft and pitch_kept of sounds (N, n), means over sounds."""
    one, other = (feature.to_db(feature.analyse_all(x).values) for x in (original, made))
    rate = feature.sample_rate
    return {
        "rmse_db": float((one - other).square().mean((1, 2)).sqrt().mean()),
        "mr_stft": float(multi_resolution_stft(made, original)),
        "pitch_kept": _pitch_kept(original.numpy(), made.numpy(), rate),
    }


def _pitch_kept(original: np.ndarray, made: np.ndarray, sample_rate: int) -> float:
    def kept(one: float | None, other: float | None) -> bool:
        if one is None or other is None:
            return one is other
        return abs(1200.0 * np.log2(other / one)) < KEPT_CENTS

    pairs = zip(original, made, strict=True)
    return float(np.mean([kept(note(x, sample_rate), note(y, sample_rate)) for x, y in pairs]))


def measure(
    feature: LogMel, sounds: Tensor, pitch: Tensor, ways: dict[str, Back],
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each way back: method, rmse_db, mr_stft, pitch_kept, ms; one thread, one sound at a time.

    A way takes a picture (1, mels, T), its level (1,), its pitch (1,), the recording (1, n) for ways that
    only a bench can go, and the length in samples.
    """
    with torch_threads(1):
        picture = feature.analyse_all(sounds)
        rows = []
        for done, (name, way) in enumerate(ways.items()):
            parts = [
                (picture.values[i : i + 1], picture.level_db[i : i + 1], pitch[i : i + 1],
                 sounds[i : i + 1], sounds.shape[1])
                for i in range(len(sounds))
            ]  # fmt: skip
            way(*parts[0])  # warm before the clock runs
            began = time.process_time()
            made = torch.cat([way(*part) for part in parts])
            ms = 1e3 * (time.process_time() - began) / len(sounds)
            ms *= SECONDS * feature.sample_rate / sounds.shape[1]
            rows.append({"method": name, **figures(feature, sounds, made), "ms": ms})
            if progress:
                progress(done + 1, len(ways))
        return rows


def way_back(vocoder: "Vocoder", *, told: bool = True) -> Back:
    """A vocoder's, which is told the pitch or not."""

    def invert(values: Tensor, level: Tensor, pitch: Tensor, _: Tensor, length: int) -> Tensor:
        return vocoder.invert(values, level, pitch=pitch if told else None, length=length)

    return invert


def classical(feature: LogMel) -> dict[str, Back]:
    """The feature's own inversion, at 5 rounds and as it is by default."""

    def at(recovery: Recovery) -> Back:
        return lambda values, level, _, __, length: feature.invert(
            values, level, recovery=recovery, length=length
        )

    few, usual = Recovery(rounds=5), Recovery()
    return {f"{one.method}, {one.rounds} rounds": at(one) for one in (few, usual)}


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as an aligned table."""
    width = max(len(row["method"]) for row in rows)
    lines = [f"{'':{width}} {'log-mel RMSE dB':>16} {'MR-STFT':>8} {'pitch kept':>11} {'ms':>7}"]
    lines += [
        f"{row['method']:{width}} {row['rmse_db']:16.2f} {row['mr_stft']:8.2f} "
        f"{row['pitch_kept']:11.2f} {row['ms']:7.1f}"
        for row in rows
    ]
    return "\n".join(lines)
