"""The UDP socket of HTTP/3: whose is a datagram, and who may begin a connection?"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from tests.authority import authority

from tidegate.errors import ConfigError
from tidegate.net import datagrams
from tidegate.net.certificates import Certificates
from tidegate.net.datagrams import DatagramEndpoint, Identities
from tidegate.net.relay import Relay
from tidegate.testing.peer import turns

from .applications import hello
from .http3_peer import FakeSocket, Http3Client, Http3Peer, certificates

HERE = ("127.0.0.1", 50000)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("datagrams"), "other.test")


def sent(peer: Http3Peer) -> list[bytes]:
    opened = cast(FakeSocket, peer.endpoint._socket)
    found, opened.sent = [data for data, _ in opened.sent], []
    return found


def hello_of(client: Http3Client) -> bytes:
    """Return the first datagram of a client."""
    return client.quic.datagrams_to_send(client.now())[0][0]


def kind_of(data: bytes) -> QuicPacketType:
    return pull_quic_header(Buffer(data=data), 8).packet_type


# What is nobody's.


async def test_what_is_nobodys_is_dropped_and_nothing_is_kept(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    begin = hello_of(peer.client)
    for data in (
        b"",
        b"x",
        b"\x40" + os.urandom(100),
        b"\xff" * 3,
        os.urandom(1500),
        b"\xc0" + os.urandom(1500),
        begin[:1000],  # too small for a beginning
        b"\x00" * 1500,
    ):
        peer.endpoint.received(data, HERE)
    assert sent(peer) == []
    assert not peer.endpoint._routes
    assert not peer.worker.connections


async def test_another_version_is_told_which_there_are(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    begin = hello_of(peer.client)
    unknown = begin[:1] + b"\x1a\x2a\x3a\x4a" + begin[5:]
    peer.endpoint.received(unknown, HERE)
    (answer,) = sent(peer)
    assert kind_of(answer) == QuicPacketType.VERSION_NEGOTIATION
    # Never more than was asked.
    peer.endpoint.received(unknown[:1100], HERE)
    peer.endpoint.received(begin[:1] + bytes(4) + begin[5:], HERE)
    assert sent(peer) == []


# Who may begin.


async def test_many_beginnings_must_show_their_address(
    shown: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_RETRY_ABOVE", 3)
    peer = Http3Peer(hello, shown)
    for number in range(10):
        client = Http3Client(peer.endpoint, ("127.0.0.1", 1000 + number))
        peer.endpoint.received(hello_of(client), client.address)
    assert len(peer.worker.connections) == 3
    answers = sent(peer)
    assert [kind_of(data) for data in answers[-7:]] == [QuicPacketType.RETRY] * 7
    honest = Http3Client(peer.endpoint, ("127.0.0.1", 2000))
    assert (await honest.request()).status == 200
    assert len(peer.worker.connections) == 4
    await peer.settle()


async def test_a_token_is_good_for_its_address_only(
    shown: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_RETRY_ABOVE", 0)
    peer = Http3Peer(hello, shown)
    client = peer.client
    peer.endpoint.received(hello_of(client), client.address)
    (retry,) = sent(peer)
    client.quic.receive_datagram(retry, ("127.0.0.1", 443), client.now())
    begin = hello_of(client)
    peer.endpoint.received(begin, ("127.0.0.9", 50000))
    assert not peer.worker.connections
    peer.endpoint.received(begin, client.address)
    assert len(peer.worker.connections) == 1
    await peer.settle()


async def test_beginnings_have_a_limit_even_so(
    shown: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_MOST_BEGINNING", 2)
    peer = Http3Peer(hello, shown)
    for number in range(5):
        client = Http3Client(peer.endpoint, ("127.0.0.1", 1000 + number))
        peer.endpoint.received(hello_of(client), client.address)
    assert len(peer.worker.connections) == 2
    await peer.settle()


async def test_connections_have_a_limit(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    peer.worker.limit_connections(2, None)
    for number in range(5):
        client = Http3Client(peer.endpoint, ("127.0.0.1", 1000 + number))
        await client.pump()
    assert len(peer.worker.connections) == 2
    assert len(peer.endpoint._ids) == 2
    assert peer.service.refusals == {"connections": 3}
    await peer.settle()


async def test_nobody_is_counted_for_an_address_that_is_not_his(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    peer.worker.limit_connections(None, 1)
    for _ in range(5):
        peer.endpoint.received(hello_of(Http3Client(peer.endpoint)), HERE)
    assert not peer.worker.connections
    sent(peer)
    assert (await Http3Client(peer.endpoint).request()).status == 200
    await peer.settle()


async def test_who_breaks_the_library_is_dropped_alone(
    shown: Certificates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Http3Peer(hello, shown)
    await peer.client.request()
    other = Http3Client(peer.endpoint, ("127.0.0.1", 1001))
    await other.request()
    broken = next(each for each in peer.endpoint._ids if each.client == HERE)

    def fail(data: bytes, address: object, now: float) -> None:
        raise AssertionError("as asked")

    monkeypatch.setattr(broken.quic, "receive_datagram", fail)
    await peer.client.request()
    assert "the connection is dropped" in caplog.text
    assert (await other.request()).status == 200
    assert len(peer.endpoint._ids) == len(peer.worker.connections) == 1
    await peer.settle()


async def test_nobody_begins_once_we_stop(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    peer.endpoint.accepts = False
    peer.endpoint.received(hello_of(peer.client), HERE)
    assert not peer.worker.connections
    assert sent(peer) == []


async def test_a_client_may_move(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    await peer.client.request()
    peer.client.address = ("127.0.0.1", 50001)
    assert (await peer.client.request()).status == 200
    await peer.settle()


# Certificates.


async def test_each_name_has_its_certificate(shown: Certificates) -> None:
    peer = Http3Peer(hello, shown)
    seen = set()
    for number, name in enumerate(("localhost", "other.test", "OTHER.test.", "unknown.test")):
        client = Http3Client(peer.endpoint, ("127.0.0.1", 1000 + number), name)
        await client.request()
        certificate = client.quic.tls._peer_certificate
        assert certificate is not None
        seen.add((name.lower().strip("."), certificate.serial_number))
    assert len(seen) == 3
    assert len({serial for _, serial in seen}) == 2
    await peer.settle()


async def test_new_certificates_are_shown_to_new_clients(tmp_path: Path) -> None:
    shown = certificates(tmp_path)
    peer = Http3Peer(hello, shown)
    await peer.client.request()
    authority().issue(tmp_path)
    assert shown.reload()
    other = Http3Client(peer.endpoint, ("127.0.0.1", 1001))
    await other.request()
    before, after = peer.client.quic.tls._peer_certificate, other.quic.tls._peer_certificate
    assert before is not None
    assert after is not None
    assert before.serial_number != after.serial_number
    assert (await peer.client.request()).status == 200
    await peer.settle()


async def test_the_old_certificates_stay_if_the_new_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown = certificates(tmp_path)
    peer = Http3Peer(hello, shown)
    assert shown.reload()
    # Between the two readings the files have changed again.
    (tmp_path / "server.key").write_text("nonsense")
    assert (await peer.client.request()).status == 200
    assert "HTTP/3 goes on with the old certificates" in caplog.text
    await peer.settle()


def test_a_key_with_a_password_is_read(tmp_path: Path) -> None:
    shown = certificates(tmp_path)
    authority().issue(tmp_path, password="open sesame")
    with pytest.raises(ConfigError, match=r"server\.pem"):
        Identities(shown)
    shown.settings = type(shown.settings)(shown.settings.pairs, password="open sesame")
    assert Identities(shown).find("")[0] is shown.context


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    shown = certificates(tmp_path)
    key = (tmp_path / "server.key").read_bytes()
    authority().issue(tmp_path)
    (tmp_path / "server.key").write_bytes(key)
    with pytest.raises(ConfigError, match="not that of the certificate"):
        Identities(shown)


# Several processes.


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "relays"
    made.mkdir()
    yield made
    assert list(made.iterdir()) == []


class Two:
    """Two endpoints of one place, as in two processes."""

    def __init__(self, peer: Http3Peer, folder: Path) -> None:
        opened = cast(socket.socket, FakeSocket())
        self.relays = [Relay(folder), Relay(folder)]
        self.endpoints = [
            DatagramEndpoint(peer.worker, opened, peer.identities, relay) for relay in self.relays
        ]
        loop = asyncio.get_running_loop()
        for relay, endpoint in zip(self.relays, self.endpoints, strict=True):
            relay.start(loop, lambda place, data, address, to=endpoint: to.passed_on(data, address))

    def close(self) -> None:
        for relay in self.relays:
            relay.close()


class Moving(Http3Client):
    """Sends to ``endpoint``, which is not always the same."""

    async def pump(self) -> None:
        for _ in range(3):
            await super().pump()
            # The other endpoint is told by way of a socket.
            await turns(30)


async def test_a_datagram_is_passed_on_to_whom_it_is_for(shown: Certificates, folder: Path) -> None:
    peer = Http3Peer(hello, shown)
    two = Two(peer, folder)
    client = Moving(two.endpoints[0])
    assert (await client.request()).status == 200
    client.endpoint = two.endpoints[1]
    client.address = ("127.0.0.1", 50001)
    assert (await client.request()).status == 200
    assert (len(two.endpoints[0]._ids), len(two.endpoints[1]._ids)) == (1, 0)
    await peer.settle()
    two.close()


async def test_who_leaves_passes_new_clients_on(shown: Certificates, folder: Path) -> None:
    peer = Http3Peer(hello, shown)
    two = Two(peer, folder)
    two.endpoints[0].accepts = False
    two.relays[0].leave_to_others()
    client = Moving(two.endpoints[0])
    assert (await client.request()).status == 200
    assert (len(two.endpoints[0]._ids), len(two.endpoints[1]._ids)) == (0, 1)
    await peer.settle()
    two.close()


async def test_who_was_killed_is_passed_over(shown: Certificates, folder: Path) -> None:
    peer = Http3Peer(hello, shown)
    two = Two(peer, folder)
    killed = [Relay(folder) for _ in range(20)]
    for relay in killed:
        relay._socket.close()
    two.endpoints[0].accepts = False
    two.relays[0].leave_to_others()
    client = Moving(two.endpoints[0])
    assert (await client.request()).status == 200
    await peer.settle()
    two.close()
    for path in folder.iterdir():
        path.unlink()


async def test_what_is_for_nobody_is_not_passed_on(shown: Certificates, folder: Path) -> None:
    peer = Http3Peer(hello, shown)
    two = Two(peer, folder)
    one = two.endpoints[0]
    for data in (b"\x40" + os.urandom(100), b"\x40" + two.relays[0].number + os.urandom(100)):
        one.received(data, HERE)
    two.relays[1].close()
    two.relays[0].leave_to_others()
    one.accepts = False
    one.received(hello_of(peer.client), HERE)
    two.relays[0].close()
    assert not peer.worker.connections


def test_a_relay_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Relay(tmp_path / "relays")
