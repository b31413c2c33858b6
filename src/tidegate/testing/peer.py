"""The other end of one HTTP/1 connection, in memory.

A ``Peer`` drives the real connection, core and exchange of the server; only
the socket and the clock are replaced.  So a test says exactly which bytes
arrive when, and no test sleeps.
"""

from __future__ import annotations

import asyncio
import io
from http.client import HTTPResponse
from typing import Any, cast

from ..asgi import Application
from ..exchange.ended import Journal
from ..exchange.service import Policy, Service
from ..net.clock import Clock
from ..net.http1 import Http1Connection
from ..net.timeouts import Timeouts
from ..net.worker import Worker
from ..wire.http1.limits import Http1Limits
from .transport import FakeTransport

__all__ = ["Peer", "Response", "turns"]


async def turns(count: int = 10) -> None:
    """Let the event loop turn, so that everything that can happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


class Response:
    """One response as the standard library reads it."""

    def __init__(self, raw: bytes, method: str = "GET") -> None:
        source = _Bytes(raw)
        reader = HTTPResponse(cast(Any, _Socket(source)), method=method)
        reader.begin()
        self.status = reader.status
        self.version = reader.version
        self.headers = [(name.lower(), value) for name, value in reader.getheaders()]
        self.body = reader.read()
        self.rest = b"" if reader.will_close else source.read()

    def header(self, name: str) -> str | None:
        """Return the value of a header; None if it is missing."""
        return dict(self.headers).get(name)


class Peer:
    """A client of ``application``, connected."""

    def __init__(
        self,
        application: Application,
        policy: Policy | None = None,
        *,
        timeouts: Timeouts | None = None,
        limits: Http1Limits | None = None,
        access_log: Journal | None = None,
        transport: FakeTransport | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.service = Service(application, policy or Policy(), loop, access_log)
        self.clock = Clock(self.service)
        self.worker = Worker(
            self.service, self.clock, timeouts or Timeouts(), limits or Http1Limits()
        )
        self.connect(transport)

    def connect(self, transport: FakeTransport | None = None) -> None:
        """Open another connection to the same worker, and use it from now on."""
        self.transport = transport or FakeTransport()
        self.connection = Http1Connection(self.worker)
        self.transport.connect(self.connection)

    async def send(self, data: bytes | str) -> None:
        """Send bytes; returns when the server has done what it can with them."""
        if isinstance(data, str):
            data = data.encode("latin-1")
        # As the event loop does it: outside of any task.
        asyncio.get_running_loop().call_soon(self.connection.data_received, data)
        await turns()

    async def get(self, target: str = "/", headers: str = "", method: str = "GET") -> Response:
        """Send a request without content and return the response to it."""
        self.transport.output = b""
        await self.send(f"{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Return the first response in what was received."""
        return Response(self.transport.output, method)

    async def half_close(self) -> None:
        """Send no more, but go on listening."""
        loop = asyncio.get_running_loop()

        def eof() -> None:
            if not self.connection.eof_received():
                self.transport.close()

        loop.call_soon(eof)
        await turns()

    async def leave(self) -> None:
        """Be gone, as after a reset."""
        self.transport.lose(ConnectionResetError())
        await turns()

    async def wait(self, seconds: float) -> None:
        """Let so much time pass on the server's clock: a tick each second."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
        await turns()


class _Bytes(io.BytesIO):
    """Stays open: what follows the response is wanted too."""

    def close(self) -> None:
        pass


class _Socket:
    """As much of a socket as ``HTTPResponse`` needs."""

    def __init__(self, source: io.BytesIO) -> None:
        self._source = source

    def makefile(self, mode: str) -> io.BytesIO:
        return self._source
