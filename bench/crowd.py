"""Does a message to ten thousand waiting WebSockets reach them all?

The client of ``apps/raw_broadcast.py``, in one thread.  Every socket has to get
every message, whole and in order.  Pings are answered all the while, so that no
server takes a waiting socket for a dead one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .errors import ServerError
from .sockets import BINARY, PONG, frame, open_socket

__all__ = ["Crowd", "Delivery", "Listener"]

# Most servers need a few seconds for ten thousand; one that pings needs its answers soon.
OPEN_TIMEOUT = 60.0
SOCKETS_BETWEEN_LOOKS = 100
# A million messages at 60 us each.
BROADCAST_TIMEOUT = 60.0
SILENCE = 10.0
"""Seconds without a byte from anybody, after which what is missing counts as lost."""

SIZE = 64
MAX_MESSAGES = 10_000
PING = 0x89
CLOSE = 0x88
# RFC 6455 section 5.2: a larger number says that a longer length follows.
MAX_SHORT = 125


def payload(number: int) -> bytes:
    """Return one message: its number, filled up."""
    return b"%04d" % number + b"." * (SIZE - 4)


FRAME_SIZE = SIZE + 2
STREAM = b"".join(bytes((BINARY, SIZE)) + payload(number) for number in range(MAX_MESSAGES))
"""What a socket gets if nothing is lost."""


@dataclass(frozen=True)
class Delivery:
    """What came of some broadcasts."""

    messages: int
    """Broadcasts that were made."""
    delivered: int
    """Messages that arrived at waiting sockets."""
    lost: int
    wrong: int
    """What else arrived."""
    seconds: float


class Listener:
    """One WebSocket, and what it got."""

    __slots__ = ("arrived", "ended", "socket", "wrong", "_held", "_next")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.arrived = 0
        self.ended = False
        self.wrong = 0
        self._held = b""
        self._next = 0
        """The number that the next message must have, or exceed if some were lost."""

    def read(self) -> int:
        """Take what is there; return how many messages that were."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return 0
        before = self.arrived
        self._take(self._held + data)
        return self.arrived - before

    def _take(self, data: bytes) -> None:
        whole = len(data) // FRAME_SIZE
        begin, size = self._next * FRAME_SIZE, whole * FRAME_SIZE
        if data[:size] == STREAM[begin : begin + size]:
            self.arrived += whole
            self._next += whole
            data = data[size:]
        while len(data) >= 2 and len(data) >= 2 + data[1]:
            size = data[1]
            if size > MAX_SHORT:
                break
            self._take_frame(data[0], data[2 : 2 + size])
            data = data[2 + size :]
        if len(data) >= 2 and data[1] > MAX_SHORT:
            # Nobody sends such a frame here; where the next one begins is not worth knowing.
            self.wrong += 1
            data = b""
        self._held = data

    def _take_frame(self, first: int, content: bytes) -> None:
        if first == PING:
            with contextlib.suppress(OSError):
                self.socket.sendall(frame(PONG, content))
        elif first == CLOSE:
            self.ended = True
        elif first == PONG:
            pass
        elif (
            first == BINARY
            and len(content) == SIZE
            and content[:4].isdigit()
            and (number := int(content[:4])) >= self._next
            and content == payload(number)
        ):
            self.arrived += 1
            self._next = number + 1
        else:
            self.wrong += 1


class Crowd:
    """A leader, and the sockets that wait.  Use it as a context manager."""

    def __init__(self, port: int) -> None:
        """Connect the leader.  Raises ``ServerError`` if that fails."""
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._waiting: list[Listener] = []
        self._delivered = 0
        try:
            self._leader = self._join(b"/lead")
        except OSError as error:
            raise ServerError(f"did not take a WebSocket: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._selector.close()
        for one in (self._leader, *self._waiting):
            one.socket.close()

    def open(self, count: int) -> int:
        """Let ``count`` sockets wait; return how many came in before the time was over.

        Raises ``ServerError`` if one of them is not taken.
        """
        deadline = time.monotonic() + OPEN_TIMEOUT
        while len(self._waiting) < count and time.monotonic() < deadline:
            try:
                self._waiting.append(self._join(b"/wait"))
            except (OSError, ServerError) as error:
                number = len(self._waiting) + 1
                raise ServerError(f"WebSocket {number} of {count}: {error}") from error
            if len(self._waiting) % SOCKETS_BETWEEN_LOOKS == 0:
                self._turn(0.0)
        return len(self._waiting)

    def broadcast(self, messages: int) -> Delivery:
        """Have up to ``messages`` messages sent to all, each when the last one was sent.

        Ends early, with fewer messages, when the time is over.  Raises
        ``ServerError`` if sockets were closed, or the leader hears nothing more.
        """
        if messages > MAX_MESSAGES:
            raise ValueError(f"{messages} messages: there are numbers for {MAX_MESSAGES}")
        self._turn(0.0)
        self.check()
        begun = heard = time.monotonic()
        sent = 0
        while sent < messages and heard - begun < BROADCAST_TIMEOUT:
            self._leader.socket.sendall(frame(BINARY, payload(sent)))
            sent += 1
            while self._leader.arrived < sent:
                heard = self._listen(heard)
                if self._leader.ended or time.monotonic() - heard > SILENCE:
                    raise ServerError(f"stopped in broadcast {sent} of {messages}")
        expected = sent * len(self._waiting)
        while self._delivered < expected and time.monotonic() - heard <= SILENCE:
            heard = self._listen(heard)
        self.check()
        wrong = self._leader.wrong + sum(one.wrong for one in self._waiting)
        lost = expected - self._delivered
        return Delivery(sent, self._delivered, lost, wrong, heard - begun)

    def check(self) -> None:
        """Raise ``ServerError`` if the server closed a socket."""
        ended = sum(one.ended for one in (self._leader, *self._waiting))
        if ended:
            raise ServerError(f"closed {ended} of {len(self._waiting)} waiting WebSockets")

    def _join(self, path: bytes) -> Listener:
        connection = open_socket(self._port, path)
        connection.setblocking(False)
        listener = Listener(connection)
        self._selector.register(connection, selectors.EVENT_READ, listener)
        return listener

    def _listen(self, heard: float) -> float:
        """Return when something was last heard."""
        return time.monotonic() if self._turn(0.1) else heard

    def _turn(self, timeout: float) -> bool:
        """Read what arrived within a time; say whether anything did."""
        ready = self._selector.select(timeout)
        for key, _ in ready:
            listener: Listener = key.data
            arrived = listener.read()
            if listener is not self._leader:
                self._delivered += arrived
            if listener.ended:
                self._selector.unregister(key.fileobj)
        return bool(ready)
