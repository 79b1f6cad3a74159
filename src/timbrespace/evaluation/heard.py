"""What is heard: how far the spectra of a model's sounds are from those of the recordings.

Conventions
-----------
Pictures of every feature become sound as `reconstruct` does it, through the feature's inversion and as
loud (RMS) as the original; how far the peak is off stands beside. They are compared with the recording
over the feature's window or the recording where that is shorter, as `render.distance` says: perfect 0.
Ceilings: "inversion", the original's own picture made sound, and "phase", its true magnitudes made
sound, as in `render.explain`. Floors: the mean sound, and white noise. Figures are means over at
most 48 sounds, the same for every run that has the same split and seed. No phase is asked for, so
features and models of every kind compare, as far as their windows and sample rates are equal.
"""

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from timbrespace.errors import TimbrespaceError
from timbrespace.render.distance import SILENT, distance
from timbrespace.render.explain import phase_alone

if TYPE_CHECKING:
    from timbrespace.data.corpus import Corpus
    from timbrespace.evaluation.evaluate import Encoded
    from timbrespace.features.decibels import Decibels
    from timbrespace.runs import Run

SOUNDS = 48  # made sound and compared: 64 at 128 by 256 took 9 s of one busy core
BATCH = 16
TO_INVERSION = "_to_inversion"  # what follows a distance's name where no recording can be read


def measure(
    run: "Run", corpus: "Corpus", encoded: "Encoded", mean_picture: np.ndarray, *, seed: int = 0
) -> dict[str, Any] | None:
    """`mr_stft`, `log_mel_rmse_db`, `level_db` and `peak_db` of the model (z sampled), of the
    inversion, of the search for phase and of the floors.

    mean_picture: the mean sound as the feature's yardstick shows it. Where no recording can be read the
    distances are those to the picture's own inversion, under other names, and `note` says why. None
    when all sounds are silent.
    """
    rng = np.random.default_rng(seed)
    at = np.sort(rng.permutation(len(encoded.rows))[:SOUNDS])
    recordings, why = _recordings(corpus, encoded.rows[at], run.feature.sample_rate)
    levels = np.asarray(corpus.features(run.feature).level_db)[encoded.rows[at]]
    mean_sound = _unit(run.feature.yardstick, mean_picture, run.feature.span)
    found: dict[str, list[tuple[float, ...]]] = {}
    for start in range(0, len(at), BATCH):
        part = slice(start, start + BATCH)
        inverted, heard, loudness = _rendered(run, encoded, at[part], levels[part])
        for i, original in enumerate(recordings[part] if recordings else inverted):
            one = original[: inverted.shape[1]]
            peak = float(one.abs().max()) if len(one) else 0.0
            if peak <= SILENT:
                continue
            noise = torch.from_numpy(rng.standard_normal(len(one), np.float32))
            guesses = {
                "model": heard[i], "inversion": inverted[i],
                "mean_sound": mean_sound * 10.0 ** (loudness[i] / 20.0),
                "noise": noise * one.square().mean().sqrt(),
            }  # fmt: skip
            if recordings:
                guesses["phase"] = torch.from_numpy(phase_alone(run.feature, one.numpy()))
            for name, guess in guesses.items():
                other = guess[: len(one)]
                far = distance(one, other, run.feature.sample_rate)
                off = 20.0 * float((other.abs().max() / peak).clamp_min(SILENT).log10())
                found.setdefault(name, []).append((*astuple(far), off))
    if not found:
        return None
    if not recordings:
        del found["inversion"]
    # samples are their own picture: without the files next to nothing is lost
    exact = bool(recordings) or run.feature.keeps_phase
    to = "" if exact else TO_INVERSION
    names = (f"mr_stft{to}", f"log_mel_rmse_db{to}", "level_db", "peak_db")
    return {
        "sounds": len(found["model"]), "seconds": inverted.shape[1] / run.feature.sample_rate,
        "reference": "recording" if exact else "inversion", "note": why,
        **{
            name: dict(zip(names, np.mean(pairs, 0).tolist(), strict=True))
            for name, pairs in found.items()
        },
    }  # fmt: skip


def _rendered(
    run: "Run", encoded: "Encoded", at: np.ndarray, levels: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Sounds (B, samples) of the original pictures and of the model's, which are as loud; how loud that
    is, in dBFS (B,)."""
    feature = run.feature
    x, labels = encoded.pictures.batch(torch.from_numpy(at), torch.device("cpu"))
    x, level = x[:, 0], torch.from_numpy(levels.astype(np.float32))
    made = run.model.decode(torch.from_numpy(encoded.z[at]), labels)[:, 0].float().clamp(-1.0, 1.0)
    loudness = feature.rms_db(x, level)
    inverted = feature.invert(x, level)
    heard = feature.invert(made, loudness - feature.rms_db(made))
    return inverted, heard, loudness


def _unit(feature: "Decibels", picture: np.ndarray, length: int) -> Tensor:
    """A picture as sound (length,) of 0 dBFS."""
    values = torch.from_numpy(np.asarray(picture, np.float32))
    return feature.invert(values, -feature.rms_db(values), length=length)


def _recordings(
    corpus: "Corpus", rows: np.ndarray, sample_rate: int
) -> tuple[list[Tensor] | None, str | None]:
    """The recordings of `rows`, empty where one cannot be read, None where none can; and why not."""
    sounds: list[Tensor] = []
    why: list[str] = []
    for row in rows:
        try:
            samples = corpus.audio(int(row), sample_rate=sample_rate).mono()
            sounds.append(torch.from_numpy(np.ascontiguousarray(samples, np.float32)))
        except (TimbrespaceError, OSError) as error:
            sounds.append(torch.empty(0))
            why.append(str(error))
    if not why:
        return sounds, None
    note = f"{len(why)} of {len(rows)} recordings cannot be read ({why[0]})"
    return (None if len(why) == len(rows) else sounds), note
