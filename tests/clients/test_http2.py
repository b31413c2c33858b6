"""HTTP/2 as real clients speak it: curl, nghttp, h2load, httpx, gRPC and a browser."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from curl import Curl
from launcher import Launcher, Server
from playwright.sync_api import BrowserContext, expect
from tests.authority import Files, authority

UPLOAD = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("http2")
    authority().ca_file(folder)
    return authority().issue(folder)


@pytest.fixture(scope="module")
def secure(shared_launcher: Launcher, files: Files) -> Server:
    # Not the shared one, which is the first.
    return Launcher(shared_launcher.app_dir)("plain:app", *files.options)


@pytest.fixture(scope="module", autouse=True)
def stopped(secure: Server) -> Iterator[None]:
    yield
    secure.stop()


def run(program: str, *arguments: str, seconds: float = 50) -> str:
    """Run a client to its end; return what it wrote."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [found, *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# curl.

WRITE = ("--write-out", "\n%{http_version} %{http_code}")


@pytest.mark.parametrize("how", ["--http2", "--http2-prior-knowledge"])
def test_curl_without_tls(server: Server, curl: Curl, how: str) -> None:
    answer = curl(how, *WRITE, server.base_url + "/scope").lines
    assert answer[-1] == "2 200"
    assert json.loads(answer[0])["http_version"] == "2"


def test_curl_over_tls(secure: Server, curl: Curl) -> None:
    answer = curl("--insecure", *WRITE, secure.base_url + "/scope")
    assert answer.lines[-1] == "2 200"


def test_curl_that_wants_http_1_gets_it(secure: Server, curl: Curl) -> None:
    answer = curl("--insecure", "--http1.1", *WRITE, secure.base_url + "/scope")
    assert answer.lines[-1] == "1.1 200"


@pytest.mark.parametrize("option", ["--http2-prior-knowledge", "--http2"])
def test_curl_uploads(server: Server, curl: Curl, option: str) -> None:
    url = server.base_url + "/digest"
    answer = json.loads(curl(option, "--data-binary", "@-", url, sent=UPLOAD).output)
    assert (answer["size"], answer["crc32"]) == (len(UPLOAD), zlib.crc32(UPLOAD))


def test_curl_asks_for_many_things_at_once(secure: Server, curl: Curl) -> None:
    url = secure.base_url + "/?[1-8]"
    answer = curl("--insecure", "--parallel", "--http2", url)
    assert answer.lines == ["hello"] * 8


def test_without_http_2_curl_gets_http_1(launch: Launcher, curl: Curl, files: Files) -> None:
    server = launch("plain:app", "--no-http2", *files.options)
    answer = curl("--insecure", "--http2", *WRITE, server.base_url + "/scope")
    assert answer.lines[-1] == "1.1 200"


# nghttp and h2load.


def test_nghttp(server: Server) -> None:
    table = run("nghttp", "-ns", server.base_url + "/", server.base_url + "/scope")
    assert len(re.findall(r" 200 +\d+ /", table)) == 2


def test_nghttp_upgrades(server: Server) -> None:
    assert " 200 " in run("nghttp", "-nus", server.base_url + "/")


@pytest.mark.parametrize("streams", [1, 32])
def test_h2load_loses_nothing(server: Server, streams: int) -> None:
    report = run("h2load", "-n", "4000", "-c", "8", "-m", str(streams), server.base_url + "/")
    assert "4000 succeeded, 0 failed, 0 errored" in report


def test_h2load_over_tls_loses_nothing(secure: Server) -> None:
    report = run("h2load", "-n", "2000", "-c", "4", "-m", "32", secure.base_url + "/")
    assert "2000 succeeded, 0 failed, 0 errored" in report


# httpx.


async def test_httpx_asks_for_many_things_at_once(secure: Server) -> None:
    context = authority().context(checks_host=False)
    async with httpx.AsyncClient(http2=True, verify=context, trust_env=False) as client:
        asked = [client.get(secure.base_url + "/scope") for _ in range(50)]
        answers = await asyncio.gather(*asked)
    assert {answer.http_version for answer in answers} == {"HTTP/2"}
    assert len({tuple(answer.json()["client"]) for answer in answers}) == 1


async def test_httpx_streams_both_ways(secure: Server) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 30_000

    context = authority().context(checks_host=False)
    async with httpx.AsyncClient(http2=True, verify=context, trust_env=False) as client:
        answer = await client.post(secure.base_url + "/echo", content=pieces())
    assert answer.content == b"x" * 600_000


# gRPC.

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def channel(shared_launcher: Launcher) -> Iterator[grpc.Channel]:
    with Launcher(shared_launcher.app_dir).opened() as launch:
        server = launch("grpc_site:app", "--lifespan", "off")
        address = server.base_url.removeprefix("http://")
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(address, options) as channel:
            yield channel


def test_grpc_calls_and_is_answered(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/test.Echo/Echo")
    assert [call(b"%d" % number, timeout=20) for number in range(20)] == [
        b"%d" % number for number in range(20)
    ]


def test_grpc_streams_answers(channel: grpc.Channel) -> None:
    assert list(channel.unary_stream("/test.Echo/Repeat")(b"x", timeout=20)) == [b"x"] * 3


def test_grpc_streams_requests(channel: grpc.Channel) -> None:
    call = channel.stream_unary("/test.Echo/Join")
    assert call(iter([b"x" * 50_000] * 30), timeout=20) == b"30"


def test_grpc_streams_both(channel: grpc.Channel) -> None:
    sent = [b"%d" % number * 1000 for number in range(50)]
    call = channel.stream_stream("/test.Echo/Each")
    assert list(call(iter(sent), timeout=20)) == sent


def test_grpc_reads_the_status_in_the_trailers(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Echo/Fail")(b"x", timeout=20)
    failed: Any = caught.value
    assert failed.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.details() == "as asked"


# WSGI.


def test_a_wsgi_application_is_served(launch: Launcher, tmp_path: Path, curl: Curl) -> None:
    (tmp_path / "wsgi_site.py").write_text(
        "def application(environ, start_response):\n"
        "    body = environ['wsgi.input'].read()\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [environ['SERVER_PROTOCOL'].encode(), b' %d' % len(body)]\n"
    )
    server = launch("wsgi_site:application", "--interface", "wsgi", app_dir=tmp_path)
    url = server.base_url + "/"
    answer = curl("--http2-prior-knowledge", "--data-binary", "@-", url, sent=UPLOAD)
    assert answer.output == f"HTTP/2 {len(UPLOAD)}"


# A browser.

PAGE = """
PAGE = b"<h1>here</h1>"

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"] + scope["http_version"]})
        await receive()
        return
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})
"""

SOCKET = """
new Promise((resolve, reject) => {
    const socket = new WebSocket(location.href.replace("https", "wss"));
    socket.onopen = () => socket.send("over ");
    socket.onmessage = (event) => { resolve(event.data); socket.close(); };
    socket.onerror = () => reject("error");
})
"""


@pytest.mark.once
def test_a_browser_speaks_http_2_and_sockets_over_it(
    launch: Launcher, tmp_path: Path, browser: BrowserContext, files: Files
) -> None:
    (tmp_path / "page_site.py").write_text(PAGE)
    server = launch("page_site:app", "--lifespan", "off", *files.options, app_dir=tmp_path)
    page = browser.new_page()
    session = browser.new_cdp_session(page)
    session.send("Security.enable")
    session.send("Security.setIgnoreCertificateErrors", {"ignore": True})
    page.goto(server.base_url + "/")
    expect(page.locator("h1")).to_have_text("here")
    protocol = "performance.getEntriesByType('navigation')[0].nextHopProtocol"
    assert page.evaluate(protocol) == "h2"
    assert page.evaluate(SOCKET) == "over 2"
