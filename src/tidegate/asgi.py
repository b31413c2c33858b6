"""The types of ASGI 3, for annotations only: there is no run-time code here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["Application", "LegacyApplication", "Message", "Receive", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
"""What a connection is about; ``scope["type"]`` says which kind it is."""

Message: TypeAlias = MutableMapping[str, Any]
"""One ASGI event; ``message["type"]`` is ``"protocol.name"``."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application: one call per request, socket or lifespan."""

LegacyApplication: TypeAlias = Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]
"""An ASGI 2 application: called with the scope, then with the two channels."""
