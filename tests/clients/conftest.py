"""A server of the plain application: one for all tests of a run, or one test's own."""

from __future__ import annotations

import shutil
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.browser import browser, page

HERE = Path(__file__).parent
APPLICATIONS = HERE / "applications"
# The launcher lives beside the tests of the frameworks.
for folder in (HERE, HERE.parent / "apps"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from curl import Curl  # noqa: E402
from launcher import Launcher, Server  # noqa: E402

__all__ = ["browser", "page"]  # fixtures from elsewhere


@pytest.fixture(scope="session")
def shared_launcher() -> Iterator[Launcher]:
    with Launcher(APPLICATIONS).opened() as launch:
        yield launch


@pytest.fixture(scope="session")
def shared_server(shared_launcher: Launcher) -> Callable[[], Server]:
    """Returns the one server, a new one if that has died."""

    def running() -> Server:
        servers = shared_launcher.servers
        if not servers or servers[-1].process.poll() is not None:
            shared_launcher("plain:app")
        return servers[-1]

    return running


@pytest.fixture
def server(shared_server: Callable[[], Server]) -> Iterator[Server]:
    running = shared_server()
    yield running
    running.check()


@pytest.fixture
def launch() -> Iterator[Launcher]:
    """For a test that needs options, or a server of its own to stop."""
    with Launcher(APPLICATIONS).opened() as launcher:
        yield launcher


@pytest.fixture
def curl() -> Curl:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return Curl()


@pytest.fixture
def key() -> str:
    """Names one request in the notes of the application."""
    return uuid.uuid4().hex


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """Where an application knocks when a request is in; see ``knock`` in plain.py."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener
