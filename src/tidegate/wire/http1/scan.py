"""What is already wrong with a head that is not complete yet?

A head is parsed when all of it is there, but a peer that will never finish
it must be refused at the byte that makes it hopeless.  Complete heads that
fail to parse are scanned too, so that the same bytes get the same answer
however the network cut them.
"""

from __future__ import annotations

from ...errors import BadRequest
from .limits import Http1Limits

__all__ = ["HeadScanner"]

_CR = 13


class HeadScanner:
    """Reads a growing buffer from front to back and each byte once."""

    __slots__ = ("_limits", "_line_ends", "position")

    def __init__(self, limits: Http1Limits) -> None:
        self._limits = limits
        self.position = 0  # everything before it has been judged
        self._line_ends = 0

    def advance(self, buffer: bytes | bytearray, end: int) -> None:
        """Scan up to ``end``.  Raises ``BadRequest`` for the first thing wrong."""
        limits = self._limits
        bound = min(end, limits.max_head_size)
        while self.position < bound:
            line_end = buffer.find(b"\n", self.position, bound)
            if self._line_ends == 0:
                self._check_target(buffer, bound if line_end < 0 else line_end)
            if line_end < 0:
                self.position = bound
                break
            if line_end == 0 or buffer[line_end - 1] != _CR:
                raise BadRequest("a line of the request head ends in a bare LF")
            if line_end == 1:
                raise BadRequest("an empty line where a request line should be")
            self._line_ends += 1
            # The request line and the empty line end in CRLF too.
            if self._line_ends > limits.max_fields + 2:
                raise BadRequest(f"more than {limits.max_fields} header fields", 431)
            self.position = line_end + 1
        if end > limits.max_head_size:
            raise BadRequest(f"request head larger than {limits.max_head_size} bytes", 431)

    def _check_target(self, buffer: bytes | bytearray, line_end: int) -> None:
        first = buffer.find(b" ", 0, line_end)
        if first < 0:
            return
        second = buffer.find(b" ", first + 1, line_end)
        if second < 0:
            # The CR may be the first half of the line's end.
            second = line_end - (buffer[line_end - 1] == _CR)
        if second - first - 1 > self._limits.max_target_size:
            size = self._limits.max_target_size
            raise BadRequest(f"request target longer than {size} bytes", 414)
