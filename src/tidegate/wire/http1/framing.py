"""Where does this request end?  The only module that answers.

If a proxy and Tidegate disagree about where one request ends, an attacker
chooses where the next one begins (request smuggling).  So whatever RFC 9112
section 6 leaves to taste is refused here, and no other module may look at
Content-Length or Transfer-Encoding of a request.
"""

from __future__ import annotations

from ...errors import BadRequest

__all__ = ["CHUNKED", "FRAMING_FIELDS", "body_length"]

CHUNKED = -1

FRAMING_FIELDS = (b"content-length", b"transfer-encoding")
"""A head without these has no body; callers need not ask."""

# 10**18 bytes is far above any limit a user can set, and still fits the
# compiled build's 64-bit length.
MAX_DIGITS = 18


def body_length(version: str, headers: list[tuple[bytes, bytes]], limit: int) -> int:
    """Return the number of body bytes that follow the head, or ``CHUNKED``.

    ``headers`` carries lower-case names.  Raises ``BadRequest`` if the headers
    allow more than one reading (400), ask for a coding we do not speak (501),
    or announce more than ``limit`` bytes (413).
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths:
            raise BadRequest("both Content-Length and Transfer-Encoding")
        if version == "1.0":
            # A 1.0 proxy in front of us did not see a body here.
            raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
        if len(codings) > 1:
            raise BadRequest("more than one Transfer-Encoding")
        if codings[0].lower() != b"chunked":
            raise BadRequest("transfer coding not supported", status=501)
        return CHUNKED
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise BadRequest("more than one Content-Length")
    digits = lengths[0]
    # bytes.isdigit() is ASCII-only: it refuses "+5", "5_0", "0x5", "5, 5", "".
    if not digits.isdigit() or len(digits) > MAX_DIGITS:
        raise BadRequest("Content-Length is not a number")
    length = int(digits)
    if length > limit:
        raise BadRequest(f"Content-Length above the limit of {limit} bytes", status=413)
    return length
