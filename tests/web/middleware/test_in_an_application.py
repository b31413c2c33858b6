"""Middleware in a Tidegate application: around its errors too, and known to its threads."""

from __future__ import annotations

import gzip
import json

import pytest

from tidegate.errors import AppError
from tidegate.web.app import App
from tidegate.web.middleware import (
    CORS,
    CSRF,
    Compress,
    RateLimit,
    RequestID,
    Sessions,
    SignedCookies,
    Timeout,
    csrf_token,
    request_id,
)
from tidegate.web.request import Request

from .driver import Answer, ask

FRIEND = "https://a.example"
SECRET = "s" * 32


def application(*middleware) -> App:
    app = App(middleware=[CORS(allow_origins=[FRIEND]), RequestID(), *middleware])

    @app.get("/")
    async def root(request: Request) -> dict[str, str]:
        return {"id": request_id.get(), "text": "x" * 2000}

    @app.get("/thread")
    def thread() -> str:
        return request_id.get()

    @app.get("/count")
    async def count(request: Request) -> int:
        request.session["count"] = request.session.get("count", 0) + 1
        return request.session["count"]

    @app.get("/large")
    async def large(request: Request) -> int:
        request.session["large"] = "x" * 4096
        return 1

    @app.get("/token")
    async def token(request: Request) -> str:
        return csrf_token(request.scope)

    @app.post("/")
    async def post() -> str:
        return "in"

    @app.get("/fails")
    async def fails() -> str:
        raise KeyError("a")

    return app


async def answer_of(app: App, path: str, error: type[Exception], **more) -> Answer:
    """The answer to a request that raises as well, for the server's log."""

    async def server(scope, receive, send):
        with pytest.raises(error):
            await app(scope, receive, send)

    return await ask(server, path, {"origin": FRIEND}, **more)


async def test_errors_of_handlers_are_marked():
    answer = await answer_of(application(), "/fails", KeyError)
    assert (answer.status, answer["access-control-allow-origin"]) == (500, FRIEND)
    assert answer["content-type"] == "application/problem+json"
    assert answer["x-request-id"]


@pytest.mark.parametrize(("path", "method", "status"), [("/none", "GET", 404), ("/", "PUT", 405)])
async def test_what_no_handler_answers_is_marked(path, method, status):
    answer = await ask(application(), path, {"origin": FRIEND}, method=method)
    assert (answer.status, answer["access-control-allow-origin"]) == (status, FRIEND)


async def test_errors_of_middleware_are_marked():
    app = application(Sessions(SignedCookies(SECRET)))
    answer = await answer_of(app, "/large", AppError)
    assert (answer.status, answer["access-control-allow-origin"]) == (500, FRIEND)
    assert answer["set-cookie"] is None


async def test_refusals_of_middleware_are_marked():
    app = application(RateLimit(1))
    assert (await ask(app, headers={"origin": FRIEND})).status == 200
    answer = await ask(app, headers={"origin": FRIEND})
    assert (answer.status, answer["access-control-allow-origin"]) == (429, FRIEND)


async def test_its_content_is_compressed():
    answer = await ask(application(Compress()), headers={"accept-encoding": "gzip"})
    assert len(json.loads(gzip.decompress(answer.body))["text"]) == 2000


async def test_its_threads_know_the_request():
    answer = await ask(application(), "/thread", {"x-request-id": "a"})
    assert answer.body == b"a"


async def test_its_requests_have_a_session():
    app = application(Sessions(SignedCookies(SECRET)))
    answer = await ask(app, "/count")
    cookie = (answer["set-cookie"] or "").partition(";")[0]
    assert (await ask(app, "/count", {"cookie": cookie})).body == b"2"


async def test_its_pages_can_hand_out_a_token():
    app = application(CSRF(secret=SECRET), Timeout(60))
    answer = await ask(app, "/token")
    cookie = (answer["set-cookie"] or "").partition(";")[0]
    headers = {"cookie": cookie, "x-csrf-token": answer.body.decode()}
    assert (await ask(app, "/", headers, method="POST")).body == b"in"
    del headers["x-csrf-token"]
    assert (await ask(app, "/", headers, method="POST")).status == 403
