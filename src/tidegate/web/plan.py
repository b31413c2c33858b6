"""A route compiled at start: everything that does not depend on the request is decided here.

Order: asynchronous dependencies that need no content, plain ones in one thread
hop, then the content, then what needs it, then the handler.  So who may not
come in is turned away before a byte of the content is read, and the plain
dependencies, the handler, the encoding and the closing of generators of a
plain handler share one hop.
"""

from __future__ import annotations

import asyncio
import contextvars
import typing
from collections.abc import Awaitable, Callable
from typing import Any

from ..asgi import Receive, Scope, Send
from ..bridge.threads import ThreadPool
from ..errors import ConfigError
from .annotations import place_of, read_signature
from .body import taker
from .closing import Visit, When, close_all, close_here, open_async, open_here, settle_closing
from .codec import Refused
from .encoding import Encoding, call_and_encode
from .execution import Execution
from .inject import Graph, Node
from .order import groups, leaves_the_loop
from .params import Parameter
from .problems import Invalid, Problem
from .request import MAX_BODY_SIZE, Request
from .response import Response, StreamResponse
from .route import Route

__all__ = ["Plan", "deadline"]

deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)
"""When the current request must be answered, in seconds of the loop's clock; None if never."""

_SAFE = frozenset(("GET", "HEAD"))

# RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
_EMPTY = (204, 205, 304)

Step = Callable[[Request], Awaitable[None]]


class Plan:
    """Serves the requests of one route; an ASGI application."""

    def __init__(self, route: Route, graph: Graph, execution: Execution) -> None:
        self.route = route
        self.graph = graph
        self.execution = execution
        options = route.options
        for depends in (*route.dependencies, *options.dependencies):
            graph.depend(depends)
        self.node = graph.add(route.handler)
        self.dependencies = graph.nodes[:-1]
        self.returns = read_signature(route.handler).returns
        self.encoding = Encoding(self.returns, options.status or 0)
        if options.status in _EMPTY and not _may_be_empty(self.returns):
            raise ConfigError(
                f"{place_of(route.handler)}: a response with status {options.status} has no "
                f"content, but it returns {self.returns!r}"
            )
        self.parameters = [one for node in graph.nodes for one in node.parameters]
        self.content = self._content_parameters()
        self.timeout = options.timeout
        given = options.max_body_size
        self.max_body_size = MAX_BODY_SIZE if given is None else given
        self.where = execution.place(route.handler, options.run, self.node)
        self.node.thread = self.where == "thread"
        if self.where == "process" and graph.framework_of(self.node):
            raise ConfigError(
                f"{place_of(route.handler)}: {graph.framework_of(self.node)[0]!r} cannot go to "
                "another process; ask for the values that the handler needs"
            )
        for node in self.dependencies:
            node.thread = leaves_the_loop(node)
        settle_closing(graph.nodes)
        # Of ``request.values``: what dependencies give and, in the last place, the content.
        self.width = len(graph.nodes) + 1 if self.dependencies or self.content else 0
        self.hopped: list[Node] = []  # plain dependencies that run in the handler's hop
        self.order: list[tuple[str, list[Node]]] = []
        self.steps = self._steps()
        # Whether something may have to be closed or given back when all is over.
        self.holds = self.leases or any(one.is_generator for one in self.dependencies)
        # Most handlers are called at once: awaited, or in a thread.
        is_awaited = self.node.is_async and not self.node.is_generator
        self.simple = not self.holds and self.timeout is None
        self.simple = self.simple and (is_awaited or self.where == "thread")
        cancel = options.cancel_on_disconnect
        self.cancels = bool(_SAFE & route.methods) if cancel is None else cancel

    def _content_parameters(self) -> list[Parameter]:
        found = [one for one, _ in self.graph.contents]
        bodies = [one for one in found if one.source == "body"]
        if len(bodies) > 1 or (bodies and len(found) > 1):
            names = ", ".join(repr(one.argument.name) for one in found)
            raise ConfigError(
                f"{place_of(self.route.handler)}: the content cannot be {names} at once; "
                "put them in one structure"
            )
        return found

    # -- made at start -------------------------------------------------------

    def _steps(self) -> list[Step]:
        """Group the dependencies; those that can share the handler's hop go to ``hopped``."""
        gates = [node for node in self.dependencies if not node.needs_content]
        late = [node for node in self.dependencies if node.needs_content]
        steps = groups(gates)
        if self.content:
            steps.append(("content", []))
        steps += groups(late)
        if self.where == "thread" and steps and steps[-1][0] == "thread":
            self.hopped = steps.pop()[1]
        self.order = steps
        hops = sum(kind == "thread" for kind, _ in steps)
        hops += self.where == "thread"
        self.visits = any(node.thread and node.is_generator for node in self.dependencies)
        late_exit = self.where != "thread" or self._may_stream()
        self.leases = hops > 1 or (self.visits and late_exit)
        return [self._step(kind, nodes) for kind, nodes in steps]

    def _may_stream(self) -> bool:
        """Say whether plain generators may be closed after the handler's hop."""
        returns = typing.get_origin(self.returns) or self.returns
        streams = isinstance(returns, type) and issubclass(returns, Response) and not returns.whole
        after = any(node.close == "after" for node in self.dependencies)
        return streams or after or returns is Any or self.encoding.item is not None

    def _step(self, kind: str, nodes: list[Node]) -> Step:
        if kind == "content":
            return taker(self.content[0], self._complaints)
        if kind == "thread":

            async def hop(request: Request) -> None:
                await self._hop(request, _open_all, nodes, request)

            return hop

        async def in_loop(request: Request) -> None:
            for node in nodes:
                if node.is_async:
                    await open_async(node, request)
                else:
                    open_here(node, request)

        return in_loop

    # -- for each request ----------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        request.path_params = scope.get("path_params", {})
        await self.serve(request)

    async def serve(self, request: Request) -> None:
        """Answer one request; the errors of the application become problems."""
        execution = self.execution
        request.app = execution.app
        request.max_body_size = self.max_body_size
        request.values = [None] * self.width
        if self.cancels:
            execution.watch.add(request)
        try:
            if self.simple:
                try:
                    for step in self.steps:
                        await step(request)
                    if self.where == "thread":
                        value, encoded = await self._hop(request, self._in_hop, request)
                    else:
                        value = await self.node.call(request)
                        encoded = self.encoding.whole(value, request)
                except Refused:
                    raise Invalid(self._complaints(request)) from None
                await self._send(request, value, encoded)
            elif self.holds or self.timeout is not None:
                await self._serve(request)
            else:
                value, encoded = await self._value(request)
                await self._send(request, value, encoded)
        except asyncio.CancelledError:
            if not execution.watch.forgive(request):
                raise
        except Exception as error:
            await execution.fail(request, error)
        finally:
            if self.cancels:
                execution.watch.discard(request)

    async def _serve(self, request: Request) -> None:
        error: BaseException | None = None
        try:
            if self.timeout is None:
                value, encoded = await self._value(request)
            else:
                value, encoded = await self._value_in_time(request, self.timeout)
            if request.exits:
                await close_all(request, self._when(value, encoded), None, self._closer(request))
            await self._send(request, value, encoded)
        except BaseException as raised:
            error = raised
            raise
        finally:
            await self._leave(request, error)

    async def _leave(self, request: Request, error: BaseException | None) -> None:
        """Close what is still open and give the thread back."""
        if request.visit is None:
            await self._close(request, error)
        else:
            # A thread still works with what would be closed: nobody waits for it.
            self.execution.app.supervisor.start(self._close_later, request, error)

    async def _close(self, request: Request, error: BaseException | None) -> None:
        try:
            if request.exits:
                await close_all(request, "end", error, self._closer(request))
        finally:
            if request.lease is not None:
                await request.lease.__aexit__(None, None, None)

    async def _close_later(self, request: Request, error: BaseException) -> None:
        await request.visit.over.wait()
        try:
            await self._close(request, error)
        except BaseException as raised:
            if raised is not error:
                raise

    async def _value_in_time(self, request: Request, seconds: float) -> tuple[Any, Any]:
        token = deadline.set(asyncio.get_running_loop().time() + seconds)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._value(request)
        except TimeoutError:
            if not limit.expired():
                raise  # the handler's own
            raise Problem(504, f"the answer took longer than {seconds:g} s") from None
        finally:
            deadline.reset(token)

    async def _value(self, request: Request) -> tuple[Any, Any]:
        """Return what the handler returned, and how it is sent."""
        try:
            for step in self.steps:
                await step(request)
            if self.where == "thread":
                found: tuple[Any, Any] = await self._hop(request, self._in_hop, request)
                return found
            if self.where == "process":
                return await self._in_process(request)
            value = self.node.call(request)
            if self.node.is_async and not self.node.is_generator:
                value = await value
        except Refused:
            raise Invalid(self._complaints(request)) from None
        return value, self.encoding.whole(value, request)

    async def _in_process(self, request: Request) -> tuple[Any, Any]:
        arguments, named = self.node.arguments(request)
        pool = self.execution.process_pool(self.route.options.run)
        value = await pool.run(call_and_encode, self.route.handler, arguments, named)
        return value, self.encoding.whole(value, request)

    def _in_hop(self, request: Request) -> tuple[Any, Any]:
        """Run plain dependencies, the handler, encoding and closing in one thread."""
        if not self.visits:
            for node in self.hopped:
                open_here(node, request)
            value = self.node.call(request)
            return value, self.encoding.whole(value, request)
        try:
            _open_all(self.hopped, request)
            value = self.node.call(request)
            encoded = self.encoding.whole(value, request)
        except BaseException as error:
            close_here(request, "end", error)
            raise
        close_here(request, self._when(value, encoded), None)
        return value, encoded

    def _hop(self, request: Request, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        pool = self.execution.threads(self.route.options.run)
        if not self.leases and not self.visits:
            return pool.run(function, *args, propagate="both")
        return self._visit(pool, request, function, args)

    async def _visit(
        self, pool: ThreadPool, request: Request, function: Callable[..., Any], args: Any
    ) -> Any:
        if self.leases and request.lease is None:
            lease = pool.lease()
            await lease.__aenter__()
            request.lease = lease
        visit = Visit(function, args)
        try:
            return await (request.lease or pool).run(visit, propagate="both")
        except asyncio.CancelledError:
            if visit.leave():
                request.visit = visit
            raise

    def _closer(self, request: Request) -> Callable[..., Awaitable[Any]]:
        return lambda function, *args: self._hop(request, function, *args)

    @staticmethod
    def _when(value: Any, encoded: Any) -> When:
        """Say whether generators may be closed before the response is sent."""
        if encoded is not None or (isinstance(value, Response) and value.whole):
            return "response"
        return "stream"

    async def _send(self, request: Request, value: Any, encoded: Any) -> None:
        send = request.send
        if encoded is not None:
            request.started = True
            status, pairs, body = encoded
            await send({"type": "http.response.start", "status": status, "headers": pairs})
            if request.scope["method"] == "HEAD":
                body = b""
            await send({"type": "http.response.body", "body": body})
        else:
            response = self.encoding.response(value, request)
            if request.lease is not None and isinstance(response, StreamResponse):
                response.hop = request.lease.run
            request.started = True
            await response(request.scope, request.receive, send)
        if request.tasks is not None:
            self._begin_tasks(request)

    def _begin_tasks(self, request: Request) -> None:
        if request.tasks is not None:
            request.tasks.begin(self.execution.app.supervisor)

    def _complaints(self, request: Request) -> list[dict[str, str]]:
        """Return all that is wrong with the parameters, in the order of the functions."""
        complaints = []
        for one in self.parameters:
            form = request.values[-1] if one.source == "form" and request.values else None
            if one.source == "body" or (one.source == "form" and form is None):
                continue
            try:
                one.read(request, form)
            except Refused as refused:
                complaints += one.complaints(refused.faults)
        return complaints


def _may_be_empty(returns: Any) -> bool:
    plain = typing.get_origin(returns) or returns
    is_response = isinstance(plain, type) and issubclass(plain, Response)
    return is_response or returns is None or returns is Any


def _open_all(nodes: list[Node], request: Request) -> None:
    try:
        for node in nodes:
            open_here(node, request)
    except BaseException as error:
        close_here(request, "end", error)
        raise
