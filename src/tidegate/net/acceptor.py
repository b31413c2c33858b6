"""Who takes the next connection, if several processes listen on one socket?

The kernel wakes all that wait, and the one that happens to come first takes it,
which at times is always the same.  Here a process asks before each connection whether
it is its turn; if not, it leaves it to the others for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

__all__ = ["Acceptor", "Turns"]

logger = logging.getLogger("tidegate.error")

# After so many pauses in a row, all for a connection that is still there, those
# who could take it are not going to; a client hardly notices the time until then.
_PATIENCE = 8

# Connections taken in one turn of the loop, once they come so fast: what is
# taken and then not served, because we are blocked, cannot be taken by others.
_MOST_AT_ONCE = 8

Make = Callable[[], asyncio.Protocol]


class Turns(Protocol):
    """What the processes know of each other."""

    def hold(self, connections: int) -> None:
        """Tell how many connections we have."""

    def is_ours(self) -> bool:
        """Somebody connects: say whether to take it."""

    def leave_to_others(self) -> None:
        """It is not ours: we take nothing for some moments."""

    def nobody_came(self) -> None:
        """They are over, and what we left is still there."""

    def leave(self) -> None:
        """We take nothing any more, or not for long."""


class Acceptor:
    """Takes connections from listeners that other processes share.

    ``doors`` are the listeners, which do not block, and what makes their
    connections; ``connections`` returns how many there are.  ``start`` it in a
    running loop.
    """

    # Long enough for another process to wake up and take what we leave.
    pause_seconds = 0.003

    shortage_seconds = 1.0

    def __init__(
        self,
        doors: Iterable[tuple[socket.socket, Make]],
        turns: Turns,
        connections: Callable[[], int],
    ) -> None:
        self._doors = list(doors)
        self._turns = turns
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._beginning: set[asyncio.Task[None]] = set()  # taken, and not yet connections
        self._pause: asyncio.TimerHandle | None = None  # None while we take them
        self._pauses = 0  # in a row, for what is still there
        self._at_once = 1  # how many we take in one turn
        self._closed = False
        self._short = False  # we cannot take any for now
        self._complained = False  # about that, and have taken nothing since

    def start(self) -> None:
        """Take connections from now on."""
        for listener, _ in self._doors:
            listener.setblocking(False)
            self._poll.register(listener, select.POLLIN)
        self.count()
        self._listen()

    def count(self) -> None:
        """Tell the others how many connections we have; call it when one is gone."""
        if self._closed or self._short:
            return
        self._turns.hold(self._connections() + len(self._beginning))
        if self._pause is not None and self._turns.is_ours():
            # Short connections are over before a pause is.
            self._pause.cancel()
            self._listen()

    async def close(self) -> None:
        """Take no more, at once; return when what was taken has become connections."""
        if not self._closed:
            self._closed = True
            self._turns.leave()
            if self._pause is None:
                self._deafen()
            else:
                self._pause.cancel()
        if self._beginning:
            await asyncio.wait(self._beginning)

    # -- private -------------------------------------------------------------

    def _listen(self) -> None:
        self._pause = None
        self._pauses = 0
        for listener, make in self._doors:
            self._loop.add_reader(listener.fileno(), self._on_client, listener, make)

    def _deafen(self) -> None:
        for listener, _ in self._doors:
            self._loop.remove_reader(listener.fileno())

    def _on_client(self, listener: socket.socket, make: Make) -> None:
        """Somebody connects."""
        if self._pause is not None:
            return  # since another listener had its turn, in this very moment
        if not self._turns.is_ours():
            self._turns.leave_to_others()
            self._deafen()
            self._pause = self._loop.call_later(self.pause_seconds, self._after_pause)
            return
        for taken in range(self._at_once):
            if taken and not self._turns.is_ours():
                return
            if not self._take(listener, make):
                self._at_once = 1
                return
        self._at_once = min(self._at_once * 2, _MOST_AT_ONCE)

    def _take(self, listener: socket.socket, make: Make) -> bool:
        """Take a connection, if there is still one."""
        try:
            client = listener.accept()[0]
        except (BlockingIOError, InterruptedError, ConnectionError):
            return False  # another process was quicker, or the client has left
        except OSError as error:
            self._on_shortage(error)
            return False
        self._complained = False
        client.setblocking(False)
        task = self._loop.create_task(self._begin(client, make), name="accept")
        self._beginning.add(task)
        task.add_done_callback(self._begun)
        self.count()
        return True

    async def _begin(self, client: socket.socket, make: Make) -> None:
        try:
            await self._loop.connect_accepted_socket(make, client)
        except OSError:
            client.close()  # it has left

    def _begun(self, task: asyncio.Task[None]) -> None:
        self._beginning.discard(task)
        self.count()

    def _after_pause(self) -> None:
        """Listen again, unless those whose turn it is may still come."""
        self._pauses += 1
        if self._poll.poll(0) and not self._turns.is_ours():
            if self._pauses < _PATIENCE:
                self._pause = self._loop.call_later(self.pause_seconds, self._after_pause)
                return
            self._turns.nobody_came()
        self._listen()

    def _on_shortage(self, error: OSError) -> None:
        """For want of descriptors or memory we take nothing for now; others may have some."""
        if not self._complained:
            logger.error("Cannot accept connections for now: %s", error.strerror)
        self._short = self._complained = True
        self._turns.leave()
        self._deafen()
        self._pause = self._loop.call_later(self.shortage_seconds, self._after_shortage)

    def _after_shortage(self) -> None:
        self._short = False
        self._listen()
        self.count()
