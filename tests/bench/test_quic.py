"""What the client of the row http3 counts, and what it takes for a fault."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import bench
import pytest
from bench import quic
from bench.certificate import own_certificate
from bench.client import check_answer
from bench.rows import ROWS
from launcher import Launcher, Server

pytestmark = pytest.mark.timeout(120)

APPS = Path(bench.__file__).parent / "apps"
ROW = ROWS["http3"]

FAULTY = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    status, body = int(scope["root_path"][1:4]), scope["root_path"][5:].encode()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def options() -> list[str]:
    pair = own_certificate()
    return ["--http3", "--ssl-certfile", pair.certificate, "--ssl-keyfile", pair.key]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Launcher(APPS).opened() as launch:
        yield launch("raw:app", *options())


def counts(output: str) -> list[int]:
    """Return requests, microseconds, errors and the percentile."""
    found = re.fullmatch(r"SUMMARY (\d+) (\d+) (\d+) (\d+)\n", output)
    assert found is not None, output
    return [int(number) for number in found.groups()]


def test_right_answers_are_counted(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    quic.main(server.port, 2, 5, 0.3)
    requests, microseconds, errors, p99 = counts(capsys.readouterr().out)
    # More than the first of each stream: answered streams are used for the next.
    assert requests > 10
    assert errors == 0
    assert 0 < p99 <= microseconds


@pytest.mark.parametrize("answer", ["/503/Hello, world!", "/200/Hello, World!", "/200/Hello"])
def test_other_answers_are_errors(
    answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    with Launcher(tmp_path).opened() as launch:
        # The root path tells the application what to answer.
        quic.main(launch("faulty:app", "--root-path", answer, *options()).port, 1, 2, 0.1)
    requests, _, errors, _ = counts(capsys.readouterr().out)
    assert requests == 0
    assert errors >= 2


def test_a_request_without_an_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quic, "LAST_ANSWERS_TIMEOUT", 0.1)
    (tmp_path / "silent.py").write_text(
        "async def app(scope, receive, send):\n"
        "    while (await receive())['type'] != 'http.disconnect':\n"
        "        pass\n"
    )
    with Launcher(tmp_path).opened() as launch:
        quic.main(launch("silent:app", "--lifespan", "off", *options()).port, 2, 3, 0.1)
    requests, _, errors, _ = counts(capsys.readouterr().out)
    assert (requests, errors) == (0, 6)


def test_where_nobody_speaks_quic_the_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "HANDSHAKE_TIMEOUT", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(SystemExit, match="no QUIC handshake within"):
            quic.main(silent.getsockname()[1], 1, 1, 1.0)


# The certificate.


def test_who_trusts_the_certificate_gets_an_answer_and_nobody_else(server: Server) -> None:
    check_answer(server.port, ROW.request, own_certificate().trust())
    with pytest.raises(ssl.SSLCertVerificationError):
        check_answer(server.port, ROW.request, ssl.create_default_context())


def test_the_certificate_is_made_once() -> None:
    assert own_certificate() is own_certificate()
