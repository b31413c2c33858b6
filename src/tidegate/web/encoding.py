"""What does the value that a handler returns become on the wire?  Decided from its annotation.

A response object is sent as it is, text as text, bytes as bytes, None as 204,
an iterator as a stream, and anything else as JSON, or as MessagePack for a
client that asks for it.
"""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable
from typing import Any

from .codec import codec_of, to_json, to_msgpack
from .headers import Pairs
from .kinds import models_in
from .request import Request
from .response import Response, StreamResponse

__all__ = [
    "JSON",
    "MSGPACK",
    "Encoded",
    "EncodedJSON",
    "Encoding",
    "call_and_encode",
    "streamed_type",
]

JSON = b"application/json"
MSGPACK = b"application/msgpack"

_JSON_FIELD = (b"content-type", JSON)
_MSGPACK_FIELD = (b"content-type", MSGPACK)
_VARY_FIELD = (b"vary", b"accept")
_TEXT_FIELD = (b"content-type", b"text/plain; charset=utf-8")
_BYTES_FIELD = (b"content-type", b"application/octet-stream")

_ITERATORS = (
    *(collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable),
    *(collections.abc.Iterator, collections.abc.Generator),
)

Encoded = tuple[int, Pairs, bytes]
"""Status, header fields and content of a whole response."""


def streamed_type(returns: Any) -> Any:
    """Return the type of the items if this is an iterator, else None."""
    if typing.get_origin(returns) in _ITERATORS:
        return typing.get_args(returns)[0]
    return None


class EncodedJSON(bytes):
    """A value that was encoded where it was made."""


def _prefers_msgpack(accept: bytes) -> bool:
    """Say whether MessagePack, which it names, is not less welcome than JSON (RFC 9110 12.5.1)."""
    weights = {JSON: 0.0, MSGPACK: 0.0}
    for part in accept.lower().split(b","):
        kind, *parameters = (piece.strip() for piece in part.split(b";"))
        weight = next((one[2:] for one in parameters if one.startswith(b"q=")), b"1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    return weights[MSGPACK] > 0 and weights[MSGPACK] >= weights[JSON]


def call_and_encode(function: Callable[..., Any], args: list[Any], named: dict[str, Any]) -> Any:
    """Call a function in another process and encode there what it returns."""
    value = function(*args, **named)
    if isinstance(value, Response):
        del value.encode  # the route gives it its own again
        return value
    if value is None or isinstance(value, str | bytes):
        return value
    return EncodedJSON(to_json(value))


class Encoding:
    """How the values of one handler are sent; ``status`` is 0 if it depends on the value."""

    __slots__ = ("_plain", "encode", "item", "offers_msgpack", "returns", "status")

    def __init__(self, returns: Any, status: int = 0) -> None:
        self.returns = returns
        self.status = status
        self.item = streamed_type(returns)
        plain = typing.get_origin(returns) or returns
        if inspect.isclass(plain) and issubclass(plain, Response):
            args = typing.get_args(returns)
            self.returns = args[0] if args else Any
        self.encode: Callable[[Any], bytes] = to_json
        if models_in(self.returns) and self.item is None:
            self.encode = codec_of(self.returns).encode
        self._plain: set[type] = set()  # types of values seen that are encoded
        # Types that are the same in every representation are not negotiated.
        self.offers_msgpack = self.returns not in (str, bytes, None)

    def whole(self, value: Any, request: Request) -> Encoded | None:
        """Return a value as a whole response; None if it is one of its own kind or a stream."""
        kind = type(value)
        if kind in self._plain:
            if self.offers_msgpack:
                accept = request.fields.get(b"accept")
                if accept is not None and MSGPACK in accept and _prefers_msgpack(accept):
                    first, body = _MSGPACK_FIELD, to_msgpack(value)
                else:
                    first, body = _JSON_FIELD, self.encode(value)
                length = (b"content-length", b"%d" % len(body))
                # Both depend on Accept, so a cache has to know (RFC 9110 section 12.5.5).
                return self.status or 200, [first, _VARY_FIELD, length], body
            body = self.encode(value)
            first = _JSON_FIELD
        elif kind is str:
            body = value.encode()
            first = _TEXT_FIELD
        elif kind is bytes:
            body = value
            first = _BYTES_FIELD
        elif value is None and self.returns in (None, Any):
            if self.status in (0, 204):
                return 204, [], b""
            return self.status, [(b"content-length", b"0")], b""
        elif kind is EncodedJSON:
            body = value
            first = _JSON_FIELD
        elif self._is_special(value):
            return None
        else:
            self._plain.add(kind)
            return self.whole(value, request)
        return self.status or 200, [first, (b"content-length", b"%d" % len(body))], body

    @staticmethod
    def _is_special(value: Any) -> bool:
        if isinstance(value, Response):
            return True
        return hasattr(value, "__aiter__") or hasattr(value, "__next__") or callable(value)

    def response(self, value: Any, request: Request) -> Any:
        """Return a special value as something that can be called with scope, receive and send."""
        if isinstance(value, Response):
            value.settle(self.status, self.encode)
            return value
        if callable(value):
            return value
        if self.item in (str, bytes):
            kind = "text/plain; charset=utf-8" if self.item is str else "application/octet-stream"
            return StreamResponse(value, self.status or 200, media_type=kind)
        # RFC 7464's record separator never caught on; newline-delimited JSON did.
        made = StreamResponse if self.item is None else _Lines
        return made(value, self.status or 200, media_type="application/jsonl")


class _Lines(StreamResponse):
    """A stream of values of which some may be text, each a line of JSON."""

    def _as_bytes(self, item: Any) -> bytes:
        return self.encode(item) + b"\n"
