"""Where handlers are written down: decorators, prefixes, and routers inside routers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, Unpack

from ..asgi import Application
from ..errors import ConfigError
from .annotations import mark
from .params import Depends
from .route import METHODS, Layer, Route, RouteOptions, make_options

__all__ = ["Mount", "Router"]

F = TypeVar("F", bound=Callable[..., Any])

_PREFIX = re.compile(r"(/[^/]+)*")


class Mount:
    """An application at and below a path."""

    __slots__ = ("app", "middleware", "name", "path")

    def __init__(self, path: str, app: Application, name: str, middleware: tuple[Layer, ...]):
        self.path = path
        self.app = app
        self.name = name
        self.middleware = middleware


class Router:
    """A group of routes with a common prefix, middleware, dependencies and tags.

    Decorators return the function as it was, so tests can call it.
    """

    def __init__(
        self,
        prefix: str = "",
        *,
        middleware: Sequence[Layer] = (),
        dependencies: Sequence[Depends[Any]] = (),
        tags: Sequence[str] = (),
    ) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ConfigError(f"a prefix begins with '/' and does not end with one: {prefix!r}")
        self.prefix = prefix
        self.middleware: list[Layer] = list(middleware)
        self.dependencies = list(dependencies)
        self.tags = list(tags)
        self.own_routes: list[Route] = []
        self.own_mounts: list[Mount] = []
        self.routers: list[Router] = []

    def route(
        self, path: str, *, methods: Sequence[str], **options: Unpack[RouteOptions]
    ) -> Callable[[F], F]:
        """Serve a path with a function, for any of ``methods``."""
        return self._decorator(path, methods, options)

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Serve GET, and HEAD, of a path with a function."""
        return self._decorator(path, ["GET"], options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Serve POST of a path with a function."""
        return self._decorator(path, ["POST"], options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Serve PUT of a path with a function."""
        return self._decorator(path, ["PUT"], options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Serve PATCH of a path with a function."""
        return self._decorator(path, ["PATCH"], options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Serve DELETE of a path with a function."""
        return self._decorator(path, ["DELETE"], options)

    def ws(
        self, path: str, *, heartbeat: float | None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[F], F]:
        """Serve a WebSocket with a coroutine function that takes a ``Socket``.

        ``heartbeat`` is how many seconds the peer may be silent before it is asked.
        """
        return self._decorator(path, [], options, kind="websocket", heartbeat=heartbeat)

    def sse(
        self, path: str, *, heartbeat: float = 15.0, **options: Unpack[RouteOptions]
    ) -> Callable[[F], F]:
        """Serve what an asynchronous generator yields as server-sent events.

        A comment is sent after ``heartbeat`` seconds without an event.
        """
        return self._decorator(path, ["GET"], options, kind="sse", heartbeat=heartbeat)

    def _decorator(
        self,
        path: str,
        methods: Sequence[str],
        given: RouteOptions,
        *,
        kind: Any = "http",
        **extra: Any,
    ) -> Callable[[F], F]:
        wrong = [method for method in methods if method not in METHODS]
        if wrong:
            raise ConfigError(f"{path!r}: there is no method {wrong[0]!r}")

        def decorate(function: F) -> F:
            mark(function)
            options = make_options(function, given, **extra)
            self.own_routes.append(Route(path, frozenset(methods), function, options, kind))
            return function

        return decorate

    def include(self, router: Router) -> None:
        """Serve the routes of another router too; also those that are added to it later."""
        if router is self or self in router._all():
            raise ConfigError("a router cannot include itself")
        self.routers.append(router)

    def mount(self, path: str, app: Application, *, name: str = "") -> None:
        """Serve everything at and below a path with another ASGI application.

        It sees its part of the path (``root_path`` grows), and its lifespan is run
        with ours.
        """
        if not callable(app):
            raise ConfigError(f"{app!r} is not an application; for WSGI write wsgi(app)")
        if path != "/" and not _PREFIX.fullmatch(path):
            raise ConfigError(f"a mount begins with '/' and does not end with one: {path!r}")
        self.own_mounts.append(Mount(path, app, name, ()))

    def _all(self) -> Iterator[Router]:
        yield self
        for router in self.routers:
            yield from router._all()

    # -- seen from the application -------------------------------------------

    def collect(self, outermost: bool = True) -> Iterator[Route]:
        """Yield the routes of this router and those in it, with all that is around them."""
        # The layers of an application are around the whole of it.
        layers = () if outermost else tuple(self.middleware)
        for route in self.own_routes:
            if not route.path.startswith("/") and route.path:
                raise ConfigError(f"a path begins with '/', {route.path!r} does not")
        inner = [*self.own_routes, *(r for router in self.routers for r in router.collect(False))]
        for route in inner:
            yield replace(
                route,
                path=self.prefix + route.path or "/",
                dependencies=(*self.dependencies, *route.dependencies),
                middleware=(*layers, *route.middleware),
                tags=(*self.tags, *route.tags),
            )

    def collect_mounts(self, outermost: bool = True) -> Iterator[Mount]:
        """Yield the mounts of this router and of those in it."""
        layers = () if outermost else tuple(self.middleware)
        inner = [m for router in self.routers for m in router.collect_mounts(False)]
        for mount in [*self.own_mounts, *inner]:
            path = self.prefix + mount.path.rstrip("/") or "/"
            yield Mount(path, mount.app, mount.name, (*layers, *mount.middleware))
