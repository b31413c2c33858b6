"""The opening handshake (RFC 6455 section 4, RFC 8441 section 5)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import BadRequest
from ...http import Head

__all__ = ["Handshake", "accept_key", "check_origin", "read_handshake", "wants_websocket"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(slots=True)
class Handshake:
    """What the client asks for.  ``key`` is empty over HTTP/2 and HTTP/3, which need none."""

    key: bytes
    subprotocols: list[str]
    extensions: bytes


def wants_websocket(head: Head) -> bool:
    """Say whether an HTTP/1.1 request asks for a WebSocket; other upgrades may be ignored."""
    items = [item.strip() for item in head.upgrade.split(b",")]
    return head.method == "GET" and b"websocket" in items and head.body_length == 0


def read_handshake(head: Head, keyed: bool = True) -> Handshake:
    """Read the handshake in a request that asks for a WebSocket.

    ``keyed`` is False for an extended CONNECT of HTTP/2 or HTTP/3, which has
    neither key nor accept (RFC 8441 section 5, RFC 9220 section 3).  Raises
    ``BadRequest``: 426 for another version than 13, 400 for a key that is
    missing, repeated or not 16 bytes.
    """
    versions = _values(head, b"sec-websocket-version")
    if versions != [b"13"]:
        raise BadRequest("only version 13 of WebSocket is spoken here", 426)
    keys = _values(head, b"sec-websocket-key") if keyed else [b""]
    if keyed and (len(keys) != 1 or not _is_key(keys[0])):
        raise BadRequest("Sec-WebSocket-Key is not 16 bytes in base64")
    protocols = b",".join(_values(head, b"sec-websocket-protocol")).decode("latin-1")
    return Handshake(
        key=keys[0],
        subprotocols=[item.strip() for item in protocols.split(",") if item.strip()],
        extensions=b",".join(_values(head, b"sec-websocket-extensions")),
    )


def check_origin(head: Head, allowed: Sequence[bytes]) -> None:
    """Refuse (403) a page of an origin that is not ``allowed``; none given allows any.

    Clients other than browsers send no Origin, and are not pages (RFC 6455
    section 10.2).
    """
    if allowed and any(origin not in allowed for origin in _values(head, b"origin")):
        raise BadRequest("sockets from that origin are not allowed", 403)


def accept_key(key: bytes) -> bytes:
    """Return Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _values(head: Head, wanted: bytes) -> list[bytes]:
    return [value for name, value in head.headers if name == wanted]
