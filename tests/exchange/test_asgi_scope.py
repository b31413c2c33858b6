"""Items 20 to 36 of the ASGI checklist: the scope of an HTTP request."""

from __future__ import annotations

import pytest

from tidegate.exchange.forwarded import Proxies
from tidegate.exchange.service import Policy
from tidegate.testing.peer import Peer
from tidegate.testing.transport import FakeTransport

from .applications import Recorded


async def scope_of(request, policy=None, transport=None):
    application = Recorded()
    peer = Peer(application, policy, transport=transport)
    await peer.send(request)
    return application.scopes[0]


def get(target="/", headers="", version="1.1"):
    return f"GET {target} HTTP/{version}\r\nHost: example.org\r\n{headers}\r\n"


async def test_20_type_is_http():
    assert (await scope_of(get()))["type"] == "http"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_21_http_version(version):
    assert (await scope_of(get(version=version)))["http_version"] == version


async def test_22_method_is_upper_case_and_a_lower_case_one_is_refused():
    assert (await scope_of(get()))["method"] == "GET"
    application = Recorded()
    peer = Peer(application)
    await peer.send("get / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert peer.response().status == 400
    assert application.scopes == []


async def test_23_scheme_is_http_without_tls():
    assert (await scope_of(get()))["scheme"] == "http"


async def test_23_scheme_is_what_a_trusted_proxy_says():
    forwarded = get(headers="X-Forwarded-Proto: https\r\n")
    assert (await scope_of(forwarded))["scheme"] == "https"
    stranger = FakeTransport(peername=("203.0.113.9", 5))
    assert (await scope_of(forwarded, transport=stranger))["scheme"] == "http"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/caf%C3%A9", "/café"),
        ("/a%2Fb", "/a/b"),
        ("/a+b", "/a+b"),
        ("/%", "/%"),
        ("/%zz", "/%zz"),
        ("/%ff", "/\ufffd"),
        ("/plain?%41", "/plain"),
        ("//double", "//double"),
    ],
)
async def test_24_path_is_decoded(target, path):
    assert (await scope_of(get(target)))["path"] == path


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("http://other.org/p%20q?x=1", "/p q", b"x=1", b"other.org"),
        ("http://other.org:81", "/", b"", b"other.org:81"),
        ("HTTP://other.org?x", "/", b"x", b"other.org"),
    ],
)
async def test_25_path_of_an_absolute_target(target, path, query, host):
    scope = await scope_of(get(target, "X: y\r\n"))
    assert (scope["path"], scope["query_string"]) == (path, query)
    assert scope["headers"] == [(b"host", host), (b"x", b"y")]


async def test_26_raw_path_is_as_received_without_the_query():
    assert (await scope_of(get("/a%2Fb%C3%A9?c")))["raw_path"] == b"/a%2Fb%C3%A9"


@pytest.mark.parametrize(
    ("target", "query"), [("/", b""), ("/?", b""), ("/?a=%20&b", b"a=%20&b"), ("/?a?b", b"a?b")]
)
async def test_27_query_string_stays_encoded(target, query):
    assert (await scope_of(get(target)))["query_string"] == query


async def test_28_root_path_that_the_proxy_stripped_is_put_back():
    scope = await scope_of(get("/items%20"), Policy(root_path="/api"))
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/items ")
    assert scope["raw_path"] == b"/api/items%20"


async def test_28_root_path_that_the_proxy_kept_is_left_alone():
    policy = Policy(root_path="/api", root_path_mode="keep")
    scope = await scope_of(get("/api/items"), policy)
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/items")


async def test_29_headers_keep_order_duplicates_and_underscores():
    scope = await scope_of(get(headers="X_y: 1\r\nA: 2\r\nX_y: 3\r\nA: \t4 \r\n"))
    expected = [(b"x_y", b"1"), (b"a", b"2"), (b"x_y", b"3"), (b"a", b"4")]
    assert scope["headers"] == [(b"host", b"example.org"), *expected]


async def test_30_header_names_are_lower_case():
    scope = await scope_of(get(headers="X-MiXeD: VaLuE\r\n"))
    assert scope["headers"][1] == (b"x-mixed", b"VaLuE")


async def test_31_no_pseudo_header_gets_in_and_the_authority_comes_first():
    application = Recorded()
    peer = Peer(application)
    await peer.send("GET / HTTP/1.1\r\n:authority: a\r\nHost: a\r\n\r\n")
    assert peer.response().status == 400
    scope = await scope_of("GET http://b/ HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n")
    assert scope["headers"] == [(b"host", b"b"), (b"x", b"y")]


async def test_32_cookies_are_passed_on_as_received():
    scope = await scope_of(get(headers="Cookie: a=1\r\nCookie: b=2; c=3\r\n"))
    assert scope["headers"][1:] == [(b"cookie", b"a=1"), (b"cookie", b"b=2; c=3")]


async def test_33_client_is_the_peer():
    assert (await scope_of(get()))["client"] == ("127.0.0.1", 50000)
    unix = FakeTransport(peername="", sockname="/run/app.sock")
    assert (await scope_of(get(), transport=unix))["client"] is None


@pytest.mark.parametrize(
    ("line", "client"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:77", ("192.0.2.1", 77)),
        ("[2001:db8::1]:77", ("2001:db8::1", 77)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("6.6.6.6, 192.0.2.1, 127.0.0.1", ("192.0.2.1", 0)),
        ("127.0.0.1", ("127.0.0.1", 0)),
        ("2001:DB8::1, ::ffff:127.0.0.1", ("2001:DB8::1", 0)),
        (" , ", ("127.0.0.1", 50000)),
        ("name:port", None),
        ("unknown", None),
    ],
)
async def test_33_client_behind_a_trusted_proxy(line, client):
    scope = await scope_of(get(headers=f"X-Forwarded-For: {line}\r\n"))
    assert scope["client"] == client


@pytest.mark.parametrize(
    ("trusted", "host", "believed"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["*"], "203.0.113.9", True),
        ([], "127.0.0.1", False),
        (["proxy"], "proxy", True),
        (["proxy"], "other", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["unix"], None, True),
        (["127.0.0.1"], None, False),
    ],
)
def test_33_only_listed_proxies_are_trusted(trusted, host, believed):
    assert Proxies(trusted).trusts(host) is believed


async def test_33_the_nearest_proxy_names_the_scheme_and_nonsense_is_ignored():
    both = get(headers="X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n")
    assert (await scope_of(both))["scheme"] == "https"
    nonsense = get(headers="X-Forwarded-Proto: gopher\r\nX-Forwarded-For: 192.0.2.1\r\n")
    assert (await scope_of(nonsense))["scheme"] == "http"
    only_for = get(headers="X-Forwarded-For: 192.0.2.1\r\n")
    assert (await scope_of(only_for))["scheme"] == "http"


async def test_34_server_is_where_we_listen():
    assert (await scope_of(get()))["server"] == ("127.0.0.1", 8000)
    unix = FakeTransport(peername=b"", sockname=b"/run/app.sock")
    assert (await scope_of(get(), transport=unix))["server"] == ("/run/app.sock", None)


async def test_35_state_is_a_shallow_copy_of_the_lifespan_state():
    application = Recorded()
    peer = Peer(application)
    pool = object()
    peer.service.state = {"pool": pool}
    await peer.get()
    state = application.scopes[0]["state"]
    assert state == {"pool": pool}
    assert state["pool"] is pool
    state["more"] = 1
    await peer.get()
    assert application.scopes[1]["state"] == {"pool": pool}


async def test_36_extensions_is_a_dict_of_this_request_alone():
    application = Recorded()
    peer = Peer(application)
    await peer.get()
    application.scopes[0]["extensions"]["mine"] = {}
    await peer.get()
    assert "mine" not in application.scopes[1]["extensions"]
