"""Every test here runs over every protocol: ``serve`` is a server and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from tests.authority import Files, authority
from tests.behaviour.calls import Client
from tests.behaviour.http1 import Http1, Http1Tls
from tests.behaviour.http2 import Http2, Http2Cleartext
from tests.behaviour.http3 import Http3
from tests.server.running import running

from tidegate.asgi import Application

PROTOCOLS: list[type[Client]] = [Http1, Http1Tls, Http2, Http2Cleartext, Http3]

Serve = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return authority().issue(tmp_path_factory.mktemp("behaviour"))


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.name)
def serve(request: pytest.FixtureRequest, files: Files) -> Serve:
    """``async with serve(application, **settings) as client``; ``client.running`` is the server."""
    protocol: type[Client] = request.param

    @asynccontextmanager
    async def served(application: Application, **settings: Any) -> AsyncIterator[Client]:
        given = {"lifespan": "off", **protocol.settings(files), **settings}
        async with running(application, **given) as server:
            client = protocol(server)
            async with client.opened():
                yield client

    return served
