"""Metrics, the control socket, and what both say about a server that runs."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.asgi import Receive, Scope, Send
from tidegate.bridge.wsgi.asgi import Wsgi
from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.policies import PathPolicy
from tidegate.server.server import Server
from tidegate.web.middleware import RequestID

from .running import Diary, running

SECONDS = 20


class Blocked:
    """An application that can block the event loop until the test lets it go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self.reached.set()
        self.go_on.wait(SECONDS)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Asking:
    """A client of the control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, line: bytes) -> Any:
        self.writer.write(line + b"\n")
        return json.loads(await self.reader.readline())

    async def ask(self, call: str, **args: Any) -> Any:
        return await self.send(json.dumps({"call": call, "args": args}).encode())


@asynccontextmanager
async def asking(path: Path) -> AsyncIterator[Asking]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield Asking(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


def figures(text: bytes) -> dict[str, float]:
    """Return what Prometheus makes of a page: values by name, those of all labels added."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def test_metrics_can_be_served_beside_the_application() -> None:
    diary = Diary()
    async with running(diary, metrics_path="/metrics") as server:
        assert (await server.get("/page")).body == b"/page"
        answer = await server.get("/metrics")
        assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
        found = figures(answer.body)
        assert found["tidegate_requests_total"] == 1
        assert found["tidegate_connections"] >= 1
        assert found["tidegate_workers"] == 1
        assert found["tidegate_process_resident_memory_bytes"] > 1e6
    assert [scope["path"] for scope in diary.scopes] == ["/page"]


async def test_metrics_can_be_served_apart() -> None:
    async with running(Diary(), metrics_bind="127.0.0.1:0") as server:
        (url,) = server.server.control.addresses
        port = int(re.search(r":(\d+)/metrics$", url)[1])  # type: ignore[index]
        answers = {}
        for method, path in (("GET", "/metrics"), ("GET", "/"), ("POST", "/metrics")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            answers[method, path] = await reader.read()
            writer.close()
            await writer.wait_closed()
        assert b"\ntidegate_workers 1\n" in answers["GET", "/metrics"]
        assert answers["GET", "/"].startswith(b"HTTP/1.1 404")
        assert answers["POST", "/metrics"].startswith(b"HTTP/1.1 405")
        assert b"allow: GET, HEAD" in answers["POST", "/metrics"]
        # The application's own paths are its own.
        assert (await server.get("/metrics")).body == b"/metrics"


async def test_without_anybody_who_asks_nothing_is_counted() -> None:
    async with running(Diary(), access_log=False) as server:
        await server.get()
        assert server.server.observer is not None
        assert server.server.observer.counts is None
        assert server.server.worker is not None
        assert server.server.worker.service.journal is None


async def test_refusals_are_counted_by_status() -> None:
    async with running(Diary(), metrics_path="/metrics") as server:
        client = await server.connect()
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b" 400 " in await client.rest()
        text = (await server.get("/metrics")).body
        assert b'tidegate_refusals_total{kind="400"} 1\n' in text


async def test_pools_and_wsgi_have_figures() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    async with running(Wsgi(application), metrics_bind="127.0.0.1:0") as server:
        assert (await server.get()).body == b"hello"
        assert server.server.observer is not None
        found = server.server.observer.samples()
        assert found['tidegate_pool_threads{pool="wsgi"}'] >= 1
        assert found['tidegate_requests_total{method="GET",status="2xx"}'] == 1


# The control socket.


async def test_only_its_user_may_open_the_socket_and_it_is_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_path_that_is_taken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "control"
    path.write_text("mine")
    with pytest.raises(ConfigError, match=r"control_socket: .*exists and is not a socket"):
        async with running(Diary(), control_socket=str(path)):
            pass
    assert path.read_text() == "mine"


async def test_requests_in_flight_are_listed_and_can_be_cancelled(tmp_path: Path) -> None:
    diary = Diary()
    diary.may_answer.clear()
    path = tmp_path / "control"
    settings = {"control_socket": str(path), "request_id_header": "X-Request-ID"}
    async with running(diary, **settings) as server, asking(path) as line:
        client = await server.connect()
        client.ask("/page", "X-Request-ID: mine\r\n")
        while not diary.scopes:
            await asyncio.sleep(0)
        status = (await line.ask("status"))["ok"]
        (worker,) = status["workers"]
        assert (worker["in_flight"], worker["requests"], worker["draining"]) == (1, 1, False)
        assert worker["connections"] == {"http/1": 1}
        (request,) = worker["oldest"]
        assert request["id"] == "mine"
        assert (request["method"], request["path"]) == ("GET", "/page")
        assert request["client"].startswith("127.0.0.1:")
        assert re.search(r"running\.py:\d+ in Diary\.__call__\(\)$", request["at"])
        assert request["age"] >= 0
        assert await line.ask("cancel", id="mine") == {"ok": True}
        assert (await client.answer()).status == 500
        error = (await line.ask("cancel", id="mine"))["error"]
        assert error == "no request 'mine' is in flight"
    assert "cancel /page" in diary.entries


async def test_a_socket_in_flight_is_listed_too(tmp_path: Path) -> None:
    opened = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        opened.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    path = tmp_path / "control"
    async with running(application, control_socket=str(path)) as server, asking(path) as line:
        client = await server.connect()
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        client.ask(
            "/socket",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n",
        )
        await opened.wait()
        (worker,) = (await line.ask("status"))["ok"]["workers"]
        assert worker["connections"] == {"websocket": 1}
        assert (worker["oldest"][0]["method"], worker["oldest"][0]["path"]) == ("WS", "/socket")
        samples = (await line.ask("samples"))["ok"]
        assert samples["tidegate_requests_in_progress"] == 0
        assert samples["tidegate_websockets_total"] == 1
        server.server.worker.connections.copy().pop().abort()  # type: ignore[union-attr]


async def test_a_request_in_a_thread_is_listed_too(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        reached.set()
        go_on.wait(SECONDS)
        start_response("200 OK", [])
        return [b"hello"]

    path = tmp_path / "control"
    serving = running(Wsgi(application), control_socket=str(path))
    async with serving as server, asking(path) as line:
        client = await server.connect()
        client.ask("/page")
        await asyncio.to_thread(reached.wait, SECONDS)
        (worker,) = (await line.ask("status"))["ok"]["workers"]
        (request,) = worker["oldest"]
        assert (request["path"], request["at"]) == ("/page", "in a thread")
        assert "in flight" in (await line.ask("cancel", id=request["id"]))["error"]
        go_on.set()
        assert (await client.answer()).body == b"hello"


async def test_the_histogram_counts_each_request_once(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)) as server, asking(path) as line:
        for _ in range(3):
            await server.get()
        histogram = (await line.ask("histogram"))["ok"]
        assert sum(count for _, count in histogram) == 3
        assert histogram[-1][0] == "+Inf"


async def test_the_log_level_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)), asking(path) as line:
        assert await line.ask("log_level", level="trace") == {"ok": ["trace"]}
        assert logging.getLogger("tidegate").level == 5
        error = (await line.ask("log_level", level="loud"))["error"]
        assert error == "log_level 'loud': there is no such level"


async def test_the_server_can_be_drained(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)) as server, asking(path) as line:
        assert await line.ask("drain") == {"ok": True}
        await server.task


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("certificates", "there are no certificates"),
        ("recycle", "there is one process"),
        ("nothing", "there is no call 'nothing'; there are status, samples"),
    ],
)
async def test_what_cannot_be_done_is_said(call: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)), asking(path) as line:
        assert words in (await line.ask(call))["error"]


@pytest.mark.parametrize("sent", [b"", b"x", b"[]", b'"status"', b'{"call": 5}', b'{"args": {}}'])
async def test_a_line_that_is_no_call_is_answered(sent: bytes, tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)), asking(path) as line:
        assert (await line.send(sent))["error"].startswith("write one line")
        # And the next one is heard.
        assert "ok" in await line.ask("status")


async def test_a_line_without_end_is_hung_up_on(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with running(Diary(), control_socket=str(path)), asking(path) as line:
        line.writer.write(b"x" * 200_000)
        try:
            assert await line.reader.read() == b""
        except ConnectionResetError:
            pass


@contextmanager
def in_thread(server: Server) -> Iterator[threading.Thread]:
    """Serve in a loop of another thread, so that the test can block it."""

    def serve() -> None:
        asyncio.run(server.serve())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join(SECONDS)


async def test_what_blocks_the_loop_is_seen_while_it_does(tmp_path: Path) -> None:
    blocked = Blocked()
    path = tmp_path / "control"
    config = Config(blocked, port=0, control_socket=str(path), log_level="critical")
    server = Server(config)
    with in_thread(server):
        async with asyncio.timeout(SECONDS):
            while not server.started.is_set():
                await asyncio.sleep(0)
            async with asking(path) as line:
                port = int(server.addresses[0].rpartition(":")[2])
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.to_thread(blocked.reached.wait, SECONDS)
                assert (await line.ask("stalls"))["ok"] == []
                error = (await line.ask("status"))["error"]
                assert "the event loop has not answered" in error
                blocked.go_on.set()
                while not (stalls := (await line.ask("stalls"))["ok"]):
                    pass
                assert stalls[0]["function"].endswith("Blocked.__call__")
                assert "ok" in await line.ask("status")
                writer.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metrics_path": "metrics"}, "metrics_path must start with '/', not 'metrics'"),
        ({"metrics_bind": "9100"}, "metrics_bind must be HOST:PORT, not '9100'"),
        ({"metrics_bind": "a:99999"}, "metrics_bind must be HOST:PORT"),
        ({"metrics_bind": "::1:9100"}, "metrics_bind must be HOST:PORT"),
    ],
)
def test_a_place_that_is_none_is_refused(settings: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config("a:b", **settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:9100", ("127.0.0.1", 9100)),
        ("[::1]:9100", ("::1", 9100)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_a_place_is_host_and_port(text: str, place: tuple[str, int]) -> None:
    assert Config("a:b", metrics_bind=text).metrics_place() == place


async def test_what_waits_for_its_turn_is_counted() -> None:
    diary = Diary()
    diary.may_answer.clear()
    settings = {"limit_concurrency": 1, "limit_queue": 5, "metrics_bind": "127.0.0.1:0"}
    async with running(diary, **settings) as server:
        observer = server.server.observer
        assert observer is not None
        clients = [await server.connect() for _ in range(3)]
        for client in clients:
            client.ask()
        while observer.samples()["tidegate_requests_queued"] < 2:
            await asyncio.sleep(0)
        assert observer.samples()["tidegate_requests_in_progress"] == 1
        diary.may_answer.set()
        for client in clients:
            assert (await client.answer()).status == 200
        found = observer.samples()
        assert (found["tidegate_requests_queued"], found["tidegate_queue_waits_total"]) == (0, 2)
        assert found["tidegate_queue_seconds_total"] >= 0


async def test_paths_with_limits_of_their_own_are_counted_too() -> None:
    policies = {path: PathPolicy(limit_concurrency=1) for path in ("/a", "/b")}
    async with running(Diary(), metrics_bind="127.0.0.1:0", policies=policies) as server:
        assert server.server.observer is not None
        assert server.server.observer.samples()["tidegate_requests_queued"] == 0


async def test_figures_leave_a_wsgi_application_its_threads() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [threading.current_thread().name.encode()]

    async with running(Wsgi(application), metrics_path="/metrics") as server:
        assert b"tidegate" in (await server.get()).body
        worker = server.server.worker
        assert worker is not None
        assert type(worker.service).__name__ == "WsgiService"
        assert b"tidegate_pool_threads" in (await server.get("/metrics")).body


async def test_the_frameworks_middleware_keeps_the_names_of_the_server() -> None:
    diary = Diary()
    application = RequestID(trace=True)(diary)
    settings = {"request_id_header": "X-Request-ID", "trace_context": True}
    async with running(application, **settings) as server:
        answer = await server.get("/", "X-Request-ID: mine\r\n")
    assert [value for name, value in answer.headers if name == "x-request-id"] == ["mine"]
    (scope,) = diary.scopes
    assert scope["state"]["request_id"] == "mine"
    assert scope["state"]["traceparent"].startswith("00-")
