"""A second opinion on HTTP/1: slow, whole streams only, and sharing no code with the parser.

It knows no streaming and no error statuses.  It only says which complete
requests a stream begins with, by the grammar of RFC 9112 in its strictest
reading.  Every request it finds must be delivered, and no other.
"""

from __future__ import annotations

import ipaddress
import re

__all__ = ["complete_requests"]

Fields = list[tuple[bytes, bytes]]
Found = tuple[bytes, bytes, bytes, Fields]
"""Method, target, content and trailers of one request."""

MAX_FIELDS = 100
MAX_EXTENSION_SIZE = 256

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD = re.compile(rb"(%b):([\t -~\x80-\xff]*)\r\n" % TOKEN)
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]+) ([!\"$-~]+) HTTP/1\.([01])\r\n")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t -~\x80-\xff]*)?\r\n")
NAME_AND_PORT = re.compile(
    rb"(\[[^\]]*\]|(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::([0-9]{0,5}))?"
)
FUTURE_ADDRESS = re.compile(rb"v[0-9A-Fa-f]+\.[0-9A-Za-z\-._~!$&'()*+,;=:]+")
URL = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]+)(?:[/?].*)?")

NOT_IN_TRAILERS = {
    *(b"authorization", b"connection", b"content-encoding", b"content-length"),
    *(b"content-range", b"content-type", b"cookie", b"expect", b"host", b"keep-alive"),
    *(b"max-forwards", b"proxy-authorization", b"range", b"set-cookie", b"te", b"trailer"),
    *(b"transfer-encoding", b"upgrade", b"x-forwarded-for", b"x-forwarded-proto"),
}


def complete_requests(data: bytes) -> list[Found]:
    """Return the requests that a client of the default limits has sent completely."""
    found: list[Found] = []
    position = 0
    while True:
        if data[position : position + 2] == b"\r\n":
            position += 2
        line = REQUEST_LINE.match(data, position)
        if line is None:
            return found
        method, target, minor = line.groups()
        fields, position = _fields(data, line.end())
        if position < 0 or not _acceptable(method, target, minor, fields):
            return found
        content = _content(data, position, fields)
        if content is None:
            return found
        body, trailers, position = content
        found.append((method, target, body, trailers))
        if not _kept_alive(minor, fields):
            return found


def _fields(data: bytes, position: int) -> tuple[Fields, int]:
    """Return fields and where the empty line after them ends, or -1."""
    fields = []
    while (match := FIELD.match(data, position)) is not None:
        fields.append((match[1].lower(), match[2].strip(b"\t ")))
        position = match.end()
    if data[position : position + 2] != b"\r\n" or len(fields) > MAX_FIELDS:
        return fields, -1
    return fields, position + 2


def _values(fields: Fields, wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def _items(fields: Fields, wanted: bytes) -> set[bytes]:
    values = b",".join(_values(fields, wanted)).lower()
    return {item.strip(b"\t ") for item in values.split(b",")} - {b""}


def _acceptable(method: bytes, target: bytes, minor: bytes, fields: Fields) -> bool:
    hosts = _values(fields, b"host")
    lengths = _values(fields, b"content-length")
    codings = _values(fields, b"transfer-encoding")
    return (
        (len(hosts) == 1 or (minor == b"0" and not hosts))
        and all(map(_is_host, hosts))
        and _is_target(method, target)
        and len(lengths) + len(codings) <= 1
        and all(re.fullmatch(rb"[0-9]{1,18}", length) for length in lengths)
        and all(int(length) <= 2**30 for length in lengths)
        and all(minor == b"1" and coding.lower() == b"chunked" for coding in codings)
        and (minor == b"0" or _items(fields, b"expect") <= {b"100-continue"})
    )


def _is_target(method: bytes, target: bytes) -> bool:
    if method == b"CONNECT":
        parts = NAME_AND_PORT.fullmatch(target)
        return parts is not None and bool(parts[1] and parts[2]) and _is_host(target)
    if target == b"*":
        return method == b"OPTIONS"
    url = URL.fullmatch(target)
    if url is None:
        return target[:1] == b"/"
    return url[1][:1] != b":" and _is_host(url[1])


def _is_host(text: bytes) -> bool:
    parts = NAME_AND_PORT.fullmatch(text)
    if parts is None:
        return False
    if parts[1][:1] != b"[":
        return True
    address = parts[1][1:-1]
    if FUTURE_ADDRESS.fullmatch(address):
        return True
    try:
        ipaddress.IPv6Address(address.decode("ascii"))
    except ValueError:
        return False
    return b"%" not in address


def _content(data: bytes, position: int, fields: Fields) -> tuple[bytes, Fields, int] | None:
    """Return content, trailers and where they end; None if they are not all there."""
    if _values(fields, b"transfer-encoding"):
        return _chunks(data, position)
    lengths = _values(fields, b"content-length")
    end = position + (int(lengths[0]) if lengths else 0)
    return (data[position:end], [], end) if end <= len(data) else None


def _chunks(data: bytes, position: int) -> tuple[bytes, Fields, int] | None:
    content = b""
    while (match := CHUNK_SIZE.match(data, position)) is not None:
        size = int(match[1], 16)
        position = match.end()
        if len(match[2] or b"") > MAX_EXTENSION_SIZE:
            return None
        if size == 0:
            trailers, position = _fields(data, position)
            forbidden = NOT_IN_TRAILERS & {name for name, _ in trailers}
            return None if position < 0 or forbidden else (content, trailers, position)
        if data[position + size : position + size + 2] != b"\r\n":
            return None
        content += data[position : position + size]
        position += size + 2
    return None


def _kept_alive(minor: bytes, fields: Fields) -> bool:
    options = _items(fields, b"connection")
    return b"close" not in options and (minor == b"1" or b"keep-alive" in options)
