"""How much peers may send, and how long they may take."""

from __future__ import annotations

import dataclasses

from ...net.timeouts import Timeouts
from ...wire.http1.limits import Http1Limits
from ...wire.http2.limits import Http2Limits
from ..options import option

__all__ = ["LimitSettings", "TimeoutSettings"]


@dataclasses.dataclass(kw_only=True)
class LimitSettings:
    """Counts and sizes."""

    limit_concurrency: int | None = option(
        None, "Answer 503 to more requests at once than this.", group="Limits", least=1
    )
    limit_queue: int = option(
        0, "Let this many more wait, in their order.", group="Limits", least=0
    )
    limit_connections: int | None = option(
        None, "Close further connections at once.", group="Limits", least=1
    )
    limit_connections_per_address: int | None = option(
        None,
        "Close further connections of one client; not those of trusted peers.",
        group="Limits",
        least=1,
    )
    limit_max_requests: int | None = option(
        None, "Stop after this many requests.", group="Limits", least=1
    )
    limit_max_requests_jitter: int = option(
        0,
        "Add up to this many requests, at random, to --limit-max-requests.",
        group="Limits",
        least=0,
    )
    max_head_size: int = option(
        65536,
        "Bytes of a request head; more is answered 431.",
        group="Limits",
        also="h11-max-incomplete-event-size",
        least=1,
    )
    max_fields: int = option(
        100, "Header fields of a request; more are answered 431.", group="Limits", least=1
    )
    max_target_size: int = option(
        8192, "Bytes of a request target; more is answered 414.", group="Limits", least=1
    )
    max_body_size: int = option(
        1024**3, "Bytes of a request body; more is answered 413.", group="Limits", least=0
    )
    max_read_ahead: int = option(
        65536,
        "Bytes of a body held for an application that does not read.",
        group="Limits",
        least=1,
    )
    http2_max_concurrent_streams: int = option(
        128, "Requests at once on one HTTP/2 connection; more are refused.", group="Limits", least=1
    )

    def http1(self) -> Http1Limits:
        """Return how much peers may send."""
        return Http1Limits(
            max_head_size=self.max_head_size,
            max_fields=self.max_fields,
            max_target_size=min(self.max_target_size, self.max_head_size),
            max_body_size=self.max_body_size,
        )

    def http2_limits(self, websocket: bool) -> Http2Limits:
        """Return how much peers may send in HTTP/2; ``websocket``: it may carry sockets."""
        return Http2Limits(
            max_concurrent_streams=self.http2_max_concurrent_streams,
            max_head_size=self.max_head_size,
            max_fields=self.max_fields,
            max_target_size=min(self.max_target_size, self.max_head_size),
            max_body_size=self.max_body_size,
            websocket=websocket,
        )


@dataclasses.dataclass(kw_only=True)
class TimeoutSettings:
    """Seconds."""

    timeout_keep_alive: float = option(
        5.0, "Seconds an idle connection is kept.", group="Timeouts", least=0
    )
    timeout_tls_handshake: float = option(
        10.0, "Seconds for the whole TLS handshake.", group="Timeouts", least=0
    )
    timeout_first_byte: float = option(
        5.0, "Seconds from a connection to its first byte.", group="Timeouts", least=0
    )
    timeout_head: float = option(
        10.0,
        "Seconds from the first to the last byte of a request head.",
        group="Timeouts",
        least=0,
    )
    timeout_body: float = option(
        30.0, "Seconds without a byte of an announced body.", group="Timeouts", least=0
    )
    timeout_write: float = option(
        30.0, "Seconds without the client taking a byte of a response.", group="Timeouts", least=0
    )
    min_rate: float = option(
        500.0,
        "Bytes a second that bodies and responses must move; 0 is off.",
        group="Timeouts",
        least=0,
    )
    timeout_request: float = option(
        0.0,
        "Seconds for a whole request; then 504, or the end of the connection; 0 is off.",
        group="Timeouts",
        least=0,
    )
    timeout_header: str | None = option(
        None,
        "The request header in which clients may ask for fewer seconds, such as Request-Timeout.",
        group="Timeouts",
    )
    queue_timeout: float = option(
        5.0, "Seconds that a request waits because of --limit-queue.", group="Timeouts", least=0
    )
    timeout_graceful_shutdown: float = option(
        30.0, "Seconds that requests in progress have at shutdown.", group="Timeouts", least=0
    )
    timeout_lifespan_startup: float = option(
        60.0, "Seconds the application has to start.", group="Timeouts", least=0
    )
    timeout_lifespan_shutdown: float = option(
        30.0, "Seconds the application has to shut down.", group="Timeouts", least=0
    )

    def timeouts(self) -> Timeouts:
        """Return how long peers may take."""
        return Timeouts(
            tls_handshake=self.timeout_tls_handshake,
            first_byte=self.timeout_first_byte,
            head=self.timeout_head,
            body_stall=self.timeout_body,
            write_stall=self.timeout_write,
            keep_alive=self.timeout_keep_alive,
            min_rate=self.min_rate,
        )
