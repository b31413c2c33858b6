"""What came back: one response, all of it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from email.message import Message
from typing import Any, TypeVar, overload

from ..http import phrase
from ..web.codec import codec_of
from ..web.headers import Headers, Pairs
from .failures import StatusError

__all__ = ["Reply", "charset_of", "decoded"]

T = TypeVar("T")

# As much of the content as helps to see what went wrong.
_SHOWN = 200


class Reply:
    """The response to one request.

    ``informational`` holds status and headers of each response before the
    final one (RFC 9110 section 15.2), ``history`` the redirects on the way.
    ``complete`` is False if the client vanished before the end.
    """

    def __init__(
        self,
        url: str,
        status: int,
        pairs: Pairs,
        content: bytes = b"",
        history: Sequence[Reply] = (),
    ) -> None:
        self.url = url
        self.status = status
        self.headers = Headers(pairs)
        self.content = content
        self.history = list(history)
        self.informational: list[tuple[int, Headers]] = []
        self.trailers = Headers([])
        self.complete = True

    def __repr__(self) -> str:
        text = self.text if len(self.content) <= _SHOWN else self.text[:_SHOWN] + "..."
        return f"<Reply {self.status} {text!r}>"

    @property
    def ok(self) -> bool:
        """Whether the status is neither 4xx nor 5xx."""
        return self.status < 400

    @property
    def text(self) -> str:
        """The content as text, in the charset that the response names or else UTF-8."""
        return self.content.decode(charset_of(self.headers), "replace")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies this response sets, by name."""
        pairs = [line.partition(";")[0] for line in self.headers.all("set-cookie")]
        named = [pair.partition("=") for pair in pairs]
        return {name.strip(): value.strip().strip('"') for name, _, value in named}

    @overload
    def json(self) -> Any: ...

    @overload
    def json(self, type: type[T]) -> T: ...

    @overload
    def json(self, type: Any) -> Any: ...

    def json(self, type: Any = Any) -> Any:
        """Return the content, which is JSON, as a value of ``type``.

        A type is whatever a handler may take: struct, dataclass, pydantic
        model, ``list[Item]``.  Raises ``ValueError`` if the content does not fit.
        """
        return decoded(self.content, type)

    def raise_for_status(self) -> Reply:
        """Return the reply itself; raise ``StatusError`` if it is 4xx or 5xx."""
        if not self.ok:
            what = f"{self.status} {phrase(self.status)}".strip()
            raise StatusError(f"{self.url} answered {what}: {self.text[:_SHOWN]}", self)
        return self


def decoded(content: bytes, hint: Any) -> Any:
    """Return JSON as a value of a type."""
    return codec_of(hint).decode(content)


def charset_of(headers: Headers) -> str:
    """Return the charset that the content type names; UTF-8 if there is none we know."""
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    charset = message.get_param("charset")
    try:
        codecs.lookup(str(charset))
    except LookupError:
        return "utf-8"
    return str(charset)
