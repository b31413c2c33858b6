"""Behind a real nginx, with the configurations of the documentation."""

from __future__ import annotations

import asyncio
import shutil
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from tests.authority import Files, authority
from tests.server.running import Client, Running, running

from tidegate.asgi import Receive, Scope, Send

from .nginx import documented, nginx

# No address that is trusted, unlike nginx's own.
CLIENT = "127.0.0.9"

SIZE = 20 * 1024 * 1024
PIECE = bytes(range(256)) * 256


class Site:
    """An application that shows what reaches it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.asked = asyncio.Event()  # somebody waits in /hold
        self.left = asyncio.Event()  # who waited has gone
        self.may_end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await self.echo(receive, send)
            return
        page = {"/upload": self.upload, "/download": self.download, "/hold": self.hold}
        await page.get(scope["path"], self.hello)(receive, send)

    async def hello(self, receive: Receive, send: Send) -> None:
        await answer(send, b"hello")

    async def upload(self, receive: Receive, send: Send) -> None:
        checksum, more = 0, True
        while more:
            message = await receive()
            checksum = zlib.crc32(message["body"], checksum)
            more = message["more_body"]
        await answer(send, str(checksum).encode())

    async def download(self, receive: Receive, send: Send) -> None:
        length = [(b"content-length", str(SIZE).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for sent in range(0, SIZE, len(PIECE)):
            more = sent + len(PIECE) < SIZE
            await send({"type": "http.response.body", "body": PIECE, "more_body": more})

    async def hold(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
        self.asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()

    async def echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"][::-1]})


async def answer(send: Send, body: bytes) -> None:
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return authority().issue(tmp_path)


class Front:
    """nginx and what is behind it."""

    def __init__(self, site: Site, at: Running, port: int) -> None:
        self.site = site
        self.at = at
        self.port = port

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection(
            *("127.0.0.1", self.port),
            ssl=authority().context(),
            server_hostname="localhost",
            local_addr=(CLIENT, 0),
        )
        client = Client(reader, writer)
        self.at.clients.append(client)
        return client

    @property
    def connections(self) -> set[Any]:
        """Those between nginx and Tidegate."""
        assert self.at.server.worker is not None
        return set(self.at.server.worker.connections)


@asynccontextmanager
async def front(
    number: int, folder: Path, files: Files, listener: str, **settings: Any
) -> AsyncIterator[Front]:
    """Serve behind the documented configuration ``number``; ``listener`` is ``tcp`` or ``unix``."""
    site = Site()
    if listener == "unix":
        settings |= {"uds": str(folder / "s"), "forwarded_allow_ips": "unix"}
    async with running(site, access_log=False, **settings) as at:
        upstream = f"unix:{folder}/s" if listener == "unix" else f"127.0.0.1:{at.port}"
        with nginx(folder, documented(number), upstream, files) as port:
            yield Front(site, at, port)


over_both = pytest.mark.parametrize("listener", ["tcp", "unix"])


@over_both
async def test_the_client_and_its_scheme_are_told(
    tmp_path: Path, files: Files, listener: str
) -> None:
    async with front(0, tmp_path, files, listener) as site:
        client = await site.connect()
        client.ask("/a?b=c", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\n")
        assert (await client.answer()).body == b"hello"
        scope = site.site.scopes[0]
        assert scope["client"] == (CLIENT, 0)
        assert scope["scheme"] == "https"
        assert (scope["path"], scope["query_string"]) == ("/a", b"b=c")
        assert (b"host", b"test") in scope["headers"]


@over_both
async def test_one_connection_to_us_carries_many_requests(
    tmp_path: Path, files: Files, listener: str
) -> None:
    async with front(0, tmp_path, files, listener) as site:
        seen = set()
        for _ in range(5):
            client = await site.connect()
            client.ask()
            await client.answer()
            seen |= site.connections
            await client.close()
        assert len(seen) == 1


async def test_a_stream_arrives_as_it_is_sent_and_its_client_is_missed(
    tmp_path: Path, files: Files
) -> None:
    async with front(0, tmp_path, files, "tcp") as site:
        client = await site.connect()
        client.ask("/hold")
        await client.reader.readuntil(b"first\n")
        assert not site.site.left.is_set()
        # Without a goodbye in TLS: to that nginx does not listen here.
        client.writer.transport.abort()
        await site.site.left.wait()


@over_both
async def test_large_bodies_pass_in_both_directions(
    tmp_path: Path, files: Files, listener: str
) -> None:
    whole = PIECE * (SIZE // len(PIECE))
    async with front(0, tmp_path, files, listener) as site:
        client = await site.connect()
        head = f"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {SIZE}\r\n\r\n"
        client.writer.write(head.encode() + whole)
        assert int((await client.answer()).body) == zlib.crc32(whole)
        client.ask("/download")
        assert zlib.crc32((await client.answer()).body) == zlib.crc32(whole)


async def test_chunks_of_a_request_pass(tmp_path: Path, files: Files) -> None:
    async with front(0, tmp_path, files, "tcp") as site:
        client = await site.connect()
        client.writer.write(
            b"POST /upload HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n"
        )
        assert int((await client.answer()).body) == zlib.crc32(b"abc")


@pytest.mark.parametrize("number", [0, 1], ids=["http", "proxy protocol"])
async def test_a_websocket_passes(tmp_path: Path, files: Files, number: int) -> None:
    async with behind(number, tmp_path, files) as site:
        async with websockets.connect(
            f"wss://localhost:{site.port}/",
            ssl=authority().context(),
            proxy=None,
            local_addr=(CLIENT, 0),
        ) as socket:
            await socket.send("hello")
            assert await socket.recv() == "olleh"
        scope = site.site.scopes[0]
        assert (scope["type"], scope["scheme"]) == ("websocket", "wss")
        assert scope["client"][0] == CLIENT


@asynccontextmanager
async def behind(number: int, folder: Path, files: Files) -> AsyncIterator[Front]:
    """Either way of the documentation, over a Unix socket."""
    settings = {"proxy_protocol": True, **files.settings} if number else {}
    async with front(number, folder, files, "unix", **settings) as site:
        yield site


@over_both
async def test_the_proxy_protocol_names_the_client_and_tls_is_ours(
    tmp_path: Path, files: Files, listener: str
) -> None:
    settings = {"proxy_protocol": True, **files.settings}
    async with front(1, tmp_path, files, listener, **settings) as site:
        client = await site.connect()
        client.ask("/", "X-Forwarded-For: 6.6.6.6\r\n")
        assert (await client.answer()).body == b"hello"
        scope = site.site.scopes[0]
        assert scope["client"] == client.writer.get_extra_info("sockname")
        assert scope["server"] == ("127.0.0.1", site.port)
        assert scope["extensions"]["tls"]["server_cert"] == Path(files.certfile).read_text()


async def test_large_bodies_pass_behind_the_proxy_protocol(tmp_path: Path, files: Files) -> None:
    whole = PIECE * (SIZE // len(PIECE))
    async with behind(1, tmp_path, files) as site:
        client = await site.connect()
        head = f"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {SIZE}\r\n\r\n"
        client.writer.write(head.encode() + whole)
        assert int((await client.answer()).body) == zlib.crc32(whole)
        client.ask("/download")
        assert zlib.crc32((await client.answer()).body) == zlib.crc32(whole)


async def test_a_client_that_leaves_is_missed_behind_the_proxy_protocol(
    tmp_path: Path, files: Files
) -> None:
    async with behind(1, tmp_path, files) as site:
        client = await site.connect()
        client.ask("/hold")
        await client.reader.readuntil(b"first\n")
        await client.close()
        await site.site.left.wait()


async def test_http_2_passes_behind_the_proxy_protocol(tmp_path: Path, files: Files) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    async with behind(1, tmp_path, files) as site:
        url = f"https://localhost:{site.port}/"
        words = ["--disable", "-sS", "--http2", "--cacert", authority().ca_file(tmp_path), url]
        words += ["--interface", CLIENT, "--noproxy", "*", "--max-time", "20"]
        process = await asyncio.create_subprocess_exec(curl, *words, stdout=asyncio.subprocess.PIPE)
        assert (await process.communicate())[0] == b"hello"
        scope = site.site.scopes[0]
        assert (scope["http_version"], scope["scheme"]) == ("2", "https")
        assert scope["client"][0] == CLIENT
