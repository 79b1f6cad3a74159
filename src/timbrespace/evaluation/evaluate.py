"""Evaluate a run: every figure of metrics.json, and the report beside it.

Conventions
-----------
Distortion and rate are measured on one split, of more than 10,000 sounds on so many drawn at random; z is
sampled by a generator of its own, so that the same seed gives the same figures. Floors and probes are
fitted on training rows only. Everything is computed in float32, whatever precision the training used.
docs/metrics.md defines each figure.
"""

import csv
import io
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.data.ratings import read_studies
from timbrespace.directions import drawn
from timbrespace.errors import MissingExtra, RunError
from timbrespace.evaluation import catalogue, interactive, reconstruction, recorded
from timbrespace.evaluation import codes as code
from timbrespace.evaluation import floors as floor
from timbrespace.evaluation import latent as rate
from timbrespace.evaluation import levels as level
from timbrespace.evaluation.facts import BATCH, Encoded, Facts
from timbrespace.evaluation.facts import labels as labels_of
from timbrespace.evaluation.report import Map, report, report_recorded
from timbrespace.evaluation.statistics import interval
from timbrespace.evaluation.verdict import judge
from timbrespace.geometry.project import Pca, flat
from timbrespace.page import escape
from timbrespace.runs import jsonable

if TYPE_CHECKING:
    from timbrespace.data.corpus import Corpus
    from timbrespace.runs import Run

Progress = Callable[[str, int, int, dict[str, float]], None]

SPLITS = ("train", "valid", "test")
AUDIBLE = ("mr_stft", "pitch_kept")  # measured of some sounds alone
PROBED = ("family", "pitch", "velocity")  # what z says of these is asked of every run
SOUNDS = 10_000  # of the split: more are drawn from, and all that is measured is of those
PROBE_ROWS = 3_000  # training sounds that the probes learn from
PAIR_ROWS = 6_000  # training pairs: those of each effect are learnt from by themselves
TRAIN_ROWS = 512  # training sounds whose distortion stands beside
INVERTED = 16  # sounds whose way through the feature's inversion is measured, the ceiling
BEST, WORST, RANDOM = 3, 4, 5  # examples in the report


class SpaceLike(Protocol):
    """What the report's maps need of a run's space."""

    @property
    def rows(self) -> np.ndarray: ...

    @property
    def maps(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Measured:
    """What `measure` found: metrics.json, sounds.csv as text, the maps, the corpus measured, and what can
    be seen and heard of the answers by name."""

    metrics: dict[str, Any]
    sounds: str
    maps: list[Map]
    corpus: "Corpus"
    drawn: dict[str, catalogue.Shown]


def evaluate(
    run: "Run",
    *,
    split: str = "valid",
    corpus: "Corpus | None" = None,
    seed: int = 0,
    labels: tuple[str, ...] = (),
    ask: Sequence[str] | None = None,
    distribution: bool = False,
    perception: Path | None = None,
    progress: Progress | None = None,
    space: SpaceLike | None = None,
) -> dict[str, Any]:
    """Measure `run` on the rows of `split`; write metrics.json, sounds.csv, report.html.

    Parameters and errors as in `measure`, and RunError when the run's folder cannot be written. Where the
    run's own corpus is gone or has changed, and no other is given, both files say so and what the run's
    folder knows; RunError where it holds an evaluation of when the corpus was there, which stays.
    Returns what metrics.json holds.
    """
    if corpus is None:
        try:
            run.corpus  # noqa: B018
        except RunError as error:
            asked = _questions(split, ask, distribution=distribution, perception=perception)
            return _recorded(run, str(error), asked)
    found = measure(
        run, split=split, corpus=corpus, seed=seed, labels=labels, ask=ask,
        distribution=distribution, perception=perception, progress=progress, space=space,
    )  # fmt: skip
    _write(run, found.metrics, found.sounds)
    report(
        run, found.metrics, corpus=found.corpus, maps=found.maps, drawn=found.drawn,
        interactive=_interactive(run, found, own=corpus is None), progress=progress,
    )  # fmt: skip
    return found.metrics


def _recorded(run: "Run", why_not: str, asked: Sequence[str]) -> dict[str, Any]:
    """Write what is known without the sounds; returns what metrics.json holds."""
    folder = run.path / "evaluation"
    if (folder / "sounds.csv").is_file():
        raise RunError(f"{why_not}; {folder} stays as it was evaluated while the corpus was there")
    metrics = recorded.measure(run, why_not, asked)
    _write(run, metrics)
    report_recorded(run, metrics)
    return metrics


def _write(run: "Run", metrics: dict[str, Any], sounds: str | None = None) -> None:
    """metrics.json, after sounds.csv where sounds were measured; RunError when they cannot be written."""
    folder = run.path / "evaluation"
    text = json.dumps(metrics, indent=1, allow_nan=False, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if sounds is not None:
            write_text(folder / "sounds.csv", sounds)
        write_text(folder / "metrics.json", text + "\n")
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from None


def _interactive(run: "Run", found: Measured, *, own: bool) -> str:
    """Write map.html of the run's own corpus or another; what the report says of it, as HTML."""
    place = run.path / "evaluation" / "map.html"
    parts = run.split() if own else {}
    maps = {one.name: one.xy for one in found.maps}
    atlas = interactive.Atlas.of(
        run.name, found.corpus, found.maps[0].rows, maps, found.sounds, parts
    )
    try:
        heard = interactive.recordings(atlas, found.corpus)
        write_text(place, interactive.page([atlas], heard, f"{run.name}: its maps"))
    except MissingExtra as error:
        place.unlink(missing_ok=True)
        return f"<p class='quiet'>{escape(error)}.</p>"
    except OSError as error:
        raise RunError(f"{place} cannot be written: {error.strerror}") from None
    return (
        "<p><a href='map.html'>Its maps, to point at and to hear</a>: every sound with its labels and "
        "its error, coloured by any of them.</p>"
    )


def measure(
    run: "Run",
    *,
    split: str = "valid",
    corpus: "Corpus | None" = None,
    seed: int = 0,
    labels: tuple[str, ...] = (),
    ask: Sequence[str] | None = None,
    distribution: bool = False,
    perception: Path | None = None,
    progress: Progress | None = None,
    space: SpaceLike | None = None,
) -> Measured:
    """Measure `run` on the rows of `split`; writes nothing.

    corpus: another corpus to measure on; floors and probes still learn from the run's own training
    rows where that corpus is there. labels: others than family, pitch, velocity and what the model is
    told, whose trace in the latent is to be measured. ask: the questions asked (`catalogue.QUESTIONS`), by
    default all; without any there are distortion, rate, floors and probes. distribution: whether the sounds are
    to be compared with recordings as sets, which takes minutes. perception: a checkout of the benchmark of
    listening tests, to ask how well the space agrees with them. space: the run's space, for the maps;
    without it they show a PCA of the latents measured here. RunError for an unknown or empty split
    and for an unknown question, CorpusError where `perception` is not the benchmark.
    """
    import torch

    began = time.monotonic()
    questions = _questions(split, ask, distribution=distribution, perception=perception)
    measured = run.corpus if corpus is None else corpus
    rows = _rows(run, measured, split, own=corpus is None)
    if not len(rows):
        raise RunError(f"{measured.path} has no {split} sounds; choose another split")
    of_sounds, rows = len(rows), drawn(rows, SOUNDS)
    learnt = _training_corpus(run, measured)
    train_rows = _rows(run, learnt, "train", own=corpus is None or learnt is not measured)
    if not len(train_rows):
        raise RunError(f"{learnt.path} has no training sounds to fit the floors on")
    rng = np.random.default_rng(seed)
    floor_db = run.feature.yardstick.floor_db

    def tell(done: int, total: int) -> None:
        if progress:
            progress("evaluate", done, total, {})

    # what is wrong with them is said before all is measured
    studies = None if perception is None else read_studies(perception)
    steps = 4 + len(questions)
    with torch.no_grad():
        tell(0, steps)
        here = Encoded.of(run, measured, rows, rng)
        most = PAIR_ROWS if run.feature.kind == "pair" else PROBE_ROWS
        some = _some(train_rows, most, rng)
        there = Encoded.of(run, learnt, some, rng)
        not_finite = _not_finite(
            measured, np.setdiff1d(rows, here.rows), len(some) - len(there.rows)
        )
        of_sounds, rows, some = of_sounds - not_finite["sounds"], here.rows, there.rows
        tell(1, steps)
        pitches = labels_of(measured, "pitch", rows)
        all_train_pitches = labels_of(learnt, "pitch", train_rows)
        store, view = learnt.features(run.feature), run.feature.view
        told_pitch = "pitch" in run.recipe.model.condition.labels
        fitted = floor.Floors.fit(
            lambda some: view(torch.from_numpy(store.read(some))).values.numpy(),
            train_rows, all_train_pitches,
            pitch_given=told_pitch, seed=seed,
        )  # fmt: skip
    tell(2, steps)
    families = labels_of(measured, "family", rows)
    train_families = labels_of(learnt, "family", some)
    train_pitches = labels_of(learnt, "pitch", some)
    names = dict.fromkeys((*PROBED, *run.recipe.model.condition.names, *labels))
    maps = _maps(measured, here, there if learnt is measured else None, space, run.model.heard)
    facts = Facts(
        run, measured, learnt, split, seed, here, there, fitted, train_rows, studies, maps
    )
    near, far = (reconstruction.Closeness(floor_db) for _ in range(2))
    done = itertools.count(3)

    @torch.no_grad()
    def first() -> tuple[Any, ...]:
        errors = _distortion(run, here, rng, fitted=fitted, pitches=pitches, near=(near, far))
        brief = there.take(np.sort(rng.permutation(len(some))[:TRAIN_ROWS]))
        train_errors = _distortion(run, brief, rng)
        probes = {name: _probe(facts, name) for name in names}
        return errors, train_errors, _inversion(run, here, rng), probes

    (errors, train_errors, inverted, probes), answers = catalogue.ask(
        facts, questions, first, lambda: tell(next(done), steps)
    )
    pictured = catalogue.draw(facts, answers)
    each = [answer.pop("each") for answer in answers.values() if answer and "each" in answer]
    named = dict(zip(reconstruction.NAMES, near.each.T.tolist(), strict=True))
    columns = _columns([{"row": rows.tolist(), **named}, *each])

    unit = reconstruction.db_per_unit(floor_db)
    scores = {k: reconstruction.rmse_db(v, floor_db) for k, v in errors.items()}
    best, worst = reconstruction.extremes(errors["z"], len(rows))
    instruments = facts.labels("instrument")
    resampled = facts.rng("distortion")
    mean_sound = far.evaluate(facts.groups, rng=resampled)
    registers = None if pitches is None else reconstruction.registers(pitches)
    best, worst = _distinct(best, instruments, BEST), _distinct(worst, instruments, WORST)
    random = _at_random(len(rows), best + worst, facts.rng("examples"))
    nats = here.nats.sum(1)
    status = run.status()
    metrics: dict[str, Any] = {
        "format": 1,
        "run": run.name,
        "split": split,
        "sounds": len(rows),
        "of_sounds": of_sounds,
        "not_finite": not_finite,
        "seed": seed,
        "corpus_digest": measured.digest,
        "training": {k: status[k] for k in ("epoch", "epochs", "finished") if k in status},
        "distortion": reconstruction.evaluate(
            errors["z"], errors["mean"], floor_db, facts.groups, rng=resampled
        )
        | near.evaluate(facts.groups, rng=resampled)
        | {
            "rmse_db_shuffled": scores["shuffled"],
            "train_rmse_db": reconstruction.rmse_db(train_errors["z"], floor_db),
            "groups": len(set(facts.groups)),
            **_profiles(run, near, far),
        },
        "rate": rate.evaluate(here.mean, here.logvar, here.nats, seed=seed)
        | {"bits_per_sound_interval": interval(nats / math.log(2.0), facts.groups, rng=resampled)}
        | {"levels": _levels(run, here, scores)}
        | _codes(run, here, there),
        "floors": {
            "mean_sound_rmse_db": scores["mean_sound"],
            **{f"mean_sound_{name}": mean_sound[name] for name in reconstruction.NAMES},
            "mean_per_pitch_rmse_db": scores.get("mean_per_pitch"),
            "pca_rmse_db": {str(k): scores[f"pca_{k}"] for k in floor.SIZES},
            "linear_code_rmse_db": scores["linear_code"],
            "pca_given_pitch_rmse_db": {
                str(k): scores[f"pca_given_pitch_{k}"] for k in floor.SIZES
            }
            if "pca_given_pitch_8" in scores
            else None,
            "fitted_rows": len(fitted.rows),
            "pca_rows": fitted.pca_rows,
        },
        "ceilings": inverted,
        **answers,
        "feature": floor.scale(
            view(torch.from_numpy(
                measured.features(run.feature).read(np.sort(rng.permutation(rows)[:512]))
            )).values.numpy(),
            floor_db,
        ),
        "labels": {
            "families": _count(train_families), "pitches": _count(train_pitches),
        },
        "probes": {
            **probes,
            "train_rows": len(some),
            "instruments_shared_with_training": _shared(measured, rows, learnt, train_rows),
        },
        **{
            name: _parts(values, rows, errors, nats, floor_db, facts.groups, columns, resampled)
            for name, values in (("families", families), ("registers", registers))
        },
        "examples": {
            "best": [int(rows[i]) for i in best],
            "worst": [int(rows[i]) for i in worst],
            "random": [int(rows[i]) for i in random],
        },
    }  # fmt: skip
    judged = judge(metrics)
    metrics["verdict"], metrics["faults"] = judged.words, list(judged.faults)
    metrics["healthy"] = judged.healthy
    metrics["seconds"] = time.monotonic() - began
    metrics = jsonable(metrics)

    tell(steps, steps)
    return Measured(
        metrics,
        _table(measured, rows, errors, nats, unit, facts.groups, columns),
        maps,
        measured,
        pictured,
    )


def _questions(
    split: str, ask: Sequence[str] | None, *, distribution: bool, perception: Path | None
) -> list[str]:
    """The names of all that is asked; RunError for a split or a question that is none."""
    if split not in SPLITS:
        raise RunError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
    on_request = {"distribution": distribution, "perception": perception is not None}
    return catalogue.chosen(ask) + [name for name, asked in on_request.items() if asked]


def _rows(run: "Run", corpus: "Corpus", split: str, *, own: bool) -> np.ndarray:
    """Row ids of a split: as it was when training began for the run's own corpus."""
    if own:
        return np.array(sorted(r for r, s in run.split().items() if s == split), int)
    return np.asarray(corpus.split_rows(split), int)


def _training_corpus(run: "Run", measured: "Corpus") -> "Corpus":
    try:
        return run.corpus
    except RunError:
        return measured  # the run's own is gone; the other one has training rows too, or says so


def _not_finite(corpus: "Corpus", lost: np.ndarray, training: int) -> dict[str, Any]:
    """The sounds that are left out since their latents are no numbers, and of how many of training it is so."""
    files = [corpus.rows[row].file for row in lost.tolist()]
    return {
        "sounds": len(lost), "rows": lost.tolist(), "files": files, "training_sounds": training,
    }  # fmt: skip


def _some(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _distortion(
    run: "Run",
    encoded: Encoded,
    rng: np.random.Generator,
    *,
    fitted: floor.Floors | None = None,
    pitches: list[Any] | None = None,
    near: tuple[reconstruction.Closeness, reconstruction.Closeness] | None = None,
) -> dict[str, np.ndarray]:
    """Mean squared error per sound (N,) of the model ("z"; with `fitted` also "mean", "shuffled"
    and every floor). `near` are told what else there is to say of z and of the mean sound."""
    import torch

    count = len(encoded.rows)
    nats = float(encoded.nats.sum(1).mean())
    # each sound gets another one's latent: a random order, moved on by one, has no fixed point
    order = rng.permutation(count)
    other = np.empty(count, int)
    other[order] = np.roll(order, 1)
    points = {"z": encoded.z}
    if fitted is not None:
        points |= {"mean": encoded.mean, "shuffled": encoded.z[other]}
        if len(run.model.levels) > 1:
            for number, here in enumerate(level.places(run.model.levels), start=1):
                points[f"level_{number}"] = _exchanged(encoded.z, other, here)
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, count, BATCH):
        part = slice(start, min(start + BATCH, count))
        positions = torch.arange(part.start, part.stop)
        x, labels = encoded.pictures.batch(positions, torch.device("cpu"))
        original = run.feature.view(x[:, 0]).values.numpy()
        for name, z in points.items():
            decoded = run.model.decode(torch.from_numpy(z[part]), labels)[:, 0].float()
            made = run.feature.compared(x[:, 0], decoded)[1].numpy()
            parts.setdefault(name, []).append(reconstruction.mse_per_sound(original, made))
            if name == "z" and near is not None:
                near[0].add(original, made)
        if fitted is not None:
            if near is not None:
                near[1].add(original, np.broadcast_to(fitted.mean, original.shape))
            own = None if pitches is None else pitches[part]
            for name, error in fitted.errors(original, own, nats=nats).items():
                parts.setdefault(name, []).append(error)
    return {name: np.concatenate(errors) for name, errors in parts.items()}


def _exchanged(z: np.ndarray, other: np.ndarray, here: slice) -> np.ndarray:
    """z (N, Z) with one level's numbers taken from another sound."""
    mixed = z.copy()
    mixed[:, here] = z[other][:, here]
    return mixed


def _levels(run: "Run", encoded: Encoded, scores: dict[str, float]) -> list[dict[str, Any]] | None:
    """What each level carries, with the error once another sound's is in its place; None for one."""
    import torch

    sizes = run.model.levels
    if len(sizes) == 1:
        return None

    def entrance(u: np.ndarray) -> np.ndarray:
        return run.model.decoder.entrance(torch.from_numpy(u)).numpy()

    with torch.no_grad():
        table = level.evaluate(entrance, encoded.mean, encoded.logvar, encoded.nats, sizes)
    for number, line in enumerate(table, start=1):
        line["rmse_db_exchanged"] = scores[f"level_{number}"]
    return table


def _codes(run: "Run", here: Encoded, there: Encoded) -> dict[str, Any]:
    """What the codes of a quantised latent say, after those of training sounds; else nothing."""
    books = run.recipe.model.bottleneck.codebooks
    if books is None or here.codes is None or there.codes is None:
        return {}
    return code.evaluate(books, here.codes, there.codes)


def _inversion(run: "Run", encoded: Encoded, rng: np.random.Generator) -> dict[str, float]:
    """How near pictures come that became sound and were analysed again, without any model."""
    import torch

    at = np.sort(rng.permutation(len(encoded.rows))[:INVERTED])
    x = encoded.take(at).pictures.batch(torch.arange(len(at)), torch.device("cpu"))[0][:, 0]
    heard = run.feature.invert(x, torch.zeros(len(x)))
    original, again = run.feature.compared(x, run.feature.analyse(heard).values)
    pair, floor_db = (original.numpy(), again.numpy()), run.feature.yardstick.floor_db
    rmse_db = reconstruction.rmse_db(reconstruction.mse_per_sound(*pair), floor_db)
    means = reconstruction.figures(*pair, floor_db).mean(0).tolist()
    named = zip(reconstruction.NAMES, means, strict=True)
    return {"inversion_rmse_db": rmse_db} | {f"inversion_{name}": mean for name, mean in named}


def _profiles(
    run: "Run", near: reconstruction.Closeness, far: reconstruction.Closeness
) -> dict[str, Any]:
    """The errors of the model and of the mean sound over frequency and over time."""
    yardstick = run.feature.yardstick
    axes = {
        "by_band": ("hertz", yardstick.frequencies.numpy()),
        "by_time": ("seconds", np.arange(yardstick.frames) * yardstick.hop / yardstick.sample_rate),
    }
    found = {}
    for axis, (name, (unit, places)) in enumerate(axes.items()):
        lines = {unit: places, **near.along(axis)}
        lines["mean_sound_rmse_db"] = far.along(axis)["rmse_db"]
        found[name] = {key: np.round(line, 4).tolist() for key, line in lines.items()}
    return found


def _probe(facts: Facts, name: str) -> dict[str, Any] | None:
    """What z and mu say of a label; None where there are no two values to tell apart."""
    truth, known = facts.labels(name), facts.labels_there(name)
    if truth is None or known is None:
        return None
    rng, groups = facts.rng(f"probe {name}"), facts.groups
    on_z = rate.probe(facts.there.z, known, facts.here.z, truth, groups, rng=rng)
    on_mu = rate.probe(facts.there.mean, known, facts.here.mean, truth, groups, rng=rng)
    return None if on_z is None else {"on_z": on_z, "on_mu": on_mu}


def _count(labels: list[Any] | None) -> int:
    return 0 if labels is None else len({v for v in labels if v is not None})


def _distinct(order: np.ndarray, instruments: list[Any] | None, count: int) -> list[int]:
    """The first `count` positions of `order`, one of each instrument where instruments are known:
    the worst sounds are else five notes of one."""
    if instruments is None:
        return order[:count].tolist()
    chosen: dict[Any, int] = {}
    for i in order.tolist():
        name = instruments[i] if instruments[i] is not None else i
        if len(chosen) < count:
            chosen.setdefault(name, i)
    return list(chosen.values())


def _at_random(count: int, shown: list[int], rng: np.random.Generator) -> list[int]:
    """RANDOM positions that are not yet `shown`: of runs with the same sounds the same ones but for those,
    so that they can be heard side by side."""
    order = rng.permutation(count)
    return order[~np.isin(order, shown)][:RANDOM].tolist()


def _shared(one: "Corpus", rows: np.ndarray, other: "Corpus", train: np.ndarray) -> int | None:
    """How many instruments of the measured rows were trained on; None without that label."""
    asked, known = labels_of(one, "instrument", rows), labels_of(other, "instrument", train)
    if asked is None or known is None:
        return None
    return len({str(v) for v in asked if v is not None} & {str(v) for v in known if v is not None})


def _columns(each: list[dict[str, list[Any]]]) -> dict[str, dict[int, float]]:
    """Figures of single sounds by name and row, of answers that name their rows as "row"."""
    return {
        name: {
            row: value for row, value in zip(found["row"], values, strict=True) if value != ""
        }
        for found in each for name, values in found.items() if name != "row"
    }  # fmt: skip


def _parts(
    labels: list[Any] | None, rows: np.ndarray, errors: dict[str, np.ndarray], nats: np.ndarray,
    floor_db: float, groups: list[Any], columns: dict[str, dict[int, float]],
    rng: np.random.Generator,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """The figures of the sounds of each label, those of AUDIBLE of so many of them; {} without labels."""
    if labels is None:
        return {}
    names = {"z": "rmse_db", "mean": "rmse_db_at_mean", "mean_sound": "mean_sound_rmse_db"}
    each = {name: errors[key] for key, name in names.items()}
    table = reconstruction.per_label(labels, floor_db, each, groups, rng=rng)
    texts = np.array([str(label) for label in labels])
    for name, line in table.items():
        line["groups"] = len({groups[i] for i in np.flatnonzero(texts == name)})
        line["bits_per_sound"] = rate.bits(float(nats[texts == name].mean()))
        own = rows[texts == name].tolist()
        for figure in (*reconstruction.NAMES, *AUDIBLE):
            known = [columns[figure][row] for row in own if row in columns.get(figure, {})]
            line[figure] = float(np.mean(known)) if known else None
            if figure in AUDIBLE:
                line[f"{figure}_sounds"] = len(known)
    return table


def _table(
    corpus: "Corpus", rows: np.ndarray, errors: dict[str, np.ndarray], nats: np.ndarray,
    unit: float, groups: list[Any], columns: dict[str, dict[int, float]],
) -> str:  # fmt: skip
    """sounds.csv: `columns` are further figures, as `_columns` gives them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    own = ["row", "file", "rmse_db", "rmse_db_at_mean", "bits", "group"]
    writer.writerow([*own, *columns])
    for i, row in enumerate(rows.tolist()):
        known = [math.sqrt(errors[k][i]) * unit for k in ("z", "mean")] + [rate.bits(nats[i])]
        some = [column.get(row, "") for column in columns.values()]
        writer.writerow([
            row, corpus.rows[row].file, *(f"{v:.4f}" for v in known), groups[i],
            *(v if v == "" else f"{v:.4f}" for v in some),
        ])  # fmt: skip
    return text.getvalue()


def _maps(
    corpus: "Corpus", here: Encoded, there: Encoded | None, space: SpaceLike | None, heard: int
) -> list[Map]:
    """Of the space, where it has these sounds; else PCA of the first `heard` numbers."""
    mean = here.mean[:, :heard]
    if space is not None and there is not None and np.isin(here.rows, space.rows).all():
        shown = np.asarray(space.rows, int)
        drawn = space.maps
    elif there is None:
        shown, drawn = here.rows, {"pca": flat(Pca.fit(mean, 2).transform(mean))}
    else:
        # one row may be on both sides when the split measured is "train"
        extra = ~np.isin(there.rows, here.rows)
        shown = np.r_[here.rows, there.rows[extra]]
        learnt = there.mean[:, :heard]
        drawn = {"pca": flat(Pca.fit(learnt, 2).transform(np.r_[mean, learnt[extra]]))}
    measured = np.isin(shown, here.rows)
    families, pitches = labels_of(corpus, "family", shown), labels_of(corpus, "pitch", shown)
    return [Map(n, shown, np.asarray(xy), measured, families, pitches) for n, xy in drawn.items()]
