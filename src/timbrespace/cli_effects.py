"""The command line of effects: `timbrespace effects VERB`, one thin command per verb."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timbrespace.terminal import Bars, Format, Json, Out, Workers, print_json

if TYPE_CHECKING:
    from timbrespace.matching.certainty import Certainty
    from timbrespace.verbs_effects import Applied

effects = typer.Typer(
    name="effects", help="Apply, learn, match and play audio effects.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip


@effects.command("list")
def effects_list(
    name: Annotated[str | None, typer.Argument(help="One effect, or all.")] = None,
    as_json: Json = False,
) -> None:
    """Effects and their knobs, with ranges.

    Example: timbrespace effects list overdrive
    """
    from timbrespace import verbs_effects

    found: list[dict[str, Any]] = verbs_effects.effects_list(name)
    if as_json:
        print_json({"effects": found})
        return
    whole = [effect for effect in found if "level" in effect]
    for effect in whole:
        _table(effect)
    if len(found) > len(whole):
        typer.echo("Of hosts (name one to see more of it)")
    for effect in found[len(whole) :]:
        typer.echo(f"  {effect['name']:28} {effect['words']}")
        knobs = effect["knobs"]
        ranges = "; ".join(f"{knob['name']} {knob['range']}" for knob in knobs or ())
        typer.echo(
            f"    {'knobs are told by loading it' if knobs is None else ranges or 'no knobs'}"
        )


def _table(effect: dict[str, Any]) -> None:
    typer.echo(f"{effect['name']}: {effect['words']}")
    wide = max((len(knob["name"]) for knob in effect["knobs"]), default=0)
    for knob in effect["knobs"]:
        told = [
            "logarithmic" if knob["curve"] == "log" else "",
            "not heard in mono" if knob["stereo"] else "",
            f"not heard in less than {knob['seconds']:g} s" if knob["seconds"] else "",
        ]
        line = f"{knob['range']:20} default {knob['default']:<8g} {', '.join(filter(None, told))}"
        typer.echo(f"  {knob['name']:{wide}}  {line}".rstrip())
    typer.echo(f"  level: {effect['level']}")
    dry = effect["dry"]
    words = ", ".join(f"{name} {value:g}" for name, value in (dry or {}).items())
    typer.echo(f"  dry at: {'no setting' if dry is None else words}\n")


@effects.command("apply")
def effects_apply(
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    effect: Annotated[str, typer.Option(help="Its name, as delay, or overdrive+delay.")],
    out: Out,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A knob: drive=12, in a chain overdrive.drive=12. Repeatable."),
    ] = None,
    same_level: Annotated[
        bool, typer.Option("--same-level", help="As loud (RMS) as it was dry, peaks limited.")
    ] = False,
    format: Format = "wav16",
    as_json: Json = False,
) -> None:
    """Sounds with an effect, each at its own rate, length and channels.

    What would pass full scale is limited. Files that cannot be used are named, the rest goes on.

    Example: timbrespace effects apply guitar.wav --effect overdrive --set drive=12 --out wet
    """
    from timbrespace import verbs_effects

    with Bars() as bars:
        made = verbs_effects.effects_apply(
            files, out, effect=effect, setting=_setting(settings), same_level=same_level, format=format,
            progress=bars,
        )  # fmt: skip
    bad = [one for one in made if one.error]
    if as_json:
        print_json({"sounds": [vars(one) for one in made]})
    else:
        for one in made:
            if one.file:
                typer.echo(str(one.file) + _told(one))
    for one in bad:
        typer.echo(f"timbrespace: {one.error}", err=True)
    if bad:
        raise typer.Exit(2)


def _told(made: "Applied") -> str:
    told = []
    if abs(made.louder) >= 0.05:
        told.append(f"made {abs(made.louder):.1f} dB {'louder' if made.louder > 0 else 'softer'}")
    if made.limited >= 0.05:
        told.append(f"its highest peak limited by {made.limited:.1f} dB")
    told += made.unheard
    return f"  ({'; '.join(told)})" if told else ""


def _setting(words: list[str] | None) -> dict[str, float]:
    """Knobs by name, of words such as drive=12."""
    from timbrespace.errors import EffectError

    setting: dict[str, float] = {}
    for word in words or ():
        name, _, value = word.partition("=")
        if name.strip() in setting:
            raise EffectError(f"--set {name.strip()} came twice; give each knob once")
        try:
            setting[name.strip()] = float(value)
        except ValueError:
            raise EffectError(f"--set {word} is no knob and number; write it as drive=12") from None
    return setting


@effects.command("pairs")
def effects_pairs(
    out: Out,
    corpus: Annotated[
        Path | None,
        typer.Option(help="A prepared corpus of dry sounds; built-in instruments without it."),
    ] = None,
    names: Annotated[
        str, typer.Option("--effects", help="Names with commas between, or all: ten of our own.")
    ] = "all",
    settings: Annotated[str, typer.Option(help="Of the knobs: fixed, random or grid.")] = "random",
    number: Annotated[int, typer.Option("-n", min=1, help="Pairs of each effect.")] = 1000,
    seconds: Annotated[float, typer.Option(help="Length of a dry sound.")] = 2.048,
    sample_rate: Annotated[int, typer.Option(help="Hz.")] = 16000,
    level: Annotated[
        str, typer.Option(help="kept: the wet sound's own; each: every sound's peak at -12 dBFS.")
    ] = "kept",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Render pairs of dry and wet sounds with known knobs, as a corpus to train on.

    The same command again goes on where it was interrupted.

    Example: timbrespace effects pairs --corpus corpus --effects delay,overdrive -n 700 --out pairs
    """
    from timbrespace import verbs_effects

    with Bars() as bars:
        made = verbs_effects.effects_pairs(
            out, corpus=corpus, effects=names, settings=settings, n=number, seconds=seconds,
            sample_rate=sample_rate, level=level, seed=seed, workers=workers, progress=bars,
        )  # fmt: skip
    if as_json:
        print_json({"out": str(out), **made.counts})
        return
    for line in made.lines:
        typer.echo(line)


@effects.command("play")
def effects_play(
    sounds: Annotated[
        list[str] | None,
        typer.Argument(help="Sound files, or one corpus; built-in instruments when none is given."),
    ] = None,
    effect: Annotated[
        str | None, typer.Option(help="What is played first, as overdrive or overdrive+delay.")
    ] = None,
    controller: Annotated[
        list[str] | None, typer.Option(help="A controller's file, for its pad; can be repeated.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Play effects in the browser: a pad and knobs that are heard while they move.

    Serves on this machine only; Ctrl-C ends it.

    Example: timbrespace effects play guitar.wav --effect overdrive+delay
    """
    from timbrespace import verbs_effects

    verbs_effects.effects_play(
        *(sounds or ()), effect=effect, controller=controller or (), port=port, browser=browser,
        ready=lambda url: typer.echo(f"effects: {url}  (Ctrl-C ends it)", err=True),
    )  # fmt: skip


@effects.command("controller")
def effects_controller(
    file: Annotated[
        Path | None, typer.Argument(help="A controller to tell of, in place of making one.")
    ] = None,
    effect: Annotated[str | None, typer.Option(help="The effect to play.")] = None,
    sounds: Annotated[
        list[Path] | None,
        typer.Option(help="A corpus, or a file (repeatable; the last one measures)."),
    ] = None,
    kind: Annotated[str, typer.Option(help="bottleneck, umap or pca.")] = "bottleneck",
    dimensions: Annotated[int, typer.Option(help="2 to 8.")] = 2,
    settings: Annotated[int, typer.Option(help="How many random settings to learn from.")] = 1000,
    run: Annotated[
        Path | None, typer.Option(help="A space of effects, whose latents are laid out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Where it goes.")] = None,
    as_json: Json = False,
) -> None:
    """Make a controller: 2 to 8 numbers that play all knobs of an effect; or tell of one.

    Example: timbrespace effects controller --effect overdrive --out pad.safetensors
    """
    if file is None and (effect is None or out is None):
        raise typer.BadParameter("give --effect and --out to make a controller, or one to tell of")
    if file is not None and (effect is not None or out is not None):
        raise typer.BadParameter("give a controller to tell of, or --effect and --out, not both")
    from timbrespace import verbs_effects
    from timbrespace.controller import Controller

    if file is not None:
        made = Controller.open(file)
    else:
        assert effect is not None and out is not None
        with Bars() as bars:
            made = verbs_effects.effects_controller(
                effect, out, sounds=sounds or (), kind=kind, dimensions=dimensions,
                settings=settings, seed=seed, run=run, progress=bars,
            )  # fmt: skip
    if as_json:
        print_json({"file": str(file or out), **made.facts})
        return
    for line in made.lines:
        typer.echo(line)


@effects.command("match")
def effects_match(
    sound: Annotated[Path, typer.Argument(help="The dry sound.")],
    reference: Annotated[Path, typer.Argument(help="How it should sound.")],
    out: Out,
    effect: Annotated[
        list[str] | None,
        typer.Option(help="An effect; repeat to choose from several; all our own when not given."),
    ] = None,
    chain: Annotated[str | None, typer.Option(help="Effects in a row: overdrive,delay.")] = None,
    style: Annotated[
        bool, typer.Option("--style", help="The reference is another sound with the effect.")
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(
            help="A trained run with heads: where to start, what is likely. With --style one of recipe "
            "effects-blind: which of several effects it is."
        ),
    ] = None,
    renders: Annotated[int, typer.Option(min=8, help="At most, for each effect.")] = 120,
    seconds: Annotated[float, typer.Option(min=0.1, help="About how long.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """The knobs of an effect with which a sound comes nearest to a reference, by search.

    Writes result.wav, match.json and match.png.

    Example: timbrespace effects match dry.wav wet.wav --effect delay --out matched
    """
    from timbrespace import verbs_effects

    if effect and chain is not None:
        raise typer.BadParameter("give --effect or --chain, not both")
    asked = effect if chain is None else chain.replace(",", "+")
    with Bars() as bars:
        found = verbs_effects.effects_match(
            sound, reference, out, effect=asked, style=style, run=run, renders=renders,
            seconds=seconds, seed=seed, progress=bars,
        )  # fmt: skip
    if as_json:
        print_json({"file": str(found.file), "sound": str(found.sound), **found.facts})
        return
    match = found.match
    _echo_probabilities(match.probabilities)
    typer.echo(f"{match.effect.name} ({match.sure}): {match.effect.told(match.setting)}")
    nothing = match.steps[0].distance
    typer.echo(f"  {'step':12}{match.measure:>8}  of nothing  renders  seconds")
    for step in match.steps:
        share = f"{step.distance / nothing:10.2f}" if nothing > 1e-3 else f"{'-':>10}"
        typer.echo(
            f"  {step.name:12}{step.distance:8.3f}  {share}  {step.renders:7}  {step.seconds:7.1f}"
        )
    _echo_knobs(match.knobs)
    for note in found.facts["notes"]:
        typer.echo(f"  {note}")
    typer.echo(f"{found.sound}, {found.file}, {found.picture}")


def _echo_probabilities(probabilities: Mapping[str, float]) -> None:
    for name, share in probabilities.items():
        if share >= 0.01:
            typer.echo(f"{name:20}{share:10.0%}")


def _echo_knobs(knobs: "Sequence[Certainty]") -> None:
    for knob in knobs:
        span = f"{knob.low:.4g} to {knob.high:.4g} {knob.unit}".rstrip()
        words = knob.why or f"{knob.word}, {span}"
        typer.echo(f"  {knob.knob:20}{knob.value:10.4g} {knob.unit:4} {words}")


@effects.command("blind")
def effects_blind(
    sound: Annotated[Path, typer.Argument(help="A sound with an effect.")],
    effect: Annotated[
        list[str] | None,
        typer.Option(help="An effect; repeat to choose from several; all our own when not given."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="A trained run of recipe effects-blind, which answers at once."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="About how long, without a run.")] = 15.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Which effect a sound has, and with which knobs, where there is no dry sound: how probable each is.

    Example: timbrespace effects blind wet.wav
    """
    from timbrespace import verbs_effects

    with Bars() as bars:
        found = verbs_effects.effects_blind(
            sound, effect=effect, run=run, seconds=seconds, seed=seed, progress=bars
        )  # fmt: skip
    if as_json:
        print_json({"file": str(sound), **found.facts})
        return
    _echo_probabilities(found.probabilities)
    typer.echo(f"if it is {found.effect.name}:")
    _echo_knobs(found.knobs)
