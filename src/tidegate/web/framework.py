"""The types that the framework itself gives to handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events.hub import Hub
from .inject import Getter
from .request import Request
from .socket import Socket
from .tasks import Tasks

__all__ = ["framework_types"]


def _tasks(request: Request) -> Tasks:
    if request.tasks is None:
        request.tasks = Tasks()
    tasks: Tasks = request.tasks
    return tasks


def framework_types() -> Mapping[Any, Getter]:
    """Return how each of these types is made for a request."""
    return {
        Request: lambda request: request,
        Socket: lambda request: request.socket,
        Tasks: _tasks,
        Hub: lambda request: request.app.hub,
    }
