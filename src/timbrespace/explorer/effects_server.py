"""The page of effects over HTTP: sounds as raw samples, so that the browser has nothing to decode, pictures,
and work with its progress; who may ask is said in `web`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import anyio.to_thread
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from timbrespace.errors import AudioError
from timbrespace.explorer.playing import Playing, Wet, open_controllers
from timbrespace.explorer.sounds import DROPPED_BYTES, PLAYED, BuiltIn, Files, Rows, Source
from timbrespace.explorer.web import (
    Question,
    Refused,
    Turns,
    application,
    body,
    files,
    page,
    question,
    serve_app,
)  # fmt: skip
from timbrespace.matching.pairing import HIGHEST_RATE, LOWEST_RATE

FILES = (
    "style.css", "effects.css", "icon.svg", "api.js", "colours.js", "compare.js", "dom.js", "effects.js",
    "knobs.js", "level.js", "list.js", "loop.js", "pad.js", "picture.js", "presets.js", "sound.js",
)  # fmt: skip
NAME, KNOB = 200, 64  # characters of an effect's name (a chain has a long one), and of a knob's
KNOBS, DIMENSIONS = 64, 8
DROP = "/api/effects/drop"
UPLOADS = {DROP: DROPPED_BYTES}

Number = Annotated[int, Field(ge=0, le=2 * 10**9)]
EffectName = Annotated[str, Field(max_length=NAME)]
Values = Annotated[
    dict[Annotated[str, Field(max_length=KNOB)], float], Field(default={}, max_length=KNOBS)
]
Place = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(max_length=DIMENSIONS)]


class EffectQuestion(Question):
    """An effect, for a sound."""

    effect: EffectName
    sound: Number


class RenderQuestion(Question):
    """A sound through an effect, None for the dry sound; its knobs by `values`, or by the place `at` on the
    pad of a controller. With a controller, values are told their place. `rate`: in Hz, None for the
    sound's own. `moment`: where in the sound one listens, in seconds: of an effect on a long sound only what is
    heard next comes, at the sound's own rate, as soon as may be."""

    sound: Number
    effect: EffectName | None = None
    values: Values
    at: Place | None = None
    controller: Number | None = None
    rate: int | None = Field(default=None, ge=LOWEST_RATE, le=HIGHEST_RATE)
    moment: float | None = Field(default=None, ge=0, le=PLAYED)


class ControllerQuestion(Question):
    """A controller of an effect, made on a sound: its kind as for controller.make."""

    effect: EffectName
    sound: Number
    kind: str = Field(default="bottleneck", max_length=KNOB)
    dimensions: int = Field(default=2, ge=2, le=8)


class MatchQuestion(Question):
    """The setting of an effect, None for whichever of our own it is, that brings a sound to a reference: the
    same sound with the effect, or with `style` another one with it."""

    effect: EffectName | None
    sound: Number
    reference: Number
    style: bool = False


class StopQuestion(Question):
    """Stop the work that is being done."""


def routes(playing: Playing, turns: Turns) -> list[Route]:
    """The page's questions; its files are those in FILES."""
    hand = Turns()  # what a moving hand waits for does not wait for the rest

    async def described(request: Request) -> Response:
        return JSONResponse(await anyio.to_thread.run_sync(playing.describe))

    async def effect(request: Request) -> Response:
        asked = await question(request, EffectQuestion)
        return JSONResponse(
            await turns.take(request, lambda: playing.told(asked.effect, asked.sound))
        )

    async def render(request: Request) -> Response:
        asked = await question(request, RenderQuestion)
        lane = turns if asked.moment is None else hand
        wet, place = await lane.take(request, lambda: _rendered(playing, asked))
        return _raw(wet, place)

    async def picture(request: Request) -> Response:
        asked = await question(request, RenderQuestion)
        made = await turns.take(request, lambda: playing.picture(_rendered(playing, asked)[0]))
        headers = {"x-mels": str(made.shape[0]), "x-frames": str(made.shape[1])}
        return Response(made.tobytes(), headers=headers, media_type="application/octet-stream")

    async def drop(request: Request) -> Response:
        data = await body(request, DROPPED_BYTES)
        name = unquote(request.headers.get("x-name", ""))
        try:
            number = await turns.take(request, lambda: playing.shelf.drop(name, data))
        except AudioError as error:
            raise Refused(422, str(error), "file") from None
        return JSONResponse({"sound": number, "name": playing.shelf.sound(number).name})

    async def keep(request: Request) -> Response:
        asked = await question(request, RenderQuestion)
        number = await turns.take(
            request, lambda: playing.keep(_rendered(playing, asked)[0], asked.sound)
        )
        return JSONResponse({"sound": number, "name": playing.shelf.sound(number).name})

    async def make_controller(request: Request) -> Response:
        asked = await question(request, ControllerQuestion)
        await turns.take(
            request,
            lambda: playing.make_controller(
                asked.effect, asked.sound, asked.kind, asked.dimensions
            ),
        )
        return JSONResponse(playing.work.standing.told())

    async def match(request: Request) -> Response:
        asked = await question(request, MatchQuestion)
        await turns.take(
            request, lambda: playing.match(asked.effect, asked.sound, asked.reference, asked.style)
        )
        return JSONResponse(playing.work.standing.told())

    async def work(request: Request) -> Response:
        return JSONResponse(playing.work.standing.told())

    async def stop(request: Request) -> Response:
        await question(request, StopQuestion)
        playing.work.stop()
        return JSONResponse(playing.work.standing.told())

    return [
        page("/effects", "effects.html"),
        Route("/api/effects", described),
        Route("/api/effects/effect", effect, methods=["POST"]),
        Route("/api/effects/render", render, methods=["POST"]),
        Route("/api/effects/picture", picture, methods=["POST"]),
        Route(DROP, drop, methods=["POST"]),
        Route("/api/effects/keep", keep, methods=["POST"]),
        Route("/api/effects/controller", make_controller, methods=["POST"]),
        Route("/api/effects/match", match, methods=["POST"]),
        Route("/api/effects/work", work),
        Route("/api/effects/stop", stop, methods=["POST"]),
    ]


def build_app(playing: Playing) -> ASGIApp:
    """The page of effects alone, with all guards on."""
    own = [page("/", "effects.html"), *files(FILES), *routes(playing, Turns())]
    return application(own, UPLOADS)


def serve(
    sounds: Sequence[str | Path] = (), *, effect: str | None = None,
    controllers: Sequence[str | Path] = (), port: int | None = None, browser: bool = True,
    ready: Callable[[str], None] | None = None, stop: threading.Event | None = None,
) -> None:  # fmt: skip
    """Serve the page for files, one corpus, or without any the built-in instruments, on 127.0.0.1 until
    interrupted; `port`, `browser`, `ready` and `stop` as for web.serve_app. EffectError, CorpusError or
    AudioError for what cannot be played."""
    opened = open_controllers([Path(path) for path in controllers])
    playing = Playing(source_of(sounds), effect=effect, controllers=opened)
    try:
        serve_app(build_app(playing), port=port, browser=browser, ready=ready, stop=stop)
    finally:
        playing.work.close()


def source_of(sounds: Sequence[str | Path]) -> Source:
    """What the given names are: files, of which the first must be a sound, or one corpus."""
    from timbrespace.data.corpus import Corpus
    from timbrespace.data.storage import is_address

    if not sounds:
        return BuiltIn()
    if len(sounds) == 1 and (is_address(str(sounds[0])) or Path(sounds[0]).is_dir()):
        corpus = Corpus.open(sounds[0])
        return Rows(lambda: corpus)
    source = Files([Path(path) for path in sounds])
    for number in range(len(sounds)):
        source.audio(number)
    return source


def _rendered(playing: Playing, asked: RenderQuestion) -> tuple[Wet, list[float] | None]:
    """What is heard, and where on the controller's pad it lies."""
    if asked.effect is None:
        return playing.render(asked.sound, None, sample_rate=asked.rate), None
    if asked.at is not None and asked.controller is None:
        raise Refused(422, "at: a place lies on the pad of a controller; name one.", "at")
    on_pad = asked.controller if asked.at is not None else None
    setting = playing.setting(asked.effect, asked.values, asked.at, on_pad)
    place = asked.at
    if place is None and asked.controller is not None:
        place = playing.place(asked.effect, setting, asked.controller)
    if asked.moment is not None:
        return playing.stretch(asked.sound, asked.effect, setting, asked.moment), place
    return playing.render(asked.sound, asked.effect, setting, asked.rate), place


def _raw(wet: Wet, place: list[float] | None) -> Response:
    """Samples as float32, little-endian, one channel after the other; all else in headers."""
    facts: dict[str, Any] = {
        "sample_rate": wet.sample_rate, "channels": len(wet.samples), "lowered_db": wet.lowered_db,
        "setting": wet.setting, "place": place, "first": wet.first,
        "of": wet.of,
    }  # fmt: skip
    return Response(
        wet.samples.astype("<f4").tobytes(),
        headers={"x-facts": json.dumps(facts)},
        media_type="application/octet-stream",
    )
