"""What happened so far in this process: plain numbers, changed at the end of a request."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left

from ...exchange.ended import EndedRequest, EndedSocket
from ...exchange.out import Address

__all__ = ["BUCKETS", "Counts", "Histogram", "Lag", "Samples", "labelled"]

Samples = dict[str, float]
"""Numbers by name and labels, as Prometheus writes them: ``name{label="value"}``."""

BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds in seconds; what takes longer is in one more."""

# Clients may make up methods; each would be a series for ever (RFC 9110 section 9, RFC 5789).
_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)

# Often enough to see what users feel, rarely enough to cost nothing.
_LAG_EVERY = 0.25


def labelled(name: str, **labels: object) -> str:
    """Return a name with its labels, as Prometheus writes it."""
    pairs = [f'{key}="{_quoted(str(value))}"' for key, value in labels.items()]
    return f"{name}{{{','.join(pairs)}}}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Histogram:
    """Seconds, counted by bucket."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def samples(self, name: str) -> Samples:
        """Return it as Prometheus has it: each bucket holds all smaller ones."""
        found: Samples = {}
        so_far = 0
        for bound, count in zip((*BUCKETS, "+Inf"), self.counts, strict=True):
            so_far += count
            found[labelled(name + "_bucket", le=bound)] = so_far
        found[name + "_sum"] = self.total
        found[name + "_count"] = so_far
        return found


class Counts:
    """A journal that counts."""

    def __init__(self) -> None:
        self.durations = Histogram()
        self.first_bytes = Histogram()
        self._requests: dict[tuple[str, int], int] = {}  # by method and first digit of the status
        self._size = 0
        self._accepted = 0
        self._closed: dict[int, int] = {}  # sockets by close code

    def write(self, request: EndedRequest, client: Address | None, status: int) -> None:
        """Count one request."""
        began = request.started_at
        seconds = time.perf_counter() - began
        self.durations.add(seconds)
        self.first_bytes.add(request.first_at - began if request.first_at else seconds)
        method = request.head.method
        key = method if method in _METHODS else "other", status // 100
        self._requests[key] = self._requests.get(key, 0) + 1
        self._size += request.size

    def write_socket(self, socket: EndedSocket, what: str, code: int | None) -> None:
        """Count a WebSocket."""
        if code is None:
            self._accepted += 1
        else:
            self._closed[code] = self._closed.get(code, 0) + 1

    def samples(self) -> Samples:
        """Return the numbers."""
        found: Samples = {
            "tidegate_response_bytes_total": self._size,
            "tidegate_websockets_total": self._accepted,
            **self.durations.samples("tidegate_request_duration_seconds"),
            **self.first_bytes.samples("tidegate_first_byte_seconds"),
        }
        for (method, digit), count in self._requests.items():
            found[labelled("tidegate_requests_total", method=method, status=f"{digit}xx")] = count
        for code, count in self._closed.items():
            found[labelled("tidegate_websocket_closes_total", code=code)] = count
        return found


class Lag:
    """How late the event loop comes to what is due: looked at four times a second."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.histogram = Histogram()
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None  # None unless running

    def start(self) -> None:
        """Begin to look."""
        due = self._loop.time() + _LAG_EVERY
        self._handle = self._loop.call_at(due, self._look, due)

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self, due: float) -> None:
        self.histogram.add(max(0.0, self._loop.time() - due))
        self.start()
