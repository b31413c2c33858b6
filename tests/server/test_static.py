"""Files that the server serves itself, before the application."""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.process import Process, launched
from tests.server.running import running

from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ConfigError
from tidegate.server.check import check
from tidegate.server.config import Config

LARGE = os.urandom(1000) * 3000

APPLICATION = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"application"})


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi " + environ["SERVER_SOFTWARE"].encode()]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "app.js").write_text("let a = 1")
    (folder / "app.js.gz").write_bytes(gzip.compress(b"let a = 1"))
    (folder / "app.js.br").write_bytes(b"as if compressed")
    (folder / ".env").write_text("secret")
    (folder / "sub" / "index.html").write_text("<p>index")
    (folder / "empty").mkdir()
    (tmp_path / "outside.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "inner.txt").symlink_to(folder / "a.txt")
    (tmp_path / "served.py").write_text(APPLICATION)
    return folder


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"application " + scope["path"].encode()})


def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("299 Odd Reason", [])
    return [environ["PATH_INFO"].encode()]


async def test_files_are_served_and_the_rest_is_the_applications(folder: Path) -> None:
    async with running(application, static={"/assets/": str(folder)}) as server:
        answer = await server.get("/assets/a.txt")
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.header("content-type") == "text/plain; charset=utf-8"
        assert answer.header("accept-ranges") == "bytes"
        assert answer.header("server") == "tidegate"
        assert (await server.get("/assets/large.bin")).body == LARGE
        assert (await server.get("/assetsish")).body == b"application /assetsish"
        assert (await server.get("/")).body == b"application /"


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/.env", "/sub/.hidden", "/link.txt", "/../outside.txt", "/empty/", "/empty"),
        *("/%2e%2e/outside.txt", "/..%2foutside.txt", "/%2Fetc/passwd", "//etc/passwd", "/a.txt/"),
        *("/sub/../a.txt", "/a%00.txt", "/..%5coutside.txt", "/a.txt/b", "/", "", "/" + "x" * 300),
    ],
)
async def test_what_is_not_in_the_folder_is_not_there(folder: Path, path: str) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        answer = await server.get(f"/assets{path}")
        assert (answer.status, answer.body) == (404, b"Not Found\n")


async def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        assert (await server.get("/assets/inner.txt")).body == b"hello"


async def test_a_folder_is_its_index(folder: Path) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        answer = await server.get("/assets/sub/")
        assert (answer.status, answer.body) == (200, b"<p>index")
        assert answer.header("content-type") == "text/html; charset=utf-8"
        answer = await server.get("/assets/sub?a=b%2F")
        assert (answer.status, answer.header("location")) == (308, "./sub/?a=b%2F")
        (folder / "index.html").write_text("top")
        assert (await server.get("/assets")).header("location") == "./assets/"
        assert (await server.get("/assets/")).body == b"top"


async def test_conditions_are_judged(folder: Path) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        whole = await server.get("/assets/a.txt")
        etag, date = whole.header("etag"), whole.header("last-modified")

        async def status(headers: str) -> int:
            client = await server.connect()
            client.ask("/assets/a.txt", headers + "Connection: close\r\n")
            return int((await client.rest()).split(b" ")[1])

        assert await status(f"If-None-Match: {etag}\r\n") == 304
        assert await status(f"If-None-Match: W/{etag}\r\n") == 304
        assert await status('If-None-Match: "other"\r\n') == 200
        assert await status(f"If-Modified-Since: {date}\r\n") == 304
        assert await status("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n") == 200
        assert await status(f"If-Match: {etag}\r\n") == 200
        assert await status("If-Match: *\r\n") == 200
        assert await status('If-Match: "other"\r\n') == 412
        assert await status(f"If-Unmodified-Since: {date}\r\n") == 200
        assert await status("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n") == 412


async def test_parts_are_sent(folder: Path) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        answer = await server.get("/assets/a.txt", "Range: bytes=1-2\r\n")
        assert (answer.status, answer.body) == (206, b"el")
        assert answer.header("content-range") == "bytes 1-2/5"
        answer = await server.get("/assets/large.bin", "Range: bytes=-1000000\r\n")
        assert (answer.status, answer.body) == (206, LARGE[-1_000_000:])
        answer = await server.get("/assets/large.bin", "Range: bytes=0-9,100000-299999,-10\r\n")
        assert answer.status == 206
        boundary = (answer.header("content-type") or "").partition("boundary=")[2].encode()
        parts = answer.body.split(b"--" + boundary)[1:-1]
        contents = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts]
        assert contents == [LARGE[:10], LARGE[100_000:300_000], LARGE[-10:]]
        answer = await server.get("/assets/a.txt", "Range: bytes=9-\r\n")
        assert (answer.status, answer.header("content-range")) == (416, "bytes */5")
        answer = await server.get("/assets/a.txt", 'Range: bytes=1-2\r\nIf-Range: "other"\r\n')
        assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize(
    ("accepted", "coding", "content"),
    [
        ("", None, b"let a = 1"),
        ("gzip", "gzip", b"let a = 1"),
        ("gzip, br", "br", b"as if compressed"),
        ("gzip, br;q=0.5", "gzip", b"let a = 1"),
        ("br;q=0", None, b"let a = 1"),
        ("zstd", None, b"let a = 1"),
        ("*", "br", b"as if compressed"),
    ],
)
async def test_the_variant_is_sent_that_the_client_likes_best(
    folder: Path, accepted: str, coding: str | None, content: bytes
) -> None:
    headers = f"Accept-Encoding: {accepted}\r\n" if accepted else ""
    async with running(application, static={"/assets": str(folder)}) as server:
        answer = await server.get("/assets/app.js", headers)
        assert answer.header("content-encoding") == coding
        body = gzip.decompress(answer.body) if coding == "gzip" else answer.body
        assert body == content
        assert answer.header("content-type") == "text/javascript; charset=utf-8"
        assert answer.header("vary") == "accept-encoding"


async def test_other_methods_are_refused(folder: Path) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        client = await server.connect()
        client.writer.write(b"POST /assets/a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


async def test_head_is_answered_without_content(folder: Path) -> None:
    async with running(application, static={"/assets": str(folder)}) as server:
        client = await server.connect()
        for path in ("a.txt", "large.bin", "nothing"):
            client.writer.write(f"HEAD /assets/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"content-length: " in head
        client.ask("/assets/a.txt")
        assert (await client.answer()).body == b"hello"


async def test_what_is_missing_may_be_passed_on(folder: Path) -> None:
    settings: dict[str, Any] = {"static": {"/": str(folder)}, "static_fallthrough": True}
    async with running(application, **settings) as server:
        assert (await server.get("/a.txt")).body == b"hello"
        assert (await server.get("/nothing")).body == b"application /nothing"
        assert (await server.get("/.env")).body == b"application /.env"
        client = await server.connect()
        client.writer.write(b"POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert (await client.answer()).body == b"application /a.txt"


async def test_the_longest_prefix_wins(folder: Path) -> None:
    static = {"/assets": str(folder), "/assets/sub": str(folder / "empty")}
    async with running(application, static=static) as server:
        assert (await server.get("/assets/a.txt")).status == 200
        assert (await server.get("/assets/sub/")).status == 404


async def test_fields_for_caches_can_be_set(folder: Path) -> None:
    more: dict[str, Any] = {"static_cache_control": "public, max-age=60"}
    async with running(application, static={"/assets": str(folder)}, **more) as server:
        assert (await server.get("/assets/a.txt")).header("cache-control") == "public, max-age=60"


@pytest.mark.parametrize("mode", ["strip", "keep"])
async def test_prefixes_are_below_the_mount_point(folder: Path, mode: str) -> None:
    static = {"/assets": str(folder)}
    at = "/shop" if mode == "keep" else ""
    for app in (application, wsgi):
        settings: dict[str, Any] = {"root_path": "/shop", "root_path_mode": mode}
        async with running(app, static=static, **settings) as server:
            assert (await server.get(f"{at}/assets/a.txt")).body == b"hello"
            assert b"hello" not in (await server.get(f"{at}/other")).body


async def test_a_wsgi_application_keeps_its_short_way(folder: Path) -> None:
    async with running(wsgi, static={"/assets": str(folder)}, interface="wsgi") as server:
        assert (await server.get("/assets/a.txt")).body == b"hello"
        client = await server.connect()
        client.ask("/page", "Connection: close\r\n")
        # ASGI could not carry the reason.
        assert (await client.rest()).startswith(b"HTTP/1.1 299 Odd Reason\r\n")


async def test_a_file_we_may_not_read_is_not_there(folder: Path, monkeypatch: Any) -> None:
    def refused(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr("tidegate.server.static.Opened", refused)
    async with running(application, static={"/assets": str(folder)}) as server:
        assert (await server.get("/assets/a.txt")).status == 404


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"static": {"assets": "."}}, "a prefix must start with '/', not 'assets'"),
        ({"static": {"/assets": 3}}, "a folder is a text, not 3"),
        ({"static_cache_control": "a\r\nb"}, "static_cache_control"),
        ({"static": ["a"]}, "static must be a table"),
    ],
)
def test_what_cannot_be_served_is_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config("a:b", **settings)


async def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="static '/a': there is no folder '/nowhere/at/all'"):
        async with running(application, static={"/a": "/nowhere/at/all"}):
            pass


def test_the_check_looks_for_the_folders(folder: Path) -> None:
    findings = check(Config("", static={"/a": str(folder), "/b": "/nowhere/at/all"}))
    assert findings.facts == [f"/a = {folder}: files"]
    assert findings.complaints == ["static '/b': there is no folder '/nowhere/at/all'"]


# The program, and clients of others.


@pytest.fixture
def process(folder: Path) -> Iterator[Process]:
    text = '[static]\n"/files" = "public"\n'
    (folder.parent / "tidegate.toml").write_text(text)
    with launched(folder.parent, "served:app") as process:
        yield process


def test_the_option_and_the_table_of_the_file_both_name_folders(folder: Path) -> None:
    with launched(folder.parent, "served:app", "--static", "/assets=./public") as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port(), timeout=20)
        for path, expected in (
            ("/assets/a.txt", b"hello"),
            ("/assets/large.bin", LARGE),
            ("/page", b"application"),
        ):
            connection.request("GET", path)
            assert connection.getresponse().read() == expected
        connection.request("GET", "/assets/large.bin", headers={"Range": "bytes=5-9"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (206, LARGE[5:10])
        connection.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_continues_a_download_and_unpacks(
    folder: Path, process: Process, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{process.port()}/files"
    copy = tmp_path / "copy.bin"
    copy.write_bytes(LARGE[:1_000_000])

    def curl(*options: str) -> str:
        command = ["curl", "-sS", "--fail", "--max-time", "20", *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    curl("-C", "-", "-o", str(copy), f"{url}/large.bin")
    assert copy.read_bytes() == LARGE
    (folder / "app.js.br").unlink()
    assert curl("--compressed", f"{url}/app.js") == "let a = 1"
    # Has it already, by etag and by date.
    etags = str(tmp_path / "etags")
    assert curl("--etag-save", etags, f"{url}/a.txt") == "hello"
    assert curl("--etag-compare", etags, "-w", "%{http_code}", f"{url}/a.txt") == "304"
    assert curl("-z", str(folder / "a.txt"), "-w", "%{http_code}", f"{url}/a.txt") == "304"
    assert curl("-L", "-w", "%{num_redirects}", f"{url}/sub") == "<p>index1"


async def test_the_page_of_figures_does_not_lengthen_the_way_to_wsgi() -> None:
    async with running(wsgi, interface="wsgi", metrics_path="/metrics") as server:
        assert b"tidegate" in (await server.get("/metrics")).body
        client = await server.connect()
        client.ask("/page", "Connection: close\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 299 Odd Reason\r\n")
