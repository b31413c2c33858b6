"""A client for tests of any ASGI application: the server's exchange, without a network.

``client(app)`` works in a plain function, where the application runs on a
loop of the client's own whenever the test waits for it, and in a coroutine,
where it runs on the loop that is there.  No thread is involved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar, Unpack, overload

from ..asgi import Application
from ..errors import UsageError
from ..exchange.lifespan import LifespanMode
from ..exchange.service import Policy
from .cookies import Cookies
from .loops import PrivateLoop
from .replies import Reply
from .requests import HeaderValues, RequestOptions
from .sent_events import AsyncEvents, Events
from .session import Session, Settings
from .sockets import AsyncSocket, Socket
from .streams import AsyncStream, Stream

__all__ = ["AsyncClient", "Client", "Opening", "client"]

T = TypeVar("T")

# What a client takes unread, in bytes, as a socket's buffers would.
BUFFER = 64 * 1024


def client(
    app: Application,
    *,
    base_url: str = "http://testserver",
    headers: HeaderValues | None = None,
    cookies: bool | Mapping[str, str] = True,
    override: Mapping[Any, Any] | None = None,
    raise_errors: bool = True,
    lifespan: LifespanMode = "auto",
    timeout: float | None = 20.0,
    policy: Policy | None = None,
) -> Opening:
    """Return a client to enter: ``with client(app) as c:``, or ``async with``.

    ``headers`` go with every request; ``cookies`` says whether to keep them, or
    which to begin with.  ``override`` replaces what a ``tidegate.App`` injects.
    What escapes the application is raised in the test unless ``raise_errors`` is
    False.  ``timeout`` is seconds, for each thing the client waits for.
    ``policy`` is how the server treats the application.
    """
    settings = Settings(base_url, headers, cookies, override, raise_errors, lifespan, timeout)
    if policy is not None:
        settings.policy = policy
    return Opening(app, settings)


class Opening:
    """A client that is not open yet; it may be opened again and again."""

    def __init__(self, app: Application, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._open: Client | AsyncClient | None = None

    def __enter__(self) -> Client:
        session = self._session()
        loop = PrivateLoop()
        try:
            loop.run(session.open())
        except BaseException:
            loop.close()
            raise
        self._open = opened = Client(session, loop)
        return opened

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        opened, self._open = self._open, None
        if isinstance(opened, Client):
            opened.close(error)

    async def __aenter__(self) -> AsyncClient:
        session = self._session()
        await session.open()
        self._open = opened = AsyncClient(session)
        return opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        opened, self._open = self._open, None
        if isinstance(opened, AsyncClient):
            await opened.close(error)

    def _session(self) -> Session:
        if self._open is not None:
            raise UsageError("this client is open already; make another one")
        return Session(self._app, self._settings)


class _Face:
    """What is the same in a function and in a coroutine."""

    _session: Session

    @property
    def cookies(self) -> Cookies:
        """The cookies that go with the next request."""
        return self._session.cookies

    @property
    def state(self) -> dict[str, Any]:
        """What the application put into the state at startup."""
        return self._session.service.state

    def disconnect_after(
        self, size: int, of: Literal["request", "response"] = "response"
    ) -> contextlib.AbstractContextManager[None]:
        """Let the client of each request in the block vanish after ``size`` bytes of content.

        For sockets it is after ``size`` messages received.  The reply then has
        what arrived, and ``complete`` is False.
        """
        return self._session.disconnect_after(size, of)


class Client(_Face):
    """A client for a test without coroutines."""

    def __init__(self, session: Session, loop: PrivateLoop) -> None:
        self._session = session
        self._loop = loop

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a request; return the reply when the application's call has ended.

        Background work that is part of the call has been done by then, unless
        ``wait=False``.
        """
        return self._loop.run(self._session.request(method, url, options))

    def get(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a GET request."""
        return self._loop.run(self._session.request("GET", url, options))

    def post(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a POST request."""
        return self._loop.run(self._session.request("POST", url, options))

    def put(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a PUT request."""
        return self._loop.run(self._session.request("PUT", url, options))

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a PATCH request."""
        return self._loop.run(self._session.request("PATCH", url, options))

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a DELETE request."""
        return self._loop.run(self._session.request("DELETE", url, options))

    def head(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a HEAD request."""
        return self._loop.run(self._session.request("HEAD", url, options))

    def options(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send an OPTIONS request."""
        return self._loop.run(self._session.request("OPTIONS", url, options))

    def stream(
        self, method: str, url: str, *, buffer: int = BUFFER, **options: Unpack[RequestOptions]
    ) -> Stream:
        """Return a response to read in pieces: ``with c.stream("GET", "/x") as reply:``."""
        return Stream(self._loop, self._session, (method, url, options), buffer)

    def sse(
        self,
        url: str,
        *,
        last_event_id: str | None = None,
        method: str = "GET",
        **options: Unpack[RequestOptions],
    ) -> Events:
        """Return a stream of events: ``with c.sse("/x") as events:``."""
        return Events(self.stream(method, url, **_for_events(options, last_event_id)))

    def ws(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        buffer: int = BUFFER,
        **options: Unpack[RequestOptions],
    ) -> Socket:
        """Return a WebSocket: ``with c.ws("/x") as ws:``."""
        return Socket(self._loop, self._session, (url, options), subprotocols, buffer)

    @overload
    def call(self, handler: Callable[..., Awaitable[T]], /, **arguments: Any) -> T: ...

    @overload
    def call(self, handler: Callable[..., T], /, **arguments: Any) -> T: ...

    def call(self, handler: Callable[..., Any], /, **arguments: Any) -> Any:
        """Call a handler of a ``tidegate.App`` through a request; return what it returned.

        Raises ``StatusError`` if the reply is 4xx or 5xx.
        """
        return self._loop.run(self._session.call(handler, arguments))

    def settle(self) -> None:
        """Wait until no call of the application is in progress."""
        self._loop.run(self._session.settle())

    def close(self, error: BaseException | None = None) -> None:
        """Stop the application; what goes wrong is raised unless the test has failed already."""
        try:
            self._loop.run(self._session.close())
        except Exception:
            if error is None:
                raise
        finally:
            self._loop.close()


class AsyncClient(_Face):
    """A client for a coroutine; the application runs on the same loop."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a request; return the reply when the application's call has ended.

        Background work that is part of the call has been done by then, unless
        ``wait=False``.
        """
        return await self._session.request(method, url, options)

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a GET request."""
        return await self._session.request("GET", url, options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a POST request."""
        return await self._session.request("POST", url, options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a PUT request."""
        return await self._session.request("PUT", url, options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a PATCH request."""
        return await self._session.request("PATCH", url, options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a DELETE request."""
        return await self._session.request("DELETE", url, options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send a HEAD request."""
        return await self._session.request("HEAD", url, options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> Reply:
        """Send an OPTIONS request."""
        return await self._session.request("OPTIONS", url, options)

    def stream(
        self, method: str, url: str, *, buffer: int = BUFFER, **options: Unpack[RequestOptions]
    ) -> AsyncStream:
        """Return a response to read in pieces: ``async with c.stream("GET", "/x") as reply:``."""
        return AsyncStream(self._session, method, url, options, buffer)

    def sse(
        self,
        url: str,
        *,
        last_event_id: str | None = None,
        method: str = "GET",
        **options: Unpack[RequestOptions],
    ) -> AsyncEvents:
        """Return a stream of events: ``async with c.sse("/x") as events:``."""
        return AsyncEvents(self.stream(method, url, **_for_events(options, last_event_id)))

    def ws(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        buffer: int = BUFFER,
        **options: Unpack[RequestOptions],
    ) -> AsyncSocket:
        """Return a WebSocket: ``async with c.ws("/x") as ws:``."""
        return AsyncSocket(self._session, url, options, subprotocols, buffer)

    @overload
    async def call(self, handler: Callable[..., Awaitable[T]], /, **arguments: Any) -> T: ...

    @overload
    async def call(self, handler: Callable[..., T], /, **arguments: Any) -> T: ...

    async def call(self, handler: Callable[..., Any], /, **arguments: Any) -> Any:
        """Call a handler of a ``tidegate.App`` through a request; return what it returned.

        Raises ``StatusError`` if the reply is 4xx or 5xx.
        """
        return await self._session.call(handler, arguments)

    async def settle(self) -> None:
        """Wait until no call of the application is in progress."""
        await self._session.settle()

    async def close(self, error: BaseException | None = None) -> None:
        """Stop the application; what goes wrong is raised unless the test has failed already."""
        try:
            await self._session.close()
        except Exception:
            if error is None:
                raise


def _for_events(options: RequestOptions, last_event_id: str | None) -> RequestOptions:
    given = options.get("headers") or {}
    headers = list(given.items() if isinstance(given, Mapping) else given)
    if "accept" not in [name.lower() for name, _ in headers]:
        headers.append(("accept", "text/event-stream"))
    if last_event_id is not None:
        headers.append(("last-event-id", last_event_id))
    return {**options, "headers": headers}
