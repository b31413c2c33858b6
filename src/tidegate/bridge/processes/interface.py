"""What is a pool?  Something that runs plain functions elsewhere while the loop goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from .limits import CallOptions, PoolMetrics

__all__ = ["Pool", "Runner"]

P = ParamSpec("P")
R = TypeVar("R")


class Pool(ABC):
    """A named pool.  Use it as an asynchronous context manager, or start and close it."""

    name: str
    options: CallOptions
    """For calls made without ``with_options``."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a plain function elsewhere and return its result.

        Raises what the function raises; ``PoolFull``, ``PoolClosed``,
        ``DeadlineExceeded`` and ``WorkerCrashed`` of the pool; and
        ``Untransferable`` for what cannot go to another process or come back.
        """
        return await self.perform(function, args, kwargs, self.options)

    def with_options(self, *, deadline: float | None = None, retries: int = 0) -> Runner:
        """Return what runs calls with other options: ``pool.with_options(deadline=2).run(f)``.

        ``deadline`` is in seconds and includes the time spent waiting for a
        worker; None leaves the pool's own.  ``retries`` is how often to try
        again when the worker crashes: for idempotent functions.
        """
        if deadline is None:
            deadline = self.options.deadline
        return Runner(self, CallOptions(deadline, retries))

    @abstractmethod
    async def perform(
        self,
        function: Callable[..., R],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions,
    ) -> R:
        """Make one call: what ``run`` does, without its types."""

    @abstractmethod
    async def start(self) -> None:
        """Make the pool ready.  Raises if it cannot be."""

    @abstractmethod
    async def close(self, timeout: float | None = None) -> None:
        """Let calls end for ``timeout`` seconds, then stop the rest."""

    @abstractmethod
    def metrics(self) -> PoolMetrics:
        """Return the state of the pool."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Runner:
    """A pool with the options of some of its calls."""

    def __init__(self, pool: Pool, options: CallOptions) -> None:
        self._pool = pool
        self._options = options

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do as ``Pool.run`` does."""
        return await self._pool.perform(function, args, kwargs, self._options)
