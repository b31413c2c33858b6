"""Tidegate: a server, and more, for ASGI applications.

Public names are imported on first use, so that ``import tidegate`` costs next
to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._pure import obey

if TYPE_CHECKING:
    from ._version import __version__
    from .bridge.wsgi import wsgi
    from .errors import (
        AppError,
        ClientDisconnected,
        ConfigError,
        PeerError,
        TidegateError,
        UsageError,
    )
    from .events.hub import Hub
    from .server.config import Config
    from .server.run import run
    from .server.server import Server
    from .web.app import App
    from .web.file import FileResponse
    from .web.params import Body, Cookie, Depends, Form, Header, LastEventID, Path, Query
    from .web.problems import Problem
    from .web.request import Request
    from .web.response import (
        HTMLResponse,
        JSONResponse,
        RedirectResponse,
        Response,
        StreamResponse,
        TextResponse,
    )
    from .web.router import Router
    from .web.socket import Socket
    from .web.sse import Event
    from .web.static import Static
    from .web.tasks import Tasks

__all__ = [
    "App",
    "AppError",
    "Body",
    "ClientDisconnected",
    "Config",
    "ConfigError",
    "Cookie",
    "Depends",
    "Event",
    "FileResponse",
    "Form",
    "HTMLResponse",
    "Header",
    "Hub",
    "JSONResponse",
    "LastEventID",
    "Path",
    "PeerError",
    "Problem",
    "Query",
    "RedirectResponse",
    "Request",
    "Response",
    "Router",
    "Server",
    "Socket",
    "Static",
    "StreamResponse",
    "Tasks",
    "TextResponse",
    "TidegateError",
    "UsageError",
    "__version__",
    "run",
    "wsgi",
]

# Before any module that may be compiled is imported.
obey()

_PLACES = {
    "__version__": "._version",
    "Config": ".server.config",
    "Server": ".server.server",
    "run": ".server.run",
    "App": ".web.app",
    "Body": ".web.params",
    "Cookie": ".web.params",
    "Depends": ".web.params",
    "Event": ".web.sse",
    "FileResponse": ".web.file",
    "Form": ".web.params",
    "HTMLResponse": ".web.response",
    "Header": ".web.params",
    "JSONResponse": ".web.response",
    "LastEventID": ".web.params",
    "Path": ".web.params",
    "Hub": ".events.hub",
    "Problem": ".web.problems",
    "wsgi": ".bridge.wsgi",
    "Query": ".web.params",
    "RedirectResponse": ".web.response",
    "Request": ".web.request",
    "Response": ".web.response",
    "Router": ".web.router",
    "Socket": ".web.socket",
    "Static": ".web.static",
    "StreamResponse": ".web.response",
    "Tasks": ".web.tasks",
    "TextResponse": ".web.response",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, ".errors"), __name__), name)
