"""When does a connection that began as HTTP/1.1 go on as HTTP/2?

By prior knowledge, if its first bytes say so (RFC 9113 section 3.3); or because a
request without content asks for it (RFC 7540 section 3.2, which newer clients
have given up).  Over TLS the handshake decides, in ``net.tls``.
"""

from __future__ import annotations

import base64
import binascii
import copy

from ..errors import Http2Error
from ..http import Field, Head, field
from ..wire.http2.frames import PREFACE
from .connection import Connection
from .http2 import Http2Connection

__all__ = ["SWITCHING_TO_HTTP2", "begins_http2", "http2_settings", "turn_to_http2", "upgraded"]

SWITCHING_TO_HTTP2: tuple[Field, ...] = (field(b"upgrade", b"h2c"),)
"""Fields of the answer 101."""

# Of the upgrade itself, and of nobody's concern after it.
_CONNECTION_FIELDS = frozenset(
    (b"connection", b"upgrade", b"http2-settings", b"keep-alive", b"proxy-connection")
)


def begins_http2(data: bytes) -> bool | None:
    """Say whether a connection that begins with ``data`` speaks HTTP/2; None if that is open."""
    if data[:4] == PREFACE[:4]:
        # No HTTP/1 request begins so: the method is reserved (RFC 9113 section 3.4).
        return True
    return None if PREFACE.startswith(data) else False


def http2_settings(head: Head) -> bytes | None:
    """Return the settings of a request that asks for HTTP/2; None if it does not."""
    if b"h2c" not in [item.strip() for item in head.upgrade.split(b",")]:
        return None
    values = [value for name, value in head.headers if name == b"http2-settings"]
    if head.body_length or len(values) != 1:
        return None
    try:
        return base64.b64decode(values[0] + b"=" * (-len(values[0]) % 4), b"-_", validate=True)
    except binascii.Error:
        return None


def turn_to_http2(before: Connection, data: bytes) -> None:
    """Go on as HTTP/2 with what has come so far."""
    after = Http2Connection(before.worker, before)
    before.transport.set_protocol(after)
    after.data_received(data)


def upgraded(before: Connection, head: Head, settings: bytes, rest: bytes) -> None:
    """Serve ``head`` as the first request of HTTP/2; ``rest`` came behind it."""
    after = Http2Connection(before.worker, before)
    before.transport.set_protocol(after)
    request = copy.copy(head)
    request.version = "2"
    request.upgrade = b""
    request.headers = [pair for pair in head.headers if pair[0] not in _CONNECTION_FIELDS]
    try:
        after.core.upgrade(request, settings)
    except Http2Error as error:
        after.fail(error)
        return
    if rest:
        loop = before.service.loop
        loop.call_soon(after.data_received, rest, context=before.service.context)
