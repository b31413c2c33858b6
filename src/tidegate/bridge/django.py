"""Django's synchronous code under ASGI, in threads that live on.

Django runs the synchronous code of one request in one thread, which ends with
the request; a database connection belongs to its thread, so each request opens
a new one, whatever ``CONN_MAX_AGE`` says.  Here the thread stays, and serves
the next request.

asgiref 3.13 or newer is needed: its ``ThreadSensitiveContext`` takes an
executor.  It is not imported from here, but found where Django has loaded it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from ..asgi import Application, Receive, Scope, Send
from ..errors import UsageError
from .pool import ThreadLimits, ThreadPool

__all__ = ["DjangoThreads", "django_threads"]

P = ParamSpec("P")
T = TypeVar("T")


def django_threads(application: Application, threads: int = 40) -> DjangoThreads:
    """Return an ASGI application that keeps the threads of Django's, and so its connections.

    ``threads`` is how many requests can run synchronous code at once, and the
    most connections there will be to each database.
    """
    return DjangoThreads(application, threads)


class DjangoThreads:
    """The ASGI application that ``django_threads`` returns."""

    def __init__(self, application: Application, threads: int) -> None:
        self._application = application
        self._pool = ThreadPool("django", ThreadLimits(threads=threads))
        self._seats: list[_Seat] = []
        self._free: list[_Seat] = []  # the one left last is taken first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with a thread for its synchronous code; anything else as it is.

        Raises ``UsageError`` if asgiref is too old.
        """
        sync: Any = sys.modules.get("asgiref.sync")
        if scope["type"] != "http" or sync is None:
            await self._application(scope, receive, send)
            return
        executor = _RequestExecutor(self)
        try:
            async with _sensitive(sync, executor):
                await self._application(scope, receive, send)
        finally:
            executor.leave()

    def take(self) -> _Seat:
        """Return a thread for one request, which others share only if there are too few."""
        if self._free:
            seat = self._free.pop()
        elif len(self._seats) < self._pool.limits.threads:
            seat = _Seat()
            self._pool.submit(seat.serve)
            self._seats.append(seat)
        else:
            # Requests hold a thread while they stream, but hardly use it then.
            seat = min(self._seats, key=lambda seat: (seat.load, seat.holders))
        seat.holders += 1
        return seat

    def give_back(self, seat: _Seat) -> None:
        """A request does not need its thread any more."""
        seat.holders -= 1
        if not seat.holders:
            # One that still works for a request that is over is taken last.
            self._free.insert(0 if seat.load else len(self._free), seat)

    def close(self, timeout: float) -> list[str]:
        """End the threads; return the stacks of those that still run after ``timeout`` seconds.

        It blocks.  Nothing can be served afterwards.
        """
        for seat in self._seats:
            seat.close()
        return self._pool.close(timeout)


class _Seat:
    """One thread that lives on."""

    def __init__(self) -> None:
        self.holders = 0  # requests
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._busy = False

    @property
    def load(self) -> int:
        """How many jobs are not done."""
        return self._jobs.qsize() + self._busy

    def put(self, future: Future[Any], job: Callable[[], Any]) -> None:
        self._jobs.put((future, job))

    def close(self) -> None:
        self._jobs.put(None)

    def serve(self) -> None:
        """Do what comes until ``close``; in the thread."""
        while (found := self._jobs.get()) is not None:
            future, job = found
            self._busy = True
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BaseException as error:
                    # SystemExit too: it is for who waits, not for the thread.
                    future.set_exception(error)
            self._busy = False
            # Not to be kept until the next request.
            del found, future, job


class _RequestExecutor(Executor):
    """What asgiref runs the synchronous code of one request with: always the same thread."""

    def __init__(self, threads: DjangoThreads) -> None:
        self._threads = threads
        self._seat: _Seat | None = None  # None until there is synchronous code

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``function`` called in the thread of this request."""
        if self._seat is None:
            self._seat = self._threads.take()
        future: Future[T] = Future()
        self._seat.put(future, partial(function, *args, **kwargs))
        return future

    def leave(self) -> None:
        """The request is over."""
        seat, self._seat = self._seat, None
        if seat is not None:
            self._threads.give_back(seat)


def _sensitive(sync: Any, executor: Executor) -> Any:
    """Return the context in which asgiref uses the executor."""
    kind = sync.ThreadSensitiveContext
    try:
        return kind(executor=executor)
    except TypeError:
        if "executor" in inspect.signature(kind).parameters:
            raise
        version = getattr(sys.modules.get("asgiref"), "__version__", "an older one")
        raise UsageError(
            f"django_threads needs asgiref 3.13 or newer, found {version}:"
            " pip install --upgrade asgiref"
        ) from None
