"""What ``tidegate top`` shows: a server's answers as lines of text.

No terminal here: a frame is a list of lines, cut to a width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Seen", "frame"]

_BAR = 40
_MAX_STALLS = 5


@dataclass
class Seen:
    """What the server said at one moment."""

    status: dict[str, Any]
    histogram: list[tuple[str, int]]
    stalls: list[dict[str, Any]]
    at: float = 0.0  # seconds, of any clock

    @property
    def requests(self) -> int:
        """How many requests there were so far."""
        return sum(worker["requests"] for worker in self.status["workers"])


def frame(seen: Seen, before: Seen | None, width: int, height: int) -> list[str]:
    """Return the lines of one picture; ``before`` is what rates are counted from."""
    top = [*_summary(seen, before), "", *_workers(seen.status["workers"])]
    below = [*_latency(seen.histogram), *_stalls(seen.stalls)]
    room = max(3, height - len(top) - len(below) - 2)
    lines = [*top, "", *_requests(seen.status["workers"], room), *below]
    return [_clean(line)[:width].rstrip() for line in lines]


def _summary(seen: Seen, before: Seen | None) -> Iterator[str]:
    status = seen.status
    workers = status["workers"]
    parts = [
        f"Tidegate {status['version']}",
        f"process {status['pid']}",
        _counted(len(workers), "worker"),
        _counted(int(status["restarts"]), "restart"),
        _counted(seen.requests, "request"),
    ]
    if before is not None and seen.at > before.at:
        # A worker that went has taken its count along.
        rate = max(0, seen.requests - before.requests) / (seen.at - before.at)
        parts.append(f"{rate:.0f} a second")
    yield " | ".join(parts)


def _workers(workers: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "WORKER       AGE      MEMORY    REQUESTS   IN FLIGHT  CONNECTIONS"
    for each in workers:
        connections = ", ".join(f"{name} {n}" for name, n in sorted(each["connections"].items()))
        yield (
            f"{each['pid']:<8} {_age(each['age']):>7} {each['rss'] / 1e6:>8.0f} MB "
            f"{each['requests']:>11} {each['in_flight']:>11}  {connections}"
            f"{'  draining' if each['draining'] else ''}"
        )


def _requests(workers: Sequence[dict[str, Any]], room: int) -> Iterator[str]:
    running = [
        (each["age"], worker["pid"], each) for worker in workers for each in worker["oldest"]
    ]
    running.sort(key=lambda item: -item[0])
    total = sum(worker["in_flight"] for worker in workers)
    yield f"REQUESTS IN FLIGHT: {total}"
    if running:
        yield "     AGE   WORKER CLIENT                REQUEST, AND WHERE IT WAITS"
    for age, pid, each in running[: room - 2]:
        request = f"{each['method']} {each['path']}"
        yield f"{_age(age):>8} {pid:>8} {each['client']:<21} {request}  {each['at']}"
    if total > room - 2 and running:
        yield f"         and {total - min(len(running), room - 2)} more"


def _latency(histogram: Sequence[tuple[str, int]]) -> Iterator[str]:
    counted = [index for index, (_, count) in enumerate(histogram) if count]
    if not counted:
        return
    yield ""
    yield "LATENCY, SECONDS"
    most = max(count for _, count in histogram)
    for bound, count in histogram[counted[0] : counted[-1] + 1]:
        bar = "#" * max(round(count / most * _BAR), 1 if count else 0)
        name = "longer" if bound == "+Inf" else f"<= {bound}"
        yield f"{name:>9} {bar:<{_BAR}} {count}"


def _stalls(stalls: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not stalls:
        return
    yield ""
    yield "WHAT BLOCKED THE EVENT LOOP"
    for each in stalls[:_MAX_STALLS]:
        call = each["call"] or each["code"]
        yield (
            f"{each['count']:>6} times {each['seconds']:>8.1f} s  "
            f"{each['file']}:{each['line']} in {each['function']}(): {call}"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes}m{int(seconds) % 60:02}s"
    hours = minutes // 60
    return f"{hours}h{minutes % 60:02}m" if hours < 48 else f"{hours // 24}d{hours % 24:02}h"


def _clean(line: str) -> str:
    """Paths are what clients wrote: nothing in them may speak to the terminal."""
    return "".join(one if one.isprintable() else "?" for one in line)
