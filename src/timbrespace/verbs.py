"""The verbs: what `timbrespace VERB` does, as Python functions of the same names.

Each takes paths, returns something with names, and reports to `progress(stage, done, total, facts)`.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np

from timbrespace.errors import AudioError, RunError
from timbrespace.models.vocabulary import NUMBERS

if TYPE_CHECKING:
    from timbrespace.audio.files import Audio
    from timbrespace.audio.scratch import Channels, Keep, Samples, Scratch
    from timbrespace.data.corpus import Corpus
    from timbrespace.directions import Directions
    from timbrespace.evaluation.figures.style import Drawing
    from timbrespace.exporting.instrument import Exported
    from timbrespace.exporting.points import Point
    from timbrespace.features.phase import Recovery
    from timbrespace.mapping import Space
    from timbrespace.recipe import Recipe
    from timbrespace.render.synth import Synth
    from timbrespace.runs import Run
    from timbrespace.vocoders.vocoder import Vocoder
    from timbrespace.writeup.pack import Paper

Progress = Callable[[str, int, int, dict[str, float]], None]
Told = dict[str, Any]  # values of labels by name: words, or numbers for pitch and velocity
Ready = Callable[[str], None]
StrPath = str | Path

log = logging.getLogger(__name__)
KNOWN_WORDS = 12  # that are named when another word is asked for


def instruments(
    out: StrPath, *, notes: int | None = None, soundfont: StrPath | None = None, seed: int = 0,
    folds: int | None = None, workers: int | None = None, progress: Progress | None = None,
) -> Any:  # fmt: skip
    """Render sampled instruments as a data set in the NSynth layout. `folds`: also as many lists for
    `prepare`, folds/1-of-5.csv and so on; each instrument is held out in one of them."""
    from timbrespace.data.instruments import render_instruments

    tell = None if progress is None else (lambda done, total: progress("render", done, total, {}))
    return render_instruments(
        out, notes=notes, soundfont=soundfont, seed=seed, folds=folds, workers=workers, progress=tell,
    )  # fmt: skip


def prepare(
    source: StrPath, out: StrPath, *, layout: str = "auto", labels: StrPath | None = None,
    recipe: StrPath = "instruments", cut: str = "start", seconds: float | None = None,
    hop: float | None = None, max_seconds: float | None = None, split_by: str = "auto",
    split: tuple[float, float, float] = (0.8, 0.1, 0.1), split_lists: StrPath | None = None,
    seed: int = 0, strict: bool = False, workers: int | None = None, cluster: str | None = None,
    dtype: str | None = None, progress: Progress | None = None,
) -> "Corpus":  # fmt: skip
    """Read sounds (a folder, one file, or a table), check them, and write a corpus with the recipe's
    feature. `layout` and `labels`: see data.sources.list_source.

    `cut`, `seconds` and `hop` say what of a file is a sound: see data.cutting.Cut. `split_by`,
    `split`, `split_lists` and `seed` say what is for training: see data.splits.Splitting. `strict`
    makes a skipped file an error, after all is written. `cluster` is the address of a Dask scheduler
    that does the work in place of `workers` processes here. `dtype` keeps the pictures in float16 or
    float32, whatever the recipe says.
    """
    from timbrespace.data.cutting import Cut
    from timbrespace.data.prepare import prepare as prepare_corpus
    from timbrespace.features.catalogue import feature_of
    from timbrespace.recipe import load

    settings = load(recipe).feature.model_dump()
    feature = feature_of(settings if dtype is None else {**settings, "dtype": dtype})
    tell = None if progress is None else (lambda done, total: progress("prepare", done, total, {}))
    return prepare_corpus(
        source,
        out,
        layout=layout,
        feature=feature,
        cut=Cut(cut, seconds, hop),  # type: ignore[arg-type]
        max_seconds=max_seconds,
        split_by=split_by,
        split=split,
        split_lists=split_lists,
        seed=seed,
        strict=strict,
        workers=workers,
        cluster=cluster,
        labels_csv=labels,
        progress=tell,
    )


def recipes(show: str | None = None, *, ablations: bool = False) -> dict[str, str]:
    """Recipe names with one line each (with `ablations` also those that change one thing of
    another), or the whole text of one as {name: YAML}."""
    from timbrespace import recipe

    if show is not None:
        return {show: recipe.load(show).to_yaml()}
    return {name: recipe.load(name).about for name in recipe.shipped(ablations=ablations)}


def estimate(
    recipe: StrPath, corpus: StrPath, *, settings: tuple[str, ...] = ()
) -> dict[str, float]:
    """Seconds and memory a training would take here, from timing a few steps on random pictures."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.recipe import load
    from timbrespace.training.estimate import estimate_training

    wanted = load(recipe, settings=settings)
    return estimate_training(wanted, len(Corpus.open(corpus).split_rows("train")))


def train(
    recipe: StrPath, corpus: StrPath, out: StrPath, *, settings: tuple[str, ...] = (),
    resume: bool = False, processes: int | str = 1, tensorboard: bool = False, wandb: bool = False,
    progress: Progress | None = None, after_epoch: Callable[[int], None] | None = None,
) -> "Run":  # fmt: skip
    """Train a recipe on a corpus into the run folder `out`, or go on with it.

    `processes` share every batch: a number, or "gpus" for one on each GPU here. Where torchrun has
    started this process beside others, they share the batches, and the first alone reports and
    writes; when it fails, the others end with SystemExit.
    """
    from timbrespace.machine import keep_memory
    from timbrespace.recipe import load
    from timbrespace.runs import Run
    from timbrespace.training.launch import count_of, train_here
    from timbrespace.training.loggers import loggers_of
    from timbrespace.training.loop import train_run
    from timbrespace.training.parallel import joined

    keep_memory()
    wanted = load(recipe, settings=settings)
    with joined() as ranks:
        count = count_of(processes)
        if count > 1 and ranks.world > 1:
            raise RunError(f"{ranks.world} processes run already; leave --processes out")
        asked = {"tensorboard": tensorboard and ranks.leads, "wandb": wandb and ranks.leads}
        run = Run(Path(out), wanted, {})
        if ranks.leads:
            run, resume = _run_to_train(wanted, corpus, out, resume)
            tell = None if progress is None else (lambda d, t: progress("features", d, t, {}))
            run.corpus.features(run.feature, progress=tell)
        run.provenance, resume = ranks.from_first(lambda: (run.provenance, resume))
        if count > 1:
            train_here(
                run, count, resume=resume, progress=progress, after_epoch=after_epoch, **asked
            )
        else:
            train_run(
                run, resume=resume, progress=progress, after_epoch=after_epoch, ranks=ranks,
                loggers=loggers_of(run.path, run.name, **asked),
            )  # fmt: skip
    return run


def _run_to_train(
    wanted: "Recipe", corpus: StrPath, out: StrPath, resume: bool
) -> tuple["Run", bool]:
    """The run folder, new or found again, and whether it has a checkpoint to go on from."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.recipe import differences
    from timbrespace.runs import Run

    if not (resume and (Path(out) / "recipe.yaml").is_file()):
        return Run.create(out, wanted, Corpus.open(corpus)), False
    run = Run.open(out)
    if run.recipe != wanted:
        raise RunError(
            f"{out} was trained with other settings ({', '.join(sorted(differences(run.recipe, wanted)))}); "
            "resume with the same, or choose another --out"
        )
    checkpoints = run.path / "checkpoints"
    return run, any((checkpoints / name).is_dir() for name in ("last", "previous"))


def space(
    run: StrPath, *, umap: bool = True, axes: bool = True, embed: bool = False,
    progress: Progress | None = None,
) -> "Space":  # fmt: skip
    """Encode the run's whole corpus, draw its maps, and find its named directions (`axes`).

    `embed`: also how each recording sounds, for `search`; some fifteen milliseconds for each second of
    sound that was not embedded before.
    """
    from timbrespace.directions import find_directions
    from timbrespace.mapping import build_space
    from timbrespace.runs import Run

    opened = Run.open(run)
    made = build_space(opened, umap=umap, progress=progress)
    if axes:
        find_directions(opened, made, progress=progress)
    if embed:
        from timbrespace.likeness import embed_space

        embed_space(opened, made, progress=progress)
    return made


def axes(run: StrPath, *, progress: Progress | None = None) -> "Directions":
    """The named directions of the run's space, each with what it is worth; found where the space has
    none yet."""
    from timbrespace.directions import Directions, find_directions
    from timbrespace.mapping import Space
    from timbrespace.runs import Run

    opened = Run.open(run)
    known = Space.open(opened)
    try:
        return Directions.open(opened, known.version)
    except RunError:
        return find_directions(opened, known, progress=progress)


def evaluate(
    run: StrPath, *, split: str = "valid", corpus: StrPath | None = None,
    labels: tuple[str, ...] = (), ask: Sequence[str] | None = None, distribution: bool = False,
    perception: StrPath | None = None, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure a run and write evaluation/metrics.json and report.html; `labels`: others than the
    usual whose trace in the latent is to be measured; `ask`: which questions to answer
    (`timbrespace.evaluation.catalogue.QUESTIONS`), by default all; `distribution`: are the sounds, as a set,
    like recordings (minutes)? `perception`: a checkout of
    github.com/tiianhk/timbremetrics, to ask how well the space agrees with listeners."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.evaluation.evaluate import evaluate as evaluate_run
    from timbrespace.mapping import Space
    from timbrespace.runs import Run

    opened, maps = Run.open(run), None
    other = None if corpus is None else Corpus.open(corpus)
    with suppress(RunError):  # without a space the report draws a PCA of its own
        maps = Space.open(opened)
    return evaluate_run(
        opened, split=split, corpus=other, labels=labels, ask=ask, distribution=distribution,
        perception=None if perception is None else Path(perception), progress=progress, space=maps,
    )  # fmt: skip


def generation(run: StrPath, *, split: str = "valid", seed: int = 0) -> dict[str, Any]:
    """How far new sounds of each prior are from real ones; writes evaluation/generation.json."""
    from timbrespace.evaluation.generation import measure
    from timbrespace.mapping import Space
    from timbrespace.runs import Run

    opened = Run.open(run)
    return measure(opened, Space.open(opened), split=split, seed=seed)


def compare(
    runs: list[StrPath], *, sort: str | None = None, seeds: bool = False,
    against: StrPath | None = None, out: StrPath | None = None, plot: StrPath | None = None,
    map: StrPath | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Evaluated runs side by side: one flat dict each (docs/metrics.md, "compare"), and the whole of
    metrics.json as "metrics".

    `sort` by one of its keys; `seeds`: runs that differ only in their seed, or in which part of the same
    sounds is held out, become one, means beside 95 % intervals. Each says how it differs from `against`,
    one of the runs, or from the first that it compares with, in a paired test: "difference", and
    "sentence" in words. `out` is FILE.html, one page with table, pictures and sounds, or the table
    alone, FILE.csv or FILE.md; `plot` the rate-distortion plane of the
    runs that compare, FILE.html to point at, or FILE.png or FILE.svg; `map` their spaces' maps side by
    side, FILE.html to point at and to hear, or FILE.png or FILE.svg.
    """
    from timbrespace.atomic import write_text
    from timbrespace.evaluation import comparison, comparison_page

    writers = {
        ".csv": comparison.comma_separated, ".md": comparison.markdown, ".html": comparison_page.page,
    }  # fmt: skip
    if out is not None and Path(out).suffix.lower() not in writers:
        raise RunError(f"a comparison is written as FILE.html, FILE.csv or FILE.md, not as {out}")
    for what, file in (("the plane is", plot), ("maps are", map)):
        if file is not None and Path(file).suffix.lower() not in (".html", ".png", ".svg"):
            raise RunError(f"{what} drawn as FILE.html, FILE.png or FILE.svg, not as {file}")
    rows = comparison.rows(runs, seeds=seeds, against=against)
    if sort is not None:
        rows = comparison.ordered(rows, sort)
    said = comparison.warning(rows)
    if said is not None:
        log.warning(said)
    if out is not None:
        write_text(out, writers[Path(out).suffix.lower()](rows))
    if plot is not None:
        _write_drawing(Path(plot), comparison.picture(rows))
    if map is not None:
        _write_maps(runs, Path(map))
    return rows


def _write_maps(runs: list[StrPath], out: Path) -> None:
    """The maps of several runs, as the file's name asks."""
    from timbrespace.atomic import write_text
    from timbrespace.evaluation import interactive
    from timbrespace.runs import Run

    opened = [Run.open(run) for run in runs]
    spaces = [
        interactive.Atlas.open(run, str(name)) for run, name in zip(opened, runs, strict=True)
    ]
    if out.suffix.lower() == ".html":
        heard = interactive.recordings(spaces[0], opened[0].corpus)
        write_text(out, interactive.page(spaces, heard, "Maps side by side"))
        return
    _write_drawing(out, interactive.picture(spaces))


def _write_drawing(out: Path, drawn: "Drawing") -> None:
    """A figure as FILE.svg, FILE.png, or FILE.html to point at."""
    from timbrespace.atomic import write_bytes, write_text
    from timbrespace.evaluation import figures_page

    if out.suffix.lower() == ".html":
        write_text(out, figures_page.page({"plane": drawn}, "Rate and distortion"))
        return
    write_bytes(out, drawn.svg() if out.suffix.lower() == ".svg" else drawn)


def paper(
    runs: list[StrPath], out: StrPath, *, against: StrPath | None = None, seeds: bool = False
) -> "Paper":
    """A paper of evaluated runs in the folder `out` (docs/paper.md): LaTeX with methods, tables, figures
    and references, a page to listen, data and model cards; several runs also side by side, held
    `against` one of them; `seeds`: those that differ only in their seed become one line, as in `compare`.
    All its figures are those of metrics.json; what was not measured it says."""
    from timbrespace.writeup.pack import write

    return write(runs, out, against=against, seeds=seeds)


def _synth(
    run: "Run", space: "Space | None" = None, *, recovery: "Recovery | None" = None,
    vocoder: StrPath | None = None,
) -> "Synth":  # fmt: skip
    """The run's newest model, or the one that drew the given space; its pictures become sound by a
    `vocoder` (a file or a shipped name), or as `recovery` says (see features.phase.Recovery)."""
    from timbrespace.features.phase import Recovery
    from timbrespace.render.synth import Synth

    model = run.load_model(space.weights) if space else run.model
    return Synth(
        model, run.feature, run.vocabulary, _vocoder(run, vocoder), recovery=recovery or Recovery()
    )


def _vocoder(run: "Run", place: StrPath | None) -> "Vocoder | None":
    """The vocoder in a file, or a shipped one, that takes the run's pictures."""
    if place is None:
        return None
    from timbrespace.vocoders.vocoder import Vocoder

    opened = Vocoder.open(place)
    opened.check(run.feature)
    return opened


def _shift(run: "Run", space: "Space", toward: dict[str, float]) -> np.ndarray:
    """So many steps of each of the space's named directions, (Z,)."""
    from timbrespace.directions import Directions

    return Directions.open(run, space.version).shift(toward)


def _told(run: "Run", pitch: float | None, labels: Told | None) -> tuple[float | None, Told]:
    """The pitch and the other labels that the run is to be told, checked.

    RunError for a label that it does not hear or a number that it cannot take; a word that no
    training sound had is unknown, and that is said.
    """
    known = run.recipe.model.condition.labels
    asked = {**(labels or {})} | ({} if pitch is None else {"pitch": pitch})
    told: Told = {}
    for name, value in asked.items():
        if name not in known:
            if name == "pitch" and name not in (labels or {}):
                continue  # the general option, which all runs take
            heard = ", ".join(known) or "no label"
            raise RunError(f"{run.path} is told {heard}, not {name!r}")
        number = run.vocabulary.number(name, value)
        unknown = number == run.vocabulary.count(name)
        if name in NUMBERS and unknown:
            raise RunError(f"{name} should be a number from 0 to 127, got {value!r}")
        if name in NUMBERS:
            if number % 1 and known[name].kind != "continuous":
                raise RunError(
                    f"{run.path} knows {name} in whole numbers, got {number:g}; a recipe with kind: "
                    "continuous takes fractions"
                )
            told[name] = number if number % 1 else int(number)
        else:
            if unknown:
                log.warning(
                    "no training sound had %s %s: the model takes it as unknown; it knows %s",
                    name, value, ", ".join(run.vocabulary.words[name][:KNOWN_WORDS]),
                )  # fmt: skip
            told[name] = str(value)
    found = told.pop("pitch", None)
    return None if found is None else float(found) if found % 1 else int(found), told


def _first_window(run: "Run", sound: "Audio") -> np.ndarray:
    """What is seen of a sound in its first window, mono: its place in the space, however long it is."""
    return sound.at(run.feature.sample_rate).mono()[: run.feature.seen]


def _read_window(run: "Run", path: StrPath) -> np.ndarray:
    from timbrespace.audio.files import read

    return _first_window(run, read(path))


def _read_long(run: "Run", path: StrPath, folder: Path) -> "Scratch":
    """The whole of it, mono, on disk in `folder`."""
    from timbrespace.audio.files import read_long
    from timbrespace.audio.scratch import Scratch

    (sound,) = read_long(path, folder, run.feature.sample_rate, mono=True).each
    assert isinstance(sound, Scratch)
    return sound


@dataclass(frozen=True)
class Written:
    """What a verb wrote: the sound files, and the pitches (MIDI) it used where there are any. `errors`: a
    sentence for each sound that could not be used."""

    files: list[Path]
    pitches: list[float | None]
    errors: tuple[str, ...] = ()


def folder_for(out: StrPath) -> Path:
    """The folder for what is written, made where it is not there."""
    from timbrespace.data.sources.walk import is_audio

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise AudioError(f"{folder} is a file; --out wants a folder")
    if not folder.exists() and is_audio(folder.name):
        raise AudioError(f"{folder} would be a file; --out wants a folder, as {folder.stem}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"no folder can be made at {folder}: {error.strerror}") from None
    return folder


def _beside(out: StrPath) -> Path:
    """The nearest folder that is there, for what lies on disk while `out` is made."""
    return next(path for path in (Path(out), *Path(out).absolute().parents) if path.is_dir())


def _writer(
    run: "Run", out: StrPath, *, loudness: float | None = None, format: str = "wav16",
    sample_rate: int | None = None,
) -> "Callable[[str, Samples | Channels], Path]":  # fmt: skip
    """What writes samples at the run's rate into the folder `out` under a name: as loud as asked for
    (RMS, dBFS), in one of audio.files.FORMATS, at another rate if one is said."""
    from timbrespace.audio.files import HIGHEST_RATE, LOWEST_RATE, suffix_of, write_long
    from timbrespace.audio.level import FLOOR_DB, to_rms
    from timbrespace.audio.scratch import Channels

    own = run.feature.sample_rate
    rate = own if sample_rate is None else sample_rate
    if loudness is not None and not FLOOR_DB < loudness <= 0.0:
        raise AudioError(f"loudness should be from {FLOOR_DB:g} to 0 dBFS, got {loudness:g}")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"a rate should be {LOWEST_RATE} to {HIGHEST_RATE} Hz, got {rate}")
    suffix = suffix_of(format)

    def write_one(name: str, samples: "Samples | Channels") -> Path:
        folder = folder_for(out)
        sound = samples if isinstance(samples, Channels) else Channels([samples])
        if loudness is not None:
            sound = Channels.of(to_rms(sound, loudness, own), len(sound.each), folder)
        path = folder / f"{name}{suffix}"
        write_long(path, sound, own, rate, format=format)
        return path

    return write_one


def free_names(files: Sequence[StrPath], suffix: str) -> list[str]:
    """One output name per input, numbered where stems repeat, and where an input is called so."""
    names: list[str] = []
    inputs = {Path(file).stem for file in files} if suffix else set()
    for file in files:
        stem = f"{Path(file).stem}{suffix}"
        name, number = stem, 2
        while name in names or name in inputs:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def reconstruct(
    run: StrPath, files: list[StrPath], out: StrPath, *, pitch: float | None = None,
    labels: Told | None = None, recovery: "Recovery | None" = None, vocoder: StrPath | None = None,
    loudness: float | None = None, format: str = "wav16", sample_rate: int | None = None,
    progress: Progress | None = None,
) -> Written:  # fmt: skip
    """Each sound through the model and back, at its own length and level.

    A pitched model that is not told the pitch finds the one that explains the sound best; `labels`
    are others that it is told, by name, and what is not said is unknown. `recovery` is how pictures
    become sound, unless a `vocoder` (its file or name) does it; `loudness` (RMS, dBFS) takes the place
    of the original's level. Channels go through the model one by one, told the pitch of the loudest, and
    keep their levels and their correlation. `format` is one of audio.files.FORMATS; `sample_rate` (Hz)
    that of the files, the run's where it is not said. Of several files those that cannot be used are
    told of, and the rest goes on; AudioError for one alone.
    """
    from timbrespace.audio.scratch import Scratch
    from timbrespace.runs import Run

    opened, folder = Run.open(run), _beside(out)
    keep = partial(Scratch.of, folder=folder)
    write = _writer(opened, out, loudness=loudness, format=format, sample_rate=sample_rate)
    synth = _synth(opened, recovery=recovery, vocoder=vocoder)
    pitch, told = _told(opened, pitch, labels)
    written, pitches, errors = [], [], []
    for done, (file, name) in enumerate(
        zip(files, free_names(files, ".reconstructed"), strict=True)
    ):
        try:
            sound, found = _through(opened, synth, file, keep, folder, pitch, told)
        except AudioError as error:
            if len(files) == 1:
                raise
            errors.append(str(error))
        else:
            written.append(write(name, sound))
            pitches.append(found)
        if progress:
            progress("reconstruct", done + 1, len(files), {})
    return Written(written, pitches, tuple(errors))


def _through(
    run: "Run", synth: "Synth", file: StrPath, keep: "Keep", folder: Path, pitch: float | None,
    told: Told,
) -> "tuple[Channels, float | None]":  # fmt: skip
    """A file through the model and back, and the pitch that it was told."""
    from timbrespace.audio.files import read_long
    from timbrespace.audio.scratch import Channels, peak
    from timbrespace.audio.stereo import mixed_like

    channels = read_long(file, folder, run.feature.sample_rate)
    peaks = [peak(one) for one in channels.each]
    loudest = int(np.argmax(peaks))
    lead = synth.encode(channels.each[loudest], pitch=pitch, labels=told)
    made = []
    for number, one in enumerate(channels.each):  # of one note, which the loudest tells best
        encoded = lead if number == loudest else synth.encode(one, pitch=lead.pitch, labels=told)
        made.append(synth.decode_long(encoded, keep) if peaks[number] > 0.0 else one)
    sound = Channels(made)
    return mixed_like(sound, channels) if len(made) > 1 else sound, lead.pitch


@dataclass(frozen=True)
class Account:
    """What of a sound is lost where: the files written, by what they hold ("original", "phase",
    "picture", "model", "figure"), for each of the three stages its figures by name
    (`render.distance.Distance`), the pitch the model was told, and a sentence."""

    sound: str
    files: dict[str, Path]
    stages: dict[str, dict[str, float]]
    pitch: float | None
    sentence: str


def explain(
    run: StrPath, files: list[StrPath], out: StrPath, *, pitch: float | None = None,
    labels: Told | None = None, recovery: "Recovery | None" = None, vocoder: StrPath | None = None,
    format: str = "wav16", sample_rate: int | None = None, progress: Progress | None = None,
) -> list[Account]:  # fmt: skip
    """What of each sound the search for phase, the feature's picture and the model lose.

    Writes NAME.original.wav, NAME.phase.wav, NAME.picture.wav, NAME.model.wav, mono, all lowered by as
    much where one would clip, and their spectrograms, NAME.explained.png. A `vocoder` makes the
    sound of picture and model. Other options as in `reconstruct`. See `render.explain`.
    """
    from dataclasses import asdict

    from timbrespace.atomic import write_bytes
    from timbrespace.audio.level import ceiling_gain
    from timbrespace.audio.scratch import Channels, Scratch, peak
    from timbrespace.evaluation import figures
    from timbrespace.render.explain import explain as explain_sound
    from timbrespace.runs import Run

    opened, folder = Run.open(run), _beside(out)
    keep = partial(Scratch.of, folder=folder)
    write = _writer(opened, out, format=format, sample_rate=sample_rate)
    synth = _synth(opened, recovery=recovery, vocoder=vocoder)
    pitch, told = _told(opened, pitch, labels)
    accounts = []
    for done, (file, name) in enumerate(zip(files, free_names(files, ""), strict=True)):
        original = _read_long(opened, file, folder)
        found = explain_sound(synth, original, keep, pitch=pitch, labels=told)
        sounds = {"original": found.original} | {k: s.samples for k, s in found.stages.items()}
        titles = ["original"] + [
            f"{stage}: MR-STFT {s.distance.mr_stft:.2f}, {s.distance.log_mel_rmse_db:.1f} dB"
            for stage, s in found.stages.items()
        ]
        written = {"figure": folder_for(out) / f"{name}.explained.png"}
        shown = dict(zip(titles, sounds.values(), strict=True))
        write_bytes(written["figure"], figures.spectrograms(shown, opened.feature.sample_rate))
        loudest = max(peak(sound) for sound in sounds.values())
        lower = np.array([[ceiling_gain(loudest)]])
        for stage, sound in sounds.items():
            written[stage] = write(f"{name}.{stage}", Channels([sound], lower))
        stages = {stage: asdict(s.distance) for stage, s in found.stages.items()}
        accounts.append(Account(str(file), written, stages, found.pitch, found.sentence))
        if progress:
            progress("explain", done + 1, len(files), {})
    return accounts


def encode(
    run: StrPath, files: list[StrPath], out: StrPath, *, pitch: float | None = None,
    labels: Told | None = None,
) -> Path:  # fmt: skip
    """The latents of sounds as an .npz: sound, window, mean, logvar, rms_db, pitch, length, loudness
    and jumps (see `render.synth.Encoded`), label_NAME for each other label that the model was told, and
    feature, the contract of the pictures."""
    import json

    from timbrespace.atomic import write_arrays
    from timbrespace.runs import Run

    opened = Run.open(run)
    synth, folder = _synth(opened), _beside(out)
    pitch, told = _told(opened, pitch, labels)
    parts = [
        synth.encode(_read_long(opened, file, folder), pitch=pitch, labels=told) for file in files
    ]
    windows = [len(p.mean) for p in parts]
    own: dict[str, Any] = {
        f"label_{name}": np.repeat(str(value), sum(windows)) for name, value in told.items()
    }
    path = Path(out)
    write_arrays(
        path, sound=np.repeat([str(f) for f in files], windows),
        window=np.concatenate([np.arange(w) for w in windows]),
        mean=np.concatenate([p.mean for p in parts]),
        logvar=np.concatenate([p.logvar for p in parts]),
        rms_db=np.concatenate([p.rms_db for p in parts]),
        pitch=np.repeat([-1 if p.pitch is None else p.pitch for p in parts], windows),
        length=np.repeat([p.length for p in parts], windows),
        loudness=np.repeat(np.array([p.loudness_db for p in parts], float), windows),
        jumps=np.repeat([p.jumps for p in parts], windows, axis=0),
        feature=np.array(json.dumps(opened.feature.contract)),
        **own,
    )  # fmt: skip
    return path


def decode(
    run: StrPath, latents: StrPath, out: StrPath, *, pitch: float | None = None,
    labels: Told | None = None, recovery: "Recovery | None" = None, vocoder: StrPath | None = None,
    loudness: float | None = None, format: str = "wav16", sample_rate: int | None = None,
) -> Written:  # fmt: skip
    """Sounds from an .npz of `encode` (edited or not), one file per sound, with the pitch, the labels
    and the loudness of the file where no others are asked for. The windows of a sound follow each other
    in time and become one continuous sound."""
    import json

    from timbrespace.audio.scratch import Scratch
    from timbrespace.features.catalogue import feature_of
    from timbrespace.render.synth import Encoded
    from timbrespace.runs import Run

    opened = Run.open(run)
    keep = partial(Scratch.of, folder=_beside(out))
    write = _writer(opened, out, loudness=loudness, format=format, sample_rate=sample_rate)
    synth = _synth(opened, recovery=recovery, vocoder=vocoder)
    try:
        with np.load(latents, allow_pickle=False) as arrays:
            table = {name: arrays[name] for name in arrays.files}
        names, mean = table["sound"], np.asarray(table["mean"], np.float32)
        made_of = feature_of(json.loads(str(table["feature"]))) if "feature" in table else None
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        raise RunError(f"{latents} is no latents file; make one with: timbrespace encode") from None
    if made_of is not None and (misfit := opened.feature.misfit(made_of)):
        raise RunError(
            f"{latents} was made of pictures that this run does not know: {misfit}; decode it with the "
            "run that encoded it"
        )
    finite = np.isfinite(mean).all() and np.isfinite(table.get("rms_db", 0.0)).all()
    if mean.ndim != 2 or mean.shape[1] != opened.model.latent or not finite:
        raise RunError(
            f"{latents} holds latents of shape {mean.shape}; this run wants finite (windows, "
            f"{opened.model.latent})"
        )
    pitch, asked = _told(opened, pitch, labels)
    heard = opened.recipe.model.condition.labels
    kept = {
        name: values for key, values in table.items()
        if key.startswith("label_") and (name := key.removeprefix("label_")) in heard
    }  # fmt: skip
    written, pitches = [], []
    groups = [np.flatnonzero(names == file) for file in dict.fromkeys(names.tolist())]
    for at, name in zip(groups, free_names([names[g[0]] for g in groups], ".decoded"), strict=True):
        told = table["pitch"][at[0]].item() if pitch is None else pitch
        own = {name: str(values[at[0]]) for name, values in kept.items()}
        encoded = Encoded(
            mean[at], table["logvar"][at], np.asarray(table["rms_db"][at], np.float32),
            None if told < 0 else told, int(table["length"][at[0]]), own | asked,
            float(table["loudness"][at[0]]) if "loudness" in table else None,
            tuple(table["jumps"][at[0]].tolist()) if "jumps" in table else (False, False),
        )  # fmt: skip
        written.append(write(name, synth.decode_long(encoded, keep)))
        pitches.append(encoded.pitch)
    return Written(written, pitches)


def morph(
    run: StrPath, files: list[StrPath], out: StrPath, *, steps: int = 8,
    path: Literal["lerp", "slerp", "follow"] = "slerp", glide: float | None = None,
    toward: dict[str, float] | None = None, pitch: float | None = None, labels: Told | None = None,
    recovery: "Recovery | None" = None, vocoder: StrPath | None = None,
    loudness: float | None = None, format: str = "wav16", sample_rate: int | None = None,
) -> Written:  # fmt: skip
    """Sounds along the way from one sound to the next; with four files, a grid between the corners.

    The first window of each sound is used. Without `pitch`, the pitch of the first sound is kept. With
    `glide` it is one sound of so many seconds, glide.wav, that goes all the way while it sounds. The
    path "follow" leads by sounds of the run's space (`geometry.paths.follow`). `toward` moves the end by
    steps of the space's named directions (`axes`), such as {"bright": 0.5}: then one sound is enough, and
    the way leads straight away from it.
    """
    from timbrespace.geometry.paths import KINDS
    from timbrespace.geometry.paths import path as latent_path
    from timbrespace.mapping import Space
    from timbrespace.render.path import glide as glide_sound
    from timbrespace.runs import Run

    if toward and len(files) not in (1, 2):
        raise RunError(f"morph toward a direction wants one or two sounds, got {len(files)}")
    if not toward and len(files) not in (2, 4):
        raise RunError(f"morph wants two or four sounds, got {len(files)}")
    if path not in KINDS:
        raise RunError(f"morph knows the paths {', '.join(KINDS)}, not {path!r}")
    if steps < 2 or steps > 1000:
        raise RunError(f"morph wants 2 to 1000 steps, got {steps}")
    if glide is not None and len(files) > 2:
        raise RunError(f"a glide goes from one sound to another, got {len(files)} sounds")
    opened = Run.open(run)
    write = _writer(opened, out, loudness=loudness, format=format, sample_rate=sample_rate)
    space = Space.open(opened) if path == "follow" or toward else None
    synth = _synth(opened, space, recovery=recovery, vocoder=vocoder)
    known = None if space is None else space.mean
    pitch, others = _told(opened, pitch, labels)
    ends = [synth.encode(_read_window(opened, file), pitch=pitch, labels=others) for file in files]
    told = pitch if pitch is not None else ends[0].pitch
    if toward and space is not None:
        moved = ends[-1].mean + _shift(opened, space, toward)
        path = "lerp" if len(ends) == 1 else path
        ends = [ends[0], replace(ends[-1], mean=moved)]
    if glide is not None:
        first, last = ends
        sound = glide_sound(
            synth, first.mean[0], last.mean[0], glide, kind=path, sounds=known, labels=others,
            pitch=None if told is None else (told, told),
            rms_db=(first.rms_db[0], last.rms_db[0]),
        )  # fmt: skip
        return Written([write("glide", sound)], [told])
    if len(ends) == 2:
        latents = latent_path(ends[0].mean[0], ends[1].mean[0], steps, path, known)
        levels = np.linspace(ends[0].rms_db[0], ends[1].rms_db[0], steps)
        names = [f"morph-{i:03d}" for i in range(steps)]
    else:
        a, b, c, d = (e.mean[0] for e in ends)
        tops, bottoms = (latent_path(*e, steps, path, known) for e in ((a, b), (c, d)))
        latents = np.concatenate(
            [latent_path(t, u, steps, path, known) for t, u in zip(tops, bottoms, strict=True)]
        )
        levels = np.full(len(latents), np.mean([e.rms_db[0] for e in ends]))
        names = [f"morph-{i:03d}-{j:03d}" for i in range(steps) for j in range(steps)]
    seconds = max(e.length for e in ends) / opened.feature.sample_rate
    sounds = synth.decode(latents, pitch=told, labels=others, rms_db=levels, seconds=seconds)
    written = [write(name, sound) for name, sound in zip(names, sounds, strict=True)]
    return Written(written, [told] * len(written))


def generate(
    run: StrPath, out: StrPath, *, n: int = 8, near: StrPath | None = None, prior: str = "sounds",
    toward: dict[str, float] | None = None, pitch: float | None = None, labels: Told | None = None,
    spread: float = 1.0, seed: int = 0, recovery: "Recovery | None" = None, vocoder: StrPath | None = None,
    loudness: float | None = None, format: str = "wav16", sample_rate: int | None = None,
) -> Written:  # fmt: skip
    """New sounds: around real sounds of the space, from a prior, or around one given sound.

    `prior` is one of priors.prior.KINDS. "sounds" takes a real sound's latent, its posterior noise times
    `spread`, and goes up to half way to one of its nearest neighbours; "mixture" and "flow" are fitted
    to the space; "normal" is N(0, I), which two of the reports found incoherent; "codes" is fitted to
    the codes of a quantised run. `toward` moves all of them by steps of named directions, as in `morph`.
    `labels` that are not asked for are those of the nearest sound.
    """
    from timbrespace.mapping import Space
    from timbrespace.priors.prior import Prior, towards_neighbours
    from timbrespace.runs import Run

    if not 1 <= n <= 10_000:
        raise RunError(f"generate makes 1 to 10000 sounds, got {n}")
    opened = Run.open(run)
    write = _writer(opened, out, loudness=loudness, format=format, sample_rate=sample_rate)
    known = Space.open(opened)
    synth = _synth(opened, known, recovery=recovery, vocoder=vocoder)
    rng = np.random.default_rng(seed)
    pitch, asked = _told(opened, pitch, labels)
    if near is not None:
        encoded = synth.encode(_read_window(opened, near), pitch=pitch, labels=asked)
        start = np.repeat(encoded.mean[:1], n, 0)
        noise = np.exp(0.5 * encoded.logvar[:1]) * rng.standard_normal(start.shape)
        latents = start + towards_neighbours(known, start, rng) + spread * noise
        level, pitches = np.full(n, encoded.rms_db[0]), encoded.pitch
    else:
        whole = None if pitch is None else round(pitch)
        drawn = Prior.of(opened, known, prior, seed=seed).draw(n, rng, pitch=whole, spread=spread)
        latents, level = drawn.z, drawn.rms_db
        pitches = drawn.pitch if pitch is None else pitch
    told = known.labels_near(latents, synth.told) | asked
    if toward:
        latents = latents + _shift(opened, known, toward)
    sounds = synth.decode(latents.astype(np.float32), pitch=pitches, labels=told, rms_db=level)
    names = [f"generated-{i:03d}" for i in range(n)]
    written = [write(name, sound) for name, sound in zip(names, sounds, strict=True)]
    return Written(written, list(np.broadcast_to(np.asarray(pitches, object), (n,))))


def _point(
    run: "Run", sound: StrPath | None, row: int | None, near: str | None, pitch: float | None,
    told: Told, recovery: "Recovery | None", vocoder: StrPath | None,
    toward: dict[str, float] | None = None,
) -> tuple["Synth", "Point"]:  # fmt: skip
    """The run's model with its way to sound (see `_synth`), and the point of a sound, of a row of the
    corpus, or of those with a label, moved `toward` named directions."""
    from timbrespace.exporting import points
    from timbrespace.mapping import Space

    if (sound is not None) + (row is not None) + (near is not None) != 1:
        raise RunError("say one of: a sound, a row of the corpus, or near a label")
    if sound is not None:
        space = Space.open(run) if toward else None
        synth = _synth(run, space, recovery=recovery, vocoder=vocoder)
        point = _heard(synth, run, sound, pitch, told)
    else:
        space = Space.open(run)
        synth = _synth(run, space, recovery=recovery, vocoder=vocoder)
        point = (
            points.of_label(space, str(near), synth.told) if row is None
            else points.of_row(space, row, synth.told)
        )  # fmt: skip
    if space is None:
        return synth, point
    latent = point.latent + _shift(run, space, toward) if toward else point.latent
    return synth, replace(point, latent=latent, labels={**point.labels, **told})


def _heard(synth: "Synth", run: "Run", sound: StrPath, pitch: float | None, told: Told) -> "Point":
    from timbrespace.exporting import points

    encoded = synth.encode(_read_window(run, sound), pitch=pitch, labels=told)
    return points.of_sound(encoded, Path(sound))


def play(
    run: StrPath, out: StrPath, *, pitches: list[float] | None = None, sound: StrPath | None = None,
    row: int | None = None, near: str | None = None, toward: dict[str, float] | None = None,
    velocity: int | None = None, seconds: float | None = None, labels: Told | None = None,
    recovery: "Recovery | None" = None, vocoder: StrPath | None = None, format: str = "wav16",
    sample_rate: int | None = None,
) -> Written:  # fmt: skip
    """Notes of one timbre: at any pitch that the run can be told, as hard and as long as asked for.

    The point is that of a `sound`, a `row` or `near` a label, as in `export`; `toward` moves it by steps
    of the space's named directions (`axes`), such as {"bright": 0.5}. `velocity` (1 to 127) is told to
    a run that hears it, and is 40 log10(v / 100) dB louder. `seconds` is the whole note: what it holds
    becomes longer or shorter, attack and release stay (`render.notes`). `recovery` and `vocoder` as in
    `reconstruct`.
    """
    from timbrespace.exporting.keyboard import USUAL, note_name
    from timbrespace.exporting.sfz import velocity_db
    from timbrespace.runs import Run

    opened = Run.open(run)
    write = _writer(opened, out, format=format, sample_rate=sample_rate)
    hit = {"velocity": velocity} if velocity is not None else {}
    known = opened.recipe.model.condition.labels
    told = _told(opened, None, (labels or {}) | (hit if "velocity" in known else {}))[1]
    if velocity is not None and not 1 <= velocity <= 127:
        raise RunError(f"velocity should be 1 to 127, got {velocity}")
    if "pitch" not in known:
        raise RunError(
            f"{opened.path} is not told the pitch, so it cannot play another; export leaves that to a sampler"
        )
    synth, point = _point(opened, sound, row, near, None, told, recovery, vocoder, toward)
    louder = 0.0 if velocity is None else velocity_db(velocity) - velocity_db(USUAL)
    written: list[Path] = []
    wanted = pitches or [60 if point.pitch is None else point.pitch]
    for pitch in [_told(opened, one, None)[0] for one in wanted]:
        assert pitch is not None
        note = synth.play(
            point.latent, seconds=seconds, pitch=pitch, labels=point.labels,
            rms_db=point.rms_db + louder,
        )  # fmt: skip
        name = note_name(pitch) if isinstance(pitch, int) else f"{pitch:g}"
        name = f"{point.name}_{name}_v{velocity or USUAL:03d}"
        written.append(write(name, note))
    return Written(written, list(wanted))


def export(
    run: StrPath, out: StrPath, *, to: Literal["sfz", "samples"] = "sfz",
    sound: StrPath | None = None, row: int | None = None, near: str | None = None,
    to_sound: StrPath | None = None, over: Literal["velocity", "key"] = "velocity",
    keys: str = "C2-C6", every: int | None = None, velocities: int | None = None,
    pitch: float | None = None, labels: Told | None = None, recovery: "Recovery | None" = None,
    vocoder: StrPath | None = None, format: str = "wav24", name: str | None = None,
    progress: Progress | None = None,
) -> "Exported":  # fmt: skip
    """A point of the space as an instrument: an SFZ with its samples, or samples alone.

    The point is that of a `sound`, of a `row` of the corpus, or of the sound in the middle of those
    with a label (`near`, as "family=brass"). Up to `to_sound` it goes from there over velocity or key.
    A sample is made for every `every` semitones of `keys` (3; 1 for a harmonic run), at its own pitch
    where the run is told it, and for each of `velocities` layers (3 where the sound changes with the
    velocity, else 1). A run that is not told the pitch gives one sample, at the key `pitch`.
    `recovery` and `vocoder` as in `reconstruct`.
    """
    from timbrespace.exporting import keyboard
    from timbrespace.exporting.instrument import LAYERS, Instrument, changes, file_name, spread
    from timbrespace.runs import Run

    if to not in ("sfz", "samples"):
        raise RunError(f"export knows sfz and samples, not {to!r}")
    if over not in ("velocity", "key"):
        raise RunError(f"a sound turns into another over velocity or key, not over {over!r}")
    opened = Run.open(run)
    root = pitch
    pitch, told = _told(opened, pitch, labels)
    synth, point = _point(opened, sound, row, near, pitch, told, recovery, vocoder)
    ends = [point] if to_sound is None else [point, _heard(synth, opened, to_sound, pitch, told)]
    low, high = keyboard.key_range(keys)
    root = point.pitch if root is None else root
    if root is None and not synth.pitched:
        raise RunError(
            f"{opened.path} is not told the pitch, so the sampler transposes one sample; say with "
            "--pitch at which key it sounds as it is"
        )
    zones = spread(synth, low, high, root, every=every)
    layered = changes(synth, ends, over)
    count = (LAYERS if layered else 1) if velocities is None else velocities
    if count > 1 and not layered and to == "sfz":
        log.warning(
            "the run is not told the velocity, so all %d layers would hold the same sound: one is "
            "written, and the player makes it softer", count,
        )  # fmt: skip
        count = 1
    made = Instrument(
        file_name(name or point.name),
        tuple(ends), tuple(zones), tuple(keyboard.layers(count)), over,
        f"{' to '.join(end.about for end in ends)}, by the run {opened.name}",
    )  # fmt: skip
    tell = (lambda *_: None) if progress is None else (lambda s, d, t: progress(s, d, t, {}))
    return made.write(synth, folder_for(out), to=to, format=format, tell=tell)


@dataclass(frozen=True)
class Match:
    """One sound found by `search`: its row in the corpus, its file and where it begins there in
    seconds, labels, and its distance, `by` which it was found."""

    row: int
    file: str
    start: float
    distance: float
    labels: dict[str, Any]
    by: str = "latent"


def search(
    run: StrPath, query: StrPath, *, k: int = 10, by: str | None = None,
    pitch: float | None = None, labels: Told | None = None,
) -> list[Match]:  # fmt: skip
    """The sounds of the corpus that are most like `query`, nearest first.

    `by` "latent", "sound" (a fixed embedding of the recordings and their MFCCs, which `space` makes on
    demand) or "both"; without it both where the space has them. Distances: see `likeness.Likeness.distances`.
    """
    from timbrespace.audio.files import read
    from timbrespace.likeness import Heard, Likeness
    from timbrespace.mapping import Space
    from timbrespace.runs import Run

    opened = Run.open(run)
    known = Space.open(opened)
    if k < 1:
        raise RunError(f"search wants k of at least 1, got {k}")
    pitch, told = _told(opened, pitch, labels)
    like = Likeness.open(opened, known)
    way, sound, feature = like.way(by), read(query), opened.feature
    encoded = _synth(opened, known).encode(_first_window(opened, sound), pitch=pitch, labels=told)
    heard = None if way == "latent" else Heard.of([sound], feature.seconds)
    distances = like.distances(way, encoded.mean[0], heard)
    rows = opened.corpus.rows
    return [
        Match(
            int(known.rows[i]), rows[int(known.rows[i])].file, rows[int(known.rows[i])].start,
            float(distances[i]), {name: values[i] for name, values in known.labels.items()}, way,
        )
        for i in np.argsort(distances, kind="stable")[:k]
        if np.isfinite(distances[i])
    ]  # fmt: skip


def explore(
    run: StrPath, *, port: int | None = None, browser: bool = True,
    recovery: "Recovery | None" = None, vocoder: StrPath | None = None, ready: Ready | None = None,
) -> None:  # fmt: skip
    """Serve the explorer of a run on this machine until Ctrl-C; `ready` is told its address. Its
    sounds are made by the `vocoder` where one is given, or as `recovery` says."""
    from timbrespace.explorer.server import serve
    from timbrespace.explorer.session import Session
    from timbrespace.mapping import Space
    from timbrespace.runs import Run

    opened = Run.open(run)
    try:
        Space.open(opened)
    except RunError:
        space(run)
    session = Session.open(opened.path, vocoder, recovery)
    serve(session, port=port, browser=browser, ready=ready)


def demo(
    out: StrPath = "demo", *, notes: int | None = None, epochs: int | None = None,
    browser: bool = True, serve: bool = True, port: int | None = None, ready: Ready | None = None,
    progress: Progress | None = None,
) -> "Run":  # fmt: skip
    """The whole journey on the built-in instruments: render, prepare, train, space, report, explore.

    The explorer opens after the first epochs and follows the training that goes on behind it. Every
    stage resumes: a second call goes on where the first one stopped.
    """
    import threading

    from timbrespace.explorer.server import serve as serve_run
    from timbrespace.runs import Run

    folder = Path(out)
    built_in_corpus(folder, notes=notes, progress=progress)
    settings = () if epochs is None else (f"train.epochs={epochs}",)
    if progress:
        facts = estimate("instruments", folder / "corpus", settings=settings)
        progress("estimate", 0, 0, facts)
    stop = threading.Event()
    server: list[threading.Thread] = []

    def after_epoch(epoch: int) -> None:
        # after 2, 4, 8, 16 ... epochs: a map changes less and less, and drawing it takes seconds
        if not serve or epoch < 2 or epoch.bit_count() > 1:
            return
        space(folder / "run", umap=False, axes=False)
        if not server:
            server.append(
                threading.Thread(
                    target=serve_run,
                    args=(Run.open(folder / "run"),),
                    kwargs={"port": port, "browser": browser, "ready": ready, "stop": stop},
                    daemon=True,
                )  # fmt: skip
            )
            server[0].start()

    try:
        run = train(
            "instruments", folder / "corpus", folder / "run", settings=settings, resume=True,
            progress=progress, after_epoch=after_epoch,
        )  # fmt: skip
        space(run.path, progress=progress)
        evaluate(run.path, progress=progress)
        if server:
            server[0].join()
        elif serve:
            explore(run.path, port=port, browser=browser, ready=ready)
    finally:
        stop.set()
    return run


DEMO_NOTES = 8000


def built_in_corpus(
    folder: StrPath, *, notes: int | None = None, progress: Progress | None = None
) -> Path:
    """The built-in instruments as a corpus, FOLDER/corpus, of FOLDER/instruments; what is there is kept."""
    sounds, corpus = Path(folder) / "instruments", Path(folder) / "corpus"
    instruments(sounds, notes=notes or DEMO_NOTES, progress=progress)
    prepare(sounds, corpus, layout="nsynth", progress=progress)
    return corpus


def doctor() -> dict[str, Any]:
    """What is installed, what is missing and how to get it, the device, and a speed estimate."""
    import importlib.metadata
    import os
    import platform
    import time

    import torch

    from timbrespace.effects import hosts
    from timbrespace.machine import use_bfloat16

    extras = {
        "umap-learn": "maps", "plotly": "maps", "swift-f0": "pitch", "tensorboard": "tensorboard",
        "wandb": "wandb",
    }  # fmt: skip
    required = ["numpy", "scipy", "soundfile", "soxr", "torch", "starlette", "uvicorn"]

    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    a = torch.randn(1024, 1024)
    torch.mm(a, a)
    began = time.perf_counter()
    for _ in range(5):
        torch.mm(a, a)
    speed = 5 * 2 * 1024**3 / (time.perf_counter() - began) / 1e9
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "timbrespace": version("timbrespace"), "python": platform.python_version(),
        "packages": {name: version(name) for name in required},
        "extras": {
            name: version(name) or f"missing: pip install 'timbrespace[{extra}]'"
            for name, extra in extras.items()
        },
        "plug-ins": hosts.state(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "bfloat16": use_bfloat16("auto", device), "gflops_float32": round(speed, 1),
    }  # fmt: skip
