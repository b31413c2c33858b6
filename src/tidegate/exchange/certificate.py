"""What does a certificate say?  Its subject and its end, from DER (RFC 5280 section 4.1).

The standard library tells that only of a certificate that a peer has shown in
a handshake: not of our own, nor of one that a proxy passes on.  Nothing is
verified here.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator

__all__ = ["common_name", "expiry", "subject"]

_VERSION = 0xA0
_UTC_TIME = 0x17

# The string types of RFC 5280 that stand for characters; T61 is read as everybody does.
_CODECS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}

# RFC 4514 section 3, and the two others that are often seen.
_TYPES = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "emailAddress",
    "2.5.4.5": "serialNumber",
}

_ESCAPED = frozenset('"+,;<>\\')


def expiry(der: bytes) -> float:
    """Return ``notAfter`` in seconds since the epoch; raises ``ValueError`` if it is no DER."""
    at = _validity(der)
    _, at, _ = _element(der, at)
    _, _, at = _element(der, at)  # notBefore
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if text < "50" else "19") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def subject(der: bytes) -> str:
    """Return the subject as text (RFC 4514); raises ``ValueError`` if it is no DER.

    Empty for a certificate that names its subject elsewhere.
    """
    _, _, at = _element(der, _validity(der))
    _, start, end = _element(der, at)
    parts = ["+".join(_attributes(der, *span)) for span in _elements(der, start, end)]
    return ",".join(reversed(parts))


def common_name(name: str) -> str:
    """Return the subject of which only its CN is known."""
    return f"CN={_escaped(name)}"


def _attributes(der: bytes, start: int, end: int) -> Iterator[str]:
    """Yield what one part of a name says, as ``type=value``."""
    for at, _ in _elements(der, start, end):
        _, first, value_at = _element(der, at)
        kind = _identifier(der[first:value_at])
        tag, first, last = _element(der, value_at)
        try:
            # Of a type without a name, or what is no text: as it is encoded (section 2.4).
            name, text = _TYPES[kind], der[first:last].decode(_CODECS[tag])
        except (KeyError, UnicodeDecodeError):
            yield f"{_TYPES.get(kind, kind)}=#{der[value_at:last].hex()}"
        else:
            yield f"{name}={_escaped(text)}"


def _identifier(data: bytes) -> str:
    """Return an object identifier with dots (X.690 section 8.19)."""
    numbers, value = [], 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        raise ValueError("the certificate holds an empty identifier")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _escaped(value: str) -> str:
    """Escape what RFC 4514 section 2.4 says."""
    text = "".join(f"\\{each}" if each in _ESCAPED else each for each in value)
    text = text.replace("\0", "\\00")
    if text.endswith(" "):
        text = text[:-1] + "\\ "
    return "\\" + text if text.startswith((" ", "#")) else text


def _validity(der: bytes) -> int:
    """Return where the validity begins, which the subject follows."""
    _, at, _ = _element(der, 0)  # Certificate
    _, at, _ = _element(der, at)  # TBSCertificate
    tag, _, end = _element(der, at)
    if tag == _VERSION:
        at = end
    for _ in ("serialNumber", "signature", "issuer"):
        _, _, at = _element(der, at)
    return at


def _elements(der: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the content of each element begins and ends."""
    while at < end:
        _, start, at = _element(der, at)
        yield start, at


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of what stands at ``at``, and where its content begins and ends."""
    if at + 2 > len(der):
        raise ValueError("the certificate is cut off")
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    if start + length > len(der):
        raise ValueError("the certificate is cut off")
    return der[at], start, start + length
