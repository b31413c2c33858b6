"""From http to https."""

from __future__ import annotations

import pytest

from tidegate.web.middleware import HTTPSRedirect

from .driver import Recorder, ask, page, shake

HOSTS = ["us.example", "*.us.example"]
DENIAL = {"extensions": {"websocket.http.response": {}}}


@pytest.mark.parametrize(
    ("host", "path", "location"),
    [
        ("us.example", "/a/b?c=d", "https://us.example/a/b?c=d"),
        ("us.example:8000", "/", "https://us.example/"),
        ("A.US.example", "/%C3%A9?q=%20", "https://a.us.example/%C3%A9?q=%20"),
        ("us.example", "//them.example", "https://us.example//them.example"),
        ("us.example", "/a\r\nb", "https://us.example/a%0D%0Ab"),
        ("us.example", "/?a\r\nb", "https://us.example/?a%0D%0Ab"),
    ],
)
async def test_plain_requests_are_redirected(host, path, location):
    app = Recorder()
    answer = await ask(HTTPSRedirect(HOSTS)(app), path, {"host": host}, method="POST")
    assert app.scopes == []
    assert (answer.status, answer["location"], answer.body) == (307, location, b"")


async def test_a_decoded_path_is_encoded_again():
    answer = await ask(HTTPSRedirect(HOSTS)(page()), "/\u00e9 a", raw_path=None)
    assert answer["location"] == "https://us.example/%C3%A9%20a"


async def test_a_secure_request_is_served():
    app = HTTPSRedirect(HOSTS)(page(b"ok"))
    assert (await ask(app, scheme="https", headers={"host": "them.example"})).body == b"ok"


async def test_a_scope_without_a_scheme_is_plain():
    assert (await ask(HTTPSRedirect(HOSTS)(page()), scheme="")).status == 307
    assert (await shake(HTTPSRedirect(HOSTS)(page()), scheme=""))[0]["type"] == "websocket.close"


async def test_nobody_is_redirected_to_another_host():
    answer = await ask(HTTPSRedirect(HOSTS)(page()), headers={"host": "them.example"})
    assert (answer.status, answer["location"]) == (400, None)


async def test_the_redirect_can_be_permanent_and_to_another_port():
    answer = await ask(HTTPSRedirect(HOSTS, permanent=True, port=8443)(page()), "/a")
    assert (answer.status, answer["location"]) == (308, "https://us.example:8443/a")


@pytest.mark.parametrize(
    ("path", "root", "status"),
    [
        ("/health", "", 200),
        ("/health/", "", 307),
        ("/.well-known/acme/a", "", 200),
        ("/.well-known/../a", "", 307),
        ("/api/health", "/api", 200),
        ("/api/health", "", 307),
    ],
)
async def test_exempt_paths_are_served_without_tls(path, root, status):
    app = HTTPSRedirect(HOSTS, exempt=["/health", "/.well-known/"])(page())
    assert (await ask(app, path, root_path=root)).status == status


async def test_a_plain_socket_is_denied_with_the_way_to_go():
    sent = await shake(HTTPSRedirect(HOSTS)(page()), "/a", **DENIAL)
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 307
    assert (b"location", b"wss://us.example/a") in sent[0]["headers"]
    assert await shake(HTTPSRedirect(HOSTS)(page())) == [{"type": "websocket.close", "code": 1008}]


async def test_a_secure_socket_is_accepted():
    sent = await shake(HTTPSRedirect(HOSTS)(page()), scheme="wss")
    assert sent == [{"type": "websocket.accept"}]
