"""Middleware for any ASGI application: settings that, called with one, return it wrapped.

``App(middleware=[CORS(...), Compress()])`` applies them outermost first;
``CORS(...)(application)`` works around whatever speaks ASGI.  Names are
imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compress import Compress
    from .cors import CORS
    from .csrf import CSRF, csrf_token
    from .hosts import TrustedHost
    from .https import HTTPSRedirect
    from .rate_limit import RateLimit
    from .rates import MemoryRates
    from .request_ids import RequestID, RequestIDFilter, request_id, traceparent
    from .security import SecurityHeaders
    from .sessions import MemorySessions, Session, Sessions
    from .signed_cookies import SignedCookies
    from .timeout import Timeout

__all__ = [
    "CORS",
    "CSRF",
    "Compress",
    "HTTPSRedirect",
    "MemoryRates",
    "MemorySessions",
    "RateLimit",
    "RequestID",
    "RequestIDFilter",
    "SecurityHeaders",
    "Session",
    "Sessions",
    "SignedCookies",
    "Timeout",
    "TrustedHost",
    "csrf_token",
    "request_id",
    "traceparent",
]

_PLACES = {
    "CORS": "cors",
    "CSRF": "csrf",
    "Compress": "compress",
    "HTTPSRedirect": "https",
    "MemoryRates": "rates",
    "MemorySessions": "sessions",
    "RateLimit": "rate_limit",
    "RequestID": "request_ids",
    "RequestIDFilter": "request_ids",
    "SecurityHeaders": "security",
    "Session": "sessions",
    "Sessions": "sessions",
    "SignedCookies": "signed_cookies",
    "Timeout": "timeout",
    "TrustedHost": "hosts",
    "csrf_token": "csrf",
    "request_id": "request_ids",
    "traceparent": "request_ids",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
