"""What clients that people use send comes back, and how their sockets open and close."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from launcher import Launcher, Server, eventually
from websocket_peers import PEERS, Closed, Connect, Message, Refused

APPLICATIONS = Path(__file__).parent / "applications"
SIZE = 16 * 1024 * 1024
# Different everywhere: a piece that is lost or moved is noticed.
LARGE = b"".join([b"%15d\n" % number for number in range(SIZE // 16)])

every_client = pytest.mark.parametrize("connect", PEERS.values(), ids=PEERS)
with_fragments = pytest.mark.parametrize(
    "connect", [PEERS["websockets"], PEERS["websockets-blocking"]], ids=lambda peer: peer.__name__
)
compressed_or_not = pytest.mark.parametrize("compressed", [True, False], ids=["deflate", "plain"])


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Launcher(APPLICATIONS).opened() as launch:
        yield launch("websocket_plain:app")


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.check()


def notes(server: Server, key: str) -> list[str]:
    return httpx.get(f"{server.base_url}/notes/{key}", trust_env=False).json()


@every_client
@compressed_or_not
@pytest.mark.parametrize(
    "message",
    ["", "größer 潮門 🌊 \0", "short", "long " * 20_000, b"", bytes(range(256)), bytes(100_000)],
    ids=["nothing", "unicode", "short", "long", "no-bytes", "bytes", "zeros"],
)
def test_a_message_comes_back(
    server: Server, connect: Connect, compressed: bool, message: Message
) -> None:
    with connect(server, "/echo", compressed=compressed) as peer:
        assert ("sec-websocket-extensions" in peer.headers) == compressed
        for _ in range(3):  # of which the second and third have something to refer back to
            peer.send(message)
            assert peer.receive() == message


@every_client
@compressed_or_not
def test_the_largest_message_comes_back(server: Server, connect: Connect, compressed: bool) -> None:
    with connect(server, "/echo", compressed=compressed) as peer:
        peer.send(LARGE)
        assert peer.receive() == LARGE


@every_client
@compressed_or_not
def test_a_larger_message_closes_the_socket(
    launch: Launcher, connect: Connect, compressed: bool
) -> None:
    server = launch("websocket_plain:app", "--ws-max-size", "100000")
    with connect(server, "/echo", compressed=compressed) as peer:
        with suppress(Closed):  # it may be told while it sends
            peer.send(b"x" * 100_001)
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert (closed.value.code, closed.value.reason) == (1009, "message too big")


@every_client
@compressed_or_not
def test_many_messages_come_back_in_order(
    server: Server, connect: Connect, compressed: bool
) -> None:
    with connect(server, "/echo", compressed=compressed) as peer:
        sent = [f"message {number} ".encode() * (number % 20 * 40) for number in range(300)]
        for message in sent:
            peer.send(message)
        assert [peer.receive() for _ in sent] == sent


@with_fragments
@compressed_or_not
@pytest.mark.parametrize(
    "pieces",
    [
        ["one ", "", "piece after ", "the other"],
        [bytes([number]) * 70_000 for number in range(200)],
        ["half a character: 🌊"] * 1000,
    ],
    ids=["short", "large", "many"],
)
def test_a_message_in_fragments_comes_back_whole(
    server: Server, connect: Connect, compressed: bool, pieces: list[Message]
) -> None:
    whole = pieces[0][:0].join(pieces)  # type: ignore[arg-type]
    with connect(server, "/echo", compressed=compressed) as peer:
        peer.send_pieces(pieces)
        assert peer.receive() == whole


@every_client
def test_a_ping_is_answered(server: Server, connect: Connect) -> None:
    with connect(server, "/echo") as peer:
        peer.ping()


@every_client
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "auf Wiedersehen, größer"), (4999, "x" * 123)]
)
def test_the_application_hears_how_the_client_closed(
    server: Server, connect: Connect, key: str, code: int, reason: str
) -> None:
    with connect(server, f"/listen/{key}") as peer:
        peer.send("hello")
        peer.send(b"bytes")
        peer.close(code, reason)
    expected = ["here", "hello", "5 bytes", f"{code} {reason}".strip()]
    eventually(lambda: notes(server, key) == expected, what=f"the notes are {expected}")


@every_client
@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/close", 1000, ""),
        ("/close/1000/", 1000, ""),
        ("/close/1013/sp%C3%A4ter", 1013, "später"),
        ("/close/4000/" + "r" * 123, 4000, "r" * 123),
        ("/leave", 1000, ""),
    ],
)
def test_the_client_hears_how_the_application_closed(
    server: Server, connect: Connect, path: str, code: int, reason: str
) -> None:
    with connect(server, path) as peer:
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert (closed.value.code, closed.value.reason) == (code, reason)


@every_client
def test_an_application_that_fails_closes_with_1011(server: Server, connect: Connect) -> None:
    with connect(server, "/fail") as peer, pytest.raises(Closed) as closed:
        peer.receive()
    assert closed.value.code == 1011
    server.wait_for_log("RuntimeError: this application is broken")
    server.forgive()


@every_client
def test_an_application_that_fails_before_it_accepts_answers_500(
    server: Server, connect: Connect
) -> None:
    with pytest.raises(Refused) as refused:
        connect(server, "/fail/early")
    assert refused.value.status == 500
    server.wait_for_log("RuntimeError: this application is broken")
    server.forgive()


@every_client
@pytest.mark.parametrize(
    ("choice", "chosen"), [("", None), ("?choose=chat.v1", "chat.v1"), ("?choose=soap", "soap")]
)
def test_the_application_chooses_a_subprotocol(
    server: Server, connect: Connect, choice: str, chosen: str | None
) -> None:
    with connect(server, f"/echo{choice}", ["soap", "chat.v1"]) as peer:
        assert peer.subprotocol == chosen
        peer.send("hello")
        assert peer.receive() == "hello"


@every_client
def test_a_subprotocol_that_was_not_offered_is_not_chosen(server: Server, connect: Connect) -> None:
    with pytest.raises(Refused) as refused:
        connect(server, "/echo?choose=chat.v3", ["chat.v1", "chat.v2"])
    assert refused.value.status == 500
    server.wait_for_log("AppError: subprotocol 'chat.v3' is not among the client's")
    server.forgive()


@every_client
def test_the_application_sees_the_handshake_and_adds_to_it(
    server: Server, connect: Connect
) -> None:
    with connect(server, "/scope/caf%C3%A9?a=b%20c", ["one", "two"]) as peer:
        scope = json.loads(peer.receive())
        assert peer.headers["x-greeting"] == "hello"
        assert peer.headers["set-cookie"] == "a=1"
    assert scope["headers"]["upgrade"].lower() == "websocket"
    assert scope["server"] == ["127.0.0.1", server.port]
    expected = {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/scope/café",
        "raw_path": "/scope/caf%C3%A9",
        "query": "a=b%20c",
        "subprotocols": ["one", "two"],
    }
    assert {name: scope[name] for name in expected} == expected


@every_client
def test_a_refusal_is_a_403(server: Server, connect: Connect, key: str) -> None:
    with pytest.raises(Refused) as refused:
        connect(server, f"/refuse/{key}")
    assert refused.value.status == 403
    eventually(lambda: notes(server, key) == ["websocket.disconnect"])


@every_client
def test_a_refusal_may_be_a_response_of_the_application(
    server: Server, connect: Connect, key: str
) -> None:
    with pytest.raises(Refused) as refused:
        connect(server, f"/deny/{key}")
    assert refused.value.status == 401
    assert refused.value.headers["www-authenticate"] == "Basic"
    assert refused.value.body in (b"who are you\n", None)
    # aiohttp raises without reading the body, and may be gone before all of it is sent.
    assert (refused.value.body is None) == (connect is PEERS["aiohttp"])
    early = [] if connect is not PEERS["aiohttp"] else ["left", "websocket.disconnect"]
    eventually(lambda: notes(server, key) in (["websocket.disconnect"], early))
