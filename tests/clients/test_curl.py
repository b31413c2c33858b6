"""curl, the client that everyone has, with the options that people use."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from curl import Curl
from launcher import Launcher, Server, eventually

MEGABYTE = 1024 * 1024


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(range(256)) * 4096 * 3)
    return file


def digest_of(file: Path) -> dict[str, int]:
    content = file.read_bytes()
    return {"size": len(content), "crc32": zlib.crc32(content)}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_both_versions_of_http_are_served(curl: Curl, server: Server, version: str) -> None:
    done = curl(f"--http{version}", "--include", f"{server.base_url}/scope")
    head, _, content = done.output.replace("\r", "").partition("\n\n")
    # RFC 9110, 2.5: a server answers with its own version.
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert json.loads(content)["http_version"] == version


def test_an_offer_to_upgrade_to_http_2_is_declined(curl: Curl, server: Server) -> None:
    """curl offers h2c with ``Upgrade``, which RFC 9113 has abolished and allows to ignore."""
    url = f"{server.base_url}/scope"
    done = curl("--http2", "--data", "x=1", "--write-out", "%{http_version}", url)
    assert done.output.endswith("1.1")
    assert "h2c" in done.output


def test_a_stream_for_http_1_0_ends_with_the_connection(curl: Curl, server: Server) -> None:
    done = curl("--http1.0", "--include", f"{server.base_url}/lines/100")
    head, _, content = done.output.replace("\r", "").partition("\n\n")
    assert "transfer-encoding" not in head.lower()
    assert len(content.splitlines()) == 100


def test_a_stream_for_http_1_1_is_chunked(curl: Curl, server: Server) -> None:
    done = curl("--http1.1", "--include", f"{server.base_url}/lines/100")
    head, _, content = done.output.replace("\r", "").partition("\n\n")
    assert "transfer-encoding: chunked" in head.lower()
    assert len(content.splitlines()) == 100


def test_head_has_the_length_and_no_content(curl: Curl, server: Server) -> None:
    done = curl("--head", f"{server.base_url}/")
    assert done.lines[0] == "HTTP/1.1 200 OK"
    assert "content-length: 6" in done.output.lower()
    assert "hello" not in done.output


def test_one_connection_is_used_for_many_requests(curl: Curl, server: Server) -> None:
    urls = [f"{server.base_url}/{path}" for path in ("", "lines/3", "status/404", "scope", "")]
    done = curl("--write-out", "\n%{num_connects}\n", *urls)
    connects = [line for line in done.lines if line in ("0", "1")]
    assert connects == ["1", "0", "0", "0", "0"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_every_status_ends_where_it_should(curl: Curl, server: Server, method: str) -> None:
    """On one connection: a body too much or too little would spoil the next answer."""
    codes = [200, 201, 202, 204, 206, 301, 304, 400, 401, 404, 405, 418, 429, 500, 503, 599]
    wanted = "{" + ",".join(str(code) for code in codes) + "}"
    how = ["--head"] if method == "HEAD" else ["--request", method]
    done = curl(
        *how,
        *("--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"),
        f"{server.base_url}/status/{wanted}",
    )
    assert done.lines == [f"{code} {int(code == 200)}" for code in codes]


def test_an_upload_is_sent_only_after_100_continue(
    curl: Curl, server: Server, large_file: Path
) -> None:
    done = curl("--verbose", "--upload-file", str(large_file), f"{server.base_url}/digest")
    assert "> Expect: 100-continue" in done.messages
    assert done.messages.index("< HTTP/1.1 100") < done.messages.index("< HTTP/1.1 200")
    assert json.loads(done.output) == {"method": "PUT", **digest_of(large_file)}


def test_an_upload_that_nobody_wants_is_not_sent(
    curl: Curl, server: Server, large_file: Path
) -> None:
    """The application answers without asking for the body, so no 100 may be sent."""
    done = curl(
        *("--verbose", "--upload-file", str(large_file), "--write-out", "%{size_upload}"),
        f"{server.base_url}/refuse",
    )
    assert "< HTTP/1.1 413" in done.messages
    assert "< HTTP/1.1 100" not in done.messages
    assert done.output == "not wanted\n0"


def test_an_upload_without_waiting_is_taken(curl: Curl, server: Server, large_file: Path) -> None:
    done = curl(
        "--header", "Expect:", "--upload-file", str(large_file), f"{server.base_url}/digest"
    )
    assert json.loads(done.output) == {"method": "PUT", **digest_of(large_file)}


def test_a_chunked_upload_is_taken(curl: Curl, server: Server, large_file: Path) -> None:
    done = curl(
        *("--header", "Transfer-Encoding: chunked", "--data-binary", f"@{large_file}"),
        f"{server.base_url}/digest",
    )
    assert json.loads(done.output) == {"method": "POST", **digest_of(large_file)}


def test_a_refused_chunked_upload_gets_its_answer(
    curl: Curl, server: Server, large_file: Path
) -> None:
    """curl sends at once and 3 MB, far more than is thrown away to keep a connection."""
    done = curl.try_(
        *("--header", "Transfer-Encoding: chunked", "--header", "Expect:"),
        *("--data-binary", f"@{large_file}", f"{server.base_url}/refuse"),
    )
    assert done.output == "not wanted\n"


def test_dots_in_a_path_are_left_to_the_application(curl: Curl, server: Server) -> None:
    done = curl("--path-as-is", f"{server.base_url}/scope/../b/./c//d%2Fe")
    scope = json.loads(done.output)
    assert scope["path"] == "/scope/../b/./c//d/e"
    assert scope["raw_path"] == "/scope/../b/./c//d%2Fe"


def test_a_target_in_absolute_form_is_a_path(curl: Curl, server: Server) -> None:
    target = f"{server.base_url}/scope/x?y=1"
    scope = json.loads(curl("--request-target", target, f"{server.base_url}/").output)
    assert (scope["path"], scope["query"]) == ("/scope/x", "y=1")


def test_a_unix_socket_is_served(curl: Curl, launch: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "s"
    launch("plain:app", "--uds", str(path))
    done = curl("--unix-socket", str(path), "http://localhost/scope")
    assert json.loads(done.output)["server"] == [str(path), None]


def test_twenty_transfers_at_once(curl: Curl, server: Server) -> None:
    done = curl(
        *("--parallel", "--parallel-immediate", "--write-out", "%{http_code}\n"),
        *("--output", "/dev/null", f"{server.base_url}/lines/[1000-1019]"),
    )
    assert done.lines == ["200"] * 20


def test_the_application_is_told_when_curl_is_stopped(curl: Curl, server: Server, key: str) -> None:
    def notes() -> list[str]:
        return json.loads(curl(f"{server.base_url}/notes/{key}").output)

    with curl.start(f"{server.base_url}/hold/{key}") as running:
        eventually(lambda: notes() == ["here"], what="the request is in")
        running.terminate()
    eventually(lambda: notes() == ["here", "http.disconnect"], what="the application was told")
