"""A server behind a proxy that speaks the PROXY protocol, over every kind of listener."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Files, authority

from tidegate.errors import ConfigError
from tidegate.net.worker import Worker
from tidegate.server.config import Config

from .running import Client, Diary, Running, running

SAID = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
ASKED = b"GET /x HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"

# Version 2, the same addresses, and what a proxy that ends TLS adds.
ADDRESSES = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.7") + b"\xdc\x04\x01\xbb"


def value(kind: int, content: bytes) -> bytes:
    return bytes((kind,)) + len(content).to_bytes(2, "big") + content


def version_2(content: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    head = bytes.fromhex("0d0a0d0a000d0a515549540a") + bytes((command, family))
    return head + len(content).to_bytes(2, "big") + content


def tls_values(verified: int, *values: bytes) -> bytes:
    return version_2(
        ADDRESSES + value(0x20, b"\x03" + verified.to_bytes(4, "big") + b"".join(values))
    )


def worker_of(at: Running) -> Worker:
    assert at.server.worker is not None
    return at.server.worker


async def ask(at: Running, *pieces: bytes) -> tuple[int, bytes]:
    client = await at.connect()
    for piece in pieces:
        client.writer.write(piece)
        await client.writer.drain()
    answer = await client.answer()
    return answer.status, answer.body


def believing(**more: Any) -> dict[str, Any]:
    return {"proxy_protocol": True, "access_log": False, **more}


@pytest.mark.parametrize("header", [SAID, version_2(ADDRESSES)], ids=["1", "2"])
async def test_client_and_server_are_those_of_the_header(header: bytes) -> None:
    diary = Diary()
    async with running(diary, **believing()) as at:
        assert await ask(at, header + ASKED) == (200, b"/x")
        assert await ask(at, header, ASKED) == (200, b"/x")
        assert await ask(at, *(bytes((byte,)) for byte in header + ASKED)) == (200, b"/x")
    for scope in diary.scopes:
        # That client is no proxy of ours: its X-Forwarded-For counts for nothing.
        assert scope["client"] == ("192.0.2.1", 56324)
        assert scope["server"] == ("198.51.100.7", 443)
        assert scope["scheme"] == "http"


async def test_a_proxy_before_the_proxy_is_believed_if_it_is_listed() -> None:
    diary = Diary()
    trusted = {"forwarded_allow_ips": "127.0.0.1,192.0.2.0/24"}
    async with running(diary, **believing(**trusted)) as at:
        await ask(at, SAID + ASKED)
    assert diary.scopes[0]["client"] == ("6.6.6.6", 0)


async def test_a_proxy_that_speaks_for_itself_is_itself() -> None:
    diary = Diary()
    async with running(diary, **believing()) as at:
        await ask(at, version_2(b"", 0, 0x20) + ASKED)
        await ask(at, b"PROXY UNKNOWN\r\n" + ASKED)
    # The proxy's own request may be about somebody else; that of a stranger may not.
    assert diary.scopes[0]["client"] == ("6.6.6.6", 0)
    assert diary.scopes[1]["client"][0] == "127.0.0.1"


async def test_a_unix_socket_behind_the_proxy_has_no_address() -> None:
    diary = Diary()
    trusted = {"forwarded_allow_ips": "127.0.0.1,unix"}
    async with running(diary, **believing(**trusted)) as at:
        await ask(at, version_2(bytes(216), 0x31) + ASKED)
        await ask(at, version_2(b"/c".ljust(108, b"\0") + b"/s".ljust(108, b"\0"), 0x31) + ASKED)
    assert [scope["client"] for scope in diary.scopes] == [None, ("/c", None)]
    assert diary.scopes[1]["server"] == ("/s", None)


async def test_without_a_header_nothing_is_served(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    diary = Diary()
    async with running(diary, **believing()) as at:
        client = await at.connect()
        client.writer.write(ASKED)
        await refused(client)
    assert diary.scopes == []
    assert any("does not begin with a PROXY header" in each for each in caplog.messages)


async def refused(client: Client) -> None:
    try:
        assert await client.rest() == b""
    except ConnectionResetError:
        pass


async def test_who_is_not_listed_is_not_heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    diary = Diary()
    async with running(diary, **believing(forwarded_allow_ips="10.0.0.1")) as at:
        client = await at.connect()
        client.writer.write(SAID + ASKED)
        await refused(client)
    assert diary.scopes == []
    assert any("--forwarded-allow-ips" in each for each in caplog.messages)


async def test_a_header_that_does_not_come_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    async with running(Diary(), **believing()) as at:
        worker_of(at).clock.stop()
        client = await at.connect()
        client.writer.write(SAID[:-1])
        while not worker_of(at).connections:
            await asyncio.sleep(0)
        worker_of(at).clock.advance(60.0)
        await refused(client)
        assert not worker_of(at).connections
    assert any("took too long" in each for each in caplog.messages)


async def test_who_only_looks_whether_the_port_is_open_is_not_mentioned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    async with running(Diary(), **believing()) as at:
        await (await at.connect()).close()
        while worker_of(at).connections:
            await asyncio.sleep(0)
    assert not any("Refused" in each for each in caplog.messages)


async def test_a_connection_without_its_header_does_not_hold_up_the_shutdown() -> None:
    async with running(Diary(), **believing()) as at:
        await at.connect()
        while not worker_of(at).connections:
            await asyncio.sleep(0)
        await at.stop()


async def test_a_unix_socket_is_trusted_by_its_name(tmp_path: Path) -> None:
    diary = Diary()
    path = str(tmp_path / "s")
    settings = believing(uds=path, forwarded_allow_ips="unix")
    async with running(diary, **settings) as at:
        client = Client(*await asyncio.open_unix_connection(path))
        at.clients.append(client)
        client.writer.write(SAID + ASKED)
        assert (await client.answer()).status == 200
    assert diary.scopes[0]["client"] == ("192.0.2.1", 56324)
    assert diary.scopes[0]["server"] == ("198.51.100.7", 443)


# TLS.


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return authority().issue(tmp_path)


async def secured(at: Running, header: bytes, context: ssl.SSLContext) -> Client:
    """Connect as a proxy does that passes TLS on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(header)
    await writer.start_tls(context, server_hostname="localhost")
    client = Client(reader, writer)
    at.clients.append(client)
    return client


async def test_the_header_comes_before_the_handshake(files: Files) -> None:
    diary = Diary()
    async with running(diary, **believing(), **files.settings) as at:
        client = await secured(at, SAID, authority().context())
        client.ask()
        assert (await client.answer()).status == 200
    scope = diary.scopes[0]
    assert scope["client"] == ("192.0.2.1", 56324)
    assert scope["scheme"] == "https"
    assert scope["extensions"]["tls"]["server_cert"] == Path(files.certfile).read_text()


async def test_header_and_client_hello_may_come_at_once(files: Files) -> None:
    diary = Diary()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = authority().context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    async with running(diary, **believing(), **files.settings) as at:
        client = await at.connect()
        client.writer.write(SAID)
        while True:
            try:
                theirs.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.writer.write(outgoing.read())
                incoming.write(await client.reader.read(65536))
        theirs.write(ASKED)
        client.writer.write(outgoing.read())
        while not diary.scopes:
            await asyncio.sleep(0)
    assert diary.scopes[0]["client"] == ("192.0.2.1", 56324)


async def test_a_failed_handshake_names_the_client(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    async with running(Diary(), **believing(), **files.settings) as at:
        client = await at.connect()
        client.writer.write(SAID + ASKED)
        await client.rest()
    assert any("192.0.2.1" in each and "plain HTTP" in each for each in caplog.messages)


async def test_tls_that_ends_at_the_proxy_is_in_the_extension() -> None:
    diary = Diary()
    told = (
        value(0x21, b"TLSv1.3"),
        value(0x22, b"me, myself"),
        value(0x23, b"TLS_AES_128_GCM_SHA256"),
    )
    async with running(diary, **believing()) as at:
        await ask(at, tls_values(0, *told) + ASKED)
        await ask(at, tls_values(10, *told) + ASKED)
    good, bad = (scope["extensions"]["tls"] for scope in diary.scopes)
    assert {scope["scheme"] for scope in diary.scopes} == {"https"}
    assert good == {
        "server_cert": None,
        "client_cert_chain": (),
        "client_cert_name": "CN=me\\, myself",
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1301,
    }
    # Nobody may take a certificate for good that the proxy found bad.
    assert bad == {**good, "client_cert_name": None, "client_cert_error": "X509_V_ERR 10"}


async def test_a_certificate_that_the_proxy_passes_on_is_read(files: Files, tmp_path: Path) -> None:
    mine = authority().issue(tmp_path, "me@example.org", name="me", common_name="me")
    pem = Path(mine.certfile).read_text()
    der = ssl.PEM_cert_to_DER_cert(pem)
    diary = Diary()
    async with running(diary, **believing()) as at:
        await ask(at, tls_values(0, value(0x28, der)) + ASKED)
        await ask(at, tls_values(0, value(0x28, b"rubbish"), value(0x22, b"me")) + ASKED)
    tls, rubbish = (scope["extensions"]["tls"] for scope in diary.scopes)
    assert tls["client_cert_chain"] == (pem,)
    assert tls["client_cert_name"].startswith("CN=me,")
    assert (rubbish["client_cert_chain"], rubbish["client_cert_name"]) == ((), None)


async def test_the_certificate_of_the_proxy_is_not_that_of_its_clients(
    files: Files, tmp_path: Path
) -> None:
    """A proxy that shows one to us, and may pass on those of its clients."""
    diary = Diary()
    proxy = authority().issue(tmp_path, name="proxy", common_name="proxy")
    asks = {"ssl_cert_reqs": "required", "ssl_ca_certs": authority().ca_file(tmp_path)}
    for believed in ("client-cert", "x-forwarded-for"):
        settings = {**files.settings, **asks, "forwarded_headers": believed}
        async with running(diary, access_log=False, **settings) as at:
            context = authority().context(proxy)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", at.port, ssl=context, server_hostname="localhost"
            )
            client = Client(reader, writer)
            at.clients.append(client)
            client.ask()
            await client.answer()
    relayed, own = (scope["extensions"]["tls"] for scope in diary.scopes)
    assert (relayed["client_cert_name"], relayed["client_cert_chain"]) == (None, ())
    assert relayed["server_cert"] is not None
    assert own["client_cert_name"].startswith("CN=proxy,")


# Settings.


def test_a_header_that_cannot_be_believed_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'x-forwarded-host'"):
        Config("m:a", forwarded_headers="x-forwarded-hosts")


def test_no_proxy_headers_believes_none() -> None:
    proxies = Config("m:a", proxy_headers=False, forwarded_headers="client-cert").proxies()
    assert proxies.trusts("127.0.0.1")
    assert not proxies.relays_certificates
