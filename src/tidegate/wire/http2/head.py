"""From the fields of a request to a ``Head``, or to a refusal.

The rules are RFC 9113 section 8, and RFC 8441 for CONNECT with a protocol.
A ``BadRequest`` of status 400 says that the request is malformed, which section
8.1.1 answers with the end of the stream; one of any other status is answered.
"""

from __future__ import annotations

import re

from ...errors import BadRequest
from ...http import PROXY_FIELDS, Head, is_host
from ..http1.framing import CHUNKED, body_length
from .hpack import Pair
from .limits import Http2Limits

__all__ = ["check_trailers", "request_head"]

# A name holds no upper-case letter (section 8.2).
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\A[ \t]|[ \t]\Z")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Z]+")

# The same characters as in a request line.
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")

_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority", b":protocol"))

_HOST, _LENGTH, _COOKIE, _TE, _EXPECT, _FORWARDED, _FORBIDDEN = (1 << bit for bit in range(7))

_ROLES = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"cookie": _COOKIE,
    b"te": _TE,
    b"expect": _EXPECT,
    **dict.fromkeys(PROXY_FIELDS, _FORWARDED),
    # Section 8.2.2: they are about an HTTP/1 connection.
    **dict.fromkeys(
        (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"),
        _FORBIDDEN,
    ),
}

# Names seen before; filled once and never cleared, as in ``http1.head``.
_MAX_KNOWN_NAMES = 512
_MAX_KNOWN_NAME_SIZE = 64
_known_names: dict[bytes, int] = {}

_COMMON_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_METHODS = {name.encode(): name for name in _COMMON_METHODS}


def request_head(fields: list[Pair], ended: bool, limits: Http2Limits) -> Head:
    """Return the head of a request; ``ended`` says that no content follows."""
    pseudo: dict[bytes, bytes] = {}
    headers: list[Pair] = []
    seen = 0
    for pair in fields:
        name, value = pair
        if name[:1] == b":":
            if headers or name in pseudo or name not in _PSEUDO:
                raise BadRequest("a pseudo-header is unknown, repeated or out of place")
            pseudo[name] = value
        else:
            role = _known_names.get(name)
            seen |= _role(name) if role is None else role
            headers.append(pair)
        if _BAD_VALUE.search(value) is not None:
            raise BadRequest("the value of a field holds a control character or outer blanks")
    if seen & _FORBIDDEN:
        raise BadRequest("a field that is about an HTTP/1 connection")
    head = _start(pseudo, limits)
    head.headers = _with_host(pseudo.get(b":authority"), headers, seen)
    _consequences(head, seen, ended, limits)
    return head


def check_trailers(fields: list[Pair]) -> None:
    """Refuse what may not follow the content (section 8.1).  Raises ``BadRequest``."""
    for name, value in fields:
        if _role(name) & (_FORBIDDEN | _LENGTH):
            raise BadRequest("a field that may not be a trailer")
        if _BAD_VALUE.search(value) is not None:
            raise BadRequest("the value of a trailer holds a control character or outer blanks")


def _role(name: bytes) -> int:
    if _NAME.fullmatch(name) is None:
        raise BadRequest("a field name is not a lower-case token")
    role = _ROLES.get(name, 0)
    if len(_known_names) < _MAX_KNOWN_NAMES and len(name) <= _MAX_KNOWN_NAME_SIZE:
        _known_names[name] = role
    return role


def _start(pseudo: dict[bytes, bytes], limits: Http2Limits) -> Head:
    """Read the pseudo-headers (section 8.3.1)."""
    name = pseudo.get(b":method", b"")
    method = _METHODS.get(name) or _method(name)
    target, scheme = pseudo.get(b":path"), pseudo.get(b":scheme")
    protocol = pseudo.get(b":protocol")
    if method == "CONNECT" and protocol is None:
        # Section 8.5.
        if target is not None or scheme is not None or b":authority" not in pseudo:
            raise BadRequest("CONNECT takes an authority, and neither scheme nor path")
        return Head(method, pseudo[b":authority"], b"", b"", "2", [])
    if target is None or scheme is None or _SCHEME.fullmatch(scheme) is None:
        raise BadRequest("a request without :method, :scheme or :path")
    if len(target) > limits.max_target_size:
        raise BadRequest(f"request target longer than {limits.max_target_size} bytes", 414)
    if _TARGET.fullmatch(target) is None and not (target == b"*" and method == "OPTIONS"):
        raise BadRequest(":path is not a path")
    path, _, query = target.partition(b"?")
    head = Head(method, target, path, query, "2", [])
    if protocol is not None:
        if method != "CONNECT" or not limits.websocket:
            raise BadRequest(":protocol without CONNECT, or not offered (RFC 8441 section 4)")
        head.upgrade = protocol.lower()
    return head


def _method(name: bytes) -> str:
    if _METHOD.fullmatch(name) is None:
        raise BadRequest("the method is not an upper-case token")
    return name.decode()


def _with_host(authority: bytes | None, headers: list[Pair], seen: int) -> list[Pair]:
    """Put the host in front (ASGI item 31), and the cookies together (section 8.2.3)."""
    if seen & _HOST:
        hosts = [value for name, value in headers if name == b"host"]
        if authority is None:
            authority = hosts[0]
        if any(host.lower() != authority.lower() for host in hosts):
            # They would name two resources to two readers (section 8.3.1).
            raise BadRequest("Host is not the same as :authority")
        headers = [pair for pair in headers if pair[0] != b"host"]
    if authority is None or not is_host(authority):
        raise BadRequest("no valid :authority")
    if seen & _COOKIE:
        cookies = [value for name, value in headers if name == b"cookie"]
        if len(cookies) > 1:
            headers = [pair for pair in headers if pair[0] != b"cookie"]
            headers.append((b"cookie", b"; ".join(cookies)))
    return [(b"host", authority), *headers]


def _consequences(head: Head, seen: int, ended: bool, limits: Http2Limits) -> None:
    """Work out what the fields mean to the protocol."""
    head.forwarded = bool(seen & _FORWARDED)
    length = 0 if ended else CHUNKED
    if seen & _LENGTH:
        announced = body_length("2", head.headers, limits.max_body_size)
        if ended and announced:
            raise BadRequest("content-length announces content, and there is none")
        length = CHUNKED if head.method == "CONNECT" else announced
    head.body_length = length
    if seen & _TE:
        values = [value.lower() for name, value in head.headers if name == b"te"]
        if any(value != b"trailers" for value in values):
            raise BadRequest("te may only say trailers (section 8.2.2)")
        head.takes_trailers = True
    if seen & _EXPECT:
        for name, value in head.headers:
            if name == b"expect":
                if value.lower() != b"100-continue":
                    raise BadRequest("unknown expectation", 417)
                head.expects_continue = not ended
