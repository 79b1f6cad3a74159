"""From a corpus to pairs of its sounds: planned, rendered in parallel, listed, prepared.

What a pair is follows from the seed, the effect and its number alone, so a rendering that was interrupted
goes on and ends in the same bytes.
"""

import csv
import io
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

from timbrespace.atomic import remove_abandoned, write_bytes
from timbrespace.audio.files import printable
from timbrespace.data import children
from timbrespace.data.corpus import Corpus
from timbrespace.data.files import disk_error
from timbrespace.data.lock import locked
from timbrespace.data.pair_parts import PART, STATE, Part, Renderer, serve_pairs
from timbrespace.data.pair_settings import COLUMNS, LEVELS, Plan, Request, plans_of
from timbrespace.data.pairs import FACTS, FORMAT, Pairs, facts_in
from timbrespace.data.prepare import prepare
from timbrespace.data.table import SPLITS
from timbrespace.effects.catalogue import find, found
from timbrespace.errors import CorpusError
from timbrespace.features.pair import Pair
from timbrespace.machine import cores

TABLE = "metadata.csv"

Progress = Callable[[str, int, int], None]

log = logging.getLogger(__name__)


def render_pairs(
    out: str | Path, corpus: str | Path, effects: Sequence[str], *, settings: str = "random",
    number: int = 1000, sample_rate: int = 16000, seconds: float = 2.048, level: str = "kept",
    seed: int = 0, feature: Pair | None = None, workers: int | None = None,
    progress: Progress | None = None,
) -> "Pairs":  # fmt: skip
    """Render `number` pairs of each effect into the folder `out`, and prepare them as a corpus with the
    pictures of `feature` (a plain pair's where it is not given) at the pairs' rate and length.

    corpus: a prepared corpus of dry sounds, whose splits are kept. settings: "fixed" (every knob in the
    middle), "random" (each setting on two sounds of a split) or "grid" (even places, each on one sound).
    level: see LEVELS. progress is told (stage, done, in all). What an interrupted call left is kept.
    A plug-in that is missing is named, and the other effects are rendered. EffectError for a name that no
    effect has, and where all are missing; CorpusError for what cannot be asked, a folder that holds
    something else, a full disk, and where no effect gave a single pair.
    """
    if not 0.0 < seconds < float("inf"):
        raise CorpusError(f"a dry sound of {seconds} seconds was asked for; give a number above 0")
    there, missing = found(effects)
    for name, why in missing.items():
        log.warning("%s is left out: %s", name, why)
    request = Request(
        tuple(there), settings, number, sample_rate, round(seconds * sample_rate),
        level, seed,
    )  # fmt: skip
    out, dry = Path(out), Corpus.open(corpus)
    plans = plans_of(request, dry)
    asked = {**asdict(request), "format": FORMAT, "corpus": dry.digest, "knobs": {
        plan.name: [asdict(knob) for knob in find(plan.name).knobs] for plan in plans
    }}  # fmt: skip
    asked = json.loads(json.dumps(asked))
    _refuse_folder(out, asked)
    tell = progress or (lambda stage, done, total: None)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / f"{STATE}.lock", "rendered", CorpusError):
            if not _whole(out):
                _render(out, dry, plans, asked, missing, workers, tell)
        feature = replace(
            feature or Pair(), sample_rate=request.sample_rate, samples=request.samples
        )
        prepare(
            out / "sounds" / TABLE, out, layout="table", feature=feature, workers=workers,
            beside=("sounds", FACTS), progress=lambda *at: tell("prepare", *at),
        )  # fmt: skip
    except OSError as error:
        raise disk_error(out, error) from None
    return Pairs.open(out)


def _refuse_folder(out: Path, asked: dict[str, Any]) -> None:
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{printable(out)} is a file; name a folder for the pairs")
    before = facts_in(out / STATE / "request.json")
    before = before or (facts_in(out / FACTS) or {}).get("request")
    if before is None:
        if out.is_dir() and any(not name.name.startswith(STATE) for name in out.iterdir()):
            raise CorpusError(
                f"{printable(out)} is not empty and holds no pairs; name a new folder"
            )
        return
    for name, value in asked.items():
        if before.get(name) != value:
            words = "" if name == "knobs" else f" ({before.get(name)} in place of {value})"
            raise CorpusError(
                f"{printable(out)} holds pairs of another {name}{words}; name another folder, or "
                "delete it first"
            )


def _whole(out: Path) -> bool:
    """Whether a rendering came to its end here, and all of its files are there."""
    if not (out / FACTS).is_file() or (out / STATE).exists():
        return False
    try:
        with open(out / "sounds" / TABLE, encoding="utf-8", newline="") as table:
            return all((out / "sounds" / line["file"]).is_file() for line in csv.DictReader(table))
    except (OSError, KeyError):
        return False


def _render(
    out: Path, corpus: Corpus, plans: list[Plan], asked: dict[str, Any], missing: dict[str, str],
    workers: int | None, tell: Progress,
) -> None:  # fmt: skip
    """All parts that are not there, then the table and what was rejected."""
    state = out / STATE
    state.mkdir(exist_ok=True)
    _write_json(state / "request.json", asked)
    for folder in (state, *(out / "sounds" / plan.folder for plan in plans)):
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
    parts = [
        Part(index, first, min(first + PART, plan.units))
        for index, plan in enumerate(plans)
        for first in range(0, plan.units, PART)
    ]
    records = {part: record for part in parts if (record := _recorded(out, part)) is not None}
    work = _Work(out, corpus, plans, sum(plan.units * plan.sounds for plan in plans), workers, tell)
    work.moved(sum((part.last - part.first) * plans[part.effect].sounds for part in records))
    # An effect whose first part gave nothing will give nothing: its plug-in hangs, or is mute.
    firsts = [part for part in parts if not part.first]
    records |= work.made([part for part in firsts if part not in records])
    mute = {part.effect for part in firsts if not records[part]["pairs"]}
    if len(mute) == len(plans):
        told = "; ".join(f"{plans[p.effect].name}: {_words(records[p])}" for p in firsts)
        for rest in (state, out / "sounds"):
            shutil.rmtree(rest, ignore_errors=True)
        raise CorpusError(f"no effect gave a single pair ({told}); choose others")
    records |= work.made([p for p in parts if p not in records and p.effect not in mute])
    _write_table(out, corpus, plans, parts, records)
    effects = {
        plan.name: _facts(plan, [records[p] for p in parts if p.effect == index and p in records])
        for index, plan in enumerate(plans)
    }
    _write_json(out / FACTS, {
        "what": "pairs of dry and wet sounds, rendered by timbrespace", "request": asked,
        "level": LEVELS[plans[0].request.level], "effects": effects, "missing": missing,
    })  # fmt: skip
    shutil.rmtree(state, ignore_errors=True)


class _Work:
    """Parts made by this process or by several, and how many pairs are done of all."""

    def __init__(
        self, out: Path, corpus: Corpus, plans: list[Plan], total: int, workers: int | None,
        tell: Progress,
    ) -> None:  # fmt: skip
        self.out, self.corpus, self.plans, self.workers = out, corpus, plans, workers
        self.done, self.total, self.tell = 0, total, tell

    def moved(self, pairs: int) -> None:
        self.done += pairs
        self.tell("render", self.done, self.total)

    def made(self, parts: list[Part]) -> dict[Part, dict[str, Any]]:
        """The records of parts, which are made now."""
        records: dict[Part, dict[str, Any]] = {}
        processes = min(cores() if self.workers is None else self.workers, len(parts))
        if processes < 2:
            renderer = Renderer(self.corpus, self.plans, self.out)
            return {part: renderer.make(part, self.moved) for part in parts}
        given = {
            "corpus": str(self.corpus.place), "out": str(self.out.resolve()),
            "request": asdict(self.plans[0].request),
        }  # fmt: skip
        children.share(
            serve_pairs, given, [astuple(part) for part in parts], processes, self.moved,
            lambda place, record: records.update({parts[place]: record}),
        )  # fmt: skip
        return records


def _recorded(out: Path, part: Part) -> dict[str, Any] | None:
    """What a finished part holds; None where it is not finished, or a file of it is gone."""
    record = facts_in(out / STATE / part.record)
    try:
        whole = record is not None and all(
            (out / "sounds" / file).stat().st_size == size for file, size in record["files"]
        )
    except OSError:
        return None
    return record if whole else None


def _write_table(
    out: Path, corpus: Corpus, plans: list[Plan], parts: list[Part],
    records: dict[Part, dict[str, Any]],
) -> None:  # fmt: skip
    names = corpus.label_names
    labels = [corpus.labels(name) for name in names]
    knobs = {plan.name: [f"{plan.name}.{k.name}" for k in find(plan.name).knobs] for plan in plans}
    text = io.StringIO()
    columns = [*COLUMNS, *names, *(column for own in knobs.values() for column in own)]
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    for part in parts:
        plan, record = plans[part.effect], records.get(part, {"pairs": [], "files": []})
        for (unit, row, values), (file, _) in zip(record["pairs"], record["files"], strict=True):
            said = {name: known[row] for name, known in zip(names, labels, strict=True)}
            told = {name: "" if value is None else value for name, value in said.items()}
            table.writerow({
                "file": file, "split": SPLITS[plan.split(unit)], "effect": plan.name,
                "setting": f"{plan.name}-{plan.place(unit):06d}", "sound": row, **told,
                **dict(zip(knobs[plan.name], values, strict=True)),
            })  # fmt: skip
    write_bytes(out / "sounds" / TABLE, text.getvalue().encode("utf-8", "surrogateescape"))


def _facts(plan: Plan, records: list[dict[str, Any]]) -> dict[str, Any]:
    """What is told of an effect in pairs.json."""
    effect = find(plan.name)
    rejected: Counter[str] = Counter()
    sentences: dict[str, str] = {}
    for record in records:
        rejected.update(record["rejected"])
        sentences = {**record["sentences"], **sentences}
    made = sum(len(record["pairs"]) for record in records)
    return {
        "folder": plan.folder, "host": effect.host, "words": effect.words, "level": effect.level,
        "knobs": [asdict(knob) for knob in effect.knobs],
        "grid": list(plan.grid),
        "pairs": made,
        "left_out": plan.units * plan.sounds - made,
        "identical": sum(record["identical"] for record in records),
        "softened": sum(record["softened"] for record in records),
        "rejected": dict(sorted(rejected.items())),
        "sentences": dict(sorted(sentences.items())),
    }  # fmt: skip


def _words(record: dict[str, Any]) -> str:
    return "; ".join(record["sentences"].values()) or "no reason was given"


def _write_json(path: Path, value: object) -> None:
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())
