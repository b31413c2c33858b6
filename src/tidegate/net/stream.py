"""One request of HTTP/2 or HTTP/3: where its exchange sends, and what it receives."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..exchange.http import HttpExchange
from ..exchange.out import Address
from ..exchange.websocket import WebSocketExchange
from ..http import Field
from ..wire.http2.frames import Code
from ..wire.http2.stream import Stream
from .timeouts import Rate
from .websocket import WebSocketSession

if TYPE_CHECKING:
    from .multiplexed import Multiplexed

__all__ = ["MultiplexedStream"]


class MultiplexedStream(Stream):
    """A stream as ``Out`` of its exchange; once a socket is accepted also what carries it."""

    __slots__ = (
        *("client", "connection", "continue_wanted", "early", "end_by", "exchange", "incoming"),
        *("outgoing", "scheme", "seen_sent", "server", "session", "tls", "trusted"),
    )  # fmt: skip

    # Files would pass through our hands all the same.
    sends_files = False

    def __init__(
        self,
        connection: Multiplexed,
        number: int,
        send_window: int,
        receive_window: int,
    ) -> None:
        super().__init__(number, send_window, receive_window)
        self.connection = connection
        self.scheme: str = connection.scheme
        self.tls: Mapping[str, Any] | None = connection.tls
        self.client: Address | None = connection.client
        self.server: Address | None = connection.server
        self.trusted: bool = connection.trusted
        self.exchange: HttpExchange | WebSocketExchange | None = None  # None when it is over
        self.session: WebSocketSession | None = None  # None unless a socket
        self.early: list[bytes] = []  # content for a socket that is not accepted yet
        self.incoming: Rate | None = None  # of content; None unless it is to come
        self.outgoing: Rate | None = None  # None unless the peer ever let us wait
        self.seen_sent = 0  # of the content, when last looked at
        self.continue_wanted = False  # the client waits for 100 (Continue)
        self.end_by = 0.0  # when the peer must have ended its half; 0 while ours is open

    # -- Out -----------------------------------------------------------------

    @property
    def basis(self) -> dict[str, Any] | None:
        """What the scopes of the connection have in common; None before the first request."""
        return self.connection.basis

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        """Send a head and the first content."""
        connection = self.connection
        head = (status, fields, roles, length, connection.service.defaults)
        connection.core.respond(self, head, body, ended)
        connection.flush_soon()

    def send_body(self, data: bytes, ended: bool) -> None:
        """Send more content."""
        connection = self.connection
        connection.core.send_body(self, data, ended)
        connection.flush_soon()

    def file(self, descriptor: int, offset: int, size: int, ended: bool) -> None:
        """Not offered."""
        os.close(descriptor)

    def informational(self, status: int, fields: Sequence[Field]) -> None:
        """Send a response before the final one."""
        self.connection.core.send_informational(self, status, fields)
        self.connection.flush_soon()

    def trailers(self, fields: Sequence[Field]) -> None:
        """End the response with fields after its content."""
        self.connection.core.send_trailers(self, fields)
        self.connection.flush_soon()

    def want_body(self) -> None:
        """Send 100 (Continue) if the client waits for it (RFC 9110 section 10.1.1)."""
        if self.continue_wanted:
            self.continue_wanted = False
            exchange = self.exchange
            if exchange is not None and not exchange.head_sent:
                self.informational(100, ())

    def pause_reading(self) -> None:
        """The application does not keep up: do not open the window again."""
        self.held = True

    def resume_reading(self) -> None:
        """The application caught up."""
        if self.held:
            connection = self.connection
            if self.incoming is not None:
                self.incoming.restart(connection.worker.clock.now)
            connection.core.take(self)
            connection.flush_soon()

    def abort(self) -> None:
        """Reset the stream."""
        connection, exchange, session = self.connection, self.exchange, self.session
        if self.closed:
            return
        # Let the application wait until it hears of it: it may send in a loop.
        self.congested = True
        connection.core.reset(self, Code.INTERNAL_ERROR)
        connection.flush_soon()
        service = connection.service
        if session is not None:
            service.loop.call_soon(session.lost, context=service.context)
        elif exchange is not None:
            service.loop.call_soon(exchange.peer_gone, context=service.context)

    # -- what carries a socket (RFC 8441) --------------------------------------

    def switch(self, session: WebSocketSession, fields: Sequence[Field]) -> MultiplexedStream:
        """Answer 200, which accepts the socket; from now on it is a stream of bytes."""
        connection = self.connection
        self.tunnel = True
        self.respond(200, fields, 0, None, b"", False)
        self.session = session
        connection.sockets.add(self)
        connection.watch_soon()
        connection.core.take(self)
        early, self.early = self.early, []
        if early:
            # In the next turn: this is still the application's call.
            service = connection.service
            service.loop.call_soon(session.receive, b"".join(early), context=service.context)
        return self

    def write(self, data: bytes) -> None:
        """Send bytes of the socket."""
        self.send_body(data, False)

    def end(self) -> None:
        """Close our half, and expect the peer to close its own."""
        if not self.end_by:
            connection = self.connection
            self.end_by = connection.worker.clock.now + connection.worker.timeouts.linger
            self.send_body(b"", True)

    # -- what the connection calls ---------------------------------------------

    def arrived(self, data: bytes, ended: bool) -> None:
        """Content has come."""
        exchange = self.exchange
        if isinstance(exchange, HttpExchange):
            exchange.body_arrived(data, ended)
        elif exchange is None:
            # It was refused: nobody wants the rest, and the answer is on its way.
            return
        elif self.session is None:
            if data:
                self.early.append(data)
            if ended:
                # Nobody is left to be accepted.
                self.lost()
                self.connection.core.reset(self, Code.CANCEL)
        else:
            if data:
                self.session.receive(data)
            if ended:
                # RFC 8441 section 5: as if TCP had been closed.
                self.end()
                self.lost()

    def lost(self) -> None:
        """The peer cannot be reached any more."""
        session, self.session = self.session, None
        exchange = self.exchange
        if session is not None:
            session.lost()
        elif exchange is not None:
            exchange.peer_gone()
