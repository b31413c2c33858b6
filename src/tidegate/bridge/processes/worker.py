"""What does a worker process do?  It reads a call, makes it, answers, and reads the next.

It is single-threaded and knows no event loop.  The pool starts it as a fresh
interpreter, and it lives until the pool hangs up.
"""

from __future__ import annotations

import contextvars
import faulthandler
import fcntl
import io
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from . import names
from .channel import CALL, ERROR, READY, REFUSED, RESULT, RETIRE, Channel, Frame, body_size, pack
from .context import call_with
from .names import resolve
from .shared import Segment

__all__ = ["Worker", "main"]

Settings = dict[str, Any]


def main(control: int, segment: int, lifeline: int) -> None:
    """Work until the pool hangs up.  The arguments are inherited descriptors."""
    faulthandler.enable()
    for signum in (signal.SIGINT, signal.SIGTERM):
        # A terminal or a service manager signals every process it knows.  The
        # pool decides when a worker ends.  A handler, unlike SIG_IGN, is not
        # inherited by programs that a call starts.
        signal.signal(signum, lambda *_: None)
    for descriptor in (control, segment, lifeline):
        os.set_inheritable(descriptor, False)
    _end_with_the_parent(lifeline)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    with socket.socket(fileno=control) as connection:
        Worker(connection, Segment(segment)).run()


def _end_with_the_parent(lifeline: int) -> None:
    """Have the system end this process and its children when the pool's process dies.

    The other end of the lifeline is in that process only.  When it closes,
    SIGIO is sent, whose default is to end a process, even one that computes.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


class Worker:
    """The worker's end of one socket pair."""

    def __init__(self, connection: socket.socket, segment: Segment) -> None:
        self._connection = connection
        self._segment = segment
        self._channel = Channel(segment, 0)
        self._max_message_size = 0
        self._max_rss: int | None = None
        self._functions: dict[str, Callable[..., Any]] = {}
        self._context = contextvars.copy_context()

    def run(self) -> None:
        """Answer every call until the pool hangs up."""
        hello = self._receive()
        if hello is None or not self._begin(hello.value()):
            return
        while frame := self._receive():
            if frame.kind == CALL:
                self._answer(frame)

    def _begin(self, settings: Settings) -> bool:
        """Import and set up; say whether calls may come."""
        self._channel = Channel(self._segment, settings["shared_size"])
        self._max_message_size = settings["max_message_size"]
        self._max_rss = settings["max_rss"]
        for module in settings["modules"]:
            try:
                resolve(f"{module}:__name__")
            except Exception:
                # The call that needs it will say what is wrong.
                continue
        try:
            if settings["setup"] is not None:
                self._function(settings["setup"])()
        except Exception as error:
            self._send(ERROR, pack(_described(error)))
            return False
        # What the setup set is there for every call.
        self._context = contextvars.copy_context()
        self._send(READY, pack(None))
        return True

    def _answer(self, frame: Frame) -> None:
        kind, parts = self._perform(frame)
        if body_size(parts) > self._max_message_size:
            what = "the result" if kind == RESULT else "the exception"
            size = f"{what} is {body_size(parts)} bytes, and max_message_size"
            kind, parts = REFUSED, pack((f"{size} is {self._max_message_size}", None))
        for stream in (sys.stdout, sys.stderr):
            # The program may have replaced or closed them.
            if stream is not None and not stream.closed:
                stream.flush()
        self._send(kind, parts)

    def _perform(self, frame: Frame) -> tuple[int, list[bytes | memoryview]]:
        """Make the call; return the kind and the body of the answer."""
        try:
            target, args, kwargs, carried = frame.value()
            function = self._function(target)
        except Exception as error:
            hint = f"the worker cannot read the call: {type(error).__name__}: {error}"
            return REFUSED, pack((hint, _described(error)[3]))
        try:
            context = self._context.copy()
            value = context.run(call_with, carried, function, args, kwargs)
        except BaseException as error:
            return ERROR, pack(_described(error))
        try:
            return RESULT, pack(value)
        except Exception as error:
            hint = f"the result, a {type(value).__name__}, cannot be pickled: {error}"
            return REFUSED, pack((hint, None))

    def _function(self, target: str | Callable[..., Any]) -> Callable[..., Any]:
        if not isinstance(target, str):
            return target
        try:
            return self._functions[target]
        except KeyError:
            return self._functions.setdefault(target, resolve(target))

    def _receive(self) -> Frame | None:
        """Return the next frame, or None if the pool has hung up."""
        try:
            while data := self._connection.recv(65536):
                frame = self._channel.incoming(data)
                if frame is not None:
                    return frame
        except ConnectionResetError:
            return None  # it hung up before it had read all
        return None

    def _send(self, kind: int, parts: list[bytes | memoryview]) -> None:
        flags = RETIRE if self._max_rss is not None and resident_size() > self._max_rss else 0
        try:
            data = self._channel.outgoing(kind, parts, flags)
        except OSError as error:
            hint = f"there is no shared memory for {body_size(parts)} bytes: {error}"
            data = self._channel.outgoing(REFUSED, pack((hint, None)), flags)
        try:
            self._connection.sendall(data)
        except OSError:
            return  # the pool has hung up, and the next read says so as well


def resident_size() -> int:
    """Return how much memory this process holds, in bytes; proc(5), statm, second field."""
    if sys.platform != "linux":
        # The largest it has been, in bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _described(error: BaseException) -> tuple[bytes | None, str, str, str]:
    """Return the pickled exception, if it can be pickled, its type, its text and its traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OUR_FILES:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    name = type(error).__qualname__
    try:
        # SystemExit and its like must not end the process that called.
        data = pickle.dumps(error, 5) if isinstance(error, Exception) else None
        return data, name, str(error), text
    except Exception as reason:
        return None, name, f"{error}; it cannot be pickled: {reason}", text


_OUR_FILES = {__file__, call_with.__code__.co_filename, names.__file__}
