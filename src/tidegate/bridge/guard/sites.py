"""Which lines call what blocks, even where it took no time today?

``sys.monitoring`` (PEP 669, Python 3.12) reports each call site until told to
stop; it is told so at the first call, so a site is looked at once, and costs
nothing from then on.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeAlias

from .advice import Advice
from .blocking import BlockingCall, BlockingCalls
from .frames import Origins
from .names import name_of

__all__ = ["CallSites", "can_monitor"]

logger = logging.getLogger("tidegate.error")

Found: TypeAlias = Callable[[FrameType, str, Advice], None]


class CallSites:
    """Call sites of the calling thread, which runs a loop."""

    def __init__(self, origins: Origins, files: bool = False) -> None:
        self._calls = BlockingCalls(files, origins)
        self._ident: int | None = None  # None unless started

    def start(self) -> None:
        """Begin; say so in the log if this Python cannot."""
        if not can_monitor():
            logger.warning(
                "Call sites are not watched: that needs Python 3.12, this is %d.%d. "
                "Lines that block the event loop for long are reported all the same",
                *sys.version_info[:2],
            )
            return
        self._ident = threading.get_ident()
        if not _monitor.watch(self._ident, self._calls, self._found):
            self._ident = None
            logger.warning("Call sites are not watched: other tools use up sys.monitoring")

    def stop(self) -> None:
        """End; harmless if not started."""
        ident, self._ident = self._ident, None
        if ident is not None:
            _monitor.leave(ident)

    def report(self) -> list[BlockingCall]:
        """Return what was found, in the order of the first calls; from any thread."""
        return self._calls.report()

    def _found(self, frame: FrameType, name: str, row: Advice) -> None:
        call = self._calls.note(frame, name, row)
        if call is not None:
            logger.warning("Blocking call on the event loop at %s Advice: %s", call, call.advice)


def can_monitor() -> bool:
    """Say whether this Python has ``sys.monitoring``."""
    return sys.version_info >= (3, 12)


class _NoMonitor:
    """Before Python 3.12."""

    def watch(self, ident: int, calls: BlockingCalls, found: Found) -> bool:
        return False

    def leave(self, ident: int) -> None:
        pass


if sys.version_info >= (3, 12):
    # Not the numbers that are set aside for debuggers, coverage, profilers and optimizers.
    _TOOLS = (4, 3)

    class _Monitor(_NoMonitor):
        """The one tool of this process; each thread that runs a loop has its watcher."""

        def __init__(self) -> None:
            self._watchers: dict[int, tuple[BlockingCalls, Found]] = {}
            self._lock = threading.Lock()
            self._tool: int | None = None  # None while nobody watches

        def watch(self, ident: int, calls: BlockingCalls, found: Found) -> bool:
            monitoring = sys.monitoring
            with self._lock:
                if self._tool is None:
                    free = [tool for tool in _TOOLS if monitoring.get_tool(tool) is None]
                    if not free:
                        return False
                    self._tool = free[0]
                    monitoring.use_tool_id(self._tool, "tidegate guard")
                    monitoring.register_callback(self._tool, monitoring.events.CALL, self._on_call)
                    monitoring.set_events(self._tool, monitoring.events.CALL)
                self._watchers[ident] = calls, found
            # Sites that were dismissed for another watcher, or run.
            monitoring.restart_events()
            return True

        def leave(self, ident: int) -> None:
            with self._lock:
                self._watchers.pop(ident, None)
                if self._tool is not None and not self._watchers:
                    sys.monitoring.set_events(self._tool, 0)
                    sys.monitoring.free_tool_id(self._tool)
                    self._tool = None

        def _on_call(self, code: CodeType, offset: int, function: Any, receiver: Any) -> Any:
            frame = sys._getframe(1)
            if receiver is sys.monitoring.MISSING:
                receiver = None
            try:
                watcher = self._watchers.get(threading.get_ident())
                if watcher is None:
                    return self._elsewhere(function, receiver)
                calls, found = watcher
                blocking = calls.find(frame, function, receiver)
                if blocking is not None:
                    found(frame, *blocking)
            except Exception:
                # It would come out of the call that is watched.
                logger.debug("A call site could not be judged", exc_info=True)
            return sys.monitoring.DISABLE

        def _elsewhere(self, function: Any, receiver: Any) -> Any:
            """In a thread without a loop blocking is right, but the site may serve both."""
            name = name_of(function, receiver)
            known = any(calls.known(name) for calls, _ in list(self._watchers.values()))
            return None if known else sys.monitoring.DISABLE

    _monitor: _NoMonitor = _Monitor()
else:
    _monitor = _NoMonitor()
