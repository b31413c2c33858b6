"""Compressed responses: when, how, and what caches are told."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import io
import random
import sys
import zlib

import brotli
import pytest
import zstandard

from tidegate.errors import ConfigError
from tidegate.testing.peer import Peer
from tidegate.web.middleware import Compress, codings
from tidegate.web.middleware.compress import _Choice

from .driver import ask, page, scope_of

TEXT = b"The quick brown fox jumps over the lazy dog. " * 200
HTML = {"content-type": "text/html; charset=utf-8", "content-length": str(len(TEXT))}
GZIP = {"accept-encoding": "gzip"}


def unzstd(data):
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": unzstd}

every_coding = pytest.mark.parametrize("coding", DECODERS)


@every_coding
async def test_content_comes_back_as_it_was(coding):
    answer = await ask(Compress()(page(TEXT, headers=HTML)), headers={"accept-encoding": coding})
    assert answer["content-encoding"] == coding
    assert answer["vary"] == "Accept-Encoding"
    assert answer["content-length"] == str(len(answer.body))
    assert len(answer.body) < len(TEXT) / 4
    assert DECODERS[coding](answer.body) == TEXT


@every_coding
async def test_content_of_many_slices_comes_back_as_it_was(coding):
    text = bytes(range(256)) * 1500
    app = Compress()(page(text[:7], text[7:], headers={"content-type": "text/plain"}))
    answer = await ask(app, headers={"accept-encoding": coding})
    assert DECODERS[coding](answer.body) == text
    app = Compress()(page(text, headers={"content-type": "text/plain"}))
    answer = await ask(app, headers={"accept-encoding": coding})
    assert DECODERS[coding](answer.body) == text


async def test_others_have_their_turn_while_much_is_compressed():
    turns = []

    async def other():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    app = page(bytes(64 * 1024 * 10), headers={"content-type": "text/plain"})
    await ask(Compress()(app), headers=GZIP)
    task.cancel()
    assert len(turns) >= 9


@every_coding
async def test_each_chunk_of_a_stream_arrives_at_once(coding):
    app = page(b"one ", b"", b"two ", b"three", headers={"content-type": "text/plain"})
    answer = await ask(Compress()(app), headers={"accept-encoding": coding})
    decoder = {
        "gzip": lambda: zlib.decompressobj(31).decompress,
        "br": lambda: brotli.Decompressor().process,
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
    }[coding]()
    assert [decoder(chunk) if chunk else b"" for chunk in answer.chunks] == [
        *(b"one ", b"", b"two ", b"three"),
    ]
    assert answer["content-length"] is None
    assert [each["more_body"] for each in answer.messages[1:]] == [True, True, True, False]


@every_coding
async def test_the_level_can_be_chosen(coding):
    words = [b"%x" % (n * n) for n in range(2000)]
    text = b" ".join(random.Random(1).choices(words, k=20_000))
    sizes = []
    for level in (1, 9):
        app = Compress(levels={coding: level})(page(text, headers={"content-type": "text/plain"}))
        sizes.append(len((await ask(app, headers={"accept-encoding": coding})).body))
    assert sizes[0] > sizes[1]


async def test_a_long_window_is_never_needed():
    # RFC 9659: a client need not have more than 8 MiB; we need far less.
    app = Compress(levels={"zstd": 19})(page(TEXT, TEXT, headers={"content-type": "text/plain"}))
    answer = await ask(app, headers={"accept-encoding": "zstd"})
    assert zstandard.get_frame_parameters(answer.body).window_size <= 2**19


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZip", "gzip"),
        ("deflate", None),
        ("", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000, identity", None),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0.8 , gzip ; q=0.8", "br"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *;q=0.1", "br"),
        ("gzip;q=0.5, identity;q=0.9", None),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip, identity;q=0", "gzip"),
        ("gzip;q=high", None),
        ("gzip;q=nan", None),
        ("gzip;q=2, br;q=0.1", "br"),
    ],
)
async def test_the_client_has_its_way(accepted, coding):
    app = Compress()(page(TEXT, headers=HTML))
    for _ in range(2):
        answer = await ask(app, headers={"accept-encoding": accepted})
        assert answer["content-encoding"] == coding
        assert answer["vary"] == "Accept-Encoding"


async def test_without_the_field_nothing_is_compressed():
    answer = await ask(Compress()(page(TEXT, headers=HTML)))
    assert (answer["content-encoding"], answer.body) == (None, TEXT)
    assert answer["vary"] == "Accept-Encoding"


async def test_the_head_of_what_is_not_compressed_is_not_kept_back():
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": list(pairs)})
        seen.extend(sent)

    async def send(message):
        sent.append(message["type"])

    pairs, seen = [(b"content-type", b"text/html")], []
    await Compress()(app)(scope_of("http", "/", {}), None, send)
    assert seen == ["http.response.start"]
    seen.clear()
    await Compress()(app)(scope_of("http", "/", GZIP, method="HEAD"), None, send)
    assert seen == ["http.response.start"] * 2


async def test_what_caches_may_do_otherwise_does_not_matter():
    app = page(TEXT, headers=HTML | {"cache-control": "public, max-age=60"})
    assert (await ask(Compress()(app), headers=GZIP))["content-encoding"] == "gzip"


async def test_our_order_decides_between_what_the_client_likes_equally():
    app = Compress(codings=["gzip", "br"])(page(TEXT, headers=HTML))
    answer = await ask(app, headers={"accept-encoding": "zstd, br, gzip"})
    assert answer["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("content_type", "compressed"),
    [
        ("text/html", True),
        ("TEXT/Plain; charset=utf-8", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/wasm", True),
        ("image/png", False),
        ("video/mp4", False),
        ("font/woff2", False),
        ("application/octet-stream", False),
        ("text/event-stream", False),
        ("text/event-stream; charset=utf-8", False),
    ],
)
async def test_only_what_gets_shorter_is_compressed(content_type, compressed):
    app = Compress()(page(TEXT, headers={"content-type": content_type}))
    answer = await ask(app, headers=GZIP)
    assert (answer["content-encoding"] == "gzip") is compressed
    assert (answer["vary"] == "Accept-Encoding") is compressed


async def test_content_without_a_type_is_left_alone():
    assert (await ask(Compress()(page(TEXT)), headers=GZIP)).body == TEXT


async def test_the_types_can_be_chosen():
    wrap = Compress(types=["image/*"], exclude=["image/png"])
    for kind, coding in [("image/bmp", "gzip"), ("image/png", None), ("text/html", None)]:
        answer = await ask(wrap(page(TEXT, headers={"content-type": kind})), headers=GZIP)
        assert answer["content-encoding"] == coding


async def test_events_are_compressed_and_flushed_if_asked_for():
    app = page(b"data: 1\n\n", b"data: 2\n\n", headers={"content-type": "text/event-stream"})
    answer = await ask(Compress(exclude=[])(app), headers=GZIP)
    decoder = zlib.decompressobj(31)
    assert [decoder.decompress(chunk) for chunk in answer.chunks] == [
        b"data: 1\n\n",
        b"data: 2\n\n",
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "br"},
        {"content-encoding": "identity"},
        {"cache-control": "public, no-transform"},
        {"repr-digest": "sha-256=:AAAA:"},
    ],
)
async def test_what_must_stay_as_it_is_stays(headers):
    answer = await ask(Compress()(page(TEXT, headers=HTML | headers)), headers=GZIP)
    assert answer.body == TEXT
    assert answer["content-encoding"] == headers.get("content-encoding")
    assert answer["content-length"] == str(len(TEXT))
    assert answer["vary"] is None


@pytest.mark.parametrize("status", [204, 206])
async def test_parts_and_nothing_are_not_compressed(status):
    answer = await ask(Compress()(page(TEXT, headers=HTML, status=status)), headers=GZIP)
    assert (answer.body, answer["content-encoding"]) == (TEXT, None)


@pytest.mark.parametrize(("size", "coding"), [(1023, None), (1024, "gzip")])
async def test_small_content_is_not_worth_it(size, coding):
    app = page(b"x" * size, headers={"content-type": "text/plain", "etag": '"a"'})
    answer = await ask(Compress()(app), headers=GZIP)
    assert answer["content-encoding"] == coding
    assert answer["etag"] == ('W/"a"' if coding else '"a"')
    assert answer["vary"] == "Accept-Encoding"


async def test_a_stream_that_is_announced_to_be_small_is_not_worth_it():
    app = page(b"a", b"b", headers={"content-type": "text/plain", "content-length": "2"})
    answer = await ask(Compress()(app), headers=GZIP)
    assert (answer.chunks, answer["content-length"]) == ([b"a", b"b"], "2")


@pytest.mark.parametrize(("etag", "weak"), [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"')])
async def test_the_validator_becomes_weak(etag, weak):
    app = page(TEXT, headers={**HTML, "etag": etag, "accept-ranges": "bytes"})
    answer = await ask(Compress()(app), headers=GZIP)
    assert answer["etag"] == weak
    # Ranges would be those of the content as it was.
    assert answer["accept-ranges"] is None


async def test_the_application_may_spell_fields_as_it_likes():
    app = page(TEXT, headers={"Content-Type": "text/html", "Content-Length": str(len(TEXT))})
    answer = await ask(Compress()(app), headers=GZIP)
    assert gzip.decompress(answer.body) == TEXT
    assert answer["Content-Length"] is None


async def test_a_304_has_the_fields_that_the_200_would_have():
    app = page(status=304, headers={"etag": '"a"'})
    answer = await ask(Compress()(app), headers=GZIP)
    assert (answer["etag"], answer["vary"], answer.body) == ('W/"a"', "Accept-Encoding", b"")


@pytest.mark.parametrize("length", [len(TEXT), 10])
async def test_a_head_has_the_fields_that_the_get_would_have(length):
    headers = HTML | {"content-length": str(length), "etag": '"a"'}
    answer = await ask(Compress()(page(headers=headers)), headers=GZIP, method="HEAD")
    small = length == 10
    assert answer["content-length"] == ("10" if small else None)
    assert answer["etag"] == ('"a"' if small else 'W/"a"')
    assert (answer["vary"], answer.body) == ("Accept-Encoding", b"")


async def test_a_file_that_the_server_sends_is_left_alone():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": list(pairs)})
        await send({"type": "http.response.pathsend", "path": "/a"})

    pairs = [(name.encode(), value.encode()) for name, value in HTML.items()]
    answer = await ask(Compress()(app), headers=GZIP)
    assert answer["content-length"] == str(len(TEXT))
    assert answer.messages[1] == {"type": "http.response.pathsend", "path": "/a"}


async def test_messages_around_the_content_go_through():
    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": []})
        start = {"type": "http.response.start", "status": 200, "trailers": True}
        await send({**start, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": TEXT})
        await send({"type": "http.response.trailers", "headers": []})

    answer = await ask(Compress()(app), headers=GZIP)
    assert [each["type"].rpartition(".")[2] for each in answer.messages] == [
        *("early_hint", "start", "body", "trailers"),
    ]
    assert answer.messages[1]["trailers"] is True
    assert gzip.decompress(answer.body) == TEXT


def test_what_clients_and_applications_send_does_not_fill_the_memory():
    choice = _Choice(Compress())
    for number in range(1000):
        assert choice.coding(b"gzip, x%d" % number) == codings.CODINGS["gzip"]
        assert choice.suits(b"text/x%d" % number)
    assert 0 < len(choice._codings) <= 256
    assert 0 < len(choice._judged) <= 256


async def test_a_connection_carries_it():
    app = page(TEXT, b"more", headers={"content-type": "text/html"})
    peer = Peer(Compress()(app))
    await peer.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    response = peer.response()
    assert gzip.GzipFile(fileobj=io.BytesIO(response.body)).read() == TEXT + b"more"
    assert response.header("transfer-encoding") == "chunked"


def test_a_coding_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(codings, "_missing", {"br"})
    with pytest.raises(ConfigError, match=r"pip install tidegate\[compress\]"):
        Compress(codings=["br"])
    assert [each.name for each in codings.checked_codings(None, {})] == ["zstd", "gzip"]


def test_without_the_packages_there_is_gzip(monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    spec = importlib.util.spec_from_file_location(codings.__name__, codings.__file__)
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)
    assert [each.name for each in without.checked_codings(None, {})] == ["gzip"]
