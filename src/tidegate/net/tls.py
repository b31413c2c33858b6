"""From a TCP connection to a TLS connection: the handshake, and what it found.

The event loop encrypts; here is who may take how long for the handshake, which
protocol begins after it, and what the application is told (ASGI TLS extension).
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..exchange.certificate import subject
from ..exchange.forwarded import client_certificate
from ..wire.proxy import ProxyHeader
from .certificates import VERSIONS, AlertPath, Certificates, TlsContext, alert_path
from .connection import StreamConnection
from .http1 import Http1Connection
from .http2 import SecureHttp2
from .secured import SecureTransport
from .worker import Worker

__all__ = ["PROTOCOLS", "Handshake", "SecureHttp1", "extension"]

# The loop's own limits, for the handshake and for closing, know nothing of a
# slow client that takes a response: ours do, and come first.
_LOOP_SECONDS = 86400.0


class SecureHttp1(Http1Connection):
    """HTTP/1 over TLS."""

    def __init__(self, worker: Worker, tls: Mapping[str, Any]) -> None:
        super().__init__(worker)
        self.scheme = "https"
        self.tls = tls

    def eof_received(self) -> bool:
        """The client sends no more; the event loop closes both halves of TLS.

        RFC 5246 section 7.2.1 demands that of TLS 1.2, and clients that leave
        are more common than those that only close their half.
        """
        super().eof_received()
        return False


PROTOCOLS: Mapping[str, Callable[[Worker, Mapping[str, Any]], StreamConnection]] = {
    "h2": SecureHttp2,
    "http/1.1": SecureHttp1,
}
"""What begins after the handshake, by the name that ALPN chose (RFC 7301), best first.

A client without ALPN, or with none of these, gets HTTP/1.1.
"""


class Handshake(asyncio.Protocol):
    """A connection until TLS is agreed; then it hands over to that of the protocol."""

    def __init__(self, worker: Worker, certificates: Certificates) -> None:
        self._worker = worker
        self._certificates = certificates
        self._transport: asyncio.Transport | None = None  # TCP; None until connected
        self._work: asyncio.Task[asyncio.Transport | None] | None = None
        self._alerts = AlertPath(None)
        self._early = b""  # what came before the next protocol was in place
        self._ended = False  # nothing more will come after that
        self.client: tuple[str, int] | None = None  # of the transport's peer
        self._said: ProxyHeader | None = None  # None unless a proxy passes it on
        self._lost = False  # the connection is gone already
        self.deadline = 0.0

    # -- called by the transport ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        worker = self._worker
        loop = worker.service.loop
        self._transport = raw = cast(asyncio.Transport, transport)
        name = raw.get_extra_info("peername")
        self.client = name[:2] if isinstance(name, tuple) else None
        worker.connections.add(self)
        worker.clock.watched.add(self)
        if not worker.has_room_for(self):
            self.abort()
            return
        self.deadline = worker.clock.now + worker.timeouts.tls_handshake
        # Here, because this context is the connection's own on every event loop.
        alert_path.set(self._alerts)
        self._alerts.write = raw.write
        # Not create_task(): an eager one would begin before the transport reads.
        self._work = work = asyncio.Task(self._agree(raw), loop=loop, name="TLS handshake")
        loop.call_soon(self._begun)
        work.add_done_callback(self._done, context=worker.service.context)

    def data_received(self, data: bytes) -> None:
        """Keep what comes before TLS has begun, or right after its handshake."""
        self._early += data

    def introduce(self, header: ProxyHeader) -> None:
        """Keep what a PROXY header said before the handshake."""
        self._said = header

    def eof_received(self) -> bool:
        """The client sends no more."""
        self._ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone before anything began."""
        self._lost = True
        if self._work is not None:
            self._work.cancel()

    # -- called by the clock and by shutdown ---------------------------------

    def on_deadline(self, now: float) -> None:
        """The client takes too long."""
        self._complain("the handshake took too long")
        self.abort()

    def drain(self) -> None:
        """Let it finish, if that is soon: its request may be on the way."""
        soon = self._worker.clock.now + self._worker.timeouts.linger
        self.deadline = min(self.deadline, soon)

    def abort(self) -> None:
        """Cut the connection."""
        self._let_go()
        if self._work is not None:
            self._work.cancel()
        if self._transport is not None:
            self._transport.abort()

    # -- private -------------------------------------------------------------

    async def _agree(self, raw: asyncio.Transport) -> asyncio.Transport | None:
        return await self._worker.service.loop.start_tls(
            raw,
            self,
            self._certificates.context,
            server_side=True,
            ssl_handshake_timeout=_LOOP_SECONDS,
            ssl_shutdown_timeout=_LOOP_SECONDS,
        )

    def _begun(self) -> None:
        """TLS has taken over the transport; what had come by then is still with us."""
        if self._early and not self._lost:
            # After the turn in which it gets its transport.
            self._worker.service.loop.call_soon(self._pass_on)

    def _pass_on(self) -> None:
        data, self._early = self._early, b""
        if self._transport is None or self._transport.is_closing():
            return
        below = cast(asyncio.BufferedProtocol, self._transport.get_protocol())
        while data:
            room = memoryview(below.get_buffer(len(data)))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            below.buffer_updated(size)
            data = data[size:]

    def _done(self, work: asyncio.Task[asyncio.Transport | None]) -> None:
        """Go on with the protocol, or say why not."""
        self._let_go()
        error = None if work.cancelled() else work.exception()
        if work.cancelled() or error is not None:
            # Who only looks whether the port is open breaks no protocol.
            if error is not None and (isinstance(error, ssl.SSLError) or _is_ours(error)):
                self._complain(_reason(error))
            return
        secured = work.result()
        if secured is None or self._transport is None:
            return  # it was aborted meanwhile
        if self._lost:
            secured.close()  # so that nothing warns of an open one
            return
        self._hand_over(secured, self._transport)

    def _hand_over(self, secured: asyncio.Transport, raw: asyncio.Transport) -> None:
        agreed: ssl.SSLObject = secured.get_extra_info("ssl_object")
        make = PROTOCOLS.get(agreed.selected_alpn_protocol() or "", SecureHttp1)
        connection = make(self._worker, extension(agreed))
        transport = SecureTransport(secured, raw, self._worker.service)
        transport.set_protocol(connection)
        secured.set_protocol(cast(asyncio.BaseProtocol, transport))
        connection.connection_made(cast(asyncio.BaseTransport, transport))
        if self._said is not None:
            connection.introduce(self._said)
        if self._early:
            connection.data_received(self._early)
        if self._ended:
            connection.eof_received()

    def _let_go(self) -> None:
        # It would keep the transport alive by way of the transport's context.
        self._alerts.write = None
        worker = self._worker
        worker.connections.discard(self)
        worker.clock.watched.discard(self)
        worker.service.on_change()

    def _complain(self, text: str) -> None:
        name = self._transport.get_extra_info("peername") if self._transport else None
        if self._said is not None:
            name = self._said.client
        self._worker.service.complain(name or None, f"TLS: {text}", "tls")


def extension(agreed: ssl.SSLObject) -> dict[str, Any]:
    """Return what the ASGI TLS extension (version 0.2) says about a connection.

    Before Python 3.13 ``client_cert_chain`` holds the client's own certificate only.
    """
    context = cast(TlsContext, agreed.context)
    cipher = agreed.cipher()
    chain = _client_chain(agreed)
    return {
        "server_cert": context.server_cert,
        # One that is not accepted ends the handshake.
        **client_certificate(chain, subject(chain[0]) if chain else ""),
        "tls_version": VERSIONS.get(agreed.version() or ""),
        "cipher_suite": context.suites.get(cipher[0]) if cipher else None,
    }


def _client_chain(agreed: ssl.SSLObject) -> list[bytes]:
    leaf = agreed.getpeercert(binary_form=True)
    if leaf is None:
        return []
    if sys.version_info >= (3, 13):
        return agreed.get_verified_chain()
    return [leaf]


def _is_ours(error: BaseException) -> bool:
    """Say whether it is no network error, and so would be worth knowing."""
    return not isinstance(error, OSError)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate: {error.verify_message}"
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    if reason == "HTTP_REQUEST":
        return "plain HTTP on a port that speaks TLS"
    return f"handshake failed: {str(reason).replace('_', ' ').lower()}"
