"""What an application of these tests writes down while it serves one request.

A test gives each request a fresh key, and reads the notes or opens the gate of
that key through another request.  So a test never has to guess how long the
application needs: it asks.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

__all__ = [
    "Gate",
    "digest",
    "endless",
    "idle",
    "meet",
    "megabytes",
    "note",
    "open_gate",
    "pass_gate",
    "pass_gate_in_thread",
    "pieces",
    "read_notes",
    "write_diary",
]

BLOCK = b"0123456789abcdef" * 4096
GATE_TIMEOUT = 20.0


class Gate:
    """Opens once, for coroutines and threads alike."""

    def __init__(self) -> None:
        self.for_tasks = asyncio.Event()
        self.for_threads = threading.Event()


notes: defaultdict[str, list[str]] = defaultdict(list)
sent: defaultdict[str, int] = defaultdict(int)
gates: defaultdict[str, Gate] = defaultdict(Gate)


def note(key: str, line: str) -> None:
    notes[key].append(line)


def read_notes(key: str) -> dict[str, Any]:
    """What has been written down under ``key``, and how many bytes were yielded."""
    # Starlette drops the generator of a stream whose client has left in a cycle
    # with the exception that ended it: its finally runs when that is collected.
    gc.collect()
    return {"notes": notes[key], "sent": sent[key]}


def open_gate(key: str) -> dict[str, Any]:
    gates[key].for_tasks.set()
    gates[key].for_threads.set()
    return {"opened": key}


async def pass_gate(key: str) -> None:
    await asyncio.wait_for(gates[key].for_tasks.wait(), GATE_TIMEOUT)


def pass_gate_in_thread(key: str) -> bool:
    note(key, "waiting in a thread")
    return gates[key].for_threads.wait(GATE_TIMEOUT)


async def meet(key: str, parties: int) -> dict[str, Any]:
    """Answer only when ``parties`` requests are here at the same time."""
    note(key, "here")
    if len(notes[key]) == parties:
        open_gate(key)
    await pass_gate(key)
    return {"met": len(notes[key])}


async def digest(body: AsyncIterable[bytes]) -> dict[str, Any]:
    """Read a request body piece by piece, keeping none of it."""
    size = checksum = largest = 0
    async for piece in body:
        size += len(piece)
        largest = max(largest, len(piece))
        checksum = zlib.crc32(piece, checksum)
    return {"size": size, "crc32": checksum, "largest_piece": largest}


async def megabytes(key: str, count: int) -> AsyncIterator[bytes]:
    for _ in range(count * 16):
        sent[key] += len(BLOCK)
        yield BLOCK


async def pieces(key: str) -> AsyncIterator[bytes]:
    yield b"first\n"
    await pass_gate(key)
    yield b"second\n"


async def endless(key: str) -> AsyncIterator[bytes]:
    """A stream that only its client can end."""
    try:
        while True:
            sent[key] += len(BLOCK)
            yield BLOCK
            # An application lets others run; a server must not depend on send() to do so.
            await asyncio.sleep(0)
    finally:
        note(key, f"ended by {reason()}")


async def idle(key: str) -> AsyncIterator[bytes]:
    """Server-sent events of which only the first ever happens."""
    try:
        yield b"data: hello\n\n"
        await asyncio.Event().wait()
    finally:
        note(key, f"ended by {reason()}")
        write_diary("stream ended")


def write_diary(line: str) -> None:
    """Write a line into the file that the test names in ``DIARY``, if it does."""
    file = os.environ.get("DIARY")
    if file:
        with Path(file).open("a") as diary:
            diary.write(f"{line}\n")


def reason() -> str:
    found = sys.exc_info()[0]
    return "nothing" if found is None else found.__name__
