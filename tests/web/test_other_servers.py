"""One application on several servers: the same answers."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.apps.launcher import START_TIMEOUT, Launcher, environment, eventually
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

APPLICATIONS = Path(__file__).parent / "applications"
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")

COMMANDS = {
    "uvicorn": ["sample:app", "--port", "{port}", "--ws", "wsproto", "--lifespan", "on"],
    "hypercorn": ["sample:app", "--bind", "127.0.0.1:{port}"],
    "granian": ["sample:app", "--interface", "asgi", "--port", "{port}", "--no-log"],
}


@pytest.fixture(scope="module", params=["tidegate", *COMMANDS])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Host and port of a server of the application."""
    if request.param == "tidegate":
        with Launcher(APPLICATIONS).opened() as launch:
            yield launch("sample:app").base_url.removeprefix("http://")
        return
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    arguments = [part.format(port=port) for part in COMMANDS[request.param]]
    log = tmp_path_factory.mktemp(request.param) / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", request.param, *arguments],
            cwd=APPLICATIONS,
            env=environment({"PYTHONPATH": str(APPLICATIONS)}),
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        if process.poll() is not None:
            pytest.fail(f"{request.param} ended:\n{log.read_text()}")
        try:
            return httpx.get(f"http://127.0.0.1:{port}/members", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(answers, START_TIMEOUT, f"{request.param} to serve")
        yield f"127.0.0.1:{port}"
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
        yield client


def test_requests_are_answered_alike(client: httpx.Client) -> None:
    reply = client.get("/items/5?number=3")
    assert (reply.status_code, reply.json()) == (200, {"id": 5, "number": 3})
    assert reply.headers["x-layer"] == "1"
    assert client.get("/plain").text == "from a thread"
    content = bytes(range(256)) * 1000
    assert client.post("/echo", content=content).content == content
    assert client.post("/echo", content=iter([b"a", b"b"])).content == b"ab"


def test_head_has_no_content(client: httpx.Client) -> None:
    reply = client.head("/plain")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-length"] == "13"
    assert client.head("/nothing").status_code == 404
    assert client.get("/plain").text == "from a thread"  # on the same connection


def test_errors_are_problems(client: httpx.Client) -> None:
    for target, status in (("/problem", 409), ("/nothing", 404), ("/items/x", 422)):
        reply = client.get(target)
        assert (reply.status_code, reply.json()["status"]) == (status, status)
        assert reply.headers["content-type"] == "application/problem+json"
    assert client.delete("/plain").status_code == 405


def test_streams_are_whole(client: httpx.Client) -> None:
    assert client.get("/stream").text == "abc"
    assert client.get("/plain-stream").text == "ab"


def test_events_are_sent_as_they_happen(client: httpx.Client) -> None:
    with client.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        eventually(lambda: httpx.get(client.base_url.join("/members")).json() == 1, 30)
        for word in ("one", "two"):
            httpx.post(client.base_url.join(f"/say/{word}"), timeout=30)
            assert next(line for line in lines if line.startswith("data")) == f"data: {word}"
    # Who left is noticed.
    eventually(lambda: client.get("/members").json() == 0, 30)


@pytest.mark.parametrize("target", ["/waits", "/waits-in-stream"])
def test_a_client_that_leaves_ends_the_handler(client: httpx.Client, target: str) -> None:
    def count(word: str) -> int:
        return int(client.get(f"/log/{word}").text)

    waiting, left = count("waiting"), count("left")
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port or 80), timeout=30) as peer:
        peer.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        eventually(lambda: count("waiting") == waiting + 1, 30)
    eventually(lambda: count("left") == left + 1, 30)


def test_sockets_carry_messages(address: str) -> None:
    with connect(f"ws://{address}/chat", open_timeout=30) as peer:
        peer.send('{"a": 1}')
        assert json.loads(peer.recv(30)) == {"said": {"a": 1}}
        peer.send("no json")
        with pytest.raises(ConnectionClosed) as caught:
            peer.recv(30)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1007


def test_a_refused_socket_has_a_status(address: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://{address}/chat?refused=true", open_timeout=30)
    # 403 where the server knows no other refusal.
    assert caught.value.response.status_code in (401, 403)
