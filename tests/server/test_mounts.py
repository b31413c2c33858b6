"""Several applications under one roof: who gets what, and who hears of startup."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.server.running import running

from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.bridge.wsgi import Wsgi
from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.mounts import Mounts, load_all


class App:
    """Answers with its name and what it was told; takes part in the lifespan."""

    def __init__(self, name: str, diary: list[str], fails: bool = False) -> None:
        self.name = name
        self.diary = diary
        self.fails = fails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            if self.fails:
                await send({"type": "lifespan.startup.failed", "message": "no luck"})
                return
            self.diary.append(f"{self.name} up")
            scope["state"]["name"] = self.name
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.diary.append(f"{self.name} down")
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["state"] == {"name": self.name}
        text = f"{self.name} {scope['root_path']} {scope['path']}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})


def wsgi_app(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", b"rest  /"),
        ("/live", b"live /live /live"),
        ("/live/", b"live /live /live/"),
        ("/live/a", b"live /live /live/a"),
        ("/live/deep/a", b"deep /live/deep /live/deep/a"),
        ("/lively", b"rest  /lively"),
        ("/old/page", b"/old /page"),
    ],
)
async def test_the_longest_prefix_that_ends_at_a_slash_wins(path: str, expected: bytes) -> None:
    diary: list[str] = []
    made = Mounts(
        {
            "/": App("rest", diary),
            "/live": App("live", diary),
            "/live/deep/": App("deep", diary),
            "/old": Wsgi(wsgi_app),
        }
    )
    async with running(made) as server:
        assert (await server.get(path)).body == expected


async def test_all_start_in_order_and_stop_in_reverse() -> None:
    diary: list[str] = []
    async with running(Mounts({"/a": App("a", diary), "/b": App("b", diary)})):
        assert diary == ["a up", "b up"]
    assert diary == ["a up", "b up", "b down", "a down"]


async def test_one_that_does_not_start_stops_the_others() -> None:
    diary: list[str] = []
    made = Mounts({"/a": App("a", diary), "/b": App("b", diary, fails=True)})
    with pytest.raises(Exception, match="/b: no luck"):
        async with running(made):
            pass
    assert diary == ["a up", "a down"]


async def test_where_nobody_is_mounted_the_answer_is_404() -> None:
    async with running(Mounts({"/a": App("a", [])})) as server:
        assert (await server.get("/b")).status == 404


async def test_a_mount_of_a_mount_point_is_below_it() -> None:
    async with running(Mounts({"/a": App("a", [])}), root_path="/below") as server:
        assert (await server.get("/a/x")).body == b"a /below/a /below/a/x"


async def test_a_socket_where_nobody_is_mounted_is_closed() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Mounts({})({"type": "websocket", "path": "/"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


SITE = """
async def app(scope, receive, send): ...
def old(environ, start_response): ...
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mounted_site.py").write_text(SITE)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return str(tmp_path)


def test_mounts_are_loaded_with_their_interfaces(site: str) -> None:
    mounts = {"/old": "wsgi:mounted_site:old", "/live": "asgi:mounted_site:app"}
    config = Config(
        "mounted_site:old", app_dir=site, mounts=mounts, threads=3, threads_queue=4, workers=2
    )
    made = load_all(config)
    assert isinstance(made, Mounts)
    assert list(made.applications) == ["", "/old", "/live"]
    old = made.applications["/old"]
    assert isinstance(old, Wsgi)
    assert (old.settings.threads, old.settings.max_queue) == (3, 4)
    assert old.template["wsgi.multiprocess"] is True
    assert isinstance(made.applications[""], Wsgi)


def test_a_mount_may_be_all_there_is(site: str) -> None:
    made = load_all(Config("", app_dir=site, mounts={"/": "mounted_site:app"}))
    assert isinstance(made, Mounts) or made.__name__ == "app"  # type: ignore[attr-defined]


def test_a_mount_that_is_not_there_is_named(site: str) -> None:
    with pytest.raises(ConfigError, match="has no attribute 'ap'"):
        load_all(Config("", app_dir=site, mounts={"/a": "mounted_site:ap"}))


def odd(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("299 Odd Reason", [])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]


@pytest.mark.parametrize(("mode", "at"), [("strip", ""), ("keep", "/shop")])
async def test_a_mounted_wsgi_application_keeps_its_short_way(mode: str, at: str) -> None:
    made = Mounts({"/": App("rest", []), "/old": Wsgi(odd)})
    settings: dict[str, Any] = {"root_path": "/shop", "root_path_mode": mode}
    async with running(made, **settings) as server:
        client = await server.connect()
        client.ask(f"{at}/old/p%20q", "Connection: close\r\n")
        answer = await client.rest()
        # ASGI could not carry the reason.
        assert answer.startswith(b"HTTP/1.1 299 Odd Reason\r\n")
        assert answer.endswith(b"\r\n\r\n/shop/old /p q")
        assert (await server.get(f"{at}/older")).body == b"rest /shop /shop/older"


async def test_mounts_of_wsgi_alone_answer_404_beside_them() -> None:
    made = Mounts({"/old": Wsgi(odd), "/other": Wsgi(wsgi_app)})
    async with running(made) as server:
        assert (await server.get("/other/a")).body == b"/other /a"
        assert (await server.get("/nothing")).status == 404
