"""The command line: one thin command per verb; progress and words on stderr, results on stdout."""

import errno
import functools
import inspect
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from timbrespace.cli_effects import effects
from timbrespace.cli_vocoders import vocoders
from timbrespace.errors import TimbrespaceError
from timbrespace.machine import keep_memory
from timbrespace.terminal import (
    Bars,
    Format,
    Json,
    Out,
    Workers,
    estimate_words,
    print_facts,
    print_json,
)

app = typer.Typer(
    name="timbrespace",
    help="Learn a timbre space from sounds; see it, hear it and play it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RunPath = Annotated[Path, typer.Argument(help="A run folder.")]
Sounds = Annotated[list[Path], typer.Argument(help="Sound files.")]
PitchOption = Annotated[
    float | None,
    typer.Option(min=0, max=127, help="MIDI pitch, 60 = middle C; found when not given."),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", help="What else the model is told: family=brass. Repeatable."),
]
Toward = Annotated[
    list[str] | None,
    typer.Option(help="Steps along a named direction, which `axes` lists: bright=0.5. Repeatable."),
]
Method = Annotated[
    str,
    typer.Option(help="How phase is found: pghi, sweep, fast_griffin_lim or griffin_lim."),
]
Rounds = Annotated[
    int, typer.Option(help="Of Griffin-Lim, after pghi, sweep or nothing: 0 to 1000.")
]
Inversion = Annotated[
    str,
    typer.Option(help="How mels become a spectrum: multiplicative or nnls."),
]
VocoderOption = Annotated[
    str | None,
    typer.Option("--vocoder", help="What makes the sound instead: a vocoder's file or name."),
]
Loudness = Annotated[
    float | None,
    typer.Option(help="RMS of each sound in dBFS, such as -20.", show_default="as the sound's own"),
]
Rate = Annotated[
    int | None, typer.Option("--rate", help="Hz of the files.", show_default="the run's")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: section.key=value. Repeatable.")
]


WARNINGS = 6  # of the health report that are said at once


def _written(result: Any, as_json: bool) -> None:
    if as_json:
        print_json({
            "files": [str(f) for f in result.files], "pitches": list(result.pitches),
            "errors": list(result.errors),
        })  # fmt: skip
    else:
        for file, pitch in zip(result.files, result.pitches, strict=True):
            typer.echo(f"{file}" + ("" if pitch is None else f"  (pitch {pitch:g})"))
    for error in result.errors:
        typer.echo(f"timbrespace: {error}", err=True)
    if result.errors:
        raise typer.Exit(2)


def _accounts(accounts: list[Any], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json({"sounds": [asdict(account) for account in accounts]})
        return
    for account in accounts:
        told = "" if account.pitch is None else f"  (pitch {account.pitch:g})"
        typer.echo(f"{account.sound}{told}")
        typer.echo(f"  {'':9} {'MR-STFT':>8} {'log-mel dB':>11} {'level dB':>9}")
        for stage, far in account.stages.items():
            typer.echo(
                f"  {stage:9} {far['mr_stft']:8.2f} {far['log_mel_rmse_db']:11.1f} "
                f"{far['level_db']:+9.1f}"
            )
        typer.echo(f"  {account.sentence}\n  {account.files['figure']}")


def _way_options(
    *, method: Method = "pghi", rounds: Rounds = 12, inversion: Inversion = "multiplicative",
    vocoder: VocoderOption = None,
) -> dict[str, Any]:  # fmt: skip
    """How pictures become sound, as the verbs that do so take it."""
    from timbrespace.features.phase import Recovery

    return {"recovery": Recovery(method, rounds, inversion=inversion), "vocoder": vocoder}


def _file_options(
    *, loudness: Loudness = None, format: Format = "wav16", rate: Rate = None
) -> dict[str, Any]:
    """How sound is written."""
    return {"loudness": loudness, "format": format, "sample_rate": rate}


Options = Callable[..., dict[str, Any]]
Command = Callable[..., None]


def takes(*options: Options) -> Callable[[Command], Command]:
    """The command with the options of some functions before its last one; what these make of them comes
    to the command as further arguments."""
    each = [(one, inspect.signature(one).parameters) for one in options]

    def with_options(command: Command) -> Command:
        @functools.wraps(command)
        def told(**given: Any) -> None:
            made: dict[str, Any] = {}
            for one, parameters in each:
                made |= one(**{name: given.pop(name) for name in parameters})
            command(**given, **made)

        *own, last, _ = inspect.signature(command).parameters.values()
        more = [one for _, parameters in each for one in parameters.values()]
        known = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *more, last)]
        told.__signature__ = inspect.Signature(known)  # type: ignore[attr-defined]
        told.__annotations__ = {one.name: one.annotation for one in known}
        return told

    return with_options


def _labels(given: list[str] | None) -> dict[str, str]:
    """--label name=value, as a dict."""
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"--label {text!r} should look like family=brass")
        found[name] = value
    return found


def _steps(given: list[str] | None) -> dict[str, float]:
    """--toward name=number, as a dict; a name may hold an equals sign, the number may not."""
    found: dict[str, float] = {}
    for text in given or ():
        name, equals, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            equals = ""
        if not (name and equals):
            raise typer.BadParameter(f"--toward {text!r} should look like bright=0.5")
    return found


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Learn a timbre space from sounds; see it, hear it and play it."""
    if version:
        from timbrespace import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    out: Out = Path("demo"),
    notes: Annotated[int | None, typer.Option(min=1, help="How many notes to render.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How long to train.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    serve: Annotated[bool, typer.Option(help="Serve the explorer at the end.")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
) -> None:
    """The whole journey, to an open explorer.

    Renders the built-in instruments, trains, measures; a second call goes on where it stopped.

    Example: timbrespace demo --out demo
    """
    from timbrespace import verbs

    with Bars() as bars:
        run = verbs.demo(
            out, notes=notes, epochs=epochs, browser=browser, serve=serve, port=port,
            ready=lambda url: bars.say(f"explorer: {url}  (Ctrl-C ends it)"), progress=bars,
        )  # fmt: skip
    typer.echo(str(run.path))


@app.command()
def instruments(
    out: Out,
    notes: Annotated[int | None, typer.Option(min=1, help="How many notes.")] = None,
    soundfont: Annotated[Path | None, typer.Option(help="Any SF2 or SF3 instead.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    folds: Annotated[
        int | None,
        typer.Option(help="Also lists of so many folds, each instrument held out in one."),
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Sampled instruments in the NSynth layout.

    Example: timbrespace instruments --out notes --notes 2000

    A corpus of the second of five folds: timbrespace instruments --out notes --folds 5, then
    timbrespace prepare notes --split-lists notes/folds/2-of-5.csv --out corpus-2
    """
    from timbrespace import verbs

    with Bars() as bars:
        verbs.instruments(
            out, notes=notes, soundfont=soundfont, seed=seed, folds=folds, workers=workers,
            progress=bars,
        )  # fmt: skip
    print_json({"out": out}) if as_json else typer.echo(str(out))


@app.command()
def prepare(
    source: Annotated[
        str,
        typer.Argument(help="A folder of sounds, one sound, or a table; a path or an address."),
    ],
    out: Annotated[str, typer.Option("--out", help="Where the corpus goes, path or address.")],
    layout: Annotated[
        str, typer.Option(help="auto, nsynth, gtzan, vctk, folder, table or file.")
    ] = "auto",
    labels: Annotated[
        str | None, typer.Option(help="CSV or Parquet with a path column and labels.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Prepare this recipe's feature.")] = "instruments",
    cut: Annotated[
        str, typer.Option(help="What of a file is a sound: its start, chunks, or onsets.")
    ] = "start",
    seconds: Annotated[
        float | None, typer.Option(help="Length of a chunk, the longest after an onset.")
    ] = None,
    hop: Annotated[float | None, typer.Option(help="Seconds from chunk to chunk.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Longer files are skipped.", show_default="600 or a day")
    ] = None,
    split_by: Annotated[
        str,
        typer.Option(help="What no two splits share: auto, file, random, or a label's name."),
    ] = "auto",
    split: Annotated[str, typer.Option(help="Shares of train, valid, test.")] = "0.8,0.1,0.1",
    split_lists: Annotated[
        str | None, typer.Option(help="A folder with train.txt, valid.txt, test.txt, or a CSV.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="A skipped file is an error.")] = False,
    workers: Workers = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address or file of a Dask scheduler that does the work.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Keep pictures in float16 or float32.", show_default="the recipe's"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read and check sounds; write a corpus. Resumable.

    The files are never changed; a health report in words says what was found.

    Example: timbrespace prepare my-sounds --out corpus

    A long recording in overlapping chunks: timbrespace prepare tape.wav --out corpus --cut chunks
    --seconds 4 --hop 2

    Drum hits: timbrespace prepare loops --out corpus --cut onsets --seconds 0.5

    No speaker in two splits: timbrespace prepare voices --out corpus --split-by speaker

    A published split: timbrespace prepare gtzan --out corpus --split-lists lists

    On object storage: timbrespace prepare s3://bucket/sounds --out s3://bucket/corpus
    """
    from timbrespace import verbs
    from timbrespace.data.splits import shares_of

    with Bars() as bars:
        corpus = verbs.prepare(
            source, out, layout=layout, labels=labels, recipe=recipe, cut=cut, seconds=seconds,
            hop=hop, max_seconds=max_seconds, split_by=split_by, split=shares_of(split),
            split_lists=split_lists, seed=seed, strict=strict, workers=workers, cluster=cluster,
            dtype=dtype, progress=bars,
        )  # fmt: skip
        health = json.loads((corpus.path / "health.json").read_text(encoding="utf-8"))
        bars.say(_health_words(health, corpus.path / "health.html"))
    if as_json:
        print_json({"corpus": corpus.place, "sounds": len(corpus.rows), "health": health})
        return
    typer.echo(str(out))


def _health_words(health: dict[str, Any], page: Path) -> str:
    """What was found, the first things to look at, and where the rest stands."""
    splits = ", ".join(f"{count} {name}" for name, count in health["splits"].items())
    lines = [
        f"{health['sounds']} sounds of {health['used']} files ({splits}), "
        f"{health['skipped']} files skipped"
    ]
    lines += [f"- {warning}" for warning in health["warnings"][:WARNINGS]]
    more = len(health["warnings"]) - WARNINGS
    lines += [f"- and {more} more"] if more > 0 else []
    return "\n".join([*lines, f"health report: {page}"])


@app.command()
def recipes(
    show: Annotated[str | None, typer.Option(help="Print this recipe, whole.")] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also those that change one thing of another.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the recipes with one line each.

    Example: timbrespace recipes --show instruments
    """
    from timbrespace import verbs

    found = verbs.recipes(show, ablations=ablations)
    if as_json:
        print_json(found)
    elif show is not None:
        typer.echo(found[show], nl=False)
    else:
        width = max(map(len, found))
        for name, about in found.items():
            typer.echo(f"{name:{width}}  {about}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or YAML file.")],
    corpus: Annotated[str, typer.Option(help="A corpus made by prepare, path or address.")],
    out: Annotated[Path | None, typer.Option("--out", help="The run folder.")] = None,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with this run.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it takes.")] = False,
    processes: Annotated[
        str, typer.Option(help="That share each batch: a number, or gpus for one on each.")
    ] = "1",
    tensorboard: Annotated[bool, typer.Option("--tensorboard")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="WANDB_MODE=offline works.")] = False,
    as_json: Json = False,
) -> None:
    """Train a recipe on a corpus. Ctrl-C loses nothing: --resume goes on.

    Example: timbrespace train instruments --corpus corpus --out run --set train.epochs=30

    On several machines, each: torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d
    --rdzv-endpoint HOST:29400 -m timbrespace train instruments --corpus corpus --out run
    """
    from timbrespace import verbs

    wanted = tuple(settings or ())
    if estimate:
        facts = verbs.estimate(recipe, corpus, settings=wanted)
        print_json(facts) if as_json else typer.echo(estimate_words(facts))
        return
    if out is None:
        raise typer.BadParameter("--out is missing: where should the run go?")
    from timbrespace.training.parallel import Place

    place = Place.told()
    with Bars() if place.rank == 0 else nullcontext() as bars:
        if bars and not resume and (processes, place.world) == ("1", 1):
            bars.say(estimate_words(verbs.estimate(recipe, corpus, settings=wanted)))
        run = verbs.train(
            recipe, corpus, out, settings=wanted, resume=resume, processes=processes,
            tensorboard=tensorboard, wandb=wandb, progress=bars,
        )  # fmt: skip
    if bars:
        print_json(run.status()) if as_json else typer.echo(str(run.path))


@app.command()
def space(
    run: RunPath,
    umap: Annotated[bool, typer.Option(help="Draw the UMAP too.")] = True,
    axes: Annotated[bool, typer.Option(help="Find the named directions too.")] = True,
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Also how each recording sounds, for search and likeness."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Encode the whole corpus, draw its maps and find its named directions.

    Example: timbrespace space run
    """
    from timbrespace import verbs

    with Bars() as bars:
        made = verbs.space(run, umap=umap, axes=axes, embed=embed, progress=bars)
    if as_json:
        print_json({"sounds": len(made.rows), "maps": list(made.maps), "version": made.version})
        return
    typer.echo(f"{len(made.rows)} sounds, maps: {', '.join(made.maps)}")


@app.command()
def axes(run: RunPath, as_json: Json = False) -> None:
    """The named directions of a run's space, and what each is worth.

    One step is one standard deviation of the space. Held out: how well the coordinate orders sounds
    that it was not fitted on (rank correlation). Decoded: whether every step raises what it names (1:
    always, 0: never).

    Example: timbrespace axes run
    """
    from dataclasses import asdict

    from timbrespace import verbs

    with Bars() as bars:
        made = verbs.axes(run, progress=bars)
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(f"{'':12} held out  decoded")
    for one in made.found:
        figures = (one.correlation, one.monotonicity)
        numbers = "  ".join("      –" if v is None else f"{v:7.2f}" for v in figures)
        weak = ", weak" if one.weak else ""
        typer.echo(f"{one.name:12} {numbers}  {one.about}{weak}")
    for name, why in made.missing.items():
        typer.echo(f"{name:12} not found: {why}")


@app.command()
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "valid",
    corpus: Annotated[str | None, typer.Option(help="Another corpus than its own.")] = None,
    generation: Annotated[
        bool, typer.Option("--generation", help="Instead: how real new sounds of each prior are.")
    ] = False,
    probe: Annotated[
        list[str] | None,
        typer.Option(help="Another label whose trace in the latent is measured. Repeatable."),
    ] = None,
    ask: Annotated[
        str | None,
        typer.Option(
            metavar="QUESTION,...",
            help="Answer these alone, such as pitch,swap; none: distortion, rate, floors and probes.",
        ),
    ] = None,
    distribution: Annotated[
        bool,
        typer.Option(
            "--distribution", help="Compare its sounds with recordings as sets. Minutes more."
        ),
    ] = False,
    perception: Annotated[
        Path | None,
        typer.Option(
            help="A checkout of github.com/tiianhk/timbremetrics: how well the space agrees with "
            "listeners. A minute more."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a run beside floors and ceilings.

    Writes evaluation/metrics.json and evaluation/report.html into the run; with --generation
    evaluation/generation.json.

    Example: timbrespace evaluate run --ask heard,pitch --json
    """
    from timbrespace import verbs

    asked = None if ask is None else [] if ask == "none" else ask.split(",")
    if generation:
        found = verbs.generation(run, split=split)
        if as_json:
            print_json(found)
            return
        typer.echo(f"{'':14} {'kernel distance':>16} {'nearest share':>14} {'novelty':>8}")
        for name, line in found.items():
            typer.echo(
                f"{name:14} {line['kernel_distance']:16.4f} {line['nearest_share']:14.2f} "
                f"{line['novelty']:8.2f}"
            )
        if codes := found.get("codes"):
            typer.echo(
                f"nats of a {split} sound's codes: {codes['uniform_nats']:.1f} when all are as likely, "
                f"{codes['marginal_nats']:.1f} by how often each comes, {codes['nats']:.1f} by the prior"
            )
        return
    with Bars() as bars:
        metrics = verbs.evaluate(
            run, split=split, corpus=corpus, labels=tuple(probe or ()), ask=asked,
            distribution=distribution, perception=perception, progress=bars,
        )  # fmt: skip
    if as_json:
        print_json(metrics)
        return
    typer.echo(metrics["verdict"])
    if perception is not None:
        from timbrespace.evaluation.perception import sentence

        typer.echo(sentence(metrics["perception"]))
    typer.echo(f"report: {run / 'evaluation' / 'report.html'}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders that were evaluated.")],
    sort: Annotated[str | None, typer.Option(help="By this key, such as rmse_db.")] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Runs that differ only in their seed become one row.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(help="The run that all others are held against; else the first."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Also one page with all pictures and sounds, FILE.html, or the table in FILE.csv (every "
            "key) or FILE.md.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also the rate-distortion plane, in FILE.html, FILE.png or FILE.svg."),
    ] = None,
    map: Annotated[
        Path | None,
        typer.Option(help="Also the spaces' maps, in FILE.html (to hear), FILE.png or FILE.svg."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Runs side by side: bits, dB, MR-STFT, what z says, time, verdict; and how they differ, tested.

    dB and shares are of z sampled; in brackets the share of always naming the commonest label. Behind
    ± half a 95 % interval: of other instruments, with --seeds of other seeds. Then a sentence a run on
    what its recipe changed, the least error first. docs/metrics.md lists the keys.

    Example: timbrespace compare run-a run-b --sort rmse_db --out comparison.html

    Several seeds: timbrespace compare runs/* --seeds --against runs/baseline-1

    Spaces side by side: timbrespace compare baseline conditioned --map maps.html
    """
    from timbrespace import verbs
    from timbrespace.evaluation import comparison

    rows = verbs.compare(
        list(runs), sort=sort, seeds=seeds, against=against, out=out, plot=plot, map=map
    )
    if as_json:
        print_json({"runs": rows})
        return
    typer.echo(comparison.text(rows))
    said = [f"\n{sentence}." for sentence in comparison.sentences(rows)]
    if said:
        typer.echo("\n".join(said))


@app.command()
def paper(
    runs: Annotated[list[Path], typer.Argument(help="Run folders that were evaluated.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the paper.")],
    against: Annotated[
        Path | None,
        typer.Option(help="The run that all others are held against; else the first."),
    ] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Runs that differ only in their seed become one line.")
    ] = False,
    as_json: Json = False,
) -> None:
    """A paper that writes itself: methods, tables, figures, sounds, cards and references.

    Writes paper.tex, methods.tex, tables (LaTeX and Markdown), figures, references.bib, listen.html and
    card.md. No figure is typed: evaluate again, write again. Compile it with pdflatex, bibtex, and
    pdflatex twice.

    Example: timbrespace paper run --out paper
    """
    from timbrespace import verbs

    made = verbs.paper(list(runs), out, against=against, seeds=seeds)
    if as_json:
        print_json({"files": [str(path) for path in made.files], "missing": made.missing})
        return
    for sentence in made.missing:
        typer.echo(f"{sentence}.")
    typer.echo(f"{len(made.files)} files; compile {made.folder / 'paper.tex'}")


@app.command()
@takes(_way_options, _file_options)
def reconstruct(
    run: RunPath,
    files: Sounds,
    out: Out,
    pitch: PitchOption = None,
    label: LabelOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also what is lost before the model, with figures.")
    ] = False,
    as_json: Json = False,
    **sound: Any,
) -> None:
    """Sounds through the model and back.

    Each keeps its own length, level and channels; those that cannot be used are named, the rest goes on.
    With --explain, mono, also from its true magnitudes and from its own picture: what phase, picture and
    model lose can be heard apart, and a PNG shows it; there the first that cannot be used ends it.

    Example: timbrespace reconstruct run a.wav b.wav --out out

    What is lost where: timbrespace reconstruct run a.wav --explain --out out

    As the reports did it: timbrespace reconstruct run a.wav --method griffin_lim --rounds 60
    --inversion nnls --out out
    """
    from timbrespace import verbs

    if explain:
        if sound.pop("loudness") is not None:
            raise typer.BadParameter(
                "--explain compares sounds at their own level, without --loudness"
            )
        with Bars() as bars:
            accounts = verbs.explain(
                run, list(files), out, pitch=pitch, labels=_labels(label), progress=bars, **sound
            )
        _accounts(accounts, as_json)
        return
    with Bars() as bars:
        result = verbs.reconstruct(
            run, list(files), out, pitch=pitch, labels=_labels(label), progress=bars, **sound
        )
    _written(result, as_json)


@app.command()
def encode(
    run: RunPath,
    files: Sounds,
    out: Annotated[Path, typer.Option("--out", help="The .npz to write.")],
    pitch: PitchOption = None,
    label: LabelOption = None,
    as_json: Json = False,
) -> None:
    """The latents of sounds as an .npz.

    Example: timbrespace encode run a.wav --out latents.npz
    """
    from timbrespace import verbs

    made = verbs.encode(run, list(files), out, pitch=pitch, labels=_labels(label))
    print_json({"latents": made}) if as_json else typer.echo(str(made))


@app.command()
@takes(_way_options, _file_options)
def decode(
    run: RunPath,
    latents: Annotated[Path, typer.Argument(help="An .npz made by encode.")],
    out: Out,
    pitch: PitchOption = None,
    label: LabelOption = None,
    as_json: Json = False,
    **sound: Any,
) -> None:
    """Sounds from latents.

    The windows of a sound become one continuous sound.

    Example: timbrespace decode run latents.npz --out out --pitch 67 --loudness -20
    """
    from timbrespace import verbs

    made = verbs.decode(run, latents, out, pitch=pitch, labels=_labels(label), **sound)
    _written(made, as_json)


@app.command()
@takes(_way_options, _file_options)
def morph(
    run: RunPath,
    files: Annotated[
        list[Path],
        typer.Argument(help="Two sounds, or four for a grid; with --toward one is enough."),
    ],
    out: Out,
    steps: Annotated[int, typer.Option(min=2, max=1000)] = 8,
    path: Annotated[
        Literal["lerp", "slerp", "follow"],
        typer.Option(help="Straight, by an arc, or by the sounds that lie between."),
    ] = "slerp",
    glide: Annotated[
        float | None,
        typer.Option(help="Instead one sound of so many seconds that goes all the way."),
    ] = None,
    toward: Toward = None,
    pitch: PitchOption = None,
    label: LabelOption = None,
    as_json: Json = False,
    **sound: Any,
) -> None:
    """Sounds along the way from one sound to another.

    Example: timbrespace morph run a.wav b.wav --steps 8 --pitch 60 --out morph

    One sound that becomes another: timbrespace morph run a.wav b.wav --glide 4 --out morph

    Brighter and slower: timbrespace morph run a.wav --toward bright=2 --toward slow=1 --out morph
    """
    from timbrespace import verbs

    made = verbs.morph(
        run, list(files), out, steps=steps, path=path, glide=glide, toward=_steps(toward),
        pitch=pitch, labels=_labels(label), **sound,
    )  # fmt: skip
    _written(made, as_json)


@app.command()
@takes(_way_options, _file_options)
def generate(
    run: RunPath,
    out: Out,
    n: Annotated[int, typer.Option("-n", min=1, max=10000, help="How many.")] = 8,
    near: Annotated[Path | None, typer.Option(help="Around this sound.")] = None,
    prior: Annotated[str, typer.Option(help="sounds, mixture, flow, normal or codes.")] = "sounds",
    toward: Toward = None,
    pitch: PitchOption = None,
    label: LabelOption = None,
    spread: Annotated[float, typer.Option(min=0.0, max=10.0)] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
    **sound: Any,
) -> None:
    """New sounds of the space.

    Example: timbrespace generate run -n 8 --pitch 60 --prior flow --out new

    Brighter ones: timbrespace generate run -n 8 --toward bright=1 --out bright
    """
    from timbrespace import verbs

    made = verbs.generate(
        run, out, n=n, near=near, prior=prior, toward=_steps(toward), pitch=pitch,
        labels=_labels(label), spread=spread, seed=seed, **sound,
    )  # fmt: skip
    _written(made, as_json)


@app.command()
@takes(_way_options)
def play(
    run: RunPath,
    out: Out,
    sound: Annotated[Path | None, typer.Option("--from", help="The timbre of this sound.")] = None,
    row: Annotated[int | None, typer.Option(min=0, help="The timbre of a row.")] = None,
    near: Annotated[
        str | None, typer.Option(help="The sound in the middle of a label: family=brass.")
    ] = None,
    toward: Toward = None,
    pitch: Annotated[
        list[float] | None,
        typer.Option(min=0, max=127, help="MIDI pitch, 60 = middle C. Repeatable."),
    ] = None,
    velocity: Annotated[int | None, typer.Option(min=1, max=127, help="How hard.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long, attack to release.")] = None,
    label: LabelOption = None,
    format: Format = "wav16",
    rate: Rate = None,
    as_json: Json = False,
    **way: Any,
) -> None:
    """Notes of one timbre: other pitches, harder, longer.

    Example: timbrespace play run --from a.wav --pitch 60 --pitch 64 --pitch 67 --seconds 3 --out notes

    Duller: timbrespace play run --near family=brass --toward bright=-1 --pitch 60 --out dull
    """
    from timbrespace import verbs

    made = verbs.play(
        run, out, pitches=pitch, sound=sound, row=row, near=near, toward=_steps(toward),
        velocity=velocity, seconds=seconds, labels=_labels(label), format=format, sample_rate=rate,
        **way,
    )  # fmt: skip
    _written(made, as_json)


@app.command()
@takes(_way_options)
def export(
    run: RunPath,
    out: Out,
    to: Annotated[Literal["sfz", "samples"], typer.Option(help="What to write.")] = "sfz",
    sound: Annotated[Path | None, typer.Option("--from", help="The point of this sound.")] = None,
    row: Annotated[int | None, typer.Option(min=0, help="The point of a row.")] = None,
    near: Annotated[
        str | None, typer.Option(help="The sound in the middle of a label: family=brass.")
    ] = None,
    to_sound: Annotated[Path | None, typer.Option(help="Turn into this sound over --over.")] = None,
    over: Annotated[Literal["velocity", "key"], typer.Option()] = "velocity",
    keys: Annotated[str, typer.Option(help="Notes or MIDI numbers, C4 = 60.")] = "C2-C6",
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Semitones a sample.", show_default="3; 1 where harmonic"),
    ] = None,
    velocities: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="Layers.", show_default="3 where they differ, else 1"),
    ] = None,
    format: Format = "wav24",
    name: Annotated[str | None, typer.Option(help="How names of files begin.")] = None,
    pitch: PitchOption = None,
    label: LabelOption = None,
    as_json: Json = False,
    **way: Any,
) -> None:
    """A point of the space as an instrument for samplers.

    Example: timbrespace export run --from a.wav --keys C2-C6 --out brass

    From one sound to another as keys are hit harder: timbrespace export run --from a.wav --to-sound
    b.wav --over velocity --velocities 5 --out morph

    Samples alone: timbrespace export run --near family=brass --to samples --out brass

    By a vocoder: timbrespace export run --row 3 --vocoder instruments-128 --out vocoded
    """
    from dataclasses import asdict

    from timbrespace import verbs

    with Bars() as bars:
        made = verbs.export(
            run, out, to=to, sound=sound, row=row, near=near, to_sound=to_sound, over=over,
            keys=keys, every=every, velocities=velocities, pitch=pitch, labels=_labels(label),
            format=format, name=name, progress=bars, **way,
        )  # fmt: skip
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(str(made.sfz or made.folder))


@app.command()
def search(
    run: RunPath,
    query: Annotated[Path, typer.Argument(help="A sound file.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
    by: Annotated[
        str | None,
        typer.Option(help="latent, sound or both; both where the space was made with --embed."),
    ] = None,
    pitch: PitchOption = None,
    label: LabelOption = None,
    as_json: Json = False,
) -> None:
    """The sounds of the corpus that are most like one.

    Example: timbrespace search run query.wav --by both
    """
    from dataclasses import asdict

    from timbrespace import verbs

    matches = verbs.search(run, query, k=k, by=by, pitch=pitch, labels=_labels(label))
    if as_json:
        print_json({"matches": [asdict(m) for m in matches]})
        return
    for match in matches:
        place = f" at {match.start:.2f} s" if match.start else ""
        typer.echo(f"{match.distance:8.3f}  {match.file}{place}")


@app.command()
@takes(_way_options)
def explore(
    run: RunPath,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    **way: Any,
) -> None:
    """See, hear and play a run in the browser.

    Serves on this machine only; Ctrl-C ends it.

    Example: timbrespace explore run --port 8765
    """
    from timbrespace import verbs

    verbs.explore(
        run, port=port, browser=browser, **way,
        ready=lambda url: typer.echo(f"explorer: {url}  (Ctrl-C ends it)", err=True),
    )  # fmt: skip


app.add_typer(vocoders)
app.add_typer(effects)


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, what is missing, the device.

    Example: timbrespace doctor --json
    """
    from timbrespace import verbs

    facts = verbs.doctor()
    print_json(facts) if as_json else print_facts(facts)


# typer brings its own copy of click in newer releases: the root of its refusals is found, not imported
_Refused: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> None:
    """Run the command line; what a user can mend is one sentence and exit code 2."""
    keep_memory()
    try:
        code = app(standalone_mode=False)
    except TimbrespaceError as error:
        _refuse(str(error))
    except _Refused as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "timbrespace")
        _refuse(f"{error.format_message().rstrip('.')}; see: {where} --help")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _refuse("the disk is full; free some space and run the same command again")
        if error.filename is not None and error.errno in _USERS_TO_MEND:
            # a rename names its target second; the first name is a temporary one of ours
            _refuse(f"{error.filename2 or error.filename} cannot be used: {error.strerror}")
        raise
    except (KeyboardInterrupt, typer.Abort) as stop:
        if isinstance(stop.__cause__, EOFError):  # typer takes it for Ctrl-D; here it is a bug
            raise
        code = INTERRUPTED
    if code == INTERRUPTED:
        typer.echo("timbrespace: interrupted; what was finished is kept", err=True)
    sys.exit(code if isinstance(code, int) else 0)


INTERRUPTED = 130
_USERS_TO_MEND = {
    errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
}  # fmt: skip


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"timbrespace: {sentence}", err=True)
    sys.exit(2)
