"""What becomes of the requests of a connection that carries many at once?

The same in HTTP/2 and HTTP/3: each stream is the ``Out`` of an exchange.  How
streams come about, and how they are sent, is for the two to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from ..errors import BadRequest
from ..exchange.http import HttpExchange
from ..exchange.out import Address
from ..exchange.scope import basis_of
from ..exchange.service import Service
from ..http import NO_BODY, Field, Head, field
from ..wire.http2.frames import Code
from ..wire.http2.stream import ResponseHead, Stream
from ..wire.websocket.handshake import check_origin, read_handshake
from .refusal import explanation
from .stream import MultiplexedStream
from .timeouts import Rate
from .websocket import WebSocketSession
from .worker import Worker

__all__ = ["Multiplexed", "MultiplexedCore"]

_ALLOW = field(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


class MultiplexedCore(Protocol):
    """What sends for the streams; codes are those of HTTP/2."""

    @property
    def streams(self) -> Mapping[int, Stream]:
        """Those that are open."""

    def respond(self, stream: Stream, head: ResponseHead, body: bytes, ended: bool) -> None:
        """Send the final head and the first content."""

    def send_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        """Send more content."""

    def send_trailers(self, stream: Stream, fields: Sequence[Field]) -> None:
        """End the response with fields after its content."""

    def send_informational(self, stream: Stream, status: int, fields: Sequence[Field]) -> None:
        """Send an interim response."""

    def reset(self, stream: Stream, code: int) -> None:
        """Give up a stream."""

    def take(self, stream: Stream) -> None:
        """Let the peer send again on a held stream."""


class Multiplexed:
    """The half of a connection that knows of exchanges; sink of its core."""

    worker: Worker
    service: Service
    scheme: str
    tls: Mapping[str, Any] | None
    client: Address | None
    server: Address | None
    trusted: bool
    core: MultiplexedCore
    basis: dict[str, Any] | None
    sockets: set[MultiplexedStream]
    _uploads: set[MultiplexedStream]  # of which content is to come

    def flush_soon(self) -> None:
        """Send what there is at the end of this turn of the loop."""
        raise NotImplementedError

    def watch_soon(self) -> None:
        """Look at the deadlines within about a second."""
        raise NotImplementedError

    def on_idle(self) -> None:
        """The last stream is closed."""
        raise NotImplementedError

    def on_request(self, stream: Stream, head: Head, ended: bool) -> None:
        """Start an exchange; the application runs until it first has to wait."""
        one = cast(MultiplexedStream, stream)
        service = self.service
        if head.path[:1] != b"/" or head.method == "CONNECT":
            self._serve_other(one, head, ended)
            return
        self._count()
        if service.lanes is not None:
            service = service.lanes.choose(head.path)
        if self.basis is None:
            self.basis = basis_of(one)
        exchange = self.worker.exchange(one, service, head, b"", ended)
        one.exchange = exchange
        if not ended:
            self._expect_body(one, head)
        if service.entrance is not None:
            service.entrance.enter(exchange)
            return
        if exchange.in_thread:
            exchange.begin()
            return
        task = service.start(exchange.run(), service.context.copy())
        exchange.task = task
        if not task.done():
            service.running.add(exchange)

    def on_body(self, stream: Stream, data: bytes, ended: bool) -> None:
        """Hand content to the exchange."""
        one = cast(MultiplexedStream, stream)
        one.continue_wanted = False
        if one.incoming is not None:
            one.incoming.add(len(data), self.worker.clock.now)
        if ended:
            self._uploads.discard(one)
            one.incoming = None
        one.arrived(data, ended)

    def on_trailers(self, stream: Stream, fields: list[tuple[bytes, bytes]]) -> None:
        """Drop them: ASGI has no place for the trailers of a request."""

    def on_refused(self, stream: Stream, error: BadRequest) -> None:
        """Answer in the application's place."""
        one = cast(MultiplexedStream, stream)
        self.service.complain(self.client, error.reason, str(error.status))
        exchange = one.exchange
        if exchange is not None:
            exchange.peer_gone(error.status)
            if exchange.head_sent:
                self.core.reset(one, Code.CANCEL)
                return
        is_head = isinstance(exchange, HttpExchange) and exchange.head.method == "HEAD"
        fields, text = explanation(error)
        length, text = (NO_BODY, b"") if is_head else (len(text), text)
        one.respond(error.status, fields, 0, length, text, True)

    def on_reset(self, stream: Stream, code: int) -> None:
        """The client does not want it any more."""
        cast(MultiplexedStream, stream).lost()

    def on_writable(self, stream: Stream) -> None:
        """The client takes more of a response."""
        one = cast(MultiplexedStream, stream)
        if one.session is not None:
            one.session.may_write()
        elif one.exchange is not None:
            one.exchange.may_write()

    def on_closed(self, stream: Stream) -> None:
        """Let go of it."""
        one = cast(MultiplexedStream, stream)
        if one.session is not None:
            one.lost()
            self.sockets.discard(one)
        one.exchange = None
        if self._uploads:
            self._uploads.discard(one)
        if not self.core.streams:
            self.on_idle()

    def _check_upload(self, stream: MultiplexedStream, now: float) -> None:
        rate = stream.incoming
        if rate is None:
            return
        if stream.held or stream.continue_wanted:
            rate.restart(now)
        problem = rate.too_slow(now)
        if problem is not None:
            self.on_refused(stream, BadRequest(f"the content comes too slowly: {problem}", 408))

    def _check_socket(self, stream: MultiplexedStream, now: float) -> None:
        if stream.session is not None:
            stream.session.on_tick(now)
        if stream.end_by and now >= stream.end_by:
            self.core.reset(stream, Code.CANCEL)

    def _check_download(self, stream: MultiplexedStream, now: float) -> None:
        rate = stream.outgoing
        if rate is None:
            stream.outgoing = rate = Rate(self.worker.timeouts, self.worker.timeouts.write_stall)
            rate.restart(now)
            stream.seen_sent = stream.sent
        elif stream.send_window > 0 or (stream in self._uploads and not stream.held):
            # Others come before it; or the client, which may read when it has sent all.
            rate.restart(now)
        rate.add(stream.sent - stream.seen_sent, now)
        stream.seen_sent = stream.sent
        problem = rate.too_slow(now)
        if problem is not None:
            reason = f"takes the response too slowly: {problem}"
            self.service.complain(self.client, reason, "slow_reader")
            stream.lost()
            self.core.reset(stream, Code.CANCEL)

    def _drain_socket(self, stream: MultiplexedStream) -> None:
        session = stream.session
        if session is not None:
            notice = self.worker.websocket.drain_notice
            delay = notice if session.drain(notice) else self.worker.next_drain_slot()
            self.service.loop.call_later(delay, session.go_away)

    def _streams(self) -> list[MultiplexedStream]:
        return [cast(MultiplexedStream, stream) for stream in self.core.streams.values()]

    def _count(self) -> None:
        service = self.service
        service.total_requests += 1
        if service.total_requests == self.worker.max_requests:
            service.on_change()

    def _expect_body(self, stream: MultiplexedStream, head: Head) -> None:
        timeouts = self.worker.timeouts
        stream.incoming = rate = Rate(timeouts, timeouts.body_stall)
        rate.restart(self.worker.clock.now)
        stream.continue_wanted = head.expects_continue
        self._uploads.add(stream)
        self.watch_soon()

    def _serve_other(self, stream: MultiplexedStream, head: Head, ended: bool) -> None:
        """Serve what is not about a resource: CONNECT and ``OPTIONS *``."""
        try:
            if head.method != "CONNECT":
                # RFC 9110 section 9.3.7: a kind of ping.
                stream.respond(204, [_ALLOW], 0, NO_BODY, b"", True)
            elif head.upgrade == b"websocket" and self.worker.websocket.enabled and not ended:
                self._open_socket(stream, head)
            else:
                raise BadRequest("CONNECT is for proxies", 501)
        except BadRequest as error:
            self.on_refused(stream, error)

    def _open_socket(self, stream: MultiplexedStream, head: Head) -> None:
        handshake = read_handshake(head, keyed=False)
        check_origin(head, self.worker.websocket.allowed_origins)
        self._count()
        # Until it is accepted: the window is all that may come.
        stream.held = True
        exchange = WebSocketSession(stream, self.worker, head, handshake).exchange
        stream.exchange = exchange
        exchange.begin()
