"""HTTP/3 as aioquic's client and Chromium see it: a real server, and real datagrams."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from curl import Curl
from launcher import Launcher, PeakMemory, Server
from tests.authority import Files, authority
from tests.behaviour.calls import Answer
from tests.behaviour.http3 import Http3Call, Http3Wire
from tests.browser import chromium

APPLICATION = """
import asyncio
import os
from pathlib import Path

GATE = Path(__file__).parent / "gate"  # a pipe

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    if scope["path"] == "/slow":
        print("slow", flush=True)
        await asyncio.to_thread(GATE.read_text)
    told = f"{scope['http_version']} {os.getpid()} {size}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})
"""

GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"localhost"),
    (b":path", b"/"),
]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("http3")
    (folder / "quick_site.py").write_text(APPLICATION)
    authority().ca_file(folder)
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> Files:
    return authority().issue(folder)


@pytest.fixture(scope="module")
def server(folder: Path, files: Files) -> Iterator[Server]:
    with Launcher(folder).opened() as launch:
        yield launch("quick_site:app", "--http3", *files.options)


@pytest.fixture
def launch_site(folder: Path) -> Iterator[Launcher]:
    with Launcher(folder).opened() as launch:
        yield launch


async def ask(wire: Http3Wire, path: bytes = b"/") -> Answer:
    return await Http3Call(wire, wire.request([*GET[:-1], (b":path", path)])).result()


def worker_of(answer: Answer) -> int:
    return int(answer.body.split()[1])


# One server.


async def test_a_request_is_answered_and_logged(server: Server) -> None:
    wire = await Http3Wire.opened(server.port)
    answer = await ask(wire)
    assert (answer.status, answer.body.split()[0]) == (200, b"3")
    wire.leave()
    server.wait_for_log(r'"GET / HTTP/3" 200')


def test_other_versions_say_that_there_is_http3(server: Server, folder: Path, curl: Curl) -> None:
    for version in ("--http1.1", "--http2"):
        ran = curl("--cacert", str(folder / "ca.pem"), version, "--include", server.base_url)
        assert f'alt-svc: h3=":{server.port}"; ma=86400' in ran.output.lower()


@pytest.mark.once
def test_chromium_speaks_it(server: Server, files: Files, tmp_path: Path) -> None:
    shown = load_pem_x509_certificate(Path(files.certfile).read_bytes()).public_key()
    key = shown.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    flags = (
        "--enable-quic",
        f"--ignore-certificate-errors-spki-list={digest}",
        f"--origin-to-force-quic-on=127.0.0.1:{server.port}",
    )
    with chromium(tmp_path, *flags) as browser:
        page = browser.new_page()
        page.goto(server.base_url)
        assert page.inner_text("body").startswith("3 ")
        how = "performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert page.evaluate(how) == "h3"
        post = "fetch('/', {method: 'POST', body: 'x'.repeat(3000000)}).then(r => r.text())"
        assert page.evaluate(post).endswith(" 3000000")


async def test_a_certificate_that_is_replaced_is_shown(
    launch_site: Launcher, tmp_path: Path
) -> None:
    files = authority().issue(tmp_path)
    server = launch_site("quick_site:app", "--http3", *files.options)
    before = await Http3Wire.opened(server.port)
    authority().issue(tmp_path)
    server.signal(signal.SIGHUP)
    server.wait_for_log("certificates have been read again")
    after = await Http3Wire.opened(server.port)
    shown = [each.quic.tls._peer_certificate for each in (before, after)]
    assert shown[0] != shown[1]
    for wire in (before, after):
        assert (await ask(wire)).status == 200
        wire.leave()


async def test_what_is_in_progress_ends_when_the_server_stops(
    launch_site: Launcher, folder: Path, files: Files
) -> None:
    gate = folder / "gate"
    gate.unlink(missing_ok=True)
    os.mkfifo(gate)
    server = launch_site("quick_site:app", "--http3", *files.options)
    wire = await Http3Wire.opened(server.port)
    answering = asyncio.ensure_future(ask(wire, b"/slow"))
    await asyncio.to_thread(server.wait_for_log, "slow")
    server.signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait_for_log, "Waiting up to")
    gate.write_text("go")
    assert (await answering).status == 200
    assert await asyncio.to_thread(server.wait) == 0
    wire.leave()


async def test_a_flood_of_beginnings_is_bounded(launch_site: Launcher, files: Files) -> None:
    server = launch_site("quick_site:app", "--http3", *files.options)
    good = await Http3Wire.opened(server.port)
    assert (await ask(good)).status == 200
    peak = PeakMemory(server.pid)
    begin = first_datagram()
    for number in range(3000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # Another connection each time, and nobody who answers.
            fresh = begin[:6] + os.urandom(8) + begin[14:]
            sender.sendto(fresh, ("127.0.0.1", server.port))
            sender.sendto(os.urandom(1200), ("127.0.0.1", server.port))
        if number % 100 == 0:
            assert (await ask(good)).status == 200
    other = await Http3Wire.opened(server.port)
    assert (await ask(other)).status == 200
    assert peak.growth() < 60 * 1024 * 1024
    good.leave()
    other.leave()


def first_datagram() -> bytes:
    """Return an Initial that looks well formed from outside."""
    head = b"\xc0\0\0\0\1\x08" + bytes(8) + b"\x08" + bytes(8) + b"\0"
    return head + (1200 - len(head) - 2 | 0x4000).to_bytes(2, "big") + bytes(1200 - len(head) - 2)


# Several workers.


async def test_a_client_that_moves_stays_with_its_worker(
    launch_site: Launcher, files: Files
) -> None:
    server = launch_site("quick_site:app", "--http3", "--workers", "3", *files.options)
    server.wait_for_log("Workers ready: 3", within=30)
    wires = [await Http3Wire.opened(server.port) for _ in range(12)]
    before = [worker_of(await ask(wire)) for wire in wires]
    assert len(set(before)) > 1
    loop = asyncio.get_running_loop()
    for wire in wires:
        old = wire._transport
        await loop.create_datagram_endpoint(lambda: wire, local_addr=("127.0.0.1", 0))  # noqa: B023
        assert old is not None
        old.close()
    assert [worker_of(await ask(wire)) for wire in wires] == before
    for wire in wires:
        wire.leave()


async def test_a_worker_that_is_replaced_finishes_what_it_has(
    launch_site: Launcher, files: Files
) -> None:
    options = ("--workers", "2", "--limit-max-requests", "6", *files.options)
    server = launch_site("quick_site:app", "--http3", *options)
    server.wait_for_log("Workers ready: 2", within=30)
    seen: set[int] = set()
    asked = 0
    while len(seen) < 3:
        asked += 1
        assert asked < 5000
        wire = await Http3Wire.opened(server.port)
        answer = await ask(wire)
        assert answer.status == 200
        seen.add(worker_of(answer))
        wire.leave()
