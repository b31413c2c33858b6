"""One call of the application, from both ends: the exchange, and what the client does to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

from ..errors import AppError, UsageError
from ..exchange.disconnect import only_disconnected
from ..exchange.http import HttpExchange
from ..exchange.service import Service
from ..exchange.websocket import WebSocketExchange
from ..http import Head
from ..wire.http1.framing import CHUNKED
from .failures import BrokenOff, TimedOut
from .memory import Fault, Memory, SocketMemory
from .replies import Reply
from .requests import Outgoing
from .waiting import place_in

__all__ = ["Call", "HttpCall", "SocketCall"]

_PIECE = 64 * 1024


class _TestedExchange(HttpExchange):
    __slots__ = ("failure", "raises")

    failure: BaseException | None  # what escaped the application
    raises: bool  # in the test, instead of being logged

    def log_failure(self, error: BaseException, where: str) -> None:
        if not _kept(self, error):
            super().log_failure(error, where)

    def ended_early(self) -> None:
        what = "ending" if self.head_sent else "sending"
        _kept(self, AppError(f"the application returned without {what} a response"))
        super().ended_early()


class _TestedSocket(WebSocketExchange):
    __slots__ = ("failure", "raises")

    failure: BaseException | None
    raises: bool

    def log_failure(self, error: BaseException, where: str) -> None:
        if not _kept(self, error):
            super().log_failure(error, where)


def _kept(exchange: _TestedExchange | _TestedSocket, error: BaseException) -> bool:
    """Keep what escaped the application for the test, if it wants that."""
    if exchange.raises and not (exchange.gone and only_disconnected(error)):
        exchange.failure = error
    return exchange.raises


class Call:
    """What requests and sockets have in common; ``timeout`` bounds each wait, in seconds."""

    exchange: _TestedExchange | _TestedSocket
    out: Memory

    def __init__(self, service: Service, name: str, timeout: float | None) -> None:
        self.loop = service.loop
        self.name = name
        self.timeout = timeout
        self.task: asyncio.Task[None] | None = None  # None until begun
        self.uploading: asyncio.Task[None] | None = None
        self.on_end: Callable[[Call], None] = lambda call: None

    def begin(self, exchange: _TestedExchange | _TestedSocket, raises: bool) -> None:
        """Call the application, which runs until it first has to wait."""
        self.exchange = self.out.exchange = exchange
        exchange.failure = None
        exchange.raises = raises
        exchange.begin()
        self.task = exchange.task
        if self.task is not None and not self.task.done():
            self.task.add_done_callback(self._on_task_end)

    @property
    def over(self) -> bool:
        """Whether the application's call has ended."""
        return self.task is None or self.task.done()

    async def until(self, ready: Callable[[], Any], what: str) -> None:
        """Wait until something is so, or the call has ended."""
        if not (ready() or self.over):
            await self.out.changed.until(
                lambda: ready() or self.over, self.timeout, lambda: self._late(what)
            )

    async def must(self, ready: Callable[[], Any], what: str) -> None:
        """Wait as ``until`` does; if that is in vain, the client is gone and so is the call."""
        try:
            await self.until(ready, what)
        except TimedOut:
            await self.abandon()
            raise
        except BaseException:
            self.out.lose()
            raise

    async def finish(self) -> None:
        """Wait until the application's call has ended, then raise what escaped it."""
        await self.must(lambda: False, "return")
        await self._end_upload()
        self.check()

    def check(self) -> None:
        """Raise what escaped the application, once."""
        failure, self.exchange.failure = self.exchange.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                # Its traceback holds this frame.
                del failure

    async def vanish(self) -> None:
        """Be gone, without a word."""
        if not self.exchange.gone:
            self.exchange.peer_gone()
            self.out.changed.fire()
            await asyncio.sleep(0)

    async def abandon(self) -> None:
        """Cancel the application's call."""
        if self.task is not None and not self.over:
            self.task.cancel("the test client gave up")
            await asyncio.wait([self.task], timeout=self.timeout)
        await self._end_upload()

    async def _end_upload(self) -> None:
        uploading, self.uploading = self.uploading, None
        if uploading is not None:
            uploading.cancel()
            await asyncio.wait([uploading])
            if not uploading.cancelled() and (error := uploading.exception()) is not None:
                raise error

    def _late(self, what: str) -> str:
        return f"{self.name}: the application did not {what}; it waits in {place_in(self.task)}"

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self.on_end(self)
        self.out.changed.fire()


class HttpCall(Call):
    """One request."""

    exchange: _TestedExchange

    def __init__(
        self, service: Service, outgoing: Outgoing, out: Memory, timeout: float | None
    ) -> None:
        head = outgoing.head
        super().__init__(service, f"{head.method} {outgoing.url}", timeout)
        self.url = outgoing.url
        self.out = out
        self._service = service
        self._outgoing = outgoing

    def start(self, raises: bool, fault: Fault | None) -> None:
        """Send the request."""
        outgoing, service = self._outgoing, self._service
        content = outgoing.content
        limit = fault.size if fault is not None and fault.of == "request" else None
        if outgoing.at_once and isinstance(content, bytes) and limit is None:
            exchange = _TestedExchange(self.out, service, outgoing.head, content, True)
            self.begin(exchange, raises)
            return
        self.begin(_TestedExchange(self.out, service, outgoing.head, b"", False), raises)
        if not self.over:
            self.uploading = self.loop.create_task(self._upload(limit))

    def reply(self) -> Reply:
        """Return what has arrived.  Raises ``BrokenOff`` if that is not all, by no wish of ours."""
        out = self.out
        if not out.ended and not out.cut:
            what = f"after {out.status}" if out.status else "before the response"
            raise BrokenOff(f"{self.name}: the server cut the connection {what}")
        chunks = out.chunks
        content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self.fill(Reply(self.url, out.status, out.pairs, content))

    def fill(self, reply: Reply) -> Reply:
        """Put into a reply what stands beside head and content."""
        out = self.out
        reply.complete = out.ended
        if out.interim:
            reply.informational = out.interim
        if out.trailer_pairs:
            reply.trailers.pairs.extend(out.trailer_pairs)
        return reply

    async def _upload(self, limit: int | None) -> None:
        """Send content as the application wants it, one piece at a time."""
        declared, sent = self._outgoing.head.body_length, 0
        async with contextlib.aclosing(_pieces(self._outgoing)) as pieces:
            try:
                async for piece in pieces:
                    await self._wanted()
                    part = piece if limit is None else piece[: limit - sent]
                    sent += len(part)
                    if sent > declared != CHUNKED:
                        raise UsageError(f"{self.name}: content longer than its content-length")
                    self._arrive(part, sent == declared)
                    if sent == limit:
                        break
            except Exception:
                self.out.lose()
                raise
        if sent == limit or sent < declared:
            await self._wanted()
            self.out.cut = True
            self.out.lose()
        elif sent == 0 or declared == CHUNKED:
            await self._wanted()
            self._arrive(b"", True)

    async def _wanted(self) -> None:
        await self.out.changed.until(lambda: self.out.wanted, None, str)
        self.out.wanted = False

    def _arrive(self, data: bytes, ended: bool) -> None:
        if not self.exchange.complete:
            self.exchange.body_arrived(data, ended)


class SocketCall(Call):
    """One socket."""

    exchange: _TestedSocket
    out: SocketMemory

    def __init__(
        self, service: Service, outgoing: Outgoing, out: SocketMemory, timeout: float | None
    ) -> None:
        super().__init__(service, f"WebSocket {outgoing.url}", timeout)
        self.url = outgoing.url
        self.out = out
        self._service = service

    def start(self, head: Head, subprotocols: list[str], raises: bool) -> None:
        """Ask for the socket."""
        self.begin(_TestedSocket(self.out, self._service, head, subprotocols), raises)


async def _pieces(outgoing: Outgoing) -> AsyncGenerator[bytes, None]:
    """Yield the content in pieces that are not empty."""
    content, size = outgoing.content, outgoing.chunk_size
    if isinstance(content, bytes):
        size = size or _PIECE
        content = [content[at : at + size] for at in range(0, len(content), size)]
        size = None
    async for piece in _each(content):
        data = piece.encode() if isinstance(piece, str) else bytes(piece)
        for at in range(0, len(data), size or len(data) or 1):
            yield data[at : at + size] if size else data


async def _each(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
