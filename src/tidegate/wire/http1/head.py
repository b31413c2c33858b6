"""From the bytes of a complete request head to a ``Head``, or to a refusal.

A head is parsed once, when all of it is there.  The grammar is RFC 9112 sections
2 to 5 and 3.2; whatever those leave to taste (bare LF, obs-fold, spaces before
the colon, lower-case methods, fragments) is refused.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from ...errors import BadRequest
from ...http import PROXY_FIELDS, Head, is_host
from .framing import FRAMING_FIELDS, body_length
from .limits import Http1Limits

__all__ = ["parse_field", "parse_head"]

# What a field name means to this module.
_HOST = 1
_FRAMING = 2
_CONNECTION = 4
_EXPECT = 8
_UPGRADE = 16
_FORWARDED = 32
_TE = 64

_ROLES = {
    b"host": _HOST,
    **dict.fromkeys(FRAMING_FIELDS, _FRAMING),
    b"connection": _CONNECTION,
    b"expect": _EXPECT,
    b"upgrade": _UPGRADE,
    **dict.fromkeys(PROXY_FIELDS, _FORWARDED),
    b"te": _TE,
}

_COMMON_NAMES = (
    b"Accept Accept-Encoding Accept-Language Authorization Cache-Control Connection "
    b"Content-Length Content-Type Cookie Expect Host If-Modified-Since If-None-Match Origin "
    b"Pragma Range Referer Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site TE Transfer-Encoding "
    b"Upgrade User-Agent X-Forwarded-For X-Forwarded-Proto X-Request-Id"
).split()

# Everything a field line may hold: a head from which these are deleted leaves
# nothing but its line ends.  One pass over the bytes judges every line at once.
_LEGAL = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

# RFC 3986 allows fewer, but browsers send brackets, braces and bars as they are.
_TARGET_LEGAL = bytes(byte for byte in range(0x21, 0x7F) if byte != ord("#"))

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Z]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)(/[^?]*)?(\?.*)?", re.IGNORECASE)

_COMMON_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_METHODS = {name.encode(): name for name in _COMMON_METHODS}
_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}

# What was seen and judged before need not be judged again: this halves the cost
# of a head.  The caches are filled once and never cleared, so that a peer that
# makes names up cannot empty them; it can only make them useless.
_MAX_KNOWN_NAMES = 512
_MAX_KNOWN_NAME_SIZE = 64
_known_names: dict[bytes, tuple[bytes, int]] = {}

_RequestLine: TypeAlias = tuple[str, bytes, bytes, bytes, str]
_MAX_KNOWN_LINES = 1024
_MAX_KNOWN_LINE_SIZE = 128
_known_lines: dict[bytes, _RequestLine] = {}

# Whole field lines too, but only such as say nothing of one client alone.
_FieldLine: TypeAlias = tuple[tuple[bytes, bytes], int]
_OFTEN_THE_SAME = frozenset(
    b"accept accept-encoding accept-language cache-control connection content-type expect host "
    b"origin pragma sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user te "
    b"transfer-encoding upgrade upgrade-insecure-requests user-agent".split()
)
_known_fields: dict[bytes, _FieldLine] = {}


def parse_head(block: bytes, limits: Http1Limits) -> Head:
    """Parse a head: request line and field lines without the empty line that ends them.

    Raises ``BadRequest`` with the status to answer.
    """
    known_lines, known_fields = _known_lines, _known_fields
    lines = block.split(b"\r\n")
    if len(lines) > limits.max_fields + 1:
        raise BadRequest(f"more than {limits.max_fields} header fields", 431)
    # Lines seen before are known to be legal; the first that is not makes us
    # look at every byte of the block.
    judged = False
    known_line = known_lines.get(lines[0])
    if known_line is None:
        judged = _judge(block, len(lines))
        known_line = _request_line(lines[0])
    method, target, path, query, version = known_line
    if len(target) > limits.max_target_size:
        raise BadRequest(f"request target longer than {limits.max_target_size} bytes", 414)

    headers = []
    seen = 0
    del lines[0]
    for line in lines:
        known = known_fields.get(line)
        if known is None:
            judged = judged or _judge(block, len(lines) + 1)
            known = _field(line)
        pair, role = known
        if role:
            if role & seen & _HOST:
                raise BadRequest("more than one Host")
            seen |= role
        headers.append(pair)

    head = Head(method, target, path, query, version, headers)
    if not seen & _HOST and version == "1.1":
        raise BadRequest("no Host in an HTTP/1.1 request")
    if path[:1] != b"/" or method == "CONNECT":
        _other_target_form(head)
    if seen & ~_HOST or version == "1.0":
        _consequences(head, seen, limits)
    return head


def _judge(block: bytes, lines: int) -> bool:
    """Return True if ``block`` holds no control character but the ends of its lines."""
    if block.translate(None, _LEGAL) != b"\r\n" * (lines - 1):
        raise BadRequest("control character or bare line end in the request head")
    return True


def parse_field(line: bytes) -> tuple[bytes, bytes]:
    """Parse one field line without its CRLF; for trailers.  Raises ``BadRequest``."""
    name, colon, value = line.partition(b":")
    if not colon:
        raise BadRequest("a trailer line has no colon")
    if line.translate(None, _LEGAL):
        raise BadRequest("control character in a trailer")
    return _name(name)[0], value.strip(b" \t")


def _consequences(head: Head, seen: int, limits: Http1Limits) -> None:
    """Work out what the fields that concern the connection mean."""
    headers = head.headers
    if seen & _FRAMING:
        head.body_length = body_length(head.version, headers, limits.max_body_size)
    options = _tokens(headers, b"connection") if seen & _CONNECTION else []
    if head.version == "1.0":
        head.keep_alive = b"keep-alive" in options and b"close" not in options
    else:
        head.keep_alive = b"close" not in options
        if seen & _EXPECT:
            _expectation(head)
        if seen & _UPGRADE and b"upgrade" in options:
            wanted = [value for name, value in headers if name == b"upgrade"]
            head.upgrade = b", ".join(wanted).lower()
        if seen & _TE:
            head.takes_trailers = b"trailers" in _tokens(headers, b"te")
    head.forwarded = bool(seen & _FORWARDED)


def _expectation(head: Head) -> None:
    # RFC 9110 section 10.1.1: 100-continue is the only expectation there is,
    # and it says nothing when no body follows.
    for item in _tokens(head.headers, b"expect"):
        if item != b"100-continue":
            raise BadRequest("unknown expectation", 417)
        head.expects_continue = head.body_length != 0


def _tokens(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    """Return the items of a comma-separated field, lower-cased, all its lines joined."""
    values = [value for name, value in headers if name == wanted]
    items = b",".join(values).lower().split(b",")
    return [item.strip(b" \t") for item in items if item.strip(b" \t")]


def _other_target_form(head: Head) -> None:
    """Handle what is not origin-form (RFC 9112 sections 3.2.2 to 3.2.4)."""
    target = head.target
    if head.method == "CONNECT":
        name, colon, port = target.rpartition(b":")
        if not (name and colon and port.isdigit()) or not is_host(target):
            raise BadRequest("the target of CONNECT is not host:port")
        head.path = b""
        return
    if target == b"*" and head.method == "OPTIONS":
        return
    parts = _ABSOLUTE.fullmatch(target)
    if parts is None:
        raise BadRequest("the request target is neither a path nor an http URL")
    scheme, authority, path, query = parts.groups()
    if not authority or authority[:1] == b":" or not is_host(authority):
        raise BadRequest("the request target names no valid host")
    head.scheme = scheme.decode().lower()
    head.path = path or b"/"
    head.query = (query or b"?")[1:]
    # RFC 9112 section 3.2.2: the Host field must be ignored.
    others = [pair for pair in head.headers if pair[0] != b"host"]
    head.headers = [(b"host", authority), *others]


def _request_line(line: bytes) -> _RequestLine:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise BadRequest("the request line is not METHOD SP TARGET SP VERSION")
    method = _METHODS.get(parts[0]) or _method(parts[0])
    version = _VERSIONS.get(parts[2]) or _version(parts[2])
    target = parts[1]
    if target.translate(None, _TARGET_LEGAL):
        raise BadRequest("the request target holds a character that must be percent-encoded")
    path, _, query = target.partition(b"?")
    known = (method, target, path, query, version)
    if len(_known_lines) < _MAX_KNOWN_LINES and len(line) <= _MAX_KNOWN_LINE_SIZE:
        _known_lines[line] = known
    return known


def _method(name: bytes) -> str:
    if _METHOD.fullmatch(name) is None:
        raise BadRequest("the method is not an upper-case token")
    return name.decode()


def _version(text: bytes) -> str:
    if _VERSION.fullmatch(text) is None:
        raise BadRequest("the request line does not end in an HTTP version")
    raise BadRequest("HTTP version not supported here", 505)


def _field(line: bytes) -> _FieldLine:
    """Parse a field line; the caller has made sure that it holds no control character."""
    known_names = _known_names
    name, colon, value = line.partition(b":")
    lower, role = known_names.get(name) or _name(name)
    if not colon:
        raise BadRequest("a header line has no colon")
    value = value.strip(b" \t")
    if role == _HOST and not is_host(value):
        raise BadRequest("Host is not a valid host name and port")
    known = ((lower, value), role)
    if (
        lower in _OFTEN_THE_SAME
        and len(line) <= _MAX_KNOWN_LINE_SIZE
        and len(_known_fields) < _MAX_KNOWN_LINES
    ):
        _known_fields[line] = known
    return known


def _name(name: bytes) -> tuple[bytes, int]:
    if _TOKEN.fullmatch(name) is None:
        raise BadRequest("a header name is not a token (RFC 9110 section 5.1)")
    lower = name.lower()
    known = (lower, _ROLES.get(lower, 0))
    if len(_known_names) < _MAX_KNOWN_NAMES and len(name) <= _MAX_KNOWN_NAME_SIZE:
        _known_names[name] = known
    return known


for _common in _COMMON_NAMES:
    _name(_common)
    _name(_common.lower())
