"""Whom does a proxy in front of us speak for?  The PROXY protocol, versions 1 and 2.

A proxy that only passes bytes on says first whose they are.  The format is
"The PROXY protocol", versions 1 and 2, by HAProxy Technologies; section numbers
below are of that text.  Whatever is not exactly so is refused: what follows a
header that was read wrong would be taken for a request.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ..errors import BadRequest

__all__ = ["MAX_HEADER_SIZE", "ClientTls", "ProxyHeader", "read_proxy_header"]

# Section 2.1: "107 chars" with CRLF is the longest line of version 1.
_MAX_LINE = 107

MAX_HEADER_SIZE = 16 * 1024
"""Bytes of a whole header: addresses take 232 at most, a client's certificate a few thousand."""

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16  # signature, version and command, family, length

_LOCAL, _PROXY = 0x20, 0x21

# Section 2.2: the bytes of both addresses, by the upper four bits of the family.
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_ADDRESS_SIZES = {_UNSPEC: 0, _INET: 12, _INET6: 36, _UNIX: 216}

_NUMBER = re.compile(r"0|[1-9][0-9]{0,4}")

# Section 2.2: what may follow the addresses.
_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x03, 0x05, 0x20
_MAX_UNIQUE_ID = 128
_VERSION, _NAME, _CIPHER, _CERTIFICATE = 0x21, 0x22, 0x23, 0x28

# Bits of the ``client`` byte: over TLS; with a certificate, shown on this
# connection or when the session began.
_WITH_TLS, _WITH_CERTIFICATE = 0x01, 0x02 | 0x04

Address = tuple[str, int | None]


@dataclass(slots=True)
class ClientTls:
    """What the proxy says of TLS between the client and itself."""

    version: str = ""  # such as ``TLSv1.3``
    cipher: str = ""  # in OpenSSL's words
    shown: bool = False  # the client has shown a certificate
    error: int = 0  # of OpenSSL's verification; 0 if the certificate is good, or none was shown
    common_name: str = ""  # of the subject
    certificate: bytes = b""  # DER; many proxies do not send it


@dataclass(slots=True)
class ProxyHeader:
    """What was said; an address is None if it is not known, or a Unix socket without a name."""

    local: bool = False  # the proxy speaks for itself, as to see whether we live
    known: bool = False  # it knows whom it speaks for
    client: Address | None = None
    server: Address | None = None  # where the client has connected to
    authority: str = ""  # the name it asked for, by SNI
    alpn: bytes = b""
    unique_id: bytes = b""
    tls: ClientTls | None = None  # None: the client speaks no TLS, or the proxy does not say


def read_proxy_header(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Return the header that ``data`` begins with, and its size; None until it is complete.

    Raises ``BadRequest`` as soon as it cannot become one.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_binary(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_line(data)
    raise BadRequest("the connection does not begin with a PROXY header")


def _read_line(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, _MAX_LINE)
    if end < 0:
        if len(data) >= _MAX_LINE:
            raise BadRequest("the line of the PROXY header does not end")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise BadRequest("the PROXY header is not in ASCII") from None
    # Section 2.1: what follows UNKNOWN is to be ignored.
    if words[1] == "UNKNOWN":
        return ProxyHeader(), end + 2
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise BadRequest("the PROXY header is not PROXY, family, two addresses and two ports")
    family, source, destination = words[1:4]
    header = ProxyHeader(
        known=True,
        client=(_address(family, source), _port(words[4])),
        server=(_address(family, destination), _port(words[5])),
    )
    return header, end + 2


def _address(family: str, text: str) -> str:
    kind = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        # In one spelling, whatever the proxy's.
        return str(kind(text))
    except ValueError:
        raise BadRequest(f"the PROXY header holds an address that is none of {family}") from None


def _port(text: str) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) > 0xFFFF:
        raise BadRequest("the PROXY header holds a port that is none")
    return int(text)


def _read_binary(data: bytes) -> tuple[ProxyHeader, int] | None:
    if len(data) < _FIXED:
        return None
    command, family = data[12], data[13]
    size = _FIXED + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise BadRequest("the PROXY header is of a version or command that is not known")
    if size > MAX_HEADER_SIZE:
        raise BadRequest(f"the PROXY header is longer than {MAX_HEADER_SIZE} bytes")
    if len(data) < size:
        return None
    if command == _LOCAL:
        # Section 2.2: all that it says must be discarded.
        return ProxyHeader(local=True), size
    # The lower four bits, stream or datagram, are about the client's side.
    kind = family >> 4
    if kind not in _ADDRESS_SIZES or family & 0x0F > 2:
        raise BadRequest("the PROXY header is of a family that is not known")
    end = _FIXED + _ADDRESS_SIZES[kind]
    if end > size:
        raise BadRequest("the PROXY header is too short for its addresses")
    header = ProxyHeader(known=kind != _UNSPEC)
    _add_addresses(header, kind, data[_FIXED:end])
    # Section 2.2: of a family that is not specified, everything is ignored.
    if header.known:
        _add_values(header, data[:size], end)
    return header, size


def _add_addresses(header: ProxyHeader, kind: int, data: bytes) -> None:
    if kind == _INET:
        parts = data[:4], data[4:8]
    elif kind == _INET6:
        parts = data[:16], data[16:32]
    else:
        if kind == _UNIX:
            header.client, header.server = _path(data[:108]), _path(data[108:])
        return
    source, destination = (str(ipaddress.ip_address(part)) for part in parts)
    header.client = source, int.from_bytes(data[-4:-2], "big")
    header.server = destination, int.from_bytes(data[-2:], "big")


def _path(data: bytes) -> Address | None:
    path = data.partition(b"\0")[0]
    return (path.decode("utf-8", "surrogateescape"), None) if path else None


def _add_values(header: ProxyHeader, data: bytes, start: int) -> None:
    values = _values(data, start)
    sum_at, checksum = values.get(_CRC32C, (0, None))
    if checksum is not None:
        blank = data[:sum_at] + bytes(len(checksum)) + data[sum_at + len(checksum) :]
        if len(checksum) != 4 or _crc32c(blank) != int.from_bytes(checksum, "big"):
            raise BadRequest("the checksum of the PROXY header is wrong")
    header.alpn = values.get(_ALPN, (0, b""))[1]
    header.authority = _text(values, _AUTHORITY)
    header.unique_id = values.get(_UNIQUE_ID, (0, b""))[1]
    if len(header.unique_id) > _MAX_UNIQUE_ID:
        raise BadRequest(f"the unique id of the PROXY header is longer than {_MAX_UNIQUE_ID} bytes")
    if _SSL in values:
        header.tls = _tls(values[_SSL][1])


def _tls(data: bytes) -> ClientTls | None:
    if len(data) < 5:
        raise BadRequest("what the PROXY header says of TLS is too short")
    client, verified = data[0], int.from_bytes(data[1:5], "big")
    if not client & _WITH_TLS:
        return None
    values = _values(data, 5)
    tls = ClientTls(_text(values, _VERSION), _text(values, _CIPHER))
    if client & _WITH_CERTIFICATE:
        tls.shown = True
        tls.error = verified
        tls.common_name = _text(values, _NAME)
        tls.certificate = values.get(_CERTIFICATE, (0, b""))[1]
    return tls


def _values(data: bytes, at: int) -> dict[int, tuple[int, bytes]]:
    """Return the typed values from ``at`` to the end: where each is, and what."""
    found: dict[int, tuple[int, bytes]] = {}
    while at < len(data):
        start = at + 3
        size = int.from_bytes(data[at + 1 : start], "big")
        if start + size > len(data):
            raise BadRequest("a value in the PROXY header is cut off")
        if data[at] in found:
            raise BadRequest(f"the PROXY header holds value {data[at]:#04x} twice")
        found[data[at]] = start, data[start : start + size]
        at = start + size
    return found


def _text(values: dict[int, tuple[int, bytes]], kind: int) -> str:
    value = values.get(kind, (0, b""))[1]
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise BadRequest(f"value {kind:#04x} of the PROXY header is not a text")
    return text


def _crc32c(data: bytes) -> int:
    """Return the checksum of RFC 4960 appendix B, which the standard library lacks."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_TABLE = [_crc_entry(byte) for byte in range(256)]
