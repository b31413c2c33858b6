"""The fields of a response that are in neither its head nor its content (ASGI items 99, 100)."""

from __future__ import annotations

from typing import Any

from ..asgi import Message
from ..errors import AppError
from ..http import Field, field

__all__ = ["EARLY_HINT", "TRAILERS", "link_fields", "trailer_fields"]

EARLY_HINT = "http.response.early_hint"
TRAILERS = "http.response.trailers"


def link_fields(message: Message) -> list[Field]:
    """Return the links of an early hint (RFC 8297).  Raises ``AppError``."""
    links: Any = message.get("links") or ()
    try:
        return [field(b"link", link) for link in links]
    except TypeError as error:
        raise AppError(f"links must be an iterable of bytes: {error}") from error


def trailer_fields(message: Message) -> list[Field]:
    """Return fields that come after the content.  Raises ``AppError``.

    None that frames the message or says what becomes of the connection: by then
    it is too late (RFC 9110 section 6.5.1).
    """
    fields = []
    try:
        for name, value in message.get("headers") or ():
            checked = field(name, value)
            if checked.role:
                raise AppError(f"{name!r} cannot be a trailer (RFC 9110 section 6.5.1)")
            fields.append(checked)
    except (TypeError, ValueError) as error:
        raise AppError(f"headers must be pairs of bytes: {error}") from error
    return fields
