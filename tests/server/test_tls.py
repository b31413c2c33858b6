"""A whole server that speaks TLS: what applications see, who is let in, swaps, deadlines."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from pathlib import Path

import pytest
from tests.authority import Authority, Files, authority

from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ConfigError
from tidegate.net.certificates import Certificates
from tidegate.net.worker import Worker
from tidegate.server.check import check
from tidegate.server.config import Config
from tidegate.server.explain import explained, explained_as_json, given_as_toml
from tidegate.server.server import Server
from tidegate.server.sources import collect

from .process import launched
from .running import UNTOUCHED, Client, Diary, Running, running

SECRET = "open sesame"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return authority().issue(tmp_path)


async def connect(at: Running, context: ssl.SSLContext | None = None) -> Client:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        at.port,
        ssl=context or authority().context(),
        server_hostname="localhost",
    )
    client = Client(reader, writer)
    at.clients.append(client)
    return client


def worker_of(at: Running) -> Worker:
    assert at.server.worker is not None
    return at.server.worker


def certificates_of(at: Running) -> Certificates:
    assert at.server.certificates is not None
    return at.server.certificates


# What the application sees.


async def test_a_request_is_https_and_has_the_extension(files: Files) -> None:
    diary = Diary()
    context = authority().context()
    async with running(diary, **files.settings) as at:
        assert at.server.addresses[0].startswith("https://127.0.0.1:")
        client = await connect(at, context)
        for path in ("/a", "/b"):
            client.ask(path)
            assert (await client.answer()).body == path.encode()
        theirs = client.writer.get_extra_info("ssl_object")
        numbers = {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}
        expected = {
            "server_cert": Path(files.certfile).read_text(),
            "client_cert_chain": (),
            "client_cert_name": None,
            "client_cert_error": None,
            "tls_version": 0x0304,
            "cipher_suite": numbers[theirs.cipher()[0]],
        }
    first, second = diary.scopes
    assert first["scheme"] == "https"
    assert first["extensions"]["tls"] == second["extensions"]["tls"] == expected
    # What one request does to its own, the next does not see (item 20).
    assert first["extensions"]["tls"] is not second["extensions"]["tls"]


async def test_tls_1_2_is_told_by_its_number(files: Files) -> None:
    diary = Diary()
    context = authority().context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running(diary, **files.settings) as at:
        client = await connect(at, context)
        client.ask()
        await client.answer()
    tls = diary.scopes[0]["extensions"]["tls"]
    assert tls["tls_version"] == 0x0303
    assert tls["cipher_suite"] >> 8 in (0xC0, 0xCC)  # ECDHE, with GCM or ChaCha20


async def test_a_plain_connection_has_no_such_extension() -> None:
    diary = Diary()
    async with running(diary) as at:
        await at.get()
    assert diary.scopes[0]["scheme"] == "http"
    assert "tls" not in diary.scopes[0]["extensions"]


async def test_a_websocket_is_wss_and_has_the_extension(files: Files) -> None:
    scopes = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scopes.append(scope)
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"].upper()})
            await receive()

    async with running(application, **files.settings) as at:
        client = await connect(at)
        client.ask(
            headers="Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        )
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write(b"\x81\x82\0\0\0\0hi")
        assert await client.reader.readexactly(4) == b"\x81\x02HI"
    (scope,) = scopes
    assert scope["scheme"] == "wss"
    assert scope["extensions"]["tls"]["tls_version"] == 0x0304
    assert "websocket.http.response" in scope["extensions"]


async def test_wsgi_has_https_on(files: Files) -> None:
    def application(environ, start_response):  # type: ignore[no-untyped-def]
        start_response("200 OK", [])
        return [f"{environ['wsgi.url_scheme']} {environ.get('HTTPS')}".encode()]

    async with running(application, interface="wsgi", **files.settings) as at:
        client = await connect(at)
        client.ask()
        assert (await client.answer()).body == b"https on"


# Certificates of clients.


async def test_a_client_certificate_is_shown_to_the_application(
    files: Files, tmp_path: Path
) -> None:
    diary = Diary()
    mine = authority().issue(tmp_path, "me@example.org", name="me", common_name="Me, myself")
    more = {"ssl_ca_certs": authority().ca_file(tmp_path), "ssl_cert_reqs": "required"}
    async with running(diary, **files.settings, **more) as at:
        client = await connect(at, authority().context(mine))
        client.ask()
        await client.answer()
    tls = diary.scopes[0]["extensions"]["tls"]
    assert tls["client_cert_chain"][0] == Path(mine.certfile).read_text()
    assert tls["client_cert_name"].startswith("CN=Me\\, myself,OU=")
    assert tls["client_cert_error"] is None


@pytest.mark.parametrize(
    ("reqs", "shows", "let_in"),
    [
        ("none", None, True),
        ("none", "stranger", True),
        ("optional", None, True),
        ("optional", "friend", True),
        ("optional", "stranger", False),
        ("required", None, False),
        ("required", "friend", True),
        ("required", "stranger", False),
    ],
)
async def test_who_is_let_in(
    files: Files,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    reqs: str,
    shows: str | None,
    let_in: bool,
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    signer = Authority() if shows == "stranger" else authority()
    shown = signer.issue(tmp_path, "me@example.org", name="me") if shows else None
    more = {"ssl_cert_reqs": reqs}
    if reqs != "none":
        more["ssl_ca_certs"] = authority().ca_file(tmp_path)
    async with running(Diary(), **files.settings, **more) as at:
        try:
            # In TLS 1.3 the client hears only after its handshake.
            client = await connect(at, authority().context(shown))
            client.ask()
            served = (await client.answer()).status == 200
        except (OSError, asyncio.IncompleteReadError):
            served = False
        assert served is let_in
    complaints = [line for line in caplog.messages if "TLS: " in line]
    assert len(complaints) == (not let_in), caplog.messages
    assert "Traceback" not in caplog.text


# Handshakes that fail, or never end.


async def test_plain_http_on_a_tls_port_is_closed_and_said(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Diary(), **files.settings) as at:
        client = await at.connect()
        client.ask()
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        assert not worker_of(at).connections
    assert "TLS: plain HTTP on a port that speaks TLS" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_client_is_told_why_its_handshake_failed(files: Files) -> None:
    context = authority().context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = context.wrap_bio(to_us, to_them, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        theirs.do_handshake()
    async with running(Diary(), **files.settings) as at:
        client = await at.connect()
        client.writer.write(to_them.read())
        to_us.write(await client.rest())
    with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
        theirs.do_handshake()


async def test_failed_handshakes_do_not_flood_the_log(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Diary(), **files.settings) as at:
        clock = worker_of(at).clock
        clock.stop()
        for _ in range(30):
            client = await at.connect()
            client.ask()
            assert await client.rest() is not None
        said = [line for line in caplog.messages if "TLS: " in line]
        assert len(said) == 10
        clock.advance(1.0)
        assert "Refused 20 more requests in the last second" in caplog.messages
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_who_only_looks_whether_the_port_is_open_is_not_mentioned(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Diary(), **files.settings) as at:
        for _ in range(3):
            await (await at.connect()).close()
        client = await connect(at)
        client.ask()
        assert (await client.answer()).status == 200
    assert "TLS: " not in caplog.text


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_that_does_not_end_is_cut(
    files: Files, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Diary(), timeout_tls_handshake=7.0, **files.settings) as at:
        worker = worker_of(at)
        client = await at.connect()
        client.writer.write(sent)
        while not worker.connections:
            await asyncio.sleep(0)
        worker.clock.advance(6.0)
        assert worker.connections
        worker.clock.advance(1.5)
        assert not worker.connections
        try:
            assert await client.rest() == b""
        except ConnectionError:
            pass
    assert "TLS: the handshake took too long" in caplog.text


async def test_a_client_hello_that_is_there_before_the_server_looks_is_understood(
    files: Files,
) -> None:
    loop = asyncio.get_running_loop()
    async with running(Diary(), **files.settings) as at:
        to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
        theirs = authority().context().wrap_bio(to_us, to_them, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            theirs.do_handshake()
        # Without a turn of the loop in between.
        with socket.create_connection(("127.0.0.1", at.port)) as client:
            client.sendall(to_them.read())
            client.setblocking(False)
            to_us.write(await loop.sock_recv(client, 65536))
            theirs.do_handshake()
            await loop.sock_sendall(client, to_them.read())


async def test_a_client_hello_in_pieces_is_understood(files: Files) -> None:
    async with running(Diary(), **files.settings) as at:
        for piece in (1, 100, 100_000):
            to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
            theirs = authority().context().wrap_bio(to_us, to_them, server_hostname="localhost")
            client = await at.connect()
            while True:
                try:
                    theirs.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    data = to_them.read()
                    for start in range(0, len(data), piece):
                        client.writer.write(data[start : start + piece])
                        await client.writer.drain()
                        await asyncio.sleep(0)
                    to_us.write(await client.reader.read(65536))
            # The request in one packet with the end of the handshake.
            theirs.write(b"GET /early HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            client.writer.write(to_them.read())
            received = b""
            while b"/early" not in received:
                to_us.write(await client.reader.read(65536))
                try:
                    received += theirs.read(65536)
                except ssl.SSLWantReadError:
                    pass
            assert received.startswith(b"HTTP/1.1 200 ")


async def test_a_handshake_in_progress_does_not_hold_up_the_shutdown(files: Files) -> None:
    async with running(Diary(), **files.settings) as at:
        worker = worker_of(at)
        await at.connect()
        while not worker.connections:
            await asyncio.sleep(0)
        at.server.should_exit = True
        while not worker.draining:
            await asyncio.sleep(0)
        worker.clock.advance(3.0)
        await at.task


# Connections over TLS behave as others do.


async def test_a_slow_client_gets_all_of_a_large_response(files: Files) -> None:
    """More than its own buffers hold, and it reads only when the server has long finished."""
    size = 30_000_000

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * size})

    async with running(application, guard=False, **files.settings) as at:
        client = await connect(at)
        client.ask(headers="Connection: close\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        clock = worker_of(at).clock
        clock.stop()
        received = 0
        for _ in range(10):
            # Steadily, for longer than a connection may be idle, linger or stall.
            clock.advance(4.0)
            received += len(await client.reader.readexactly(1_000_000))
        while piece := await client.reader.read(1 << 20):
            received += len(piece)
        assert received == size


async def test_idle_connections_are_closed_at_shutdown_with_a_close_notify(files: Files) -> None:
    async with running(Diary(), **files.settings) as at:
        client = await connect(at)
        client.ask()
        await client.answer()
        at.server.should_exit = True
        assert await client.rest() == b""
        await at.task


async def test_a_client_that_ends_its_half_is_not_worth_a_warning(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    diary = Diary()
    diary.may_answer.clear()
    async with running(diary, **files.settings) as at:
        client = await connect(at)
        client.ask("/left")
        while not diary.entries[1:]:
            await asyncio.sleep(0)
        await client.close()
        while worker_of(at).connections:
            await asyncio.sleep(0)
        diary.may_answer.set()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


# Names and swaps.


async def test_a_name_chooses_its_certificate(files: Files, tmp_path: Path) -> None:
    diary = Diary()
    other = authority().issue(tmp_path, "other.example", name="other")
    pairs = {"other.example": f"{other.certfile},{other.keyfile}"}
    async with running(diary, ssl_sni_certs=pairs, **files.settings) as at:
        for name in ("localhost", "other.example"):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", at.port, ssl=authority().context(), server_hostname=name
            )
            client = Client(reader, writer)
            client.ask()
            await client.answer()
            await client.close()
    seen = [scope["extensions"]["tls"]["server_cert"] for scope in diary.scopes]
    assert seen == [Path(each.certfile).read_text() for each in (files, other)]


async def test_a_swap_under_load_drops_no_connection(files: Files, tmp_path: Path) -> None:
    """Twenty clients keep asking, new connections and old, while the files change ten times."""
    diary = Diary()
    swaps, answered = 10, 0
    seen: set[str] = set()
    over = asyncio.Event()

    async def new_connections(at: Running) -> None:
        nonlocal answered
        while not over.is_set():
            client = await connect(at)
            client.ask()
            assert (await client.answer()).status == 200
            await client.close()
            answered += 1

    async def one_connection(at: Running) -> None:
        nonlocal answered
        client = await connect(at)
        while not over.is_set():
            client.ask()
            assert (await client.answer()).status == 200
            answered += 1

    async with running(diary, access_log=False, **files.settings) as at:
        clock = worker_of(at).clock
        clock.stop()
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(new_connections(at))
                group.create_task(one_connection(at))
            for _ in range(swaps):
                # Until new connections have seen the present certificate, and for a while.
                present, goal = Path(files.certfile).read_text(), answered + 60
                while answered < goal or present not in seen:
                    await asyncio.sleep(0)
                    seen.update(s["extensions"]["tls"]["server_cert"] for s in diary.scopes[-20:])
                new = authority().issue(tmp_path, name="new")
                os.replace(new.certfile, files.certfile)
                os.replace(new.keyfile, files.keyfile)
                before = certificates_of(at).context
                clock.now += 10.0  # past the next look, without ageing the connections
                certificates_of(at).on_deadline(clock.now)
                assert certificates_of(at).context is not before
            over.set()
    assert len(seen) >= swaps
    assert answered == len(diary.scopes)


async def test_the_clock_of_the_worker_looks_at_the_files(
    files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Diary(), **files.settings) as at:
        clock = worker_of(at).clock
        clock.stop()
        clock.advance(6.0)
        before = certificates_of(at).context
        new = authority().issue(tmp_path, name="new")
        os.replace(new.certfile, files.certfile)
        clock.advance(6.0)
        assert certificates_of(at).context is before
        assert "The certificates are not replaced" in caplog.text
        os.replace(new.keyfile, files.keyfile)
        clock.advance(6.0)
        assert certificates_of(at).context is not before


# Settings.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ssl_keyfile": "k"}, "ssl_keyfile is for TLS, which needs ssl_certfile"),
        ({"ssl_cert_reqs": "2"}, "ssl_cert_reqs is for TLS, which needs ssl_certfile"),
        ({"ssl_sni_certs": {"a": "b"}}, "ssl_sni_certs is for TLS"),
        ({"ssl_certfile": "c", "ssl_cert_reqs": "required"}, "needs ssl_ca_certs"),
        ({"ssl_certfile": "c", "ssl_ca_certs": "a"}, "ask for them"),
        (
            {
                "ssl_certfile": "c",
                "ssl_keyfile_password": "p",
                "ssl_keyfile_password_file": "f",
            },
            "cannot both be given",
        ),
        ({"ssl_certfile": "c", "ssl_sni_certs": {"a.b": "c,d,e"}}, "must be 'CERT,KEY'"),
        ({"ssl_certfile": "c", "ssl_sni_certs": {"a.b": 7}}, "must be 'CERT,KEY'"),
        ({"ssl_certfile": "c", "ssl_sni_certs": {"127.0.0.1": "c"}}, "not a name"),
        ({"ssl_cert_reqs": "3"}, "must be one of none, optional, required"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=words):
        Config("site:app", **given)


def test_the_numbers_of_the_ssl_module_are_understood() -> None:
    for word, meaning in (("1", "optional"), ("CERT_REQUIRED", "required")):
        config = Config("a:b", ssl_certfile="c", ssl_ca_certs="d", ssl_cert_reqs=word)
        assert config.ssl_cert_reqs == meaning


def test_a_password_is_not_shown() -> None:
    config = Config("a:b", ssl_certfile="c", ssl_keyfile_password=SECRET)
    assert SECRET not in repr(config)


def test_settings_of_a_file_are_seen_from_its_folder_and_secrets_hidden(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text(
        'ssl_certfile = "a.pem"\n'
        f'ssl_keyfile_password = "{SECRET}"\n'
        '[ssl_sni_certs]\n"*.b.example" = "b.pem, /k/b.key"\n'
    )
    found = collect({}, file=str(file), environment={})
    config = found.config(target_needed=False)
    assert config.ssl_certfile == str(tmp_path / "a.pem")
    assert config.ssl_sni_certs == {"*.b.example": f"{tmp_path / 'b.pem'},/k/b.key"}
    assert config.ssl_keyfile_password == SECRET
    for shown in (explained(config, found), explained_as_json(config, found)):
        assert "ssl_keyfile_password" in shown
        assert SECRET not in shown
    assert SECRET not in given_as_toml(config, found)


async def test_files_that_cannot_be_used_keep_the_server_from_starting(tmp_path: Path) -> None:
    server = Server(Config(Diary(), port=0, log_config=UNTOUCHED, ssl_certfile="missing.pem"))
    with pytest.raises(ConfigError, match=r"missing\.pem: .*No such file"):
        await server.serve()


def test_check_reads_the_certificates(files: Files, tmp_path: Path) -> None:
    findings = check(Config(Diary(), lifespan="off", **files.settings))
    assert findings.complaints == []
    assert any("a certificate, until" in fact for fact in findings.facts)
    os.unlink(files.keyfile)
    findings = check(Config(Diary(), lifespan="off", **files.settings))
    (complaint,) = findings.complaints
    assert files.keyfile in complaint


APPLICATION = """
import os, sys

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print(f"worker {os.getpid()} serves", file=sys.stderr, flush=True)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})
"""


def ask_over_tls(port: int) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
        authority().context().wrap_socket(raw, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received.partition(b"\r\n\r\n")[2]


def test_several_workers_speak_tls_with_a_password_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "site_with_tls.py").write_text(APPLICATION)
    files = authority().issue(tmp_path, password=SECRET)
    (tmp_path / "password").write_text(SECRET + "\n")
    options = (*files.options, "--ssl-keyfile-password-file", "password", "--workers", "2")
    with launched(tmp_path, "site_with_tls:app", *options) as process:
        port = int(process.says(r"running on https://127\.0\.0\.1:(\d+)"))
        process.says(r"worker \d+ serves", 2)
        for _ in range(4):
            assert ask_over_tls(port) == b"https"
        assert process.stop() == 0
    assert "Traceback" not in process.log


def test_a_supervisor_refuses_a_bad_certificate_before_it_starts_workers(tmp_path: Path) -> None:
    (tmp_path / "site_with_tls.py").write_text(APPLICATION)
    with launched(
        tmp_path, "site_with_tls:app", "--ssl-certfile", "gone.pem", "--workers", "2"
    ) as process:
        assert process.wait() != 0
    assert process.log.count("gone.pem: the certificate file cannot be read") == 1
    assert "serves" not in process.log
