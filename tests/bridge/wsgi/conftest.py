"""Every test of hosting runs on both ways from the server to the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.bridge.wsgi.hosting import CARRIERS, Host, hosted
from tests.conftest import LOOPS

from tidegate.bridge.wsgi.call import Application

Serve = Callable[..., Host]

NewLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[f"{carrier}-{loop}" for carrier in CARRIERS for loop in LOOPS])
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Returns a function that hosts an application until the end of the test."""
    carrier, _, loop = request.param.partition("-")
    with ExitStack() as stack:

        def serve(application: Application, **settings: Any) -> Host:
            return stack.enter_context(hosted(application, carrier, LOOPS[loop], **settings))

        yield serve


@pytest.fixture
def carrier(request: pytest.FixtureRequest) -> str:
    """Which way: ``native`` or ``component``."""
    return str(request.node.callspec.params["serve"]).partition("-")[0]
