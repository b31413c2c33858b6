"""A file as a response: whole, in parts, not at all, or not there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.apps.launcher import Launcher
from tests.web.driver import Reply, Server, ask, scope_for

from tidegate import App, ClientDisconnected, FileResponse, TidegateError

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


async def sent(response: Any, method: str = "GET", **headers: str) -> Reply:
    server = Server(b"")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    await response(scope_for(method, "/", fields), server.receive, server.send)
    return server.reply


async def test_a_file_is_sent_whole(file: Path) -> None:
    reply = await sent(FileResponse(file))
    assert (reply.status, reply.body) == (200, CONTENT)
    assert reply.header("content-length") == "1024"
    assert reply.header("content-type") == "application/octet-stream"
    assert reply.header("accept-ranges") == "bytes"
    assert reply.header("content-disposition") is None


async def test_a_large_file_is_sent_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(600_000))
    reply = await sent(FileResponse(path))
    assert [len(piece) for piece in reply.pieces] == [262144, 262144, 75712]
    assert [message.get("more_body") for message in reply.messages[1:]] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.json", "application/json"),
        ("a.tar.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
async def test_the_type_is_guessed_from_the_name(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text("x")
    assert (await sent(FileResponse(tmp_path / name))).header("content-type") == kind
    given = await sent(FileResponse(tmp_path / name, media_type="a/b"))
    assert given.header("content-type") == "a/b"


async def test_head_has_the_fields_and_no_content(file: Path) -> None:
    for headers, status, length in (({}, 200, "1024"), ({"range": "bytes=0-4"}, 206, "5")):
        reply = await sent(FileResponse(file), "HEAD", **headers)
        assert (reply.status, reply.body) == (status, b"")
        assert reply.header("content-length") == length
    several = await sent(FileResponse(file), "HEAD", range="bytes=0-1,5-6")
    assert (several.status, several.body) == (206, b"")
    assert (await sent(FileResponse(file), "HEAD", range="bytes=5000-")).body == b""
    assert (await sent(FileResponse(file.parent / "none"), "HEAD")).body == b""


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    reply = await sent(FileResponse(path))
    assert (reply.status, reply.body, reply.header("content-length")) == (200, b"", "0")
    assert reply.messages[-1]["type"] == "http.response.body"
    assert (await sent(FileResponse(path), range="bytes=0-")).status == 416


async def test_one_part_is_sent_as_it_is(file: Path) -> None:
    for asked, start, end in (("2-5", 2, 6), ("1000-", 1000, 1024), ("-4", 1020, 1024)):
        reply = await sent(FileResponse(file), range=f"bytes={asked}")
        assert (reply.status, reply.body) == (206, CONTENT[start:end])
        assert reply.header("content-range") == f"bytes {start}-{end - 1}/1024"
        assert reply.header("content-length") == str(end - start)


async def test_several_parts_are_sent_as_one_multipart(file: Path) -> None:
    reply = await sent(FileResponse(file), range="bytes=0-1,100-101,-1")
    kind = reply.header("content-type") or ""
    boundary = kind.removeprefix("multipart/byteranges; boundary=").encode()
    parts = reply.body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    pairs = [part.strip(b"\r\n").split(b"\r\n\r\n") for part in parts[1:-1]]
    assert [body for _, body in pairs] == [CONTENT[0:2], CONTENT[100:102], CONTENT[-1:]]
    assert b"content-range: bytes 100-101/1024" in pairs[1][0]
    assert reply.header("content-length") == str(len(reply.body))


async def test_what_is_outside_of_the_file_is_416(file: Path) -> None:
    reply = await sent(FileResponse(file), range="bytes=1024-")
    assert (reply.status, reply.header("content-range")) == (416, "bytes */1024")


async def test_too_many_ranges_and_nonsense_get_the_file(file: Path) -> None:
    many = "bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(50))
    for asked in (many, "bytes=z", "items=1-2"):
        assert (await sent(FileResponse(file), range=asked)).status == 200
    # Only GET has parts, and only of a success.
    assert (await sent(FileResponse(file), "POST", range="bytes=0-1")).status == 200
    assert (await sent(FileResponse(file, 203), range="bytes=0-1")).status == 203


async def test_a_client_that_has_it_gets_304(file: Path) -> None:
    first = await sent(FileResponse(file))
    etag, modified = first.header("etag") or "", first.header("last-modified") or ""
    for headers in ({"if_none_match": etag}, {"if_modified_since": modified}):
        reply = await sent(FileResponse(file), **headers)
        assert (reply.status, reply.body, reply.header("etag")) == (304, b"", etag)
    os.utime(file, (0, 0))
    assert (await sent(FileResponse(file), if_none_match=etag)).status == 200
    own = await sent(FileResponse(file, headers={"etag": '"mine"'}), if_none_match='"mine"')
    assert own.status == 304


async def test_parts_of_a_file_that_has_changed_are_not_sent(file: Path) -> None:
    etag = (await sent(FileResponse(file))).header("etag") or ""
    asked = {"range": "bytes=0-1"}
    assert (await sent(FileResponse(file), **asked, if_range=etag)).status == 206
    assert (await sent(FileResponse(file), **asked, if_range='"other"')).status == 200


async def test_what_is_no_file_is_404(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "", "pipe", "a\0b"):
        reply = await sent(FileResponse(f"{tmp_path}/{name}"))
        assert (reply.status, reply.json["detail"]) == (404, "there is no such file")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b.pdf", 'attachment; filename="a b.pdf"'),
        ("é.pdf", "attachment; filename=\"_.pdf\"; filename*=UTF-8''%C3%A9.pdf"),
        ('a"\r\n.pdf', "attachment; filename=\"a___.pdf\"; filename*=UTF-8''a%22%0D%0A.pdf"),
        ("日本", "attachment; filename=\"__\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
    ],
)
async def test_a_browser_saves_it_under_any_name(file: Path, name: str, value: str) -> None:
    assert (await sent(FileResponse(file, filename=name))).header("content-disposition") == value


async def test_a_browser_shows_it_if_told_so(file: Path) -> None:
    reply = await sent(FileResponse(file, filename="a.txt", disposition="inline"))
    assert reply.header("content-disposition") == 'inline; filename="a.txt"'
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    with pytest.raises(TidegateError):
        FileResponse(file, headers={"x": "a\r\nb"})


async def test_the_server_sends_it_by_path_where_it_can(file: Path) -> None:
    server = Server(b"")
    scope = {**scope_for("GET", "/"), "extensions": {"http.response.pathsend": {}}}
    await FileResponse(file)(scope, server.receive, server.send)
    last = server.reply.messages[-1]
    assert last == {"type": "http.response.pathsend", "path": str(file)}


async def test_a_file_that_shrinks_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(600_000))
    app = App()

    @app.get("/")
    async def handler() -> FileResponse:
        return FileResponse(path)

    server = Server(b"")

    async def send(message: Any) -> None:
        await server.send(message)
        if message["type"] == "http.response.body":
            os.truncate(path, 300_000)

    with pytest.raises(OSError, match="became shorter while it was sent"):
        await app(scope_for("GET", "/"), server.receive, send)
    assert len(server.reply.body) == 300_000
    assert server.reply.messages[-1]["more_body"] is True


async def test_a_client_that_leaves_is_no_error(file: Path) -> None:
    async def send(message: Any) -> None:
        raise ClientDisconnected

    await FileResponse(file)(scope_for("GET", "/"), Server().receive, send)


async def test_a_route_gives_its_status(file: Path) -> None:
    app = App()

    @app.get("/", status=203)
    async def handler() -> FileResponse:
        return FileResponse(file)

    assert (await ask(app)).status == 203


APPLICATION = """
from tidegate import App, FileResponse

app = App()

@app.get("/")
async def handler() -> FileResponse:
    return FileResponse({path!r})
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_parts_from_a_server(file: Path) -> None:
    (file.parent / "files.py").write_text(APPLICATION.format(path=str(file)))
    with Launcher(file.parent).opened() as launch:
        url = launch("files:app").base_url

        def curl(*options: str) -> bytes:
            command = ["curl", "--silent", "--show-error", "--max-time", "30", *options, url]
            return subprocess.run(command, check=True, capture_output=True, timeout=50).stdout

        assert curl() == CONTENT
        assert curl("-r", "5-9") == CONTENT[5:10]
        assert curl("-r", "-5") == CONTENT[-5:]
        assert curl("-C", "1000") == CONTENT[1000:]
        several = curl("-r", "0-1,5-6")
        assert several.count(b"content-range: bytes") == 2
        etag = file.parent / "etag"
        curl("--etag-save", str(etag))
        status = ("-w", "%{http_code}")
        assert curl("--etag-compare", str(etag), *status) == b"304"
        assert b"HTTP/1.1 200" in curl("-I")
