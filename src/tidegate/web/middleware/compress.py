"""Which responses are worth compressing, and how does one that is look to caches?

What is compressed is another representation: it has its own length and a weak
validator, and caches must know what it depends on (RFC 9110 sections 8.4, 8.8
and 12.5.3).  A coding is never applied on top of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from ...asgi import Application, Message, Receive, Scope, Send
from ...http import weights
from ..headers import Pairs, vary
from .codings import Coder, Coding, checked_codings
from .fields import value_of
from .settings import checked_number, checked_texts

__all__ = ["Compress"]

_TYPES = (
    *("text/*", "*+json", "*+xml", "application/json", "application/javascript"),
    *("application/xml", "application/x-ndjson", "application/wasm", "application/graphql"),
    *("application/x-javascript", "application/yaml", "application/vnd.ms-fontobject"),
    *("font/ttf", "font/otf", "image/bmp", "image/x-icon"),
)

# Compressing this much takes about a millisecond; then others get their turn.
_SLICE = 64 * 1024

# Clients send few different values; an attacker may send many.
_MAX_REMEMBERED = 256

# Fields that speak of the bytes as the application made them.
_DIGESTS = frozenset((b"content-digest", b"repr-digest", b"digest", b"content-md5"))
_BYTES = frozenset((b"content-length", b"accept-ranges"))


@dataclass(frozen=True)
class Compress:
    """Compresses responses with what the client accepts.

    ``minimum_size`` (bytes) is the least worth it.  ``codings`` are ``"zstd"``,
    ``"br"`` and ``"gzip"``, the best first; None for all that are installed.
    ``levels`` replaces the level of a coding.  ``types`` are media types,
    ``text/*`` and ``*+json`` among them; those in ``exclude`` are left alone.
    Each chunk of a stream is flushed, so that it arrives at once.

    A secret that is compressed together with what an attacker chose can be
    guessed from the length (BREACH).  Raises ``ConfigError``.
    """

    minimum_size: int = 1024
    _: KW_ONLY
    codings: Sequence[str] | None = None
    levels: Mapping[str, int] = field(default_factory=dict)
    types: Sequence[str] = _TYPES
    exclude: Sequence[str] = ("text/event-stream",)

    def __post_init__(self) -> None:
        checked_number("Compress: minimum_size", self.minimum_size, 0, whole=True)
        _Choice(self)

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        choice = _Choice(self)

        async def compress(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                coding = choice.coding(value_of(scope, b"accept-encoding"))
                send = _Response(choice, coding, scope["method"] == "HEAD", send).send
            await app(scope, receive, send)

        return compress


class _Choice:
    """What the settings say about a request and a media type; answers are remembered."""

    def __init__(self, settings: Compress) -> None:
        self.minimum_size = settings.minimum_size
        self._known = {
            coding.name.encode(): coding
            for coding in checked_codings(settings.codings, settings.levels)
        }
        self._types = _patterns("Compress: types", settings.types)
        self._exclude = _patterns("Compress: exclude", settings.exclude)
        self._codings: dict[bytes, Coding | None] = {}
        self._judged: dict[bytes, bool] = {}

    def coding(self, accepted: bytes | None) -> Coding | None:
        """Return what to compress with, if anything.

        ``accepted`` is the value of Accept-Encoding, None if it was not sent.
        """
        if accepted is None:
            return None
        if accepted not in self._codings:
            if len(self._codings) >= _MAX_REMEMBERED:
                self._codings.clear()
            self._codings[accepted] = self._best(weights(accepted))
        return self._codings[accepted]

    def _best(self, weights: dict[bytes, float]) -> Coding | None:
        anything = weights.get(b"*", 0.0)
        best = None
        # The client may like the content as it is better than compressed.
        heaviest = weights.get(b"identity", 0.0)
        for name, coding in self._known.items():
            weight = weights.get(name, anything)
            if weight > 0 and (weight > heaviest or (best is None and weight == heaviest)):
                best, heaviest = coding, weight
        return best

    def suits(self, content_type: bytes) -> bool:
        """Say whether content of a media type gets shorter."""
        found = self._judged.get(content_type)
        if found is None:
            if len(self._judged) >= _MAX_REMEMBERED:
                self._judged.clear()
            name = content_type.partition(b";")[0].strip().lower()
            forms = {name, name.partition(b"/")[0] + b"/*", b"*+" + name.rpartition(b"+")[2]}
            forms.add(b"*/*")
            found = bool(forms & self._types) and not forms & self._exclude
            self._judged[content_type] = found
        return found


class _Response:
    """One response on its way through."""

    __slots__ = ("_choice", "_coder", "_coding", "_head_only", "_passes", "_send", "_start")

    def __init__(self, choice: _Choice, coding: Coding | None, head_only: bool, send: Send) -> None:
        self._choice = choice
        self._coding = coding
        self._head_only = head_only
        self._send = send
        # Kept back until the first content says how much there is.
        self._start: Message | None = None
        self._coder: Coder | None = None  # None until the first compressed content
        self._passes = False  # nothing more is to be done

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message of the application."""
        if self._passes:
            return self._send(message)
        kind = message["type"]
        if kind == "http.response.start":
            return self._started(message)
        if kind == "http.response.body" and self._coder is not None:
            return self._continue(message, self._coder)
        if kind == "http.response.body" and self._start is not None:
            return self._first(message, self._start)
        return self._other(message)

    async def _started(self, message: Message) -> None:
        headers = list(message.get("headers") or ())
        if not self._may_be_compressed(message["status"], headers):
            self._passes = True
            await self._send({**message, "headers": headers})
            return
        self._start = {**message, "headers": vary(headers, b"Accept-Encoding")}
        if self._coding is None:
            await self._release()
        elif message["status"] == 304 or (
            self._head_only and not self._is_small(_announced(headers))
        ):
            # The fields say what the answer to a GET would say.
            self._start["headers"] = _without_length(headers)
            await self._release()

    def _may_be_compressed(self, status: int, headers: Pairs) -> bool:
        """Say whether some client would get it compressed; caches must know."""
        if status in (204, 206):
            return False
        content_type = b""
        for name, value in headers:
            name = name.lower()
            if name == b"content-type":
                content_type = value
            if name == b"content-encoding" or name in _DIGESTS:
                return False
            if name == b"cache-control" and b"no-transform" in value.lower():
                return False
        # A 304 does not repeat its type.
        return self._choice.suits(content_type) or (status == 304 and not content_type)

    def _is_small(self, size: int) -> bool:
        return 0 <= size < self._choice.minimum_size

    async def _first(self, message: Message, start: Message) -> None:
        body: bytes = message.get("body", b"")
        ended = not message.get("more_body", False)
        size = len(body) if ended else _announced(start["headers"])
        coding = self._coding
        if coding is None or self._is_small(size):
            await self._release()
            await self._send(message)
            return
        self._start = None
        self._coder = coding.make(coding.level, size)
        headers = _without_length(start["headers"])
        headers.append((b"content-encoding", coding.name.encode()))
        if ended:
            data = await _encoded(self._coder, body) + self._coder.end()
            headers.append((b"content-length", b"%d" % len(data)))
            self._passes = True
            await self._send({**start, "headers": headers})
            await self._send({**message, "body": data})
        else:
            await self._send({**start, "headers": headers})
            await self._continue(message, self._coder)

    async def _continue(self, message: Message, coder: Coder) -> None:
        body: bytes = message.get("body", b"")
        data = await _encoded(coder, body)
        if not message.get("more_body", False):
            self._passes = True
            data += coder.end()
        elif body:
            data += coder.flush()
        await self._send({**message, "body": data})

    async def _other(self, message: Message) -> None:
        # Such as a file that the server sends by itself.
        await self._release()
        await self._send(message)

    async def _release(self) -> None:
        """Send the start that was kept back; the rest goes as it is."""
        start, self._start = self._start, None
        if start is not None:
            self._passes = True
            await self._send(start)


async def _encoded(coder: Coder, body: bytes) -> bytes:
    if len(body) <= _SLICE:
        return coder.write(body)
    view = memoryview(body)
    pieces = [coder.write(view[:_SLICE])]
    for offset in range(_SLICE, len(view), _SLICE):
        await asyncio.sleep(0)
        pieces.append(coder.write(view[offset : offset + _SLICE]))
    return b"".join(pieces)


def _announced(headers: Pairs) -> int:
    """Return the length that the application announced, or -1."""
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return -1


def _without_length(headers: Pairs) -> Pairs:
    """Return the fields of what is compressed, save its coding and length."""
    found = []
    for name, value in headers:
        lower = name.lower()
        if lower == b"etag" and not value.startswith(b"W/"):
            # The same validator may not name two sequences of bytes.
            found.append((name, b"W/" + value))
        elif lower not in _BYTES:
            found.append((name, value))
    return found


def _patterns(where: str, values: Sequence[str]) -> frozenset[bytes]:
    return frozenset(text.lower().encode() for text in checked_texts(where, values))
