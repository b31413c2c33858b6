"""WSGI and ASGI, each under the other."""

from __future__ import annotations

from .asgi import Wsgi, WsgiSettings, wsgi
from .reverse import asgi_as_wsgi

__all__ = ["Wsgi", "WsgiSettings", "asgi_as_wsgi", "wsgi"]
