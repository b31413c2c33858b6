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

from .certificates import AlertPath, Certificates, TlsContext, alert_path
from .connection import Connection
from .http1 import Http1Connection
from .worker import Worker

__all__ = ["PROTOCOLS", "Handshake", "SecureHttp1", "distinguished_name", "extension"]

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# RFC 4514 section 3; other types keep the name that OpenSSL gives them.
_TYPES = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}

_ESCAPED = frozenset('"+,;<>\\')

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
        """The client sends no more; the event loop closes both halves of TLS."""
        super().eof_received()
        return False


PROTOCOLS: Mapping[str, Callable[[Worker, Mapping[str, Any]], Connection]] = {
    "http/1.1": SecureHttp1
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
        self._lost = False  # the connection is gone already
        self.deadline = 0.0

    # -- called by the transport ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        worker = self._worker
        loop = worker.service.loop
        self._transport = raw = cast(asyncio.Transport, transport)
        worker.connections.add(self)
        worker.clock.watched.add(self)
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
        secured.set_protocol(connection)
        connection.connection_made(cast(asyncio.Transport, _Transport(secured, raw)))
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
        self._worker.service.complain(name or None, f"TLS: {text}")


class _Transport:
    """A TLS transport that also counts what is encrypted and not yet sent.

    Without that a connection would take a response for sent that still waits
    for a slow client, and close.  The methods are those of the transport
    itself, so that they cost no further call.
    """

    def __init__(self, secured: asyncio.Transport, raw: asyncio.Transport) -> None:
        self._secured = secured
        self._raw = raw
        self.write = secured.write
        self.pause_reading = secured.pause_reading
        self.resume_reading = secured.resume_reading
        self.abort = secured.abort
        self.is_closing = secured.is_closing
        self.can_write_eof = secured.can_write_eof
        self.get_extra_info = secured.get_extra_info
        self.set_protocol = secured.set_protocol
        self.set_write_buffer_limits = secured.set_write_buffer_limits

    def close(self) -> None:
        """Close when all is sent.  The second close of an SSL transport would break it."""
        if not self._secured.is_closing():
            self._secured.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait in either transport."""
        return self._secured.get_write_buffer_size() + self._raw.get_write_buffer_size()


def extension(agreed: ssl.SSLObject) -> dict[str, Any]:
    """Return what the ASGI TLS extension (version 0.2) says about a connection.

    Before Python 3.13 ``client_cert_chain`` holds the client's own certificate only.
    """
    context = cast(TlsContext, agreed.context)
    cipher = agreed.cipher()
    subject = (agreed.getpeercert() or {}).get("subject", ())
    return {
        "server_cert": context.server_cert,
        "client_cert_chain": _client_chain(agreed),
        "client_cert_name": distinguished_name(subject) if subject else None,
        # One that is not accepted ends the handshake.
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(agreed.version() or ""),
        "cipher_suite": context.suites.get(cipher[0]) if cipher else None,
    }


def _client_chain(agreed: ssl.SSLObject) -> tuple[str, ...]:
    leaf = agreed.getpeercert(binary_form=True)
    if leaf is None:
        return ()
    chain = [leaf]
    if sys.version_info >= (3, 13):
        chain = agreed.get_verified_chain()
    return tuple(map(ssl.DER_cert_to_PEM_cert, chain))


def distinguished_name(subject: Any) -> str:
    """Return a name as text (RFC 4514), from the tuples of ``getpeercert``."""
    parts = [
        "+".join(f"{_TYPES.get(kind, kind)}={_escaped(value)}" for kind, value in each)
        for each in reversed(subject)
    ]
    return ",".join(parts)


def _escaped(value: str) -> str:
    """Escape what RFC 4514 section 2.4 says."""
    text = "".join(f"\\{each}" if each in _ESCAPED else each for each in value)
    text = text.replace("\0", "\\00")
    if text.startswith((" ", "#")):
        text = "\\" + text
    if text.endswith(" ") and len(text) > 1:
        text = text[:-1] + "\\ "
    return text


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
