"""What hurts users of other frameworks most, each shown absent: one test per number."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import (
    App,
    ClientDisconnected,
    ConfigError,
    Depends,
    Event,
    Header,
    Hub,
    Problem,
    Request,
    Socket,
    StreamResponse,
    Tasks,
)
from tidegate.testing import client
from tidegate.web.middleware import CORS

if TYPE_CHECKING:
    from decimal import Decimal

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Item(msgspec.Struct):
    name: str


async def test_01_a_pool_of_connections_smaller_than_the_pool_of_threads_starves_nobody() -> None:
    connections = threading.Semaphore(10)
    app = App()

    def connection() -> Iterator[int]:
        # Nobody holds one while waiting for a thread, so there is always one soon.
        if not connections.acquire(timeout=30):
            raise Problem(503)
        yield 1
        connections.release()

    @app.get("/")
    def handler(one: Annotated[int, Depends(connection)]) -> int:
        return one

    @app.get("/async")
    async def waits(one: Annotated[int, Depends(connection)]) -> int:
        await asyncio.sleep(0)
        return one

    for target in ("/", "/async"):
        replies = await asyncio.gather(*(ask(app, target=target) for _ in range(60)))
        assert [reply.status for reply in replies] == [200] * 60


async def test_02_there_is_one_pool_of_threads_for_everything_plain() -> None:
    app = App()
    names = set()

    def dependency() -> None:
        names.add(threading.current_thread().name.rpartition("-")[0])

    @app.get("/")
    def handler(tasks: Tasks, _: Annotated[None, Depends(dependency)]) -> StreamResponse:
        dependency()
        tasks.add(dependency)
        return StreamResponse(items())

    def items() -> Iterator[bytes]:
        dependency()
        yield b"x"

    await ask(app)
    await app.supervisor.drain(30)
    assert len(names) == 1


async def test_03_middleware_with_call_next_is_the_same_task_and_context() -> None:
    tasks = []

    async def layer(request: Request, call_next: Callable[..., Any]) -> Any:
        tasks.append(asyncio.current_task())
        response = await call_next(request)
        response.headers["x-variable"] = variable.get()
        return response

    app = App(middleware=[layer, layer, layer])

    @app.get("/")
    async def handler() -> str:
        tasks.append(asyncio.current_task())
        variable.set("set in the handler")
        return "x"

    before = asyncio.all_tasks()
    reply = await ask(app)
    assert reply.header("x-variable") == "set in the handler"
    assert len(set(tasks)) == 1
    assert asyncio.all_tasks() == before


async def test_04_context_variables_set_in_a_plain_dependency_are_seen_by_the_handler() -> None:
    app = App()

    def dependency() -> None:
        variable.set("dependency")

    @app.get("/async")
    async def in_loop(_: Annotated[None, Depends(dependency)]) -> str:
        return variable.get()

    @app.get("/plain")
    def in_thread(_: Annotated[None, Depends(dependency)]) -> str:
        return variable.get()

    assert (await ask(app, target="/async")).text == "dependency"
    variable.set("outer")
    assert (await ask(app, target="/plain")).text == "dependency"


async def test_05_a_failed_commit_is_an_error_and_a_session_is_open_while_streaming() -> None:
    app = App()
    log = []

    async def session() -> AsyncIterator[str]:
        log.append("open")
        yield "session"
        log.append("commit")
        if len(log) > 5:
            raise RuntimeError("the commit failed")

    @app.get("/whole")
    async def whole(one: Annotated[str, Depends(session)]) -> str:
        log.append("handler")
        return one

    @app.get("/stream")
    async def stream(one: Annotated[str, Depends(session)]) -> AsyncIterator[str]:
        log.append("item")
        yield one

    assert (await ask(app, target="/stream")).text == "session"
    assert log == ["open", "item", "commit"]
    reply = await ask(app, target="/whole")
    assert reply.status == 500
    assert log[3:] == ["open", "handler", "commit"]


async def test_06_dependencies_are_resolved_at_start_also_with_overrides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App()

    def dependency() -> int:
        return 1

    @app.get("/")
    async def handler(one: Annotated[int, Depends(dependency)]) -> int:
        return one

    async def unrelated() -> None: ...

    with app.override({unrelated: 3, dependency: lambda: 2}):
        assert (await ask(app)).json == 2
        monkeypatch.setattr("inspect.signature", _fail)
        monkeypatch.setattr("typing.get_type_hints", _fail)
        assert (await ask(app)).json == 2
        monkeypatch.undo()
    assert (await ask(app)).json == 1


def _fail(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("looked at while serving")


async def test_07_who_may_not_come_in_is_turned_away_before_the_content_is_read() -> None:
    app = App()

    async def user(token: Annotated[str, Header("authorization")] = "") -> str:
        if not token:
            raise Problem(401)
        return token

    @app.post("/items")
    async def create(item: Item, me: Annotated[str, Depends(user)]) -> Item:
        return item

    server = Server(*[b"not json" * 8192] * 100)
    await app(scope_for("POST", "/items"), server.receive, server.send)
    assert server.reply.status == 401
    assert server.received == 0


async def test_08_what_a_handler_returns_is_encoded_once_and_not_validated_again() -> None:
    app = App()
    made = 0

    class Counted(msgspec.Struct):
        name: str

        def __post_init__(self) -> None:
            nonlocal made
            made += 1

    @app.get("/")
    async def handler() -> Counted:
        return Counted("x")

    assert (await ask(app)).json == {"name": "x"}
    assert made == 1


async def test_09_a_client_that_leaves_cancels_the_handler() -> None:
    app = App()
    app.execution.watch.seconds = 0.0
    cancelled = asyncio.Event()
    started = asyncio.Event()

    @app.get("/")
    async def handler() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    server = Server(b"")
    call = asyncio.create_task(_call(app, "GET", server))
    await started.wait()
    server.leave()
    await asyncio.wait_for(cancelled.wait(), 30)
    await call
    assert server.reply.status == 0


async def _call(app: App, method: str, server: Server) -> None:
    await app(scope_for(method, "/"), server.receive, server.send)


async def test_09_a_post_goes_on_unless_its_route_says_otherwise() -> None:
    app = App()
    app.execution.watch.seconds = 0.0
    go_on = asyncio.Event()

    @app.post("/")
    async def handler() -> str:
        await go_on.wait()
        return "done"

    server = Server(b"")
    call = asyncio.create_task(_call(app, "POST", server))
    server.leave()
    for _ in range(20):
        await asyncio.sleep(0)
    go_on.set()
    await call
    assert server.reply.text == "done"


class Peer(Server):
    """The server's side of a WebSocket."""

    def __init__(self, *messages: Any, code: int | None = 1001) -> None:
        super().__init__()
        self.incoming = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        for message in messages:
            self.incoming.put_nowait({"type": "websocket.receive", "text": message})
        if code is not None:
            self.incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    async def talk(self, app: App, **more: Any) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {**scope_for("GET", "/ws"), "type": "websocket", "subprotocols": [], **more}
        del scope["method"]
        await app(scope, self.receive, send)
        return sent


async def test_10_a_socket_ends_by_ending_the_loop_and_has_one_exception() -> None:
    app = App()
    seen: list[Any] = []

    @app.ws("/ws")
    async def handler(socket: Socket[str, str]) -> None:
        async for message in socket:
            seen.append(message)
        seen.append(socket.code)
        for use in (socket.receive, lambda: socket.send("late")):
            with pytest.raises(ClientDisconnected):
                await use()
        assert not issubclass(ClientDisconnected, RuntimeError)

    await Peer("one", "two").talk(app)
    assert seen == ["one", "two", 1001]


async def test_11_a_socket_is_refused_with_a_problem_and_middleware_sees_it() -> None:
    app = App()

    async def user() -> None:
        raise Problem(401, "who are you?")

    @app.ws("/ws")
    async def handler(socket: Socket[str, str], _: Annotated[None, Depends(user)]) -> None: ...

    extension = {"websocket.http.response": {}}
    start, body = await Peer().talk(app, extensions=extension)
    assert start["status"] == 401
    assert msgspec.json.decode(body["body"])["detail"] == "who are you?"
    (close,) = await Peer().talk(app)
    assert close["type"] == "websocket.close"
    assert isinstance(close["reason"], str)


async def test_12_a_slow_member_of_a_room_slows_nobody() -> None:
    hub = Hub()
    got: list[int] = []
    stuck = asyncio.Event()

    class Slow:
        async def send(self, message: int) -> None:
            await stuck.wait()

    class Quick:
        async def send(self, message: int) -> None:
            got.append(message)

    async with hub.join("room", Slow(), queue=2), hub.join("room", Quick(), queue=200):
        for number in range(100):
            assert await hub.publish("room", number) == 2
        while len(got) < 100:
            await asyncio.sleep(0)
    assert got == list(range(100))


async def test_13_what_a_room_drops_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub()

    class Never:
        async def send(self, message: int) -> None:
            await asyncio.Event().wait()

    async with hub.join("room", Never(), queue=2) as member:
        for number in range(100):
            await hub.publish("room", number)
        assert member.dropped >= 97
        assert hub.metrics().dropped == member.dropped
    assert "messages dropped" in caplog.text


async def test_14_plain_code_is_one_hop_and_async_code_none() -> None:
    app = App()
    threads = set()

    def dependency() -> Iterator[None]:
        threads.add(threading.current_thread())
        yield
        threads.add(threading.current_thread())

    @app.get("/")
    def handler(
        _: Annotated[None, Depends(dependency)], __: Annotated[None, Depends(dependency)]
    ) -> str:
        threads.add(threading.current_thread())
        return "x"

    @app.get("/async")
    async def no_hop() -> bool:
        return threading.current_thread() is threading.main_thread()

    await ask(app)
    assert len(threads) == 1
    assert (await ask(app, target="/async")).json is True


async def test_15_middleware_may_read_the_content_and_the_handler_too() -> None:
    seen = []

    async def layer(request: Request, call_next: Callable[..., Any]) -> Any:
        seen.append(await request.body())
        return await call_next(request)

    app = App(middleware=[layer, layer])

    @app.post("/")
    async def handler(item: Item) -> Item:
        return item

    assert (await ask(app, "POST", name="x")).json == {"name": "x"}
    assert seen == [b'{"name": "x"}'] * 2


async def test_16_errors_carry_the_fields_of_cors() -> None:
    async def broken(request: Request, call_next: Callable[..., Any]) -> Any:
        if request.path == "/layer":
            raise RuntimeError("in a layer")
        return await call_next(request)

    app = App(middleware=[CORS(allow_origins=["https://a.example"]), broken])

    @app.get("/handler")
    async def handler() -> str:
        raise RuntimeError("in the handler")

    for target, status in (("/handler", 500), ("/layer", 500), ("/nothing", 404)):
        reply = await ask(app, "GET", target, {"origin": "https://a.example"})
        assert reply.status == status
        assert reply.header("access-control-allow-origin") == "https://a.example"
        assert reply.header("content-type") == "application/problem+json"


async def test_17_a_mounted_application_has_its_lifespan_and_shares_the_state() -> None:
    log = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        log.append("inner up")
        yield {"inner": 1}
        log.append("inner down")

    inner, app = App(lifespan=lifespan), App()
    app.mount("/inner", inner)
    async with app.opened():
        log.append("serving")
        assert app.state == {"inner": 1}
    assert log == ["inner up", "serving", "inner down"]


async def test_18_content_is_limited_per_route_and_can_be_streamed() -> None:
    app = App()

    @app.post("/limited", max_body_size=100)
    async def limited(request: Request) -> int:
        return len(await request.body())

    @app.post("/streamed")
    async def streamed(request: Request) -> list[int]:
        return [len(piece) async for piece in request.stream()]

    pieces = [b"x" * 60] * 3
    assert (await ask(app, "POST", "/limited", {}, *pieces[:1])).json == 60
    assert (await ask(app, "POST", "/limited", {}, *pieces)).status == 413
    announced = {"content-length": "180"}
    server = Server(*pieces)
    await app(scope_for("POST", "/limited", announced), server.receive, server.send)
    assert (server.reply.status, server.received) == (413, 0)
    assert (await ask(app, "POST", "/streamed", {}, *pieces)).json == [60, 60, 60]


async def test_19_errors_are_those_of_the_document_and_never_repeat_what_was_sent() -> None:
    app = App()

    class Login(msgspec.Struct):
        password: Annotated[str, msgspec.Meta(max_length=3)]
        role: str = "user"

    @app.post("/")
    async def login(form: Login) -> str:
        return ""

    reply = await ask(app, "POST", password="secret-value", role=5)
    assert "secret-value" not in reply.text
    assert [error["pointer"] for error in reply.json["errors"]] == ["#/password", "#/role"]
    from tidegate.web.openapi import document

    responses = document(app)["paths"]["/"]["post"]["responses"]
    assert reply.header("content-type") in responses["422"]["content"]


async def test_20_the_documentation_needs_no_other_server() -> None:
    app = App(docs=True)
    for target in ("/docs", "/docs/docs.js", "/docs/docs.css"):
        reply = await ask(app, target=target)
        assert reply.status == 200
        assert "http://" not in reply.text.replace("http://www.w3.org", "")
        assert "https://" not in reply.text


async def test_21_a_test_client_runs_the_application_on_the_loop_of_the_test() -> None:
    app = App()
    loops: list[object] = []

    @app.resource
    async def item() -> AsyncIterator[Item]:
        loops.append(asyncio.get_running_loop())
        yield Item("made in the lifespan")
        loops.append(asyncio.get_running_loop())

    @app.get("/")
    async def handler(item: Item) -> str:
        loops.append(asyncio.get_running_loop())
        return item.name

    @app.ws("/")
    async def socket(sock: Socket[str, str]) -> None:
        loops.append(asyncio.get_running_loop())
        await sock.send("hi")

    async with client(app) as c:
        assert (await c.get("/")).text == "made in the lifespan"
        async with c.ws("/") as ws:
            assert await ws.receive() == "hi"
    assert loops == [asyncio.get_running_loop()] * 4


async def test_22_a_stream_of_events_ends_when_the_client_leaves() -> None:
    app = App()
    closed = asyncio.Event()

    @app.sse("/")
    async def events() -> AsyncIterator[Event]:
        try:
            yield Event("first", id="1")
            await asyncio.Event().wait()
        finally:
            closed.set()

    server = Server(b"")
    call = asyncio.create_task(_call(app, "GET", server))
    while b"first" not in server.reply.body:
        await asyncio.sleep(0)
    server.leave()
    await asyncio.wait_for(closed.wait(), 30)
    await asyncio.wait_for(call, 30)
    assert b"id: 1\ndata: first\n\n" in server.reply.body


async def test_23_background_tasks_fail_alone_and_are_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    done = []

    @app.post("/")
    async def handler(tasks: Tasks) -> str:
        tasks.add(fail)
        tasks.add(slow)
        tasks.add(plain, "plain")
        return ""

    async def fail() -> None:
        raise RuntimeError("of its own")

    async def slow() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        done.append("slow")

    def plain(word: str) -> None:
        done.append(word)

    async with app.opened():
        await ask(app, "POST")
    assert sorted(done) == ["plain", "slow"]
    assert "fail failed" in caplog.text


def test_24_many_routes_are_found_with_as_few_steps_as_few() -> None:
    def calls(count: int, target: str) -> int:
        app = App()
        for number in range(count):
            app.get(f"/r{number}/{{id}}/x{number}", name=str(number))(lambda: None)
        app.prepare()
        app._routes.target(target, "GET")
        seen = 0

        def count_call(frame: Any, event: str, arg: Any) -> None:
            nonlocal seen
            seen += event == "call"

        sys.setprofile(count_call)
        try:
            app._routes.target(target, "GET")
        finally:
            sys.setprofile(None)
        return seen

    assert calls(500, "/r499/7/x499") == calls(4, "/r3/7/x3")
    assert calls(500, "/r499/7/nothing") == calls(4, "/r3/7/nothing")


async def test_25_annotations_may_be_text_and_name_what_is_defined_later() -> None:
    app = App()

    @app.get("/")
    async def handler(one: Annotated[Later, Depends(later)]) -> str:
        return one.word

    class Later:
        word = "later"

    def later() -> Later:
        return Later()

    assert (await ask(app)).text == "later"


def test_25_a_name_for_type_checkers_only_is_an_error_that_says_what_to_move() -> None:
    app = App()

    @app.get("/")
    async def handler(price: Decimal) -> None: ...

    with pytest.raises(ConfigError, match=r"handler.*'price'.*move the import at line \d+ out of"):
        app.prepare()
