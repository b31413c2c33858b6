"""Which process is a datagram for, if not for us?

Processes that share a UDP port are each given the clients of some addresses.  A
client that moves to another address, or processes that come and go, bring
datagrams to the wrong one; it passes them on, by the number at the beginning of
every connection id.  For that each has a Unix socket in a folder of theirs.
"""

from __future__ import annotations

import asyncio
import os
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Relay", "Take"]

Take = Callable[[int, bytes, Any], None]
"""What takes a datagram: from which of our places it is, the datagram, the client's address."""

_NUMBER_SIZE = 2
_MAX_SIZE = 66000
_DATAGRAMS = 64

# Marks those that take new connections.
_OPEN = ".open"


class Relay:
    """Our socket in the folder, and the way to the others."""

    def __init__(self, folder: Path) -> None:
        """Raise ``OSError`` if no socket can be made there."""
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        while True:
            self.number = os.urandom(_NUMBER_SIZE)
            self._path = folder / self.number.hex()
            if not self._path.exists():
                break
        try:
            self._socket.bind(str(self._path))
            self._marker.touch()
        except OSError:
            self._socket.close()
            raise

    def start(self, loop: asyncio.AbstractEventLoop, take: Take) -> None:
        """Receive what others pass on."""
        self._loop = loop
        self._take = take
        loop.add_reader(self._socket, self._read)

    def leave_to_others(self) -> None:
        """We take no new connections."""
        self._marker.unlink(missing_ok=True)

    def close(self) -> None:
        """Nobody finds us any more."""
        self.leave_to_others()
        self._path.unlink(missing_ok=True)
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def pass_on(self, number: bytes, place: int, data: bytes, address: Any) -> bool:
        """Give a datagram to the process of that number; say whether there is one."""
        return number != self.number and self._send(number.hex(), place, data, address)

    def pass_to_anybody(self, place: int, data: bytes, address: Any) -> None:
        """Give it to one that takes new connections: the same for the same client."""
        with suppress(OSError):
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(_OPEN))
            first = zlib.crc32(repr(address).encode()) % max(len(names), 1)
            for name in names[first:] + names[:first]:
                # Who was killed has left its mark behind.
                if self._send(name.removesuffix(_OPEN), place, data, address):
                    return

    @property
    def _marker(self) -> Path:
        return self._path.with_suffix(_OPEN)

    def _send(self, name: str, place: int, data: bytes, address: Any) -> bool:
        head = " ".join(map(str, (place, *address))).encode()
        try:
            self._socket.sendto(b"%b\0%b" % (head, data), str(self._folder / name))
        except BlockingIOError:
            return True  # it has too much to do, as a network may have
        except OSError:
            return False
        return True

    def _read(self) -> None:
        for _ in range(_DATAGRAMS):
            try:
                passed = self._socket.recv(_MAX_SIZE)
            except OSError:
                return
            head, _, data = passed.partition(b"\0")
            place, host, *numbers = head.decode().split(" ")
            self._take(int(place), data, (host, *map(int, numbers)))
