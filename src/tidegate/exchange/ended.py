"""What is known of a request when it is over: the material of logs and metrics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from ..http import Field, Head
from .naming import Names
from .out import Address

__all__ = ["Both", "Ended", "EndedRequest", "EndedSocket", "Journal"]


class EndedRequest(Protocol):
    """An ``HttpExchange``, for whoever looks at its end."""

    head: Head
    names: Names | None
    size: int  # bytes of content that were sent
    started_at: float  # time.perf_counter() when the head had arrived
    first_at: float  # when a stream began; 0.0 if the response was sent at once

    @property
    def fields(self) -> Sequence[Field]:
        """The response fields of the application."""


class EndedSocket(Protocol):
    """A ``WebSocketExchange``, for whoever looks at its end."""

    scope: dict[str, Any]
    names: Names | None
    target: bytes
    started_at: float


class Journal(Protocol):
    """Is told of the end of each request."""

    def write(self, request: EndedRequest, client: Address | None, status: int) -> None:
        """Note one request; ``status`` is what the client was told."""

    def write_socket(self, socket: EndedSocket, what: str, code: int | None) -> None:
        """Note that a WebSocket was ``accepted``, or ``closed`` with a code."""


class Both:
    """Two journals in the place of one."""

    def __init__(self, first: Journal, second: Journal) -> None:
        self._first = first
        self._second = second

    def write(self, request: EndedRequest, client: Address | None, status: int) -> None:
        """Note one request."""
        self._first.write(request, client, status)
        self._second.write(request, client, status)

    def write_socket(self, socket: EndedSocket, what: str, code: int | None) -> None:
        """Note that a WebSocket was accepted or closed."""
        self._first.write_socket(socket, what, code)
        self._second.write_socket(socket, what, code)


class Ended:
    """One line of a log, before it is text."""

    __slots__ = (
        *("client", "code", "fields", "headers", "method", "names"),
        *("seconds", "size", "status", "target", "version"),
    )

    client: Address | None
    code: int | None  # with which a WebSocket closed; None for a request
    fields: Sequence[Field]
    headers: Sequence[tuple[bytes, bytes]]
    method: str
    names: Names | None
    seconds: float
    size: int
    status: int
    target: str
    version: str

    @classmethod
    def request(cls, request: EndedRequest, client: Address | None, status: int) -> Ended:
        """Return what is known of a request."""
        made = cls()
        head = request.head
        made.seconds = time.perf_counter() - request.started_at
        made.client = client
        made.method, made.version, made.headers = head.method, head.version, head.headers
        # Checked on arrival: visible ASCII only.
        made.target = head.target.decode("ascii")
        made.fields, made.names, made.size = request.fields, request.names, request.size
        made.status, made.code = status, None
        return made

    @classmethod
    def socket(cls, socket: EndedSocket, code: int) -> Ended:
        """Return what is known of a WebSocket that is closed."""
        made = cls()
        scope = socket.scope
        made.seconds = time.perf_counter() - socket.started_at
        made.client, made.version = scope["client"], scope["http_version"]
        made.headers, made.names = scope["headers"], socket.names
        made.method, made.target = "GET", socket.target.decode("ascii")
        made.status, made.code, made.size, made.fields = 101, code, 0, ()
        return made

    @property
    def request_id(self) -> str:
        """The id of the request, ``-`` if it has none."""
        return "-" if self.names is None else self.names.request_id or "-"

    @property
    def trace_id(self) -> str:
        """The id of the trace, ``-`` if it has none."""
        return "-" if self.names is None else self.names.trace_id

    def header(self, name: bytes) -> bytes | None:
        """Return a request field by its lower-case name; None if it is missing."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def sent(self, name: bytes) -> bytes | None:
        """Return a response field of the application by its lower-case name."""
        for one in self.fields:
            if one.name.lower() == name:
                return one.value
        return None
