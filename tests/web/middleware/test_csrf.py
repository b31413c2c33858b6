"""Requests that pages of other sites cause."""

from __future__ import annotations

import json
from http.cookies import SimpleCookie

import pytest

from tidegate.errors import UsageError
from tidegate.web.middleware import CSRF, csrf_token

from .driver import Recorder, ask, page, shake

SECRET = "s" * 32
FRIEND = "https://friend.example"
COOKIE = {"cookie": "session=a"}


async def post(headers, wrap=None, path="/", method="POST", **more):
    app = Recorder()
    answer = await ask((wrap or CSRF())(app), path, headers, method=method, **more)
    assert bool(app.scopes) is (answer.status == 200)
    return answer.status


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
async def test_safe_methods_pass(method):
    assert await post({"origin": "https://them.example", **COOKIE}, method=method) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"])
async def test_any_other_method_is_looked_at(method):
    assert await post({"origin": "https://them.example"}, method=method) == 403


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("new", 403)],
)
async def test_the_browser_says_where_the_request_came_from(site, status):
    assert await post({"sec-fetch-site": site, **COOKIE}) == status
    # It knows better than we do: a proxy may have replaced the host.
    assert await post({"sec-fetch-site": site, "origin": "http://us.example"}) == status


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "status"),
    [
        ("http", "us.example", "http://us.example", 200),
        ("https", "us.example", "https://us.example", 200),
        # A proxy took off TLS.
        ("http", "us.example", "https://us.example", 200),
        ("https", "us.example", "http://us.example", 403),
        ("http", "us.example:80", "http://us.example", 200),
        ("https", "us.example:443", "https://us.example", 200),
        ("http", "us.example:8000", "http://us.example:8000", 200),
        ("http", "us.example:8000", "http://us.example", 403),
        ("http", "US.example", "http://us.example", 200),
        ("http", "us.example", "http://them.example", 403),
        ("http", "us.example", "http://us.example.them.example", 403),
        ("http", "us.example", "http://xus.example", 403),
        ("http", "us.example", "null", 403),
        ("http", "us.example", "", 403),
        ("http", "us.example", "http://", 403),
        ("http", "us.example", "us.example", 403),
        ("http", "", "http://", 403),
    ],
)
async def test_an_older_browser_says_its_origin(scheme, host, origin, status):
    assert await post({"host": host, "origin": origin, **COOKIE}, scheme=scheme) == status


async def test_trusted_origins_pass():
    wrap = CSRF([FRIEND])
    for headers in ({"origin": FRIEND}, {"origin": FRIEND, "sec-fetch-site": "cross-site"}):
        assert await post({**headers, **COOKIE}, wrap) == 200
        assert await post({**headers, **COOKIE}) == 403
    assert await post({"origin": "https://friend.example.them"}, wrap) == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"authorization": "Bearer a"}, 200),
        ({"authorization": "Basic a"}, 403),
        ({"authorization": "Negotiate a"}, 403),
        (COOKIE, 403),
    ],
)
async def test_what_says_nothing_passes_only_without_what_browsers_add(headers, status):
    assert await post(headers) == status


async def test_the_refusal_says_what_is_wrong():
    answer = await ask(CSRF()(page()), headers={"origin": "null"}, method="POST")
    assert answer["content-type"] == "application/problem+json"
    assert "another site" in json.loads(answer.body)["detail"]
    answer = await ask(CSRF()(page()), headers=COOKIE, method="POST")
    assert "send Origin" in json.loads(answer.body)["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/hooks/a", 200), ("/hooks/../a", 403), ("/hooks", 403), ("/pay", 200), ("/pay/a", 403)],
)
async def test_exempt_paths_are_not_looked_at(path, status):
    wrap = CSRF(exempt=["/hooks/", "/pay"])
    assert await post({"origin": "https://them.example"}, wrap, path) == status


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"origin": "http://us.example"}, True),
        ({"origin": "https://us.example"}, True),
        ({"origin": "https://them.example"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        (COOKIE, True),
    ],
)
async def test_pages_of_other_sites_cannot_open_a_socket(headers, passes):
    sent = await shake(CSRF()(page()), headers=headers)
    assert [message["type"] for message in sent] == [
        "websocket.accept" if passes else "websocket.close",
    ]


# The token.


def form(scope_or_app=None):
    async def app(scope, receive, send):
        token = csrf_token(scope)
        assert csrf_token(scope) == token
        await page(token.encode())(scope, receive, send)

    return app


async def get_token(wrap, headers=()):
    answer = await ask(wrap(form()), headers=headers)
    return answer.body.decode(), answer


async def test_the_token_and_its_cookie_let_a_request_pass():
    wrap = CSRF(secret=SECRET)
    token, answer = await get_token(wrap)
    cookie = SimpleCookie(answer["set-cookie"])["__Host-csrf"]
    assert cookie.value == token
    assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, "", "/")
    assert answer["vary"] == "Cookie"
    kept = {"cookie": f"session=a; __Host-csrf={token}"}
    assert await post({**kept, "x-csrf-token": token}, wrap) == 200
    # It does not outweigh what a browser says.
    assert await post({**kept, "x-csrf-token": token, "origin": "null"}, wrap) == 403


async def test_neither_the_cookie_nor_the_token_alone_will_do():
    wrap = CSRF(secret=SECRET)
    token, _ = await get_token(wrap)
    other, _ = await get_token(wrap)
    assert token != other
    assert await post({"cookie": f"__Host-csrf={token}"}, wrap) == 403
    assert await post({"cookie": "session=a", "x-csrf-token": token}, wrap) == 403
    both = {"cookie": f"__Host-csrf={token}", "x-csrf-token": other}
    assert await post(both, wrap) == 403


@pytest.mark.parametrize("token", ["a", "a.b", ".", "", "\u00e9"])
async def test_a_token_that_we_did_not_sign_will_not_do(token):
    headers = {"cookie": f"__Host-csrf={token}", "x-csrf-token": token}
    assert await post(headers, CSRF(secret=SECRET)) == 403


async def test_keys_can_be_replaced():
    old, new = "o" * 32, "n" * 32
    token, _ = await get_token(CSRF(secret=old))
    headers = {"cookie": f"__Host-csrf={token}", "x-csrf-token": token}
    assert await post(headers, CSRF(secret=[new, old])) == 200
    assert await post(headers, CSRF(secret=new)) == 403
    token, _ = await get_token(CSRF(secret=[new, old]))
    headers = {"cookie": f"__Host-csrf={token}", "x-csrf-token": token}
    assert await post(headers, CSRF(secret=new)) == 200


async def test_a_client_keeps_its_token():
    wrap = CSRF(secret=SECRET)
    token, _ = await get_token(wrap)
    again, answer = await get_token(wrap, {"cookie": f"__Host-csrf={token}"})
    assert (again, answer["set-cookie"], answer["vary"]) == (token, None, "Cookie")
    forged, answer = await get_token(wrap, {"cookie": "__Host-csrf=a.b"})
    assert forged != "a.b"
    assert answer["set-cookie"]


async def test_who_does_not_ask_gets_no_cookie():
    answer = await ask(CSRF(secret=SECRET)(page()))
    assert (answer["set-cookie"], answer["vary"]) == (None, None)


async def test_without_a_secret_there_is_no_token():
    with pytest.raises(UsageError, match="add CSRF"):
        await ask(CSRF()(form()))
