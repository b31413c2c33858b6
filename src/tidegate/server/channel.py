"""The line between a supervisor and one of its workers: calls by name, both ways.

A message is one line of JSON.  Either side may ``call`` the other and await
the answer, or ``tell`` it something and go on.  The end of the line is the end
of the process at its other end.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any, cast

from ..errors import TidegateError

__all__ = ["Answer", "Channel", "ChannelClosed"]

Answer = Callable[[str, dict[str, Any]], Any]
"""Answers a call by its name and arguments, perhaps with an awaitable; raises to refuse."""


class ChannelClosed(TidegateError):
    """Nobody is at the other end any more."""


class Channel(asyncio.Protocol):
    """One end of the line.

    ``answer`` does what the other side calls for; what it raises becomes the
    ``TidegateError`` of the caller.  ``on_end`` is called once, when the other
    side is gone.  Open it with ``loop.create_connection(lambda: channel, sock=...)``.
    """

    def __init__(self, answer: Answer, on_end: Callable[[], None]) -> None:
        self._answer = answer
        self._on_end = on_end
        self._transport: asyncio.WriteTransport | None = None  # None unless open
        self._received = b""
        self._waiting: dict[int, asyncio.Future[Any]] = {}  # calls without an answer
        self._calls = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, name: str, args: dict[str, Any] | None = None) -> Any:
        """Return the other side's answer.

        Raises ``TidegateError`` with its reason, ``ChannelClosed`` if it is
        gone.  It waits as long as the other side takes: set a timeout.
        """
        self._calls += 1
        number = self._calls
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            self._write({"call": name, "args": args or {}, "id": number})
            return await answered
        finally:
            self._waiting.pop(number, None)

    def tell(self, name: str, args: dict[str, Any] | None = None) -> None:
        """Call and want no answer; nothing happens if the other side is gone."""
        if self._transport is not None:
            self._write({"call": name, "args": args or {}})

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    # -- called by the transport ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is open."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Take every message that is complete."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits for an answer."""
        self._transport = None
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(ChannelClosed("the process has ended"))
        self._on_end()

    # -- private -------------------------------------------------------------

    def _write(self, message: dict[str, Any]) -> None:
        if self._transport is None:
            raise ChannelClosed("the process has ended")
        self._transport.write(json.dumps(message).encode() + b"\n")

    def _take(self, message: dict[str, Any]) -> None:
        if "call" in message:
            task = asyncio.ensure_future(self._perform(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        answered = self._waiting.get(message["id"])
        if answered is None or answered.done():
            return
        if "error" in message:
            answered.set_exception(TidegateError(message["error"]))
        else:
            answered.set_result(message["ok"])

    async def _perform(self, message: dict[str, Any]) -> None:
        try:
            answer = self._answer(message["call"], message["args"])
            if inspect.isawaitable(answer):
                answer = await answer
            reply = {"ok": answer}
        except Exception as error:
            reply = {"error": str(error) if isinstance(error, TidegateError) else repr(error)}
        if "id" in message and self._transport is not None:
            self._write({**reply, "id": message["id"]})
