"""WebSockets of each framework, as its documentation writes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from launcher import PeakMemory, eventually
from sites import Site
from websockets.asyncio import client as asynchronous
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

FRAMEWORKS = ("channels", "fastapi", "litestar", "quart", "starlette")
TIMEOUT = 10.0
MEGABYTE = 1024 * 1024

# What a handler that raises makes of a socket that is open, and of one that is not yet.
FAILURES = {
    "channels": (1011, 500),
    "fastapi": (1011, 500),
    # These two catch it, and close with a code of their own choice.
    "litestar": (4500, 403),
    "quart": (1000, 500),
    "starlette": (1011, 500),
}
# They answer a handshake with 403 or 101, and nothing else.
WITHOUT_DENIALS = ("channels", "litestar")
# Outside its debug mode it logs nothing when a handler raises, and lets nothing escape.
KEEPS_QUIET = ("litestar",)
# It takes the news that the client has left for a bug of the handler that was sending.
PRINTS_WHAT_SEND_RAISES = ("quart",)
# Tells its application that the client left by cancelling it, without the code.
KEEPS_THE_CODE = ("quart",)


def every_framework(*but: str) -> pytest.MarkDecorator:
    """Run a test with each framework's ``site`` of sockets."""
    able = [name for name in FRAMEWORKS if name not in but]
    sites = [f"{name}_sockets" for name in able]
    return pytest.mark.parametrize("site", sites, ids=able, indirect=True)


def framework(site: Site) -> str:
    return site.framework.removesuffix("_sockets")


def address(site: Site, path: str) -> str:
    return site.server.base_url.replace("http", "ws", 1) + path


@contextmanager
def opened(site: Site, path: str, **options: Any) -> Iterator[ClientConnection]:
    with connect(address(site, path), proxy=None, open_timeout=TIMEOUT, **options) as socket:
        yield socket


@asynccontextmanager
async def opened_in_loop(
    site: Site, path: str, **options: Any
) -> AsyncIterator[asynchronous.ClientConnection]:
    async with (
        asyncio.timeout(20),
        asynchronous.connect(address(site, path), proxy=None, **options) as socket,
    ):
        yield socket


def closed(socket: ClientConnection) -> Close:
    """Return how the server closes, which it must do next."""
    with pytest.raises(ConnectionClosed) as error:
        socket.recv(TIMEOUT)
    assert error.value.rcvd is not None, "the connection was cut"
    return error.value.rcvd


@every_framework()
@pytest.mark.parametrize(
    "message",
    ["hello", "größer 潮門 🌊", "long " * 50_000, b"\x00\xff", bytes(3 * MEGABYTE)],
    ids=["short", "unicode", "long", "bytes", "large"],
)
def test_messages_are_echoed(site: Site, message: str | bytes) -> None:
    with opened(site, "/echo", max_size=None) as socket:
        for _ in range(3):
            socket.send(message)
            assert socket.recv(TIMEOUT) == message


@every_framework()
def test_json_is_exchanged(site: Site) -> None:
    value = {"text": "über 潮門 \u0000", "numbers": [1, 2.5, -3, 10**15], "none": None}
    with opened(site, "/json") as socket:
        for _ in range(2):
            socket.send(json.dumps(value))
            assert json.loads(socket.recv(TIMEOUT)) == {"received": value}


@every_framework()
@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["chat.v1", "chat.v2"], "chat.v2"), (["chat.v1"], None), (None, None)],
)
def test_a_subprotocol_is_chosen(site: Site, offered: Any, chosen: str | None) -> None:
    with opened(site, "/chat", subprotocols=offered) as socket:
        assert socket.subprotocol == chosen
        assert socket.recv(TIMEOUT) == "welcome"
        assert closed(socket).code == 1000


@every_framework()
@pytest.mark.parametrize("path", ["/refused", "/there/is/nothing/here"])
def test_a_socket_refused_before_it_is_accepted_is_a_403(site: Site, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(site, path):
        pass
    # Quart answers an unknown path as it would in HTTP; Channels raises.
    unknown = {"quart": 404, "channels": 500}.get(framework(site), 403)
    expected = 403 if path == "/refused" else unknown
    assert refused.value.response.status_code == expected
    if expected == 500:
        site.server.wait_for_log("No route found for path")
        site.forgive()


@every_framework(*WITHOUT_DENIALS)
def test_a_denial_is_seen_by_the_client(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(site, "/denied"):
        pass
    response = refused.value.response
    assert (response.status_code, response.body) == (401, b"who are you?")
    assert response.headers["www-authenticate"] == "Basic"


@every_framework()
@pytest.mark.parametrize("code", [1000, 1013, 4999])
def test_the_application_closes_with_a_code_and_a_reason(site: Site, code: int) -> None:
    with opened(site, f"/farewell/{code}") as socket:
        assert closed(socket) == Close(code, "bis später")


@every_framework()
@pytest.mark.parametrize("code", [1000, 1001, 4999])
def test_the_application_notices_that_its_client_left(site: Site, key: str, code: int) -> None:
    with opened(site, f"/listen/{key}") as socket:
        socket.send("here")
        # Quart would drop what its handler has not received yet.
        eventually(lambda: site.notes(key) == ["here"])
        socket.close(code, "bis später")
    left = "left" if framework(site) in KEEPS_THE_CODE else f"left with {code}"
    eventually(lambda: site.notes(key) == ["here", left], what=left)


@every_framework()
def test_the_application_notices_that_its_client_vanished(site: Site, key: str) -> None:
    async def vanish() -> None:
        async with opened_in_loop(site, f"/listen/{key}") as socket:
            await socket.send("here")
            eventually(lambda: site.notes(key) == ["here"])
            socket.transport.abort()

    asyncio.run(vanish())
    left = "left" if framework(site) in KEEPS_THE_CODE else "left with 1006"
    eventually(lambda: site.notes(key) == ["here", left], what=left)


@every_framework()
def test_a_stream_waits_for_its_client_and_ends_with_it(site: Site, key: str) -> None:
    memory = PeakMemory(site.server.pid)

    async def read_one_and_vanish() -> None:
        async with opened_in_loop(site, f"/flood/{key}", compression=None, max_queue=1) as socket:
            assert len(await socket.recv()) == 65536
            # From here on nobody reads.
            looks: list[int] = []
            eventually(
                lambda: looks.append(site.sent(key)) or looks[-5:] == [looks[-1]] * 5,
                what="the application waits for its client",
            )
            assert site.notes(key) == []
            socket.transport.abort()

    asyncio.run(read_one_and_vanish())
    eventually(lambda: site.notes(key) == ["stream ended"], what="the application notices")
    assert memory.growth() < 32 * MEGABYTE
    if framework(site) in PRINTS_WHAT_SEND_RAISES:
        site.forgive()


@every_framework()
@pytest.mark.parametrize("when", ["open", "early"])
def test_an_exception_in_a_handler_ends_the_socket_and_no_more(site: Site, when: str) -> None:
    code, status = FAILURES[framework(site)]
    if when == "open":
        with opened(site, "/broken/open") as socket:
            assert closed(socket).code == code
    else:
        with pytest.raises(InvalidStatus) as refused, opened(site, "/broken/early"):
            pass
        assert refused.value.response.status_code == status
    if framework(site) not in KEEPS_QUIET:
        site.server.wait_for_log("RuntimeError: this handler is broken")
        site.forgive()
    with opened(site, "/echo") as socket:
        socket.send("still here")
        assert socket.recv(TIMEOUT) == "still here"


@every_framework()
@pytest.mark.parametrize(
    ("path", "name", "number", "q"),
    [
        ("/items/plain/1?q=1", "plain", 1, ["1"]),
        ("/items/caf%C3%A9%20au%20lait/20?q=%E6%BD%AE+%E9%96%80&q=", "café au lait", 20, None),
    ],
)
def test_paths_and_queries_are_decoded(
    site: Site, path: str, name: str, number: int, q: list[str] | None
) -> None:
    with opened(site, path) as socket:
        found = json.loads(socket.recv(TIMEOUT))
    assert found == {"name": name, "number": number, "q": q or ["潮 門", ""]}


@every_framework()
def test_fifty_sockets_are_open_at_once(site: Site, key: str) -> None:
    async def meet() -> str | bytes:
        async with opened_in_loop(site, f"/meet/{key}/50") as socket:
            return await socket.recv()

    async def all_meet() -> list[str | bytes]:
        return await asyncio.gather(*(meet() for _ in range(50)))

    # None of them is answered before all have arrived.
    answers = [json.loads(answer) for answer in asyncio.run(all_meet())]
    assert answers == [{"met": 50}] * 50


@every_framework()
def test_what_one_says_in_a_room_all_hear(site: Site, key: str) -> None:
    with ExitStack() as stack:
        members = [stack.enter_context(opened(site, f"/room/{key}")) for _ in range(3)]
        # Each has joined once it hears itself; then it may also hear those who come later.
        for number, member in enumerate(members):
            member.send(f"hello from {number}")
            hear(member, f"hello from {number}")
        for number, speaker in enumerate(members):
            speaker.send(f"message from {number}")
            for member in members:
                hear(member, f"message from {number}")


def hear(member: ClientConnection, text: str) -> None:
    """Return when the member has heard it, whatever came before."""
    while member.recv(TIMEOUT) != text:
        pass
