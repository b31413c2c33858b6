"""Numbers change at the end of a request, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.ended import Both
from tidegate.server.metrics.counts import BUCKETS, Counts, Histogram, Lag, labelled
from tidegate.testing.peer import Peer
from tidegate.testing.websocket import WebSocketPeer, closing, handshake

REQUESTS = "tidegate_requests_total"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    status = int(scope["path"][1:])
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"hello", "more_body": True})
    await send({"type": "http.response.body", "body": b"!"})


async def test_requests_are_counted_by_method_and_class_of_status() -> None:
    counts = Counts()
    peer = Peer(application, access_log=counts)
    for status in (200, 201, 404):
        await peer.get(f"/{status}")
    await peer.get("/200", method="HEAD")
    await peer.get("/200", method="MADE-UP")
    found = counts.samples()
    assert {key: value for key, value in found.items() if key.startswith(REQUESTS)} == {
        labelled(REQUESTS, method="GET", status="2xx"): 2,
        labelled(REQUESTS, method="GET", status="4xx"): 1,
        labelled(REQUESTS, method="HEAD", status="2xx"): 1,
        labelled(REQUESTS, method="other", status="2xx"): 1,
    }
    assert found["tidegate_response_bytes_total"] == 4 * 6
    assert found["tidegate_request_duration_seconds_count"] == 5
    assert found["tidegate_first_byte_seconds_count"] == 5
    # Streams: the first byte came before the end.
    assert counts.first_bytes.total < counts.durations.total


async def test_sockets_are_counted_when_they_open_and_by_how_they_close() -> None:
    counts = Counts()
    peer = WebSocketPeer(application, access_log=counts)
    await peer.send(handshake("/socket"))
    assert counts.samples()["tidegate_websockets_total"] == 1
    await peer.send(closing(1001))
    await peer.half_close()
    assert counts.samples()[labelled("tidegate_websocket_closes_total", code=1001)] == 1


async def test_two_journals_are_told_the_same() -> None:
    first, second = Counts(), Counts()
    peer = WebSocketPeer(application, access_log=Both(first, second))
    await peer.send(handshake("/socket"))
    peer.connect()
    await peer.get("/200")
    for counts in (first, second):
        found = counts.samples()
        assert found["tidegate_websockets_total"] == 1
        assert found["tidegate_request_duration_seconds_count"] == 1


def test_each_bucket_holds_the_smaller_ones() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.001, 0.3, 100.0):
        histogram.add(seconds)
    found = histogram.samples("x")
    assert found[labelled("x_bucket", le=0.001)] == 2
    assert found[labelled("x_bucket", le=0.25)] == 2
    assert found[labelled("x_bucket", le=0.5)] == 3
    assert found[labelled("x_bucket", le=BUCKETS[-1])] == 3
    assert found[labelled("x_bucket", le="+Inf")] == found["x_count"] == 4
    assert found["x_sum"] == pytest.approx(100.3015)


def test_labels_cannot_break_out() -> None:
    assert labelled("a", b='x"\n\\', c=1) == 'a{b="x\\"\\n\\\\",c="1"}'


class Loop:
    """A loop whose time the test sets."""

    def __init__(self) -> None:
        self.now = 10.0
        self.due: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []
        self.cancelled = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *args: Any) -> Any:
        self.due.append((when, callback, args))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def test_lag_is_how_late_the_loop_comes() -> None:
    loop = Loop()
    lag: Any = Lag(loop)  # type: ignore[arg-type]
    lag.start()
    for late in (0.0, 2.0):
        when, callback, args = loop.due.pop()
        loop.now = when + late
        callback(*args)
    assert sum(lag.histogram.counts) == 2
    assert lag.histogram.total == pytest.approx(2.0)
    lag.stop()
    lag.stop()
    assert loop.cancelled == 1


async def test_a_loop_that_is_free_is_looked_at_again_and_again() -> None:
    lag = Lag(asyncio.get_running_loop())
    lag.start()
    async with asyncio.timeout(20):
        while sum(lag.histogram.counts) < 2:
            await asyncio.sleep(0)
    lag.stop()
