"""An exchange whose application is a WSGI callable in a thread.

There is no Task and no scope: the loop hands the request to a pool, and what
comes back is sent as the events an ASGI application would have sent, so that
the rules of ``http.py`` hold for both.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Coroutine, Iterable
from typing import Any

from ..bridge.mailbox import mailbox_of
from ..bridge.wsgi.asgi import Wsgi, retry_after
from ..bridge.wsgi.body import Body
from ..bridge.wsgi.environ import (
    Environ,
    add_client,
    add_headers,
    add_server,
    add_target,
    early_links,
)
from ..bridge.wsgi.reply import Reply, Start
from ..deadline import DEADLINE
from ..errors import AppError, PoolFull
from ..http import REASON, Field, field
from .access import CLIENT_LEFT
from .disconnect import only_disconnected
from .ended import Journal
from .http import HttpExchange
from .out import Address
from .part import Part
from .scope import decode_path
from .sent import SENT
from .service import Policy, Service

__all__ = ["Host", "WsgiExchange", "WsgiService"]


class Host:
    """One WSGI application and what all requests to it share.

    ``prefix`` is where it is mounted, below the ``root_path`` of the policy.
    """

    def __init__(self, wsgi: Wsgi, service: Service, prefix: str = "") -> None:
        self.wsgi = wsgi
        self.prefix = prefix
        self.mailbox = mailbox_of(service.loop)
        self._loop = service.loop
        self._context = service.context
        self._arrived: list[WsgiExchange] = []  # in this turn of the loop
        self._templates: dict[tuple[str, Address | None], Environ] = {}

    def template(self, scheme: str, server: Address | None) -> Environ:
        """Return what is the same for all requests to one of our addresses."""
        made = self._templates.get((scheme, server))
        if made is None:
            made = self.wsgi.template.copy()
            add_server(made, scheme, server)
            self._templates[scheme, server] = made
        return made

    def enqueue(self, exchange: WsgiExchange) -> None:
        """Let a thread serve this request, after the present turn of the loop.

        A thread that is woken fights for the interpreter with the loop that
        still has other requests to read: so all of one turn go to work at once.
        """
        if not self._arrived:
            self._loop.call_soon(self._hand_over, context=self._context)
        self._arrived.append(exchange)

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        for exchange in arrived:
            exchange.enter()


class WsgiService(Service):
    """A service whose application is called in the threads of its pool."""

    def __init__(
        self,
        application: Wsgi,
        policy: Policy,
        loop: asyncio.AbstractEventLoop,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(application, policy, loop, journal)
        self.host = Host(application, self)

    @classmethod
    def mounted(cls, service: Service, wsgi: Wsgi, prefix: str) -> WsgiService:
        """Return a service for an application mounted in that of ``service``.

        They share what is in progress, and the limits.
        """
        made = cls(wsgi, service.policy, service.loop, service.journal)
        made.running, made.on_change = service.running, service.on_change
        made.context, made.naming = service.context, service.naming
        made.entrance = service.entrance
        made.host = Host(wsgi, service, prefix)
        return made

    @property
    def wsgi(self) -> Wsgi:
        """The application."""
        return self.host.wsgi


class WsgiExchange(HttpExchange):
    """Joins one request, one call in a thread and one ``Out``."""

    __slots__ = ("_body", "_hungry", "_ready", "_reply")

    in_thread = True

    service: WsgiService
    _body: Body | None  # None if all content was there from the start
    _hungry: Body | None  # the thread waits for content of this
    _ready: bool  # the thread has produced something, and the client is slow
    _reply: Reply

    def begin(self) -> None:
        """Let a thread of the pool serve the request."""
        service = self.service
        self._ready = False
        self._hungry = None
        self._body = None if self._ended else Body(self._want_content)
        self._reply = Reply(self._wake_loop, self.out.sends_files)
        service.running.add(self)
        service.host.enqueue(self)

    def enter(self) -> None:
        """Go to work; answer 503 if too many wait for a thread."""
        try:
            self.service.host.wsgi.pool.submit(self._serve)
        except PoolFull as full:
            if not self.gone:
                self.answer(503, b"Service Unavailable", [field(*retry_after(full))])
            self._finished()

    # -- in the thread -------------------------------------------------------

    def _serve(self) -> None:
        """Make the call in a context of its own."""
        self.service.context.copy().run(self._call)

    def _call(self) -> None:
        service = self.service
        if self.names is not None:
            self.names.enter()
        entrance = service.entrance
        if entrance is not None and entrance.deadlines is not None:
            at = entrance.deadlines.at(self)
            if at is not None:
                DEADLINE.set(at)
        content = self._body
        service.host.wsgi.call(
            self._reply,
            self._environ(),
            io.BytesIO(b"".join(self._pieces)) if content is None else content,
            service.loop,
        )

    def _environ(self) -> Environ:
        """Return what the application is told."""
        head, out, service = self.head, self.out, self.service
        host, policy = service.host, service.policy
        scheme, client, headers = head.scheme or out.scheme, out.client, head.headers
        mount: str = policy.root_path
        prefix, path = mount.encode(), head.path
        if head.forwarded:
            told = policy.proxies.told(headers, scheme, out)
            scheme, client, headers = told.scheme, told.client, told.headers
            if told.prefix:
                mount, prefix = decode_path(told.prefix), told.prefix
        environ = host.template(scheme, out.server).copy()
        environ["REQUEST_METHOD"] = head.method
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if head.version == "1.1" else "HTTP/" + head.version
        if mount and policy.root_path_mode == "strip":
            # The proxy took it off.
            path = prefix + path
        add_target(environ, head.target, path, head.query, mount + host.prefix)
        add_client(environ, client)
        add_headers(environ, headers)
        if head.version != "1.0":
            environ["wsgi.early_hints"] = self._early_hints
        if self.names is not None:
            self.names.put(environ, "tidegate.")
        return environ

    def _early_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send 103 (Early Hints): what ``environ["wsgi.early_hints"]`` is."""
        links = early_links(headers)
        if links:
            self.service.host.mailbox.post(self._hint_now, links)

    def _wake_loop(self) -> bool:
        return self.service.host.mailbox.post(self._deliver)

    def _want_content(self, body: Body) -> bool:
        return self.service.host.mailbox.post(self._feed, body)

    # -- in the loop ---------------------------------------------------------

    def peer_gone(self, status: int = CLIENT_LEFT) -> None:
        """The client cannot be reached: what the application produces next raises."""
        super().peer_gone(status)
        self._reply.lost(self.service.policy.on_disconnect == "ignore")

    def _deliver(self) -> None:
        """Send what the thread has produced, unless the client has enough to take."""
        self._ready = not (self.gone or self.complete) and self.out.congested
        if self._ready:
            return
        start, chunks, file, ended, over, error = self._reply.take()
        if not (self.gone or self.complete) and (start is not None or chunks or ended):
            part = None if file is None else Part(*file)
            try:
                self._send(start, chunks, part, ended)
            except AppError as problem:
                self._told = True
                self._reply.lost()
                self._give_up(problem)
        if over:
            if error is not None and not (self._told and only_disconnected(error)):
                self._give_up(error)
            self._finished()

    def _send(
        self, start: Start | None, chunks: list[bytes], part: Part | None, ended: bool
    ) -> None:
        try:
            if start is not None:
                self._start_with(*start)
            if chunks or part is None:
                body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                more = part is not None or not ended
                self.send({"type": "http.response.body", "body": body, "more_body": more})
        except AppError:
            if part is not None:
                part.close()
            raise
        if part is not None:
            self._send_part(part, ended)

    def _start_with(
        self, status: int, reason: bytes | None, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self._start({"status": status, "headers": headers})
        if reason is not None:
            self._fields.append(Field(b"", reason, REASON))
            self._roles |= REASON

    def _hint_now(self, links: list[bytes]) -> None:
        if not (self.gone or self.complete):
            self._hint({"links": links})

    def _flushed(self) -> Coroutine[Any, Any, None]:
        # Nobody awaits it: what comes next waits in the reply.
        return SENT

    def _feed(self, body: Body) -> None:
        """The thread waits for content."""
        self._hungry = None
        if self._pieces or (self._ended and not self._delivered):
            message = self._take()
            body.arrived(message["body"], not message["more_body"])
        elif self.gone or self._left or self.complete:
            body.lost()
        else:
            self._hungry = body
            self.out.want_body()

    def _wake(self) -> None:
        """Something changed that the thread or its reply may have waited for."""
        if self._hungry is not None:
            self._feed(self._hungry)
        if self._ready:
            self._deliver()

    def _on_loss(self) -> None:
        self._wake()
        if not self.gone and self.service.policy.on_disconnect != "ignore":
            # It closed its sending half: perhaps it is gone, perhaps it listens.
            grace = self.service.policy.disconnect_grace
            self._grace = self.service.loop.call_later(grace, self._cancel_if_idle)

    def _cancel_if_idle(self) -> None:
        if self._is_idle():
            self._abort()

    def _client(self) -> Address | None:
        head, out = self.head, self.out
        if head.forwarded:
            return self.service.policy.proxies.told(head.headers, out.scheme, out).client
        return out.client
