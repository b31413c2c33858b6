"""Start and end of each framework's application."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
from expectations import CANNOT, FRAMEWORKS, every_framework
from sites import Site, Sites


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary"
    path.touch()
    return path


def steps(framework: str, *wanted: str) -> list[str]:
    """What an application writes into its diary: the steps that its framework can take."""
    return [step for step in wanted if (framework, step) not in CANNOT]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_startup_runs_before_serving_and_shutdown_after(
    own_sites: Sites, framework: str, diary: Path
) -> None:
    server = own_sites.start(framework, DIARY=str(diary))
    assert httpx.get(f"{server.base_url}/where", trust_env=False).status_code == 200
    assert diary.read_text().splitlines() == steps(framework, "startup")
    assert server.stop() == 0
    assert diary.read_text().splitlines() == steps(framework, "startup", "shutdown")
    server.check_log()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_open_event_stream_does_not_keep_the_server(
    own_sites: Sites, framework: str, diary: Path, key: str
) -> None:
    """Its client stays and its application never ends: only the server can."""
    server = own_sites.start(framework, "--timeout-graceful-shutdown", "0.2", DIARY=str(diary))
    with (
        httpx.Client(base_url=server.base_url, timeout=20, trust_env=False) as client,
        client.stream("GET", f"/idle/{key}") as answer,
    ):
        pieces = answer.iter_raw()
        assert next(pieces) == b"data: hello\n\n"
        server.signal(signal.SIGTERM)
        assert server.wait(within=5) == 0
        with pytest.raises(httpx.RemoteProtocolError):  # not a clean end: the stream was cut
            next(pieces)
    expected = steps(framework, "startup", "stream ended", "shutdown")
    assert diary.read_text().splitlines() == expected
    server.check_log()


@every_framework("state")
def test_the_state_of_the_lifespan_reaches_a_request(site: Site) -> None:
    assert site.client.get("/state").json() == {"greeting": "set at startup"}
