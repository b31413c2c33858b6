"""How an application call becomes a real asyncio Task, at once.

The call runs until its first suspension before ``start`` returns, so a request
that never waits costs no turn of the event loop.  It is the same Task before
and after: ``current_task``, ``timeout``, ``TaskGroup`` and cancel scopes work
from the first line.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

__all__ = ["Start", "starter"]

Call: TypeAlias = Coroutine[Any, Any, None]
Start: TypeAlias = Callable[[Call, contextvars.Context], "asyncio.Task[None]"]


def starter(loop: asyncio.AbstractEventLoop) -> Start:
    """Return ``start(coroutine, context) -> Task`` for this loop.

    A loop in debug mode or with a task factory of the user's is left alone:
    its tasks start in the next turn.
    """
    if loop.get_debug() or loop.get_task_factory() is not None:
        return _by_the_loop(loop)
    if sys.version_info >= (3, 12):
        return _eagerly(loop)
    return _first_step_now(loop)


def _by_the_loop(loop: asyncio.AbstractEventLoop) -> Start:
    def start(call: Call, context: contextvars.Context) -> asyncio.Task[None]:
        # Not create_task(context=...): factories need not know the argument.
        return context.run(loop.create_task, call)

    return start


if sys.version_info >= (3, 12):

    def _eagerly(loop: asyncio.AbstractEventLoop) -> Start:
        def start(call: Call, context: contextvars.Context) -> asyncio.Task[None]:
            return asyncio.Task(call, loop=loop, context=context, eager_start=True)

        return start

else:

    def _first_step_now(loop: asyncio.AbstractEventLoop) -> Start:
        """Before 3.12 a Task asks its loop to run the first step; here the step is caught.

        The catcher is a Future because its ``add_done_callback`` takes just
        the arguments of ``call_soon``, and is not a Python call.
        """
        catcher: asyncio.Future[None] = asyncio.Future(loop=loop)
        catch = catcher.add_done_callback
        current_tasks = asyncio.tasks._current_tasks  # type: ignore[attr-defined]
        task_type = asyncio.Task

        def start(call: Call, context: contextvars.Context) -> asyncio.Task[None]:
            if loop in current_tasks:
                # Two tasks cannot be current at once.
                return loop.create_task(call, context=context, name="request")
            loop.call_soon = catch  # type: ignore[assignment, method-assign]
            try:
                task = task_type(call, loop=loop, context=context, name="request")
            finally:
                del loop.call_soon
            step: Any = catcher._callbacks[0][0]
            catcher.remove_done_callback(step)
            context.run(step)
            return task

        return start
