"""The command line of effects: `timbrespace effects VERB`, one thin command per verb."""

from typing import Annotated, Any

import typer

from timbrespace.terminal import Json, print_json

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
    for effect in found:
        typer.echo(f"{effect['name']:16} {effect['words']}")
        for knob in effect["knobs"]:
            typer.echo(f"  {knob['name']:14} {knob['range']}  (default {knob['default']})")
