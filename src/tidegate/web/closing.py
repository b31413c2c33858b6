"""When are the generators of a request closed, and what do they hear?

In the reverse of the order they were opened, each once, with the error of the
request if there was one: so a dependency that yields can roll back.  Its own
error takes the place of the first, and a response that was not yet sent is
then not sent: a failed commit is a 500.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Literal, NamedTuple, TypeAlias

from ..errors import ConfigError, UsageError
from .annotations import place_of
from .inject import Node
from .request import Request

__all__ = [
    "Exit",
    "Visit",
    "When",
    "close_all",
    "close_here",
    "open_async",
    "open_here",
    "settle_closing",
]

When: TypeAlias = Literal["response", "stream", "end"]
"""Before an ordinary response, before one that streams, or when everything is over."""


_NOTHING = object()


class Exit(NamedTuple):
    """A generator that stands at its yield."""

    node: Node
    generator: Any


def open_here(node: Node, request: Request) -> None:
    """Call a plain dependency and keep what it gives."""
    value = node.call(request)
    if node.is_generator:
        generator, value = value, next(value, _NOTHING)
        if value is _NOTHING:
            raise UsageError(f"{_name(generator)} did not yield")
        _remember(request, Exit(node, generator))
    request.values[node.slot] = value


async def open_async(node: Node, request: Request) -> None:
    """Call an asynchronous dependency and keep what it gives."""
    if node.is_generator:
        generator = node.call(request)
        value = await anext(generator, _NOTHING)
        if value is _NOTHING:
            raise UsageError(f"{_name(generator)} did not yield")
        _remember(request, Exit(node, generator))
    else:
        value = await node.call(request)
    request.values[node.slot] = value


def settle_closing(nodes: list[Node]) -> None:
    """See that nothing is closed while something that was made with it is open.

    ``nodes`` are in the order of their calls.  Raises ``ConfigError`` if what
    is closed after the response needs what is closed before it.
    """
    for node in reversed(nodes):
        for source in node.inputs if node.close == "after" else ():
            if source.close == "before" and source.is_generator:
                raise ConfigError(
                    f"{place_of(source.function)} is closed before the response, but "
                    f"{place_of(node.function)}, which needs it, after it"
                )
            source.close = "after"
    for node in nodes:
        if any(source.close == "before" for source in node.inputs):
            node.close = "before"


def _remember(request: Request, one: Exit) -> None:
    if request.exits is None:
        request.exits = [one]
    else:
        request.exits.append(one)


def close_here(request: Request, when: When, error: BaseException | None) -> None:
    """Close plain generators from the last, up to the first that is not, or not yet to be closed.

    Raises the error of the last that failed.
    """
    exits = request.exits
    while exits and exits[-1].node.thread and _is_due(exits[-1].node, when, error):
        try:
            _close_plain(exits.pop().generator, error)
        except BaseException as raised:
            error = raised
    if error is not None:
        raise error


def _is_due(node: Node, when: When, error: BaseException | None) -> bool:
    if error is not None or when == "end" or node.close == "before":
        return True
    return node.close == "auto" and when == "response"


async def close_all(
    request: Request,
    when: When,
    error: BaseException | None,
    hop: Callable[..., Awaitable[Any]],
) -> None:
    """Close what is due; after an error, all.

    ``hop`` runs a function in the thread of the request.  Raises the error of the
    last that failed, or the one given.
    """
    exits = request.exits or []
    due = [one for one in exits if _is_due(one.node, when, error)]
    request.exits = [one for one in exits if not _is_due(one.node, when, error)]
    while due:
        one = due.pop()
        try:
            if one.node.is_async:
                await _close_async(one.generator, error)
            elif one.node.thread:
                await hop(_close_plain, one.generator, error)
            else:
                _close_plain(one.generator, error)
        except BaseException as raised:
            error = raised
    if error is not None:
        raise error


def _close_plain(generator: Generator[Any, Any, Any], error: BaseException | None) -> None:
    try:
        if error is None:
            next(generator)
        else:
            generator.throw(error)
    except StopIteration:
        return
    except BaseException as raised:
        if raised is not error:
            raise
        return
    generator.close()
    raise UsageError(f"{_name(generator)} yields more than once")


async def _close_async(generator: AsyncGenerator[Any, Any], error: BaseException | None) -> None:
    try:
        if error is None:
            await anext(generator)
        else:
            await generator.athrow(error)
    except StopAsyncIteration:
        return
    except BaseException as raised:
        if raised is not error:
            raise
        return
    await generator.aclose()
    raise UsageError(f"{_name(generator)} yields more than once")


class Visit:
    """A call in a thread, which its caller may leave while it goes on."""

    __slots__ = ("_arguments", "_begun", "_ended", "_function", "_left", "_lock", "_loop", "over")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._begun = self._left = self._ended = False
        self.over = asyncio.Event()
        """Set when the function has returned after its caller left."""

    def __call__(self) -> Any:
        with self._lock:
            self._begun = begun = not self._left
        if not begun:
            return None
        try:
            return self._function(*self._arguments)
        finally:
            with self._lock:
                self._ended = True
                if self._left:
                    self._loop.call_soon_threadsafe(self.over.set)

    def leave(self) -> bool:
        """Wait no longer; say whether the thread is at work."""
        with self._lock:
            self._left = True
            at_work: bool = self._begun and not self._ended
        return at_work


def _name(generator: object) -> str:
    return getattr(generator, "__qualname__", "a dependency")
