"""One HTTP/1 connection as a state machine without I/O.

Requests are strictly sequential: bytes of the next one wait, unparsed, until
``next_request`` says that the response is complete.  Reading: ``receive`` and
``receive_eof`` call the sink.  Writing: ``respond``, ``send_body`` and
``send_informational`` return bytes for the transport.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import BadRequest, UsageError
from ...http import CLOSE, LENGTH, NO_BODY, Defaults, Field, Head
from ..sinks import NOBODY, Http1Sink
from .body import ChunkedBody, LengthBody
from .encode import LAST_CHUNK, chunk, chunk_size, encode_head, informational, last_chunk
from .framing import CHUNKED
from .head import parse_head
from .limits import Http1Limits
from .scan import HeadScanner

__all__ = ["Http1Core"]

_HEAD, _BODY, _WAITING, _CLOSED = range(4)


_CLOSE = b"connection: close\r\n"


class Http1Core:
    """Parses the requests of one connection and frames their responses.

    After a ``PeerError`` nothing more is parsed: what arrives is ignored, and
    one response may still be sent.
    """

    __slots__ = (
        *("_body", "_buffer", "_chunked", "_eof", "_limits", "_scanner", "_sink", "_state"),
        *("_skipped_empty_line", "head", "keep_alive"),
    )

    def __init__(self, sink: Http1Sink, limits: Http1Limits) -> None:
        self._sink = sink
        self._limits = limits
        self._state = _HEAD
        self._buffer = bytearray()  # bytes that no state has consumed yet
        self._scanner: HeadScanner | None = None  # None unless a head came in pieces
        self._skipped_empty_line = False
        self._body: LengthBody | ChunkedBody | None = None  # None unless in _BODY
        self._eof = False  # the peer sends no more
        self._chunked = False  # how the current response is framed
        # Of the current request; None before the first and if there is none
        # because what should be one is broken.
        self.head: Head | None = None
        # False once either side wants this to be the last exchange.
        self.keep_alive = True

    # -- reading ---------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Bytes that wait for ``next_request``."""
        return len(self._buffer)

    @property
    def body_remaining(self) -> int | None:
        """Bytes of the current request still to come; None when nobody can know."""
        return 0 if self._body is None else self._body.remaining

    @property
    def started(self) -> bool:
        """Whether part of a head has arrived."""
        return self._state == _HEAD and bool(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what the peer sent.  Raises ``PeerError``."""
        if self._state == _HEAD:
            if not self._buffer and data[:1] != b"\r":
                end = data.find(b"\r\n\r\n")
                if 0 <= end <= self._limits.max_head_size - 4:
                    # The common case, and so without another call.
                    try:
                        head = parse_head(data[:end], self._limits)
                    except BadRequest:
                        self._on_bad_head(data, end)
                        raise
                    if head.body_length == 0 and len(data) == end + 4:
                        self.head = head
                        self.keep_alive = head.keep_alive
                        self._state = _WAITING
                        self._sink.on_request(head, b"", True)
                    else:
                        self._on_head(head, data[end + 4 :])
                    return
            self._buffer += data
            self._advance()
        elif self._body is not None:
            self._after_content(self._body, self._body.feed(data))
        elif self._state == _WAITING:
            self._buffer += data

    def receive_eof(self) -> None:
        """Take note that the peer will send no more.

        Raises ``BadRequest`` when that cuts a request short; one that waits for
        its turn is judged when it has come.
        """
        state = self._state
        self._eof = True
        if state == _WAITING:
            return
        cut_short = bool(self._buffer)
        self.close()
        if state == _BODY:
            raise BadRequest("the connection ended inside the content of a request")
        if state == _HEAD and cut_short:
            self.head = None
            raise BadRequest("the connection ended inside the head of a request")

    def finish(self) -> bool:
        """Take note that the response is complete; True if ``next_request`` must follow.

        That is so when bytes of the next request wait already.  Raises
        ``UsageError`` while the current request is still arriving.
        """
        if self._state == _BODY:
            raise UsageError("the current request is still arriving")
        if self._state == _WAITING:
            if not self.keep_alive:
                self.close()
            elif self._buffer:
                return True
            else:
                self._state = _HEAD
                self._skipped_empty_line = False
        return False

    def next_request(self) -> None:
        """Go on to the next request: the response to this one is complete.

        Calls the sink if the next request is buffered already.  Raises
        ``PeerError`` if that is broken, ``UsageError`` as ``finish`` does.
        """
        if self.finish():
            self._state = _HEAD
            self._skipped_empty_line = False
            self._advance()
            if self._eof and self._state in (_HEAD, _BODY):
                self.receive_eof()

    def peek(self) -> bytes:
        """Return what is buffered."""
        return bytes(self._buffer)

    def close(self) -> None:
        """Ignore whatever still arrives."""
        self._state = _CLOSED
        self._body = None
        self._buffer.clear()

    def release(self) -> None:
        """Close for good, and let go of the sink, which usually refers to us."""
        self.close()
        self._sink = NOBODY

    def hand_over(self) -> bytes:
        """Give the connection to another protocol: return what that one must read first."""
        rest = bytes(self._buffer)
        self.close()
        return rest

    def _advance(self) -> None:
        """Look for a head in the buffer."""
        buffer = self._buffer
        if not self._skipped_empty_line and buffer[:2] == b"\r\n":
            # RFC 9112 section 2.2: old clients send one after a body.
            self._skipped_empty_line = True
            self._scanner = None
            del buffer[:2]
        if self._scanner is None:
            self._scanner = HeadScanner(self._limits)
        limit = self._limits.max_head_size
        end = buffer.find(b"\r\n\r\n", max(0, self._scanner.position - 3), limit)
        try:
            self._scanner.advance(buffer, len(buffer) if end < 0 else end + 4)
        except BadRequest:
            self.head = None
            self.close()
            raise
        if end >= 0:
            block = bytes(buffer[:end])
            del buffer[: end + 4]
            try:
                head = parse_head(block, self._limits)
            except BadRequest:
                self.head = None
                self.close()
                raise
            self._scanner = None
            self._on_head(head, self._take(head.body_length))

    def _take(self, length: int) -> bytes:
        """Take from the buffer what may be content of this length, and nothing else.

        Copying all that is buffered for every request in it would be quadratic.
        """
        data = bytes(self._buffer if length == CHUNKED else self._buffer[:length])
        del self._buffer[: len(data)]
        return data

    def _on_bad_head(self, data: bytes, end: int) -> None:
        """A head that came in one piece is broken: say what a scan says, if it objects."""
        self.head = None
        self.close()
        HeadScanner(self._limits).advance(data, end + 4)

    def _on_head(self, head: Head, rest: bytes) -> None:
        """A head is complete; ``rest`` came after it."""
        self.head = head
        self.keep_alive = head.keep_alive
        if head.body_length == 0:
            self._state = _WAITING
            self._buffer += rest
            self._sink.on_request(head, b"", True)
        elif head.body_length == len(rest):
            # All of a small upload, and nothing else.
            self._state = _WAITING
            self._sink.on_request(head, rest, True)
        else:
            self._begin_body(head, rest)

    def _begin_body(self, head: Head, data: bytes) -> None:
        body: LengthBody | ChunkedBody
        if head.body_length == CHUNKED:
            body = ChunkedBody(self._limits)
        else:
            body = LengthBody(head.body_length)
        self._state = _BODY
        self._body = body
        content = body.feed(data) if data else b""
        if body.ended and not body.trailers:
            self._end_body(body)
            self._sink.on_request(head, content, True)
            return
        self._sink.on_request(head, content, False)
        if self._body is not None:
            self._after_content(body, b"")

    def _after_content(self, body: LengthBody | ChunkedBody, content: bytes) -> None:
        if body.error is not None:
            if content:
                self._sink.on_body(content, False)
            self.close()
            error, body.error = body.error, None
            try:
                raise error
            finally:
                # Its traceback holds this frame, which must not hold it.
                del error
        if body.ended:
            if body.trailers:
                self._sink.on_trailers(body.trailers)
            if self._body is not None:
                # Each call of the sink may have closed us.
                self._end_body(body)
                self._sink.on_body(content, True)
        elif content:
            self._sink.on_body(content, False)

    def _end_body(self, body: LengthBody | ChunkedBody) -> None:
        self._state = _WAITING
        self._body = None
        if body.rest:
            self._buffer += body.rest

    # -- writing ---------------------------------------------------------

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        defaults: Defaults,
        body: bytes = b"",
        ended: bool = False,
    ) -> bytes:
        """Return the final response to the current request, as far as it is given.

        ``length`` is the length of the content in bytes, None when it is not
        known, ``NO_BODY`` when there is none to speak of.  ``roles`` is the
        union of the roles of ``fields``, ``defaults`` the server's own fields.
        ``body`` is the first of the content, all of it if ``ended``.
        """
        head = self.head
        framing = b""
        if roles & CLOSE:
            self.keep_alive = False
        if length is None:
            return self._respond_unframed(status, fields, roles, defaults, body, ended)
        self._chunked = False
        if length != NO_BODY and not roles & LENGTH:
            framing = b"content-length: %d\r\n" % length
        if not self.keep_alive:
            # RFC 9110 section 7.8: Upgrade, in a 426, is about the connection.
            framing += b"connection: close, upgrade\r\n" if status == 426 else _CLOSE
        elif head is not None and head.version == "1.0":
            framing += b"connection: keep-alive\r\n"
        return encode_head(status, fields, roles, defaults, framing, body)

    def _respond_unframed(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        defaults: Defaults,
        body: bytes,
        ended: bool,
    ) -> bytes:
        """Respond with content whose length nobody knows."""
        if self.head is None or self.head.version == "1.0":
            # The end of the connection is the end of the content.
            self._chunked = self.keep_alive = False
            framing = _CLOSE
        else:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
            if not self.keep_alive:
                framing += _CLOSE
        if self._chunked:
            framed = chunk(body) if body else b""
            body = framed + LAST_CHUNK if ended else framed
        return encode_head(status, fields, roles, defaults, framing, body)

    def send_body(self, data: bytes, ended: bool) -> bytes:
        """Return content, framed as ``respond`` decided.  ``data`` may be empty."""
        if not self._chunked:
            return data
        framed = chunk(data) if data else b""
        return framed + LAST_CHUNK if ended else framed

    def begin_part(self, size: int) -> bytes:
        """Return what stands before ``size`` bytes of content that somebody else sends."""
        return chunk_size(size) if self._chunked else b""

    def end_part(self, ended: bool) -> bytes:
        """Return what stands after those bytes; ``ended`` says that they were the last."""
        if not self._chunked:
            return b""
        return b"\r\n" + LAST_CHUNK if ended else b"\r\n"

    def send_trailers(self, fields: Sequence[Field]) -> bytes:
        """Return the end of the content, and the fields after it if there is a place for them.

        There is none behind content whose length was announced (RFC 9112 section 7.1.2).
        """
        return last_chunk(fields) if self._chunked else b""

    def send_informational(self, status: int, fields: Sequence[Field] = ()) -> bytes:
        """Return an interim response, or nothing if the peer would not understand it."""
        if self.head is None or self.head.version == "1.0":
            # RFC 9110 section 15.2.
            return b""
        return informational(status, fields)
