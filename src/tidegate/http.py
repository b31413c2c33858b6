"""The vocabulary of HTTP that every version shares.

Request heads, response fields, status phrases, token rules and dates: what
RFC 9110 says whatever the wire looks like.  How a message is *framed* belongs to
the core of each protocol under ``wire/``.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Sequence
from http import HTTPStatus

from .errors import AppError

__all__ = [
    "CLOSE",
    "CODING",
    "CONNECTION",
    "DATE",
    "KNOWN_FIELDS",
    "LENGTH",
    "NO_BODY",
    "PROXY_FIELDS",
    "REASON",
    "SERVER",
    "Defaults",
    "Field",
    "Head",
    "field",
    "http_date",
    "is_host",
    "is_token",
    "phrase",
    "weights",
]

# What a response field means to us; a field has at most one role, save that a
# Connection field may also ask to close.
LENGTH = 1
CODING = 2
CONNECTION = 4
DATE = 8
SERVER = 16
CLOSE = 32
REASON = 64
"""Not a header: the value is the reason phrase, where a protocol has one."""

NO_BODY = -1
"""As the length of a response: there is no body, and nothing says how long it is."""

PROXY_FIELDS = frozenset(
    b"client-cert client-cert-chain forwarded x-forwarded-for x-forwarded-host x-forwarded-port "
    b"x-forwarded-prefix x-forwarded-proto".split()
)
"""Fields of a request in which a proxy says for whom it speaks; see ``Head.forwarded``."""

# RFC 9110 section 5.6.2.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# RFC 9110 section 5.5 forbids CR, LF and NUL; the other controls have no use
# but to confuse whoever reads the field next.
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_HOST_VALUE = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|\[[vV][0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:\-]+\]"
    rb"|(?:[\w.~!$&'()*+,;=\-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)

_ROLES = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"date": DATE,
    b"server": SERVER,
}

# Applications answer with the same few fields again and again.  Long values
# rarely repeat, so they are not worth the memory.
_MAX_KNOWN_FIELDS = 1024
_MAX_KNOWN_VALUE = 128

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


class Head:
    """The head of one request, validated and never checked again downstream.

    ``headers`` carries lower-case names and stripped values, in order.
    ``target`` is the request target as received; ``path`` and ``query`` are
    its parts, still percent-encoded.  ``body_length`` is a number of bytes, or
    ``framing.CHUNKED``.  ``upgrade`` is the lower-case value of Upgrade, or
    ``b""`` when the client did not ask.  ``forwarded`` says that a proxy field
    (``PROXY_FIELDS``) is among the headers, ``takes_trailers`` that the client
    understands fields after the content (RFC 9110 section 6.5.1).
    """

    __slots__ = (
        *("body_length", "expects_continue", "forwarded", "headers", "keep_alive", "method"),
        *("path", "query", "scheme", "takes_trailers", "target", "upgrade", "version"),
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        path: bytes,
        query: bytes,
        version: str,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.version = version
        self.headers = headers
        self.scheme = ""
        self.body_length = 0
        self.upgrade = b""
        self.keep_alive = True
        self.expects_continue = self.forwarded = self.takes_trailers = False


class Field:
    """One response field, checked: it cannot split the response or the next one."""

    __slots__ = ("length", "line", "name", "role", "value")

    def __init__(self, name: bytes, value: bytes, role: int) -> None:
        self.name = name
        self.value = value
        self.role = role
        self.length = int(value) if role == LENGTH else 0
        self.line = b"%b: %b\r\n" % (name, value)

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.value!r})"


class Defaults:
    """The response fields that the server adds of its own accord."""

    __slots__ = ("fields", "lines")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = fields
        self.lines = b"".join([one.line for one in fields])


def field(name: bytes, value: bytes) -> Field:
    """Return the response field ``name: value`` or raise ``AppError``.

    The only place where the names and values of a response are judged, for
    every protocol (RFC 9110 sections 5.1 and 5.5).
    """
    found = KNOWN_FIELDS.get((name, value))
    if found is not None:
        return found
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise AppError(f"header {name!r}: {value!r} must be a pair of bytes")
    if _TOKEN.fullmatch(name) is None:
        raise AppError(f"header name {name!r} is not a token (RFC 9110 section 5.1)")
    if _BAD_VALUE.search(value) is not None:
        raise AppError(f"the value of header {name!r} holds a control character: {value!r}")
    lower = name.lower()
    role = _ROLES.get(lower, 0)
    if role == CONNECTION and b"close" in _list_items(value):
        role |= CLOSE
    if role == LENGTH and not (value.isdigit() and len(value) <= 18):
        raise AppError(f"content-length is not a number: {value!r}")
    made = Field(name, value, role)
    if len(value) <= _MAX_KNOWN_VALUE:
        if len(KNOWN_FIELDS) >= _MAX_KNOWN_FIELDS:
            KNOWN_FIELDS.clear()
        KNOWN_FIELDS[name, value] = made
    return made


KNOWN_FIELDS: dict[tuple[bytes, bytes], Field] = {}
"""Fields judged before; a hit saves the whole judgement."""


def is_token(name: bytes) -> bool:
    """Say whether ``name`` is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def is_host(value: bytes) -> bool:
    """Say whether this is uri-host [":" port] (RFC 3986 section 3.2.2)."""
    if _HOST_VALUE.fullmatch(value) is None:
        return False
    if value[:1] != b"[" or value[1:2] in (b"v", b"V"):
        return True
    try:
        ipaddress.IPv6Address(value[1 : value.index(b"]")].decode("ascii"))
    except ValueError:
        return False
    return True


def phrase(status: int) -> str:
    """Return the reason phrase of a status code; empty when it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def http_date(seconds: float) -> bytes:
    """Return a moment (seconds since 1970) as an IMF-fixdate (RFC 9110 section 5.6.7)."""
    year, month, day, hour, minute, second, weekday = time.gmtime(seconds)[:7]
    # Not strftime: it would follow the locale.
    text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year}"
    return f"{text} {hour:02}:{minute:02}:{second:02} GMT".encode()


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


def _list_items(value: bytes) -> list[bytes]:
    return [item.strip(b" \t").lower() for item in value.split(b",")]
