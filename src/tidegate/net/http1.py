"""HTTP/1 over asyncio: one connection, one core, one exchange at a time.

More lines than most modules have: all of them change the state of one connection.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BadRequest, PeerError
from ..exchange.http import HttpExchange
from ..exchange.scope import basis_of
from ..http import NO_BODY, Field, Head, field
from ..wire.http1.core import Http1Core
from ..wire.websocket.handshake import check_origin, read_handshake, wants_websocket
from .choose import (
    SWITCHING_TO_HTTP2,
    begins_http2,
    http2_settings,
    turn_to_http2,
    upgraded,
)
from .clock import NEVER
from .connection import Connection, StreamConnection
from .refusal import refusal
from .timeouts import Rate
from .websocket import WebSocketConnection, WebSocketSession
from .worker import Worker

__all__ = ["BareHttp1", "Http1Connection"]

# Above this a copy into one buffer costs more than a second piece.
_MAX_JOINED = 64 * 1024

# Bytes of requests that wait for their turn.
_MAX_PIPELINED = 64 * 1024

# What of a request nobody wants may still come, so that the connection lives on.
_MAX_UNWANTED = 64 * 1024

_SWITCHING = (field(b"upgrade", b"websocket"),)

_ALLOW = field(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


class BareHttp1(Connection):
    """Sink of its core and ``Out`` of its exchange."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.core = Http1Core(self, worker.http1)
        self._keep_alive = worker.timeouts.keep_alive
        self._continue_wanted = False  # the client waits for 100 (Continue)
        self._reads = True  # the transport is read from
        self._app_paused = False  # the application does not take its content
        self._ahead_paused = False  # requests enough wait for their turn
        self._next_held = False  # the next request waits until the client reads
        self._answered = False  # the response is complete, its request is not
        self._began = False  # the bytes being received began a request
        self._head_started = False  # part of a head has arrived
        self._request_body: Rate | None = None  # None unless a body is arriving
        self._unwanted = 0  # content that arrived after its response
        self._first = b""  # of the connection, if that may still become HTTP/2
        self._ends_with_file = False  # the response does, with the one on its way

    # -- called by the transport ---------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the core, which calls ``on_request`` and the rest."""
        if self.closing:
            self.discard(data)
            return
        self._began = False
        try:
            self.core.receive(data)
        except PeerError as error:
            if error.status != 505 or not self._turns(self._first + data):
                self._refuse(error)
            return
        if not self._began or len(data) > _MAX_PIPELINED:
            self._on_other_bytes()

    def eof_received(self) -> bool:
        """The client sends no more.  Return True to keep the sending half open."""
        self.peer_ended = True
        if self.closing:
            return False
        try:
            self.core.receive_eof()
        except PeerError as error:
            self._refuse(error)
            return True
        if self.exchange is None:
            # Requests that came before the end are still to be answered.
            return self.core.buffered > 0
        # It may have closed only its half and wait for the answer.
        self.exchange.peer_left()
        return True

    def pause_writing(self) -> None:
        """The client takes less than we send: no further request, then."""
        super().pause_writing()
        self._update_reading()

    def resume_writing(self) -> None:
        """The client caught up."""
        super().resume_writing()
        self._update_reading()
        if self._next_held:
            self._next_held = False
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the core too."""
        super().connection_lost(exc)
        self.core.release()

    # -- called by the core --------------------------------------------------

    def on_request(self, head: Head, body: bytes, ended: bool) -> None:
        """Start an exchange; the application runs until it first has to wait."""
        service = self.service
        if not head.path or head.path == b"*":
            self._answer_as_server(head)
            return
        self._began = True
        self._head_started = self._answered = False
        if not self.congested:
            self.deadline = NEVER
        service.total_requests += 1
        if service.total_requests == self.worker.max_requests:
            service.on_change()
        if head.upgrade and self.worker.websocket.enabled and wants_websocket(head):
            self._open_socket(head)
            return
        if head.upgrade and self._upgrade(head):
            return
        if service.lanes is not None:
            service = service.lanes.choose(head.path)
        if self.basis is None:
            self.basis = basis_of(self)
        exchange = self.worker.exchange(self, service, head, body, ended)
        self.exchange = exchange
        if not ended:
            self._expect_body(head, body)
        if service.entrance is not None:
            service.entrance.enter(exchange)
            return
        if exchange.in_thread:
            exchange.begin()
            return  # the rest is what others do in begin(), without a call: the hot path
        task = service.start(exchange.run(), service.context.copy())
        exchange.task = task
        if not task.done():
            service.running.add(exchange)

    def on_body(self, data: bytes, ended: bool) -> None:
        """Hand content to the exchange, or drop it if the response is over."""
        if self._continue_wanted:
            # It did not wait for our word after all.
            self._continue_wanted = False
            self.watch()
        rate = self._request_body
        if rate is not None:
            rate.add(len(data), self.worker.clock.now)
        if ended:
            self._request_body = None
            if not self.congested:
                self.deadline = NEVER
        exchange = self.exchange
        if isinstance(exchange, HttpExchange) and not exchange.complete:
            exchange.body_arrived(data, ended)
            return
        self._unwanted += len(data)
        if ended:
            self._answered = False
            self._next()
        elif self._unwanted > _MAX_UNWANTED:
            self.leave_gently()

    def on_trailers(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Drop them: ASGI has no place for the trailers of a request."""

    # -- called by the exchange ----------------------------------------------

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        """Send a head and the first content, in one write unless the content is large."""
        core = self.core
        if self.worker.draining or self._request_body is not None or self.peer_ended:
            self._decide_to_close()
        defaults = self.service.defaults
        if len(body) <= _MAX_JOINED:
            self.transport.write(core.respond(status, fields, roles, length, defaults, body, ended))
        else:
            self.transport.write(core.respond(status, fields, roles, length, defaults))
            self.transport.write(core.send_body(body, ended))
        if ended:
            self._on_response_end()

    def send_body(self, data: bytes, ended: bool) -> None:
        """Send more content."""
        framed = self.core.send_body(data, ended)
        if framed:
            self.write(framed)
        if ended:
            self._on_response_end()

    def file(self, descriptor: int, offset: int, size: int, ended: bool) -> None:
        """Send part of a file as content."""
        self._ends_with_file = ended
        framing = self.core.begin_part(size)
        if framing:
            self.transport.write(framing)
        self.send_file(descriptor, offset, size)

    def after_file(self) -> None:
        """Go on after a file."""
        ended, exchange = self._ends_with_file, self.exchange
        framing = self.core.end_part(ended)
        if framing:
            self.write(framing)
        if ended:
            self._on_response_end()
        if isinstance(exchange, HttpExchange):
            exchange.file_sent()

    def informational(self, status: int, fields: Sequence[Field]) -> None:
        """Send a response before the final one."""
        interim = self.core.send_informational(status, fields)
        if interim:
            self.write(interim)

    def trailers(self, fields: Sequence[Field]) -> None:
        """End the response with fields after its content."""
        framed = self.core.send_trailers(fields)
        if framed:
            self.write(framed)
        self._on_response_end()

    def want_body(self) -> None:
        """Send 100 (Continue) if the client waits for it (RFC 9110 section 10.1.1)."""
        if self._continue_wanted:
            self._continue_wanted = False
            exchange = self.exchange
            if exchange is not None and not exchange.head_sent:
                self.transport.write(self.core.send_informational(100))
            self.watch()

    def pause_reading(self) -> None:
        """The application does not keep up: leave what the client sends in the network."""
        self._app_paused = True
        if not self.congested:
            self.deadline = NEVER
        self._update_reading()

    def resume_reading(self) -> None:
        """The application caught up."""
        if self._app_paused:
            self._app_paused = False
            self._update_reading()
            self.watch()

    # -- called by a WebSocket session ---------------------------------------

    def switch(self, session: WebSocketSession, fields: Sequence[Field]) -> WebSocketConnection:
        """Answer 101 and hand the transport over (RFC 9110 section 15.2.2)."""
        self.transport.write(self.core.send_informational(101, [*_SWITCHING, *fields]))
        rest = self.core.hand_over()
        self.core.release()
        self.exchange = None
        self.worker.connections.discard(self)
        self.worker.clock.watched.discard(self)
        successor = WebSocketConnection(self, session)
        self.transport.set_protocol(successor)
        self._app_paused = self._ahead_paused = False
        self._update_reading()
        if rest:
            # In the next turn: this is still the application's call.
            self.service.loop.call_soon(successor.data_received, rest, context=self.service.context)
        return successor

    # -- private -------------------------------------------------------------

    def _answer_as_server(self, head: Head) -> None:
        """Answer what is not about a resource: CONNECT and ``OPTIONS *``."""
        if head.method == "CONNECT":
            raise BadRequest("CONNECT is for proxies", 501)
        # RFC 9110 section 9.3.7: a kind of ping; it must not have content to wait for.
        self._began = True
        self._head_started = False
        if head.body_length:
            raise BadRequest("OPTIONS * has no content")
        self.respond(204, [_ALLOW], 0, NO_BODY, b"", True)

    def _open_socket(self, head: Head) -> None:
        """Start an exchange for a request that asks for a WebSocket."""
        handshake = read_handshake(head)
        check_origin(head, self.worker.websocket.allowed_origins)
        # If it is refused, a client that sent frames already must not have
        # them taken for a request.
        self.core.keep_alive = False
        exchange = WebSocketSession(self, self.worker, head, handshake).exchange
        self.exchange = exchange
        exchange.begin()

    def watch(self) -> None:
        """Set the deadline that fits the state."""
        if self.congested:
            # Whether the client takes what it is sent comes first.
            return
        if self.closing:
            self.wait_at_most(self.worker.timeouts.linger, Connection._cut)
        elif self._request_body is not None and not self._app_paused:
            if not self._continue_wanted:
                self._request_body.restart(self.worker.clock.now)
                self.wait_at_most(0, BareHttp1._check_body)
        elif self.exchange is None:
            self.wait_at_most(self.worker.timeouts.keep_alive, Connection.leave)

    def _expect_body(self, head: Head, body: bytes) -> None:
        self._unwanted = 0
        self._request_body = Rate(self.worker.timeouts, self.worker.timeouts.body_stall)
        # A client that sends at once does not wait for our word.
        self._continue_wanted = head.expects_continue and not body
        self.watch()

    def _check_body(self, now: float) -> None:
        rate = self._request_body
        if rate is None or self._app_paused:
            return
        problem = rate.too_slow(now)
        if problem is not None:
            self._refuse(BadRequest(f"the content comes too slowly: {problem}", 408))
        else:
            self.wait_at_most(0, BareHttp1._check_body)

    def _on_other_bytes(self) -> None:
        """Bytes arrived that began no request, or more than one."""
        if self.core.started:
            if self.core.buffered < 24 and self._turns(self.core.peek()):
                return
            if not self._head_started and not self.closing:
                self._head_started = True
                self.wait_at_most(self.worker.timeouts.head, BareHttp1._head_too_slow)
        elif self.core.buffered > _MAX_PIPELINED:
            # Further requests wait in the network.
            self._ahead_paused = True
            self._update_reading()

    def _turns(self, data: bytes) -> bool:
        """Go on as HTTP/2 if ``data``, the first bytes, say so."""
        if self.worker.http2 is None or self.peer_ended or self.core.head is not None:
            return False
        begins = begins_http2(data)
        self._first = data if begins is None else b""
        if begins:
            self.core.release()
            turn_to_http2(self, data)
        return bool(begins)

    def _upgrade(self, head: Head) -> bool:
        """Go on as HTTP/2 if the request asks for that and may have it."""
        settings = http2_settings(head) if self.tls is None and self.worker.http2 else None
        if settings is None:
            return False
        self.transport.write(self.core.send_informational(101, SWITCHING_TO_HTTP2))
        rest = self.core.hand_over()
        self.core.release()
        self.service.total_requests -= 1  # it will be counted again
        upgraded(self, head, settings, rest)
        return True

    def _head_too_slow(self, now: float) -> None:
        self._refuse(BadRequest("the request head took too long", 408))

    def _decide_to_close(self) -> None:
        """Before a head: can another request follow on this connection?

        Not if we are shutting down, nor if too much content may come that
        nobody wants, nor if the client holds it back until we ask.
        """
        remaining = self.core.body_remaining or 0  # None if nobody knows
        last = self.worker.draining or (self.peer_ended and not self.core.buffered)
        if last or self._continue_wanted or remaining > _MAX_UNWANTED:
            self.core.keep_alive = False

    def _on_response_end(self) -> None:
        """Go on to the next request, or close."""
        self.exchange = None
        core = self.core
        if self.worker.draining:
            core.keep_alive = False
        if self._request_body is not None:
            if core.keep_alive:
                # Perhaps little is missing: drop it and go on (see on_body).
                self._answered = True
                self.resume_reading()
            else:
                self.leave_gently()
        elif core.finish():
            # In the next turn, and in a context of its own: this is still the
            # application's call.
            self.service.loop.call_soon(self._next, context=self.service.context)
        elif core.keep_alive and not self.peer_ended:
            if self.congested:
                self._update_reading()
            else:
                self.deadline = self.worker.clock.now + self._keep_alive
                self._on_deadline = Connection.leave
        else:
            # Not leave(): the client may have sent more already.
            self.leave_gently()

    def _next(self) -> None:
        """Let the core go on to what it has buffered."""
        if self.closing:
            return
        if self.congested:
            # One that asks for much and reads nothing is served one at a time.
            self._next_held = True
            return
        try:
            self.core.next_request()
        except PeerError as error:
            self._refuse(error)
            return
        if self.exchange is not None:
            if self.peer_ended:
                self.exchange.peer_left()
        elif self.peer_ended and not self.core.buffered:
            self.leave()
        else:
            self.watch()
            self._on_other_bytes()
        if self._ahead_paused and self.core.buffered <= _MAX_PIPELINED:
            self._ahead_paused = False
            self._update_reading()

    def _update_reading(self) -> None:
        """Read unless somebody minds."""
        idle = self.exchange is None and self._request_body is None
        wanted = not (self._app_paused or self._ahead_paused or (self.congested and idle))
        if wanted == self._reads or self.transport.is_closing():
            return
        self._reads = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _refuse(self, error: PeerError) -> None:
        """Answer a request that cannot be served, and close."""
        exchange, self.exchange = self.exchange, None
        self.service.complain(self.client, error.reason, str(error.status))
        self._request_body = None
        if self._answered:
            # Another answer would be taken for the next request's.
            self.core.close()
            self.leave_gently()
            return
        if exchange is not None:
            exchange.peer_gone(error.status)
        if exchange is not None and exchange.head_sent:
            self.abort()
            return
        self.core.close()
        self.core.keep_alive = False
        self.transport.write(refusal(self.core, error, self.service.defaults))
        self.leave_gently()


class Http1Connection(BareHttp1, StreamConnection):
    """What an event loop calls."""

    __slots__ = ()
