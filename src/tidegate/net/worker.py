"""What all connections of one worker share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..exchange.http import HttpExchange
from ..exchange.service import Service
from ..wire.http1.limits import Http1Limits
from ..wire.websocket.limits import WebSocketLimits
from .clock import Clock
from .timeouts import Timeouts

__all__ = ["Member", "WebSocketSettings", "Worker"]

# Sockets closed at shutdown come back at this rate, if they come back at once.
_DRAINS_PER_SECOND = 500


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
    exchange: type[HttpExchange] = HttpExchange
    connections: set[Member] = field(default_factory=set)
    draining: bool = False
    max_requests: int | None = None  # service.on_change() is called at this one
    _drained: int = 0

    def next_drain_slot(self) -> float:
        """Return in how many seconds the next socket is to be closed at shutdown.

        Sockets that all came back in the same moment would be a flood.
        """
        self._drained += 1
        return min((self._drained - 1) / _DRAINS_PER_SECOND, self.websocket.drain_notice)
