"""WSGI applications behind a real server in a thread, and blocking clients of it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

from tidegate.asgi import Application, Receive, Scope, Send
from tidegate.bridge.wsgi import Wsgi, WsgiSettings
from tidegate.bridge.wsgi.call import Application as WsgiApplication
from tidegate.server.config import Config
from tidegate.server.server import Server

# For what must happen; only a hang takes so long.
SECONDS = 20.0

# Leaves handlers and levels as the test has them.
UNTOUCHED = {"version": 1, "incremental": True}


def native(application: WsgiApplication, settings: WsgiSettings) -> Application:
    """The server knows what this is, and takes the short way."""
    return Wsgi(application, settings)


def component(application: WsgiApplication, settings: WsgiSettings) -> Application:
    """The server sees an ASGI application like any other."""
    wsgi = Wsgi(application, settings)

    async def hidden(scope: Scope, receive: Receive, send: Send) -> None:
        await wsgi(scope, receive, send)

    return hidden


CARRIERS = {"native": native, "component": component}


class Host:
    """A server in a thread."""

    def __init__(
        self,
        application: Application,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
        **config: Any,
    ) -> None:
        self.port = 0
        self._ready = threading.Event()
        self._server: Server | None = None
        self._failure: BaseException | None = None
        arguments = (application, new_loop, config)
        self._thread = threading.Thread(target=self._main, args=arguments)
        self._thread.start()
        self._ready.wait(SECONDS)
        if self._failure is not None:
            raise self._failure

    def _main(
        self,
        application: Application,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
        config: dict[str, Any],
    ) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve(application, config))
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self, application: Application, config: dict[str, Any]) -> None:
        settings = {"port": 0, "log_config": UNTOUCHED, "access_log": False, **config}
        server = Server(Config(application, **settings))
        serving = asyncio.ensure_future(server.serve())
        started = asyncio.ensure_future(server.started.wait())
        await asyncio.wait([serving, started], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            self.port = int(server.addresses[0].rpartition(":")[2])
            self._server = server
            self._ready.set()
        started.cancel()
        await serving

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(SECONDS)
        if self._failure is not None:
            raise self._failure

    # -- clients ---------------------------------------------------------------

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def ask(self, *lines: str | bytes, body: bytes = b"", path: str = "/") -> Answer:
        """Send a request on a connection of its own, and read until the server closes.

        The first line may be a method; the others are headers.
        """
        method = "GET"
        if lines and b":" not in _bytes(lines[0]):
            method = str(lines[0])
            lines = lines[1:]
        with self.connect() as client:
            client.sendall(request(method, path, *lines, "Connection: close", body=body))
            return Answer(read_all(client), method)


class Answer:
    """Everything that came back on one connection."""

    def __init__(self, raw: bytes, method: str = "GET") -> None:
        self.raw = raw
        self.head, _, self.content = raw.partition(b"\r\n\r\n")
        status_line, *lines = self.head.split(b"\r\n")
        self.status = int(status_line.split()[1]) if raw else 0
        self.reason = status_line.partition(b" ")[2].partition(b" ")[2]
        self.headers = [(name.lower(), value.strip()) for name, _, value in map(_split, lines)]
        self.body = b""
        self.whole = False  # the end of the content is where it should be
        if raw:
            self._read(method)

    def _read(self, method: str) -> None:
        if self.header(b"transfer-encoding") == b"chunked":
            self.body, self.whole = _unchunk(self.content)
        else:
            self.body = self.content
            length = self.header(b"content-length")
            self.whole = method == "HEAD" or length is None or len(self.body) == int(length)

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


def request(method: str, path: str, *lines: str | bytes, body: bytes = b"") -> bytes:
    head = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: test"]
    return b"\r\n".join([*head, *map(_bytes, lines), b"", body])


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes or resets."""
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def read_until(client: socket.socket, wanted: bytes) -> bytes:
    """Read until something has come."""
    received = b""
    while wanted not in received:
        piece = client.recv(65536)
        if not piece:
            raise AssertionError(f"{wanted!r} is not in {received!r}")
        received += piece
    return received


def read_one(client: socket.socket, method: str = "GET") -> HTTPResponse:
    """Read one response, leaving the connection open."""
    response = HTTPResponse(client, method=method)
    response.begin()
    response.body = response.read()  # type: ignore[attr-defined]
    return response


def reset(client: socket.socket) -> None:
    """Leave at once."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@contextmanager
def hosted(
    application: WsgiApplication,
    carrier: str,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    *,
    config: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Host]:
    """Serve a WSGI application; ``settings`` are those of ``WsgiSettings``."""
    asgi = CARRIERS[carrier](application, WsgiSettings(**settings))
    host = Host(asgi, new_loop, **(config or {}))
    try:
        yield host
    finally:
        host.stop()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b":")


def _unchunk(data: bytes) -> tuple[bytes, bool]:
    pieces = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        length = int(data[at:end], 16)
        at = end + 2 + length + 2
        if not length or at > len(data):
            return b"".join(pieces), not length and at == len(data)
        pieces.append(data[end + 2 : end + 2 + length])
    return b"".join(pieces), False
