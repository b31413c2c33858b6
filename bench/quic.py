"""An HTTP/3 client under load, as a program of its own.

    python -m bench.quic PORT CONNECTIONS STREAMS SECONDS

Each connection keeps its streams full of the requests of the row ``http3`` and
checks every answer.  When the time is over, it waits for what is under way and
counts that too.  Prints one line: requests, microseconds, errors and the 99th
percentile of the answer in microseconds.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamReset

from .rows import ROWS, Request

__all__ = ["main"]

HANDSHAKE_TIMEOUT = 5.0
# Longer than a request takes behind a full connection; what is not answered then is lost.
LAST_ANSWERS_TIMEOUT = 5.0
MAX_DATAGRAM = 65536


@dataclass
class Tally:
    """What all connections counted."""

    trips: list[float] = field(default_factory=list)
    """Seconds from each request to the end of its right answer."""
    errors: int = 0


@dataclass
class Answer:
    """What has come of one answer, and when it was asked for."""

    begun: float
    status: bytes = b""
    body: bytes = b""


class Connection:
    """One QUIC connection and its socket."""

    def __init__(self, port: int, request: Request, tally: Tally) -> None:
        self.open = False
        """Whether the handshake has ended."""
        self.failure: str | None = None
        """Why the connection is over; None while it is not."""
        self.streams = 0
        """Requests to keep under way."""
        self.answers: dict[int, Answer] = {}
        """By stream, as far as not complete."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self._request = request
        self._tally = tally
        self._peer = ("127.0.0.1", port)
        self._fields = [
            (b":method", request.method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"127.0.0.1:%d" % port),
            (b":path", request.path.encode()),
        ]
        # Whose certificate it is, client.py has checked.
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
        self._quic = QuicConnection(configuration=configuration)
        self._http = H3Connection(self._quic)
        self._quic.connect(self._peer, time.perf_counter())

    def timer(self) -> float | None:
        """Return when ``turn`` is due even if nothing arrives."""
        return self._quic.get_timer()

    def turn(self) -> None:
        """Take what arrived, ask again and send what is to be sent."""
        now = time.perf_counter()
        for data in self._datagrams():
            self._quic.receive_datagram(data, self._peer, now)
        due = self._quic.get_timer()
        if due is not None and due <= now:
            self._quic.handle_timer(now)
        while (event := self._quic.next_event()) is not None:
            self._take(event)
        while self.open and self.failure is None and len(self.answers) < self.streams:
            self._ask()
        self._send()

    def close(self) -> None:
        """Tell the server, so that it has nothing left to repeat."""
        self._quic.close()
        self._send()
        self.socket.close()

    def _datagrams(self) -> list[bytes]:
        found: list[bytes] = []
        try:
            while True:
                found.append(self.socket.recv(MAX_DATAGRAM))
        except (BlockingIOError, ConnectionRefusedError):
            # Refused: the server does not listen to UDP yet.  QUIC repeats itself.
            return found

    def _send(self) -> None:
        for data, _ in self._quic.datagrams_to_send(time.perf_counter()):
            try:
                self.socket.send(data)
            except (BlockingIOError, ConnectionRefusedError):
                continue

    def _ask(self) -> None:
        number = self._quic.get_next_available_stream_id()
        self._http.send_headers(number, self._fields, end_stream=True)
        self.answers[number] = Answer(time.perf_counter())

    def _take(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            self.open = True
        elif isinstance(event, StreamReset):
            if self.answers.pop(event.stream_id, None):
                self._tally.errors += 1
        elif isinstance(event, ConnectionTerminated):
            self.failure = event.reason_phrase or f"error {event.error_code:#x}"
            self._tally.errors += len(self.answers)
            self.answers.clear()
        for each in self._http.handle_event(event):
            if isinstance(each, HeadersReceived | DataReceived):
                self._add(each)

    def _add(self, part: HeadersReceived | DataReceived) -> None:
        answer = self.answers.get(part.stream_id)
        if answer is None:
            return
        if isinstance(part, DataReceived):
            answer.body += part.data
        else:
            answer.status = dict(part.headers).get(b":status", answer.status)
        if not part.stream_ended:
            return
        del self.answers[part.stream_id]
        if answer.status == b"200" and self._request.accepts(answer.body):
            self._tally.trips.append(time.perf_counter() - answer.begun)
        else:
            self._tally.errors += 1


class Load:
    """All connections, served by one loop."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections
        self._selector = selectors.DefaultSelector()
        for connection in connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def run(self, deadline: float) -> bool:
        """Take a turn; say whether there is time, and a connection, for another."""
        now = time.perf_counter()
        alive = [one for one in self._connections if one.failure is None]
        timers = [timer for one in alive if (timer := one.timer()) is not None]
        wait = min([deadline, *timers]) - now
        ready = {key.data for key, _ in self._selector.select(max(0.0, wait))}
        now = time.perf_counter()
        for one in alive:
            timer = one.timer()
            if one in ready or (timer is not None and timer <= now):
                one.turn()
        return bool(alive) and now < deadline


def main(port: int, connections: int, streams: int, seconds: float) -> None:
    """Run the load and print what was counted."""
    tally = Tally()
    request = ROWS["http3"].request
    everyone = [Connection(port, request, tally) for _ in range(connections)]
    load = Load(everyone)
    try:
        shake_hands(load, everyone)
        spent = ask_for(load, everyone, streams, seconds)
    finally:
        for one in everyone:
            one.close()
    errors = tally.errors + sum(len(one.answers) for one in everyone)
    trips = sorted(tally.trips)
    p99 = trips[int(len(trips) * 0.99)] if trips else 0.0
    print(f"SUMMARY {len(trips)} {spent * 1e6:.0f} {errors} {p99 * 1e6:.0f}")


def ask_for(load: Load, everyone: Sequence[Connection], streams: int, seconds: float) -> float:
    """Keep the streams full for a time; return the seconds until all was answered."""
    begun = time.perf_counter()
    for one in everyone:
        one.streams = streams
        one.turn()
    while load.run(begun + seconds):
        pass
    for one in everyone:
        one.streams = 0
    deadline = time.perf_counter() + LAST_ANSWERS_TIMEOUT
    while any(one.answers for one in everyone) and load.run(deadline):
        pass
    return time.perf_counter() - begun


def shake_hands(load: Load, everyone: Sequence[Connection]) -> None:
    """Wait until every connection is open.  Raises ``SystemExit`` if one does not open."""
    for one in everyone:
        one.turn()
    deadline = time.perf_counter() + HANDSHAKE_TIMEOUT
    while not all(one.open for one in everyone):
        more = load.run(deadline)
        for one in everyone:
            if one.failure is not None:
                raise SystemExit(f"no HTTP/3 here: {one.failure}")
        if not more:
            raise SystemExit(f"no QUIC handshake within {HANDSHAKE_TIMEOUT:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
