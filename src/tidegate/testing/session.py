"""What a client does, whether its test waits in a coroutine or not.

A session runs the lifespan, makes the calls, keeps cookies and follows
redirects; ``Client`` and ``AsyncClient`` are its two faces.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ..asgi import Application
from ..errors import UsageError
from ..exchange.lifespan import LifespanMode
from ..exchange.service import Policy, Service
from ..web.annotations import read_signature
from ..web.headers import Pairs
from ..web.response import Response
from ..wire.websocket.handshake import read_handshake
from .call import Call, HttpCall, SocketCall
from .cookies import Cookies
from .failures import StatusError
from .lifespans import TestedLifespan
from .memory import Fault, Memory, Place, SocketMemory
from .replies import Reply
from .requests import HeaderValues, Maker, Outgoing, RequestOptions

__all__ = ["Session", "Settings"]

MAX_REDIRECTS = 20

# The sample nonce of RFC 6455 section 1.3: nobody between us could mistake it.
_HANDSHAKE: Pairs = [
    (b"connection", b"upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]

_CLIENT = ("127.0.0.1", 50000)


def _policy() -> Policy:
    # A test that leaves a stream should not wait as long as a server does for
    # an application that does not notice.
    return Policy(disconnect_grace=0.1)


@dataclass
class Settings:
    """What ``client()`` was given; ``timeout`` is seconds."""

    base_url: str = "http://testserver"
    headers: HeaderValues | None = None
    cookies: bool | Mapping[str, str] = True
    override: Mapping[Any, Any] | None = None
    raise_errors: bool = True
    lifespan: LifespanMode = "auto"
    timeout: float | None = 20.0
    policy: Policy = field(default_factory=_policy)


class Session:
    """One application, opened; used on one event loop."""

    def __init__(self, app: Application, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.maker = Maker(settings.base_url, settings.headers)
        self.cookies = Cookies()
        if not isinstance(settings.cookies, bool):
            self.cookies.update(settings.cookies)
        self.fault: Fault | None = None
        self._service: Service | None = None  # None unless open
        self._stack = contextlib.AsyncExitStack()
        self._lifespan: TestedLifespan | None = None
        self._calls: dict[Call, None] = {}  # in progress
        self._failed: list[Call] = []  # ended when nobody waited for them

    # -- opened and closed -----------------------------------------------------

    async def open(self) -> None:
        """Put overrides in place and start the application."""
        settings = self.settings
        await self._stack.__aenter__()
        try:
            if settings.override is not None:
                await self._override(settings.override)
            self._service = Service(self.app, settings.policy, asyncio.get_running_loop())
            self._lifespan = TestedLifespan(self.app, settings.lifespan, settings.raise_errors)
            await self._lifespan.open(settings.timeout)
            self._service.state = self._lifespan.state
        except BaseException:
            self._service = None
            await self._stack.aclose()
            raise

    async def close(self) -> None:
        """Let calls in progress end, then stop the application.

        Raises what escaped the application since somebody last looked, and
        ``TimedOut`` if a call does not end.
        """
        try:
            for call in list(self._calls):
                if not call.out.ended:
                    call.out.lose()
            try:
                await self.settle()
            finally:
                for call in list(self._calls):
                    await call.abandon()
                self._service = None
                if self._lifespan is not None:
                    await self._lifespan.close(self.settings.timeout)
        finally:
            await self._stack.aclose()

    async def settle(self) -> None:
        """Wait until no call is in progress; raise what escaped one."""
        for call in list(self._calls):
            await call.until(lambda: False, "return")
        failed, self._failed = self._failed, []
        for call in failed:
            call.check()

    @property
    def service(self) -> Service:
        """What the calls share."""
        if self._service is None:
            raise UsageError("the client is not open: write 'with client(app) as c:'")
        return self._service

    async def _override(self, values: Mapping[Any, Any]) -> None:
        override = getattr(self.app, "override", None)
        if override is None:
            kind = type(self.app).__qualname__
            raise UsageError(f"override=... needs a tidegate.App; {kind} has no override()")
        manager = override(values)
        if hasattr(manager, "__aenter__"):
            await self._stack.enter_async_context(manager)
        else:
            self._stack.enter_context(manager)

    # -- requests --------------------------------------------------------------

    async def request(self, method: str, url: str, options: RequestOptions) -> Reply:
        """Send a request and return the reply, or the last of a chain of redirects."""
        url = self.maker.absolute(url)
        history: list[Reply] = []
        while True:
            call = self.send(method, url, options, None)
            await self._wait_for(call, options.get("wait", True))
            reply = call.reply()
            reply.history = history
            self.keep_cookies(call)
            location = reply.headers.get("location")
            if not options.get("follow_redirects") or not location or reply.status // 100 != 3:
                return reply
            if len(history) == MAX_REDIRECTS:
                raise StatusError(f"{call.name}: more than {MAX_REDIRECTS} redirects", reply)
            history = [*history, reply]
            method, url, options = self.maker.redirected(
                reply.status, method, url, location, options
            )

    def send(self, method: str, url: str, options: RequestOptions, buffer: int | None) -> HttpCall:
        """Begin a request to an absolute URL."""
        service, fault = self.service, self.fault
        outgoing = self.maker.make(method, url, options, self._cookie(url))
        limit = fault.size if fault is not None and fault.of == "response" else None
        out = Memory(self._place(outgoing), buffer, limit)
        call = HttpCall(service, outgoing, out, options.get("timeout", self.settings.timeout))
        call.start(self.settings.raise_errors, fault)
        self._watch(call)
        return call

    def open_socket(
        self, url: str, options: RequestOptions, subprotocols: list[str], buffer: int | None
    ) -> SocketCall:
        """Begin a handshake with an absolute URL."""
        service, fault = self.service, self.fault
        extra = list(_HANDSHAKE)
        if subprotocols:
            extra.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode()))
        outgoing = self.maker.make("GET", url, options, self._cookie(url), extra)
        limit = fault.size if fault is not None else None
        out = SocketMemory(self._place(outgoing), buffer, limit)
        call = SocketCall(service, outgoing, out, options.get("timeout", self.settings.timeout))
        handshake = read_handshake(outgoing.head)
        call.start(outgoing.head, handshake.subprotocols, self.settings.raise_errors)
        self._watch(call)
        return call

    def keep_cookies(self, call: HttpCall | SocketCall) -> None:
        """Take the cookies of a response whose head is there."""
        if self.settings.cookies is not False:
            self.cookies.keep(call.url, call.out.pairs)

    @contextlib.contextmanager
    def disconnect_after(self, size: int, of: Literal["request", "response"]) -> Iterator[None]:
        """Let the client of each request in the block vanish."""
        before, self.fault = self.fault, Fault(size, of)
        try:
            yield
        finally:
            self.fault = before

    # -- typed -----------------------------------------------------------------

    async def call(self, handler: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Send the request that calls a handler with these arguments; return what it returned."""
        request_for = getattr(self.app, "request_for", None)
        if request_for is None:
            kind = type(self.app).__qualname__
            raise UsageError(f"call() needs a tidegate.App; {kind} has no request_for()")
        method, path, params, headers, content = request_for(handler, arguments)
        options: RequestOptions = {"params": params or {}, "headers": headers or {}}
        if content is not msgspec.UNSET:
            options["json"] = content
        reply = (await self.request(method, path, options)).raise_for_status()
        return _returned(reply, read_signature(handler).returns)

    def received_type(self, path: str) -> Any:
        """Return the type of the messages that a socket at a path sends; Any if unknown."""
        types_of = getattr(self.app, "socket_types", None)
        types = types_of(path) if types_of is not None else None
        return Any if types is None else types[1]

    # -- private ---------------------------------------------------------------

    def _cookie(self, url: str) -> str:
        return self.cookies.header_for(url) if self.cookies.jar else ""

    def _place(self, outgoing: Outgoing) -> Place:
        host, _, port = outgoing.host.rpartition(":")
        if not (host and port.isdigit()):
            host, port = outgoing.host, "443" if outgoing.scheme == "https" else "80"
        trusted = self.settings.policy.proxies.trusts(_CLIENT[0])
        return Place(outgoing.scheme, _CLIENT, (host.strip("[]"), int(port)), trusted)

    def _watch(self, call: Call) -> None:
        if not call.over:
            self._calls[call] = None
            call.on_end = self._on_end

    def _on_end(self, call: Call) -> None:
        self._calls.pop(call, None)
        if call.exchange.failure is not None:
            self._failed.append(call)

    async def _wait_for(self, call: HttpCall, wholly: bool) -> None:
        """Wait for a response, or until the application's call has ended."""
        out = call.out
        if not wholly:
            await call.must(lambda: out.ended or out.cut or out.aborted, "answer")
        if wholly or call.over:
            await call.finish()


def _returned(reply: Reply, hint: Any) -> Any:
    """Return what the handler returned, as far as the reply shows it."""
    kind = typing.get_origin(hint) or hint
    if hint is None:
        return None
    if isinstance(kind, type) and issubclass(kind, Response):
        return reply
    if hint in (str, bytes) and "json" not in reply.headers.get("content-type", ""):
        return reply.text if hint is str else reply.content
    return reply.json(hint)
