"""What stands in front of an application and serves some paths itself.

A WSGI application behind it, or mounted beside others, keeps its short way to its
threads: for each request the path decides which kind of exchange it gets.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..asgi import Application, Receive, Scope, Send
from ..bridge.wsgi.asgi import Wsgi
from ..exchange.http import HttpExchange
from ..exchange.out import Out
from ..exchange.scope import decode_path
from ..exchange.service import Service
from ..exchange.wsgi import WsgiExchange, WsgiService
from ..http import Head
from .mounts import Mounts

__all__ = ["Choice", "Front", "behind"]


@runtime_checkable
class Front(Protocol):
    """An ASGI application that passes on what it does not serve."""

    application: Application
    """What is behind."""

    def serves(self, path: str) -> bool:
        """Say whether a path, decoded, as the application behind would see it, is ours."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or pass it on."""


def behind(application: Application) -> tuple[Application, list[Front]]:
    """Return the application that others stand in front of, and those."""
    fronts = []
    while isinstance(application, Front):
        fronts.append(application)
        application = application.application
    return application, fronts


class Choice:
    """Makes the exchange of one request where some paths lead to WSGI and some do not."""

    def __init__(self, application: Application) -> None:
        self._innermost, self._fronts = behind(application)
        self._services: dict[tuple[Service, str], WsgiService] = {}  # of mounts

    @property
    def is_needed(self) -> bool:
        """Whether paths differ, and one of them leads to WSGI."""
        innermost = self._innermost
        if isinstance(innermost, Mounts):
            return any(isinstance(each, Wsgi) for each in innermost.applications.values())
        return isinstance(innermost, Wsgi) and bool(self._fronts)

    def __call__(
        self, out: Out, service: Service, head: Head, body: bytes, ended: bool
    ) -> HttpExchange:
        """Return one that calls the application as it is, if that is WSGI."""
        path = decode_path(head.path)
        policy = service.policy
        if policy.root_path_mode == "keep":
            path = path.removeprefix(policy.root_path)
        if any(front.serves(path) for front in self._fronts):
            return HttpExchange(out, service, head, body, ended)
        innermost = self._innermost
        if not isinstance(innermost, Mounts):
            return WsgiExchange(out, service, head, body, ended)
        prefix = innermost.prefix_of(path)
        mounted = None if prefix is None else innermost.applications[prefix]
        if prefix is None or not isinstance(mounted, Wsgi):
            return HttpExchange(out, service, head, body, ended)
        return WsgiExchange(out, self._mounted(service, mounted, prefix), head, body, ended)

    def _mounted(self, service: Service, wsgi: Wsgi, prefix: str) -> WsgiService:
        made = self._services.get((service, prefix))
        if made is None:
            made = self._services[service, prefix] = WsgiService.mounted(service, wsgi, prefix)
        return made
