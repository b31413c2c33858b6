"""What a client is told whose request cannot be served."""

from __future__ import annotations

from ..errors import PeerError
from ..http import NO_BODY, Defaults, Field, field, phrase
from ..wire.http1.core import Http1Core

__all__ = ["explanation", "refusal"]

_PLAIN_TEXT = field(b"content-type", b"text/plain; charset=utf-8")

# What the answer must say besides its status (RFC 9110, RFC 6455 section 4.4).
_EXPLANATIONS = {
    426: (field(b"sec-websocket-version", b"13"), field(b"upgrade", b"websocket")),
    503: (field(b"retry-after", b"1"),),
}


def refusal(core: Http1Core, error: PeerError, defaults: Defaults) -> bytes:
    """Return the last response of a connection: status and reason of ``error``."""
    fields, text = explanation(error)
    if core.head is not None and core.head.method == "HEAD":
        return core.respond(error.status, fields, 0, NO_BODY, defaults)
    return core.respond(error.status, fields, 0, len(text), defaults, text, True)


def explanation(error: PeerError) -> tuple[list[Field], bytes]:
    """Return the fields and the text of an answer that says what is wrong."""
    text = f"{error.status} {phrase(error.status)}: {error.reason}\n".encode()
    return [_PLAIN_TEXT, *_EXPLANATIONS.get(error.status, ())], text
