"""The figures as Prometheus reads them: the text format, version 0.0.4.

Its grammar is a line for each number.  The numbers of several workers are
plain dictionaries until then, so adding them up takes no registry, no shared
files and no library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .counts import Samples

__all__ = ["CONTENT_TYPE", "FAMILIES", "added", "exposition", "lasting"]

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

# Name -> type, and what it counts.
FAMILIES = {
    "tidegate_requests_total": ("counter", "Requests that are over, by method and status class."),
    "tidegate_requests_in_progress": ("gauge", "Requests that the application is busy with."),
    "tidegate_request_duration_seconds": ("histogram", "From the head to the end of the response."),
    "tidegate_first_byte_seconds": ("histogram", "From the head to the first byte of content."),
    "tidegate_response_bytes_total": ("counter", "Bytes of content sent."),
    "tidegate_connections": ("gauge", "Open connections, by protocol."),
    "tidegate_websockets_total": ("counter", "WebSockets accepted."),
    "tidegate_websocket_closes_total": ("counter", "WebSockets closed, by close code."),
    "tidegate_refusals_total": ("counter", "Peers refused, by status of the answer, or by reason."),
    "tidegate_requests_queued": ("gauge", "Requests that wait for --limit-concurrency."),
    "tidegate_queue_waits_total": ("counter", "Requests that had to wait for it."),
    "tidegate_queue_seconds_total": ("counter", "Seconds they waited, together."),
    "tidegate_loop_lag_seconds": ("histogram", "How late the event loop came to what was due."),
    "tidegate_loop_stalls_total": ("counter", "Times a line blocked the event loop."),
    "tidegate_loop_stalled_seconds_total": ("counter", "Seconds a line blocked the event loop."),
    "tidegate_pool_threads": ("gauge", "Threads of a pool."),
    "tidegate_pool_busy": ("gauge", "Threads of a pool that work."),
    "tidegate_pool_queued": ("gauge", "Calls that wait for a thread."),
    "tidegate_certificate_expiry_timestamp_seconds": ("gauge", "When a certificate ends."),
    "tidegate_process_start_time_seconds": ("gauge", "When a worker was started."),
    "tidegate_process_resident_memory_bytes": ("gauge", "Resident memory of a worker."),
    "tidegate_workers": ("gauge", "Workers that answered."),
    "tidegate_worker_restarts_total": ("counter", "Workers started in the place of others."),
}

# The same fact, known to every worker.
_SHARED = ("tidegate_certificate_expiry_timestamp_seconds",)

_PARTS = ("_bucket", "_sum", "_count")


def added(many: Iterable[Mapping[str, float]]) -> Samples:
    """Return the numbers of several workers as those of one server."""
    total: Samples = {}
    for samples in many:
        for key, value in samples.items():
            if key.startswith(_SHARED):
                # One that has not read the new files yet must not hide them, nor they the old.
                total[key] = min(value, total.get(key, math.inf))
            else:
                total[key] = total.get(key, 0) + value
    return total


def lasting(samples: Mapping[str, float]) -> Samples:
    """Return what stays true when the worker is gone: counts, not states."""
    return {key: value for key, value in samples.items() if FAMILIES[_family(key)][0] != "gauge"}


def exposition(samples: Mapping[str, float]) -> str:
    """Return the text."""
    lines: dict[str, list[str]] = {name: [] for name in FAMILIES}
    for key, value in samples.items():
        lines[_family(key)].append(f"{key} {value!r}")
    text = []
    for name, (kind, meaning) in FAMILIES.items():
        if lines[name]:
            text += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *lines[name]]
    return "\n".join(text) + "\n"


def _family(key: str) -> str:
    name = key.partition("{")[0]
    for part in _PARTS:
        if name not in FAMILIES:
            name = name.removesuffix(part)
    return name
