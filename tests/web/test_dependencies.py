"""Functions give handlers their values, in order, and are closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import datetime
import functools
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any, NewType

import msgspec
import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import (
    App,
    ConfigError,
    Depends,
    Header,
    Problem,
    Query,
    Request,
    StreamResponse,
)

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def thread() -> int:
    return threading.get_ident()


class Item(msgspec.Struct):
    name: str


class Checker:
    def __init__(self, word: str = "checker") -> None:
        self.word = word

    def method(self, number: int = 1) -> str:
        return f"{self.word} {number}"

    async def wait(self, number: int = 1) -> str:
        return f"{self.word} waits {number}"

    def __call__(self, number: int = 1) -> str:
        return f"{self.word} called {number}"


class AsyncChecker:
    async def __call__(self, number: int = 1) -> str:
        return f"async called {number}"


@dataclasses.dataclass
class Unhashable:
    word: str

    def __call__(self, number: int = 1) -> str:
        return f"{self.word} {number}"


class Page:
    def __init__(self, number: int = 1, *, size: int = 10) -> None:
        self.text = f"page {number} of {size}"

    def __str__(self) -> str:
        return self.text


def plain(number: int = 1) -> str:
    return f"plain {number}"


async def waits(number: int = 1) -> str:
    return f"waits {number}"


def yields(number: int = 1) -> Iterator[str]:
    yield f"yields {number}"


async def yields_later(number: int = 1) -> AsyncIterator[str]:
    yield f"yields later {number}"


@contextlib.contextmanager
def managed(number: int = 1) -> Iterator[str]:
    yield f"managed {number}"


@contextlib.asynccontextmanager
async def managed_later(number: int = 1) -> AsyncIterator[str]:
    yield f"managed later {number}"


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def made_async(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def named(word: str, number: int = 1) -> str:
    return f"{word} {number}"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, "plain 7"),
        (waits, "waits 7"),
        (yields, "yields 7"),
        (yields_later, "yields later 7"),
        (managed, "managed 7"),
        (managed_later, "managed later 7"),
        (Checker().method, "checker 7"),
        (Checker().wait, "checker waits 7"),
        (Checker(), "checker called 7"),
        (AsyncChecker(), "async called 7"),
        (Unhashable("no hash"), "no hash 7"),
        (Page, "page 7 of 10"),
        (functools.partial(named, "partial"), "partial 7"),
        (functools.partial(named, word="named"), "named 7"),
        (functools.partial(waits), "waits 7"),
        (decorated(plain), "plain 7"),
        (decorated(waits), "waits 7"),
        (decorated(yields), "yields 7"),
        (decorated(yields_later), "yields later 7"),
        (made_async(plain), "plain 7"),
    ],
    # Not the function: the name of some hold an address.
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whatever_can_be_called_can_be_a_dependency(
    function: Callable[..., Any], expected: str
) -> None:
    app = App()

    @app.get("/async")
    async def handler(
        one: Annotated[Any, Depends(function)], two: Annotated[Any, Depends(function)]
    ) -> str:
        assert one is two
        return str(one)

    @app.get("/plain")
    def in_thread(one: Annotated[Any, Depends(function)]) -> str:
        return str(one)

    for target in ("/async", "/plain"):
        reply = await ask(app, target=f"{target}?number=7&word=evil")
        assert (reply.status, reply.text) == (200, expected)
        assert (await ask(app, target=f"{target}?number=x")).status == 422


async def test_a_dependency_may_be_the_default_and_its_keywords_are_filled() -> None:
    app = App()

    @app.get("/")
    async def handler(*, page: Any = Depends(Page), word: str = "default") -> str:  # noqa: B008
        return f"{page} {word}"

    assert (await ask(app, target="/?size=3&number=2")).text == "page 2 of 3 default"


def test_what_is_no_function_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"Depends\(\) needs a function, not 'x'"):
        Depends("x")  # type: ignore[arg-type]
    assert repr(Depends(plain)) == "Depends(plain)"
    assert "Checker object" in repr(Depends(Checker()))


async def test_a_dependency_is_called_once_a_request_unless_it_says_otherwise() -> None:
    app = App()
    calls = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    def inner(one: Annotated[int, Depends(count)]) -> int:
        return one

    @app.get("/")
    async def handler(
        one: Annotated[int, Depends(count)],
        two: Annotated[int, Depends(inner)],
        three: Annotated[int, Depends(count, use_cache=False)],
    ) -> list[int]:
        return [one, two, three]

    assert (await ask(app)).json == [1, 1, 2]
    assert (await ask(app)).json == [3, 3, 4]


def test_a_circle_of_dependencies_is_an_error_at_start() -> None:
    app = App()

    def first(two: Any) -> None: ...

    def second(one: Annotated[None, Depends(first)]) -> None: ...

    first.__annotations__["two"] = Annotated[None, Depends(second)]

    @app.get("/")
    async def handler(one: Annotated[None, Depends(first)]) -> None: ...

    with pytest.raises(ConfigError, match=r"circle: .*first.* -> .*second.* -> .*first"):
        app.prepare()


def test_two_ways_to_close_or_run_one_dependency_are_an_error_at_start() -> None:
    for options in ({"close": "before"}, {"run": "inline"}):
        app = App()

        @app.get("/")
        async def handler(
            one: Annotated[str, Depends(yields, **options)],  # type: ignore[arg-type]
            two: Annotated[str, Depends(yields, close="after", run="thread")],
        ) -> None: ...

        with pytest.raises(ConfigError, match=r"yields.* in one request; say use_cache=False"):
            app.prepare()


async def test_the_way_that_somebody_asked_for_counts() -> None:
    app = App()

    @app.get("/")
    async def handler(
        one: Annotated[int, Depends(thread)], two: Annotated[int, Depends(thread, run="inline")]
    ) -> bool:
        return one == two == thread()

    assert (await ask(app)).json is True


# -- overrides ---------------------------------------------------------------


class Database:
    name = "real"


class Fake(Database):
    name = "fake"


async def test_overrides_replace_types_and_functions() -> None:
    app = App()

    @app.resource
    async def database() -> AsyncIterator[Database]:
        yield Database()

    async def user(db: Database) -> str:
        return f"user of {db.name}"

    async def other(db: Database) -> str:
        return f"other of {db.name}"

    @app.get("/")
    async def handler(
        db: Database, me: Annotated[str, Depends(user)], again: Annotated[str, Depends(user)]
    ) -> str:
        assert me == again
        return f"{db.name}, {me}"

    async def made() -> AsyncIterator[Database]:
        yield Fake()

    assert (await ask(app)).text == "real, user of real"
    with app.override({Database: Fake()}):
        assert (await ask(app)).text == "fake, user of fake"
        with app.override({user: other}):
            assert (await ask(app)).text == "fake, other of fake"
    with app.override({Database: made, user: "nobody"}):
        assert (await ask(app)).text == "fake, nobody"
    checker = Unhashable("x")
    app.get("/object")(_with(checker))
    assert (await ask(app, target="/object")).text == "x 1"
    assert (await ask(app)).text == "real, user of real"


def _with(dependency: Any) -> Any:
    async def handler(one: Any) -> str:
        return str(one)

    handler.__annotations__["one"] = Annotated[str, Depends(dependency)]
    return handler


async def test_what_is_sent_is_never_replaced_by_what_is_provided() -> None:
    app = App()
    Token = NewType("Token", str)

    @app.resource
    def token() -> Token:
        return Token("token")

    @app.get("/{name}")
    async def handler(
        name: Token, other: str, query: Annotated[Token, Query()], one: Token
    ) -> list[str]:
        return [name, other, query, one]

    reply = await ask(app, target="/path?query=query&other=x&one=x")
    assert reply.json == ["path", "x", "query", "token"]


@pytest.mark.parametrize(
    "kind", [str, int, bool, list[str], str | None, datetime.date, uuid.UUID, set[int]], ids=str
)
def test_a_resource_of_a_type_that_requests_carry_is_refused(kind: Any) -> None:
    app = App()

    async def word() -> None: ...

    word.__annotations__["return"] = kind
    app.resource(word)
    with pytest.raises(ConfigError, match=r"word\(\) .*every parameter of that type .* NewType"):
        app.prepare()


async def test_a_resource_may_be_asked_for_as_one_of_several_types() -> None:
    app = App()

    @app.resource
    def database() -> Database:
        return Database()

    @app.get("/")
    async def handler(db: Database | None = None) -> str:
        return db.name if db else "none"

    assert (await ask(app)).text == "real"


# -- closing -----------------------------------------------------------------


def logged(name: str, log: list[Any], wrong: str = "") -> Callable[[], AsyncIterator[str]]:
    async def dependency() -> AsyncIterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            if wrong == "replaces":
                raise LookupError("instead") from None
            if wrong != "swallows":
                raise
        else:
            log.append(f"close {name}")
            if wrong == "fails":
                raise LookupError("of the commit")
            if wrong == "twice":
                yield name

    return dependency


def logged_plain(name: str, log: list[Any], wrong: str = "") -> Callable[[], Iterator[str]]:
    def dependency() -> Iterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            if wrong == "replaces":
                raise LookupError("instead") from None
            if wrong != "swallows":
                raise
        else:
            log.append(f"close {name}")
            if wrong == "fails":
                raise LookupError("of the commit")
            if wrong == "twice":
                yield name

    return dependency


KINDS = [logged, logged_plain]


def app_with(outer: Depends[Any], inner: Depends[Any], log: list[Any]) -> App:
    app = App()
    for prefix in ("/async", "/plain"):

        async def whole(a: Annotated[str, outer], b: Annotated[str, inner]) -> str:
            log.append("handler")
            return "x"

        async def streams(a: Annotated[str, outer], b: Annotated[str, inner]) -> AsyncIterator[str]:
            log.append("item")
            yield "x"

        async def fails(a: Annotated[str, outer], b: Annotated[str, inner]) -> str:
            raise KeyError

        async def breaks(a: Annotated[str, outer], b: Annotated[str, inner]) -> AsyncIterator[str]:
            yield "x"
            raise KeyError

        def whole_plain(a: Annotated[str, outer], b: Annotated[str, inner]) -> str:
            log.append("handler")
            return "x"

        def streams_plain(a: Annotated[str, outer], b: Annotated[str, inner]) -> Iterator[str]:
            log.append("item")
            yield "x"

        def fails_plain(a: Annotated[str, outer], b: Annotated[str, inner]) -> str:
            raise KeyError

        def breaks_plain(a: Annotated[str, outer], b: Annotated[str, inner]) -> Iterator[str]:
            yield "x"
            raise KeyError

        handlers: list[Any] = [whole, streams, fails, breaks]
        if prefix == "/plain":
            handlers = [whole_plain, streams_plain, fails_plain, breaks_plain]
        for name, handler in zip(("whole", "stream", "fail", "break"), handlers, strict=True):
            app.get(f"{prefix}/{name}", name=prefix + name)(handler)
    return app


async def serve(app: App, target: str, log: list[Any]) -> Any:
    server = Server(b"")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            log.append("sent")
        await server.send(message)

    log.clear()
    try:
        await app(scope_for("GET", target), server.receive, send)
    except Exception as error:
        server.reply.error = error
    return server.reply


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["/async", "/plain"])
async def test_generators_are_closed_before_whole_responses_and_after_streams(
    kind: Any, prefix: str
) -> None:
    log: list[Any] = []
    app = app_with(Depends(kind("a", log)), Depends(kind("b", log)), log)
    await serve(app, prefix + "/whole", log)
    assert log == ["open a", "open b", "handler", "close b", "close a", "sent"]
    await serve(app, prefix + "/stream", log)
    assert log == ["open a", "open b", "sent", "item", "close b", "close a"]
    reply = await serve(app, prefix + "/fail", log)
    assert log == ["open a", "open b", "b sees KeyError", "a sees KeyError", "sent"]
    assert reply.status == 500
    reply = await serve(app, prefix + "/break", log)
    assert log == ["open a", "open b", "sent", "b sees KeyError", "a sees KeyError"]
    assert isinstance(reply.error, KeyError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["/async", "/plain"])
async def test_a_dependency_may_say_when_it_is_closed(kind: Any, prefix: str) -> None:
    log: list[Any] = []
    before = Depends(kind("before", log), close="before")
    after = Depends(kind("after", log), close="after")
    for outer, inner in ((before, after), (after, before)):
        app = app_with(outer, inner, log)
        await serve(app, prefix + "/whole", log)
        assert log[2:] == ["handler", "close before", "sent", "close after"]
        await serve(app, prefix + "/stream", log)
        assert log[2:] == ["close before", "sent", "item", "close after"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["/async", "/plain"])
async def test_what_a_generator_does_with_an_error(kind: Any, prefix: str) -> None:
    log: list[Any] = []
    app = app_with(Depends(kind("a", log)), Depends(kind("b", log, "swallows")), log)
    reply = await serve(app, prefix + "/fail", log)
    assert reply.status == 500
    assert isinstance(reply.error, KeyError)
    assert "a sees KeyError" in log
    app = app_with(Depends(kind("a", log)), Depends(kind("b", log, "replaces")), log)
    reply = await serve(app, prefix + "/fail", log)
    assert isinstance(reply.error, LookupError)
    assert str(reply.error) == "instead"
    assert "a sees LookupError" in log
    app = app_with(Depends(kind("a", log)), Depends(kind("b", log, "fails")), log)
    reply = await serve(app, prefix + "/whole", log)
    assert (reply.status, str(reply.error)) == (500, "of the commit")
    assert "a sees LookupError" in log
    app = app_with(Depends(kind("a", log)), Depends(kind("b", log, "twice")), log)
    reply = await serve(app, prefix + "/whole", log)
    assert "yields more than once" in str(reply.error)
    assert "a sees UsageError" in log


@pytest.mark.parametrize("target", ["/async", "/plain"])
async def test_a_generator_that_does_not_yield_is_an_error(target: str) -> None:
    app = App()

    async def later() -> AsyncIterator[int]:
        if later is None:
            yield 1

    def never() -> Iterator[int]:
        if never is None:
            yield 1

    @app.get("/async")
    async def one(one: Annotated[int, Depends(later)]) -> None: ...

    @app.get("/plain")
    def two(one: Annotated[int, Depends(never)]) -> None: ...

    reply = await ask(app, target=target)
    assert reply.status == 500
    assert "did not yield" in str(reply.error)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_among_dependencies_closes_what_was_opened(kind: Any) -> None:
    log: list[Any] = []
    app = App()
    one = kind("a", log)

    def broken(a: Annotated[str, Depends(one)]) -> str:
        raise Problem(403)

    async def broken_later(a: Annotated[str, Depends(one)]) -> str:
        raise Problem(403)

    for name, function in (("plain", broken), ("later", broken_later)):
        app.get(f"/{name}", name=name)(_with(function))
    app.get("/hop")(lambda a=Depends(broken): None)  # noqa: B008
    for target in ("/plain", "/later", "/hop"):
        log.clear()
        assert (await ask(app, target=target)).status == 403
        assert log == ["open a", "a sees Problem"]


def test_what_is_closed_later_cannot_need_what_is_closed_before() -> None:
    app = App()

    def session() -> Iterator[int]:
        yield 1

    def work(session: Annotated[int, Depends(session, close="before")]) -> Iterator[int]:
        yield 1

    @app.get("/")
    async def handler(work: Annotated[int, Depends(work, close="after")]) -> None: ...

    with pytest.raises(ConfigError, match=r"session.*closed before.*work.*needs it, after"):
        app.prepare()


async def test_what_was_made_with_another_is_never_open_longer() -> None:
    log: list[Any] = []
    app = App()
    session = logged("session", log)

    async def passes(session: Annotated[str, Depends(session)]) -> str:
        return session

    async def late(one: Annotated[str, Depends(passes)]) -> AsyncIterator[str]:
        yield "late"
        log.append("close late")

    early_session = logged("early", log)

    async def early(one: Annotated[str, Depends(early_session, close="before")]) -> Any:
        yield "x"
        log.append("close with early")

    @app.get("/late")
    async def one(one: Annotated[str, Depends(late, close="after")]) -> str:
        return one

    @app.get("/early")
    async def two(one: Annotated[str, Depends(early)]) -> AsyncIterator[str]:
        yield "x"

    await serve(app, "/late", log)
    assert log == ["open session", "sent", "close late", "close session"]
    await serve(app, "/early", log)
    assert log == ["open early", "close with early", "close early", "sent"]


async def test_a_client_that_leaves_closes_all_generators() -> None:
    app = App()
    app.execution.watch.seconds = 0.0
    log: list[Any] = []
    begun = asyncio.Event()

    @app.get("/")
    async def handler(
        a: Annotated[str, Depends(logged("a", log))],
        b: Annotated[str, Depends(logged_plain("b", log))],
    ) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    server = Server(b"")
    call = asyncio.create_task(app(scope_for("GET", "/"), server.receive, server.send))  # type: ignore[arg-type]
    await begun.wait()
    server.leave()
    await asyncio.wait_for(call, 30)
    assert log == ["open a", "open b", "b sees CancelledError", "a sees CancelledError"]
    assert server.reply.status == 0
    begun.clear()
    log.clear()
    call = asyncio.create_task(app(scope_for("GET", "/"), Server(b"").receive, server.send))  # type: ignore[arg-type]
    await begun.wait()
    call.cancel("by the server")
    with pytest.raises(asyncio.CancelledError, match="by the server"):
        await call
    assert log == ["open a", "open b", "b sees CancelledError", "a sees CancelledError"]


# -- threads and the content -------------------------------------------------


async def test_all_plain_pieces_of_a_request_run_in_one_thread() -> None:
    app = App()
    seen: list[int] = []

    def first() -> Iterator[int]:
        seen.append(thread())
        yield 1
        seen.append(thread())

    async def between(one: Annotated[int, Depends(first)]) -> int:
        return one

    def second(one: Annotated[int, Depends(between)]) -> Iterator[int]:
        seen.append(thread())
        yield 1
        seen.append(thread())

    @app.get("/plain")
    def handler(one: Annotated[int, Depends(second)]) -> str:
        seen.append(thread())
        return ""

    @app.get("/async")
    async def later(one: Annotated[int, Depends(second)]) -> str:
        return ""

    @app.get("/stream")
    def streams(one: Annotated[int, Depends(first)]) -> Iterator[str]:
        for _ in range(5):
            seen.append(thread())
            yield "x"

    @app.get("/response")
    def response(one: Annotated[int, Depends(first)]) -> StreamResponse:
        return StreamResponse(streams(1))

    @app.get("/unknown")
    def unknown(one: Annotated[int, Depends(first)]):  # type: ignore[no-untyped-def]
        return StreamResponse(streams(1))

    for target, count in (
        ("/plain", 5),
        ("/async", 4),
        ("/stream", 7),
        ("/response", 7),
        ("/unknown", 7),
    ):
        seen.clear()
        replies = await asyncio.gather(*(ask(app, target=target) for _ in range(1)))
        assert {reply.status for reply in replies} == {200}
        assert (len(seen), len(set(seen))) == (count, 1), target
        assert thread() not in seen


async def test_context_variables_flow_through_all_that_serves_a_request() -> None:
    app = App()

    def first() -> Iterator[None]:
        variable.set("first")
        yield
        log.append(variable.get())

    async def second(_: Annotated[None, Depends(first)]) -> None:
        assert variable.get() == "first"
        variable.set("second")

    def third(_: Annotated[None, Depends(second)]) -> None:
        assert variable.get() == "second"
        variable.set("third")

    log: list[str] = []

    @app.get("/")
    def handler(_: Annotated[None, Depends(third)]) -> str:
        return variable.get()

    assert (await ask(app)).text == "third"
    assert log == ["third"]


async def test_a_dependency_that_needs_the_content_runs_after_it_was_read() -> None:
    app = App()
    order: list[str] = []

    async def late(item: Item) -> str:
        order.append("late")
        return item.name

    def later(name: Annotated[str, Depends(late)]) -> str:
        order.append("later")
        return name

    def gate(key: Annotated[str, Header("x-key")] = "") -> None:
        order.append("gate")
        if not key:
            raise Problem(401)

    @app.post("/", dependencies=[Depends(gate)])
    async def handler(name: Annotated[str, Depends(later)]) -> str:
        return name

    server = Server(b"not json")
    await app(scope_for("POST", "/"), server.receive, server.send)
    assert (server.reply.status, server.received, order) == (401, 0, ["gate"])
    reply = await ask(app, "POST", "/", {"x-key": "1"}, name="x")
    assert (reply.text, order) == ("x", ["gate", "gate", "late", "later"])


async def test_a_request_scoped_resource_is_made_once_a_request() -> None:
    app = App()
    log: list[Any] = []

    @app.resource(scope="request", close="after", run="inline")
    def database(request: Request, word: str = "none") -> Iterator[Database]:
        log.append((request.path, word, thread()))
        yield Database()
        log.append("closed")

    def uses(db: Database) -> Database:
        return db

    @app.get("/")
    async def handler(db: Database, same: Annotated[Database, Depends(uses)]) -> bool:
        return db is same

    assert (await ask(app, target="/?word=w")).json is True
    assert log == [("/", "w", thread()), "closed"]


async def test_dependencies_around_a_route_run_though_nobody_wants_their_value() -> None:
    from tidegate import Router

    log: list[str] = []

    def note(word: str) -> Depends[Any]:
        return Depends(lambda: log.append(word))

    app = App(dependencies=[note("app")])
    router = Router(prefix="/r", dependencies=[note("router")])

    @router.get("/", dependencies=[note("route")])
    async def handler() -> None: ...

    app.include(router)
    await ask(app, target="/r/")
    assert log == ["app", "router", "route"]
