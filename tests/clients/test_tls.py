"""TLS as curl, OpenSSL's own client and a scanner see it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from curl import Curl
from launcher import Launcher, Server, eventually
from tests.authority import Authority, Files, authority

APPLICATION = """
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    tls = scope["extensions"]["tls"]
    told = [scope["scheme"], tls["tls_version"], tls["client_cert_name"]]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "secure_site.py").write_text(APPLICATION)
    authority().ca_file(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    files = authority().issue(folder, password="open sesame")
    options = [*files.options, "--ssl-cert-reqs", "optional"]
    options += ["--ssl-ca-certs", str(folder / "ca.pem")]
    with Launcher(folder).opened() as launch:
        yield launch(
            "secure_site:app", *options, env={"TIDEGATE_SSL_KEYFILE_PASSWORD": "open sesame"}
        )


def url_of(server: Server) -> str:
    assert server.base_url.startswith("https://127.0.0.1:")
    return server.base_url + "/"


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


# curl.


def test_curl_believes_the_certificate(server: Server, folder: Path, curl: Curl) -> None:
    ran = curl("--cacert", str(folder / "ca.pem"), url_of(server))
    assert ran.output == '["https", 772, null]'


def test_curl_speaks_tls_1_2(server: Server, folder: Path, curl: Curl) -> None:
    ran = curl("--cacert", str(folder / "ca.pem"), "--tls-max", "1.2", url_of(server))
    assert ran.output == '["https", 771, null]'


def test_tls_1_1_is_refused(server: Server, folder: Path, curl: Curl) -> None:
    # Seclevel 0, or curl itself would refuse.
    old = ("--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
    ran = curl.try_("--cacert", str(folder / "ca.pem"), *old, url_of(server))
    assert ran.code == 35, ran.messages
    assert "alert" in ran.messages
    server.wait_for_log("TLS: handshake failed: (unsupported protocol|version too low)")


def test_a_stranger_is_not_believed(server: Server, tmp_path: Path, curl: Curl) -> None:
    ran = curl.try_("--cacert", Authority().ca_file(tmp_path), url_of(server))
    assert ran.code == 60, ran.messages


def test_curl_shows_a_certificate(server: Server, folder: Path, curl: Curl) -> None:
    mine: Files = authority().issue(folder, "me@example.org", name="me", common_name="Me")
    shown = ("--cert", mine.certfile, "--key", mine.keyfile)
    ran = curl("--cacert", str(folder / "ca.pem"), *shown, url_of(server))
    assert ran.output.startswith('["https", 772, "CN=Me,OU=')


def test_curl_keeps_the_connection(server: Server, folder: Path, curl: Curl) -> None:
    count = ("--write-out", "%{num_connects}", "--output", "/dev/null")
    twice = (*count, url_of(server), "--next", "--cacert", str(folder / "ca.pem"), *count)
    ran = curl("--cacert", str(folder / "ca.pem"), *twice, url_of(server))
    assert ran.output == "10"


# OpenSSL's client.


def s_client(server: Server, *options: str, sent: str = "") -> str:
    where = url_of(server).removeprefix("https://").rstrip("/")
    done = subprocess.run(
        [needs("openssl"), "s_client", "-connect", where, *options],
        input=sent,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_session_is_resumed_by_its_ticket(server: Server, tmp_path: Path) -> None:
    ticket = str(tmp_path / "session")
    first = s_client(server, "-tls1_2", "-sess_out", ticket)
    assert "New, TLSv1.2" in first
    assert "Reused, TLSv1.2" in s_client(server, "-tls1_2", "-sess_in", ticket)


def test_nothing_is_compressed_and_http_1_1_is_agreed(server: Server) -> None:
    told = s_client(server, "-tls1_2", "-alpn", "http/1.1", "-comp")
    assert "Compression: NONE" in told
    assert "ALPN protocol: http/1.1" in told


def test_a_client_that_negotiates_again_is_refused(server: Server) -> None:
    told = s_client(server, "-tls1_2", sent="R\n")
    assert re.search(r"no renegotiation", told), told


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"])
def test_weak_ciphers_are_refused(server: Server, cipher: str) -> None:
    told = s_client(server, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert "alert handshake failure" in told
    assert "Cipher is (NONE)" in told


# A scanner.


def test_a_scanner_finds_nothing_weak(server: Server) -> None:
    where = url_of(server).removeprefix("https://").rstrip("/")
    done = subprocess.run(
        [needs("sslscan"), "--no-colour", where],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    told = done.stdout
    protocols = dict(re.findall(r"^((?:SSL|TLS)v[\d.]+) +(enabled|disabled)$", told, re.MULTILINE))
    assert {name for name, state in protocols.items() if state == "enabled"} == {
        "TLSv1.2",
        "TLSv1.3",
    }, told
    assert len(protocols) == 6
    accepted = re.findall(r"^(?:Accepted|Preferred) +\S+ +(\d+) bits +(\S+)", told, re.MULTILINE)
    assert len(accepted) >= 4
    for bits, name in accepted:
        assert int(bits) >= 128
        assert re.search("GCM|CHACHA20", name), name
    assert "Session renegotiation not supported" in told
    assert "Server supports TLS Fallback SCSV" in told
    assert not re.search(r"(?<!not )vulnerable", told), told


# Certificates that change.


class Visitors:
    """Threads that keep asking, on new connections and on one, until they are told to stop."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.context = authority().context()
        self.answered = 0
        self.failures: list[Exception] = []
        self.seen: set[bytes | None] = set()  # certificates, DER
        self.over = threading.Event()
        kinds = [self.one_connection, self.new_connections] * count
        self.threads = [threading.Thread(target=self.run, args=(kind,)) for kind in kinds]

    def run(self, kind: Callable[[], None]) -> None:
        try:
            kind()
        except Exception as error:
            self.failures.append(error)

    def new_connections(self) -> None:
        while not self.over.is_set():
            with closing(self.connected()) as connection:
                self.ask(connection)
                self.seen.add(connection.sock.getpeercert(binary_form=True))

    def one_connection(self) -> None:
        with closing(self.connected()) as connection:
            while not self.over.is_set():
                self.ask(connection)

    def connected(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=self.context, timeout=20
        )
        connection.connect()
        return connection

    def ask(self, connection: http.client.HTTPSConnection) -> None:
        connection.request("GET", "/")
        assert json.loads(connection.getresponse().read())[0] == "https"
        self.answered += 1

    def __enter__(self) -> Visitors:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(20)


def test_a_swap_at_sighup_under_load_fails_no_request(folder: Path) -> None:
    place = folder / "swapped"
    place.mkdir()
    files = authority().issue(place)
    with Launcher(folder).opened() as launch:
        server = launch("secure_site:app", *files.options, "--no-access-log")
        with Visitors(server.port, 2) as visitors:
            for number in range(5):
                new = authority().issue(place, name=f"new{number}")
                shown = ssl.PEM_cert_to_DER_cert(Path(new.certfile).read_text())
                os.replace(new.certfile, files.certfile)
                os.replace(new.keyfile, files.keyfile)
                server.signal(signal.SIGHUP)
                eventually(partial(visitors.seen.__contains__, shown), 20, "the new certificate")
        assert visitors.failures == []
        assert visitors.answered > 10


@pytest.mark.parametrize("workers", ["1", "2"])
def test_curl_is_led_from_http_to_https(folder: Path, curl: Curl, workers: str) -> None:
    files = authority().issue(folder, name=f"redirecting{workers}")
    options = ("--http-redirect", "127.0.0.1:0", "--hsts", "300", "--workers", workers)
    with Launcher(folder).opened() as launch:
        server = launch("secure_site:app", *files.options, *options)
        clear = re.search(r"Redirecting to HTTPS from (\S+)", server.log)
        assert clear is not None
        told = curl(clear[1] + "/", "--location", "--cacert", str(folder / "ca.pem"), "--include")
        heads = told.output.lower()
        assert "http/1.1 308" in heads
        assert f"location: https://127.0.0.1:{server.port}/" in heads
        assert "max-age=300" in heads
        assert '["https"' in heads
