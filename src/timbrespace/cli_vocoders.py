"""The command line of vocoders: `timbrespace vocoder VERB`, one thin command per verb."""

from pathlib import Path
from typing import Annotated

import typer

from timbrespace.terminal import Bars, Json, print_facts, print_json

vocoders = typer.Typer(
    name="vocoder", help="Train, show and measure networks that make sound of log-mel pictures.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip
VocoderPlace = Annotated[
    str, typer.Argument(help="A vocoder's file, or the name of a shipped one.")
]
Recorded = Annotated[str, typer.Argument(help="A corpus made by prepare, or a folder of sounds.")]


@vocoders.command("train")
def vocoder_train(
    corpora: Annotated[
        list[str], typer.Argument(help="Corpora made by prepare, or folders of sounds.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The vocoder's file.")],
    minutes: Annotated[float | None, typer.Option(help="How long.")] = None,
    steps: Annotated[int | None, typer.Option(help="How long, instead.")] = None,
    mels: Annotated[int, typer.Option(help="Of the pictures that it is to take.")] = 128,
    sample_rate: Annotated[int, typer.Option(help="Hz.")] = 16000,
    n_fft: Annotated[int, typer.Option(help="Samples of a window.")] = 1024,
    hop: Annotated[int, typer.Option(help="Samples from frame to frame.")] = 256,
    floor_db: Annotated[float, typer.Option(help="The quietest cell of a picture.")] = -80.0,
    batch: Annotated[int, typer.Option(help="Pieces a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="The highest.")] = 1.5e-3,
    channels: Annotated[int, typer.Option(help="Of the network.")] = 192,
    blocks: Annotated[int, typer.Option(help="Of the network.")] = 3,
    smooth: Annotated[
        float, typer.Option(help="Share of pictures blurred and rounded as models draw them.")
    ] = 0.0,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="With discriminators; slow without a GPU.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with this training.")] = False,
    data: Annotated[str | None, typer.Option(help="What it learns from, for its card.")] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, for its card.")] = "not stated",
    as_json: Json = False,
) -> None:
    """Train a vocoder on recordings. Ctrl-C loses nothing: --resume goes on.

    Of several places, each is heard as often as the root of its number of sounds says.

    Example: timbrespace vocoder train corpus --out vocoder.safetensors --minutes 60
    """
    from timbrespace import verbs_vocoders

    with Bars() as bars:
        made = verbs_vocoders.vocoder_train(
            corpora, out, sample_rate=sample_rate, n_fft=n_fft, hop=hop, mels=mels,
            floor_db=floor_db, resume=resume, data=data, licence=licence, progress=bars,
            minutes=minutes, steps=steps, batch=batch, learning_rate=learning_rate,
            channels=channels, blocks=blocks, smooth=smooth, adversarial=adversarial, seed=seed,
        )  # fmt: skip
    print_json({"vocoder": out, **made.about}) if as_json else typer.echo(str(out))


@vocoders.command("info")
def vocoder_info(place: VocoderPlace, as_json: Json = False) -> None:
    """What a vocoder takes, and where it comes from.

    Example: timbrespace vocoder info vocoder.safetensors
    """
    from timbrespace import verbs_vocoders

    facts = verbs_vocoders.vocoder_info(place)
    print_json(facts) if as_json else print_facts(facts)


@vocoders.command("evaluate")
def vocoder_evaluate(
    place: VocoderPlace,
    corpus: Recorded,
    sounds: Annotated[int, typer.Option(help="How many.")] = 48,
    split: Annotated[str, typer.Option(help="Of which part: test or valid.")] = "test",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Measure a vocoder beside the classical ways.

    On held-out recordings: log-mel RMSE, MR-STFT, pitch within 50 cents, CPU milliseconds for two
    seconds.

    Example: timbrespace vocoder evaluate vocoder.safetensors corpus
    """
    from timbrespace import verbs_vocoders
    from timbrespace.vocoders import measure

    with Bars() as bars:
        rows = verbs_vocoders.vocoder_evaluate(
            place, corpus, sounds=sounds, split=split, seed=seed, progress=bars
        )
    print_json({"rows": rows}) if as_json else typer.echo(measure.text(rows))
