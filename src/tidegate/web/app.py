"""The application: routes, resources, errors and middleware, compiled when it starts.

Everything that can be wrong with a handler is found then, all of it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from .. import web
from ..asgi import Application, Receive, Scope, Send
from ..errors import ConfigError, UsageError
from ..events.hub import Hub
from .annotations import mark
from .asking import Asked, request_for, socket_types
from .dispatch import Dispatcher
from .docs import documentation
from .execution import Execution
from .framework import framework_types
from .inject import Graph, Provider, Providers, provided_type
from .layers import relayed, wrap
from .lifespan import lifespan_of, serve_lifespan
from .params import Close, Depends
from .plan import Plan
from .pools import Pool
from .resources import Resources
from .resources import Scope as ResourceScope
from .route import Layer, Route
from .router import Router
from .routes import Routes, problems_of
from .socket import SocketPlan
from .sse import EventPlan
from .table import parse_template
from .tasks import Supervisor

__all__ = ["App"]

logger = logging.getLogger("tidegate.app")

_NEVER_CLOSED = (
    "The server ran no lifespan before its first request: what the application opens now "
    "will not be closed.  Serve it with the lifespan on, or within 'async with app.opened()'"
)

F = TypeVar("F", bound=Callable[..., Any])

_PLANS: dict[str, type[Plan]] = {"http": Plan, "websocket": SocketPlan, "sse": EventPlan}

LifespanContext = Callable[
    ["App"], contextlib.AbstractAsyncContextManager[Mapping[str, Any] | None]
]


class AppOptions(TypedDict, total=False):
    """What ``App(...)`` takes."""

    title: str
    version: str
    """Of the interface that clients see, for the documents."""
    description: str
    debug: bool
    """Show tracebacks to clients."""
    middleware: Sequence[Layer]
    """Around everything, the first outermost."""
    lifespan: LifespanContext | None
    """A context manager over the time the application runs; it may give state."""
    docs: bool
    """Serve /docs, /openapi.json and /asyncapi.json; True if not given."""
    dependencies: Sequence[Depends[Any]]
    """What runs before every handler."""
    tags: Sequence[str]


class App(Router):
    """An ASGI application; ``AppOptions`` says what it may be told."""

    def __init__(self, **options: Unpack[AppOptions]) -> None:
        for name in options.keys() - AppOptions.__annotations__.keys():
            hint = web.spelling.suggestion(name, AppOptions.__annotations__)
            raise ConfigError(f"App() has no option {name!r}{hint}")
        super().__init__(
            middleware=options.get("middleware", ()),
            dependencies=options.get("dependencies", ()),
            tags=options.get("tags", ()),
        )
        self.title = options.get("title", "")
        self.version = options.get("version", "0")
        self.description = options.get("description", "")
        self.debug = options.get("debug", False)
        self.lifespan = options.get("lifespan")
        self.docs = options.get("docs", True)
        self.security: dict[str, dict[str, Any]] = {}
        """Security schemes of the OpenAPI document, by the names that routes use."""
        self.drain_timeout = 10.0
        """Seconds that background tasks have at shutdown."""
        self.redirect_slashes = True
        """Whether a path with a slash too many or too few is redirected to the one there is."""
        self.providers = Providers(framework=dict(framework_types()))
        self.hub = Hub()
        self.pools: dict[str, Pool] = {}
        self._resources: list[Provider] = []
        self.execution = Execution(self)
        self.supervisor = Supervisor(self.execution.threads)
        self.state: dict[str, Any] = {}  # what the lifespan gave
        self.hosts: dict[str, Application] = {}
        self.fallback_app: Application | None = None  # serves what no route matches
        self._entry: Application | None = None  # None until prepared
        self._compiled = 0  # routes, mounts and layers, when it was prepared
        self._routes = Routes()
        self._plans: list[Plan] = []
        self._opened: contextlib.AsyncExitStack | None = None  # None while it is closed
        self._live: Resources | None = None  # None while it is closed
        self._opening = asyncio.Lock()

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
        if kind == "thread":
            self.execution.configure(pool)
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
        self.hosts[name.lower()] = app

    def fallback(self, app: Application) -> None:
        """Serve what no route matches with another application."""
        self.fallback_app = app

    # -- compiled ------------------------------------------------------------

    @property
    def plans(self) -> list[Plan]:
        """The compiled routes, in the order they were written."""
        self.prepare()
        return self._plans

    def prepare(self) -> None:
        """Compile all routes.  Raises one ``ConfigError`` that says all that is wrong."""
        written = sum(
            len(one.own_routes) + len(one.own_mounts) + len(one.middleware) for one in self._all()
        )
        if self._entry is not None and written == self._compiled:
            return
        self._compiled = written
        errors = self.execution.settle()
        providers = self.providers
        providers.by_type = {}
        for provider in self._resources:
            try:
                providers.by_type[provided_type(provider.function)] = provider
            except ConfigError as error:
                errors.append(error)
        self._routes, self._plans = Routes(), []
        for route in self._collected():
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
        self._entry = wrap(
            Dispatcher(self, self._routes), self.middleware, self.execution.response_to
        )

    def _collected(self) -> Iterator[Route]:
        """Yield all routes; those of the documentation where the application has none."""
        taken = set()
        for route in self.collect():
            taken.add(route.path)
            yield route
        if self.docs:
            yield from (r for r in documentation(self).own_routes if r.path not in taken)

    def _add(self, route: Route) -> None:
        names = frozenset(parse_template(route.path).names)
        has_content = bool(route.methods - {"GET", "HEAD", "OPTIONS", "TRACE"})
        graph = Graph(self.providers, names, has_content)
        plan = _PLANS[route.kind](route, graph, self.execution)
        if plan.where == "process":
            self.execution.process_pool(route.options.run)
        self._plans.append(plan)
        layers = (*route.middleware, *route.options.middleware)
        # A stream of events sends from two tasks.
        app = relayed(plan) if route.kind == "sse" else plan
        self._routes.add(plan, wrap(app, layers, self.execution.response_to))

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
        """Open what a server that runs no lifespan never told us to open.

        What was overridden when it was opened is opened when it no longer is.
        """
        self.prepare()
        async with self._opening:
            if self._opened is None:
                if self.providers.by_type or self.lifespan is not None:
                    logger.warning(_NEVER_CLOSED)
                await self._open(None)
            elif self._live is not None:
                await self._live.open()
        if self._entry is None:
            raise UsageError("the application was changed while it served")
        return self._entry

    # -- started and stopped -------------------------------------------------

    @contextlib.asynccontextmanager
    async def opened(self, state: dict[str, Any] | None = None) -> AsyncIterator[None]:
        """Open resources, the lifespan and mounted applications around the block."""
        stack = await self._open(state)
        async with stack:
            yield

    async def _open(self, state: dict[str, Any] | None) -> contextlib.AsyncExitStack:
        self._entry = None  # routes may have been added since it was last open
        self.prepare()
        self.state = {} if state is None else state
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            await self.execution.start()
            self._live = Resources(self.providers, self.execution)
            stack.push_async_exit(self._close_resources)
            await self._live.open()
            if self.lifespan is not None:
                given = await stack.enter_async_context(self.lifespan(self))
                self.state.update(given or {})
            inner = [mount.app for mount in self.collect_mounts()]
            inner += [*self.hosts.values(), *([self.fallback_app] if self.fallback_app else [])]
            for app in dict.fromkeys(inner):
                await stack.enter_async_context(lifespan_of(app, self.state))
            stack.push_async_callback(self._drain)
            self._opened = stack.pop_all()
        return self._opened

    async def _drain(self) -> None:
        self._opened = None
        await self.supervisor.drain(self.drain_timeout)

    async def _close_resources(self, _: Any, error: BaseException | None, __: Any) -> None:
        live, self._live = self._live, None
        if live is not None:
            await live.close(error)

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

    def request_for(self, handler: Callable[..., Any], arguments: Mapping[str, Any]) -> Asked:
        """Return the request that calls a handler with these arguments; see ``asking``."""
        return request_for(self.plans, handler, arguments)

    def socket_types(self, path: str) -> tuple[Any, Any] | None:
        """Return what the socket at a path takes and what it sends; None if there is none."""
        self.prepare()
        found = self._routes.table.find(path)
        target = None if found is None else found[0].socket
        return None if target is None else socket_types(target.plan)
