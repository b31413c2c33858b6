"""A folder of files, and nothing outside of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.web.driver import Reply, Server, ask, scope_for

from tidegate import App, ConfigError, Static, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "a&b ?.txt").write_text("odd")
    (folder / "sub" / "index.html").write_text("index of sub")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "static-of-others").mkdir()
    (tmp_path / "static-of-others" / "a.txt").write_text("secret")
    return folder


def site(folder: Path, **options: Any) -> App:
    app = App()
    app.mount("/static", Static(folder, **options))
    return app


async def get(app: App, path: str, **headers: str) -> Reply:
    """Ask for a path as the server has decoded it."""
    server = Server(b"")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {**scope_for("GET", "/", fields), "path": path}
    await app(scope, server.receive, server.send)
    return server.reply


async def test_files_are_served(folder: Path) -> None:
    app = site(folder, cache_control="public, max-age=60")
    reply = await get(app, "/static/a.txt")
    assert (reply.status, reply.text) == (200, "a")
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    assert reply.header("cache-control") == "public, max-age=60"
    assert reply.header("vary") is None
    assert (await get(app, "/static/a&b ?.txt")).text == "odd"
    assert (await get(app, "/static/sub/index.html")).text == "index of sub"
    assert (await get(app, "/static/a.txt", range="bytes=0-0")).status == 206
    again = await get(app, "/static/a.txt", if_none_match=reply.header("etag") or "")
    assert again.status == 304


@pytest.mark.parametrize(
    "path",
    [
        *("/..", "/../secret.txt", "/sub/../../secret.txt", "/./a.txt", "/sub/../a.txt"),
        *("//a.txt", "/sub//index.html", "//etc/passwd", "/..\\secret.txt", "/%2e%2e/secret.txt"),
        *("/a.txt\0", "/a.txt/", "/none", "/sub", "/sub/", "/", "", "/a.txt/b", "/\udce9"),
        *("/../static-of-others/a.txt", "/" + "x" * 300, "/C:\\a.txt"),
    ],
)
async def test_what_is_not_a_file_of_the_folder_is_not_there(folder: Path, path: str) -> None:
    reply = await get(site(folder), "/static" + path)
    assert reply.status == 404
    assert reply.header("content-type") == "application/problem+json"


async def test_links_may_lead_anywhere_in_the_folder_but_not_out_of_it(folder: Path) -> None:
    (folder / "out").symlink_to(folder.parent / "secret.txt")
    (folder / "others").symlink_to(folder.parent / "static-of-others")
    (folder / "in").symlink_to(folder / "a.txt")
    (folder / "round").symlink_to(folder / "round")
    app = site(folder)
    assert (await get(app, "/static/in")).text == "a"
    for path in ("out", "others/a.txt", "round"):
        assert (await get(app, f"/static/{path}")).status == 404


async def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert (await get(site(link), "/static/a.txt")).text == "a"


async def test_a_folder_is_its_index_if_told_so(folder: Path) -> None:
    app = site(folder, html=True)
    assert (await get(app, "/static/sub/")).text == "index of sub"
    reply = await get(app, "/static/sub")
    assert (reply.status, reply.header("location")) == (308, "./sub/")
    assert (await get(app, "/static/")).status == 404
    assert (await get(app, "/static/sub/deep/")).status == 404
    (folder / "index.html").write_text("index")
    assert (await get(app, "/static/")).text == "index"
    assert (await get(app, "/static")).header("location") == "./static/"
    (folder / "a?b").mkdir()
    (folder / "a?b" / "index.html").write_text("index")
    assert (await get(app, "/static/a?b")).header("location") == "./a%3Fb/"


async def test_a_page_says_what_is_not_there(folder: Path) -> None:
    (folder / "404.html").write_text("not here")
    reply = await get(site(folder, html=True), "/static/none", range="bytes=0-0")
    assert (reply.status, reply.text) == (404, "not here")
    assert (await get(site(folder), "/static/none")).header("content-type") != "text/html"


@pytest.mark.parametrize(
    ("accepted", "coding", "text"),
    [
        ("gzip", "gzip", "gz"),
        ("gzip, br", "br", "br"),
        ("gzip, br, zstd", "zstd", "zst"),
        ("gzip;q=1, br;q=0.5", "gzip", "gz"),
        ("*", "zstd", "zst"),
        ("br;q=0, *", "zstd", "zst"),
        ("deflate", None, "plain"),
        ("gzip;q=0", None, "plain"),
        ("identity, gzip;q=0.5", None, "plain"),
        (None, None, "plain"),
    ],
)
async def test_a_file_is_sent_in_the_coding_that_the_client_likes(
    folder: Path, accepted: str | None, coding: str | None, text: str
) -> None:
    (folder / "b.js").write_text("plain")
    for suffix in ("gz", "br", "zst"):
        (folder / f"b.js.{suffix}").write_text(suffix)
    headers = {} if accepted is None else {"accept_encoding": accepted}
    reply = await get(site(folder, precompressed=True), "/static/b.js", **headers)
    assert (reply.header("content-encoding"), reply.text) == (coding, text)
    assert reply.header("content-type") == "text/javascript; charset=utf-8"
    assert reply.header("vary") == "accept-encoding"
    plain = await get(site(folder), "/static/b.js", **headers)
    assert (plain.text, plain.header("content-encoding")) == ("plain", None)


async def test_a_coding_that_is_not_there_or_leads_out_is_not_sent(folder: Path) -> None:
    (folder / "a.txt.br").symlink_to(folder.parent / "secret.txt")
    app = site(folder, precompressed=True)
    assert (await get(app, "/static/a.txt", accept_encoding="br, gzip")).text == "a"


async def test_only_get_and_head_are_taken(folder: Path) -> None:
    app = site(folder)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        reply = await ask(app, method, "/static/a.txt")
        assert (reply.status, reply.header("allow")) == (405, "GET, HEAD")
    reply = await ask(app, "HEAD", "/static/a.txt")
    assert (reply.status, reply.body, reply.header("content-length")) == (200, b"", "1")
    assert (await ask(app, "HEAD", "/static/none")).body == b""


async def test_it_serves_by_itself_and_no_sockets(folder: Path) -> None:
    reply = await ask(Static(folder), "GET", "/a.txt")
    assert reply.text == "a"
    server = Server()
    server.incoming.put_nowait({"type": "websocket.connect"})
    messages = []

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {**scope_for("GET", "/a.txt"), "type": "websocket"}
    await Static(folder)(scope, server.receive, send)
    assert messages[0]["type"] == "websocket.close"
    with pytest.raises(UsageError, match="lifespan"):
        await Static(folder)({"type": "lifespan"}, server.receive, send)


async def test_it_is_mounted_in_an_application_that_starts(folder: Path) -> None:
    app = site(folder)
    async with app.opened():
        assert (await get(app, "/static/a.txt")).text == "a"


def test_a_folder_that_is_not_there_is_an_error_at_once(folder: Path) -> None:
    for wrong in (folder / "none", folder / "a.txt"):
        with pytest.raises(ConfigError, match="there is no folder"):
            Static(wrong)
