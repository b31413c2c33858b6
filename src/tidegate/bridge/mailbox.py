"""How do other threads get a word in on an event loop, cheaply?

Waking a loop costs a system call and a switch of threads.  A mailbox wakes it
once for all that is posted until it looks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Mailbox", "mailbox_of"]


class Mailbox:
    """Calls from any thread, run on one event loop in the order they were posted."""

    __slots__ = ("_calls", "_woken", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False  # the loop has been told, and has not looked yet

    def post(self, callback: Callable[..., object], *args: object) -> bool:
        """Have ``callback(*args)`` called on the loop; from any thread.

        Once the loop is closed nothing happens, and the answer is False.
        """
        if self.loop.is_closed():
            self._calls.clear()
            return False
        self._calls.append((callback, args))
        # Only after the append: who reads False here is sure to be looked for.
        return self._woken or self._wake()

    def _wake(self) -> bool:
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._run)
        except RuntimeError:  # closed since
            self._calls.clear()
            return False
        return True

    def _run(self) -> None:
        """Make the calls there are; those posted meanwhile wait for the next turn."""
        self._woken = False
        calls = self._calls
        try:
            for _ in range(len(calls)):
                callback, args = calls.popleft()
                try:
                    callback(*args)
                except Exception as error:
                    context = {"message": f"Exception in {callback!r}", "exception": error}
                    self.loop.call_exception_handler(context)
        except BaseException:
            # It ends the loop's run, perhaps not the loop.
            if calls and not self._woken:
                self._wake()
            raise


_mailboxes: dict[asyncio.AbstractEventLoop, Mailbox] = {}


def mailbox_of(loop: asyncio.AbstractEventLoop) -> Mailbox:
    """Return the mailbox that is shared by all who talk to this loop."""
    mailbox = _mailboxes.get(loop)
    if mailbox is None:
        for other in [other for other in list(_mailboxes) if other.is_closed()]:
            _mailboxes.pop(other, None)
        mailbox = _mailboxes.setdefault(loop, Mailbox(loop))
    return mailbox
