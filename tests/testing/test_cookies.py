"""A client keeps cookies, and follows redirects when it is told to."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate import UsageError
from tidegate.asgi import Receive, Scope, Send
from tidegate.testing import StatusError, client

from .applications import Mirror, answer, http_only, read


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """Sets the cookie of the query, or redirects to the path in it, with the status of the path."""
    http_only(scope)
    body = b"".join(await read(receive))
    query = scope["query_string"]
    fields = dict(scope["headers"])
    if scope["path"] == "/set":
        await answer(send, b"", 200, [(b"set-cookie", query.replace(b"+", b" "))])
    elif scope["path"][1:].isdigit():
        await answer(send, b"", int(scope["path"][1:]), [(b"location", query)])
    else:
        names = (b"cookie", b"content-type", b"authorization", b"host")
        seen = b"|".join([fields.get(name, b"-") for name in names])
        await answer(
            send, b"|".join([scope["method"].encode(), scope["path"].encode(), body, seen])
        )


def cookie(c: Any, url: str = "/") -> str:
    return c.get(url).text.split("|")[3]


def test_cookies_are_kept_and_sent_again() -> None:
    with client(site) as c:
        reply = c.get("/set?a=1;+Path=/")
        assert reply.cookies == {"a": "1"}
        assert dict(c.cookies) == {"a": "1"}
        assert cookie(c) == "a=1"
        c.get("/set?a=;+Path=/;+Max-Age=0")
        assert cookie(c) == "-"


def test_path_and_secure_are_heeded() -> None:
    with client(site) as c:
        c.get("/set?a=1;+Path=/inner")
        c.get("/set?b=2;+Path=/;+Secure")
        assert cookie(c, "/outer") == "-"
        assert cookie(c, "/inner/x") == "a=1"
        assert cookie(c, "https://testserver/outer") == "b=2"
        assert cookie(c, "https://elsewhere/outer") == "-"


def test_cookies_can_be_given_changed_and_forgotten() -> None:
    with client(site, cookies={"a": "1"}) as c:
        assert cookie(c) == "a=1"
        c.cookies["a"] = "2"
        assert c.cookies["a"] == "2"
        assert c.get("/", cookies={"b": "3"}).text.split("|")[3] == "a=2; b=3"
        del c.cookies["a"]
        assert cookie(c) == "-"
        with pytest.raises(KeyError):
            c.cookies["a"]
        with pytest.raises(KeyError):
            del c.cookies["a"]
        assert len(c.cookies) == 0
        assert repr(c.cookies) == "Cookies({})"


def test_a_client_may_refuse_cookies() -> None:
    with client(site, cookies=False) as c:
        c.get("/set?a=1;+Path=/")
        assert cookie(c) == "-"


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with client(site) as c:
        reply = c.get("/302?/there")
        assert (reply.status, reply.headers["location"]) == (302, "/there")


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET|/there||"),
        (302, "POST", "GET|/there||"),
        (303, "PUT", "GET|/there||"),
        (302, "PUT", "PUT|/there|abc|"),
        (307, "POST", "POST|/there|abc|"),
        (308, "POST", "POST|/there|abc|"),
    ],
)
def test_redirects_are_followed_on_demand(status: int, method: str, then: str) -> None:
    with client(site) as c:
        reply = c.request(
            method, f"/{status}?/there", content="abc", follow_redirects=True, params={}
        )
        assert reply.text.startswith(then)
        assert [step.status for step in reply.history] == [status]
        kind = "-" if then.startswith("GET") else "text/plain; charset=utf-8"
        assert reply.text.split("|")[4] == kind


def test_a_redirect_to_get_leaves_the_content_and_its_headers_behind() -> None:
    with client(site) as c:
        headers = {"content-type": "text/x", "content-length": "3"}
        reply = c.post("/303?/there", content="abc", headers=headers, follow_redirects=True)
        assert reply.text.split("|")[2:5] == ["", "-", "-"]


def test_a_redirect_elsewhere_takes_no_secrets_with_it() -> None:
    with client(site) as c:
        headers = {"authorization": "me"}
        same = c.get("/302?/there", headers=headers, follow_redirects=True)
        other = c.get("/302?http://other/there", headers=headers, follow_redirects=True)
        assert same.text.split("|")[5:] == ["me", "testserver"]
        assert other.text.split("|")[5:] == ["-", "other"]


def test_cookies_set_on_the_way_arrive_at_the_end() -> None:
    async def login(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/login":
            headers = [(b"location", b"/home"), (b"set-cookie", b"session=1; Path=/")]
            await answer(send, b"", 303, headers)
        else:
            await site(scope, receive, send)

    with client(login, lifespan="off") as c:
        assert (
            c.post("/login", data={"a": 1}, follow_redirects=True).text.split("|")[3] == "session=1"
        )


def test_redirects_in_a_circle_end() -> None:
    with client(Mirror(302, [(b"location", b"/again")])) as c:
        with pytest.raises(StatusError, match="more than 20 redirects"):
            c.get("/", follow_redirects=True)
        with pytest.raises(UsageError, match="cannot be sent again"):
            c.request("PUT", "/", content=iter([b"x"]), follow_redirects=True)
