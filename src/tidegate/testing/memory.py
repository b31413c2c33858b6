"""Where an exchange sends its response when the client is in the same process.

What a connection decides elsewhere is decided here by the test: how much the
client takes before it is read, and when it is gone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..exchange.exchange import Exchange
from ..exchange.out import Address
from ..exchange.websocket import WebSocketExchange
from ..http import CODING, CONNECTION, LENGTH, NO_BODY, REASON, Field
from ..web.headers import Headers, Pairs
from .waiting import Signal

__all__ = ["Fault", "Memory", "Place", "SocketMemory"]

_NOT_SENT = CODING | CONNECTION | REASON


@dataclass(slots=True)
class Fault:
    """The client vanishes after ``size`` bytes of content, or messages of a socket."""

    size: int
    of: Literal["request", "response"] = "response"


@dataclass(slots=True)
class Place:
    """The two ends of the connection that is not there."""

    scheme: str
    client: Address
    server: Address
    trusted: bool  # the client is a proxy whose word we take


class Memory:
    """The ``Out`` of one HTTP exchange; ``changed`` fires whenever something was sent.

    ``buffer`` is how many bytes the client takes before they are read, None
    for all.
    """

    exchange: Exchange
    basis = None
    sends_files = False  # who tests wants to see the content

    def __init__(self, place: Place, buffer: int | None, limit: int | None) -> None:
        self.scheme, self.client, self.server = place.scheme, place.client, place.server
        self.trusted = place.trusted
        self.tls = None  # there is no certificate, whatever the scheme
        self.changed = Signal()
        self.status = 0  # 0 until the head is there
        self.pairs: Pairs = []
        self.interim: list[tuple[int, Headers]] = []
        self.trailer_pairs: Pairs = []
        self.chunks: deque[bytes] = deque()  # arrived and not read
        self.ended = False
        self.aborted = False  # the server gave up in the middle
        self.cut = False  # the client vanished, as the test wanted
        self.wanted = False  # the application waits for content
        self._buffer = buffer
        self._limit = limit
        self._held = 0  # bytes in chunks
        self._received = 0

    # -- Out -------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        """Whether the client has taken all it takes unread."""
        return self.cut or (self._buffer is not None and self._held > self._buffer)

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        """Take head and first content."""
        self.status = status
        pairs = [(one.name.lower(), one.value) for one in fields if not one.role & _NOT_SENT]
        if length is not None and length != NO_BODY and not roles & LENGTH:
            pairs.append((b"content-length", b"%d" % length))
        self.pairs = pairs
        self.send_body(body, ended)

    def send_body(self, data: bytes, ended: bool) -> None:
        """Take more content."""
        if self.cut:
            return
        limit = self._limit
        if limit is not None:
            room = limit - self._received
            if len(data) > room or (len(data) == room and not ended):
                data, ended = data[:room], False
                self._vanish()
        self._received += len(data)
        if data:
            self._held += len(data)
            self.chunks.append(data)
        self.ended = ended
        self.changed.fire()

    def file(self, descriptor: int, offset: int, size: int, ended: bool) -> None:
        """Not offered."""
        os.close(descriptor)

    def informational(self, status: int, fields: Sequence[Field]) -> None:
        """Take a response before the final one."""
        self.interim.append((status, Headers([(f.name.lower(), f.value) for f in fields])))

    def trailers(self, fields: Sequence[Field]) -> None:
        """Take the fields after the content."""
        self.trailer_pairs += [(f.name.lower(), f.value) for f in fields]
        self.send_body(b"", True)

    def want_body(self) -> None:
        """The application waits for content."""
        self.wanted = True
        self.changed.fire()

    def pause_reading(self) -> None:
        """Content comes only when it is wanted."""

    def resume_reading(self) -> None:
        """Content comes only when it is wanted."""

    def abort(self) -> None:
        """The server would cut the connection."""
        self.aborted = True
        self.lose()

    # -- the client's side -----------------------------------------------------

    def take(self) -> bytes:
        """Return the next chunk."""
        data = self.chunks.popleft()
        self._held -= len(data)
        return data

    def lose(self) -> None:
        """Let the application know, in the next turn, that the connection is lost."""
        self.exchange.service.loop.call_soon(self.exchange.peer_gone)
        self.changed.fire()

    def _vanish(self) -> None:
        self.cut = True
        self.lose()


class SocketMemory(Memory):
    """The ``WebSocketOut`` of one socket; what a response would have is its refusal."""

    exchange: WebSocketExchange

    def __init__(self, place: Place, buffer: int | None, limit: int | None) -> None:
        super().__init__(place, buffer, None)
        self.accepted = False
        self.subprotocol: str | None = None
        self.messages: deque[str | bytes] = deque()  # arrived and not read
        self.closed: tuple[int, str] | None = None  # code and reason
        self.paused = False  # the application does not keep up
        self._messages_left = limit

    def accept(self, subprotocol: str | None, fields: Sequence[Field]) -> None:
        """The handshake is complete."""
        self.accepted = True
        self.subprotocol = subprotocol
        self.pairs = [(one.name.lower(), one.value) for one in fields]
        self._vanish_if_due()
        self.changed.fire()

    def send_message(self, message: str | bytes) -> None:
        """Take a message."""
        if self.cut:
            return
        self.messages.append(message)
        self._held += len(message)
        if self._messages_left is not None:
            self._messages_left -= 1
            self._vanish_if_due()
        self.changed.fire()

    def close(self, code: int, reason: str) -> None:
        """The application closed."""
        if self.closed is None:
            self.closed = (code, reason)
            # The client answers the close.
            self.exchange.service.loop.call_soon(self.exchange.peer_closed, code, reason)
        self.changed.fire()

    def pause_reading(self) -> None:
        """The application has messages enough."""
        self.paused = True

    def resume_reading(self) -> None:
        """The application caught up."""
        self.paused = False
        self.changed.fire()

    def next_message(self) -> str | bytes:
        """Return the message that arrived first of those not read."""
        message = self.messages.popleft()
        self._held -= len(message)
        return message

    def _vanish_if_due(self) -> None:
        if self._messages_left == 0:
            self.closed = (1006, "")
            self._vanish()
