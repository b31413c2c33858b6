"""Where the functions of one application run, and what becomes of their errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from inspect import isclass
from typing import Any, Literal, TypeAlias

from .. import web
from ..bridge import processes
from ..bridge.assignment import assignment_of
from ..bridge.threads import ThreadLimits, ThreadPool, pools
from ..errors import ClientDisconnected, ConfigError, PoolFull, TidegateError
from .annotations import place_of, read_signature
from .encoding import Encoding
from .inject import Node, Shape
from .kinds import alternatives
from .pools import Pool
from .problems import Problem
from .request import Request
from .response import HTMLResponse, Response
from .watch import Watch

__all__ = ["Execution", "Place", "as_problem"]

logger = logging.getLogger("tidegate.app")

Place: TypeAlias = Literal["loop", "thread", "process"]

DEFAULT_PROCESSES = Pool("cpu", "process", 0)


class Execution:
    """The pools, the watch and the error handlers of one application."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.debug: bool = app.debug
        self.watch = Watch()
        self.handlers: dict[type[BaseException], Callable[..., Any]] = {}
        self._processes: dict[str, processes.Pool] = {}

    # -- where ---------------------------------------------------------------

    def place(self, function: Callable[..., Any], run: Any, node: Node) -> Place:
        """Return where a handler runs.  Raises ``ConfigError`` if it cannot run there."""
        if node.is_async:
            if run not in ("auto", "inline"):
                raise ConfigError(
                    f"{place_of(function)} is asynchronous, so it runs on the event loop; "
                    f"run={run!r} is for plain functions"
                )
            return "loop"
        if _kind(run) == "process":
            name = getattr(function, "__qualname__", "<locals>")
            if "<locals>" in name or "<lambda>" in name:
                raise ConfigError(
                    f"{place_of(function)} must stand at the top of a module to run in a process"
                )
            if function.__module__ == "__main__":
                raise ConfigError(
                    f"{place_of(function)} belongs to the program that was started, which other "
                    "processes do not run; move it to a module of its own"
                )
            return "process"
        return "loop" if run == "inline" else "thread"

    def threads(self, run: Any = "auto") -> ThreadPool:
        """Return the threads of a pool, for the running loop."""
        named = DEFAULT_PROCESSES if run == "process" else run
        return pools.get(named.name) if isinstance(named, Pool) else pools.get()

    def configure(self, pool: Pool) -> None:
        """Say how many threads a named pool has."""
        pools.configure(pool.name, ThreadLimits(threads=pool.size, max_queue=pool.max_queue))

    def process_pool(self, run: Any) -> processes.Pool:
        """Return the processes of a pool; not started."""
        named = run if isinstance(run, Pool) else DEFAULT_PROCESSES
        pool = self._processes.get(named.name)
        if pool is None:
            limits = processes.ProcessLimits(max_queue=named.max_queue)
            if named.size and named.kind == "process":
                limits = processes.ProcessLimits(workers=named.size, max_queue=named.max_queue)
            pool = processes.open_pool(name=named.name, limits=limits)
            self._processes[named.name] = pool
        return pool

    async def start(self) -> None:
        """Start the processes that plans asked for."""
        for pool in self._processes.values():
            await pool.start()

    async def stop(self) -> None:
        """End the processes; threads are the loop's, and end with it."""
        stopping, self._processes = self._processes, {}
        for pool in stopping.values():
            await pool.close()

    # -- errors --------------------------------------------------------------

    async def fail(self, request: Request, error: Exception) -> None:
        """Answer an error of a handler.

        Raises it again if the response has begun, or if nobody foresaw it: the
        server logs it then.
        """
        if request.started or isinstance(error, ClientDisconnected):
            raise error
        response, foreseen = await self.response_to(request, error)
        request.started = True
        await response(request.scope, request.receive, request.send)
        if not foreseen:
            raise error

    async def response_to(self, request: Any, error: Exception) -> tuple[Any, bool]:
        """Return the response to an error, and whether it is not a fault of the application."""
        problem = as_problem(error)
        handler = self._handler_of(error, problem is not None)
        if handler is not None:
            try:
                return await self._handled(handler, request, error), True
            except Exception as raised:
                problem = as_problem(raised)
                if problem is None and raised is not error:
                    logger.exception("The error handler %s failed", place_of(handler))
        if problem is not None:
            return _Whole(*problem.response()), True
        if self.debug:
            accepts = request.headers.get("accept", "")
            if "text/html" in accepts:
                return HTMLResponse(web.failure.page(error, request), 500), False
            return _Whole(*Problem(500, f"{type(error).__name__}: {error}").response()), False
        return _Whole(*Problem(500).response()), False

    def _handler_of(self, error: Exception, is_problem: bool) -> Callable[..., Any] | None:
        """Return the handler of the nearest type; what is a problem has an answer already."""
        for kind in type(error).__mro__:
            if is_problem and kind in (TidegateError, Exception):
                return None
            if kind in self.handlers:
                return self.handlers[kind]
        return None

    def settle(self) -> list[ConfigError]:
        """Look at the error handlers; return what is wrong with them."""
        errors = []
        for handler in self.handlers.values():
            try:
                _takes(handler)
            except ConfigError as error:
                errors.append(error)
        return errors

    async def _handled(
        self, handler: Callable[..., Any], request: Request, error: Exception
    ) -> Any:
        takes, returns = _takes(handler)
        arguments = [request if one is Request else error for one in takes]
        if Shape(handler).is_async:
            value = await handler(*arguments)
        else:
            value = await self.threads().run(handler, *arguments, propagate="both")
        if isinstance(value, Problem):
            return _Whole(*value.response())
        status = getattr(error, "status", 0)
        encoding = Encoding(returns, status if isinstance(status, int) and status else 500)
        encoded = encoding.whole(value, request)
        return encoding.response(value, request) if encoded is None else _Whole(*encoded)


def _kind(run: Any) -> Literal["thread", "process"] | None:
    """Return where the operator wants it to run, or else the program; None for no pool."""
    named = DEFAULT_PROCESSES if run == "process" else run
    if not isinstance(named, Pool):
        return None
    told = assignment_of(named.name)
    return named.kind if told is None else told.kind


def _takes(handler: Callable[..., Any]) -> tuple[list[type], Any]:
    """Return what an error handler is called with, in order, and what it returns.

    Raises ``ConfigError`` if that is anything but the exception and the request.
    """
    signature = read_signature(handler)
    takes: list[type] = []
    for argument in signature.arguments:
        kinds = alternatives(argument.type)
        if argument.type is Request or (kinds == (Any,) and argument.name in ("request", "req")):
            takes.append(Request)
        elif kinds == (Any,) or all(
            isclass(kind) and issubclass(kind, BaseException) for kind in kinds
        ):
            takes.append(BaseException)
        else:
            raise ConfigError(
                f"{place_of(handler)}: an error handler takes the exception and the request, "
                f"not {argument.name!r}"
            )
    return takes, signature.returns


def as_problem(error: Exception) -> Problem | None:
    """Return the problem that an exception stands for, if it does.

    The HTTP exceptions of Starlette and FastAPI are understood, so that code
    that moved here may go on raising them.
    """
    if isinstance(error, Problem):
        return error
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status <= 599 and hasattr(error, "detail"):
        detail = error.detail
        headers = getattr(error, "headers", None) or {}
        if isinstance(detail, str):
            return Problem(status, detail, headers=headers)
        return Problem(status, headers=headers, errors=detail)
    if isinstance(error, PoolFull):
        return Problem(503, headers={"retry-after": str(max(1, math.ceil(error.retry_after)))})
    return None


class _Whole(Response[bytes]):
    """A response whose fields are made already."""

    def __init__(self, status: int, pairs: list[tuple[bytes, bytes]], body: bytes) -> None:
        super().__init__(body, status)
        self.pairs = pairs
