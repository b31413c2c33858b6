"""The fixtures of the plugin work in somebody else's tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
pytest_plugins = ["tidegate.testing.plugin"]
events = []

@pytest.fixture
def app():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                kind = (await receive())["type"]
                events.append(kind)
                await send({"type": kind + ".complete"})
            return
        headers = dict(scope["headers"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": headers.get(b"host", b"")})
    return app

def test_client(client):
    assert client.get("/").text == "testserver"

def test_closed():
    assert events == ["lifespan.startup", "lifespan.shutdown"]

def test_open_client(open_client, app):
    one, two = open_client(app), open_client(app, base_url="http://two")
    assert one.get("/").text + two.get("/").text == "testservertwo"

class TestOptions:
    @pytest.fixture
    def client_options(self):
        return {"base_url": "http://mine"}

    def test_options(self, client):
        assert client.get("/").text == "mine"
"""


def test_the_fixtures_open_clients_and_close_them(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(TESTS, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
