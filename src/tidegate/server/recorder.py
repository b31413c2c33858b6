"""The flight recorder: what was a worker doing when it died?

A worker writes what it is doing to a file, with every heartbeat, and where it
stands when it crashes or is asked (SIGQUIT).  The file is there after the
worker is gone, whatever killed it, and its supervisor reads it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

from ..exchange.ended import EndedRequest, EndedSocket
from ..exchange.out import Address

__all__ = ["Recorder", "last_words"]

# Requests that are remembered after their end, and those in flight that are told.
_REMEMBERED = 20
_TOLD = 10

# Lines of Python stacks; a worker may have many threads.
_STACK_LINES = 60


class Recorder:
    """Writes the file of one worker; also a ``Journal`` of the last requests.

    SIGQUIT writes where all threads stand, even if the loop is blocked.
    """

    def __init__(self, path: Path) -> None:
        self._state = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._recent: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)
        # Open as long as the process: faulthandler writes to the descriptor.
        stacks = os.open(stacks_of(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        faulthandler.enable(stacks)
        faulthandler.register(signal.SIGQUIT, stacks, all_threads=True)

    def write(self, request: EndedRequest, client: Address | None, status: int) -> None:
        """Remember a request that is over."""
        head = request.head
        self._remember(f"{head.method} {_text(head.target)} {status}")

    def write_socket(self, socket: EndedSocket, what: str, code: int | None) -> None:
        """Remember what happened to a WebSocket."""
        self._remember(f"WebSocket {_text(socket.target)} {what}")

    def beat(self, status: dict[str, Any]) -> None:
        """Write what the worker is doing, as ``Observer.status`` has it."""
        now = time.time()
        recent = [(round(now - at, 3), text) for at, text in self._recent]
        data = json.dumps({**status, "at_time": now, "recent": recent}).encode()
        os.pwrite(self._state, data, 0)
        os.ftruncate(self._state, len(data))

    def _remember(self, text: str) -> None:
        self._recent.append((time.time(), text))


def stacks_of(path: Path) -> Path:
    """Return where the stacks are written, beside the state."""
    return path.with_suffix(".stacks")


def last_words(path: Path) -> str:
    """Return what a worker that is gone had written, for people; nothing if there is nothing.

    The files are deleted.
    """
    lines = _state(path)
    try:
        stacks = stacks_of(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        stacks = []
    for each in (path, stacks_of(path)):
        each.unlink(missing_ok=True)
    if len(stacks) > _STACK_LINES:
        stacks = [*stacks[:_STACK_LINES], f"and {len(stacks) - _STACK_LINES} more lines"]
    return "\n".join("  " + line for line in [*lines, *stacks])


def _state(path: Path) -> list[str]:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    ago = time.time() - state["at_time"]
    lines = [
        f"{ago:.1f} s before: {state['in_flight']} in flight, {state['requests']} served, "
        f"{state['rss'] / 2**20:.0f} MB"
    ]
    for each in state["oldest"][:_TOLD]:
        lines.append(
            f"in flight for {each['age'] + ago:.1f} s: {each['method']} {each['path']} "
            f"from {each['client']}, at {each['at'] or 'its start'}"
        )
    lines += [f"{seconds + ago:.1f} s ago: {text}" for seconds, text in state["recent"]]
    return lines


def _text(target: bytes) -> str:
    return target.decode("latin-1")
