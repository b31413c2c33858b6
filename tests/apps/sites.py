"""One small application for each framework, served by a real process."""

from __future__ import annotations

import http.client
import socket
import uuid
from pathlib import Path
from typing import Any

import httpx
from launcher import Launcher, Server

__all__ = ["Site", "Sites"]


class Site:
    """A running application and a client of it."""

    def __init__(self, framework: str, server: Server, client: httpx.Client) -> None:
        self.framework = framework
        self.server = server
        self.client = client

    def connection(self, receive_buffer: int | None = None) -> http.client.HTTPConnection:
        """One connection of its own, to see what happens on exactly this one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        if receive_buffer:
            connection.sock = socket.socket()
            # Only before connecting does it bound the window that TCP announces.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.sock.settimeout(20)
            connection.sock.connect(("127.0.0.1", self.server.port))
        return connection

    def notes(self, key: str) -> list[str]:
        """What the application wrote down under this key."""
        return self._notebook(key)["notes"]

    def sent(self, key: str) -> int:
        """How many bytes the stream of this key has yielded."""
        return self._notebook(key)["sent"]

    def open_gate(self, key: str) -> None:
        """Let the request of this key go on."""
        assert self.client.post(f"/gates/{key}").status_code == 200

    def settle(self) -> None:
        """Return when the log holds all that the server wrote until now."""
        mark = uuid.uuid4().hex
        self.client.get(f"/items/{mark}?q=x")
        self.server.wait_for_log(mark)

    def forgive(self) -> None:
        """Take the tracebacks that the log holds until now as expected."""
        self.settle()
        self.server.forgive()

    def _notebook(self, key: str) -> Any:
        return self.client.get(f"/notes/{key}").raise_for_status().json()


class Sites:
    """Starts each application once for the whole run, whatever the order of the tests."""

    def __init__(self, launch: Launcher, database: Path) -> None:
        self.launch = launch
        self.database = database
        self._shared: dict[str, Server] = {}

    def start(self, framework: str, *options: str, **env: str) -> Server:
        return self.launch(
            f"with_{framework}:app",
            # Short, so that a test of the grace itself need not wait for the usual 3 s.
            *("--disconnect-grace", "0.2", *options),
            env={"DATABASE": str(self.database), **env},
        )

    def shared(self, framework: str) -> Server:
        server = self._shared.get(framework)
        if server is None or server.process.poll() is not None:
            server = self._shared[framework] = self.start(framework)
        return server
