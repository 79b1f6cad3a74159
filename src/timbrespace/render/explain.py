"""What of a sound is lost where: in the search for phase, in the feature's picture, in the model.

Three renderings, each of which loses something that the one before it keeps. "phase": the magnitudes of the
short-time transform that the feature's picture is made of, all bins, and phase found for them. "picture":
the original's own picture made sound, without any model. "model": the original through the model. How
far each is from the original (`distance`) is a figure of its own: the three do not add up.
"""

from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch

from timbrespace.audio.level import remove_offset
from timbrespace.audio.scratch import Keep, Kept, Scratch, peak, spans
from timbrespace.errors import AudioError
from timbrespace.features.decibels import Decibels
from timbrespace.features.feature import Feature
from timbrespace.features.phase import Recovery
from timbrespace.features.spectrogram import Spectrogram
from timbrespace.losses.spectral import OCTAVES
from timbrespace.render.distance import SILENT, Distance, distance
from timbrespace.render.synth import Labels, Synth, faded

STAGES = ("phase", "picture", "model")
LITTLE = 0.05  # an MR-STFT below it: next to nothing is lost
ROUGH = OCTAVES[-1].n_fft // 2 + 1  # samples; a shorter sound is compared with silence after it


@dataclass(frozen=True)
class Stage(Generic[Kept]):
    """One rendering (n,), as long as the original, and how far it is from it."""

    samples: Kept
    distance: Distance


@dataclass(frozen=True)
class Explained(Generic[Kept]):
    """The original (n,), its renderings by name (`STAGES`), the pitch that the model was told, and in
    one sentence where most is lost."""

    original: Kept
    stages: dict[str, Stage[Kept]]
    pitch: float | None
    sentence: str


def phase_alone(
    feature: Feature, samples: Kept, keep: Keep[Kept], recovery: Recovery = Recovery()
) -> Kept:
    """Sound (n,) of the true magnitudes of `samples` (n,), phase found by `recovery`; a feature that
    keeps phase gives them back.

    All bins of the transform below the pictures of `feature`, 160 dB deep.
    """
    if not isinstance(feature, Decibels):
        return samples
    kept = Spectrogram(
        feature.sample_rate, n_fft=feature.n_fft, hop=feature.hop, frames=feature.frames,
        floor_db=-160.0,
    )  # fmt: skip
    # as loud as 1: nothing of a soft sound is too soft
    full = np.float32(max(peak(samples), SILENT))
    louder = keep(samples[span] / full for span in spans(len(samples)))
    made = kept.joined(kept.windows(louder), length=len(samples), recovery=recovery)
    return keep(full * some.numpy() for some in made)


@torch.no_grad()
def explain(
    synth: Synth, samples: Kept, keep: Keep[Kept], *, pitch: float | None = None,
    labels: Labels | None = None,
) -> Explained[Kept]:  # fmt: skip
    """What is lost where of one sound (n,) of any length, with the synth's way to find phase.

    `pitch` and `labels` as `Synth.encode` takes them. The renderings are float32, as long and, where
    the stage allows, as loud as the original; silence stays silence. Phase and picture are measured
    before they are faded at their ends, as the model's is. `keep` keeps them, as in `Synth.decode_long`.
    AudioError for NaN, infinity and no samples at all.
    """
    original = samples if isinstance(samples, Scratch) else np.array(samples, np.float32)
    shape = (len(original),) if isinstance(original, Scratch) else original.shape
    if len(shape) != 1 or not shape[0]:
        raise AudioError(f"a sound to explain should be (n,) with at least one sample, got {shape}")
    if not np.isfinite(peak(original)):
        raise AudioError("the sound contains NaN or infinite samples; repair or remove it")
    feature, length = synth.feature, len(original)
    if not isinstance(original, Scratch):
        remove_offset(original, synth.feature.sample_rate)
    if peak(original) <= SILENT:
        nothing = keep(np.zeros_like(original[span]) for span in spans(length))
        silence: dict[str, Kept] = dict.fromkeys(STAGES, nothing)
        return _explained(original, silence, pitch, feature)
    encoded = synth.encode(original, pitch=pitch, labels=labels)
    through = synth.joined(feature.windows(original), encoded.pitch, length)
    picture = keep(some.numpy() for some in through)
    phase = picture
    if not feature.keeps_phase:
        phase = phase_alone(feature, original, keep, synth.recovery)
    made: dict[str, Kept] = {
        "phase": phase,
        "picture": picture,
        "model": synth.decode_long(encoded, keep),
    }
    found = _explained(original, made, encoded.pitch, feature)
    if not feature.keeps_phase:
        for name in ("phase", "picture"):
            faded(made[name], feature.sample_rate, encoded.jumps)
    return found


def _explained(
    original: Kept, made: dict[str, Kept], pitch: float | None, feature: Feature
) -> Explained[Kept]:
    stages = {
        name: Stage(sound, distance(original, sound, feature.sample_rate))
        for name, sound in made.items()
    }
    far = {name: stage.distance.mr_stft for name, stage in stages.items()}
    words = _words(far, keeps_phase=feature.keeps_phase)
    if peak(original) <= SILENT:
        words = "The sound is silent and so is every rendering: nothing is lost."
    elif len(original) < ROUGH:
        words += f" Figures of fewer than {ROUGH} samples are rough; these are {len(original)}."
    return Explained(original, stages, pitch, words)


def _words(far: dict[str, float], *, keeps_phase: bool) -> str:
    """Where most is lost, given the MR-STFT of each stage."""
    phase, picture, model = (far[name] for name in STAGES)
    if keeps_phase:
        return (
            f"The model loses all that is lost: MR-STFT {model:.2f}; the feature keeps the samples, "
            "so that there is no phase to be found and no picture to lose anything."
        )
    each = (
        f"MR-STFT {model:.2f} with the model, {picture:.2f} with the original's own picture, "
        f"{phase:.2f} with its true magnitudes (each from the original; they do not add up)"
    )
    if model < LITTLE:
        return f"Next to nothing is lost: {each}."
    steps = {
        "the search for phase": phase,
        "the picture": picture - phase,
        "the model": model - picture,
    }
    most = max(steps, key=lambda name: steps[name])
    return f"Most is lost in {most}: {each}."
