"""What a trusted proxy says of its client, and what nobody else can make us believe."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import pytest
from tests.authority import authority

from tidegate.asgi import Scope
from tidegate.exchange.forwarded import BELIEVED, FIELDS, Proxies
from tidegate.exchange.service import Policy
from tidegate.http import PROXY_FIELDS, is_host
from tidegate.testing.peer import Peer
from tidegate.testing.transport import FakeTransport

from .applications import Recorded

LOOPBACK = ("127.0.0.1",)
STRANGER = ("203.0.113.9", 4000)


async def scope_of(
    *headers: str,
    believed: tuple[str, ...] = FIELDS,
    trusted: tuple[str, ...] = LOOPBACK,
    peer: Any = ("127.0.0.1", 50000),
    target: str = "/page",
    **policy: Any,
) -> Scope:
    application = Recorded()
    made = Policy(proxies=Proxies(trusted, believed), **policy)
    client = Peer(application, made, transport=FakeTransport(peername=peer))
    lines = "".join(f"{line}\r\n" for line in ("Host: inner:8000", *headers))
    await client.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n")
    scope: Scope = application.scopes[0]
    return scope


def host_of(scope: Scope) -> bytes:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    assert len(hosts) == 1
    assert isinstance(hosts[0], bytes)
    return hosts[0]


def test_every_field_that_can_be_believed_is_noticed_in_a_head() -> None:
    assert {name.encode() for name in FIELDS} | {b"client-cert-chain"} == PROXY_FIELDS
    assert set(BELIEVED) <= set(FIELDS)


async def test_nothing_but_address_and_scheme_is_believed_by_default() -> None:
    scope = await scope_of(
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 81",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=6.6.6.6;host=evil.example",
        "Client-Cert: :AAAA:",
        believed=BELIEVED,
    )
    assert scope["client"] == ("192.0.2.1", 0)
    assert scope["scheme"] == "https"
    assert host_of(scope) == b"inner:8000"
    assert scope["root_path"] == ""
    assert "tls" not in scope["extensions"]
    assert (b"client-cert", b":AAAA:") in scope["headers"]


async def test_a_stranger_is_believed_in_nothing() -> None:
    scope = await scope_of(
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 81",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=6.6.6.6;host=evil.example",
        peer=STRANGER,
    )
    assert scope["client"] == STRANGER
    assert scope["scheme"] == "http"
    assert host_of(scope) == b"inner:8000"
    assert scope["path"] == "/page"


# X-Forwarded.


async def test_a_chain_is_followed_to_the_first_address_that_is_not_ours() -> None:
    scope = await scope_of(
        "X-Forwarded-For: 6.6.6.6, 192.0.2.1",
        "X-Forwarded-For: 10.0.0.2, 10.0.0.1",
        trusted=("127.0.0.1", "10.0.0.0/8"),
    )
    assert scope["client"] == ("192.0.2.1", 0)


async def test_who_hides_in_a_chain_is_unknown_and_ends_it() -> None:
    scope = await scope_of("X-Forwarded-For: 192.0.2.1, unknown, 127.0.0.1")
    assert scope["client"] is None


async def test_a_chain_beyond_all_measure_has_no_client() -> None:
    lines = ["X-Forwarded-For: " + ",".join(["127.0.0.1"] * 150)]
    assert (await scope_of(*lines))["client"] is None


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        (["X-Forwarded-Host: shop.example"], b"shop.example"),
        (["X-Forwarded-Host: evil.example, shop.example"], b"shop.example"),
        (["X-Forwarded-Host: shop.example:81"], b"shop.example:81"),
        (["X-Forwarded-Host: shop.example", "X-Forwarded-Port: 81"], b"shop.example:81"),
        (["X-Forwarded-Host: shop.example:8", "X-Forwarded-Port: 80"], b"shop.example"),
        (
            ["X-Forwarded-Host: a", "X-Forwarded-Port: 443", "X-Forwarded-Proto: https"],
            b"a",
        ),
        (["X-Forwarded-Host: [2001:db8::1]", "X-Forwarded-Port: 81"], b"[2001:db8::1]:81"),
        (["X-Forwarded-Port: 81"], b"inner:81"),
        (["X-Forwarded-Port: 0"], b"inner:8000"),
        (["X-Forwarded-Port: 65536"], b"inner:8000"),
        (["X-Forwarded-Port: 000081"], b"inner:8000"),
        (["X-Forwarded-Port: +81"], b"inner:8000"),
        (["X-Forwarded-Host: not a host"], b"inner:8000"),
        (["X-Forwarded-Host: :", "X-Forwarded-Port: 81"], None),
        (["X-Forwarded-Host:"], b"inner:8000"),
    ],
)
async def test_the_host_is_what_the_client_asked_for(headers: list[str], host: bytes) -> None:
    assert host_of(await scope_of(*headers)) == (host or b"inner:8000")


async def test_the_host_comes_first_also_where_there_was_none() -> None:
    application = Recorded()
    peer = Peer(application, Policy(proxies=Proxies(LOOPBACK, FIELDS)))
    await peer.send("GET / HTTP/1.0\r\nA: b\r\nX-Forwarded-Host: shop.example\r\n\r\n")
    assert application.scopes[0]["headers"][:2] == [(b"host", b"shop.example"), (b"a", b"b")]


@pytest.mark.parametrize(
    ("value", "root_path", "path", "raw_path"),
    [
        ("/api", "/api", "/api/page", b"/api/page"),
        ("/api/", "/api", "/api/page", b"/api/page"),
        ("/evil, /a/b", "/a/b", "/a/b/page", b"/a/b/page"),
        ("/caf%C3%A9", "/café", "/café/page", b"/caf%C3%A9/page"),
        ("//evil.example", "", "/page", b"/page"),
        ("api", "", "/page", b"/page"),
        ("/a b", "", "/page", b"/page"),
        ("/a%zz", "", "/page", b"/page"),
        ("/%2Fevil.example", "", "/page", b"/page"),
        ("/", "", "/page", b"/page"),
    ],
)
async def test_a_prefix_is_the_root_path(
    value: str, root_path: str, path: str, raw_path: bytes
) -> None:
    scope = await scope_of(f"X-Forwarded-Prefix: {value}")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (root_path, path, raw_path)


async def test_a_prefix_comes_before_the_setting_and_may_still_be_in_the_path() -> None:
    prefix = "X-Forwarded-Prefix: /api"
    scope = await scope_of(prefix, target="/api/page", root_path="/other", root_path_mode="keep")
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/page")


# Forwarded (RFC 7239).


@pytest.mark.parametrize(
    ("lines", "client", "scheme", "host"),
    [
        (["for=192.0.2.1"], ("192.0.2.1", 0), "http", b"inner:8000"),
        (["For=192.0.2.1;PROTO=HTTPS;Host=a"], ("192.0.2.1", 0), "https", b"a"),
        (['for="192.0.2.1:47011"'], ("192.0.2.1", 47011), "http", b"inner:8000"),
        (['for="[2001:db8::1]:4711"'], ("2001:db8::1", 4711), "http", b"inner:8000"),
        (['for="[2001:db8::1]"'], ("2001:db8::1", 0), "http", b"inner:8000"),
        (["for=192.0.2.1:47011"], ("192.0.2.1", 47011), "http", b"inner:8000"),
        (["for=unknown"], None, "http", b"inner:8000"),
        (["for=_hidden"], None, "http", b"inner:8000"),
        (['for="_hidden:_x"'], None, "http", b"inner:8000"),
        (["for=192.0.2.1 ; proto=https ;"], ("192.0.2.1", 0), "https", b"inner:8000"),
        (['for="192.0.\\2.1"'], ("192.0.2.1", 0), "http", b"inner:8000"),
        (["for=6.6.6.6, for=192.0.2.1"], ("192.0.2.1", 0), "http", b"inner:8000"),
        (["for=6.6.6.6", "for=192.0.2.1"], ("192.0.2.1", 0), "http", b"inner:8000"),
        (["for=192.0.2.1, for=127.0.0.1"], ("192.0.2.1", 0), "http", b"inner:8000"),
        (["for=127.0.0.1"], ("127.0.0.1", 0), "http", b"inner:8000"),
        (
            ["for=192.0.2.1;proto=https;host=a, for=127.0.0.1;proto=http;host=b"],
            *(("192.0.2.1", 0), "https", b"a"),
        ),
        (
            ["for=192.0.2.1, for=127.0.0.1;proto=https;host=b"],
            *(("192.0.2.1", 0), "https", b"b"),
        ),
        (["proto=https"], ("127.0.0.1", 50000), "https", b"inner:8000"),
        (["by=x, for=127.0.0.1"], ("127.0.0.1", 0), "http", b"inner:8000"),
        (["for=192.0.2.1;proto=gopher"], ("192.0.2.1", 0), "http", b"inner:8000"),
        # What a client leaves open does not reach what the proxy adds.
        (['for="6.6.6.6', "for=192.0.2.1"], ("192.0.2.1", 0), "http", b"inner:8000"),
        (['host="', 'for="[2001:db8::1]"'], ("2001:db8::1", 0), "http", b"inner:8000"),
        (['for="6.6.6.6\\', "for=192.0.2.1"], ("192.0.2.1", 0), "http", b"inner:8000"),
        (['for=6.6.6.6;x="a,b"', "for=127.0.0.1"], ("6.6.6.6", 0), "http", b"inner:8000"),
        # What breaks the grammar says nothing.
        (["for"], ("127.0.0.1", 50000), "http", b"inner:8000"),
        (["for=1;for=2"], ("127.0.0.1", 50000), "http", b"inner:8000"),
        (["for = 192.0.2.1"], ("127.0.0.1", 50000), "http", b"inner:8000"),
        (['for="192.0.2.1'], ("127.0.0.1", 50000), "http", b"inner:8000"),
        (["rubbish, for=127.0.0.1"], ("127.0.0.1", 0), "http", b"inner:8000"),
        ([""], ("127.0.0.1", 50000), "http", b"inner:8000"),
        ([" , ,"], ("127.0.0.1", 50000), "http", b"inner:8000"),
    ],
)
async def test_forwarded(lines: list[str], client: Any, scheme: str, host: bytes) -> None:
    scope = await scope_of(*(f"Forwarded: {line}" for line in lines))
    assert (scope["client"], scope["scheme"], host_of(scope)) == (client, scheme, host)


async def test_forwarded_comes_before_x_forwarded() -> None:
    scope = await scope_of(
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=192.0.2.1",
    )
    assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 0), "http")
    assert host_of(scope) == b"inner:8000"


async def test_a_name_that_hides_a_proxy_of_ours_can_be_listed() -> None:
    trusted = ("127.0.0.1", "_edge")
    scope = await scope_of("Forwarded: for=192.0.2.1, for=_edge", trusted=trusted)
    assert scope["client"] == ("192.0.2.1", 0)


async def test_a_long_field_is_read_once() -> None:
    """Otherwise this would take minutes: every comma is inside of a quotation that never ends."""
    for value in ('"' + "," * 60_000, ",".join(["for=127.0.0.1"] * 4000), '",' * 30_000):
        scope = await scope_of(f"Forwarded: {value}")
        assert scope["client"] in (("127.0.0.1", 50000), ("127.0.0.1", 0), None)


# Client-Cert (RFC 9440).


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A client's certificate and its authority's, as the field has them."""
    folder = tmp_path_factory.mktemp("certificates")
    files = authority().issue(folder, common_name="me", organization_name="Example")
    pems = [Path(files.certfile).read_bytes(), authority().ca.cert_pem.bytes()]
    return [f":{b''.join(pem.split()[2:-2]).decode()}:" for pem in pems]


async def test_the_certificate_of_a_client_is_in_the_extension(certificates: list[str]) -> None:
    leaf, issuer = certificates
    scope = await scope_of(f"Client-Cert: {leaf}", f"Client-Cert-Chain: {issuer}, {issuer}")
    tls = scope["extensions"]["tls"]
    assert tls["client_cert_name"].startswith("CN=me,")
    assert tls["client_cert_error"] is None
    assert [pem.splitlines()[0] for pem in tls["client_cert_chain"]] == [
        "-----BEGIN CERTIFICATE-----"
    ] * 3
    inner = "".join(tls["client_cert_chain"][0].splitlines()[1:-1])
    assert base64.b64decode(inner) == base64.b64decode(leaf.strip(":"))
    assert (tls["server_cert"], tls["tls_version"], tls["cipher_suite"]) == (None, None, None)
    alone = await scope_of(f"Client-Cert: {leaf}")
    assert len(alone["extensions"]["tls"]["client_cert_chain"]) == 1


async def test_a_stranger_shows_no_certificate_and_the_header_is_taken_away(
    certificates: list[str],
) -> None:
    leaf, issuer = certificates
    lines = f"Client-Cert: {leaf}", f"Client-Cert-Chain: {issuer}", "A: b"
    scope = await scope_of(*lines, peer=STRANGER)
    assert "tls" not in scope["extensions"]
    assert [name for name, _ in scope["headers"]] == [b"host", b"a"]


@pytest.mark.parametrize(
    "lines",
    [
        ("Client-Cert: AAAA",),
        ("Client-Cert: :A:",),
        ("Client-Cert: :%%%%:",),
        ("Client-Cert: :AAAA:",),
        ("Client-Cert: {leaf}", "Client-Cert: {leaf}"),
        ("Client-Cert: {leaf}", "Client-Cert-Chain: x"),
        ("Client-Cert-Chain: {leaf}",),
    ],
)
async def test_what_cannot_be_read_is_no_certificate(
    lines: tuple[str, ...], certificates: list[str]
) -> None:
    scope = await scope_of(*(line.replace("{leaf}", certificates[0]) for line in lines))
    assert "tls" not in scope["extensions"]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_a_proxy_writes_breaks_us(seed: int, certificates: list[str]) -> None:
    chance = random.Random(seed)
    pieces = ["for=", "proto=", "host=", "by=", '"', ",", ";", "\\", "[", "]", ":", "=", " ", "/"]
    pieces += ["127.0.0.1", "::1", "unknown", "_x", "https", "80", "%2F", *certificates]
    names = sorted(name.decode() for name in PROXY_FIELDS)
    for _ in range(300):
        lines = [
            f"{chance.choice(names)}: {''.join(chance.choices(pieces, k=chance.randrange(8)))}"
            for _ in range(chance.randrange(1, 5))
        ]
        scope = await scope_of(*lines)
        client = scope["client"]
        assert client is None or isinstance(client[1], int)
        assert scope["scheme"] in ("http", "https")
        assert scope["path"].startswith("/")
        assert not scope["path"].startswith("//")
        assert is_host(host_of(scope))
