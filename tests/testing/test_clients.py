"""The application runs as under a server: one loop, its lifespan, and an end to everything."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from tidegate import AppError, UsageError, testing
from tidegate.asgi import Message, Receive, Scope, Send
from tidegate.exchange.lifespan import LifespanFailed
from tidegate.exchange.service import Policy
from tidegate.testing import AsyncClient, BrokenOff, Client, TimedOut, client

from .applications import Mirror, Sender, answer, http_only


class Living:
    """Keeps the loops and threads it ran on, and the events of its lifespan."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.threads: set[int] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.loops.add(asyncio.get_running_loop())
        self.threads.add(threading.get_ident())
        if scope["type"] == "http":
            await asyncio.sleep(0)
            await answer(send, scope["state"]["db"].encode())
            return
        while True:
            kind = (await receive())["type"]
            self.events.append(kind)
            if kind == "lifespan.startup":
                scope["state"]["db"] = "open"
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def test_the_lifespan_and_all_requests_run_on_one_loop_in_this_thread() -> None:
    app = Living()
    with client(app) as c:
        assert isinstance(c, Client)
        assert [c.get("/").text, c.get("/").text] == ["open", "open"]
        assert c.state == {"db": "open"}
        assert app.events == ["lifespan.startup"]
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    assert len(app.loops) == 1
    assert app.threads == {threading.get_ident()}


async def test_in_a_coroutine_the_application_runs_on_the_loop_that_is_there() -> None:
    app = Living()
    async with client(app) as c:
        assert isinstance(c, AsyncClient)
        assert (await c.get("/")).text == "open"
        replies = await asyncio.gather(*[c.get("/") for _ in range(5)])
        assert [reply.text for reply in replies] == ["open"] * 5
    assert app.loops == {asyncio.get_running_loop()}
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_every_method_exists_for_coroutines_too() -> None:
    app = Mirror()
    async with client(app) as c:
        for send in (c.get, c.post, c.put, c.patch, c.delete, c.options):
            reply = await send("/", params={"a": 1})
            assert reply.json()["method"] == app.scope["method"]
        assert (await c.head("/")).status == 200
        assert (await c.request("PURGE", "/")).json()["method"] == "PURGE"
        await c.settle()
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}


async def test_no_task_is_left_behind() -> None:
    before = asyncio.all_tasks()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        await answer(send, b"done")
        await asyncio.sleep(0)

    async with client(app) as c:
        await c.get("/", wait=False)
        await c.stream("GET", "/").__aenter__()
        await c.get("/", content=iter([b"never", b"read"]))
    assert asyncio.all_tasks() == before


def test_tasks_that_nobody_waits_for_are_cancelled_at_the_end() -> None:
    ended = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    tasks = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        tasks.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)
        await answer(send)

    with client(app) as c:
        c.get("/")
        assert not ended
    assert ended == [True]


class Background:
    """Answers, then works on until it is let go."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.done = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        if scope["path"] == "/open":
            assert self.gate is not None
            self.gate.set()
            await answer(send)
            return
        self.gate = self.gate or asyncio.Event()
        await answer(send, b"begun")
        if scope["path"] == "/gate":
            await self.gate.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        self.done += 1
        if scope["path"] == "/fail":
            raise KeyError("in the background")


def test_a_reply_comes_when_background_work_is_done() -> None:
    app = Background()
    with client(app) as c:
        assert c.post("/").text == "begun"
        assert app.done == 1


def test_background_work_can_be_left_running() -> None:
    app = Background()
    with client(app) as c:
        assert c.post("/gate", wait=False).text == "begun"
        assert app.done == 0
        c.get("/open")
        c.settle()
        assert app.done == 1
        c.post("/", wait=False)
    assert app.done == 2


def test_what_fails_in_the_background_is_raised_at_the_latest_at_the_end() -> None:
    app = Background()
    with client(app) as c, pytest.raises(KeyError):
        c.post("/fail")
    with client(app) as c:
        c.post("/fail", wait=False)
        with pytest.raises(KeyError, match="background"):
            c.settle()
        c.settle()
    with pytest.raises(KeyError, match="background"), client(app) as c:
        c.post("/fail", wait=False)


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises, at the place that the path names."""
    http_only(scope)
    if scope["path"] == "/before":
        raise KeyError("before")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/nothing":
        return
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    if scope["path"] == "/within":
        raise KeyError("within")


def test_what_escapes_the_application_is_raised_in_the_test() -> None:
    with client(failing) as c:
        for where in ("before", "within"):
            with pytest.raises(KeyError, match=where) as raised:
                c.get(f"/{where}")
            assert "failing" in [entry.name for entry in raised.traceback]
        with pytest.raises(AppError, match="without sending a response"):
            c.get("/nothing")
        with pytest.raises(AppError, match="without ending a response"):
            c.get("/part")


async def test_what_escapes_the_application_is_raised_in_the_coroutine() -> None:
    async with client(failing) as c:
        with pytest.raises(KeyError, match="before"):
            await c.get("/before")


def test_errors_can_be_answered_as_a_server_does(caplog: pytest.LogCaptureFixture) -> None:
    with client(failing, raise_errors=False) as c:
        reply = c.get("/before")
        assert (reply.status, reply.text) == (500, "Internal Server Error")
        assert c.get("/nothing").status == 500
        with pytest.raises(BrokenOff, match="cut the connection after 200"):
            c.get("/within")
    assert "KeyError: 'before'" in caplog.text


def test_a_startup_that_fails_is_raised() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise KeyError("why")

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise KeyError("at startup")

    with pytest.raises(LifespanFailed, match="no database") as raised, client(refusing):
        pass
    assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(KeyError, match="at startup"), client(raising):
        pass


def test_a_shutdown_that_fails_is_raised() -> None:
    def app_that(fails: str) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if fails == "by raising":
                raise KeyError("at shutdown")
            await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

        return app

    with pytest.raises(KeyError, match="at shutdown"), client(app_that("by raising")):
        pass
    with pytest.raises(LifespanFailed, match="still busy"), client(app_that("politely")):
        pass
    with pytest.raises(ZeroDivisionError), client(app_that("by raising")):
        raise ZeroDivisionError


def test_a_shutdown_that_takes_too_long_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await for_ever()

    with pytest.raises(LifespanFailed, match="shutdown took longer"), client(app) as c:
        # Only now, so that a slow machine has time to start it.
        c._session.settings.timeout = 0.01


def test_an_application_without_a_lifespan_is_served_unless_it_must_have_one() -> None:
    with client(Mirror()) as c:
        assert c.get("/").ok
    with client(Mirror(), lifespan="off") as c:
        assert c.get("/").ok
    with pytest.raises(LifespanFailed, match="no lifespan here"), client(Mirror(), lifespan="on"):
        pass


def test_a_startup_that_takes_too_long_is_given_up() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(LifespanFailed, match="longer than"), client(app, timeout=0.01):
        pass


async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
    """Never answers."""
    http_only(scope)
    await for_ever()


async def for_ever() -> None:
    """Wait."""
    await asyncio.Event().wait()


def test_a_hanging_application_is_named_with_the_place_where_it_waits() -> None:
    with client(hanging) as c:
        with pytest.raises(TimedOut, match=r"did not return; it waits in .*wait\(\).*0.01 s"):
            c.get("/", timeout=0.01)
        with pytest.raises(TimedOut, match="did not answer"):
            c.get("/", timeout=0.01, wait=False)
        with pytest.raises(TimedOut), c.stream("GET", "/", timeout=0.01):
            pass


def test_a_call_that_never_ends_is_an_error_at_the_end() -> None:
    app = Background()
    with (
        pytest.raises(TimedOut, match="did not return"),
        client(app, timeout=0.05, lifespan="off") as c,
    ):
        c.post("/gate", wait=False)


async def test_a_coroutine_that_gives_up_is_a_client_that_left() -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        while not seen or seen[-1]["type"] != "http.disconnect":
            seen.append(await receive())

    async with client(app) as c:
        task = asyncio.create_task(c.get("/"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await c.settle()
    assert [event["type"] for event in seen] == ["http.request", "http.disconnect"]


def test_the_client_vanishes_in_the_middle_of_the_response() -> None:
    app = Sender([b"abc", b"def", b"ghi"])
    with client(app) as c:
        with c.disconnect_after(4):
            reply = c.get("/")
        assert (reply.content, reply.complete, reply.status) == (b"abcd", False, 200)
        assert isinstance(app.ended_by, OSError)
        assert app.sent == 1
        with c.disconnect_after(9):
            assert not c.get("/").complete
        with c.disconnect_after(10):
            assert c.get("/").complete
        assert c.get("/").content == b"abcdefghi"
    with client(Background()) as c, c.disconnect_after(5):
        assert c.get("/").complete


def test_the_client_vanishes_in_the_middle_of_the_request() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "http":
            message = await receive()
            seen.append(message.get("body"))
            if message["type"] == "http.disconnect":
                return

    with client(app) as c, c.disconnect_after(4, of="request"):
        assert not c.post("/", content=iter([b"abc", b"def", b"ghi"])).complete
        assert seen == [b"abc", b"d", None]
        seen.clear()
        c.post("/", content=b"abcdef")
        assert seen == [b"abcd", None]


def test_the_policy_of_the_server_can_be_chosen() -> None:
    app = Mirror()
    with client(app, policy=Policy(root_path="/api")) as c:
        c.get("/items")
    assert (app.scope["root_path"], app.scope["path"]) == ("/api", "/api/items")


async def test_a_client_for_functions_refuses_to_work_in_a_coroutine() -> None:
    with pytest.raises(UsageError, match="async with client"), client(Mirror()):
        pass


def test_a_client_cannot_be_used_when_it_is_not_open() -> None:
    opening = client(Mirror())
    with opening as c:
        assert c.get("/").ok
        with pytest.raises(UsageError, match="open already"), opening:
            pass
    with pytest.raises(UsageError, match="closed"):
        c.get("/")
    with opening as again:
        assert again.get("/").ok


async def test_a_closed_client_for_coroutines_says_so() -> None:
    async with client(Mirror()) as c:
        pass
    with pytest.raises(UsageError, match="not open"):
        await c.get("/")


def test_an_application_that_asks_its_own_client_is_told() -> None:
    clients = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        clients[0].get("/")

    with client(app) as c:
        clients.append(c)
        with pytest.raises(UsageError, match="busy"):
            c.get("/")


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_what_one_request_sets_no_other_sees() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        http_only(scope)
        before = variable.get()
        variable.set("by a request")
        await answer(send, before.encode())

    token = variable.set("by the test")
    with client(app) as c:
        assert [c.get("/").text, c.get("/").text] == ["by the test"] * 2
    variable.reset(token)


async def test_the_error_of_a_coroutine_is_not_hidden_by_a_shutdown_that_fails() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise KeyError("at shutdown")

    with pytest.raises(ZeroDivisionError):
        async with client(app):
            raise ZeroDivisionError
    with pytest.raises(KeyError, match="at shutdown"):
        async with client(app):
            pass


def test_a_debugging_aid_names_the_place_of_a_coroutine_within_another() -> None:
    async def stuck_here() -> None:
        await asyncio.Event().wait()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(stuck_here())

    with client(app, lifespan="off") as c, pytest.raises(TimedOut, match=r"app\(\) .*line \d+\)"):
        c.get("/", timeout=0.01)


def test_the_names_of_the_package_are_found_and_no_others() -> None:
    for name in testing.__all__:
        assert getattr(testing, name).__module__.startswith("tidegate.testing.")
    with pytest.raises(AttributeError, match="nothing"):
        testing.__getattr__("nothing")
