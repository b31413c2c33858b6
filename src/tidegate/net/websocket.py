"""A WebSocket on a byte stream: core, exchange, pings and the closing handshake.

``WebSocketSession`` does not care what the stream is; ``WebSocketConnection``
is one whose stream is a whole TCP connection, taken over from HTTP/1.1.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from ..errors import WebSocketError
from ..exchange.out import Out
from ..exchange.websocket import WebSocketExchange
from ..http import Field, Head, field
from ..wire.websocket.core import WebSocketCore
from ..wire.websocket.deflate import Deflate, negotiate
from ..wire.websocket.handshake import Handshake, accept_key
from .connection import Connection, StreamConnection
from .worker import Worker

__all__ = ["BareWebSocket", "Stream", "WebSocketConnection", "WebSocketSession"]

# Seconds between two calls of ``on_tick``, about.
_TICK = 1.0


class Stream(Protocol):
    """What carries a socket once it is accepted."""

    congested: bool

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def pause_reading(self) -> None:
        """Receive nothing for now."""

    def resume_reading(self) -> None:
        """Receive again."""

    def end(self) -> None:
        """Close: everything has been said."""

    def abort(self) -> None:
        """Cut the stream."""


class Carrier(Out, Protocol):
    """What carries the handshake: an HTTP stream that may become a ``Stream``."""

    def switch(self, session: WebSocketSession, fields: Sequence[Field]) -> Stream:
        """Send the answer that accepts the socket; from now on it is a stream of bytes."""


class WebSocketSession:
    """Sink of the core and ``Out`` of the exchange of one socket."""

    sends_files, basis = False, None

    __slots__ = (
        *("_app_paused", "_carrier", "_close_by", "_core", "_handshake", "_peer_paused"),
        *("_ping_at", "_ping_payload", "_ping_sent", "_stream", "_turn_due", "_unanswered"),
        *("client", "exchange", "round_trip", "scheme", "server", "tls", "trusted", "worker"),
    )

    def __init__(self, carrier: Carrier, worker: Worker, head: Head, handshake: Handshake) -> None:
        self.worker = worker
        # Idle sockets must be cheap: what served the handshake is let go of.
        self._carrier: Carrier | None = carrier
        self._handshake: Handshake | None = handshake
        self.scheme, self.client, self.server = carrier.scheme, carrier.client, carrier.server
        self.trusted, self.tls = carrier.trusted, carrier.tls
        self._stream: Stream | None = None  # None until accepted
        self._core = WebSocketCore(self, worker.websocket_limits)
        self.exchange = WebSocketExchange(self, worker.service, head, handshake.subprotocols)
        self._app_paused = False  # the application does not keep up
        self._peer_paused = False  # the peer does not take what we send
        self._turn_due = False  # more has come than one turn of the loop may take
        self._ping_at = 0.0  # when the next ping is due
        self._ping_sent = 0.0  # when the last was sent
        self._ping_payload = b""  # of the last; empty when it has been answered
        self._unanswered = 0.0  # seconds in which its pong could have been read
        self._close_by = 0.0  # when the peer must have closed; 0 while open
        self.round_trip: float | None = None  # seconds of the last ping and its pong

    # -- Out: what the exchange calls ----------------------------------------

    @property
    def congested(self) -> bool:
        """Whether the peer takes less than we send."""
        below = self._stream or self._carrier
        return below is not None and below.congested

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        """Refuse the handshake."""
        if self._carrier is not None:
            self._carrier.respond(status, fields, roles, length, body, ended)

    def send_body(self, data: bytes, ended: bool) -> None:
        """Send more of the refusal."""
        if self._carrier is not None:
            self._carrier.send_body(data, ended)

    def file(self, descriptor: int, offset: int, size: int, ended: bool) -> None:
        """A refusal has no files; ``sends_files`` says so."""
        os.close(descriptor)

    def informational(self, status: int, fields: Sequence[Field]) -> None:
        """Nothing comes before a refusal."""

    def trailers(self, fields: Sequence[Field]) -> None:
        """Nothing comes after a refusal."""
        self.send_body(b"", True)

    def want_body(self) -> None:
        """A handshake has no content."""

    def accept(self, subprotocol: str | None, fields: Sequence[Field]) -> None:
        """Complete the handshake and begin to carry messages."""
        carrier, handshake = self._carrier, self._handshake
        if carrier is None or handshake is None:
            return
        answer = []
        if handshake.key:
            answer.append(field(b"sec-websocket-accept", accept_key(handshake.key)))
        if subprotocol is not None:
            answer.append(field(b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        parameters = None
        if self.worker.websocket.deflate and handshake.extensions:
            parameters = negotiate(handshake.extensions)
        if parameters is not None:
            value = parameters.response.encode()
            answer.append(field(b"sec-websocket-extensions", value))
            self._core = WebSocketCore(self, self.worker.websocket_limits, Deflate(parameters))
        interval = self._interval
        if interval is not None:
            self._ping_at = self.worker.clock.now + interval
        self._stream = carrier.switch(self, [*answer, *fields])
        self._carrier = self._handshake = None

    def send_message(self, message: str | bytes) -> None:
        """Send one message."""
        core = self._core
        self._write(core.text(message) if isinstance(message, str) else core.binary(message))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, then wait for the peer's, but not for ever."""
        self._write(self._core.close(code, reason))
        self._close_by = self.worker.clock.now + self.worker.websocket.close_timeout
        # The peer's close frame may stand behind messages that nobody wants now.
        self.resume_reading()

    def pause_reading(self) -> None:
        """The application does not keep up."""
        self._app_paused = True
        # What one read brought may unpack to a thousand times as much.
        self._core.held = True
        if self._stream is not None:
            self._stream.pause_reading()

    def resume_reading(self) -> None:
        """The application caught up."""
        self._app_paused = False
        self._core.held = False
        self._resume()

    def abort(self) -> None:
        """Cut the connection."""
        below = self._stream or self._carrier
        if below is not None:
            below.abort()

    # -- what the stream calls -----------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer."""
        try:
            self._core.receive(data)
        except WebSocketError as error:
            self.worker.service.complain(self.client, error.reason, "websocket")
            self._fail(error.status, error.reason)
            return
        stream = self._stream
        if stream is not None and stream.congested and not self._peer_paused:
            # A peer that does not read our pongs may send no more pings.
            self._peer_paused = True
            stream.pause_reading()
        if self._core.waiting:
            self._resume()

    def may_write(self) -> None:
        """The peer takes data again."""
        self._peer_paused = False
        self._resume()
        self.exchange.may_write()

    def lost(self) -> None:
        """The stream is gone; nothing may refer to it or to us any more."""
        self.exchange.peer_gone()
        self.exchange.detach()
        self._core.release()
        self._stream = self._carrier = None

    def on_tick(self, now: float) -> None:
        """About a second has passed."""
        self._core.tick()
        settings = self.worker.websocket
        if self._close_by:
            if now >= self._close_by:
                self.abort()
        elif self._ping_payload and settings.ping_timeout is not None:
            # By our own count of ticks: there are none while the peer does not take
            # what we send, and a pong that we do not read is not missing.
            self._unanswered += 0.0 if self._app_paused else _TICK
            if self._unanswered >= settings.ping_timeout:
                self._fail(1011, "no pong")
        elif self._ping_at and now >= self._ping_at:
            self._ping_sent = self.worker.service.loop.time()
            self._ping_at = now + (self._interval or 0.0)
            self._ping_payload = b"%x" % int(now * 1000)
            self._unanswered = 0.0
            self._write(self._core.ping(self._ping_payload))

    def drain(self, seconds: float) -> bool:
        """Pass on that the server shuts down; True if the application wants the time."""
        return self.exchange.drain(seconds)

    def go_away(self) -> None:
        """Close because the server restarts (1012): clients may come back at once."""
        if not self._close_by and not self.exchange.gone:
            self._finish(1012, "server restart")

    # -- sink: what the core calls -------------------------------------------

    def on_message(self, message: str | bytes) -> None:
        """Hand a message to the exchange; after our close frame nobody wants it."""
        if not self._close_by:
            self.exchange.message_arrived(message)

    def on_ping(self, payload: bytes) -> None:
        """Answer."""
        if not self._close_by:
            self._write(self._core.pong(payload))

    def on_pong(self, payload: bytes) -> None:
        """Note the round trip, if it is the pong to our last ping."""
        if self._ping_payload and payload == self._ping_payload:
            self.round_trip = self.worker.service.loop.time() - self._ping_sent
            self._ping_payload = b""

    def on_close(self, code: int, reason: str) -> None:
        """Answer with the same code (RFC 6455 section 5.5.1), tell the application, end."""
        self._write(self._core.close(code))
        self.exchange.peer_closed(code, reason)
        if self._stream is not None:
            self._stream.end()

    # -- private -------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if data and self._stream is not None:
            self._stream.write(data)

    @property
    def _interval(self) -> float | None:
        return self.exchange.ping_interval or self.worker.websocket.ping_interval

    def _resume(self) -> None:
        """Read on if nobody minds: first what has come already, after the others."""
        stream = self._stream
        if stream is None or self._app_paused or self._peer_paused or self._turn_due:
            return
        if self._core.waiting:
            self._turn_due = True
            stream.pause_reading()
            service = self.worker.service
            service.loop.call_soon(self._take_turn, context=service.context)
        else:
            stream.resume_reading()

    def _take_turn(self) -> None:
        self._turn_due = False
        self.receive(b"")
        self._resume()

    def _finish(self, code: int, reason: str) -> None:
        """Close from our side, and tell the application at once."""
        self.close(code, reason)
        self.exchange.peer_closed(code, reason)

    def _fail(self, code: int, reason: str) -> None:
        """The peer broke the rules: say why and end, without waiting for its close."""
        self._finish(code, reason)
        if self._stream is not None:
            self._stream.end()


class BareWebSocket(Connection):
    """A TCP connection that a socket has taken over."""

    def __init__(self, before: Connection, session: WebSocketSession) -> None:
        super().__init__(before.worker)
        self.transport = before.transport
        self.scheme, self.client, self.server = before.scheme, before.client, before.server
        self.trusted, self.congested, self.tls = before.trusted, before.congested, before.tls
        self.session: WebSocketSession | None = session
        self._reading_paused = False
        # A message that is too big is refused at its header; the client reads
        # that only when it has sent the rest.
        self.max_discarded += self.worker.websocket_limits.max_message_size
        self.worker.connections.add(self)
        self.worker.clock.watched.add(self)
        self.watch()
        if self.worker.draining:
            # The others were told before this one was accepted.
            self.drain()

    # -- called by the transport ---------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the session."""
        if self.closing or self.session is None:
            self.discard(data)
        else:
            self.session.receive(data)

    def eof_received(self) -> bool:
        """A socket cannot be half closed (RFC 6455 section 7.1.1)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the session."""
        session, self.session = self.session, None
        super().connection_lost(exc)
        if session is not None:
            session.lost()

    def resume_writing(self) -> None:
        """The peer caught up."""
        super().resume_writing()
        if self.session is not None:
            self.session.may_write()

    # -- Stream ----------------------------------------------------------------

    def pause_reading(self) -> None:
        """Leave what the peer sends in the network."""
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def end(self) -> None:
        """Close when the peer has had time to read our close frame."""
        self.leave_gently()

    # -- deadlines and shutdown ------------------------------------------------

    def watch(self) -> None:
        """Tick about once a second."""
        if self.closing:
            self.wait_at_most(self.worker.timeouts.linger, Connection._cut)
        else:
            self.wait_at_most(0, BareWebSocket._tick)

    def _tick(self, now: float) -> None:
        if self.session is not None:
            self.session.on_tick(now)
        if not self.closing:
            self.watch()

    def drain(self) -> None:
        """Give the application a moment to say good-bye, then close with 1012."""
        session = self.session
        if session is None or self.closing:
            return
        notice = self.worker.websocket.drain_notice
        delay = notice if session.drain(notice) else self.worker.next_drain_slot()
        self.worker.service.loop.call_later(delay, session.go_away)


class WebSocketConnection(BareWebSocket, StreamConnection):
    """What an event loop calls."""

    __slots__ = ()
