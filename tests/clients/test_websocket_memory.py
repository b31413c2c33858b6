"""What an idle socket costs the server.

A thousand of them, and a bound that holds under coverage too; ``pytest -s``
prints what it was.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from launcher import Launcher, Server, eventually
from websocket_wire import TEXT, Wire, frame, handshake

APPLICATIONS = Path(__file__).parent / "applications"
SOCKETS = 1000
BATCH = 100
# Resident memory of the server for each, of which the kernel's buffers are no part.
# About 7 KiB are usual; a buffer made too early or a request kept too long is more.
MAX_EACH = 14 * 1024
PATIENCE = 40.0
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


@pytest.fixture
def enough_files() -> Iterator[None]:
    """Let this process, and the server it starts, open a file for each socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * SOCKETS + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"a process may open {hard} files here, not {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fields", [{}, DEFLATE], ids=["plain", "deflate"])
@pytest.mark.usefixtures("enough_files")
def test_an_idle_socket_costs_little_memory(launch: Launcher, fields: dict[str, str]) -> None:
    server = launch(
        "websocket_plain:app",
        # Nobody here answers pings, and a closed socket is to be forgotten at once.
        *("--ws-ping-interval", "0", "--disconnect-grace", "0", "--no-access-log"),
    )
    files = open_files(server)
    with ExitStack() as stack:
        # What all sockets share is there once the first have come.
        keep_open(stack, server, BATCH, fields)
        before = resident(server)
        wires = keep_open(stack, server, SOCKETS, fields)
        full = resident(server)
        each = (full - before) / SOCKETS
        print(f"\n{SOCKETS} idle sockets ({fields or 'plain'}): {each:.0f} bytes each")
        assert each < MAX_EACH, f"{each:.0f} bytes for each of {SOCKETS} sockets"
        # They are all alive.
        for wire in wires:
            wire.send(frame(TEXT, b"hello"))
        for wire in wires:
            assert wire.frame() == (TEXT, b"hello")
    # And cost nothing any more: the next ones find room where they were.
    eventually(
        lambda: open_files(server) == files, within=PATIENCE, what="the server has closed them all"
    )
    with ExitStack() as stack:
        keep_open(stack, server, BATCH + SOCKETS, fields)
        more = (resident(server) - full) / SOCKETS
        assert more < MAX_EACH / 2, f"{more:.0f} bytes more for each of the next {SOCKETS} sockets"


def keep_open(stack: ExitStack, server: Server, count: int, fields: dict[str, str]) -> list[Wire]:
    """Open sockets in batches: fewer round trips, and never more than the backlog holds."""
    wires: list[Wire] = []
    for start in range(0, count, BATCH):
        batch = [stack.enter_context(Wire(server)) for _ in range(min(BATCH, count - start))]
        for wire in batch:
            wire.socket.settimeout(PATIENCE)
            wire.send(handshake("/echo", fields))
        for wire in batch:
            answer = wire.head()
            assert answer.startswith("HTTP/1.1 101 "), answer
            assert ("permessage-deflate" in answer) == bool(fields)
        wires += batch
    return wires


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def resident(server: Server) -> int:
    """Return the resident memory of the server in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, status
    return int(found[1]) * 1024
