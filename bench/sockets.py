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

__all__ = ["main"]

SIZE = 64
KEY = bytes((1, 2, 3, 4))
PAYLOAD = bytes(32 + i for i in range(SIZE))
# Client frames are masked; one key for all keeps the client out of the way.
FRAME = bytes((0x82, 0x80 | SIZE)) + KEY + bytes(b ^ KEY[i % 4] for i, b in enumerate(PAYLOAD))
ECHO = bytes((0x82, SIZE)) + PAYLOAD

HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def open_socket(port: int) -> socket.socket:
    """Return a connected socket after a successful handshake."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise SystemExit("the server closed during the handshake")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no WebSocket here: {answer.splitlines()[0].decode('latin-1')}")
    return connection


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
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
