"""Which connection is a datagram of?  The UDP socket of HTTP/3, and who may begin there.

A datagram that is nobody's costs a look into a dictionary, and nothing is kept of
it.  When many handshakes are in progress, a client must first show that it
receives what is sent to its address (Retry, RFC 9000 section 8.1.2), of which
nothing is kept either.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import Any

from ..errors import ConfigError
from ..wire.http2.limits import Http2Limits
from .certificates import Certificates, TlsContext, key_password
from .http3 import Http3Connection
from .quic import (
    CONNECTION_ID_SIZE,
    PREFIX_SIZE,
    SMALLEST_MAX_DATAGRAM_SIZE,
    Identity,
    Quic,
    QuicHeader,
    QuicPacketType,
    QuicRetryTokenHandler,
    configuration,
    encode_quic_retry,
    encode_quic_version_negotiation,
    new_connection_id,
    read_header,
)
from .relay import Relay
from .worker import Worker

__all__ = ["DatagramEndpoint", "Identities"]

logger = logging.getLogger("tidegate.error")

# From here on clients must answer a Retry first; and here nobody may begin.
_RETRY_ABOVE = 64
_MOST_BEGINNING = 1024

# Read in one turn of the loop: what they lead to is sent together.
_DATAGRAMS = 64
_MAX_SIZE = 65536

_RECEIVE_BUFFER = 2 * 1024 * 1024


class Identities:
    """The certificates of ``Certificates``, for QUIC; renewed when those are."""

    def __init__(self, certificates: Certificates) -> None:
        """Raise ``ConfigError`` if a file is no good."""
        self._certificates = certificates
        self._seen: TlsContext | None = None  # the first of those we have
        self._known: dict[TlsContext, Identity] = {}
        problem = self._renew()
        if problem is not None:
            raise ConfigError(f"http3: {problem}")

    def find(self, name: str) -> tuple[TlsContext, Identity]:
        """Return what is shown to who asks for that name."""
        if self._certificates.context is not self._seen:
            problem = self._renew()
            if problem is not None:
                logger.error("HTTP/3 goes on with the old certificates: %s", problem)
        context = self._certificates.find(name)
        if context not in self._known:
            context = next(iter(self._known))
        return context, self._known[context]

    def _renew(self) -> str | None:
        """Read all; return what is wrong, and nothing has changed."""
        certificates = self._certificates
        self._seen = certificates.context
        known: dict[TlsContext, Identity] = {}
        for context in certificates.all():
            pair = context.pair
            try:
                password = key_password(certificates.settings)
                known[context] = Identity.read(pair.certfile, pair.keyfile, password)
            except (OSError, ValueError, TypeError) as error:
                return f"{pair.certfile}: {error}"
        self._known = known
        return None


class DatagramEndpoint:
    """One UDP socket and its connections; ``start`` it in a running loop."""

    def __init__(
        self,
        worker: Worker,
        listener: socket.socket,
        identities: Identities,
        relay: Relay | None = None,
        place: int = 0,
    ) -> None:
        """``listener`` is bound.

        ``relay`` leads to the other processes that have theirs there, if there
        are any, and ``place`` is the number by which they know where that is.
        """
        self._worker = worker
        self._socket = listener
        self._identities = identities
        self._relay = relay
        self._place = place
        self._prefix = os.urandom(PREFIX_SIZE) if relay is None else relay.number
        limits = worker.http3 or Http2Limits()
        windows = limits.stream_window, limits.connection_window
        self._configuration = configuration(identities.find("")[1], windows)
        self._tokens = QuicRetryTokenHandler()
        self._routes: dict[bytes, Http3Connection] = {}
        self._ids: dict[Http3Connection, set[bytes]] = {}
        self._beginning: set[Http3Connection] = set()
        name = listener.getsockname()
        self.server: tuple[str, int] | None = (str(name[0]), int(name[1]))
        self.accepts = True  # new connections

    def start(self) -> None:
        """Receive from now on."""
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._worker.service.loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Receive nothing more; the socket stays open."""
        self._worker.service.loop.remove_reader(self._socket)
        for connection in list(self._ids):
            connection.forget()
        self._routes.clear()
        self._ids.clear()

    # -- called by connections -------------------------------------------------

    def send(self, data: bytes, address: Any) -> None:
        """Send a datagram, or drop it: QUIC sends it again if it must."""
        try:
            self._socket.sendto(data, address)
        except OSError:
            pass

    def add_id(self, connection_id: bytes, connection: Http3Connection) -> None:
        """Datagrams for this id are the connection's."""
        if connection in self._ids:
            self._routes[connection_id] = connection
            self._ids[connection].add(connection_id)

    def drop_id(self, connection_id: bytes) -> None:
        """They are nobody's any more."""
        connection = self._routes.pop(connection_id, None)
        if connection is not None:
            self._ids[connection].discard(connection_id)

    def on_established(self, connection: Http3Connection) -> None:
        """The handshake is complete."""
        self._beginning.discard(connection)

    def on_end(self, connection: Http3Connection) -> None:
        """Nothing more comes of it."""
        self._beginning.discard(connection)
        for connection_id in self._ids.pop(connection, ()):
            self._routes.pop(connection_id, None)

    def server_certificate(self, name: str) -> str:
        """Return the certificate shown to who asks for that name, as PEM."""
        return self._identities.find(name)[0].server_cert

    # -- datagrams -------------------------------------------------------------

    def _read(self) -> None:
        receive = self._socket.recvfrom
        for _ in range(_DATAGRAMS):
            try:
                data, address = receive(_MAX_SIZE)
            except OSError:
                return
            self.received(data, address)

    def received(self, data: bytes, address: Any) -> None:
        """Give a datagram to its connection, to a new one, or to another process."""
        self._take(data, address, self._relay)

    def passed_on(self, data: bytes, address: Any) -> None:
        """Take a datagram that another process has received: it goes no further."""
        self._take(data, address, None)

    def _take(self, data: bytes, address: Any, relay: Relay | None) -> None:
        header = None
        if data[:1] < b"\x80":
            connection_id = data[1 : 1 + CONNECTION_ID_SIZE]
        else:
            header = read_header(data)
            if header is None:
                return
            connection_id = header.destination_cid
        connection = self._routes.get(connection_id)
        if connection is None:
            number = connection_id[:PREFIX_SIZE]
            known = relay is not None and len(connection_id) == CONNECTION_ID_SIZE
            if relay is not None and known and relay.pass_on(number, self._place, data, address):
                return
            if header is None:
                return
            connection = self._begin(header, data, address, relay)
        if connection is not None:
            connection.received(data, address)

    def _begin(
        self, header: QuicHeader, data: bytes, address: Any, relay: Relay | None
    ) -> Http3Connection | None:
        """Return a new connection, if there is to be one."""
        kind = header.packet_type
        if len(data) < SMALLEST_MAX_DATAGRAM_SIZE or kind == QuicPacketType.VERSION_NEGOTIATION:
            # An answer would be longer than the question.
            return None
        versions = self._configuration.supported_versions
        if header.version not in versions:
            source, destination = header.destination_cid, header.source_cid
            self.send(encode_quic_version_negotiation(source, destination, versions), address)
            return None
        if kind != QuicPacketType.INITIAL:
            return None
        if not self.accepts:
            if relay is not None:
                relay.pass_to_anybody(self._place, data, address)
            return None
        if len(self._beginning) >= _MOST_BEGINNING:
            return None
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._validated(header, address)
            except ValueError:
                return None
            retried = header.destination_cid
        elif len(self._beginning) >= _RETRY_ABOVE or self._worker.crowd is not None:
            # Where connections are counted, nobody must count for somebody else's address.
            self._retry(header, address)
            return None
        return self._connect(header, address, original, retried)

    def _connect(
        self, header: QuicHeader, address: Any, original: bytes, retried: bytes | None
    ) -> Http3Connection | None:
        quic = Quic(self._configuration, self._prefix, self._choose, original, retried)
        connection = Http3Connection(self._worker, self, quic, address)
        if not self._worker.has_room_for(connection):
            connection.forget()
            return None
        self._ids[connection] = set()
        self._beginning.add(connection)
        self.add_id(header.destination_cid, connection)
        self.add_id(quic.host_cid, connection)
        return connection

    def _choose(self, name: str) -> Identity:
        return self._identities.find(name)[1]

    def _validated(self, header: QuicHeader, address: Any) -> bytes:
        """Return the id to which the client sent first.  Raises ``ValueError``."""
        return self._tokens.validate_token(
            address=address,
            destination_cid=header.destination_cid,
            token=header.token,
            now=self._now(),
        )

    def _retry(self, header: QuicHeader, address: Any) -> None:
        own = new_connection_id(self._prefix)
        token = self._tokens.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=own,
            now=self._now(),
        )
        packet = encode_quic_retry(
            version=header.version or 0,
            source_cid=own,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self.send(packet, address)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
