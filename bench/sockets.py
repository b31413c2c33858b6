"""A WebSocket client under load, as a program of its own.

    python -m bench.sockets PORT CONNECTIONS SECONDS

Each connection sends a message of 64 bytes, waits for its echo, checks it and
sends the next.  Prints one line: messages, microseconds, errors and the 99th
percentile of the round trip in microseconds.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

from .errors import ServerError

__all__ = ["BINARY", "PONG", "frame", "main", "open_socket"]

# The first byte of a frame that is not one of several: FIN and opcode, RFC 6455 section 5.2.
BINARY = 0x82
PONG = 0x8A

SIZE = 64
KEY = bytes((1, 2, 3, 4))
PAYLOAD = bytes(32 + i for i in range(SIZE))


def frame(first: int, payload: bytes) -> bytes:
    """Return a client's frame of at most 125 bytes."""
    # Client frames are masked; one key for all keeps the client out of the way.
    masked = bytes(byte ^ KEY[i % 4] for i, byte in enumerate(payload))
    return bytes((first, 0x80 | len(payload))) + KEY + masked


FRAME = frame(BINARY, PAYLOAD)
ECHO = bytes((BINARY, SIZE)) + PAYLOAD

HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def open_socket(port: int, path: bytes = b"/socket") -> socket.socket:
    """Return a connected socket after a successful handshake.

    Raises ``ServerError`` or ``OSError`` if there is none.
    """
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake_hands(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def shake_hands(connection: socket.socket, path: bytes) -> None:
    connection.sendall(HANDSHAKE % path)
    answer = b""
    # No application here speaks first, so nothing comes behind the head.
    while not answer.endswith(b"\r\n\r\n"):
        piece = connection.recv(4096)
        if not piece:
            raise ServerError("closed during the WebSocket handshake")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 101 "):
        line = answer.splitlines()[0].decode("latin-1")
        raise ServerError(f"answered a WebSocket handshake with {line!r}")


def main(port: int, connections: int, seconds: float) -> None:
    """Run the load and print what was counted."""
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, float] = {}
    received: dict[socket.socket, bytes] = {}
    trips: list[float] = []
    errors = 0
    for _ in range(connections):
        connection = open_socket(port)
        selector.register(connection, selectors.EVENT_READ)
        received[connection] = b""
        connection.sendall(FRAME)
        sent[connection] = time.perf_counter()
    begun = time.perf_counter()
    while (now := time.perf_counter()) - begun < seconds:
        for key, _ in selector.select(0.1):
            connection = key.fileobj  # type: ignore[assignment]
            data = received[connection] + connection.recv(4096)
            if len(data) < len(ECHO) and ECHO.startswith(data) and data:
                received[connection] = data
                continue
            if data != ECHO:
                errors += 1
                selector.unregister(connection)
                continue
            received[connection] = b""
            now = time.perf_counter()
            trips.append(now - sent[connection])
            sent[connection] = now
            connection.sendall(FRAME)
        if not selector.get_map():
            break
    trips.sort()
    p99 = trips[int(len(trips) * 0.99)] if trips else 0.0
    print(f"SUMMARY {len(trips)} {(now - begun) * 1e6:.0f} {errors} {p99 * 1e6:.0f}")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    except ServerError as error:
        sys.exit(str(error))
