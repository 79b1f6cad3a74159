"""Pairs: the sounds of a corpus as they are and with an effect, whose knobs are known, as a corpus.

PAIRS/sounds/EFFECT/000123.flac   the dry sound, then the wet one: mono, 16 bit, twice `samples` long
PAIRS/sounds/metadata.csv         file, split, effect, setting, sound (row of the dry one in its corpus), the
                                  labels of the dry sound, and each knob as EFFECT.KNOB in its own unit
PAIRS/pairs.json                  what was asked for, the effects with their knobs, what was rejected or missing
PAIRS/corpus.json ...             the prepared corpus of these sounds

`pair_rendering` makes them, from what `pair_settings` draws, in the parts of `pair_parts`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.audio.files import printable
from timbrespace.data.corpus import Corpus
from timbrespace.data.table import SPLITS
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import CorpusError, EffectError

FORMAT = 1
FACTS = "pairs.json"


class StoredEffect(Effect):
    """An effect as pairs remember it: its knobs, and no sound, so that its plug-in need not be there."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name, self.words = name, facts["words"]
        self.level, self.host = facts["level"], facts["host"]
        self.knobs = tuple(Knob(**knob) for knob in facts["knobs"])

    def process(self, samples: np.ndarray, sample_rate: int, **values: float) -> np.ndarray:
        raise EffectError(
            f"{self.name} is only known by its knobs here; find it in effects.catalogue to hear it"
        )


@dataclass(frozen=True)
class Pairs:
    """Rendered pairs, opened for reading: `effects` by name with their knobs as they were, what was
    `rejected` of each, and the corpus whose row ids are used throughout."""

    path: Path
    corpus: Corpus
    facts: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> "Pairs":
        """The pairs in the folder `path`; CorpusError when there are none, or not all."""
        path = Path(path)
        facts = facts_in(path / FACTS)
        if facts is None or facts.get("request", {}).get("format") != FORMAT:
            raise CorpusError(
                f"{printable(path)} holds no pairs; make some with: timbrespace effects pairs"
            )
        return cls(path, Corpus.open(path), facts)

    @property
    def effects(self) -> dict[str, StoredEffect]:
        """The effects by name, in the order in which they were asked for."""
        return {name: StoredEffect(name, facts) for name, facts in self.facts["effects"].items()}

    @property
    def sample_rate(self) -> int:
        return self.facts["request"]["sample_rate"]

    @property
    def samples(self) -> int:
        """Length of the dry sound, and of the wet one."""
        return self.facts["request"]["samples"]

    @property
    def rejected(self) -> dict[str, dict[str, int]]:
        """Results that were not used, by effect and reason."""
        return {name: facts["rejected"] for name, facts in self.facts["effects"].items()}

    @property
    def missing(self) -> dict[str, str]:
        """Why each effect that was asked for and was not there has no pairs, in a sentence."""
        return self.facts.get("missing", {})  # pairs.json had none at first

    @property
    def counts(self) -> dict[str, Any]:
        """Pairs in all and by split, what came of each effect, and which effects were missing."""
        told = ("pairs", "left_out", "identical", "softened", "rejected", "grid")
        return {
            "pairs": len(self.corpus.rows),
            "splits": {split: len(self.corpus.split_rows(split)) for split in SPLITS},
            "effects": {
                name: {key: facts[key] for key in told} for name, facts in self.facts["effects"].items()
            },
            "missing": self.missing,
        }  # fmt: skip

    @property
    def lines(self) -> list[str]:
        """The same for people."""
        counts = self.counts
        splits = ", ".join(f"{count} {split}" for split, count in counts["splits"].items())
        lines = [f"{counts['pairs']} pairs in {printable(self.path)} ({splits})"]
        for name, of in counts["effects"].items():
            words = [f"{of['pairs']} pairs"]
            words += [f"grid {' x '.join(map(str, of['grid']))}"] if of["grid"] else []
            words += [f"{of['identical']} as dry as before"] if of["identical"] else []
            words += [f"{of['left_out']} left out"] if of["left_out"] else []
            words += [f"{count} {reason}, rejected" for reason, count in of["rejected"].items()]
            lines.append(f"  {name:14} {', '.join(words)}")
        lines += [f"  {name:14} 0 pairs, missing" for name in self.missing]
        return lines

    @property
    def effect(self) -> np.ndarray:
        """The effect of every row, (N,), as its place in `effects`."""
        places = {name: place for place, name in enumerate(self.facts["effects"])}
        return np.array([places[str(name)] for name in self.corpus.labels("effect")])

    @property
    def setting(self) -> np.ndarray:
        """Ids (N,) that are equal where the setting is."""
        return np.unique([str(s) for s in self.corpus.labels("setting")], return_inverse=True)[1]

    @property
    def split(self) -> np.ndarray:
        """The split of every row, (N,), as its place in data.table.SPLITS."""
        return np.asarray(self.corpus.rows.split)

    def rows(self, effect: str) -> np.ndarray:
        """The rows (n,) of an effect, ascending; EffectError where these pairs have none of it."""
        names = list(self.facts["effects"])
        if effect not in names:
            raise EffectError(
                f"{printable(self.path)} has no pairs of {effect!r}; it has: {', '.join(names)}"
            )
        return np.flatnonzero(self.effect == names.index(effect))

    def units(self, effect: str) -> np.ndarray:
        """Where the knobs stand, (n, K) from 0 to 1, in each of `rows(effect)`."""
        rows, stored = self.rows(effect), self.effects[effect]
        columns = [
            self.corpus.labels(f"{effect}.{k.name}") if len(rows) else [] for k in stored.knobs
        ]
        return np.array(
            [[k.to_unit(float(c[row])) for k, c in zip(stored.knobs, columns, strict=True)]
             for row in rows]
        ).reshape(len(rows), len(stored.knobs))  # fmt: skip

    def sounds(self, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The dry and the wet sounds (n, samples) of some rows, float32."""
        both = np.zeros((len(rows), 2, self.samples), np.float32)
        for place, row in enumerate(rows):
            both[place] = dry_and_wet(self.corpus, int(row), self.sample_rate, self.samples)
        return both[:, 0], both[:, 1]


def dry_and_wet(corpus: Corpus, row: int, sample_rate: int, samples: int) -> np.ndarray:
    """The dry and the wet sound (2, samples) of a pair, float32, at `sample_rate` Hz; CorpusError where its
    file is gone, or not as long as both (but for what resampling rounds)."""
    both = corpus.audio(row, sample_rate).mono()
    if abs(len(both) - 2 * samples) > 1:
        raise CorpusError(
            f"{printable(corpus.rows[row].file)} has {len(both)} samples at {sample_rate} Hz, a dry and a wet "
            f"sound of {samples} were expected; render the pairs again, or set feature.samples to theirs"
        )
    return np.pad(both, (0, 1))[: 2 * samples].reshape(2, samples)


def facts_in(path: Path) -> dict[str, Any] | None:
    """What a JSON file holds; None where there is none that is whole."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
