"""The request as handlers see it, its header fields, and problems as clients see them."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import msgspec
import pydantic
import pytest
from tests.web.driver import Server, ask, scope_for

from tidegate import App, ClientDisconnected, Problem, Request, UsageError
from tidegate.errors import AppError
from tidegate.web.cookies import parse_cookies
from tidegate.web.headers import Headers, MutableHeaders, to_pairs
from tidegate.web.problems import Invalid
from tidegate.web.request import parse_query


def request_for(target: str = "/", headers: Any = (), *pieces: bytes, **more: Any) -> Request:
    server = Server(*pieces, leaves=more.pop("leaves", False))
    return Request({**scope_for("GET", target, headers), **more}, server.receive, server.send)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", {}),
        (b"a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        (b"a&b=&=c&&", {"a": [""], "b": [""], "": ["c"]}),
        (b"a+b=%C3%A9%2B&c=d=e", {"a b": ["é+"], "c": ["d=e"]}),
        ("é=ü&a=b".encode(), {"é": ["ü"], "a": ["b"]}),
        (b"a=%FF&b=\xff", {"a": ["�"], "b": ["�"]}),
    ],
)
def test_queries_are_parsed(query: bytes, expected: dict[str, list[str]]) -> None:
    assert parse_query(query) == expected


def test_cookies_are_parsed() -> None:
    assert parse_cookies('a=1; b="x\\054y"; a=2; c; =d; e=f=g') == {
        "a": "1",
        "b": "x,y",
        "": "d",
        "e": "f=g",
    }
    request = request_for("/", [("cookie", "a=1"), ("cookie", "b=2")])
    assert request.cookies == {"a": "1", "b": "2"}
    assert request.cookies is request.cookies


def test_a_request_says_what_was_asked() -> None:
    request = request_for("/a/b?c=d", {"Host": "h.example:8000"}, root_path="/a")
    assert repr(request) == "<Request GET /a/b>"
    assert request.client == ("127.0.0.1", 1234)
    assert request.host == "h.example:8000"
    assert request.base_url == "http://h.example:8000/a"
    assert request.url == "http://h.example:8000/a/b?c=d"
    assert request.query is request.query
    assert request_for("/ä b", raw_path=None).url == "http://127.0.0.1:80/%C3%A4%20b"
    assert request_for("/", server=("/socket", None), client=None).host == "/socket"
    assert request_for("/", client=None).client is None
    assert request_for("/", server=None).host == "localhost"
    request.state["a"] = 1
    assert request.state == {"a": 1}
    with pytest.raises(Problem, match="Host field is not valid"):
        _ = request_for("/", {"host": "a/b"}).host
    with pytest.raises(UsageError, match="add the Sessions middleware"):
        _ = request.session
    assert request_for("/", session=5).session == 5
    scope = scope_for("GET", "/", [("a", "1")])
    scope["headers"] = tuple(scope["headers"])
    assert Request(scope, request.receive, request.send).headers["A"] == "1"


async def test_content_is_read_once_and_kept() -> None:
    request = request_for("/", {}, b"ab", b"", b"c")
    assert await request.body() == b"abc"
    assert await request.body() == b"abc"
    assert [piece async for piece in request.stream()] == [b"abc"]
    request = request_for("/", {}, b"ab", b"", b"c")
    assert [piece async for piece in request.stream()] == [b"ab", b"c"]
    with pytest.raises(UsageError, match="it comes only once"):
        await request.body()


async def test_content_of_a_client_that_left_is_an_error() -> None:
    for read in (lambda r: r.body(), lambda r: anext(r.stream())):
        request = request_for("/", {}, leaves=True)
        with pytest.raises(ClientDisconnected):
            await read(request)


async def test_content_has_a_limit() -> None:
    request = request_for("/", {"content-length": "4"}, b"abcd")
    request.max_body_size = 3
    with pytest.raises(Problem, match="at most 3 bytes"):
        await request.body()
    request = request_for("/", {"content-length": "x"}, b"ab", b"cd")
    request.max_body_size = 3
    with pytest.raises(Problem, match="at most 3 bytes"):
        await request.body()


async def test_content_is_decoded_as_what_is_asked_for() -> None:
    assert await request_for("/", {}, "é".encode()).text() == "é"
    with pytest.raises(Problem, match="not UTF-8"):
        await request_for("/", {}, b"\xff").text()
    assert await request_for("/", {}, b"[1]").json() == [1]
    assert await request_for("/", {}, b"[1]").json(set[int]) == {1}
    with pytest.raises(Invalid):
        await request_for("/", {}, b'["a"]').json(list[int])
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert await request_for("/", form, b"a=1").form() == {"a": ["1"]}
    assert await request_for("/", {}, b"a=1").form() == {"a": ["1"]}
    with pytest.raises(Problem) as caught:
        await request_for("/", {"content-type": "text/plain"}, b"a=1").form()
    assert caught.value.status == 415


async def test_asking_whether_the_client_has_left_loses_nothing() -> None:
    server = Server(b"first", b"second")
    last = server.incoming.get_nowait(), server.incoming.get_nowait()
    server.incoming.put_nowait(last[0])
    request = Request(scope_for("POST", "/"), server.receive, server.send)
    assert await request.is_disconnected() is False
    server.incoming.put_nowait(last[1])
    assert await request.is_disconnected() is False
    assert await request.body() == b"firstsecond"
    server.leave()
    assert await request.is_disconnected() is True
    assert await request.is_disconnected() is True
    request = request_for("/", {}, b"cut", leaves=True)
    assert await request.is_disconnected() is True
    request = request_for("/", {}, b"a", b"b")
    pieces = request.stream()
    assert await anext(pieces) == b"a"
    assert await request.is_disconnected() is False


async def test_early_hints_are_sent_where_the_server_can() -> None:
    server = Server()
    scope = scope_for("GET", "/")
    request = Request(scope, server.receive, server.send)
    await request.early_hints("</a.css>; rel=preload")
    assert server.reply.messages == []
    scope["extensions"] = {"http.response.early_hint": {}}
    await request.early_hints("</a.css>; rel=preload", "</b.js>; rel=preload")
    assert server.reply.messages == [
        {
            "type": "http.response.early_hint",
            "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"],
        }
    ]


async def test_a_request_makes_paths_below_its_mount() -> None:
    app = App()

    @app.get("/x/{id}")
    async def show(id: int, request: Request) -> str:
        return request.url_for("show", id=id + 1)

    scope = scope_for("GET", "/at/x/1")
    scope["root_path"] = "/at"
    server = Server(b"")
    await app(scope, server.receive, server.send)
    assert server.reply.text == "/at/x/2"


# -- headers -----------------------------------------------------------------


def test_fields_are_found_by_name_whatever_the_case() -> None:
    headers = Headers([(b"a", b"1"), (b"cookie", b"x=1"), (b"a", b"2"), (b"cookie", b"y=2")])
    assert (headers["A"], headers["cookie"]) == ("1, 2", "x=1; y=2")
    assert headers.all("A") == ["1", "2"]
    assert (list(headers), len(headers)) == (["a", "cookie"], 2)
    assert "A" in headers
    assert "b" not in headers
    assert 5 not in headers
    assert headers.get("b", "none") == "none"
    assert repr(Headers([(b"a", b"1")])) == "Headers([(b'a', b'1')])"
    with pytest.raises(KeyError):
        _ = headers["b"]


def test_fields_of_a_response_are_changed_in_place() -> None:
    pairs = to_pairs([("A", "1"), ("a", "2")])
    headers = MutableHeaders(pairs)
    headers["a"] = "3"
    headers.add("A", "4")
    assert pairs == [(b"a", b"3"), (b"a", b"4")]
    del headers["A"]
    assert pairs == []
    headers.discard("a")
    with pytest.raises(KeyError):
        del headers["a"]
    for name in ("accept", "Accept", "origin"):
        headers.vary(name)
    assert headers["vary"] == "accept, origin"
    headers["vary"] = "*"
    headers.vary("accept")
    assert headers["vary"] == "*"


def test_what_is_no_field_is_refused() -> None:
    assert to_pairs(None) == []
    assert to_pairs({"A": "é"}) == [(b"a", "é".encode("latin-1"))]
    for wrong in ({"a": "x\r\nb: y"}, {"a b": "x"}, {"": "x"}):
        with pytest.raises(AppError):
            to_pairs(wrong)
    for untyped in ({"a": 5}, {"a": "€"}, {5: "a"}):
        with pytest.raises(UsageError, match="pair of latin-1 str"):
            to_pairs(untyped)  # type: ignore[arg-type]


# -- problems ----------------------------------------------------------------


class OutOfStock(Problem, status=409, title="Out of stock", type="https://p.example/stock"):
    pass


class SoldOut(OutOfStock): ...


async def test_problems_are_answered_as_rfc_9457_says() -> None:
    app = App()

    class Model(pydantic.BaseModel):
        a: int = 1

    problems = {
        "/bare": Problem(404),
        "/own": OutOfStock("two left", left=2),
        "/inherited": SoldOut(),
        "/other": SoldOut(410, "gone", title="Gone", type="about:blank", instance="/i"),
        "/fields": Problem(401, headers={"WWW-Authenticate": "Basic"}),
        "/member": Problem(400, model=Model(), none=None),
    }

    @app.get("/{name}")
    async def handler(request: Request) -> None:
        raise problems[request.path]

    stock = {"title": "Out of stock", "status": 409, "type": "https://p.example/stock"}
    for target, expected in (
        ("/bare", {"title": "Not Found", "status": 404}),
        ("/own", {**stock, "detail": "two left", "left": 2}),
        ("/inherited", stock),
        (
            "/other",
            {
                "title": "Gone",
                "status": 410,
                "detail": "gone",
                "type": "about:blank",
                "instance": "/i",
            },
        ),
        ("/fields", {"title": "Unauthorized", "status": 401}),
        ("/member", {"title": "Bad Request", "status": 400, "model": {"a": 1}}),
    ):
        reply = await ask(app, target=target)
        assert reply.header("content-type") == "application/problem+json"
        assert (reply.status, reply.json) == (expected["status"], expected)
        assert reply.error is None
    assert (await ask(app, target="/fields")).header("www-authenticate") == "Basic"


def test_problems_say_what_they_are_and_travel_between_processes() -> None:
    assert str(Problem(404)) == "Not Found"
    assert str(OutOfStock()) == "Out of stock"
    assert str(OutOfStock("two left")) == "two left"
    for problem in (
        OutOfStock("d", title="t", headers={"a": "b"}, x=1),
        Invalid([{"detail": "d"}]),
    ):
        copy = pickle.loads(pickle.dumps(problem))
        assert copy.response() == problem.response()
    with pytest.raises(AppError):
        Problem(400, headers={"a": "x\r\nb: y"})
    assert msgspec.json.decode(Problem(400).response()[2]) == {
        "title": "Bad Request",
        "status": 400,
    }


async def test_the_request_of_a_task_is_its_own() -> None:
    app = App()

    @app.post("/{id}")
    async def handler(id: int, request: Request) -> list[Any]:
        await asyncio.sleep(0)
        return [id, request.path_params["id"], (await request.body()).decode()]

    replies = await asyncio.gather(
        *(ask(app, "POST", f"/{n}", {}, str(n).encode()) for n in range(20))
    )
    assert [reply.json for reply in replies] == [[n, str(n), str(n)] for n in range(20)]
