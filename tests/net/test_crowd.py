"""How many connections there may be, in all and from one address."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tidegate.exchange.forwarded import Proxies
from tidegate.exchange.service import Policy
from tidegate.net.crowd import Crowd
from tidegate.testing.peer import Peer, turns
from tidegate.testing.transport import FakeTransport
from tidegate.testing.websocket import WebSocketPeer

from .applications import hello


class At(FakeTransport):
    """The transport of a client with an address."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return (self.host, 5)
        return super().get_extra_info(name, default)


def limited(total: int | None = None, per_address: int | None = None) -> Peer:
    """Return a peer whose own first connection is gone."""
    peer = Peer(hello, Policy(proxies=Proxies(["192.0.2.9"], [])))
    peer.transport.lose(None)
    peer.worker.limit_connections(total, per_address)
    return peer


def connect(peer: Peer, host: str = "192.0.2.1") -> bool:
    """Connect, and say whether that was accepted."""
    peer.connect(At(host))
    return not peer.transport.aborted


async def test_connections_above_the_limit_are_closed_at_once() -> None:
    peer = limited(total=2)
    assert [connect(peer, f"192.0.2.{n}") for n in range(3)] == [True, True, False]
    await turns()
    assert len(peer.worker.connections) == 2
    assert peer.service.refusals == {"connections": 1}


async def test_there_is_room_when_somebody_leaves() -> None:
    peer = limited(total=1, per_address=1)
    for _ in range(3):
        assert connect(peer)
        await peer.leave()


async def test_one_address_does_not_take_the_places_of_others() -> None:
    peer = limited(per_address=2)
    assert [connect(peer) for _ in range(3)] == [True, True, False]
    await turns()
    assert connect(peer, "192.0.2.2")
    assert (await peer.get()).status == 200


async def test_trusted_peers_are_many_clients() -> None:
    peer = limited(per_address=1)
    assert all(connect(peer, "192.0.2.9") for _ in range(5))


async def test_without_limits_nobody_counts() -> None:
    peer = limited()
    assert peer.worker.crowd is None
    assert type(peer.worker.connections) is set


async def test_a_socket_keeps_the_place_of_its_connection() -> None:
    peer = WebSocketPeer(hello)
    peer.transport.lose(None)
    peer.worker.limit_connections(1, 1)
    peer.connect()
    await peer.open()
    await peer.leave()
    crowd = peer.worker.crowd
    assert crowd is not None
    assert (len(crowd), crowd._counts) == (0, {})


class Member:
    def __init__(self, host: str | None) -> None:
        self.client = None if host is None else (host, 5)


@pytest.mark.parametrize("host", [None, "/run/socket", "192.0.2.1"])
def test_what_was_counted_is_forgotten(host: str | None) -> None:
    crowd = Crowd(None, 1, Proxies())
    members = [Member(host) for _ in range(3)]
    for member in members * 2:
        crowd.add(member)
    for member in members * 2:
        crowd.discard(member)
    assert (len(crowd), crowd._hosts, crowd._counts) == (0, {}, {})
    gc.collect()
