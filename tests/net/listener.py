"""A worker that listens on a real socket of the running loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tidegate.asgi import Application
from tidegate.net.http1 import Http1Connection
from tidegate.testing.peer import Peer, turns


@asynccontextmanager
async def serving(
    application: Application, path: Path | None = None
) -> AsyncIterator[tuple[Peer, Any]]:
    """Serve on a free port, or at ``path``; yield a peer for its worker and the address."""
    loop = asyncio.get_running_loop()
    peer = Peer(application)

    def factory() -> Http1Connection:
        return Http1Connection(peer.worker)

    if path is None:
        server = await loop.create_server(factory, "127.0.0.1", 0)
    else:
        server = await loop.create_unix_server(factory, path)
    try:
        async with asyncio.timeout(20):
            yield peer, server.sockets[0].getsockname()
    finally:
        server.close()
        for connection in list(peer.worker.connections):
            connection.abort()
        await turns()
        await server.wait_closed()
