"""The responses that a handler may return when a plain value is not enough."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import quote

from .. import web
from ..asgi import Receive, Scope, Send
from ..bridge.threads import to_thread
from ..errors import ClientDisconnected
from .codec import to_json
from .headers import MutableHeaders, Pairs, to_pairs

if TYPE_CHECKING:
    from .cookies import SameSite

__all__ = [
    "HTMLResponse",
    "JSONResponse",
    "RedirectResponse",
    "Response",
    "StreamResponse",
    "TextResponse",
]

T = TypeVar("T")

_END = object()


class Response(Generic[T]):
    """A whole response: ``Response(item, 201, {"location": "/items/1"})``.

    ``content`` is bytes, ``str``, None, or anything that becomes JSON.  It is an
    ASGI application too.  ``headers`` may be changed until it is sent.
    """

    media_type: ClassVar[str | None] = None
    whole: ClassVar[bool] = True  # False if the content is made while it is sent

    def __init__(
        self,
        content: T | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        *,
        media_type: str | None = None,
    ) -> None:
        self._content: Any = content
        self.given_status = status
        self.pairs: Pairs = to_pairs(headers)
        self.kind = media_type or self.media_type
        self.encode: Callable[[Any], bytes] = to_json
        self._default_status = 200

    def settle(self, status: int, encode: Callable[[Any], bytes]) -> None:
        """Take from the route what was not given."""
        self._default_status = status or 200
        self.encode = encode

    @property
    def content(self) -> Any:
        """What is sent; another content has another length."""
        return self._content

    @content.setter
    def content(self, content: Any) -> None:
        self._content = content
        self.headers.discard("content-length")

    @property
    def status(self) -> int:
        """The status code."""
        return self.given_status or self._default_status

    @status.setter
    def status(self, status: int) -> None:
        self.given_status = status

    @property
    def headers(self) -> MutableHeaders:
        """The header fields; changes change the response."""
        return MutableHeaders(self.pairs)

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        http_only: bool = True,
        same_site: SameSite | None = "lax",
    ) -> None:
        """Set a cookie (RFC 6265); ``max_age`` in seconds, ``expires`` in seconds since 1970.

        Secure, HttpOnly and SameSite are on until said otherwise.
        """
        field = web.cookies.cookie_field(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            http_only=http_only,
            same_site=same_site,
        )
        self.headers.add("set-cookie", field)

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        same_site: SameSite | None = "lax",
    ) -> None:
        """Tell the client to forget a cookie; all the rest as when it was set."""
        self.set_cookie(
            name,
            max_age=0,
            expires=0,
            path=path,
            domain=domain,
            secure=secure,
            same_site=same_site,
        )

    def render(self) -> bytes:
        """Return the content as bytes, and settle what the head says of it."""
        content = self.content
        if isinstance(content, bytes | bytearray | memoryview):
            body, kind = bytes(content), "application/octet-stream"
        elif isinstance(content, str) and self.kind != "application/json":
            body, kind = content.encode(), "text/plain; charset=utf-8"
        elif content is None and self.kind != "application/json":
            body, kind = b"", ""
        else:
            body, kind = self.encode(content), "application/json"
        names = {name for name, _ in self.pairs}
        kind = self.kind or kind
        if kind and b"content-type" not in names:
            self.pairs.append((b"content-type", kind.encode("latin-1")))
        if self.status in (204, 304):
            return b""  # RFC 9110 section 6.4.1
        if b"content-length" not in names:
            self.pairs.append((b"content-length", b"%d" % len(body)))
        return body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self.render()
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": self.status, "headers": self.pairs})
        await send({"type": "http.response.body", "body": body})


class TextResponse(Response[str]):
    """Plain text, in UTF-8."""

    media_type = "text/plain; charset=utf-8"


class HTMLResponse(Response[str]):
    """An HTML page, in UTF-8."""

    media_type = "text/html; charset=utf-8"


class JSONResponse(Response[T]):
    """JSON, also if the content is ``str`` or None."""

    media_type = "application/json"


class RedirectResponse(Response[None]):
    """Another place: 307 keeps method and content, 303 becomes GET (RFC 9110 section 15.4)."""

    def __init__(
        self, url: str, status: int = 307, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(None, status, headers)
        self.headers["location"] = quote(url, safe=":/%#?=@[]!$&'()*+,;~")


class StreamResponse(Response[Any]):
    """Content that is made while it is sent.

    ``content`` is an iterator or asynchronous iterator of bytes, ``str``, or
    anything that becomes JSON, one value a line.  Plain iterators run in a
    thread.  It is closed when the response ends, also if the client leaves.
    ``trailers`` is called at the end and gives fields, where the server can send them.
    """

    whole = False

    def __init__(
        self,
        content: AsyncIterable[Any] | Iterable[Any],
        status: int | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        *,
        media_type: str | None = None,
        trailers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(None, status, headers, media_type=media_type)
        self.source = content
        self.trailers = trailers
        self.hop: Callable[..., Awaitable[Any]] = to_thread
        if self.kind is not None:
            self.pairs.append((b"content-type", self.kind.encode("latin-1")))

    def _as_bytes(self, item: Any) -> bytes:
        if isinstance(item, bytes):
            return item
        if isinstance(item, str):
            return item.encode()
        if isinstance(item, bytearray | memoryview):
            return bytes(item)
        return self.encode(item) + b"\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trails = self.trailers and "http.response.trailers" in scope.get("extensions", {})
        start: dict[str, Any] = {"type": "http.response.start", "status": self.status}
        start["headers"] = self.pairs
        if trails:
            start["trailers"] = True
        items = _Items(self.source, self.hop)
        try:
            await send(start)
            if scope["method"] != "HEAD":
                async for item in items:
                    body = self._as_bytes(item)
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            if trails and self.trailers is not None:
                pairs = to_pairs(self.trailers())
                await send({"type": "http.response.trailers", "headers": pairs})
        except ClientDisconnected:
            pass  # nobody listens; there is nothing to do but to clean up
        finally:
            await items.aclose()


class _Items:
    """Asynchronous iterator over any iterable; a plain one is moved on in a thread."""

    def __init__(
        self, source: AsyncIterable[Any] | Iterable[Any], hop: Callable[..., Awaitable[Any]]
    ) -> None:
        self._hop = hop
        self._items: Any
        if isinstance(source, AsyncIterable):
            self._items = aiter(source)
            self._step: Callable[[], Any] = self._items.__anext__
        else:
            self._items = iter(source)
            self._step = self._next
        self._busy = threading.Lock()  # held by the thread that is at work in a plain one
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Any:
        return self._step()

    async def _next(self) -> Any:
        item = await self._hop(self._next_here)
        if item is _END:
            raise StopAsyncIteration
        return item

    def _next_here(self) -> Any:
        with self._busy:
            item = next(self._items, _END)
        if self._closed:  # nobody waits for it any more
            self._close_here()
        return item

    def _close_here(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None and self._busy.acquire(blocking=False):
            close()

    async def aclose(self) -> None:
        """Close it; if a thread is at work in it, that thread does when it is done."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()
        elif hasattr(self._items, "close"):
            self._closed = True
            if not self._busy.locked():
                await self._hop(self._close_here)
