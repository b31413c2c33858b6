"""From the arguments of a test to a request: URL, head and content.

The head is written as a client of HTTP/1.1 writes it and read as the server
reads it, so an application never sees one that the server would refuse.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

from ..errors import AppError, BadRequest, UsageError
from ..http import Head, field, is_token
from ..web.codec import to_json
from ..web.headers import Pairs, to_pairs
from ..wire.http1.head import parse_head
from ..wire.http1.limits import Http1Limits
from .multipart import File, multipart

__all__ = ["Content", "HeaderValues", "Maker", "Outgoing", "Pieces", "RequestOptions"]

HeaderValues = Mapping[str, str] | Iterable[tuple[str, str]]
Pieces = Iterable[bytes | str] | AsyncIterable[bytes | str]
Content = bytes | bytearray | memoryview | str | Pieces
Params = Mapping[str, Any] | Iterable[tuple[str, Any]]
Files = Mapping[str, File] | Iterable[tuple[str, File]]


class RequestOptions(TypedDict, total=False):
    """What a request may be given; ``timeout`` is seconds, ``chunk_size`` bytes.

    At most one of ``json``, ``content`` and ``data`` is the content; ``files``
    may accompany ``data``.
    """

    params: Params
    json: Any
    content: Content
    data: Params
    files: Files
    headers: HeaderValues
    cookies: Mapping[str, str]
    timeout: float | None
    follow_redirects: bool
    chunk_size: int  # of the content as it arrives; all at once without it
    wait: bool  # for the end of the application's call, not only of the response


@dataclass(slots=True)
class Outgoing:
    """One request, ready to be sent."""

    url: str  # without query
    scheme: str
    host: str
    head: Head
    content: bytes | Pieces
    chunk_size: int | None = None

    @property
    def at_once(self) -> bool:
        """Whether the content arrives with the head, as a small one does."""
        return (
            isinstance(self.content, bytes)
            and self.chunk_size is None
            and not self.head.expects_continue
            and len(self.content) == self.head.body_length
        )


_LIMITS = Http1Limits()
_METHODS_WITH_CONTENT = frozenset(("POST", "PUT", "PATCH"))
_UNENCODED = re.compile(r"[^!-~]|#")


class Maker:
    """Makes requests to one place, with the same headers."""

    def __init__(self, base_url: str, headers: HeaderValues | None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
            raise UsageError(f"base_url must be like 'http://testserver', not {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self._headers = [(b"accept", b"*/*"), (b"user-agent", b"tidegate")]
        own = to_pairs(headers)
        names = {name for name, _ in own}
        self._headers = [pair for pair in self._headers if pair[0] not in names] + own

    def absolute(self, url: str) -> str:
        """Return the absolute URL for what a test wrote; relative ones lead below the base."""
        if "://" in url.partition("?")[0]:
            scheme, _, rest = url.partition("://")
            return {"ws": "http", "wss": "https"}.get(scheme, scheme) + "://" + rest
        if url and url[0] not in "/?":
            url = "/" + url
        return self.base_url + url

    def make(
        self,
        method: str,
        url: str,
        options: RequestOptions,
        cookie: str = "",
        extra: Pairs | None = None,
    ) -> Outgoing:
        """Return a request to an absolute URL.

        Raises ``UsageError`` for arguments that do not go together, and for a
        head that the server would refuse.
        """
        scheme, host, path, query = _split(url)
        if options.get("params"):
            query = "&".join(filter(None, [query, _urlencoded(options["params"])]))
        content, kind = _content_of(options)
        pairs: Pairs = [(b"host", host.encode("idna" if not host.isascii() else "ascii"))]
        pairs += self._headers
        if kind:
            pairs.append((b"content-type", kind.encode()))
        if not isinstance(content, bytes):
            pairs.append((b"transfer-encoding", b"chunked"))
        elif content or method in _METHODS_WITH_CONTENT:
            pairs.append((b"content-length", b"%d" % len(content)))
        if cookie := _with_cookies(cookie, options.get("cookies")):
            pairs.append((b"cookie", cookie.encode("latin-1")))
        pairs += extra or []
        own = _own_pairs(options.get("headers"))
        if own:
            names = {name for name, _ in own}
            if b"content-length" in names:
                names.add(b"transfer-encoding")
            pairs = [pair for pair in pairs if pair[0] not in names] + own
        target = f"{path}?{query}" if query else path
        head = _head(method, target, pairs)
        where = f"{scheme}://{host}{path}"
        return Outgoing(where, scheme, host, head, content, options.get("chunk_size"))

    def redirected(
        self, status: int, method: str, url: str, location: str, options: RequestOptions
    ) -> tuple[str, str, RequestOptions]:
        """Return method, URL and options of the request a redirect leads to."""
        changed = dict(options)
        # The Location says all of it.
        changed.pop("params", None)
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            # RFC 9110 sections 15.4.2 to 15.4.4.
            method = "GET"
            for name in ("json", "content", "data", "files", "chunk_size"):
                changed.pop(name, None)
        elif not isinstance(changed.get("content", b""), bytes | bytearray | memoryview | str):
            raise UsageError(f"{url}: content that is an iterable cannot be sent again")
        target = urljoin(url, location)
        own = to_pairs(options.get("headers"))
        names = {b"host", b"content-length", b"transfer-encoding"}
        if method == "GET":
            names.add(b"content-type")
        if urlsplit(target).netloc != urlsplit(url).netloc:
            names |= {b"authorization", b"cookie"}
        kept = [(n.decode(), v.decode("latin-1")) for n, v in own if n not in names]
        return method, target, cast(RequestOptions, {**changed, "headers": kept})


def _split(url: str) -> tuple[str, str, str, str]:
    """Return scheme, host, path and query, with what must be percent-encoded encoded."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https"):
        raise UsageError(f"{url!r} is not an http URL")
    rest = rest.partition("#")[0]
    rest, _, query = rest.partition("?")
    host, slash, path = rest.partition("/")
    path = slash + path or "/"
    if not (path.isascii() and path.isprintable()) or " " in path:
        path = _UNENCODED.sub(_percent, path)
    if not (query.isascii() and query.isprintable()) or " " in query:
        query = _UNENCODED.sub(_percent, query)
    return scheme, host.rpartition("@")[2], path, query


def _percent(found: re.Match[str]) -> str:
    return quote(found[0], safe="")


def _own_pairs(headers: HeaderValues | None) -> Pairs:
    try:
        return to_pairs(headers)
    except AppError as error:
        raise UsageError(str(error)) from None


def _head(method: str, target: str, pairs: Pairs) -> Head:
    name = method.encode("ascii", "replace")
    if not is_token(name):
        raise UsageError(f"{method!r} is not a method")
    try:
        lines = b"".join([field(*pair).line for pair in pairs])
        block = b"%b %b HTTP/1.1\r\n%b" % (name, target.encode("ascii"), lines[:-2])
        return parse_head(block, _LIMITS)
    except AppError as error:
        raise UsageError(str(error)) from None
    except BadRequest as error:
        raise UsageError(
            f"the server would answer {error.status} to {method} {target}: {error.reason}"
        ) from None


def _content_of(options: RequestOptions) -> tuple[bytes | Pieces, str]:
    """Return the content and its type; the type is empty if nothing says it."""
    given = [name for name in ("json", "content", "data") if name in options]
    if len(given) > 1 or ("files" in options and given not in ([], ["data"])):
        raise UsageError(f"a request has one content, not {' and '.join(given)}")
    if "json" in options:
        return to_json(options["json"]), "application/json"
    if "files" in options:
        return multipart(_listed(options.get("data", ())), _items(options["files"]))
    if "data" in options:
        return _urlencoded(options["data"]).encode(), "application/x-www-form-urlencoded"
    content = options.get("content", b"")
    if isinstance(content, str):
        return content.encode(), "text/plain; charset=utf-8"
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content), ""
    if isinstance(content, Iterable | AsyncIterable) and not isinstance(content, Mapping):
        return cast(Pieces, content), ""
    raise UsageError(f"content is bytes, str or their iterable, not {content!r}; see json=")


def _urlencoded(params: Params) -> str:
    return urlencode(_listed(params))


def _listed(params: Params) -> list[tuple[str, str]]:
    """Return pairs of text: a list is its items, None is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in _items(params):
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        pairs += [(name, _text(one)) for one in values if one is not None]
    return pairs


def _items(pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return list(pairs.items() if isinstance(pairs, Mapping) else pairs)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_cookies(cookie: str, more: Mapping[str, str] | None) -> str:
    if not more:
        return cookie
    return "; ".join(filter(None, [cookie, *[f"{name}={value}" for name, value in more.items()]]))
