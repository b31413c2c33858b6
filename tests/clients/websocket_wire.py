"""A WebSocket client that does what no library would: frames made by hand, on a plain socket."""

from __future__ import annotations

import select
import socket
import zlib
from collections.abc import Iterable, Mapping
from types import TracebackType

from launcher import Server

__all__ = [
    "ACCEPT",
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Wire",
    "compressed",
    "frame",
    "handshake",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

FIELDS: dict[str, str | None] = {
    "Host": "127.0.0.1",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    # The example of RFC 6455 section 1.3, which also says what the answer is.
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
TIMEOUT = 20.0
MASK = b"\x11\x22\x33\x44"


def handshake(path: str, fields: Mapping[str, str | None] | None = None) -> bytes:
    """Return a request; ``fields`` replace the usual ones, a value of None removes one."""
    lines = [
        f"{name}: {value}"
        for name, value in {**FIELDS, **(fields or {})}.items()
        if value is not None
    ]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a masked frame."""
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    mask = (MASK * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return head + MASK + masked.to_bytes(size, "big")


def compressed(pieces: Iterable[bytes]) -> bytes:
    """Return the payload of a message of permessage-deflate (RFC 7692 section 7.2.1)."""
    deflate = zlib.compressobj(wbits=-12)
    packed = b"".join([deflate.compress(piece) for piece in pieces])
    return (packed + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


class Wire:
    """One connection; nothing is read, answered or closed unless the test says so."""

    def __init__(self, server: Server, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            # Only before connecting does it bound the window that TCP announces.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", server.port))
        self._received = bytearray()
        self._unsent = memoryview(b"")

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def try_to_send(self, data: bytes) -> bool:
        """Send what the server may no longer want; False once it has left."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def is_answered(self) -> bool:
        """Say whether something can be read without waiting."""
        return bool(self._received or select.select([self.socket], [], [], 0)[0])

    def is_held_back(self, data: bytes, at_most: int, within: float = 0.5) -> bool:
        """Send ``data`` again and again; say whether the server stops taking it.

        What it did not take is sent first the next time, so frames stay whole.
        """
        self.socket.settimeout(within)
        try:
            for _ in range(at_most // len(data)):
                self._unsent = self._unsent or memoryview(data)
                while self._unsent:
                    self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)
        return False

    def open(self, path: str, fields: Mapping[str, str | None] | None = None) -> str:
        """Shake hands; return the response, which must be a 101."""
        self.send(handshake(path, fields))
        answer = self.head()
        assert answer.startswith("HTTP/1.1 101 "), answer
        return answer

    def head(self) -> str:
        """Return a response up to the end of its head."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        return self._take(self._received.index(b"\r\n\r\n") + 4).decode("ascii")

    def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame, which must be a whole message."""
        first, second = self._take(2)
        assert first & 0x80
        assert not second & 0x80  # servers do not mask
        size = second
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return first & 0x0F, self._take(size)

    def close_frame(self) -> tuple[int, str]:
        """Skip whatever comes first; return code and reason."""
        opcode, payload = self.frame()
        while opcode != CLOSE:
            opcode, payload = self.frame()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def rest(self) -> bytes:
        """Return everything until the server closes, however it does that."""
        try:
            while piece := self.socket.recv(65536):
                self._received += piece
        except ConnectionResetError:
            pass
        return self._take(len(self._received))

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError(f"the server closed after {bytes(self._received)!r}")
        self._received += piece
