"""Bodies that are large, slow, endless or abandoned, in each framework."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest
from expectations import PRINTS_WHAT_A_VIEW_RAISES, every_framework
from launcher import PeakMemory, eventually
from sites import Site

MEGABYTE = 1024 * 1024
SIZE = 100 * MEGABYTE
# Far below the size of a body, far above what any buffer on the way may hold.
FLAT = 32 * MEGABYTE


@every_framework()
@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_large_upload_leaves_the_memory_flat(site: Site, framing: str) -> None:
    block = bytes(range(256)) * 1024
    count = SIZE // len(block)
    headers = {"Content-Length": str(SIZE)} if framing == "content-length" else {}
    with closing(site.connection()) as connection:
        memory = PeakMemory(site.server.pid)
        # http.client sends an iterable piece by piece: chunked if no length is given.
        connection.request("POST", "/upload", (block for _ in range(count)), headers)
        digest = json.load(connection.getresponse())
    checksum = 0
    for _ in range(count):
        checksum = zlib.crc32(block, checksum)
    assert (digest["size"], digest["crc32"]) == (SIZE, checksum)
    assert digest["largest_piece"] < MEGABYTE
    assert memory.growth() < FLAT


@every_framework()
def test_a_slow_reader_holds_a_large_download_back(site: Site, key: str) -> None:
    with closing(site.connection(receive_buffer=64 * 1024)) as connection:
        memory = PeakMemory(site.server.pid)
        connection.request("GET", f"/download/{key}/{SIZE // MEGABYTE}")
        answer = connection.getresponse()
        received = len(answer.read(1000))
        eventually(standstill(site, key), what="the application waits for the reader")
        assert site.sent(key) < FLAT
        while piece := answer.read(256 * 1024):
            received += len(piece)
    assert received == site.sent(key) == SIZE
    assert memory.growth() < FLAT


@every_framework()
def test_a_piece_arrives_before_the_next_is_made(site: Site, key: str) -> None:
    with site.client.stream("GET", f"/pieces/{key}") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first\n"
        site.open_gate(key)
        assert b"".join(pieces) == b"second\n"


@every_framework()
def test_a_stream_ends_when_its_client_leaves(site: Site, key: str) -> None:
    with closing(site.connection()) as connection:
        connection.request("GET", f"/endless/{key}")
        assert len(connection.getresponse().read(MEGABYTE)) == MEGABYTE
    eventually(lambda: site.notes(key), what="the application notices")
    if site.framework in PRINTS_WHAT_A_VIEW_RAISES:
        site.forgive()


@every_framework()
def test_an_idle_stream_ends_when_its_client_leaves(site: Site, key: str) -> None:
    with site.client.stream("GET", f"/idle/{key}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.iter_raw()
        assert next(pieces) == b"data: hello\n\n"
        assert site.notes(key) == []
    # The application sends nothing, so only the server can end it.
    eventually(lambda: site.notes(key), what="the application is ended")


@every_framework("background")
def test_a_background_task_does_not_hold_up_the_next_request(site: Site, key: str) -> None:
    with closing(site.connection()) as connection:
        connection.connect()
        first = connection.sock
        connection.request("GET", f"/background/{key}")
        assert b"accepted" in connection.getresponse().read()
        connection.request("GET", "/items/next?q=x")
        assert connection.getresponse().status == 200
        assert connection.sock is first
    assert site.notes(key) == []
    site.open_gate(key)
    eventually(lambda: site.notes(key) == ["task ended"], what="the task went on")


def standstill(site: Site, key: str) -> Callable[[], bool]:
    """A predicate: have the last few looks all seen the same number of bytes sent?"""
    looks: list[int] = []

    def is_still() -> bool:
        looks.append(site.sent(key))
        return looks[-1] > 0 and len(looks) > 5 and len(set(looks[-5:])) == 1

    return is_still
