"""Heads: what a latent says of the effect between the two sounds of a pair.

One names the effect: a linear classifier, so that effects lie apart in the latent itself. One reads the
knobs, those of every effect at once, and is trained on the pair's own. A knob's place 0..1 is a
distribution over evenly spaced places, both rails among them, which is trained to have the true place as
its mean ("two-hot" targets: Schrittwieser et al. 2020, appendix F). It starts even, so every knob starts
at the centre, and is pulled to a rail only by pairs that stand there; where a knob cannot be heard it
stays as wide as the knob's settings. The raw terms `effect` and `knobs` are cross-entropies, nats per
pair, the latter summed over the pair's knobs; `knob_kl`, nats per pair and summed likewise, is the KL
divergence of these distributions from the even one that they start as, for heads that are told no
setting (training.through): what nothing heard speaks against goes back to the centre.

Heads are surer of the pairs that they have learnt than they are right about others. How sure they may be is
measured on the validation pairs when a training has ended (`Calibration`).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from timbrespace.models.blocks import silent
from timbrespace.models.vocabulary import Vocabulary

WIDTH = 256
PLACES = 17  # that a knob's distribution has
FOUR_FIFTHS = 1.2816  # standard deviations of a Gaussian to either side that hold so much of it
LEAST, MOST = 0.5, 16.0  # by which heads are made less sure
NARROW = 0.5 / (PLACES - 1)  # a spread below which none is measured


@dataclass(frozen=True)
class Calibration:
    """What makes heads as sure as they are right: `temperature` divides the logits of the effects (Guo et al.
    2017, section 4.2), `widening` multiplies the spread of the knobs. Which effect is likeliest and where
    knobs are expected stay as they are."""

    temperature: float = 1.0
    widening: float = 1.0


@dataclass(frozen=True)
class Heard:
    """What the heads say of B pairs.

    effects (B, E): the probability of each effect, in the vocabulary's order. units (B, K) and spread
    (B, K): mean and standard deviation of where each knob stands, 0..1, in the order of the
    vocabulary's `knob_columns`, if the effect is its own. A head that is not there says nothing: all
    effects alike, all knobs at the centre.
    """

    effects: Tensor
    units: Tensor
    spread: Tensor


class Heads(nn.Module):
    """Latents (B, Z), of which the first `latent` numbers are read, to what they say of effect and knobs."""

    places: Tensor

    def __init__(self, latent: int, vocabulary: Vocabulary, *, effect: bool, knobs: bool) -> None:
        super().__init__()
        self.latent = latent
        self.effects, self.count = vocabulary.count("effect"), len(vocabulary.knob_columns)
        self.effect = silent(latent, max(1, self.effects)) if effect else None
        self.knobs = (
            nn.Sequential(
                nn.Linear(latent, WIDTH), nn.SiLU(), silent(WIDTH, max(1, self.count) * PLACES)
            )
            if knobs
            else None
        )
        self.register_buffer("places", torch.linspace(0.0, 1.0, PLACES), persistent=False)
        self.calibration = Calibration()

    def forward(self, z: Tensor) -> Heard:
        z = z[:, : self.latent]
        effects = (
            z.new_zeros(len(z), max(1, self.effects)) if self.effect is None else self.effect(z)
        )
        chances = self._knobs(z).softmax(2)
        units = chances @ self.places
        spread = (chances @ self.places.square() - units.square()).clamp_min(0.0).sqrt()
        effects = effects.float() / self.calibration.temperature
        return Heard(effects.softmax(1), units, self.calibration.widening * spread)

    @torch.no_grad()
    def calibrated(self, z: Tensor, labels: dict[str, Tensor]) -> Calibration:
        """By latents z (B, Z) of pairs that were not learnt, and their labels as in `terms`: the temperature
        at which the effects' cross-entropy is least, and the widening with which four fifths of the knobs
        stand as near to where they are expected as those of a Gaussian do."""
        found = Calibration()
        if self.effect is not None and "effect" in labels:
            known = labels["effect"] < self.effects
            if known.any():
                logits = self.effect(z[known, : self.latent]).float()
                label = labels["effect"][known]
                tried = np.geomspace(LEAST, MOST, 101).tolist()
                lost = [float(functional.cross_entropy(logits / t, label)) for t in tried]
                found = replace(found, temperature=tried[lost.index(min(lost))])
        if self.knobs is not None and "knobs" in labels:
            known = labels["knobs"].isfinite()
            if known.any():
                heard = self(z)
                spread = (heard.spread / self.calibration.widening).clamp_min(NARROW)
                off = ((heard.units - labels["knobs"]).abs() / spread)[known]
                widening = float(off.sort().values[int(0.8 * (len(off) - 1))]) / FOUR_FIFTHS
                found = replace(found, widening=min(max(widening, LEAST), MOST))
        return found

    def terms(self, z: Tensor, labels: dict[str, Tensor]) -> dict[str, Tensor]:
        """The raw terms of z (B, Z). labels: `effect` (B,), the effect's number; `knobs` (B, K), where
        each knob stands, NaN for those of other effects. A pair that lacks them has no part."""
        found: dict[str, Tensor] = {}
        z = z[:, : self.latent]
        if self.effect is not None:
            label = labels.get("effect", torch.full((len(z),), self.effects, device=z.device))
            known = label < self.effects
            logits = self.effect(z).float()
            found["effect"] = functional.cross_entropy(
                logits[known], label[known], reduction="sum"
            ) / max(1, int(known.sum()))
        if self.knobs is not None:
            truth = labels.get("knobs", z.new_full((len(z), max(1, self.count)), torch.nan))
            known = truth.isfinite()
            log = self._knobs(z)[known].log_softmax(1)
            near = 1.0 - (truth[known][:, None] - self.places).abs() * (PLACES - 1)
            pairs = int(known.any(1).sum())
            found["knobs"] = -(near.clamp_min(0.0) * log).sum() / max(1, pairs)
            found["knob_kl"] = (log.exp() * (log + math.log(PLACES))).sum() / max(1, pairs)
        return found

    def errors(self, z: Tensor, labels: dict[str, Tensor]) -> dict[str, Tensor]:
        """By name, one number for each case of a head that is there: `effect_error`, whether the
        likeliest effect is wrong, and `knob_error`, how far off a knob of the pair's effect stands."""
        heard, found = self(z), dict[str, Tensor]()
        if self.effect is not None and "effect" in labels:
            known = labels["effect"] < self.effects
            found["effect_error"] = (heard.effects.argmax(1) != labels["effect"])[known].float()
        if self.knobs is not None and "knobs" in labels:
            known = labels["knobs"].isfinite()
            found["knob_error"] = (heard.units - labels["knobs"])[known].abs()
        return found

    def _knobs(self, z: Tensor) -> Tensor:
        """Logits (B, K, places)."""
        if self.knobs is None:
            return z.new_zeros(len(z), max(1, self.count), PLACES)
        return self.knobs(z).float().unflatten(1, (-1, PLACES))
