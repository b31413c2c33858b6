"""What holds for each middleware, whatever it does."""

from __future__ import annotations

import copy
import inspect

import pytest

from tidegate.errors import ConfigError
from tidegate.testing.peer import Peer
from tidegate.web import middleware
from tidegate.web.middleware import (
    CORS,
    CSRF,
    Compress,
    HTTPSRedirect,
    MemorySessions,
    RateLimit,
    RequestID,
    SecurityHeaders,
    Sessions,
    Timeout,
    TrustedHost,
)

from .driver import Recorder, ask, page, shake

SECRET = "s" * 32

EVERY = [
    CORS(allow_origins=["https://a.example"]),
    CSRF(secret=SECRET),
    Compress(),
    HTTPSRedirect(["us.example"]),
    RateLimit(1000),
    RequestID(trace=True),
    SecurityHeaders("script-src 'nonce-{nonce}'"),
    Sessions(MemorySessions()),
    Timeout(60),
    TrustedHost(["us.example"]),
]

each = pytest.mark.parametrize("wrap", EVERY, ids=lambda wrap: type(wrap).__name__)


@each
async def test_a_lifespan_goes_through_untouched(wrap):
    app = Recorder()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    before = copy.deepcopy(scope)
    channels = object(), object()
    await wrap(app)(scope, *channels)
    assert app.scopes == [before]


@each
async def test_the_channels_of_a_lifespan_are_those_of_the_server(wrap):
    seen = []

    async def app(scope, receive, send):
        seen.append((receive, send))

    channels = object(), object()
    await wrap(app)({"type": "lifespan"}, *channels)
    assert seen == [channels]


@each
async def test_a_socket_that_may_pass_is_accepted(wrap):
    sent = await shake(wrap(page()), scheme="wss")
    assert [message["type"] for message in sent] == ["websocket.accept"]


@each
async def test_messages_of_the_application_are_not_changed_in_place(wrap):
    start = {"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"a"')]}
    body = {"type": "http.response.body", "body": b"x" * 5000}
    before = copy.deepcopy([start, body])

    async def app(scope, receive, send):
        if "session" in scope:
            scope["session"]["a"] = 1
        await send(start)
        await send(body)

    await ask(wrap(app), headers={"accept-encoding": "gzip", "origin": "https://us.example"})
    assert [start, body] == before


@each
async def test_a_start_without_headers_is_understood(wrap):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    assert (await ask(wrap(app), scheme="https")).status == 200


@each
async def test_a_start_with_a_generator_of_headers_is_understood(wrap):
    async def app(scope, receive, send):
        headers = (pair for pair in [(b"x-a", b"b")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    assert (await ask(wrap(app), scheme="https"))["x-a"] == "b"


@each
async def test_an_error_of_the_application_goes_through(wrap):
    async def app(scope, receive, send):
        raise KeyError("a")

    with pytest.raises(KeyError, match="a"):
        await ask(wrap(app), scheme="https")


@each
async def test_the_request_is_received_as_it_came(wrap):
    seen = []

    async def app(scope, receive, send):
        seen.append(await receive())
        await page()(scope, receive, send)

    await ask(wrap(app), method="POST", scheme="https")
    assert seen == [{"type": "http.request", "body": b"", "more_body": False}]


@each
def test_the_wrapped_application_is_seen_to_be_asgi_3(wrap):
    assert inspect.iscoroutinefunction(wrap(page()))


async def test_all_of_them_together_serve_over_a_connection():
    app = page(b"x" * 5000, headers={"content-type": "text/plain"})
    for wrap in reversed(EVERY):
        if not isinstance(wrap, HTTPSRedirect):
            app = wrap(app)
    peer = Peer(app)
    await peer.send("GET / HTTP/1.1\r\nHost: us.example\r\nOrigin: https://a.example\r\n\r\n")
    response = peer.response()
    assert (response.status, response.body) == (200, b"x" * 5000)
    assert response.header("access-control-allow-origin") == "https://a.example"
    assert response.header("x-request-id")
    assert response.header("ratelimit")
    assert response.header("vary") == "Accept-Encoding, Origin"


def test_every_public_name_can_be_imported():
    for name in middleware.__all__:
        assert getattr(middleware, name) is not None
    with pytest.raises(AttributeError, match="CROS"):
        _ = middleware.CROS


SHORT = "has 5 characters and needs 32"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CORS(), "write allow_origins="),
        (lambda: CORS(allow_origins="*"), r"write \['\*'\]"),
        (lambda: CORS(allow_origins=["https://a.example/"]), "write 'https://a.example'"),
        (lambda: CORS(allow_origins=["https://a.example:443"]), "write 'https://a.example'"),
        (lambda: CORS(allow_origins=["https://A.example"]), "write 'https://a.example'"),
        (lambda: CORS(allow_origins=["a.example"]), "write 'https://a.example'"),
        (lambda: CORS(allow_origins=["https://*.example"]), "regular expression"),
        (lambda: CORS(allow_origins=["https://\u00e9.example"]), "in ASCII"),
        (lambda: CORS(allow_origins=[1]), "list of str"),
        (lambda: CORS(allow_origins=["*"], allow_credentials=True), "by name"),
        (lambda: CORS(allow_origins=["null"], allow_credentials=True), "by name"),
        (lambda: CORS(allow_origin_regex="("), "allow_origin_regex"),
        (lambda: CORS(allow_origins=["*"], allow_methods=["GET, POST"]), "singly"),
        (lambda: CORS(allow_origins=["*"], allow_headers=["a:"]), "allow_headers"),
        (lambda: CORS(allow_origins=["*"], max_age=-1), "max_age"),
        (lambda: CORS(allow_origins=["*"], max_age=1.5), "a whole number"),
        (lambda: CSRF(["a.example"]), "trusted_origins"),
        (lambda: CSRF(secret="short"), SHORT),
        (lambda: CSRF(secret=[]), "newest first"),
        (lambda: CSRF(secure=False), "secure=True"),
        (lambda: CSRF(exempt=["hooks/"]), "write '/hooks/'"),
        (lambda: CSRF(cookie="a b", secret=SECRET), "cannot be the name"),
        (lambda: CSRF(header="a b"), "not a token"),
        (lambda: Compress(-1), "minimum_size"),
        (lambda: Compress(codings=["deflate"]), "there are zstd, br, gzip"),
        (lambda: Compress(levels={"gzip": 10}), "from 1 to 9, not 10"),
        (lambda: Compress(types="text/html"), r"write \['text/html'\]"),
        (lambda: HTTPSRedirect([]), "is empty"),
        (lambda: HTTPSRedirect(["us.example"], port=0), "port"),
        (lambda: HTTPSRedirect(["us.example"], exempt=["a"]), "exempt"),
        (lambda: TrustedHost("us.example"), r"write \['us.example'\]"),
        (lambda: TrustedHost(["https://us.example"]), "not a host"),
        (lambda: TrustedHost(["a.*.example"]), "not a host"),
        (lambda: TrustedHost(["us.example:80"]), "write 'us.example'"),
        (lambda: RateLimit(0), "limit must be a whole number of at least 1"),
        (lambda: RateLimit(True), "not True"),
        (lambda: RateLimit(1, period=0), "period"),
        (lambda: RateLimit(1, period=float("nan")), "period"),
        (lambda: RateLimit(1, burst=0), "burst"),
        (lambda: RateLimit(1, name='a"b'), "name"),
        (lambda: RateLimit(1, exempt=["a"]), "exempt"),
        (lambda: RequestID("a:"), "not a token"),
        (lambda: RequestID(accept="("), "accept"),
        (lambda: SecurityHeaders(frame_options="ALLOW"), "'SAMEORIGIN' or None"),
        (lambda: SecurityHeaders(csp="a\r\nb"), "csp cannot be sent"),
        (lambda: SecurityHeaders(hsts_preload=True), "hsts_include_subdomains=True"),
        (lambda: SecurityHeaders(hsts_max_age=-1), "hsts_max_age"),
        (lambda: Sessions(MemorySessions(), same_site="none", secure=False), "secure=True"),
        (lambda: Sessions(MemorySessions(), same_site="Lax"), "write 'lax'"),
        (lambda: Sessions(MemorySessions(), cookie="__Host-a", path="/b"), "__Host-"),
        (lambda: Sessions(MemorySessions(), cookie=""), "cannot be the name"),
        (lambda: Sessions(MemorySessions(), max_age=0), "max_age"),
        (lambda: MemorySessions(0), "max_sessions"),
        (lambda: middleware.MemoryRates(0), "max_keys"),
        (lambda: middleware.SignedCookies("short"), SHORT),
        (lambda: Timeout(0), "seconds"),
        (lambda: Timeout(1, until="begin"), "write 'start' or 'end'"),
        (lambda: Timeout(1, retry_after=-1), "retry_after"),
    ],
)
def test_wrong_settings_are_refused_with_what_to_write(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
