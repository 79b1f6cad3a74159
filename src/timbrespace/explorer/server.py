"""The explorer over HTTP: JSON, WAV and picture bytes for its page on this computer; who may ask is said in
`web`."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio.to_thread
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from timbrespace.explorer import effects_server
from timbrespace.explorer.playing import Playing
from timbrespace.explorer.session import Clip, Session
from timbrespace.explorer.sounds import Rows
from timbrespace.explorer.view import Place
from timbrespace.explorer.web import (
    Question,
    Refused,
    Turns,
    application,
    files,
    page,
    question,
    serve_app,
)  # fmt: skip

if TYPE_CHECKING:
    from timbrespace.runs import Run

LABELS, TEXT = 16, 120  # labels that a question may name, and characters of each
DIRECTIONS = 64  # that a question may name
ROW = re.compile(r"\d{1,9}")
FILES = (
    "style.css", "icon.svg", "app.js", "api.js", "colours.js", "dom.js", "instrument.js", "list.js", "map.js",
    "piano.js", "picture.js", "sound.js",
)  # fmt: skip

LabelText = Annotated[str, Field(max_length=TEXT)]
LabelTexts = dict[LabelText, LabelText]
Toward = dict[LabelText, Annotated[float, Field(ge=-10, le=10)]]  # steps along named directions


class SoundQuestion(Question):
    """What sounds that are made may be told: labels that are to be others than the sound's, steps along
    named directions, and which of the run's makers makes them; None: the first."""

    labels: LabelTexts = Field(default={}, max_length=LABELS)
    toward: Toward = Field(default={}, max_length=DIRECTIONS)
    sound_by: LabelText | None = None


class PointQuestion(SoundQuestion):
    """A spot on a map, in the map's own coordinates; pitch as a MIDI number or "as the sound"."""

    map: str = Field(max_length=32)
    x: float = Field(ge=-1e6, le=1e6)
    y: float = Field(ge=-1e6, le=1e6)
    pitch: float | None = Field(default=None, ge=0, le=127)


class MorphQuestion(SoundQuestion):
    """Two sounds; `steps` sounds evenly on the way, or the one `at` 0..1."""

    a: int = Field(ge=0, le=999_999_999)
    b: int = Field(ge=0, le=999_999_999)
    steps: int = Field(default=8, ge=2, le=32)
    at: float | None = Field(default=None, ge=0, le=1)
    kind: Literal["lerp", "slerp", "follow"] = "slerp"
    pitch: float | None = Field(default=None, ge=0, le=127)


class WayQuestion(Question):
    """Two sounds, and the map on which the way between them is to be drawn."""

    a: int = Field(ge=0, le=999_999_999)
    b: int = Field(ge=0, le=999_999_999)
    kind: Literal["lerp", "slerp", "follow"] = "slerp"
    map: str = Field(max_length=32)


class GlideQuestion(SoundQuestion):
    """Two sounds, and one sound of so many seconds that goes from one to the other."""

    a: int = Field(ge=0, le=999_999_999)
    b: int = Field(ge=0, le=999_999_999)
    seconds: float = Field(ge=0.5, le=30)
    kind: Literal["lerp", "slerp", "follow"] = "slerp"
    pitch: float | None = Field(default=None, ge=0, le=127)


class PlayQuestion(SoundQuestion):
    """One note of a place: its key, how hard, and how long; None: as long as its window."""

    place: Place = Field(discriminator="kind")
    pitch: int = Field(ge=0, le=127)
    velocity: int = Field(default=100, ge=1, le=127)
    seconds: float | None = Field(default=None, ge=0.1, le=30)


class ExportQuestion(SoundQuestion):
    """A place as an instrument over a range of keys; with an end, the way from the one to the other, over
    velocity or key."""

    place: Place = Field(discriminator="kind")
    end: Annotated[Place, Field(discriminator="kind")] | None = None
    over: Literal["velocity", "key"] = "velocity"
    to: Literal["sfz", "samples"] = "sfz"
    format: Literal["wav24", "flac"] = "wav24"
    keys: str = Field(default="C2-C6", max_length=16)


class StopQuestion(Question):
    """Stop the export that is being made."""


def _row(request: Request) -> int:
    text = request.path_params["row"]
    if not ROW.fullmatch(text):
        raise Refused(404, "Sounds are asked for by their number.", "row")
    return int(text)


def _asked_pitch(request: Request) -> float | None:
    text = request.query_params.get("pitch")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", text) or float(text) > 127:
        raise Refused(422, "pitch: a MIDI number from 0 to 127.", "pitch")
    return float(text)


def _asked_labels(request: Request) -> dict[str, str]:
    """The labels of a query: label.family=brass."""
    asked = {
        name.removeprefix("label."): value
        for name, value in request.query_params.items()
        if name.startswith("label.")
    }
    if len(asked) > LABELS or any(len(text) > TEXT for text in (*asked, *asked.values())):
        raise Refused(422, f"labels: at most {LABELS}, of {TEXT} characters each.", "labels")
    return asked


def _asked_toward(request: Request) -> dict[str, float]:
    """The steps of a query along named directions: toward.bright=0.5."""
    asked = {
        name.removeprefix("toward."): text
        for name, text in request.query_params.items()
        if name.startswith("toward.")
    }
    known = (re.fullmatch(r"-?\d{1,2}(\.\d{1,4})?", text) for text in asked.values())
    if len(asked) > DIRECTIONS or not all(known) or any(len(name) > TEXT for name in asked):
        raise Refused(422, "toward: steps from -10 to 10 along named directions.", "toward")
    return {name: float(text) for name, text in asked.items()}


def _wav(clip: Clip) -> Response:
    headers = {"x-lowered-db": f"{clip.lowered_db:.2f}", "x-seconds": f"{clip.seconds:.4f}"}
    return Response(clip.wav, headers=headers, media_type="audio/wav")


def _picture(clip: Clip) -> Response:
    mels, frames = clip.picture.shape
    headers = {"x-mels": str(mels), "x-frames": str(frames)}
    return Response(clip.picture.tobytes(), headers=headers, media_type="application/octet-stream")


def _inline(clip: Clip) -> dict[str, Any]:
    mels, frames = clip.picture.shape
    return {
        "wav": base64.b64encode(clip.wav).decode("ascii"),
        "picture": base64.b64encode(clip.picture.tobytes()).decode("ascii"),
        "mels": mels,
        "frames": frames,
        "seconds": round(clip.seconds, 4),
        "lowered_db": clip.lowered_db,
    }


def playing_of(session: Session) -> Playing:
    """The effects that are played on the sounds of a session's corpus; where its run reads knobs off pairs,
    that is where matches begin, and where off wet sounds alone, it names their effect."""
    from timbrespace.matching.prediction import listener, predictor

    recipe, path = session.run.recipe, session.run.path
    reads, alone = recipe.model.heads.knobs, recipe.hears_alone
    return Playing(
        Rows(lambda: session.run.corpus), map_page=True,
        predictor=(lambda: predictor(path)) if reads and not alone else None,
        listener=(lambda: listener(path)) if reads and alone else None,
    )  # fmt: skip


def build_app(session: Session, playing: Playing | None = None) -> ASGIApp:
    """The web application of one session, with all its guards on, and of the effects played on its
    sounds."""
    turns = Turns()

    async def run(request: Request) -> Response:
        return JSONResponse(await anyio.to_thread.run_sync(session.describe))

    async def map_data(request: Request) -> Response:
        return JSONResponse(await anyio.to_thread.run_sync(session.map_data))

    async def original(request: Request) -> Response:
        row = _row(request)
        clip = await turns.take(request, lambda: session.original(row))
        return _wav(clip) if request.url.path.endswith(".wav") else _picture(clip)

    async def reconstruction(request: Request) -> Response:
        row, pitch, labels = _row(request), _asked_pitch(request), _asked_labels(request)
        toward, sound_by = _asked_toward(request), request.query_params.get("sound_by")
        clip = await turns.take(
            request, lambda: session.reconstruction(row, pitch, labels, toward, sound_by)
        )
        return _wav(clip) if request.url.path.endswith(".wav") else _picture(clip)

    async def similar(request: Request) -> Response:
        row, by = _row(request), request.query_params.get("by")
        way, near = await turns.take(request, lambda: session.similar(row, by))
        return JSONResponse({"by": way, "near": near})

    async def lost(request: Request) -> Response:
        row, sound_by = _row(request), request.query_params.get("sound_by")
        found = await turns.take(request, lambda: session.lost(row, sound_by))
        stages = {
            name: {**asdict(distance), "clip": _inline(clip)}
            for name, (distance, clip) in found.stages.items()
        }
        return JSONResponse({"sentence": found.sentence, "stages": stages})

    async def point(request: Request) -> Response:
        asked = await question(request, PointQuestion)
        spot = await turns.take(
            request,
            lambda: session.point(
                asked.map, asked.x, asked.y, asked.pitch, asked.labels, asked.toward,
                asked.sound_by,
            ),
        )  # fmt: skip
        answer = {"far": spot.far, "ratio": round(spot.ratio, 2), "pitch": spot.pitch}
        answer["labels"] = spot.labels
        return JSONResponse({**answer, "near": spot.near, "clip": _inline(spot.clip)})

    async def morph(request: Request) -> Response:
        asked = await question(request, MorphQuestion)
        last = asked.steps - 1
        places = [asked.at] if asked.at is not None else [i / last for i in range(asked.steps)]
        steps = await turns.take(
            request,
            lambda: session.morph(
                asked.a,
                asked.b,
                places,
                kind=asked.kind,
                pitch=asked.pitch,
                labels=asked.labels,
                toward=asked.toward,
                sound_by=asked.sound_by,
            ),  # fmt: skip
        )
        answer = [{"at": s.at, "pitch": s.pitch, "clip": _inline(s.clip)} for s in steps]
        return JSONResponse({"steps": answer})

    async def way(request: Request) -> Response:
        asked = await question(request, WayQuestion)
        places = await turns.take(
            request, lambda: session.way_on_map(asked.map, asked.a, asked.b, asked.kind)
        )
        return JSONResponse({"xs": places[:, 0].tolist(), "ys": places[:, 1].tolist()})

    async def glide(request: Request) -> Response:
        asked = await question(request, GlideQuestion)
        clip = await turns.take(
            request,
            lambda: session.glide(
                asked.a, asked.b, asked.seconds, kind=asked.kind, pitch=asked.pitch,
                labels=asked.labels, toward=asked.toward, sound_by=asked.sound_by,
            ),
        )  # fmt: skip
        return JSONResponse({"clip": _inline(clip)})

    async def play(request: Request) -> Response:
        asked = await question(request, PlayQuestion)
        clip = await turns.take(
            request,
            lambda: session.play(
                asked.place, asked.pitch, velocity=asked.velocity, seconds=asked.seconds,
                labels=asked.labels, toward=asked.toward, sound_by=asked.sound_by,
            ),
        )  # fmt: skip
        return _wav(clip)

    async def export(request: Request) -> Response:
        if request.method != "POST":
            return JSONResponse(session.exports.progress.told())
        asked = await question(request, ExportQuestion)
        await turns.take(
            request,
            lambda: session.export(
                asked.place, end=asked.end, over=asked.over, to=asked.to, format=asked.format,
                keys=asked.keys, labels=asked.labels, toward=asked.toward, sound_by=asked.sound_by,
            ),
        )  # fmt: skip
        return JSONResponse(session.exports.progress.told())

    async def stop_export(request: Request) -> Response:
        await question(request, StopQuestion)
        session.exports.stop()
        return JSONResponse(session.exports.progress.told())

    async def exported(request: Request) -> Response:
        found = session.exports.zip(request.path_params["number"])
        if found is None:
            raise Refused(404, "This export is not there any more; make it again.")
        progress, pieces = found
        headers = {
            "content-length": str(progress.bytes),
            "content-disposition": f'attachment; filename="{progress.file}"',
        }
        return StreamingResponse(pieces, headers=headers, media_type="application/zip")

    routes = [
        page("/", "index.html"),
        *files(sorted({*FILES, *effects_server.FILES})),
        *effects_server.routes(playing or playing_of(session), turns),
        Route("/api/run", run),
        Route("/api/map", map_data),
        Route("/api/sounds/{row}/original.wav", original),
        Route("/api/sounds/{row}/original.mel", original),
        Route("/api/sounds/{row}/reconstruction.wav", reconstruction),
        Route("/api/sounds/{row}/reconstruction.mel", reconstruction),
        Route("/api/sounds/{row}/lost", lost),
        Route("/api/sounds/{row}/similar", similar),
        Route("/api/point", point, methods=["POST"]),
        Route("/api/morph", morph, methods=["POST"]),
        Route("/api/way", way, methods=["POST"]),
        Route("/api/glide", glide, methods=["POST"]),
        Route("/api/play", play, methods=["POST"]),
        Route("/api/export", export, methods=["GET", "POST"]),
        Route("/api/export/stop", stop_export, methods=["POST"]),
        Route("/api/export/{number:int}.zip", exported),
    ]
    return application(routes, effects_server.UPLOADS)


def serve(
    run: Run | Session | str | Path,
    *,
    port: int | None = None,
    browser: bool = True,
    ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve a run (or an open session) on 127.0.0.1 until interrupted, or until `stop` is set.

    port: None takes 8765 or the next free one; 0 any free one. browser: open the page. ready:
    called with the page's address once it answers. RunError when run or port cannot be used.
    """
    if isinstance(run, Session):
        session = run
    else:
        session = Session.open(Path(run) if isinstance(run, str | Path) else run.path)
    playing = playing_of(session)
    try:
        serve_app(build_app(session, playing), port=port, browser=browser, ready=ready, stop=stop)
    finally:
        session.exports.close()
        playing.work.close()
