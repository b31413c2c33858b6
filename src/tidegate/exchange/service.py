"""What all exchanges of one worker share."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..asgi import Application
from ..http import Defaults
from .access import AccessLog
from .forwarded import Proxies
from .launch import starter

__all__ = ["OnDisconnect", "Policy", "Running", "Service"]

logger = logging.getLogger("tidegate.error")

OnDisconnect = Literal["raise", "cancel", "ignore"]

# A flood of broken requests must not become a flood of log lines.
_COMPLAINTS_PER_SECOND = 10


class Running(Protocol):
    """An application call in progress, as shutdown sees it."""

    task: asyncio.Task[None] | None

    def peer_gone(self) -> None:
        """Tell the application that nobody listens any more."""


@dataclass
class Policy:
    """How exchanges treat applications and clients; times in seconds, sizes in bytes."""

    on_disconnect: OnDisconnect = "cancel"
    disconnect_grace: float = 3.0
    root_path: str = ""
    root_path_mode: Literal["strip", "keep"] = "strip"
    max_read_ahead: int = 64 * 1024
    max_queue: int = 32
    limit_concurrency: int | None = None
    proxies: Proxies = field(default_factory=Proxies)


class Service:
    """The application, how to call it, and who is being served."""

    def __init__(
        self,
        application: Application,
        policy: Policy,
        loop: asyncio.AbstractEventLoop,
        access_log: AccessLog | None = None,
    ) -> None:
        self.application = application
        self.policy = policy
        self.loop = loop
        self.access_log = access_log
        # Requests start from copies of this: what the program set before it
        # served is visible, what one request sets no other can see.
        self.context = contextvars.copy_context()
        self.start: Callable[[Coroutine[Any, Any, None], contextvars.Context], asyncio.Task[None]]
        self.start = starter(loop)
        self.state: dict[str, Any] = {}  # filled by the lifespan
        self.defaults = Defaults(())  # response fields of the server's own
        self.running: set[Running] = set()
        self.total_requests = 0
        # Called when a connection closed, or no application call is in progress.
        self.on_change: Callable[[], None] = lambda: None
        self.spec_version = "2.3" if policy.on_disconnect == "ignore" else "2.5"
        self._complaints = 0

    def finished(self, call: Any) -> None:
        """An application call that had to wait is over."""
        self.running.discard(call)
        if not self.running:
            self.on_change()

    def complain(self, client: object, reason: str) -> None:
        """Log that a peer broke the protocol; repeated ones only now and then."""
        self._complaints += 1
        if self._complaints <= _COMPLAINTS_PER_SECOND:
            logger.info("Refused a request from %s: %s", client, reason)

    def tick(self) -> None:
        """A second passed: say how many complaints were not logged."""
        hidden = self._complaints - _COMPLAINTS_PER_SECOND
        self._complaints = 0
        if hidden > 0:
            logger.info("Refused %d more requests in the last second", hidden)
