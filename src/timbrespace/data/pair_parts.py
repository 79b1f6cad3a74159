"""The rendering of pairs, some at a time, in whichever process.

A part is a function of its place and the request, so it can be made anywhere, kept, and made again.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from timbrespace.atomic import write_bytes
from timbrespace.audio.files import printable, read_section, resample
from timbrespace.data import children
from timbrespace.data.corpus import Corpus
from timbrespace.data.fetching import heard
from timbrespace.data.files import disk_error
from timbrespace.data.pair_settings import Plan, Request, plans_of
from timbrespace.data.table import SPLITS
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect, Setting
from timbrespace.errors import AudioError, CorpusError, EffectError

DRY_PEAK = 10.0 ** (-12.0 / 20.0)
CEILING = 10.0 ** (-1.0 / 20.0)
QUIET = 10.0 ** (-60.0 / 20.0)  # a dry sound whose peak lies below would be mostly its own noise
# Report 004 rejects a mean square below 1e-5. That is of full scale; our dry sounds reach DRY_PEAK, so the
# same lies at -62 dBFS here, and a pluck under an equaliser that takes 18 dB away is not called silent.
SILENT = 1e-5 * DRY_PEAK**2
TRIES = 8  # for a setting, before it is left out
LOST = 3  # settings in a row that were left out, after which a part is given up
PART = 32  # settings that are rendered and recorded as one
STATE = ".rendering"  # the folder of records, in that of the pairs
# What the sentence of an EffectError holds, and what it is counted as.
REASONS = {
    "NaN": "not finite", "of shape": "wrong length", "no answer in": "hung", "crashed": "crashed",
    "ended with code": "crashed",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Some units of one effect: what is rendered and recorded as one."""

    effect: int
    first: int
    last: int

    @property
    def record(self) -> str:
        """The name of its record."""
        return f"{self.effect:03d}-{self.first:08d}.json"


class _Rejected(Exception):
    """A result that is not used, and why."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Made:
    """A pair: int16 samples of both sounds, the row of the dry one, whether the effect changed nothing,
    and whether both were made softer."""

    samples: np.ndarray
    row: int
    identical: bool
    softened: bool


class Renderer:
    """Makes parts, in whichever process."""

    def __init__(self, corpus: Corpus, plans: list[Plan], out: Path) -> None:
        self.corpus, self.plans, self.out = corpus, plans, out
        self.effects = [find(plan.name) for plan in plans]
        self.rows = [corpus.split_rows(split) for split in SPLITS]

    def make(self, part: Part, tell: Callable[[int], None]) -> dict[str, Any]:
        """Render a part and record it: pairs as (number, row, setting, values), files with their sizes,
        what was rejected."""
        plan = self.plans[part.effect]
        record: dict[str, Any] = {
            "pairs": [], "files": [], "identical": 0, "softened": 0, "left_out": 0,
            "rejected": Counter(), "sentences": {},
        }  # fmt: skip
        lost = 0
        for unit in range(part.first, part.last):
            made = None if lost >= LOST else self._unit(plan, part.effect, unit, record)
            if made is None:
                lost += 1
                record["left_out"] += plan.sounds
            else:
                lost = 0
                self._keep(plan, unit, made, record)
            tell(plan.sounds)
        write_bytes(
            self.out / STATE / part.record, json.dumps(record).encode(), durable=False
        )  # fmt: skip
        return record

    def _unit(
        self, plan: Plan, index: int, unit: int, record: dict[str, Any]
    ) -> tuple[dict[str, float], list[Made]] | None:
        """A setting and its pairs, of the first trial in which all of them can be used."""
        effect = self.effects[index]
        for trial in range(TRIES):
            rng = plan.draw(unit, trial)
            values = effect.from_units(plan.knob_places(unit, rng))
            # short numbers in the table, and exactly those are rendered
            values = {
                knob.name: min(knob.high, max(knob.low, float(f"{values[knob.name]:.7g}")))
                for knob in effect.knobs
            }
            rows = rng.permutation(self.rows[plan.split(unit)])
            try:
                made = [
                    pair_of(effect, dry, values, plan.request, row)
                    for row, dry in self._dry(rows, plan)
                ]
            except _Rejected as no:
                record["rejected"][no.reason] += 1
                record["sentences"].setdefault(no.reason, str(no))
            else:
                return values, made
        return None

    def _dry(self, rows: np.ndarray, plan: Plan) -> Iterator[tuple[int, np.ndarray]]:
        """The first sounds of `rows` that sound, as many as a setting wants."""
        count = 0
        for row in rows:
            dry = dry_sound(self.corpus, int(row), plan.request)
            if dry is not None:
                yield int(row), dry
                count += 1
            if count == plan.sounds:
                return
        raise _Rejected("silent", f"fewer than {plan.sounds} sounds of this split are not silent")

    def _keep(
        self, plan: Plan, unit: int, made: tuple[dict[str, float], list[Made]],
        record: dict[str, Any],
    ) -> None:  # fmt: skip
        values, pairs = made
        for place, pair in enumerate(pairs):
            number = unit * plan.sounds + place
            file = f"{plan.folder}/{number:06d}.flac"
            data = io.BytesIO()
            soundfile.write(
                data, pair.samples, plan.request.sample_rate, format="FLAC", subtype="PCM_16"
            )
            write_bytes(self.out / "sounds" / file, data.getvalue(), durable=False)
            record["files"].append([file, len(data.getvalue())])
            record["pairs"].append([unit, pair.row, list(values.values())])
            record["identical"] += pair.identical
            record["softened"] += pair.softened


def dry_sound(corpus: Corpus, row: int, request: Request) -> np.ndarray | None:
    """The beginning of a row's sound (samples,), mono, its peak at -12 dBFS, silence behind it where it is
    shorter; None where it is quiet."""
    place = corpus.rows[row]
    seconds = min(place.seconds, request.samples / request.sample_rate)
    try:
        with heard(corpus.root, place.file) as path:
            audio = read_section(path, place.start, seconds)
    except AudioError as error:
        raise CorpusError(
            f"{error}; pairs are rendered from the sounds of the corpus, keep them in "
            f"{printable(corpus.root)}"
        ) from None
    mono = resample(audio.mono(), audio.sample_rate, request.sample_rate)[: request.samples]
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < QUIET:
        return None
    dry = np.zeros(request.samples, np.float32)
    dry[: len(mono)] = mono * (DRY_PEAK / peak)
    # As it is stored, so that the wet one can be made again
    return _sixteen(dry) / np.float32(32768.0)


def pair_of(
    effect: Effect, dry: np.ndarray, values: dict[str, float], request: Request, row: int
) -> Made:
    """The pair of a dry sound and a setting; _Rejected where the result cannot be used."""
    try:
        wet = effect.render(dry, request.sample_rate, values)
    except EffectError as error:
        reason = next((name for text, name in REASONS.items() if text in str(error)), "refused")
        raise _Rejected(reason, str(error)) from None
    if float(np.mean(np.square(wet, dtype=np.float64))) < SILENT:
        raise _Rejected("silent", f"{effect.name} is silent at {effect.told(values)}")
    identical = bool(np.array_equal(_sixteen(wet), _sixteen(dry)))
    peak, gain = float(np.abs(wet).max()), 1.0
    if request.level == "each":
        wet = wet * np.float32(DRY_PEAK / peak)
    elif peak > CEILING:
        gain = CEILING / peak
    both = np.concatenate([dry, wet]) * np.float32(gain)
    return Made(_sixteen(both), row, identical, gain < 1.0)


def heard_through(
    effect: Effect, dry: np.ndarray, sample_rate: int, setting: Setting
) -> np.ndarray:
    """What a pair's wet sound would be with this setting: its stored dry sound (samples,) enters the effect as
    loud as all dry sounds did, and the result is as much softer as the pair was made."""
    gain = DRY_PEAK / max(float(np.abs(dry).max()), 1e-6)
    return effect.render(dry * gain, sample_rate, setting) / gain


def _sixteen(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(sound * 32768.0), -32768, 32767).astype(np.int16)


def serve_pairs() -> None:
    """The body of a worker process: parts come in, records go out."""

    def prepared(given: dict[str, Any]) -> children.Work:
        corpus = Corpus.open(given["corpus"])
        request = {**given["request"], "effects": tuple(given["request"]["effects"])}
        renderer = Renderer(corpus, plans_of(Request(**request), corpus), Path(given["out"]))

        def work(job: list[int], tell: children.Tell) -> dict[str, Any]:
            try:
                return renderer.make(Part(*job), tell)
            except OSError as error:
                raise disk_error(renderer.out, error) from None

        return work

    children.answer(prepared)
