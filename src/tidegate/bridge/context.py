"""What does a thread know about who called it?

The context variables of the caller, whether the caller still waits, and which
loop to go back to.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
from typing import Any, Protocol

__all__ = [
    "Here",
    "cancelled",
    "check_cancelled",
    "expose_loop",
    "here",
    "show_asgiref",
    "take_over",
]

_MISSING = object()


class Cancellable(Protocol):
    """Something whose caller may stop waiting for it."""

    cancelled: bool


class Here:
    """What is known of one thread."""

    __slots__ = ("call", "loop", "pool")

    def __init__(self) -> None:
        self.call: Cancellable | None = None  # None outside a call of a pool
        # Whose work is done in this thread; None if that was never said.
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pool: object = None  # the one this thread belongs to, if it belongs to one


_local = threading.local()


def here() -> Here:
    """Return what is known of the present thread."""
    try:
        found: Here = _local.here
    except AttributeError:
        found = _local.here = Here()
    return found


def cancelled() -> bool:
    """Say whether the caller of this pool thread has stopped waiting; False elsewhere."""
    call = here().call
    return call is not None and call.cancelled


def check_cancelled() -> None:
    """Raise ``asyncio.CancelledError`` if the caller of this thread has stopped waiting.

    ``except Exception`` does not catch it, so that it ends a loop that goes on
    after errors.
    """
    if cancelled():
        raise asyncio.CancelledError("the caller of this thread has stopped waiting")


def expose_loop(
    loop: asyncio.AbstractEventLoop, tasks: list[asyncio.Task[Any]] | None = None
) -> None:
    """Let what runs in this thread find ``loop``: ``from_thread``, and asgiref if it is loaded.

    asgiref's ``async_to_sync`` then runs on ``loop`` what would otherwise get a
    thread and a loop of its own.  It keeps in ``tasks`` what it runs there.
    Call it at the start of each job: it costs little, and asgiref may have been
    loaded since the last one.
    """
    here().loop = loop
    show_asgiref(loop, tasks)


def show_asgiref(
    loop: asyncio.AbstractEventLoop, tasks: list[asyncio.Task[Any]] | None = None
) -> None:
    """Do what ``expose_loop`` does for asgiref, and no more."""
    sync: Any = sys.modules.get("asgiref.sync")
    kind = getattr(sync, "SyncToAsync", None)  # None while asgiref is being imported
    if kind is not None:
        visible = kind.threadlocal
        if getattr(visible, "main_event_loop", None) is not loop:
            visible.main_event_loop = loop
            # asgiref's guard against a loop that was inherited by a fork.
            visible.main_event_loop_pid = os.getpid()
        visible.task_context = tasks


def take_over(before: contextvars.Context, after: contextvars.Context) -> None:
    """Set, in the present context, the variables that differ between these two."""
    for variable, value in after.items():
        if before.get(variable, _MISSING) is not value:
            variable.set(value)
