"""Who serves this request: a route, a mounted application, another host, or nobody?"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

from ..asgi import Application, Receive, Scope, Send
from .layers import relay
from .problems import Problem
from .request import Request
from .response import RedirectResponse, Response
from .routes import Endpoint, Routes
from .socket import refuse

__all__ = ["Dispatcher", "own_path"]


class Dispatcher:
    """The innermost application: finds who serves, and says so if nobody does."""

    def __init__(self, app: Any, routes: Routes) -> None:
        self.app = app
        self.routes = routes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine function: each would cost every request a little.
        if self.app.hosts:
            app = self._on_host(scope)
            if app is not None:
                return relay(app, scope, receive, send)
        path = own_path(scope) if scope.get("root_path") else scope["path"]
        if scope["type"] != "http":
            return self._dispatch_socket(path, scope, receive, send)
        found = self.routes.target(path, scope["method"])
        if not isinstance(found, tuple):
            return self._unmatched(found, path, scope, receive, send)
        target, values = found
        if target.app is not None:
            scope["path_params"] = target.params(values)
            return target.app(scope, receive, send)
        request = Request(scope, receive, send)
        if values:
            request.path_params = target.params(values)
        return target.plan.serve(request)

    async def _unmatched(
        self, endpoint: Endpoint | None, path: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if endpoint is None and await self.routes.serve_mount(path, scope, receive, send):
            return
        if self.app.fallback_app is not None and endpoint is None:
            await relay(self.app.fallback_app, scope, receive, send)
            return
        request = Request(scope, receive, send)
        request.app = self.app
        if endpoint is not None:
            if scope["method"] == "OPTIONS":
                response: Response[Any] = Response(None, 204, {"allow": endpoint.allow})
                await response(scope, receive, send)
                return
            await self.app.execution.fail(request, not_allowed(endpoint, scope["method"]))
            return
        other = slash_redirect(self.routes, path) if self.app.redirect_slashes else None
        if other is not None:
            query = scope["query_string"].decode("latin-1")
            # The path came decoded: what would end it in a URL is encoded again.
            target = quote(scope.get("root_path", "") + other, safe="/:@!$&'()*+,;=~")
            target += f"?{query}" if query else ""
            await RedirectResponse(target, 308)(scope, receive, send)
            return
        await self.app.execution.fail(request, not_found())

    async def _dispatch_socket(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.routes.table.find(path)
        if found is not None and found[0].socket is not None:
            target = found[0].socket
            scope["path_params"] = target.params(found[1])
            await (target.app or target.plan)(scope, receive, send)
        elif not await self.routes.serve_mount(path, scope, receive, send):
            if self.app.fallback_app is not None:
                await self.app.fallback_app(scope, receive, send)
            else:
                await refuse(scope, receive, send, not_found())

    def _on_host(self, scope: Scope) -> Application | None:
        fields = dict(scope["headers"])
        host = fields.get(b"host", b"").decode("latin-1").rpartition(":")
        name = (host[0] if host[1] and host[2].isdigit() else "".join(host)).lower()
        hosts: dict[str, Application] = self.app.hosts
        return hosts.get(name) or hosts.get("*." + name.partition(".")[2])


def own_path(scope: Scope) -> str:
    """Return the path below the mount point (ASGI HTTP scope: ``root_path``)."""
    path: str = scope["path"]
    root = scope.get("root_path")
    if root and path.startswith(root):
        rest = path[len(root) :]
        if not rest or rest[0] == "/":
            return rest or "/"
    return path


def slash_redirect(routes: Routes, path: str) -> str | None:
    """Return the path with a slash more or less, if something is there."""
    other = path[:-1] if path.endswith("/") else path + "/"
    return other if other and routes.table.find(other) is not None else None


def not_found() -> Problem:
    """Return the problem of a path at which nothing is."""
    return Problem(404, "there is nothing at this path")


def not_allowed(endpoint: Endpoint, method: str) -> Problem:
    """Return the problem of a method that a path does not take (RFC 9110 section 15.5.6)."""
    return Problem(405, f"this path takes {endpoint.allow}", headers={"allow": endpoint.allow})
