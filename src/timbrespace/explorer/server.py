"""The explorer over HTTP: JSON, WAV and picture bytes for one page on this computer.

Whoever can reach a local port is not always a friend: any web site open in the same browser can
try. So only our own host names are answered, only our own page may POST, no path ever comes from
the client (ids are integers, files come from a fixed list), values are checked strictly, bodies are
small, and the page may load nothing from anywhere else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import socket
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import anyio.to_thread
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from timbrespace.errors import RunError, TimbrespaceError
from timbrespace.explorer.session import Clip, Session
from timbrespace.explorer.view import NotHere, Place

if TYPE_CHECKING:
    from timbrespace.runs import Run

PORT = 8765
PORTS_TRIED = 20
BODY_LIMIT = 16_384  # bytes; the longest legal question has about 100
BODY_SECONDS = 10.0  # a body that drips is cut off
HEAD_SECONDS = 20.0  # and so is a connection that never asks anything
LABELS, TEXT = 16, 120  # labels that a question may name, and characters of each
DIRECTIONS = 64  # that a question may name
QUEUE = 32  # questions to the model that may wait; the next one is told to come back
HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
ROW = re.compile(r"\d{1,9}")
FILES = {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "app.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "colours.js": "text/javascript; charset=utf-8",
    "instrument.js": "text/javascript; charset=utf-8",
    "list.js": "text/javascript; charset=utf-8",
    "map.js": "text/javascript; charset=utf-8",
    "piano.js": "text/javascript; charset=utf-8",
    "picture.js": "text/javascript; charset=utf-8",
    "sound.js": "text/javascript; charset=utf-8",
}
SAFETY = {
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

log = logging.getLogger(__name__)


class _Question(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


Asked = TypeVar("Asked", bound=_Question)


LabelText = Annotated[str, Field(max_length=TEXT)]
LabelTexts = dict[LabelText, LabelText]
Toward = dict[LabelText, Annotated[float, Field(ge=-10, le=10)]]  # steps along named directions


class PointQuestion(_Question):
    """A spot on a map, in the map's own coordinates; pitch as a MIDI number or "as the sound", labels
    that are to be others than the sound's."""

    map: str = Field(max_length=32)
    x: float = Field(ge=-1e6, le=1e6)
    y: float = Field(ge=-1e6, le=1e6)
    pitch: float | None = Field(default=None, ge=0, le=127)
    labels: LabelTexts = Field(default={}, max_length=LABELS)
    toward: Toward = Field(default={}, max_length=DIRECTIONS)


class MorphQuestion(_Question):
    """Two sounds; `steps` sounds evenly on the way, or the one `at` 0..1."""

    a: int = Field(ge=0, le=999_999_999)
    b: int = Field(ge=0, le=999_999_999)
    steps: int = Field(default=8, ge=2, le=32)
    at: float | None = Field(default=None, ge=0, le=1)
    kind: Literal["lerp", "slerp", "follow"] = "slerp"
    pitch: float | None = Field(default=None, ge=0, le=127)
    labels: LabelTexts = Field(default={}, max_length=LABELS)
    toward: Toward = Field(default={}, max_length=DIRECTIONS)


class GlideQuestion(_Question):
    """Two sounds, and one sound of so many seconds that goes from one to the other."""

    a: int = Field(ge=0, le=999_999_999)
    b: int = Field(ge=0, le=999_999_999)
    seconds: float = Field(ge=0.5, le=30)
    kind: Literal["lerp", "slerp", "follow"] = "slerp"
    pitch: float | None = Field(default=None, ge=0, le=127)
    labels: LabelTexts = Field(default={}, max_length=LABELS)
    toward: Toward = Field(default={}, max_length=DIRECTIONS)


class PlayQuestion(_Question):
    """One note of a place: its key, how hard, and how long; None: as long as its window."""

    place: Place = Field(discriminator="kind")
    pitch: int = Field(ge=0, le=127)
    velocity: int = Field(default=100, ge=1, le=127)
    seconds: float | None = Field(default=None, ge=0.1, le=30)
    labels: LabelTexts = Field(default={}, max_length=LABELS)
    toward: Toward = Field(default={}, max_length=DIRECTIONS)


class ExportQuestion(_Question):
    """A place as an instrument over a range of keys."""

    place: Place = Field(discriminator="kind")
    to: Literal["sfz", "samples"] = "sfz"
    keys: str = Field(default="C2-C6", max_length=16)
    labels: LabelTexts = Field(default={}, max_length=LABELS)
    toward: Toward = Field(default={}, max_length=DIRECTIONS)


class StopQuestion(_Question):
    """Stop the export that is being made."""


class _Refused(Exception):
    """An answer that is not 200, with its sentence and the field that it is about."""

    def __init__(self, status: int, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.field = status, sentence, field

    def response(self) -> Response:
        body = {"error": self.sentence}
        if self.field is not None:
            body["field"] = self.field
        headers = {"retry-after": "1"} if self.status == 503 else None
        return JSONResponse(body, self.status, headers)


class _Impatient(H11Protocol):
    """HTTP that closes connections on which no request arrives."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Turns:
    """One question to the model at a time (torch uses all cores by itself), a bounded queue."""

    def __init__(self) -> None:
        self.waiting = 0
        self._free = asyncio.Semaphore(1)

    async def take(self, request: Request, work: Callable[[], Any]) -> Any:
        if self.waiting >= QUEUE:
            raise _Refused(503, "The model is busy; try again in a second.")
        self.waiting += 1
        try:
            async with self._free:
                if await request.is_disconnected():
                    raise ClientDisconnect
                return await anyio.to_thread.run_sync(work)
        finally:
            self.waiting -= 1


class _Guard:
    """Around the whole application: who may ask, how much, and what every answer carries."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # we have no websockets
            await send({"type": "websocket.close", "code": 1008})
            return

        async def safe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFETY.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            _check(scope["method"], Headers(scope=scope))
        except _Refused as refused:
            await refused.response()(scope, receive, safe_send)
            return
        await self.app(scope, receive, safe_send)


def _check(method: str, headers: Headers) -> None:
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise _Refused(403, "This page answers only as 127.0.0.1 or localhost.")
    if method not in ("GET", "HEAD", "POST"):
        raise _Refused(405, "Only GET and POST are answered here.")
    if method != "POST":
        return
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{hosts[0]}".lower():
        raise _Refused(403, "Only the explorer's own page may ask this.")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise _Refused(403, "Only the explorer's own page may ask this.")
    if headers.get("content-encoding", "identity") != "identity":
        raise _Refused(415, "Compressed questions are not read; send plain JSON.")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refused(415, "Questions are JSON; send content-type: application/json.")
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"\d{1,12}", length) or int(length) > BODY_LIMIT:
        raise _Refused(413, f"A question has at most {BODY_LIMIT} bytes.")


async def _question(request: Request, model: type[Asked]) -> Asked:
    """The body of a POST as a checked question."""
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > BODY_LIMIT:
                    raise _Refused(413, f"A question has at most {BODY_LIMIT} bytes.")
    except TimeoutError:
        raise _Refused(408, "The question did not arrive in time.") from None
    try:
        data = json.loads(body, parse_constant=_no_constant)
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part)[:32] for part in first["loc"][:1]) or "body"
        raise _Refused(422, f"{field}: {first['msg']}.", field) from None
    except (ValueError, RecursionError, OverflowError):
        raise _Refused(422, "The question is not proper JSON.", "body") from None


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _row(request: Request) -> int:
    text = request.path_params["row"]
    if not ROW.fullmatch(text):
        raise _Refused(404, "Sounds are asked for by their number.", "row")
    return int(text)


def _asked_pitch(request: Request) -> float | None:
    text = request.query_params.get("pitch")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", text) or float(text) > 127:
        raise _Refused(422, "pitch: a MIDI number from 0 to 127.", "pitch")
    return float(text)


def _asked_labels(request: Request) -> dict[str, str]:
    """The labels of a query: label.family=brass."""
    asked = {
        name.removeprefix("label."): value
        for name, value in request.query_params.items()
        if name.startswith("label.")
    }
    if len(asked) > LABELS or any(len(text) > TEXT for text in (*asked, *asked.values())):
        raise _Refused(422, f"labels: at most {LABELS}, of {TEXT} characters each.", "labels")
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
        raise _Refused(422, "toward: steps from -10 to 10 along named directions.", "toward")
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


def build_app(session: Session) -> ASGIApp:
    """The web application of one session, with all its guards on."""
    static = resources.files("timbrespace.explorer") / "static"
    files = {name: (static / name).read_bytes() for name in FILES}
    index = (static / "index.html").read_bytes()
    turns = _Turns()

    async def page(request: Request) -> Response:
        return Response(index, media_type="text/html; charset=utf-8")

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise _Refused(404, "There is no such page here.")
        return Response(files[name], headers={"content-type": FILES[name]})

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
        toward = _asked_toward(request)
        clip = await turns.take(request, lambda: session.reconstruction(row, pitch, labels, toward))
        return _wav(clip) if request.url.path.endswith(".wav") else _picture(clip)

    async def similar(request: Request) -> Response:
        row, by = _row(request), request.query_params.get("by")
        way, near = await turns.take(request, lambda: session.similar(row, by))
        return JSONResponse({"by": way, "near": near})

    async def lost(request: Request) -> Response:
        row = _row(request)
        found = await turns.take(request, lambda: session.lost(row))
        stages = {
            name: {**asdict(distance), "clip": _inline(clip)}
            for name, (distance, clip) in found.stages.items()
        }
        return JSONResponse({"sentence": found.sentence, "stages": stages})

    async def point(request: Request) -> Response:
        asked = await _question(request, PointQuestion)
        spot = await turns.take(
            request,
            lambda: session.point(
                asked.map, asked.x, asked.y, asked.pitch, asked.labels, asked.toward
            ),
        )
        answer = {"far": spot.far, "ratio": round(spot.ratio, 2), "pitch": spot.pitch}
        answer["labels"] = spot.labels
        return JSONResponse({**answer, "near": spot.near, "clip": _inline(spot.clip)})

    async def morph(request: Request) -> Response:
        asked = await _question(request, MorphQuestion)
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
            ),  # fmt: skip
        )
        answer = [{"at": s.at, "pitch": s.pitch, "clip": _inline(s.clip)} for s in steps]
        return JSONResponse({"steps": answer})

    async def glide(request: Request) -> Response:
        asked = await _question(request, GlideQuestion)
        clip = await turns.take(
            request,
            lambda: session.glide(
                asked.a, asked.b, asked.seconds, kind=asked.kind, pitch=asked.pitch,
                labels=asked.labels, toward=asked.toward,
            ),
        )  # fmt: skip
        return JSONResponse({"clip": _inline(clip)})

    async def play(request: Request) -> Response:
        asked = await _question(request, PlayQuestion)
        clip = await turns.take(
            request,
            lambda: session.play(
                asked.place, asked.pitch, velocity=asked.velocity, seconds=asked.seconds,
                labels=asked.labels, toward=asked.toward,
            ),
        )  # fmt: skip
        return _wav(clip)

    async def export(request: Request) -> Response:
        if request.method != "POST":
            return JSONResponse(session.exports.progress.told())
        asked = await _question(request, ExportQuestion)
        await turns.take(
            request,
            lambda: session.export(
                asked.place, to=asked.to, keys=asked.keys, labels=asked.labels, toward=asked.toward
            ),
        )
        return JSONResponse(session.exports.progress.told())

    async def stop_export(request: Request) -> Response:
        await _question(request, StopQuestion)
        session.exports.stop()
        return JSONResponse(session.exports.progress.told())

    async def exported(request: Request) -> Response:
        found = session.exports.zip(request.path_params["number"])
        if found is None:
            raise _Refused(404, "This export is not there any more; make it again.")
        progress, pieces = found
        headers = {
            "content-length": str(progress.bytes),
            "content-disposition": f'attachment; filename="{progress.file}"',
        }
        return StreamingResponse(pieces, headers=headers, media_type="application/zip")

    routes = [
        Route("/", page),
        Route("/static/{name}", file),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
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
        Route("/api/glide", glide, methods=["POST"]),
        Route("/api/play", play, methods=["POST"]),
        Route("/api/export", export, methods=["GET", "POST"]),
        Route("/api/export/stop", stop_export, methods=["POST"]),
        Route("/api/export/{number:int}.zip", exported),
    ]
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        _Refused: _on_refused,
        TimbrespaceError: _on_our_error,
        HTTPException: _on_http,
        OSError: _on_lost_file,
        ClientDisconnect: _on_gone,
        Exception: _on_bug,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False  # a redirect would repeat the client's host and path
    return _Guard(app)


async def _on_refused(request: Request, error: _Refused) -> Response:
    return error.response()


async def _on_our_error(request: Request, error: TimbrespaceError) -> Response:
    # NotHere: no such sound; any other sentence: a run, corpus or model that cannot give this sound
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotHere) else 409)


async def _on_http(request: Request, error: HTTPException) -> Response:
    sentence = {404: "There is no such page here.", 405: "This page is asked in another way."}
    words = sentence.get(error.status_code, "This could not be answered.")
    return JSONResponse({"error": words}, error.status_code)


async def _on_lost_file(request: Request, error: OSError) -> Response:
    log.warning("explorer: %s", error)
    return JSONResponse({"error": "A file of this run is not there any more."}, 404)


async def _on_gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)


async def _on_bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The explorer made a mistake; its terminal says more."}, 500)


def bind(port: int | None) -> socket.socket:
    """A listening socket on 127.0.0.1; None: 8765 or the next free. RunError when it is taken."""
    if port is not None and not 0 <= port <= 65535:
        raise RunError(f"--port {port} is not a port; give a number from 1 to 65535.")
    tried = [port] if port is not None else list(range(PORT, PORT + PORTS_TRIED))
    for number in tried:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", number))
            listener.listen(128)
        except PermissionError:
            listener.close()
            raise RunError(
                f"Port {number} needs more rights; choose one above 1023 with --port."
            ) from None
        except OSError:
            listener.close()
            continue
        return listener
    if port is not None:
        raise RunError(f"Port {port} is in use by another program; choose another with --port.")
    raise RunError(
        f"Ports {tried[0]} to {tried[-1]} are all in use; choose a free one with --port."
    )


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
    listener = bind(port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    config = uvicorn.Config(
        build_app(session), http=_Impatient, ws="none", lifespan="off", server_header=False,
        log_level="error", access_log=False, timeout_keep_alive=20, timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def announce() -> None:
        if ready is not None:
            ready(address)
        if browser:
            webbrowser.open(address)

    def watch() -> None:
        # the socket listens already, but a page opened now would wait for the server
        while not server.started and not ended.wait(0.02):
            pass
        if not ended.is_set():
            announce()
        while stop is not None and not ended.wait(0.1):
            if stop.is_set():
                server.should_exit = True
                return

    ended = threading.Event()
    threading.Thread(target=watch, daemon=True).start()
    try:
        server.run(sockets=[listener])
    finally:
        ended.set()
        listener.close()
        session.exports.close()
