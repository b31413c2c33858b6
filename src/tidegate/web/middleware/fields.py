"""How does middleware read a request's fields and change a response's?

One rule for all of them: an application's message is never changed in place.
It may be a constant that the next request gets too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...asgi import Message, Scope, Send
from ..headers import Pairs

__all__ = ["at_start", "value_of", "vary", "weights"]

_STARTS = frozenset(
    ("http.response.start", "websocket.accept", "websocket.http.response.start"),
)


def value_of(scope: Scope, name: bytes) -> bytes | None:
    """Return the value of a request field, repeated ones joined (RFC 9110 section 5.3)."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            found = value if found is None else found + b", " + value
    return found


def at_start(send: Send, edit: Callable[[Pairs], Pairs]) -> Send:
    """Return a ``send`` that lets ``edit`` change the fields as the response begins.

    ``edit`` is given a list of its own.  An accepted socket counts as a response.
    """

    # Not a coroutine: what the server returns is awaited, not wrapped.
    def send_edited(message: Message) -> Awaitable[None]:
        if message["type"] in _STARTS:
            message = {**message, "headers": edit(list(message.get("headers") or ()))}
        return send(message)

    return send_edited


def vary(headers: Pairs, name: bytes) -> Pairs:
    """Say in ``headers`` that the response depends on a request field.

    RFC 9110 section 12.5.5.
    """
    for place, (key, value) in enumerate(headers):
        if key.lower() == b"vary":
            told = value.lower().replace(b" ", b"").split(b",")
            if name.lower() not in told and b"*" not in told:
                headers[place] = (key, value + b", " + name)
            return headers
    headers.append((b"vary", name))
    return headers


def weights(accepted: bytes) -> dict[bytes, float]:
    """Return the weight of each coding in an Accept-Encoding (RFC 9110 section 12.4.2)."""
    found: dict[bytes, float] = {}
    for item in accepted.lower().split(b","):
        name, _, parameters = item.partition(b";")
        key, _, value = parameters.partition(b"=")
        weight = 1.0
        if key.strip() == b"q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        name = name.strip()
        if name and 0 <= weight <= 1:
            found[b"gzip" if name == b"x-gzip" else name] = weight
    return found
