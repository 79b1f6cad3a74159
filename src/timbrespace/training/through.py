"""Training through the effect: what the knob heads hear is rendered, and held against the wet sound.

A few pairs of each batch are rendered: the dry sound through the pair's own effect, its knobs where the
heads place them. The raw terms `audio` (losses.spectral.style_distance) and `audio_l1` (mean |difference| of
the samples) say how far that is from the wet sound, in the mean over these pairs. The knobs have the
gradient of the effect where it is differentiable; where it is not, one by simultaneous perturbation.
(After report 004, and Steinmetz, Bryan & Reiss 2022.)

A gradient is local: that of an echo's time or an oscillator's pitch is of how two waves lie to each other,
a thousand times that of what is heard, and says nothing of where the knob should go. So no slope is
believed that is steeper than STEEPEST; else such steps are all that encoder and heads learn from.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from timbrespace.data.pair_parts import DRY_PEAK
from timbrespace.data.pairs import FACTS, dry_and_wet
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.effects.tensors import rounded
from timbrespace.errors import EffectError
from timbrespace.losses.spectral import style_distance
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import Recipe
from timbrespace.runs import Run
from timbrespace.training.parallel import Share

EPSILON = 0.01  # by how much knobs are moved to either side, of 1 (report 004)
STEPS = 32768.0  # of 1 in the sounds of pairs: what is softer than a step was silence for both
STEEPEST = 2.0  # times a distance, per range of a knob: from the centre it would be 0 at a rail
STAND_IN = "compressor"  # about as slow as the mean of ours

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Through:
    """The effects of a vocabulary, with the knobs that its pairs have, and `read`, which gives the
    sounds of a row, (2, n): dry, wet. With `each` the wet ones are as loud as the dry ones. `pairs` of
    a batch are rendered."""

    vocabulary: Vocabulary
    effects: tuple[Effect, ...]
    read: Callable[[int], np.ndarray]
    sample_rate: int
    pairs: int
    each: bool = False

    @classmethod
    def of(cls, run: Run) -> "Through | None":
        """Those of a run; None where its recipe weighs no such term."""
        objective, corpus, feature = run.recipe.objective, run.corpus, run.recipe.feature
        if not objective.through:
            return None
        assert feature.kind == "pair"  # says recipe.check
        facts = json.loads((corpus.path / FACTS).read_text(encoding="utf-8"))

        return cls(
            run.vocabulary, tuple(find(name) for name in run.vocabulary.words["effect"]),
            lambda row: dry_and_wet(corpus, row, feature.sample_rate, feature.samples),
            feature.sample_rate, objective.audio.pairs,
            facts.get("request", {}).get("level") == "each",
        )  # fmt: skip

    @classmethod
    def stand_in(cls, recipe: Recipe) -> "Through":
        """An effect that costs what most do, of noise: to time a step."""
        assert recipe.feature.kind == "pair"
        noise = np.random.default_rng(0).uniform(-0.2, 0.2, (2, recipe.feature.samples))
        effect = find(STAND_IN)
        return cls(
            Vocabulary.of({"effect": [STAND_IN]}, {STAND_IN: effect.knobs}), (effect,),
            lambda row: noise.astype(np.float32), recipe.feature.sample_rate,
            recipe.objective.audio.pairs,
        )  # fmt: skip

    def terms(
        self, units: Tensor, labels: dict[str, Tensor], share: Share, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The raw terms of where all knobs are placed (B, K), a share of a batch: labels `effect` and `row`
        (B,). Which pairs are rendered, and where knobs are moved, is drawn for the whole batch."""
        drawn = torch.randperm(share.batch, generator=generator)[: self.pairs]
        signs = 2.0 * torch.randint(2, (share.batch, units.shape[1]), generator=generator) - 1.0
        chosen = torch.zeros(share.batch, dtype=torch.bool)
        chosen[drawn] = True
        chosen, signs = share.of(chosen), share.of(signs).to(units)
        effects, rows = labels["effect"].cpu(), labels["row"].cpu()
        found, all_places = units.new_zeros(2), self.vocabulary.knob_places
        for number, effect in enumerate(self.effects):
            knobs, own = self.vocabulary.knobs[effect.name], all_places[effect.name]
            at = torch.nonzero(chosen & (effects == number))[:, 0]
            if len(at):
                dry, wet = self._sounds(rows[at], units)
                there = at.to(units.device)
                places, ways = units[there, own], signs[there, own]
                found = found + self._distances(effect, knobs, dry, wet, places, ways).sum(0)
        # ranks are averaged by their shares
        mean = found * (share.batch / (len(drawn) * len(units)))
        return {"audio": mean[0], "audio_l1": mean[1]}

    def _sounds(self, rows: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
        """Dry and wet sounds (b, n) of some rows."""
        both = np.stack([self.read(int(row)) for row in rows])
        dry, wet = torch.from_numpy(both).to(beside.device).unbind(1)
        return dry, wet

    def _distances(
        self, effect: Effect, knobs: tuple[Knob, ...], dry: Tensor, wet: Tensor, units: Tensor,
        signs: Tensor,
    ) -> Tensor:  # fmt: skip
        """Both distances of each pair, (b, 2), of one effect with its knobs at `units` (b, K)."""
        gain = DRY_PEAK / _peak(dry)  # as loud as dry sounds of pairs enter their effects

        def distances(made: Tensor) -> Tensor:
            heard = made / gain
            if self.each:
                heard = heard * (_peak(wet) / _peak(heard))
            heard = rounded(heard * STEPS) / STEPS
            return torch.stack([style_distance(heard, wet), (heard - wet).abs().mean(1)], 1)

        def formula(places: Tensor) -> Tensor:
            values = {
                knob.name: value_at(knob, place)
                for knob, place in zip(knobs, places.T, strict=True)
            }
            return distances(effect.process_tensor(dry * gain, self.sample_rate, **values))

        def box(places: Tensor) -> Tensor:
            loud = (dry * gain).cpu().numpy()
            return distances(self._rendered(effect, knobs, loud, places).to(dry))

        here, moved = units.detach(), 1 if effect.differentiable else len(knobs)  # at a time
        value, slope = (
            derived(formula, here) if effect.differentiable else perturbed(box, here, signs)
        )
        usable = value.isfinite() & slope.isfinite().all(2)
        value = value.where(usable, 0.0)
        most = STEEPEST * moved * value[:, :, None]
        slope = slope.where(usable[:, :, None], 0.0).clamp(-most, most)
        return value + (slope * (units - here)[:, None, :]).sum(2)

    def _rendered(
        self, effect: Effect, knobs: tuple[Knob, ...], dry: np.ndarray, units: Tensor
    ) -> Tensor:
        """The dry sounds (b, n) with a black box; NaN where it failed, which is said and teaches
        nothing."""
        made = np.full_like(dry, np.nan)
        for number, (sound, places) in enumerate(zip(dry, units.tolist(), strict=True)):
            setting = {k.name: k.from_unit(u) for k, u in zip(knobs, places, strict=True)}
            try:
                made[number] = effect.render(sound, self.sample_rate, setting)
            except EffectError as error:
                log.warning("a pair is left out of a step: %s", error)
        return torch.from_numpy(made)


def value_at(knob: Knob, places: Tensor) -> Tensor:
    """As `Knob.from_unit`, of places from 0 to 1 in a tensor, with gradients."""
    if knob.curve == "log":
        return knob.low * (knob.high / knob.low) ** places
    return knob.low + places * (knob.high - knob.low)


def derived(losses: Callable[[Tensor], Tensor], units: Tensor) -> tuple[Tensor, Tensor]:
    """losses (B, L) of units (B, K), and their slopes (B, L, K)."""
    units = units.clone().requires_grad_()
    with torch.enable_grad():
        value = losses(units)
        slopes = [
            torch.autograd.grad(column.sum(), units, retain_graph=True)[0] for column in value.T
        ]
    return value.detach(), torch.stack(slopes, 1)


def perturbed(
    losses: Callable[[Tensor], Tensor], units: Tensor, signs: Tensor
) -> tuple[Tensor, Tensor]:
    """losses (B, L) of units (B, K), 0 to 1, and their slopes (B, L, K) as simultaneous perturbation
    estimates them.

    All of a row's knobs are moved by EPSILON at once, each to its own side (`signs`, -1 or 1), and then
    to the other: the difference of the two losses over the way between is each knob's slope, in the mean
    over signs (Spall 1998, An overview of the simultaneous perturbation method). Knobs stay within 0..1.
    """
    more, less = ((units + way * EPSILON * signs).clamp(0.0, 1.0) for way in (1.0, -1.0))
    with torch.no_grad():
        rise = losses(more) - losses(less)
        return losses(units), rise[:, :, None] / (more - less)[:, None, :]


def _peak(sounds: Tensor) -> Tensor:
    """The largest magnitude (b, 1) of sounds (b, n)."""
    return sounds.abs().amax(1, keepdim=True).clamp_min(1e-6)
