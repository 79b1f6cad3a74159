"""What every page of ours on this computer is served with: who may ask, how much, and how it is refused.

Whoever can reach a local port is not always a friend: any web site open in the same browser can
try. So only our own host names are answered, only our own page may POST, no path ever comes from
the client (ids are integers, files come from a fixed list), values are checked strictly, bodies are
small, and the page may load nothing from anywhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

import anyio.to_thread
import uvicorn
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from timbrespace.errors import EffectError, RunError, TimbrespaceError
from timbrespace.explorer.view import NotHere

PORT = 8765
PORTS_TRIED = 20
BODY_LIMIT = 16_384  # bytes; the longest legal question has about 100
BODY_SECONDS = 10.0  # a body that drips is cut off
HEAD_SECONDS = 20.0  # and so is a connection that never asks anything
QUEUE = 32  # questions to the model that may wait; the next one is told to come back
HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
KINDS = {
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "js": "text/javascript; charset=utf-8",
    "html": "text/html; charset=utf-8",
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


class Question(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


Asked = TypeVar("Asked", bound=Question)


class Refused(Exception):
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


class Impatient(H11Protocol):
    """HTTP that closes connections on which no request arrives."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class Turns:
    """One question to the model at a time (torch uses all cores by itself), a bounded queue."""

    def __init__(self) -> None:
        self.waiting = 0
        self._free = asyncio.Semaphore(1)

    async def take(self, request: Request, work: Callable[[], Any]) -> Any:
        if self.waiting >= QUEUE:
            raise Refused(503, "The model is busy; try again in a second.")
        self.waiting += 1
        try:
            async with self._free:
                if await request.is_disconnected():
                    raise ClientDisconnect
                return await anyio.to_thread.run_sync(work)
        finally:
            self.waiting -= 1


class Guard:
    """Around the whole application: who may ask, how much, and what every answer carries. `uploads` are the
    paths that take a file's bytes in place of JSON, with how many."""

    def __init__(self, app: ASGIApp, uploads: Mapping[str, int]) -> None:
        self.app, self.uploads = app, uploads

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
            _check(scope["method"], Headers(scope=scope), self.uploads.get(scope["path"]))
        except Refused as refused:
            await refused.response()(scope, receive, safe_send)
            return
        await self.app(scope, receive, safe_send)


def _check(method: str, headers: Headers, upload: int | None) -> None:
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Refused(403, "This page answers only as 127.0.0.1 or localhost.")
    if method not in ("GET", "HEAD", "POST"):
        raise Refused(405, "Only GET and POST are answered here.")
    if method != "POST":
        return
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{hosts[0]}".lower():
        raise Refused(403, "Only the explorer's own page may ask this.")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "Only the explorer's own page may ask this.")
    if headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "Compressed questions are not read; send plain JSON.")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    length, most = headers.get("content-length", "0"), upload or BODY_LIMIT
    # a form of another web site can send neither of the two without asking us first
    if kind != ("application/octet-stream" if upload else "application/json"):
        raise Refused(
            415,
            "A file is sent as content-type: application/octet-stream." if upload
            else "Questions are JSON; send content-type: application/json.",
        )  # fmt: skip
    if not re.fullmatch(r"\d{1,12}", length) or int(length) > most:
        raise _too_long(most)


def _too_long(most: int) -> Refused:
    if most == BODY_LIMIT:
        return Refused(413, f"A question has at most {most} bytes.")
    return Refused(413, f"A file has at most {most / 2**20:.0f} MB here.", "file")


async def body(request: Request, most: int = BODY_LIMIT) -> bytes:
    """The body of a POST, which has at most so many bytes and arrives in time."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise _too_long(most)
    except TimeoutError:
        raise Refused(408, "The question did not arrive in time.") from None
    return b"".join(parts)


async def question(request: Request, model: type[Asked]) -> Asked:
    """The body of a POST as a checked question."""
    text = await body(request)
    try:
        data = json.loads(text, parse_constant=_no_constant)
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part)[:32] for part in first["loc"][:1]) or "body"
        raise Refused(422, f"{field}: {first['msg']}.", field) from None
    except (ValueError, RecursionError, OverflowError):
        raise Refused(422, "The question is not proper JSON.", "body") from None


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def files(names: Sequence[str]) -> list[Route]:
    """The page's own files, read once, by their names under /static."""
    folder = resources.files("timbrespace.explorer") / "static"
    known = {name: (folder / name).read_bytes() for name in names}

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in known:
            raise Refused(404, "There is no such page here.")
        return Response(known[name], headers={"content-type": KINDS[name.rpartition(".")[2]]})

    return [
        Route("/static/{name}", file),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
    ]


def page(path: str, name: str) -> Route:
    """One of our pages at a path."""
    html = (resources.files("timbrespace.explorer") / "static" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(html, media_type=KINDS["html"])

    return Route(path, answer)


def application(routes: Sequence[Route], uploads: Mapping[str, int] | None = None) -> ASGIApp:
    """The web application of these routes, with all guards on; `uploads` as for Guard."""
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        Refused: _on_refused,
        TimbrespaceError: _on_our_error,
        HTTPException: _on_http,
        OSError: _on_lost_file,
        ClientDisconnect: _on_gone,
        Exception: _on_bug,
    }
    app = Starlette(routes=list(routes), exception_handlers=handlers)
    app.router.redirect_slashes = False  # a redirect would repeat the client's host and path
    return Guard(app, uploads or {})


async def _on_refused(request: Request, error: Refused) -> Response:
    return error.response()


async def _on_our_error(request: Request, error: TimbrespaceError) -> Response:
    # no such sound; no such effect, knob or value; any other: a run, corpus or model that cannot give it
    status = 404 if isinstance(error, NotHere) else 422 if isinstance(error, EffectError) else 409
    return JSONResponse({"error": str(error)}, status)


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
        # named TCP, asyncio sends small answers at once; without it each waits 40 ms for an acknowledgement
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def serve_app(
    app: ASGIApp, *, port: int | None, browser: bool, ready: Callable[[str], None] | None,
    stop: threading.Event | None,
) -> None:  # fmt: skip
    """Serve an application on 127.0.0.1 until interrupted, or until `stop` is set.

    port: None takes 8765 or the next free one; 0 any free one. browser: open the page. ready:
    called with the page's address once it answers. RunError when the port cannot be used.
    """
    listener = bind(port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    config = uvicorn.Config(
        app, http=Impatient, ws="none", lifespan="off", server_header=False,
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
