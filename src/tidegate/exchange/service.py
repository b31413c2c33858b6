"""What all exchanges of one worker share."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..asgi import Application
from ..http import Defaults
from .admission import Admission, Complain, entrance_of
from .deadline import Timed
from .ended import Journal
from .forwarded import Proxies
from .launch import starter
from .naming import Naming

if TYPE_CHECKING:
    from .lanes import Lanes

__all__ = ["OnDisconnect", "Policy", "Running", "Service", "spec_version"]

logger = logging.getLogger("tidegate.error")

OnDisconnect = Literal["raise", "cancel", "ignore"]

# A flood of broken requests must not become a flood of log lines.
_COMPLAINTS_PER_SECOND = 10


class Running(Protocol):
    """An application call in progress, as shutdown sees it."""

    task: asyncio.Task[None] | None

    @property
    def is_stream(self) -> bool:
        """Whether it has begun a response that says nothing of where it ends."""

    def on_drain(self, seconds: float) -> None:
        """The server shuts down; a stream has ``seconds`` for its last words."""

    def cut(self) -> None:
        """End it in the middle."""

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
    max_body_size: int | None = None  # None: what the protocol lets through
    limit_concurrency: int | None = None
    limit_queue: int = 0
    queue_timeout: float = 5.0
    timeout_request: float | None = None
    timeout_header: bytes | None = None  # lower-case
    proxies: Proxies = field(default_factory=Proxies)


def spec_version(policy: Policy) -> str:
    """Return which version of the specification exchanges keep to."""
    # From 2.4 on send() raises when the client has left.
    return "2.3" if policy.on_disconnect == "ignore" else "2.5"


class Service:
    """The application, how to call it, and who is being served."""

    def __init__(
        self,
        application: Application,
        policy: Policy,
        loop: asyncio.AbstractEventLoop,
        journal: Journal | None = None,
    ) -> None:
        self.application = application
        self.policy = policy
        self.loop = loop
        self.journal = journal  # None if nobody wants to know of the end of requests
        self.naming: Naming | None = None  # None unless requests are to be named
        # Requests start from copies of this: what the program set before it
        # served is visible, what one request sets no other can see.
        self.context = contextvars.copy_context()
        self.start: Callable[[Coroutine[Any, Any, None], contextvars.Context], asyncio.Task[None]]
        self.start = starter(loop)
        self.state: dict[str, Any] = {}  # filled by the lifespan
        self.defaults = Defaults(())  # response fields of the server's own
        self.running: set[Running] = set()
        self.total_requests = 0
        self.refusals: dict[str, int] = {}  # by kind
        # Called when a connection closed, or no application call is in progress.
        self.on_change: Callable[[], None] = lambda: None
        self.spec_version = spec_version(policy)
        self._complaints = 0
        self.lanes: Lanes | None = None  # None: all paths are served alike
        self.enforce(self.complain)

    def enforce(self, complain: Complain, admission: Admission | None = None) -> None:
        """Apply the limits of the policy; ``admission`` is one shared with others."""
        policy = self.policy
        # None if there are no limits: then nobody asks.
        self.entrance = entrance_of(policy, self.loop, complain, admission)
        self.call(self.application)

    def call(self, application: Application) -> None:
        """Call this application, in the time that the policy gives."""
        policy = self.policy
        has_deadlines = policy.timeout_request is not None or policy.timeout_header is not None
        if has_deadlines and not isinstance(application, Timed):
            application = Timed(application)
        self.application = application

    def finished(self, call: Any) -> None:
        """An application call that had to wait is over."""
        self.running.discard(call)
        if self.entrance is not None:
            self.entrance.leave(call)
        if not self.running:
            self.on_change()

    def complain(self, client: object, reason: str, kind: str = "other") -> None:
        """Log that a peer broke the protocol; repeated ones only now and then.

        ``kind`` is counted: the status of the answer, or one word.
        """
        self.refusals[kind] = self.refusals.get(kind, 0) + 1
        self._complaints += 1
        if self._complaints <= _COMPLAINTS_PER_SECOND:
            logger.info("Refused a request from %s: %s", client, reason)

    def tick(self) -> None:
        """A second passed: say how many complaints were not logged."""
        hidden = self._complaints - _COMPLAINTS_PER_SECOND
        self._complaints = 0
        if hidden > 0:
            logger.info("Refused %d more requests in the last second", hidden)
