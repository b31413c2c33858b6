"""What is opened once per application, in the order of need, and closed in reverse."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from ..errors import ConfigError, UsageError
from .annotations import place_of, read_signature
from .closing import close_all, open_async, open_here
from .execution import Execution
from .inject import Graph, Provider, Providers
from .request import Request

__all__ = ["Scope", "open_resources"]

T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_resources(providers: Providers, execution: Execution) -> AsyncIterator[None]:
    """Open all resources of the application around the block.

    Raises ``ConfigError`` if one needs what only a request has, or itself.
    """
    request = _no_request(execution)
    opening: list[Any] = []

    async def open_one(hint: Any, provider: Provider) -> None:
        if hint in providers.instances:
            return
        if hint in opening:
            raise ConfigError(f"resources need each other: {[*opening, hint]}")
        opening.append(hint)
        for argument in read_signature(provider.function).arguments:
            needed = providers.by_type.get(argument.type)
            replaced = argument.type in providers.overrides
            if needed is not None and needed.scope == "app" and not replaced:
                await open_one(argument.type, needed)
        opening.pop()
        request.values = []
        providers.instances[hint] = await _open(providers, provider, request, execution)

    async def hop(function: Callable[..., Any], *args: Any) -> Any:
        return await execution.threads().run(function, *args)

    error: BaseException | None = None
    try:
        for hint, provider in providers.by_type.items():
            if provider.scope == "app" and hint not in providers.overrides:
                await open_one(hint, provider)
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        providers.instances.clear()
        try:
            await close_all(request, "end", error, hop)
        except BaseException as raised:
            if raised is not error:
                raise


async def _open(
    providers: Providers, provider: Provider, request: Request, execution: Execution
) -> Any:
    graph = Graph(providers)
    node = graph.add(provider.function)
    named = [one.argument.name for each in graph.nodes for one in each.parameters]
    if named or graph.contents:
        raise ConfigError(
            f"{place_of(provider.function)}: {named[0]!r} comes from a request, "
            'but it is opened once per application; say scope="request"'
        )
    request.values = [None] * (len(graph.nodes) + 1)
    for each in graph.nodes:
        if each.is_async:
            await open_async(each, request)
        else:
            each.thread = provider.run != "inline" and not inspect.isclass(each.function)
            if each.thread:
                await execution.threads().run(open_here, each, request)
            else:
                open_here(each, request)
    return request.values[node.slot]


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
        self._providers = providers
        self._execution = execution
        self._request = _no_request(execution)
        self._made: dict[Any, Any] = {}

    async def get(self, kind: type[T]) -> T:
        """Return a resource or a request-scoped value by its type, the same each time.

        Raises ``UsageError`` if nothing provides it.
        """
        if kind not in self._made:
            self._made[kind] = await self._make(kind)
        value: T = self._made[kind]
        return value

    async def _make(self, kind: Any) -> Any:
        providers = self._providers
        if kind in providers.overrides and not inspect.isroutine(providers.overrides[kind]):
            return providers.overrides[kind]
        if kind in providers.instances:
            return providers.instances[kind]
        provider = providers.by_type.get(kind)
        if provider is None:
            raise UsageError(f"nothing provides {kind!r}; write a function with @app.resource")
        return await _open(providers, provider, self._request, self._execution)

    async def call(self, function: Callable[..., Any]) -> Any:
        """Call a function with what it asks for; ``await`` gives what it returns."""
        provider = Provider(function, "request")
        return await _open(self._providers, provider, self._request, self._execution)

    async def close(self, error: BaseException | None) -> None:
        """Close what was opened, in reverse."""

        async def hop(inner: Callable[..., Any], *args: Any) -> Any:
            return await self._execution.threads().run(inner, *args)

        try:
            await close_all(self._request, "end", error, hop)
        except BaseException as raised:
            if raised is not error:
                raise
