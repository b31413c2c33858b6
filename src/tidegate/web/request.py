"""The request as a handler sees it; everything in it is looked at when asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar, overload
from urllib.parse import quote, unquote_plus

from .. import web
from ..asgi import Message, Receive, Scope, Send
from ..errors import ClientDisconnected, UsageError
from .codec import codec_of
from .content import read_json
from .headers import Headers, to_pairs
from .problems import Problem

__all__ = ["MAX_BODY_SIZE", "Request", "parse_query"]

T = TypeVar("T")

# Sixteen MiB of content decoded at once is more than any form or document
# needs; larger uploads are streamed.
MAX_BODY_SIZE = 16 * 1024**2

# More pairs than any honest form has; each costs work before a handler runs.
_MAX_PAIRS = 1000

# RFC 3986 section 3.2.2, loosely: nothing that could start another part of a URL.
_HOST = re.compile(r"[A-Za-z0-9.\-_~%!$&'()*+,;=:\[\]]+")


# What stands for itself in a path (RFC 3986 section 3.3).
_PATH = "/:@!$&'()*+,;=~"


def parse_query(query: bytes) -> dict[str, list[str]]:
    """Return the pairs of a query string or of an urlencoded form.

    Raises ``Problem`` 400 if there are more than a thousand.
    """
    found: dict[str, list[str]] = {}
    if not query:
        return found
    if len(query) > _MAX_PAIRS and query.count(b"&") >= _MAX_PAIRS:
        raise Problem(400, f"more than {_MAX_PAIRS} parameters")
    text = query.decode("latin-1")
    encoded = "%" in text or "+" in text or not text.isascii()
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if encoded:
            name, value = _decoded(name), _decoded(value)
        if name or value:
            if name in found:
                found[name].append(value)
            else:
                found[name] = [value]
    return found


def _decoded(text: str) -> str:
    # Bytes that were not percent-encoded are UTF-8 all the same.
    if not text.isascii():
        text = text.encode("latin-1").decode("utf-8", "replace")
    return unquote_plus(text)


class Request:
    """One HTTP request.

    ``path_params`` are the segments that the template names, as ``str``.
    """

    __slots__ = (
        *("_body", "_cookies", "_headers", "_pieces", "_tail", "app", "ended", "exits"),
        *("known_query", "lease", "max_body_size", "path_params", "receive", "scope", "send"),
        *("socket", "started", "streamed", "tasks", "values", "visit"),
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.path_params: dict[str, str] = {}
        self.app: Any = None  # the application that routed it
        self.max_body_size = MAX_BODY_SIZE
        self.started = False  # the response has begun
        self.ended = False  # nothing more will be received but the disconnect
        self.streamed = False  # somebody has taken content as it came
        self.tasks: Any = None  # None until the handler asked for background tasks
        self.known_query: dict[str, list[str]] | None = None  # None until it was asked for
        self.socket: Any = None  # None unless this is a WebSocket's
        self.values: list[Any] = []  # what dependencies gave
        self.exits: list[Any] | None = None  # generators to close; None if there are none
        self.lease: Any = None  # the thread of this request, if it needs one more than once
        self.visit: Any = None  # None unless a thread goes on that nobody waits for
        self._pieces: list[bytes] = []  # of a body that is being read
        self._tail: Message | None = None  # received by somebody else on our behalf
        self._headers: dict[bytes, bytes] | None = None
        self._cookies: dict[str, str] | None = None
        self._body: bytes | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    @property
    def method(self) -> str:
        """The method, in capitals."""
        method: str = self.scope["method"]
        return method

    @property
    def path(self) -> str:
        """The decoded path, with the mount point."""
        path: str = self.scope["path"]
        return path

    @property
    def headers(self) -> Headers:
        """The header fields."""
        pairs = self.scope["headers"]
        return Headers(pairs if isinstance(pairs, list) else list(pairs))

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The header fields by lower-case name; of a repeated one the last."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers

    @property
    def query(self) -> dict[str, list[str]]:
        """The query parameters, each with all its values."""
        if self.known_query is None:
            self.known_query = parse_query(self.scope["query_string"])
        return self.known_query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        if self._cookies is None:
            self._cookies = web.cookies.parse_cookies(self.headers.get("cookie", ""))
        return self._cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the client, if known."""
        client = self.scope.get("client")
        return None if client is None else (client[0], client[1])

    @property
    def state(self) -> dict[str, Any]:
        """What the lifespan shares with requests, and middleware with handlers."""
        state: dict[str, Any] = self.scope.setdefault("state", {})
        return state

    @property
    def session(self) -> Any:
        """The session.  Raises ``UsageError`` without the Sessions middleware."""
        if "session" not in self.scope:
            raise UsageError("there is no session; add the Sessions middleware")
        return self.scope["session"]

    @property
    def host(self) -> str:
        """Name and port that the client addressed.

        Raises ``Problem`` 400 if it could not stand in a URL.
        """
        given = self.fields.get(b"host")
        if given is None:
            name, port = self.scope.get("server") or ("localhost", None)
            return f"{name}:{port}" if port else str(name)
        host = given.decode("latin-1")
        if not _HOST.fullmatch(host):
            raise Problem(400, "the Host field is not valid")
        return host

    @property
    def base_url(self) -> str:
        """Scheme, host and mount point, without a slash at the end."""
        return f"{self.scope.get('scheme', 'http')}://{self.host}{self.scope.get('root_path', '')}"

    @property
    def url(self) -> str:
        """The URL that the client asked for."""
        raw = self.scope.get("raw_path") or quote(self.path, safe=_PATH).encode()
        query = self.scope["query_string"]
        target = (raw + b"?" + query if query else raw).decode("latin-1")
        return f"{self.scope.get('scheme', 'http')}://{self.host}{target}"

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the path of a route, with the mount point.  Raises ``UsageError`` if unknown."""
        return str(self.scope.get("root_path", "")) + str(self.app.url_for(name, **params))

    # -- content -------------------------------------------------------------

    async def next_message(self) -> Message:
        """Receive one message, perhaps one that was received before."""
        message = self._tail
        if message is not None:
            self._tail = None
            return message
        return await self.receive()

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the content as it comes, without a limit of size.

        Raises ``ClientDisconnected`` if the client leaves before its end.
        """
        if self._body is not None:
            yield self._body
            return
        self.streamed = True
        while not self.ended:
            message = await self.next_message()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client left before all content had come")
            self.ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def body(self) -> bytes:
        """Return all content.

        Raises ``Problem`` 413 for more than ``max_body_size`` bytes,
        ``ClientDisconnected`` if the client leaves before its end, ``UsageError``
        if it was streamed before.
        """
        if self._body is not None:
            return self._body
        if self.streamed:
            raise UsageError("the content was taken by stream(); it comes only once")
        announced = self.fields.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_body_size:
            raise self._too_large()
        # Kept here, so that nothing is lost if this is cancelled.
        pieces = self._pieces
        size = sum(map(len, pieces)) if pieces else 0
        while not self.ended:
            message = await (self.receive() if self._tail is None else self.next_message())
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client left before all content had come")
            piece = message.get("body", b"")
            size += len(piece)
            if size > self.max_body_size:
                raise self._too_large()
            pieces.append(piece)
            self.ended = not message.get("more_body", False)
        self._body = body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def _too_large(self) -> Problem:
        return Problem(413, f"the content may have at most {self.max_body_size} bytes")

    async def text(self) -> str:
        """Return all content as UTF-8.  Raises ``Problem`` 400 if it is not."""
        try:
            return (await self.body()).decode()
        except UnicodeDecodeError:
            raise Problem(400, "the content is not UTF-8") from None

    @overload
    async def json(self) -> Any: ...

    @overload
    async def json(self, kind: type[T]) -> T: ...

    async def json(self, kind: Any = Any) -> Any:
        """Return the content decoded as JSON, as a ``kind``.

        Raises ``Problem`` 400 or 422 if it is not.
        """
        return read_json(codec_of(kind), await self.body())

    async def form(self) -> dict[str, list[str]]:
        """Return the pairs of an urlencoded form.  Raises ``Problem`` 415 for another type."""
        kind = self.fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in (b"application/x-www-form-urlencoded", b""):
            raise Problem(415, "the content must be application/x-www-form-urlencoded")
        return parse_query(await self.body())

    # -- more than the content -----------------------------------------------

    async def early_hints(self, *links: str) -> None:
        """Tell the client what it will need, before the response (RFC 8297).

        ``links`` are values of Link fields.  Nothing is sent where the server cannot.
        """
        if "http.response.early_hint" in self.scope.get("extensions", {}):
            values = [value for _, value in to_pairs([("link", link) for link in links])]
            await self.send({"type": "http.response.early_hint", "links": values})

    async def disconnected(self) -> None:
        """Return when the client has left; content not yet read is read and kept."""
        while not await self.over():
            pass

    async def over(self) -> bool:
        """Return True when the client has left, and False when the server is about to.

        The latter only if the response asked for it (the extension ``tidegate.drain``).
        """
        try:
            if not self.streamed:
                await self.body()
            kind = ""
            while kind not in ("http.disconnect", "http.drain"):
                kind = (await self.next_message())["type"]
            if kind == "http.drain":
                return False
        except ClientDisconnected:
            pass
        self._tail = {"type": "http.disconnect"}
        return True

    async def is_disconnected(self) -> bool:
        """Say whether the client has left, as far as is known now."""
        try:
            async with asyncio.timeout(0):
                await self.disconnected()
        except TimeoutError:
            return False
        return True
