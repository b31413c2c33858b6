"""The application: routes, resources, errors and middleware, compiled when it starts.

Everything that can be wrong with a handler is found then, all of it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from ..asgi import Application, Receive, Scope, Send
from ..errors import ConfigError, UsageError
from .annotations import mark
from .dispatch import (
    Endpoint,
    Routes,
    not_allowed,
    not_found,
    own_path,
    problems_of,
    slash_redirect,
)
from .execution import Execution
from .framework import framework_types
from .inject import Graph, Provider, Providers, provided_type
from .layers import relayed, wrap
from .lifespan import lifespan_of, serve_lifespan
from .params import Close
from .plan import Plan
from .pools import Pool
from .request import Request
from .resources import Scope as ResourceScope
from .resources import open_resources
from .response import RedirectResponse, Response
from .route import Layer, Route
from .router import Router
from .socket import SocketPlan, refuse
from .sse import EventPlan
from .table import parse_template
from .tasks import Supervisor

__all__ = ["App"]

F = TypeVar("F", bound=Callable[..., Any])

_PLANS: dict[str, type[Plan]] = {"http": Plan, "websocket": SocketPlan, "sse": EventPlan}

LifespanContext = Callable[
    ["App"], contextlib.AbstractAsyncContextManager[Mapping[str, Any] | None]
]


class App(Router):
    """An ASGI application.

    ``middleware`` is around everything, the first outermost; ``lifespan`` is a
    context manager as Starlette's; ``debug`` shows tracebacks to clients.
    """

    def __init__(
        self,
        *,
        title: str = "",
        version: str = "0",
        description: str = "",
        debug: bool = False,
        middleware: Sequence[Layer] = (),
        lifespan: LifespanContext | None = None,
        **more: Any,
    ) -> None:
        super().__init__(middleware=middleware, **more)
        self.title = title
        self.version = version
        self.description = description
        self.debug = debug
        self.lifespan = lifespan
        self.drain_timeout = 10.0
        """Seconds that background tasks have at shutdown."""
        self.redirect_slashes = True
        """Whether a path with a slash too many or too few is redirected to the one there is."""
        self.providers = Providers(framework=dict(framework_types()))
        self.pools: dict[str, Pool] = {}
        self._resources: list[Provider] = []
        self.execution = Execution(self)
        self.supervisor = Supervisor(self.execution.threads)
        self.state: dict[str, Any] = {}  # what the lifespan gave
        self._hosts: dict[str, Application] = {}
        self._fallback: Application | None = None
        self._entry: Application | None = None  # None until prepared
        self._routes = Routes()
        self._plans: list[Plan] = []
        self._opened: contextlib.AsyncExitStack | None = None  # None while it is closed
        self._opening = asyncio.Lock()
        self._late: contextlib.AbstractAsyncContextManager[None] | None = None

    # -- written down --------------------------------------------------------

    @overload
    def resource(self, function: F) -> F: ...

    @overload
    def resource(
        self,
        *,
        scope: Literal["app", "request"] = "app",
        close: Close = "auto",
        run: Literal["auto", "inline", "thread"] = "auto",
    ) -> Callable[[F], F]: ...

    def resource(
        self,
        function: Any = None,
        *,
        scope: Literal["app", "request"] = "app",
        close: Close = "auto",
        run: Literal["auto", "inline", "thread"] = "auto",
    ) -> Any:
        """Provide values of the type that a function returns or yields.

        Opened once per application, in the order of need, or once per request.
        """

        def decorate(function: F) -> F:
            mark(function, 3 if direct else 2)
            self._resources.append(Provider(function, scope, close, run))
            self._entry = None
            return function

        direct = function is not None
        return decorate(function) if direct else decorate

    def error(self, kind: type[BaseException]) -> Callable[[F], F]:
        """Answer exceptions of a type with what a function makes of them.

        It takes the exception, and the request if it wants; it returns a
        ``Problem``, a response, or a value.
        """

        def decorate(function: F) -> F:
            mark(function)
            self.execution.handlers[kind] = function
            return function

        return decorate

    def pool(
        self,
        name: str,
        *,
        threads: int | None = None,
        processes: int | None = None,
        max_queue: int = 1000,
    ) -> Pool:
        """Return a named pool for ``run=``: so many threads, or so many processes."""
        if (threads is None) == (processes is None):
            raise ConfigError(f"the pool {name!r} has threads=... or processes=...")
        kind: Literal["thread", "process"] = "thread" if processes is None else "process"
        size = threads or processes or 1
        pool = Pool(name, kind, size, max_queue)
        if self.pools.setdefault(name, pool) != pool:
            raise ConfigError(f"the pool {name!r} exists with other limits")
        return pool

    def add_middleware(self, layer: Callable[..., Any], **options: Any) -> None:
        """Put a middleware around those there are; ``options`` go to ``layer(app, **options)``."""
        if options:
            made = layer
            self.middleware.insert(0, lambda app: relayed(made(app, **options)))
        else:
            self.middleware.insert(0, layer)
        self._entry = None

    def host(self, name: str, app: Application) -> None:
        """Serve requests for a host name with another application, ``*.example.com`` for many."""
        self._hosts[name.lower()] = app

    def fallback(self, app: Application) -> None:
        """Serve what no route matches with another application."""
        self._fallback = app

    # -- compiled ------------------------------------------------------------

    @property
    def plans(self) -> list[Plan]:
        """The compiled routes, in the order they were written."""
        self.prepare()
        return self._plans

    def prepare(self) -> None:
        """Compile all routes.  Raises one ``ConfigError`` that says all that is wrong."""
        if self._entry is not None:
            return
        errors: list[ConfigError] = []
        providers = self.providers
        providers.by_type = {}
        for provider in self._resources:
            try:
                providers.by_type[provided_type(provider.function)] = provider
            except ConfigError as error:
                errors.append(error)
        self._routes, self._plans = Routes(), []
        for route in self.collect():
            try:
                self._add(route)
            except ConfigError as error:
                errors.append(error)
        for mount in self.collect_mounts():
            app = wrap(relayed(mount.app), mount.middleware, self.execution.response_to)
            self._routes.mount(mount, app)
        problem = problems_of(errors)
        if problem is not None:
            raise problem
        self._routes.settle()
        self._entry = wrap(self._dispatch, self.middleware, self.execution.response_to)

    def _add(self, route: Route) -> None:
        names = frozenset(parse_template(route.path).names)
        has_content = bool(route.methods - {"GET", "HEAD", "OPTIONS", "TRACE"})
        graph = Graph(self.providers, names, has_content)
        plan = _PLANS[route.kind](route, graph, self.execution)
        if plan.where == "process":
            self.execution.process_pool(route.options.run)
        self._plans.append(plan)
        layers = (*route.middleware, *route.options.middleware)
        self._routes.add(plan, wrap(plan, layers, self.execution.response_to))

    # -- called --------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(self.opened(scope.get("state")), receive, send)
            return
        entry = self._entry
        if entry is None or self._opened is None:
            entry = await self._open_late()
        await entry(scope, receive, send)

    async def _open_late(self) -> Application:
        """Open what a server that runs no lifespan never told us to open."""
        self.prepare()
        if self._opened is None:
            async with self._opening:
                if self._opened is None:
                    self._late = self.opened(None)
                    await self._late.__aenter__()
        if self._entry is None:
            raise UsageError("the application was changed while it served")
        return self._entry

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hosts and await self._serve_host(scope, receive, send):
            return
        path = own_path(scope) if scope.get("root_path") else scope["path"]
        if scope["type"] != "http":
            await self._dispatch_socket(path, scope, receive, send)
            return
        method = scope["method"]
        found = self._routes.target(path, method)
        if isinstance(found, tuple):
            target, values = found
            plan = target.plan
            params = dict(zip(target.names, values, strict=True)) if values else {}
            if target.app is None:
                request = Request(scope, receive, send)
                request.path_params = params
                await plan.serve(request)
            else:
                scope["path_params"] = params
                await target.app(scope, receive, send)
        else:
            await self._unmatched(found, path, scope, receive, send)

    async def _unmatched(
        self, endpoint: Endpoint | None, path: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if endpoint is None and await self._routes.serve_mount(path, scope, receive, send):
            return
        if self._fallback is not None and endpoint is None:
            await self._fallback(scope, receive, send)
            return
        request = Request(scope, receive, send)
        request.app = self
        if endpoint is not None:
            if scope["method"] == "OPTIONS":
                response: Response[Any] = Response(None, 204, {"allow": endpoint.allow})
                await response(scope, receive, send)
                return
            await self.execution.fail(request, not_allowed(endpoint, scope["method"]))
            return
        other = slash_redirect(self._routes, path) if self.redirect_slashes else None
        if other is not None:
            query = scope["query_string"].decode("latin-1")
            target = scope.get("root_path", "") + other + (f"?{query}" if query else "")
            await RedirectResponse(target, 308)(scope, receive, send)
            return
        await self.execution.fail(request, not_found())

    async def _dispatch_socket(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.table.find(path)
        if found is not None and found[0].socket is not None:
            target = found[0].socket
            scope["path_params"] = dict(zip(target.names, found[1], strict=True))
            await (target.app or target.plan)(scope, receive, send)
        elif not await self._routes.serve_mount(path, scope, receive, send):
            if self._fallback is not None:
                await self._fallback(scope, receive, send)
            else:
                await refuse(scope, receive, send, not_found())

    async def _serve_host(self, scope: Scope, receive: Receive, send: Send) -> bool:
        fields = dict(scope["headers"])
        host = fields.get(b"host", b"").decode("latin-1").rpartition(":")
        name = (host[0] if host[1] and host[2].isdigit() else "".join(host)).lower()
        app = self._hosts.get(name) or self._hosts.get("*." + name.partition(".")[2])
        if app is None:
            return False
        await app(scope, receive, send)
        return True

    # -- started and stopped -------------------------------------------------

    @contextlib.asynccontextmanager
    async def opened(self, state: dict[str, Any] | None = None) -> AsyncIterator[None]:
        """Open resources, the lifespan and mounted applications around the block."""
        self.prepare()
        self.state = {} if state is None else state
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            await self.execution.start()
            await stack.enter_async_context(open_resources(self.providers, self.execution))
            if self.lifespan is not None:
                given = await stack.enter_async_context(self.lifespan(self))
                self.state.update(given or {})
            inner = [mount.app for mount in self.collect_mounts()]
            inner += [*self._hosts.values(), *([self._fallback] if self._fallback else [])]
            for app in dict.fromkeys(inner):
                await stack.enter_async_context(lifespan_of(app, self.state))
            stack.push_async_callback(self._drain)
            self._opened = stack
            yield

    async def _drain(self) -> None:
        self._opened = None
        await self.supervisor.drain(self.drain_timeout)

    async def _close(self) -> None:
        await self.execution.stop()

    @contextlib.asynccontextmanager
    async def scope(self) -> AsyncIterator[ResourceScope]:
        """Give resources and dependencies outside requests: ``await s.get(DB)``.

        The application is opened for the block if it is not open.
        """
        async with contextlib.AsyncExitStack() as stack:
            if self._opened is None:
                await stack.enter_async_context(self.opened())
            one = ResourceScope(self.providers, self.execution)
            error: BaseException | None = None
            try:
                yield one
            except BaseException as raised:
                error = raised
                raise
            finally:
                await one.close(error)

    # -- for tests, documents and people ---------------------------------------

    @contextlib.contextmanager
    def override(self, values: Mapping[Any, Any]) -> Iterator[None]:
        """Replace, in the block, what is injected: types by values, functions by others.

        Plans are compiled anew, so requests cost the same.
        """
        before = self.providers.overrides
        self.providers.overrides = {**before, **values}
        self._entry = None
        try:
            yield
        finally:
            self.providers.overrides = before
            self._entry = None

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the path of a route by its name.  Raises ``UsageError`` for a wrong one."""
        self.prepare()
        template = self._routes.names.get(name)
        if template is None:
            raise UsageError(f"there is no route named {name!r}")
        try:
            return template.fill(params)
        except KeyError as error:
            raise UsageError(f"{template.text} needs {error.args[0]!r}") from None
        except ValueError as error:
            raise UsageError(f"{template.text}: {error}") from None
