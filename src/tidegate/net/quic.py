"""QUIC and QPACK, of the libraries ``aioquic`` and ``pylsqpack``: what is changed of them.

Windows open as the application takes, not as the peer sends; every connection id
begins with the number of the process that serves it; and the certificate
depends on the name that the client asks for.  What this takes of their insides
is named in ``_RELIED_ON``, and a test sees that it is there.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, Http3Error
from ..wire.http2.hpack import integer
from ..wire.http3.frames import Code

try:
    import pylsqpack
    from aioquic.buffer import Buffer  # type: ignore[attr-defined]
    from aioquic.quic import events
    from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
    from aioquic.quic.connection import QuicConnection, QuicConnectionError, QuicReceiveContext
    from aioquic.quic.packet import (
        QuicErrorCode,
        QuicHeader,
        QuicPacketType,
        encode_quic_retry,
        encode_quic_version_negotiation,
        pull_quic_header,
    )
    from aioquic.quic.packet_builder import QuicPacketBuilder
    from aioquic.quic.recovery import QuicPacketSpace
    from aioquic.quic.retry import QuicRetryTokenHandler
    from aioquic.quic.stream import QuicStream
    from aioquic.tls import load_pem_private_key, load_pem_x509_certificates, pull_client_hello
except ImportError:
    raise ConfigError("http3 needs the package aioquic: pip install 'tidegate[http3]'") from None

__all__ = [
    "CONNECTION_ID_SIZE",
    "PREFIX_SIZE",
    "SMALLEST_MAX_DATAGRAM_SIZE",
    "Identity",
    "Quic",
    "QuicConfiguration",
    "QuicHeader",
    "QuicPacketType",
    "QuicRetryTokenHandler",
    "StaticQpack",
    "Windowed",
    "configuration",
    "encode_quic_retry",
    "encode_quic_version_negotiation",
    "events",
    "literal",
    "new_connection_id",
    "read_header",
]

PREFIX_SIZE = 2
"""Bytes of a connection id that say which process it is of."""

CONNECTION_ID_SIZE = PREFIX_SIZE + 8

# A peer of which nothing is heard for so long is gone.
_IDLE_SECONDS = 30.0

# Of the handshake a client sends a few KiB; the library would keep ever more.
_MAX_CRYPTO = 64 * 1024

# What of a response is kept for a peer that does not acknowledge it, besides what
# is on its way: of that, and of what was lost, there are a few congestion windows.
_MAX_KEPT = 256 * 1024
_KEPT_WINDOWS = 4

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)

# What peers do wrong is ours to report, once.
logging.getLogger("quic").setLevel(logging.ERROR)


@dataclass
class Identity:
    """A certificate, its chain and its key, as the library holds them."""

    certificate: Any
    chain: list[Any]
    key: Any

    @classmethod
    def read(cls, certfile: str, keyfile: str, password: str | None) -> Identity:
        """Read two files in PEM form.  Raises ``OSError`` or ``ValueError``."""
        texts = _CERTIFICATE.findall(Path(certfile).read_bytes())
        found = _KEY.search(Path(keyfile or certfile).read_bytes())
        if not texts or found is None:
            raise ValueError("no certificate, or no key")
        chain = [one for text in texts for one in load_pem_x509_certificates(text + b"\n")]
        encrypted = b"ENCRYPTED" in found[0]
        secret = password.encode() if password is not None and encrypted else None
        made = cls(chain[0], chain[1:], load_pem_private_key(found[0] + b"\n", secret))
        if made.certificate.public_key() != made.key.public_key():
            raise ValueError("the key is not that of the certificate")
        return made


def configuration(identity: Identity, windows: tuple[int, int]) -> QuicConfiguration:
    """Return what a connection needs; ``windows`` are those of a stream and of all, in bytes."""
    made = QuicConfiguration(
        is_client=False,
        alpn_protocols=["h3"],
        connection_id_length=CONNECTION_ID_SIZE,
        idle_timeout=_IDLE_SECONDS,
        max_stream_data=windows[0],
        max_data=windows[1],
    )
    made.certificate, made.certificate_chain = identity.certificate, identity.chain
    made.private_key = identity.key
    return made


def new_connection_id(prefix: bytes) -> bytes:
    """Return an id of a connection in the process of that number."""
    return prefix + os.urandom(CONNECTION_ID_SIZE - PREFIX_SIZE)


def read_header(data: bytes) -> QuicHeader | None:
    """Return the first header in a datagram; None if there is none."""
    try:
        return pull_quic_header(Buffer(data=data), CONNECTION_ID_SIZE)
    except ValueError:
        return None


class Windowed(QuicConnection):
    """A connection whose windows open as what came is taken."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._held: dict[int, int] = {}  # bytes that came and are not taken, by stream

    def hold(self, stream_id: int, size: int) -> None:
        """Keep the window of a stream as it is."""
        self._held[stream_id] = self._held.get(stream_id, 0) + size

    def release(self, stream_id: int) -> None:
        """Let it open."""
        self._held.pop(stream_id, None)

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        receiver, granted = stream.receiver, stream.max_stream_data_local
        if granted and stream.stream_id not in self._held and not receiver.is_finished:
            # As much again as has been delivered: what has a gap before it is not.
            window = self._configuration.max_stream_data
            limit = receiver.starting_offset() + window
            if (limit - granted) * 2 >= window:
                stream.max_stream_data_local = limit
        # The library would double the window for what has come.
        highest, receiver.highest_offset = receiver.highest_offset, 0
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            receiver.highest_offset = highest

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit, window = self._local_max_data, self._configuration.max_data
        room = limit.used - sum(self._held.values()) + window
        if (room - limit.value) * 2 >= window:
            # What has a gap before it is not taken either.
            receivers = [stream.receiver for stream in self._streams.values()]
            room -= sum(each.highest_offset - each.starting_offset() for each in receivers)
        if (room - limit.value) * 2 >= window:
            limit.value = room
        used, limit.used = limit.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            limit.used = used


class Quic(Windowed):
    """One connection; also the ``QuicStreams`` of its HTTP/3."""

    def __init__(
        self,
        configuration: QuicConfiguration,
        prefix: bytes,
        choose: Callable[[str], Identity],
        original: bytes,
        retried: bytes | None = None,
    ) -> None:
        """``choose`` finds the identity for the name that the client asks for.

        ``original`` is the id to which the client sent first, ``retried`` the
        one that we made it use instead.
        """
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        self._prefix = prefix
        self._choose = choose
        self.server_name = ""  # that the client asks for
        first = self._host_cids[0]
        first.cid = self.host_cid = new_connection_id(prefix)
        self._local_initial_source_connection_id = first.cid

    # -- streams -------------------------------------------------------------

    def open(self) -> int:
        """Begin a one-way stream."""
        stream_id = self.get_next_available_stream_id(is_unidirectional=True)
        self.send_stream_data(stream_id, b"")
        return stream_id

    def send(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Send bytes, unless the peer has stopped that, of which an event will tell."""
        try:
            self.send_stream_data(stream_id, data, ended)
        except (RuntimeError, ValueError):
            pass

    def unsent(self, stream_id: int) -> int:
        """Return how many bytes wait for the windows of the peer or the network."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        sender = stream.sender
        # A peer that never acknowledges the first byte has all after it kept.
        kept = sender._buffer_stop - sender._buffer_start
        kept -= _MAX_KEPT + _KEPT_WINDOWS * self._loss.congestion_window
        waiting = 0 if sender.buffer_is_empty else sender._buffer_stop - sender.highest_offset
        return max(waiting, kept)

    def reset(self, stream_id: int, code: int) -> None:
        """Send nothing more."""
        self.reset_stream(stream_id, code)

    def stop(self, stream_id: int, code: int) -> None:
        """Ask for nothing more."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            self.stop_stream(stream_id, code)

    def is_stopped(self, stream_id: int) -> bool:
        """Say whether the peer wants nothing more."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.sender._reset_error_code is not None

    @property
    def is_delivered(self) -> bool:
        """Whether the peer has everything that was sent to it on requests' streams."""
        return all(stream_id & 3 for stream_id in self._streams)

    # -- called by the library -------------------------------------------------

    def _replenish_connection_ids(self) -> None:
        super()._replenish_connection_ids()
        for each in self._host_cids:
            if not each.was_sent:
                each.cid = self._prefix + each.cid[PREFIX_SIZE:]

    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        if buf.pull_uint_var() > _MAX_CRYPTO:
            raise QuicConnectionError(
                QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "a handshake that is too long"
            )
        buf.seek(start)
        super()._handle_crypto_frame(context, frame_type, buf)

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        context = self.tls
        read = context._server_handle_hello

        def read_hello(input_buf: Buffer, initial_buf: Buffer, handshake_buf: Buffer) -> None:
            # The library has one certificate for all names (RFC 6066 section 3).
            start = input_buf.tell()
            self.server_name = pull_client_hello(input_buf).server_name or ""
            input_buf.seek(start)
            identity = self._choose(self.server_name)
            context.certificate = identity.certificate
            context.certificate_chain = identity.chain
            context.certificate_private_key = identity.key
            read(input_buf, initial_buf, handshake_buf)

        context._server_handle_hello = read_hello  # type: ignore[method-assign]


_RELIED_ON = (
    *("_configuration", "_handle_crypto_frame", "_host_cids", "_initialize"),
    *("_local_initial_source_connection_id", "_local_max_data", "_loss"),
    *("_replenish_connection_ids", "_streams", "_write_connection_limits"),
    "_write_stream_limits",
)
"""Of ``QuicConnection``; besides ``_RELIED_ON_SENDERS``, and the hello of its TLS."""

_RELIED_ON_SENDERS = ("_buffer_start", "_buffer_stop", "_reset_error_code")


def literal(name: bytes, value: bytes) -> bytes:
    """Return a field as it is, without any compression (RFC 9204 section 4.5.6)."""
    return integer(len(name), 0x07, 0x20) + name + integer(len(value), 0x7F, 0) + value


class StaticQpack:
    """Compression without a table that changes: nothing that a peer sends is remembered."""

    def __init__(self) -> None:
        self._encoder = pylsqpack.Encoder()
        self._decoder = pylsqpack.Decoder(0, 0)

    def encode(self, pairs: list[tuple[bytes, bytes]]) -> bytes:
        """Return the block of some fields."""
        try:
            block: bytes = self._encoder.encode(0, pairs)[1]
        except ValueError:
            # It takes no field of more than 64 KiB.
            return b"\0\0" + b"".join(literal(name, value) for name, value in pairs)
        return block

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Return the fields of a block.  Raises ``Http3Error``."""
        try:
            fields: list[tuple[bytes, bytes]] = self._decoder.feed_header(0, block)[1]
        except (pylsqpack.DecompressionFailed, pylsqpack.StreamBlocked):
            raise Http3Error("a head that cannot be read", Code.DECOMPRESSION_FAILED) from None
        return fields
