"""What the knob heads have learnt, to hear: after every epoch some validation pairs' dry sounds through
their own effect, its knobs where the model hears them. (After report 004's callback.)

validation-audio/dry/NAME.flac, reference/NAME.flac and epoch-NNN/NAME.flac, the prediction; NAME is the
effect and the row.
"""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from timbrespace.audio.files import write
from timbrespace.batches import Pictures
from timbrespace.data.pair_parts import heard_through
from timbrespace.data.pairs import dry_and_wet
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import CorpusError, EffectError
from timbrespace.features.pair import Pair
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.runs import Run

PAIRS = 10  # each of another effect
KEPT = 50  # epochs whose predictions stay: some 35 MB

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A validation pair: its position among the pictures, its sounds (n,), and its effect, whose knobs
    are `places` of all."""

    name: str
    position: int
    dry: np.ndarray
    wet: np.ndarray
    effect: Effect
    knobs: tuple[Knob, ...]
    places: slice

    def rendered(self, units: Tensor, sample_rate: int) -> np.ndarray:
        """The dry sound through the effect with its knobs as `units` (K,) say."""
        own = units[self.places].tolist()
        setting = {knob.name: knob.from_unit(u) for knob, u in zip(self.knobs, own, strict=True)}
        return heard_through(self.effect, self.dry, sample_rate, setting)


class Listening:
    """The examples of a run, and its folder of their sounds."""

    def __init__(self, run: Run, valid: Pictures) -> None:
        self.folder, self.valid = run.path / "validation-audio", valid
        self.sample_rate = run.feature.sample_rate
        self.examples = tuple(_examples(run, valid))
        for example in self.examples:
            for name, samples in (("dry", example.dry), ("reference", example.wet)):
                self._write(self.folder / name, example.name, samples)

    def hear(self, model: Autoencoder, epoch: int, device: torch.device) -> dict[str, np.ndarray]:
        """Write what the model in eval mode hears in the examples now; the sounds by name."""
        assert model.heads is not None
        if not self.examples:
            return {}
        at = torch.tensor([example.position for example in self.examples])
        with torch.no_grad():
            latent = model.encode(*self.valid.batch(at, device))
            units = model.heads(latent.mean.float()).units.cpu()
        sounds = {}
        for example, places in zip(self.examples, units, strict=True):
            try:
                made = example.rendered(places, self.sample_rate)
            except EffectError as error:
                log.warning("validation audio of epoch %d lacks %s: %s", epoch, example.name, error)
                continue
            self._write(self.folder / f"epoch-{epoch:03d}", example.name, made)
            for name, samples in (("dry", example.dry), ("reference", example.wet)):
                sounds[f"{example.name}/{name}"] = samples
            sounds[f"{example.name}/prediction"] = made
        for old in sorted(self.folder.glob("epoch-*"), key=lambda f: int(f.name[6:]))[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return sounds

    def _write(self, folder: Path, name: str, samples: np.ndarray) -> None:
        write(folder / f"{name}.flac", samples, self.sample_rate, format="flac")


def _examples(run: Run, valid: Pictures) -> Iterator[Example]:
    """The first validation pair of each effect; none of an effect or a sound that is not there."""
    assert isinstance(run.feature, Pair)
    for number, name in enumerate(run.vocabulary.words["effect"][:PAIRS]):
        knobs, places = run.vocabulary.knobs[name], run.vocabulary.knob_places[name]
        found = torch.nonzero(valid.labels["effect"] == number)
        if not len(found):
            continue
        position = int(found[0])
        row = int(valid.rows[position])
        try:
            effect = find(name)
            dry, wet = dry_and_wet(run.corpus, row, run.feature.sample_rate, run.feature.samples)
        except (EffectError, CorpusError) as error:
            log.warning("no validation audio of %s: %s", name, error)
            continue
        title = "".join(c if c.isalnum() or c in "+-_" else "_" for c in name)
        yield Example(f"{title}-{row}", position, dry, wet, effect, knobs, places)
