"""What is opened once per application, in the order of need, and closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from inspect import isclass
from typing import Any, TypeVar

from ..errors import ConfigError, UsageError
from ..events.hub import Hub
from .annotations import place_of
from .closing import close_all, open_async, open_here
from .execution import Execution
from .inject import Graph, Node, Provider, Providers
from .request import Request

__all__ = ["Resources", "Scope"]

T = TypeVar("T")


class Resources:
    """The resources of an application while it is open."""

    def __init__(self, providers: Providers, execution: Execution) -> None:
        self._providers = providers
        self._execution = execution
        self._request = _no_request(execution)
        self._opening: list[Any] = []

    async def open(self) -> None:
        """Open all that are not open and not overridden.

        Raises ``ConfigError`` if one needs what only a request has, or itself.
        """
        providers = self._providers
        for hint, provider in providers.by_type.items():
            if provider.scope == "app" and hint not in providers.overrides:
                await self._open_one(hint, provider)

    async def close(self, error: BaseException | None) -> None:
        """Close what was opened, in reverse; raises what else than ``error`` comes of that."""
        self._providers.instances.clear()
        await _close(self._request, self._execution, error)

    async def _open_one(self, hint: Any, provider: Provider) -> None:
        if hint in self._providers.instances:
            return
        if hint in self._opening:
            raise ConfigError(f"resources need each other: {[*self._opening, hint]}")
        graph = Graph(self._providers)
        node = graph.add(provider.function)
        _check(graph)
        self._opening.append(hint)
        try:
            for needed in graph.resources.items():
                await self._open_one(*needed)
        finally:
            self._opening.pop()
        node.run = provider.run
        self._request.values = []
        await _open(graph, self._request, self._execution)
        self._providers.instances[hint] = self._request.values[node.slot]


async def _close(request: Request, execution: Execution, error: BaseException | None) -> None:
    async def hop(function: Callable[..., Any], *args: Any) -> Any:
        return await execution.threads().run(function, *args)

    try:
        await close_all(request, "end", error, hop)
    except BaseException as raised:
        if raised is not error:
            raise


def _check(graph: Graph) -> None:
    """Raise ``ConfigError`` if something needs what only a request has."""
    named = [(repr(p.argument.name), node) for node in graph.nodes for p in node.parameters]
    named += [(repr(hint), node) for hint, node in graph.framework if hint is not Hub]
    for name, node in named:
        raise ConfigError(
            f"{place_of(node.function)}: {name} comes from a request, but this is called "
            'without one; a resource may say scope="request"'
        )


async def _open(graph: Graph, request: Request, execution: Execution) -> None:
    """Make the calls of a graph that were not made yet."""
    for node in graph.nodes[len(request.values) :]:
        request.values.append(None)
        try:
            node.thread = not node.is_async and node.run != "inline" and not isclass(node.function)
            if node.is_async:
                await open_async(node, request)
            elif node.thread:
                await execution.threads().run(open_here, node, request)
            else:
                open_here(node, request)
        except BaseException:
            request.values.pop()
            raise


def _no_request(execution: Execution) -> Request:
    async def receive() -> Any:
        raise UsageError("there is no request here")

    async def send(message: Any) -> None:
        raise UsageError("there is no request here")

    request = Request({"type": "none", "headers": [], "query_string": b""}, receive, send)
    request.app = execution.app
    return request


class Scope:
    """What a request would be given, without a request: for jobs, consumers and the shell."""

    def __init__(self, providers: Providers, execution: Execution) -> None:
        self._execution = execution
        self._request = _no_request(execution)
        self._graph = Graph(providers)
        self._turn = asyncio.Lock()

    async def get(self, kind: type[T]) -> T:
        """Return a resource or a request-scoped value by its type, the same each time.

        Raises ``UsageError`` if nothing provides it, ``ConfigError`` if it needs a request.
        """
        asked = Node(_nobody, -1)
        async with self._turn:
            with self._trying():
                getter = self._graph.find(kind, asked)
                if getter is None:
                    raise UsageError(
                        f"nothing provides {kind!r}; write a function with @app.resource"
                    )
                await self._open()
        value: T = getter(self._request)
        return value

    async def call(self, function: Callable[..., Any]) -> Any:
        """Call a function with what it asks for; ``await`` gives what it returns."""
        async with self._turn:
            with self._trying():
                node = self._graph.add(function)
                await self._open()
        return self._request.values[node.slot]

    @contextlib.contextmanager
    def _trying(self) -> Iterator[None]:
        """Forget the calls that were not made, as one of them failed."""
        try:
            yield
        except BaseException:
            self._graph.forget(len(self._request.values))
            raise

    async def _open(self) -> None:
        _check(self._graph)
        await _open(self._graph, self._request, self._execution)

    async def close(self, error: BaseException | None) -> None:
        """Close what was opened, in reverse."""
        await _close(self._request, self._execution, error)


def _nobody() -> None:
    """Takes what is asked for by type."""
