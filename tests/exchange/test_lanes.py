"""Which policy the path of a request comes under, and what paths share."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.asgi import Receive, Scope, Send
from tidegate.exchange.lanes import Lanes, beside
from tidegate.exchange.service import Policy, Service
from tidegate.testing.peer import Peer, turns

from .applications import body, hello, sends, start


def made() -> tuple[Service, dict[str, Service]]:
    rest = Service(hello, Policy(), asyncio.get_running_loop())
    prefixes = {path: beside(rest, Policy()) for path in ("/a", "/a/b/", "/")}
    rest.lanes = Lanes(rest, prefixes, {"/healthz": beside(rest, Policy(), hello)})
    return rest, prefixes


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        (b"/a", "/a"),
        (b"/a/", "/a"),
        (b"/a/c", "/a"),
        (b"/a/b", "/a/b/"),
        (b"/a/b/c", "/a/b/"),
        (b"/%61/b", "/a/b/"),
        (b"/ab", "/"),
        (b"/healthz/", "/"),
    ],
)
async def test_the_longest_prefix_wins(path: bytes, prefix: str) -> None:
    rest, prefixes = made()
    assert rest.lanes is not None
    assert rest.lanes.choose(path) is prefixes[prefix]


async def test_a_whole_path_comes_before_every_prefix() -> None:
    rest, prefixes = made()
    assert rest.lanes is not None
    assert rest.lanes.services == list(prefixes.values())
    assert rest.lanes.choose(b"/healthz") not in prefixes.values()


async def test_what_has_no_lane_is_served_as_ever() -> None:
    rest = Service(hello, Policy(), asyncio.get_running_loop())
    assert Lanes(rest, {"/a": beside(rest, Policy())}, {}).choose(b"/b") is rest


async def test_lanes_share_what_is_in_progress_and_the_common_limit() -> None:
    go = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send(start())
        await send(body())

    peer = Peer(application, Policy(limit_concurrency=1))
    service = peer.service
    own = beside(service, Policy(limit_concurrency=2, on_disconnect="ignore"))
    assert own.spec_version == "2.3"
    shared = beside(service, Policy())
    health = beside(service, Policy(), sends(start(), body(b"well")))
    service.lanes = Lanes(service, {"/own": own, "/shared": shared}, {"/healthz": health})
    answers = {}
    for path in ("/shared", "/rest", "/own/1", "/own/2", "/own/3", "/healthz"):
        await peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        answers[path] = peer.transport.output[9:12]
        peer.connect()
    wanted = {"/shared": b"", "/rest": b"503", "/own/1": b"", "/own/2": b"", "/own/3": b"503"}
    assert answers == {**wanted, "/healthz": b"200"}
    assert len(service.running) == 3
    assert service.refusals == {"503": 2}
    go.set()
    await turns()
    assert not service.running
