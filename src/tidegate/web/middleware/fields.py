"""How does middleware read a request's fields and change a response's?

One rule for all of them: an application's message is never changed in place.
It may be a constant that the next request gets too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...asgi import Message, Scope, Send
from ..headers import Pairs

__all__ = ["at_start", "value_of"]

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
