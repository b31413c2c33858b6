"""Hears from functions that run in workers, so that tests need not guess when they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tidegate.bridge.processes import ProcessLimits, ProcessPool


def pool_of(workers: int, **limits: object) -> ProcessPool:
    return ProcessPool("test", ProcessLimits(workers=workers, **limits))  # type: ignore[arg-type]


def is_running(pid: int) -> bool:
    """Say whether there is such a process, and not only its entry in the table."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the timeout of the test is the limit."""
    while not condition():
        await asyncio.sleep(0)
        os.sched_yield()


class Post:
    """A port to which functions write their process number."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[tuple[int, asyncio.StreamWriter]] = asyncio.Queue()
        self._writers: dict[int, asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._hear, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in self._writers.values():
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._arrived.put_nowait((int(await reader.readline()), writer))

    async def pid(self) -> int:
        """Return the number that the next function wrote."""
        number, writer = await self._arrived.get()
        self._writers[number] = writer
        return number

    def answer(self, pid: int, word: str) -> None:
        """Let a function go on."""
        self._writers[pid].write(word.encode())
