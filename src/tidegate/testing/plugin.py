"""Fixtures for pytest: ``pytest_plugins = ["tidegate.testing.plugin"]``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..asgi import Application
from .clients import Client
from .clients import client as opening

__all__ = ["client", "client_options", "open_client"]


@pytest.fixture
def open_client() -> Iterator[Callable[..., Client]]:
    """Open clients that are closed after the test: ``open_client(app, **options)``."""
    with contextlib.ExitStack() as stack:

        def open_one(app: Application, **options: Any) -> Client:
            return stack.enter_context(opening(app, **options))

        yield open_one


@pytest.fixture
def client_options() -> dict[str, Any]:
    """Return the options of the fixture ``client``; define your own to change them."""
    return {}


@pytest.fixture
def client(
    app: Application, client_options: dict[str, Any], open_client: Callable[..., Client]
) -> Client:
    """Return a client of the application that your fixture ``app`` returns."""
    return open_client(app, **client_options)
