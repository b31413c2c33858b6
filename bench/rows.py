"""Which pieces of work are measured?  Each row of the tables is one entry here.

A row says what is asked, over which protocol, of which application, and how it
is measured.  A new protocol is a new entry, a generator in ``load.py`` and, for
each server that speaks it, a word in ``servers.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

__all__ = ["DEFAULT_ROWS", "ROWS", "Figure", "Request", "Row"]


@dataclass(frozen=True)
class Figure:
    """One column: a number that each measurement of a row yields."""

    key: str
    title: str
    unit: str
    digits: int = 1
    ranked: bool = False
    """Whether ratios make sense and less is better.  Ranked figures are plotted."""


@dataclass(frozen=True)
class Request:
    """What is asked, and the only answer that counts as right."""

    path: str
    answer: bytes
    method: str = "GET"
    body: bytes = b""
    is_json: bool = False
    """Whether content and answer are JSON, so that spaces in the answer do not matter."""

    @property
    def content_type(self) -> str:
        """The type of the content."""
        return "application/json" if self.is_json else "application/octet-stream"

    def accepts(self, body: bytes) -> bool:
        """Say whether this is the right answer."""
        if not self.is_json:
            return body == self.answer
        try:
            return bool(json.loads(body) == json.loads(self.answer))
        except ValueError:
            return False


@dataclass(frozen=True)
class Row:
    """One piece of work."""

    name: str
    title: str
    measure: str
    """The function of ``measure.py`` that measures it."""
    request: Request
    figures: tuple[Figure, ...]
    connections: int = 64
    protocol: str = "http1"
    interface: str = "asgi"
    app: str = "raw:app"
    streams: int = 1
    """Requests at once on each connection, where the protocol has streams."""
    may_shrink: bool = False
    """Whether fewer connections still make a figure, where open files are short."""
    max_rounds: int | None = None
    """Rounds beyond this one add time and no knowledge; None for no such limit."""


HELLO = Request("/hello", b"Hello, world!")
TEN_KIB = Request("/ten_kib", b"0123456789abcdef" * 640)
ECHO_BODY = bytes(32 + i % 95 for i in range(1024))
ECHO = Request("/echo", ECHO_BODY, method="POST", body=ECHO_BODY)

ITEM = b'{"name":"tea","price":3.5,"tags":["hot","green"]}'

# The same four handlers in each framework, on the server that its users run it on.
WEB_ROWS = {
    "web-plain": ("plain text", Request("/plain", b"Hello, world!")),
    "web-typed": ("typed GET", Request("/items/3?page=2", b'{"id":3,"page":2}', is_json=True)),
    "web-model": ("POST of a model", Request("/items", ITEM, "POST", ITEM, is_json=True)),
    "web-def": ("plain def", Request("/sync?id=3", b'{"id":3}', is_json=True)),
}

LOAD_FIGURES = (
    Figure("cpu", "CPU per request", "us", ranked=True),
    Figure("rate", "requests/s", "", digits=0),
    Figure("core", "core used", "%", digits=0),
    Figure("p99", "99th percentile", "ms", digits=2),
)

MESSAGE_FIGURES = (
    Figure("cpu", "CPU per message", "us", ranked=True),
    Figure("rate", "messages/s", "", digits=0),
    *LOAD_FIGURES[2:],
)

BROADCAST_FIGURES = (
    Figure("cpu", "CPU per delivered message", "us", ranked=True),
    Figure("socket", "each idle socket", "KB", digits=2, ranked=True),
    Figure("rate", "messages/s", "", digits=0),
    Figure("core", "core used", "%", digits=0),
    Figure("sockets", "sockets", "", digits=0),
    Figure("lost", "lost messages", "", digits=0),
)

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row("hello", "GET, 13 bytes, 64 connections", "load", HELLO, LOAD_FIGURES),
        Row("tenkib", "GET, 10 KiB, 64 connections", "load", TEN_KIB, LOAD_FIGURES),
        Row("echo", "POST, 1 KiB echoed, 64 connections", "load", ECHO, LOAD_FIGURES),
        Row(
            "websocket",
            "WebSocket, 64 bytes echoed, 32 connections",
            "load",
            HELLO,
            MESSAGE_FIGURES,
            connections=32,
            protocol="websocket",
        ),
        Row(
            "http2",
            "GET over HTTP/2, 13 bytes, 8 connections of 32 streams",
            "load",
            HELLO,
            LOAD_FIGURES,
            connections=8,
            protocol="http2",
            streams=32,
        ),
        Row(
            "http3",
            "GET over HTTP/3, 13 bytes, 4 connections of 16 streams",
            "load",
            HELLO,
            LOAD_FIGURES,
            connections=4,
            protocol="http3",
            streams=16,
        ),
        Row(
            "wsgi",
            "WSGI GET, 13 bytes, 64 connections, 8 threads",
            "load",
            HELLO,
            LOAD_FIGURES,
            interface="wsgi",
            app="raw_wsgi:app",
        ),
        *(
            Row(
                name,
                f"Framework, {title}, 64 connections",
                "load",
                request,
                LOAD_FIGURES,
                interface="web",
            )
            for name, (title, request) in WEB_ROWS.items()
        ),
        Row(
            "startup",
            "Start to first response",
            "startup",
            HELLO,
            (Figure("startup", "start to first response", "ms", digits=0, ranked=True),),
            connections=1,
        ),
        Row(
            "idle",
            "Memory while idle",
            "idle",
            HELLO,
            (
                Figure("memory", "idle server", "MB", ranked=True),
                Figure("connection", "each idle connection", "KB", digits=2, ranked=True),
            ),
            # Some servers take no more than 1,024 connections unless told to.
            connections=1000,
        ),
        Row(
            "broadcast",
            "100 messages to each of 10,000 idle WebSockets",
            "broadcast",
            HELLO,
            BROADCAST_FIGURES,
            connections=10_000,
            protocol="websocket",
            app="raw_broadcast:app",
            may_shrink=True,
            max_rounds=1,
        ),
        Row(
            "soak",
            "Memory growth over one million requests",
            "soak",
            HELLO,
            (
                Figure("growth", "growth", "KB", digits=0),
                Figure("memory", "memory at the end", "MB"),
                Figure("requests", "requests", "", digits=0),
            ),
            max_rounds=1,
        ),
    )
}

# The soak row takes minutes per server, so it runs only when named.
DEFAULT_ROWS = tuple(name for name in ROWS if name != "soak")
