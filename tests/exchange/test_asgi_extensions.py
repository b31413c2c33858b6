"""Items 97 to 100 of the ASGI checklist: files, early hints and trailers."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import AppError, ClientDisconnected
from tidegate.exchange.access import AccessLog
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer, turns

from .applications import Recorded, body, sends, start

CONTENT = bytes(range(256)) * 4096  # 1 MiB: more than is read at once
SMALL = b"small enough to go out with the head"

HEAD = "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n"
GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


def pathsend(path: object) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": path if isinstance(path, int) else str(path)}


def zerocopysend(file: object, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": file, **more}


def trailers(*pairs: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.trailers", "headers": pairs, **more}


def hint(*links: object) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": links}


async def until(wanted: Callable[[], object]) -> None:
    """Let threads work and the loop turn until something is so."""
    async with asyncio.timeout(20):
        while not wanted():
            await asyncio.sleep(0)


async def answered(peer: Peer) -> bytes:
    """Wait until no call is in progress; return what was received."""
    await until(lambda: not peer.service.running)
    await turns()
    return peer.transport.output


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.txt"
    path.write_bytes(SMALL)
    return path


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# 97: zerocopysend.


async def test_97_parts_of_a_file_are_sent_where_the_events_say(large: Path) -> None:
    with large.open("rb") as file:
        application = Recorded(
            start(200, length(200_010)),
            zerocopysend(file, offset=5, count=100_000, more_body=True),
            body(b"0123456789", True),
            zerocopysend(file, offset=1, count=100_000),
        )
        peer = Peer(application)
        await peer.send(GET)
        await answered(peer)
    assert application.errors == []
    expected = CONTENT[5:100_005] + b"0123456789" + CONTENT[1:100_001]
    assert peer.response().body == expected


async def test_97_without_a_length_a_part_is_one_chunk(large: Path) -> None:
    with large.open("rb") as file:
        peer = Peer(
            sends(
                start(),
                body(b"first", True),
                zerocopysend(file, count=100_000, more_body=True),
                zerocopysend(file, offset=0),
            )
        )
        await peer.send(GET)
        raw = await answered(peer)
    response = peer.response()
    assert response.header("transfer-encoding") == "chunked"
    assert response.body == b"first" + CONTENT[:100_000] + CONTENT
    assert b"\r\n186a0\r\n" in raw
    assert raw.endswith(b"\r\n0\r\n\r\n")


async def test_97_without_an_offset_it_goes_on_from_where_the_file_stands(large: Path) -> None:
    with large.open("rb") as file:
        file.read(10)  # which reads ahead
        peer = Peer(
            sends(
                start(),
                zerocopysend(file, count=90_000, more_body=True),
                zerocopysend(file, count=5, more_body=True),
                zerocopysend(file),
            )
        )
        await peer.send(GET)
        await answered(peer)
        assert file.tell() == len(CONTENT)
    assert peer.response().body == CONTENT[10:]
    number = os.open(large, os.O_RDONLY)
    try:
        os.lseek(number, 100, os.SEEK_SET)
        peer = Peer(sends(start(), zerocopysend(number, count=7)))
        assert (await peer.get()).body == CONTENT[100:107]
        assert os.lseek(number, 0, os.SEEK_CUR) == 107
    finally:
        os.close(number)


async def test_97_a_whole_file_has_a_length_and_the_connection_lives_on(large: Path) -> None:
    with large.open("rb") as file:
        peer = Peer(sends(start(), zerocopysend(file, offset=0)))
        await peer.send(GET + GET)
        raw = await answered(peer)
        await until(lambda: peer.transport.output.count(b"HTTP/1.1 200") == 2)
        await answered(peer)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n")
    response = peer.response()
    assert response.body == CONTENT
    assert response.rest.endswith(CONTENT)
    assert not peer.transport.closed


@pytest.mark.parametrize(
    "more",
    [
        {"file": None},
        {"file": io.BytesIO(b"x")},
        {"file": "a.txt"},
        {"file": 10_000},
        {"offset": -1},
        {"offset": "1"},
        {"offset": True},
        {"count": -1},
        {"count": 1.5},
    ],
)
async def test_97_what_cannot_be_sent_raises_and_is_answered_500(
    small: Path, more: dict[str, Any]
) -> None:
    with small.open("rb") as file:
        application = Recorded(start(), {**zerocopysend(file), **more})
        response = await Peer(application).get()
    assert response.status == 500
    (error,) = application.errors
    assert isinstance(error, AppError)
    assert str(error).startswith("http.response.zerocopysend: ")


async def test_97_what_is_no_file_of_its_own_is_refused(tmp_path: Path) -> None:
    before = descriptors()
    reading, writing = os.pipe()
    try:
        application = Recorded(start(), zerocopysend(reading, offset=0))
        assert (await Peer(application).get()).status == 500
    finally:
        os.close(reading)
        os.close(writing)
    assert "not a regular file" in str(application.errors[0])
    assert descriptors() == before


async def test_97_a_closed_file_is_refused(small: Path) -> None:
    file = small.open("rb")
    file.close()
    application = Recorded(start(), zerocopysend(file))
    assert (await Peer(application).get()).status == 500
    assert isinstance(application.errors[0], AppError)


async def test_97_the_order_of_events_holds_for_files_too(small: Path, large: Path) -> None:
    with small.open("rb") as file, large.open("rb") as other:
        application = Recorded(
            zerocopysend(file),
            start(),
            zerocopysend(file, offset=0),
            zerocopysend(file),
            zerocopysend(other),
        )
        assert (await Peer(application).get()).body == SMALL
    messages = [str(error) for error in application.errors]
    assert messages == [
        "http.response.zerocopysend before http.response.start",
        *["http.response.zerocopysend after the response was complete"] * 2,
    ]


async def test_97_nothing_may_be_sent_while_a_file_is_on_its_way(large: Path) -> None:
    errors = []

    async def application(scope, receive, send):
        await send(start())
        with large.open("rb") as file:
            on_its_way = asyncio.ensure_future(send(zerocopysend(file, offset=0, more_body=True)))
            for event in (body(b"x"), zerocopysend(file, offset=0), trailers()):
                try:
                    send(event)
                except AppError as error:
                    errors.append(str(error))
            await on_its_way
        await send(body(b"end"))

    peer = Peer(application)
    await peer.send(GET)
    await answered(peer)
    assert peer.response().body == CONTENT + b"end"
    assert [error.partition(" ")[2] for error in errors] == [
        "while a file is on its way: await send()",
        "while a file is on its way: await send()",
        "before the last content, or not announced",
    ]


async def test_97_a_length_that_does_not_hold_raises(large: Path) -> None:
    before = descriptors()
    for size, words in ((100, "more than the 100 bytes"), (2_000_000, "1048576 bytes where")):
        application = Recorded(start(200, length(size)), pathsend(large))
        assert (await Peer(application).get()).status == 500
        assert words in str(application.errors[0])
    assert descriptors() == before


async def test_97_a_length_that_does_not_hold_any_more_ends_the_connection(large: Path) -> None:
    before = descriptors()
    with large.open("rb") as file:
        application = Recorded(
            start(200, length(100_000)),
            zerocopysend(file, count=90_000, more_body=True),
            zerocopysend(file, count=90_000),
        )
        peer = Peer(application)
        await peer.send(GET)
        await until(lambda: application.errors)
        await answered(peer)
    assert peer.transport.aborted
    assert descriptors() == before


# 98: pathsend.


async def test_98_a_file_is_sent_by_its_path(small: Path, large: Path) -> None:
    before = descriptors()
    for path in (small, large):
        size = path.stat().st_size
        peer = Peer(sends(start(200, (b"content-type", b"a/b"), length(size)), pathsend(path)))
        await peer.send(GET)
        await answered(peer)
        response = peer.response()
        assert response.headers == [("content-type", "a/b"), ("content-length", str(size))]
        assert response.body == path.read_bytes()
    assert descriptors() == before


async def test_98_a_small_file_and_its_head_are_one_write(small: Path) -> None:
    peer = Peer(sends(start(), pathsend(small)))
    assert (await peer.get()).body == SMALL
    assert peer.transport.writes == 1


async def test_98_an_empty_file_is_an_empty_response(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    response = await Peer(sends(start(), pathsend(path))).get()
    assert (response.status, response.body) == (200, b"")
    assert response.header("content-length") == "0"


@pytest.mark.parametrize("name", ["large", "small"])
@pytest.mark.parametrize("status", [200, 204, 304])
async def test_98_a_response_without_content_sends_no_file(
    tmp_path: Path, name: str, status: int, large: Path, small: Path
) -> None:
    before = descriptors()
    path = {"large": large, "small": small}[name]
    peer = Peer(sends(start(status), pathsend(path)))
    await peer.send(HEAD if status == 200 else GET)
    raw = await answered(peer)
    head, _, content = raw.partition(b"\r\n\r\n")
    assert content == b""
    assert (b"content-length: %d" % path.stat().st_size in head) == (status == 200)
    assert descriptors() == before
    # The connection goes on.
    assert not peer.transport.closed


@pytest.mark.parametrize("path", ["relative.txt", b"/bytes", 3, None, "/nowhere/at/all", "/\0"])
async def test_98_what_cannot_be_read_raises_before_the_head(path: Any) -> None:
    event = {"type": "http.response.pathsend", "path": path}
    application = Recorded(start(), event)
    response = await Peer(application).get()
    assert response.status == 500
    (error,) = application.errors
    assert isinstance(error, AppError)


async def test_98_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    before = descriptors()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        application = Recorded(start(), pathsend(path))
        assert (await Peer(application).get()).status == 500
        assert "regular file" in str(application.errors[0])
    assert descriptors() == before


async def test_98_a_path_is_all_of_the_content(small: Path) -> None:
    application = Recorded(start(), body(b"x", True), pathsend(small), body(b"y"))
    assert (await Peer(application).get()).body == b"xy"
    assert [str(error) for error in application.errors] == [
        "http.response.pathsend must be all of the content"
    ]


async def test_98_a_file_that_cannot_be_read_raises(small: Path, monkeypatch: Any) -> None:
    def broken(*arguments: object) -> bytes:
        raise OSError("input/output error")

    monkeypatch.setattr("os.pread", broken)
    application = Recorded(start(), pathsend(small))
    assert (await Peer(application).get()).status == 500
    assert isinstance(application.errors[0], AppError)


async def test_98_a_file_that_became_shorter_is_not_taken_for_whole(
    small: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("os.pread", lambda descriptor, size, offset: b"")
    application = Recorded(start(200, length(len(SMALL))), pathsend(small))
    assert (await Peer(application).get()).status == 500
    assert "content-length announced" in str(application.errors[0])


async def test_98_a_lost_client_ends_it(large: Path) -> None:
    before = descriptors()
    application = Recorded(start(), pathsend(large), body(b"more"))
    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    assert peer.service.running
    await peer.leave()
    await answered(peer)
    await until(lambda: descriptors() == before)
    assert [type(error) for error in application.errors] == [ClientDisconnected] * 2


async def test_98_a_client_that_left_before_gets_nothing(large: Path) -> None:
    go_on = asyncio.Event()
    errors = []

    async def application(scope, receive, send):
        await send(start())
        await go_on.wait()
        for event in (pathsend(large), hint(b"</a>"), trailers()):
            try:
                await send(event)
            except ClientDisconnected as error:
                errors.append(error)

    peer = Peer(application, Policy(on_disconnect="raise"))
    await peer.send(GET)
    await peer.leave()
    go_on.set()
    await answered(peer)
    assert len(errors) == 3


async def test_98_a_client_that_only_listens_gets_all_of_it(large: Path) -> None:
    policy = Policy(on_disconnect="cancel", disconnect_grace=0.0)
    peer = Peer(sends(start(), pathsend(large)), policy)
    peer.transport.stall()
    await peer.send(GET)
    await peer.half_close()
    await turns()
    peer.transport.flow()
    await answered(peer)
    assert peer.response().body == CONTENT


async def test_98_the_application_need_not_wait(large: Path) -> None:
    async def application(scope, receive, send):
        await send(start())
        waiting = asyncio.ensure_future(send(pathsend(large)))
        waiting.cancel()

    peer = Peer(application)
    await peer.send(GET)
    await until(lambda: peer.connection.exchange is None)
    assert peer.response().body == CONTENT


async def test_98_receive_says_nothing_while_a_file_is_on_its_way(large: Path) -> None:
    order = []

    async def application(scope, receive, send):
        async def listen() -> None:
            await receive()
            order.append((await receive())["type"])

        listening = asyncio.ensure_future(listen())
        await send(start())
        await send(pathsend(large))
        order.append("sent")
        await listening

    peer = Peer(application)
    await peer.send(GET)
    await answered(peer)
    assert sorted(order) == ["http.disconnect", "sent"]
    assert peer.response().body == CONTENT


async def test_98_the_log_counts_what_was_sent(large: Path, caplog: Any) -> None:
    caplog.set_level("INFO", "tidegate.access")
    peer = Peer(sends(start(), pathsend(large)), access_log=AccessLog())
    await peer.send(GET)
    await answered(peer)
    (record,) = caplog.records
    assert " 200 " in record.getMessage()
    assert "1048576B" in record.getMessage()
    caplog.clear()
    peer = Peer(sends(start(), pathsend(large)), access_log=AccessLog())
    peer.transport.stall()
    await peer.send(GET)
    await peer.leave()
    await answered(peer)
    (record,) = caplog.records
    assert "1048576B" not in record.getMessage()


# 99: early hints.


async def test_99_early_hints_come_before_the_response() -> None:
    one, two = b"</a.css>; rel=preload", b"</b.js>; rel=preload"
    peer = Peer(sends(hint(one, two), start(), hint(one), body(b"ok"), hint()))
    await peer.send(GET)
    raw = peer.transport.output
    first, second, last, _ = raw.split(b"\r\n\r\n")
    assert first == b"HTTP/1.1 103 Early Hints\r\nlink: %b\r\nlink: %b" % (one, two)
    assert second == b"HTTP/1.1 103 Early Hints\r\nlink: %b" % one
    assert last.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"ok")


async def test_99_a_hint_after_the_head_is_dropped_and_after_the_end_an_error() -> None:
    application = Recorded(start(), body(b"a", True), hint(b"</a>"), body(b"b"), hint(b"</a>"))
    peer = Peer(application)
    assert (await peer.get()).body == b"ab"
    assert b"103" not in peer.transport.output
    (error,) = application.errors
    assert "after the response was complete" in str(error)


async def test_99_an_old_client_gets_no_hint() -> None:
    application = Recorded(hint(b"</a>"), start(), body(b"ok"))
    peer = Peer(application)
    await peer.send("GET / HTTP/1.0\r\n\r\n")
    assert "http.response.early_hint" not in application.scopes[0]["extensions"]
    assert application.errors == []
    assert peer.transport.output.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("links", [["</a>"], [b"a\r\nb: c"], 3])
async def test_99_hints_that_cannot_be_sent_raise(links: Any) -> None:
    event = {"type": "http.response.early_hint", "links": links}
    application = Recorded(event, start(), body(b"ok"))
    peer = Peer(application)
    assert (await peer.get()).status == 200
    assert isinstance(application.errors[0], AppError)
    assert b"103" not in peer.transport.output


async def test_99_a_client_that_reads_no_hints_stops_them() -> None:
    sent = 0

    async def application(scope, receive, send):
        nonlocal sent
        while True:
            await send(hint(b"<" + b"x" * 1000 + b">"))
            sent += 1

    peer = Peer(application)
    peer.transport.stall()
    await peer.send(GET)
    assert 60 <= sent <= 70
    await peer.leave()
    await answered(peer)


# 100: trailers.

TE = "TE: trailers\r\n"


def asking(headers: str = TE) -> str:
    return f"GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\n"


async def test_100_trailers_come_after_the_content() -> None:
    application = Recorded(
        start(trailers=True),
        body(b"hello", True),
        body(b""),
        trailers((b"x-sum", b"5"), more_trailers=True),
        trailers((b"x-more", b"6")),
    )
    peer = Peer(application)
    await peer.send(asking())
    assert application.errors == []
    assert "http.response.trailers" in application.scopes[0]["extensions"]
    assert peer.transport.output.endswith(b"\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\nx-more: 6\r\n\r\n")
    assert peer.response().body == b"hello"
    # And the connection goes on.
    await peer.send(asking())
    assert peer.transport.output.count(b"x-more: 6") == 2


async def test_100_one_piece_of_content_and_trailers() -> None:
    peer = Peer(sends(start(trailers=True), body(b"hello"), trailers((b"x-sum", b"5"))))
    await peer.send(asking("Connection: TE\r\nTE: deflate, Trailers\r\n"))
    assert peer.transport.output.endswith(b"5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")


@pytest.mark.parametrize("headers", ["", "TE: deflate\r\n"])
async def test_100_a_client_that_does_not_ask_gets_none(headers: str) -> None:
    application = Recorded(start(trailers=True), body(b"hello"), trailers((b"x-sum", b"5")))
    peer = Peer(application)
    await peer.send(asking(headers))
    assert application.errors == []
    assert "http.response.trailers" not in application.scopes[0]["extensions"]
    assert b"x-sum" not in peer.transport.output
    assert peer.response().body == b"hello"


async def test_100_an_old_client_gets_none() -> None:
    application = Recorded(start(trailers=True), body(b"hello"), trailers((b"x-sum", b"5")))
    peer = Peer(application)
    await peer.send("GET / HTTP/1.0\r\nTE: trailers\r\n\r\n")
    assert application.errors == []
    assert peer.transport.output.endswith(b"\r\n\r\nhello")


async def test_100_behind_an_announced_length_there_is_no_place() -> None:
    peer = Peer(sends(start(200, length(5), trailers=True), body(b"hello"), trailers((b"a", b"b"))))
    await peer.send(asking())
    assert peer.transport.output.endswith(b"\r\n\r\nhello")
    await peer.send(asking())
    assert peer.transport.output.count(b"hello") == 2


async def test_100_a_response_without_content_has_no_trailers() -> None:
    peer = Peer(sends(start(trailers=True), body(b"hello"), trailers((b"a", b"b"))))
    await peer.send(f"HEAD / HTTP/1.1\r\nHost: test\r\n{TE}\r\n")
    assert peer.transport.output.endswith(b"\r\n\r\n")
    assert b"a: b" not in peer.transport.output
    await peer.send(f"HEAD / HTTP/1.1\r\nHost: test\r\n{TE}\r\n")
    assert peer.transport.output.count(b"HTTP/1.1 200") == 2


async def test_100_trailers_come_after_a_file_too(small: Path, large: Path) -> None:
    for path in (small, large):
        peer = Peer(sends(start(trailers=True), pathsend(path), trailers((b"x-sum", b"5"))))
        await peer.send(asking())
        await answered(peer)
        assert peer.response().body == path.read_bytes()
        assert peer.transport.output.endswith(b"\r\n0\r\nx-sum: 5\r\n\r\n")
        await peer.send(f"HEAD / HTTP/1.1\r\nHost: test\r\n{TE}\r\n")
        await answered(peer)
        assert peer.transport.output.count(b"HTTP/1.1 200") == 2


async def test_100_the_order_is_kept() -> None:
    application = Recorded(
        trailers(),
        start(trailers=True),
        trailers(),
        body(b"a"),
        body(b"b"),
        trailers((b"x", b"y")),
        trailers((b"x", b"y")),
    )
    peer = Peer(application)
    await peer.send(asking())
    assert [str(error) for error in application.errors] == [
        "http.response.trailers before the last content, or not announced",
        "http.response.trailers before the last content, or not announced",
        "http.response.body after the last content: http.response.trailers is due",
        "http.response.trailers before the last content, or not announced",
    ]
    assert peer.response().body == b"a"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"3")],
        [(b"transfer-encoding", b"chunked")],
        [(b"a", b"b\r\nc: d")],
        [("a", "b")],
        [(b"a",)],
        3,
    ],
)
async def test_100_what_cannot_be_a_trailer_raises(headers: Any) -> None:
    wrong = {"type": "http.response.trailers", "headers": headers}
    application = Recorded(start(trailers=True), body(b"a"), wrong, trailers())
    peer = Peer(application)
    await peer.send(asking())
    assert isinstance(application.errors[0], AppError)
    assert peer.transport.output.endswith(b"1\r\na\r\n0\r\n\r\n")


async def test_100_a_response_that_owes_its_trailers_is_not_whole() -> None:
    peer = Peer(sends(start(trailers=True), body(b"a")))
    await peer.send(asking())
    assert peer.transport.aborted
    assert not peer.transport.output.endswith(b"0\r\n\r\n")


async def test_100_content_before_trailers_keeps_to_its_length() -> None:
    application = Recorded(start(200, length(5), trailers=True), body(b"abc"))
    peer = Peer(application)
    await peer.send(asking())
    assert peer.response().status == 500
    assert "3 bytes where" in str(application.errors[0])


async def test_101_what_tls_agreed_is_every_requests_own() -> None:
    application = Recorded()
    peer = Peer(application)
    peer.connection.tls = {"tls_version": 0x0304}
    await peer.get()
    offered = application.scopes[0]["extensions"]["tls"]
    assert offered == peer.connection.tls
    assert offered is not peer.connection.tls
