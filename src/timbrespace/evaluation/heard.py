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
from typing import Any

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio.scratch import whole
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts, Unanswerable
from timbrespace.evaluation.statistics import interval
from timbrespace.features.decibels import Decibels
from timbrespace.page import escape, plus_minus, table
from timbrespace.render.distance import SILENT, distance
from timbrespace.render.explain import phase_alone

TO_INVERSION = "_to_inversion"  # what follows a distance's name where no recording can be read


def measure(facts: Facts) -> dict[str, Any]:
    """`mr_stft`, `log_mel_rmse_db`, `level_db` and `peak_db` of the model (z sampled), of the
    inversion, of the search for phase and of the floors; "model_intervals" of the model's distances,
    by instruments, and the distances of "each" sound, for sounds.csv.

    Where no recording can be read the distances are those to the picture's own inversion, under other
    names, and `note` says why. Unanswerable when all sounds are silent.
    """
    feature, rng = facts.run.feature, np.random.default_rng(facts.seed)
    unread = [one.unread for one in facts.heard if one.unread]
    recorded = len(unread) < len(facts.heard)
    mean_sound = _unit(feature.yardstick, facts.floors.mean, feature.span)
    found: dict[str, list[tuple[float, ...]]] = {}
    heard: list[int] = []  # positions of the sounds that are not silent
    for rendering in facts.heard:
        one = torch.from_numpy(rendering.recording if recorded else rendering.inversion)
        peak = float(one.abs().max()) if len(one) else 0.0
        if peak <= SILENT:
            continue
        heard.append(rendering.position)
        noise = torch.from_numpy(rng.standard_normal(len(one), np.float32))
        guesses = {
            "model": torch.from_numpy(rendering.model),
            "inversion": torch.from_numpy(rendering.inversion),
            "mean_sound": mean_sound * 10.0 ** (rendering.loudness_db / 20.0),
            "noise": noise * one.square().mean().sqrt(),
        }
        if recorded:
            guesses["phase"] = torch.from_numpy(phase_alone(feature, one.numpy(), whole))
        for name, guess in guesses.items():
            other = guess[: len(one)]
            far = distance(one.numpy(), other.numpy(), feature.sample_rate)
            off = 20.0 * float((other.abs().max() / peak).clamp_min(SILENT).log10())
            found.setdefault(name, []).append((*astuple(far), off))
    if not found:
        raise Unanswerable("all sounds that were drawn to be heard are silent")
    if not recorded:
        del found["inversion"]
    # samples are their own picture: without the files next to nothing is lost
    exact = recorded or feature.keeps_phase
    to = "" if exact else TO_INVERSION
    names = (f"mr_stft{to}", f"log_mel_rmse_db{to}", "level_db", "peak_db")
    note = (
        f"{len(unread)} of {len(facts.heard)} recordings cannot be read ({unread[0]})"
        if unread
        else None
    )
    distances = dict(zip(names[:2], np.array(found["model"]).T, strict=False))
    groups, drawn = [facts.groups[i] for i in heard], facts.rng("heard")
    return {
        "sounds": len(heard),
        "seconds": len(facts.heard[0].inversion) / feature.sample_rate,
        "reference": "recording" if exact else "inversion", "note": note,
        **{
            name: dict(zip(names, np.mean(pairs, 0).tolist(), strict=True))
            for name, pairs in found.items()
        },
        "model_intervals": {k: interval(v, groups, rng=drawn) for k, v in distances.items()},
        "each": {
            "row": facts.here.rows[heard].tolist(), **{k: v.tolist() for k, v in distances.items()},
        },
    }  # fmt: skip


def show(found: dict[str, Any]) -> Shown:
    """A table of how far what is heard is from the recordings."""
    names = {
        "phase": "phase: the true magnitudes, made sound",
        "inversion": "picture: the original's own, made sound", "model": "model: z sampled",
        "mean_sound": "mean sound", "noise": "white noise",
    }  # fmt: skip
    recorded = found["reference"] == "recording"
    to = "" if recorded else TO_INVERSION
    forms = {
        f"mr_stft{to}": "{:.2f}", f"log_mel_rmse_db{to}": "{:.1f}", "level_db": "{:+.1f}",
        "peak_db": "{:+.1f}",
    }  # fmt: skip
    ends = found.get("model_intervals", {})
    lines = [
        (words, *(
            form.format(found[name][key]) + (plus_minus(ends.get(key)) if name == "model" else "")
            for key, form in forms.items()
        ))
        for name, words in names.items()
        if name in found
    ]  # fmt: skip
    against = (
        "the recordings" if recorded
        else "the original's own picture made sound, since no recording could be read"
    )  # fmt: skip
    note = f" {escape(found['note'])}." if found["note"] else ""
    blame = (
        "<p>The first three lines say what is lost where: in the search for phase, in the feature's "
        "picture (and that search), in the model (and both). Each is a distance from the original; "
        "they do not add up.</p>"
    )
    return Shown(
        "<h2>What is heard</h2><p>How far the sounds are from "
        f"{against}: multi-resolution STFT distance (MR-STFT, 0 for equal sounds) and the error of a "
        f"log-mel picture of 80 mels, of {found['sounds']} sounds of {found['seconds']:.2f} s at most, "
        f"all as loud as these. No phase is asked for, so models of every feature compare.{note}</p>"
        + (blame if recorded else "")
        + table(("", "MR-STFT", "log-mel, dB RMSE", "level, dB", "peak, dB"), lines)
    )


def _unit(feature: Decibels, picture: np.ndarray, length: int) -> Tensor:
    """A picture as sound (length,) of 0 dBFS."""
    values = torch.from_numpy(np.asarray(picture, np.float32))
    return feature.invert(values, -feature.rms_db(values), length=length)
