"""A response that is read while the application still writes it."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Iterator
from types import TracebackType

from ..web.headers import Headers
from .call import HttpCall
from .failures import BrokenOff
from .loops import PrivateLoop
from .replies import Reply, charset_of
from .requests import RequestOptions
from .session import Session

__all__ = ["AsyncStream", "Exchanged", "Lines", "Stream"]


class Exchanged:
    """What both kinds of streams know; all of it once the head has arrived.

    ``buffer`` is how many bytes the client takes before they are read: with 0
    each ``send`` of the application waits for the test.
    """

    def __init__(
        self, session: Session, method: str, url: str, options: RequestOptions, buffer: int
    ) -> None:
        self._session = session
        self._request = (method, url, options, buffer)
        self._call: HttpCall
        self.left = False  # the test let the client vanish
        self.status = 0
        self.headers = Headers([])

    async def open(self) -> None:
        """Send the request and wait for the head of the response."""
        method, url, options, buffer = self._request
        session = self._session
        call = self._call = session.send(method, session.maker.absolute(url), options, buffer)
        await call.must(lambda: call.out.status, "answer")
        call.check()
        if not call.out.status:
            await call.finish()
            call.reply()
        self.status = call.out.status
        self.headers = Headers(call.out.pairs)
        session.keep_cookies(call)

    async def take(self) -> bytes | None:
        """Return the next piece, as the application sent it; None at the end.

        Raises ``BrokenOff``, or what escaped the application, if the end does
        not come.
        """
        call, out = self._call, self._call.out
        await call.until(lambda: out.chunks or self._at_end, "send more")
        if out.chunks and not self.left:
            stuck = out.congested
            data = out.take()
            if stuck and not out.congested:
                call.exchange.may_write()
            return data
        if out.ended or out.cut or self.left:
            return None
        call.check()
        raise BrokenOff(f"{call.name}: the server cut the connection in the middle of the content")

    @property
    def _at_end(self) -> bool:
        out = self._call.out
        return out.ended or out.cut or out.aborted or self.left

    async def rest(self) -> Reply:
        """Return all that is still to come, as a reply."""
        pieces = []
        while (piece := await self.take()) is not None:
            pieces.append(piece)
        call = self._call
        return call.fill(Reply(call.url, self.status, self.headers.pairs, b"".join(pieces)))

    async def leave(self) -> None:
        """Vanish."""
        self.left = True
        await self._call.vanish()

    async def end(self, error: BaseException | None) -> None:
        """Vanish if the response is not over, and wait until the application's call is."""
        try:
            if not self._call.out.ended:
                await self.leave()
            await self._call.finish()
        except Exception:
            # What the test ran into first is what it wants to see, unless it
            # was but the consequence.
            if error is None or isinstance(error, BrokenOff):
                raise


class Stream(Exchanged):
    """A response for a test without coroutines.  The application runs while the test waits."""

    def __init__(
        self,
        loop: PrivateLoop,
        session: Session,
        request: tuple[str, str, RequestOptions],
        buffer: int,
    ) -> None:
        super().__init__(session, *request, buffer)
        self.loop = loop

    def __enter__(self) -> Stream:
        self.loop.run(self.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.loop.run(self.end(error))

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the content piece by piece, as the application sends it."""
        while (piece := self.loop.run(self.take())) is not None:
            yield piece

    def iter_text(self) -> Iterator[str]:
        """Yield the content as text; no character is torn."""
        decoder = codecs.getincrementaldecoder(charset_of(self.headers))("replace")
        for piece in self.iter_bytes():
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", True):
            yield text

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines without their ends."""
        lines = Lines()
        for text in self.iter_text():
            yield from lines.feed(text)
        yield from lines.end()

    def read(self) -> Reply:
        """Return all that is still to come, as a reply."""
        return self.loop.run(self.rest())

    def disconnect(self) -> None:
        """Vanish, as a client does whose network is gone."""
        self.loop.run(self.leave())


class AsyncStream(Exchanged):
    """A response for a coroutine."""

    async def __aenter__(self) -> AsyncStream:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.end(error)

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the content piece by piece, as the application sends it."""
        while (piece := await self.take()) is not None:
            yield piece

    async def iter_text(self) -> AsyncIterator[str]:
        """Yield the content as text; no character is torn."""
        decoder = codecs.getincrementaldecoder(charset_of(self.headers))("replace")
        while (piece := await self.take()) is not None:
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", True):
            yield text

    async def iter_lines(self) -> AsyncIterator[str]:
        """Yield the lines without their ends."""
        lines = Lines()
        async for text in self.iter_text():
            for line in lines.feed(text):
                yield line
        for line in lines.end():
            yield line

    async def read(self) -> Reply:
        """Return all that is still to come, as a reply."""
        return await self.rest()

    async def disconnect(self) -> None:
        """Vanish, as a client does whose network is gone."""
        await self.leave()


class Lines:
    """Cuts text into lines; they end in LF, CR LF or CR."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """Return the lines that are complete."""
        text = self._rest + text
        # A CR at the end may be half of a CR LF.
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = text.split("\n")
        self._rest = rest + held
        return lines

    def end(self) -> list[str]:
        """Return the last line, unless it is empty."""
        rest, self._rest = self._rest.removesuffix("\r"), ""
        return [rest] if rest else []
