"""What all connections of one worker share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ..exchange.http import HttpExchange
from ..exchange.out import Out
from ..exchange.service import Service
from ..http import Head
from ..wire.http1.limits import Http1Limits
from ..wire.http2.limits import Http2Limits
from ..wire.websocket.limits import WebSocketLimits
from .clock import Clock
from .crowd import Crowd
from .timeouts import Timeouts

__all__ = ["MakeExchange", "Member", "WebSocketSettings", "Worker"]

# Sockets closed at shutdown come back at this rate, if they come back at once.
_DRAINS_PER_SECOND = 500


MakeExchange: TypeAlias = Callable[[Out, Any, Head, bytes, bool], HttpExchange]
"""From who sends, the service, and the request as far as it is there."""


class Member(Protocol):
    """A connection as shutdown sees it."""

    def drain(self) -> None:
        """Close when what is in progress is over."""

    def abort(self) -> None:
        """Cut the connection."""


@dataclass(slots=True)
class WebSocketSettings:
    """How sockets are kept; times in seconds, None switches pings off."""

    enabled: bool = True
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    close_timeout: float = 10.0
    drain_notice: float = 5.0
    deflate: bool = True
    allowed_origins: tuple[bytes, ...] = ()  # empty: any


@dataclass
class Worker:
    """The service, the clock and the limits of one worker, and who is connected."""

    service: Service
    clock: Clock
    timeouts: Timeouts = field(default_factory=Timeouts)
    http1: Http1Limits = field(default_factory=Http1Limits)
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    websocket_limits: WebSocketLimits = field(default_factory=WebSocketLimits)
    exchange: MakeExchange = HttpExchange
    connections: set[Member] = field(default_factory=set)
    crowd: Crowd | None = None  # these, if their number is limited
    ready: bool = True  # until we are asked to stop
    draining: bool = False
    drain_linger: float = 0.0  # seconds that an idle connection is kept then
    http2: Http2Limits | None = field(default_factory=Http2Limits)  # None: it is not spoken
    http3: Http2Limits | None = None  # the same
    max_requests: int | None = None  # service.on_change() is called at this one
    _drained: int = 0

    def limit_connections(self, total: int | None, per_address: int | None) -> None:
        """Refuse what is more, from now on: called before the first connection."""
        if total is not None or per_address is not None:
            crowd = Crowd(total, per_address, self.service.policy.proxies)
            self.connections = self.crowd = crowd

    def has_room_for(self, member: Any) -> bool:
        """Say whether a connection that was just added may stay; if not, log why."""
        problem = self.crowd.problem(member) if self.crowd is not None else None
        if problem is not None:
            self.service.complain(member.client, problem, "connections")
        return problem is None

    def next_drain_slot(self) -> float:
        """Return in how many seconds the next socket is to be closed at shutdown.

        Sockets that all came back in the same moment would be a flood.
        """
        self._drained += 1
        return min((self._drained - 1) / _DRAINS_PER_SECOND, self.websocket.drain_notice)
