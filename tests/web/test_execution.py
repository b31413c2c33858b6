"""Handlers run where their routes say, and their errors are answered."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Annotated, Any

import pytest
from tests.web.applications import calculations
from tests.web.driver import Server, ask, scope_for

from tidegate import App, ConfigError, Depends, Problem, Request, Response
from tidegate.errors import PoolFull, UsageError
from tidegate.web.execution import as_problem
from tidegate.web.plan import deadline


def thread() -> str:
    return threading.current_thread().name


async def test_a_plain_handler_runs_in_a_thread_or_on_the_loop_as_its_route_says() -> None:
    app = App()
    pool = app.pool("few", threads=2)
    for path, run in (("/auto", "auto"), ("/thread", "thread"), ("/inline", "inline")):
        app.get(path, run=run, name=path)(thread)  # type: ignore[arg-type]
    app.get("/pool", run=pool)(thread)
    here = threading.current_thread().name
    assert (await ask(app, target="/inline")).text == here
    assert here != (await ask(app, target="/auto")).text.rpartition("-")[0] != "few"
    assert (await ask(app, target="/thread")).text != here
    assert "few" in (await ask(app, target="/pool")).text


async def test_what_an_async_handler_cannot_have_is_an_error_at_start() -> None:
    async def handler() -> None: ...

    for run in ("thread", "process", App().pool("p", processes=1)):
        app = App()
        app.get("/", run=run)(handler)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"handler.*asynchronous.*plain functions"):
            app.prepare()


async def test_a_full_pool_is_answered_with_when_to_come_again() -> None:
    app = App()
    pool = app.pool("one", threads=1, max_queue=0)
    go_on, begun = threading.Event(), threading.Event()

    @app.get("/", run=pool)
    def handler() -> str:
        begun.set()
        go_on.wait(30)
        return "done"

    first = asyncio.create_task(ask(app))
    while not begun.is_set():
        await asyncio.sleep(0)
    reply = await ask(app)
    go_on.set()
    assert reply.status == 503
    assert int(reply.header("retry-after") or "") >= 1
    assert reply.error is None
    assert (await first).text == "done"


def test_seconds_until_the_next_try_are_rounded_up() -> None:
    problem = as_problem(PoolFull("full", retry_after=1.2))
    assert problem is not None
    assert problem.headers == {"retry-after": "2"}

    class OfAnotherLibrary(Exception):
        retry_after = 1.0

    assert as_problem(OfAnotherLibrary()) is None


async def test_a_handler_runs_in_another_process_and_is_encoded_there() -> None:
    app = App()
    app.get("/add", run="process")(calculations.add)
    app.get("/echo/{kind}", run=app.pool("two", processes=1))(calculations.echo)
    app.get("/responds", run="process")(calculations.responds)
    app.get("/number", run="process")(calculations.number)
    async with app.opened():
        reply = await ask(app, target="/add?left=3")
        assert reply.header("content-type") == "application/json"
        assert reply.json["left"] + reply.json["right"] == 4
        assert reply.json["process"] not in (0, os.getpid())
        assert (await ask(app, target="/add")).status == 422
        found = [(await ask(app, target=f"/echo/{kind}")).body for kind in ("str", "bytes", "dict")]
        assert found == [b"text", b"bytes", b'{"a":1}']
        assert (await ask(app, target="/echo/none")).status == 204
        reply = await ask(app, target="/responds")
        assert (reply.status, reply.header("x-made"), reply.json["right"]) == (201, "there", 2)


async def test_errors_in_another_process_are_those_of_the_handler() -> None:
    app = App()
    app.get("/refuses", run="process", raises=[calculations.TooLarge])(calculations.refuses)
    app.get("/fails", run="process")(calculations.fails)
    app.get("/never", run="process", timeout=0.2)(calculations.never)

    @app.error(KeyError)
    async def missing(error: KeyError) -> str:
        return f"handled {error}"

    async with app.opened():
        reply = await ask(app, target="/refuses")
        assert (reply.status, reply.json["title"]) == (409, "Too large")
        assert (reply.json["detail"], reply.json["limit"]) == ("more than we can", 7)
        assert (await ask(app, target="/fails")).text == "handled 'of the child'"
        assert (await ask(app, target="/never")).status == 504
        assert app.execution.process_pool("process").metrics().cancelled == 1


def test_a_handler_that_other_processes_cannot_find_is_an_error_at_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nested() -> None: ...

    for handler in (nested, lambda: None):
        app = App()
        app.get("/", run="process")(handler)
        with pytest.raises(ConfigError, match=r"must stand at the top of a module"):
            app.prepare()
    app = App()
    app.get("/", run="process")(calculations.wants_request)
    with pytest.raises(ConfigError, match=r"wants_request.*Request.*cannot go to another process"):
        app.prepare()
    monkeypatch.setattr(calculations.add, "__module__", "__main__")
    app = App()
    app.get("/", run="process")(calculations.add)
    with pytest.raises(ConfigError, match=r"add.*move it to a module of its own"):
        app.prepare()


async def test_who_takes_too_long_is_answered_504_and_can_know_the_time() -> None:
    app = App()
    seen: list[Any] = []

    @app.get("/", timeout=0.05)
    async def handler() -> None:
        seen.append(deadline.get())
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    @app.get("/own", timeout=100)
    async def own() -> None:
        raise TimeoutError("of a database")

    @app.get("/plain", timeout=100)
    def plain() -> bool:
        return deadline.get() is not None

    reply = await ask(app)
    assert (reply.status, reply.error) == (504, None)
    assert "0.05 s" in reply.json["detail"]
    assert seen[1] == "cancelled"
    assert abs(seen[0] - asyncio.get_running_loop().time()) < 60
    assert deadline.get() is None
    reply = await ask(app, target="/own")
    assert (reply.status, str(reply.error)) == (500, "of a database")
    assert (await ask(app, target="/plain")).json is True


async def test_an_error_goes_to_the_handler_of_its_nearest_class() -> None:
    app = App()

    @app.error(LookupError)
    async def lookup(error: LookupError, request: Request) -> Response[str]:
        return Response(f"lookup at {request.path}", 418)

    @app.error(KeyError)
    def key(request, error) -> dict[str, str]:  # type: ignore[no-untyped-def]
        return {"missing": error.args[0]}

    @app.error(ValueError)
    def value(error: ValueError | TypeError) -> Problem:
        return Problem(400, str(error))

    @app.error(TypeError)
    class Typed:
        async def __call__(self, error: TypeError) -> str:
            return "typed"

    app.error(TypeError)(Typed())

    @app.get("/{name}")
    async def handler(name: str) -> None:
        raise {"i": IndexError(), "k": KeyError("x"), "v": ValueError("v"), "t": TypeError()}[name]

    reply = await ask(app, target="/i")
    assert (reply.status, reply.text, reply.error) == (418, "lookup at /i", None)
    reply = await ask(app, target="/k")
    assert (reply.status, reply.json) == (500, {"missing": "x"})
    assert (await ask(app, target="/v")).json["detail"] == "v"
    assert (await ask(app, target="/t")).text == "typed"


async def test_problems_are_not_caught_by_a_handler_for_every_exception() -> None:
    app = App()

    @app.error(Exception)
    async def everything(error: Exception) -> str:
        return "caught"

    @app.get("/{status:int}")
    async def handler(status: int) -> None:
        if status == 200:
            raise RuntimeError
        raise Problem(status)

    assert (await ask(app, target="/200")).text == "caught"
    assert (await ask(app, target="/404")).status == 404

    @app.error(Problem)
    async def own(problem: Problem) -> Response[str]:
        return Response(f"own {problem.status}", problem.status)

    assert (await ask(app, target="/404")).text == "own 404"


async def test_an_error_handler_may_raise_a_problem_and_its_own_errors_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.error(KeyError)
    def key(error: KeyError) -> None:
        raise Problem(410)

    @app.error(ValueError)
    def value(error: ValueError) -> None:
        raise RuntimeError("in the handler")

    @app.error(TypeError)
    def again(error: TypeError) -> None:
        raise error

    @app.get("/{name}")
    async def handler(name: str) -> None:
        raise {"k": KeyError("x"), "v": ValueError("v"), "t": TypeError("t")}[name]

    assert (await ask(app, target="/k")).status == 410
    assert not caplog.records
    reply = await ask(app, target="/v")
    assert (reply.status, repr(reply.error)) == (500, "ValueError('v')")
    assert "The error handler" in caplog.text
    assert "in the handler" in caplog.text
    caplog.clear()
    reply = await ask(app, target="/t")
    assert (reply.status, repr(reply.error)) == (500, "TypeError('t')")
    assert not caplog.records


def test_an_error_handler_that_wants_something_else_is_an_error_at_start() -> None:
    app = App()

    @app.error(KeyError)
    def handler(error: KeyError, number: int) -> None: ...

    with pytest.raises(ConfigError, match=r"handler.*takes the exception.*not 'number'"):
        app.prepare()


async def test_exceptions_of_other_frameworks_are_understood() -> None:
    class HTTPException(Exception):
        def __init__(self, status_code: Any, detail: Any, headers: Any = None) -> None:
            self.status_code, self.detail, self.headers = status_code, detail, headers

    app = App()
    errors = {
        "text": HTTPException(401, "who?", {"www-authenticate": "Basic"}),
        "list": HTTPException(400, [{"a": 1}]),
        "odd": HTTPException("x", "y"),
    }

    @app.get("/{name}")
    async def handler(name: str) -> None:
        raise errors[name]

    reply = await ask(app, target="/text")
    assert (reply.status, reply.json["detail"]) == (401, "who?")
    assert reply.header("www-authenticate") == "Basic"
    assert (await ask(app, target="/list")).json["errors"] == [{"a": 1}]
    assert (await ask(app, target="/odd")).status == 500


async def test_an_unforeseen_error_is_a_500_and_raised_for_the_server() -> None:
    app = App()

    @app.get("/")
    async def handler() -> None:
        raise RuntimeError("a <secret>")

    reply = await ask(app)
    assert (reply.status, reply.json) == (500, {"title": "Internal Server Error", "status": 500})
    assert isinstance(reply.error, RuntimeError)


async def test_the_page_for_developers_escapes_and_hides() -> None:
    app = App(debug=True)

    @app.get("/{name}")
    async def handler(name: str) -> None:
        raise RuntimeError("<script>")

    fields = {
        "accept": "text/html",
        "authorization": "Bearer s3cret",
        "cookie": "a=s3cret",
        "x-api-key": "s3cret",
        "x-text": "<b>",
    }
    reply = await ask(app, "GET", "/<i>", fields)
    assert reply.status == 500
    assert "RuntimeError: &lt;script&gt;" in reply.text
    assert "GET /&lt;i&gt;" in reply.text
    assert "&lt;b&gt;" in reply.text
    assert "test_execution.py" in reply.text
    for word in ("<script>", "<i>", "<b>", "s3cret"):
        assert word not in reply.text
    assert (await ask(app, target="/x")).json["detail"] == "RuntimeError: <script>"


async def test_an_error_after_the_response_has_begun_is_raised_only() -> None:
    app = App()

    @app.get("/")
    async def handler() -> Any:
        async def items() -> Any:
            yield b"first"
            raise RuntimeError("in the middle")

        return items()

    reply = await ask(app)
    assert (reply.status, reply.body) == (200, b"first")
    assert str(reply.error) == "in the middle"
    assert all(m.get("more_body", True) for m in reply.messages)


async def test_a_thread_that_nobody_waits_for_closes_what_it_uses_when_it_is_done() -> None:
    log: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def session() -> Any:
        try:
            yield 1
        finally:
            log.append("closed")

    async def outer() -> Any:
        try:
            yield 2
        finally:
            log.append("outer closed")

    def work() -> str:
        begun.set()
        go_on.wait(30)
        log.append("worked")
        return "x"

    app = App()

    @app.get("/hop", timeout=0.05)
    def in_one_hop(
        one: Annotated[Any, Depends(session)], two: Annotated[Any, Depends(outer)]
    ) -> str:
        return work()

    @app.get("/dependency", timeout=0.05)
    async def after(
        one: Annotated[Any, Depends(session)], two: Annotated[Any, Depends(work)]
    ) -> None: ...

    async with app.opened():
        for path, expected in (
            ("/hop", ["worked", "closed", "outer closed"]),
            ("/dependency", ["worked", "closed"]),
        ):
            log.clear()
            begun.clear()
            go_on.clear()
            assert (await ask(app, target=path)).status == 504
            assert begun.is_set()
            assert log == []
            go_on.set()
            await app.supervisor.drain(30)
            assert log == expected


async def test_a_thread_that_has_not_begun_never_will_when_its_caller_leaves() -> None:
    app = App()
    pool = app.pool("busy", threads=1)
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def session() -> Any:
        yield 1
        closed.set()

    @app.get("/long", run=pool)
    def long() -> str:
        begun.set()
        go_on.wait(30)
        return "long"

    @app.get("/queued", run=pool, timeout=0.01)
    def queued(one: Annotated[Any, Depends(session)]) -> str:
        raise AssertionError("nobody waits")

    first = asyncio.create_task(ask(app, target="/long"))
    while not begun.is_set():
        await asyncio.sleep(0)
    assert (await ask(app, target="/queued")).status == 504
    go_on.set()
    assert (await first).text == "long"
    assert not closed.is_set()
    assert not app.supervisor.running


async def test_a_pool_is_one_kind_and_has_one_size() -> None:
    app = App()
    assert app.pool("a", threads=2) == app.pool("a", threads=2)
    with pytest.raises(ConfigError, match="exists with other limits"):
        app.pool("a", threads=3)
    with pytest.raises(ConfigError, match=r"threads=\.\.\. or processes"):
        app.pool("b")


async def test_a_client_that_leaves_while_a_stream_is_sent_ends_it() -> None:
    app = App()
    closed = []

    @app.get("/")
    async def handler() -> Any:
        async def items() -> Any:
            try:
                while True:
                    yield b"x"
            finally:
                closed.append(True)

        return items()

    server = Server(b"")

    async def send(message: Any) -> None:
        await server.send(message)
        if len(server.reply.pieces) == 3:
            raise UsageError("gone")

    with pytest.raises(UsageError):
        await app(scope_for("GET", "/"), server.receive, send)
    assert closed == [True]
