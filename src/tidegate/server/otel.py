"""Each request as a span of OpenTelemetry.  The one module that needs the extra ``otel``.

Only the API is used: where spans go, and which are kept, is configured as for
any other program, with ``opentelemetry-instrument`` or in the application.
Names are those of OpenTelemetry's semantic conventions for HTTP servers.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from .._version import __version__
from ..asgi import Application, Message, Receive, Scope, Send
from ..errors import ConfigError
from ..trace import traceparent

try:
    from opentelemetry import context, propagate, trace
except ImportError as error:
    raise ConfigError(f"otel needs a package ({error}): pip install 'tidegate[otel]'") from error

__all__ = ["Traced"]

_ANSWERS = ("http.response.start", "websocket.http.response.start")


class Traced:
    """An ASGI application around another; each of its calls is a span."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._tracer = trace.get_tracer("tidegate", __version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make one call."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        parent = propagate.extract(headers)
        method = scope.get("method", "GET")
        span = self._tracer.start_span(
            method, parent, trace.SpanKind.SERVER, _attributes(scope, method, headers)
        )
        _tell(scope, span.get_span_context())
        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            await self._application(scope, receive, _noting(send, span))
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            route = _route(scope)
            if route is not None:
                span.set_attribute("http.route", route)
                span.update_name(f"{method} {route}")
            context.detach(token)
            span.end()


def _attributes(scope: Scope, method: str, headers: dict[str, str]) -> dict[str, Any]:
    client, server = scope.get("client"), scope.get("server")
    found = {
        "http.request.method": method,
        "url.scheme": scope.get("scheme", "http"),
        "url.path": scope["path"],
        "url.query": scope["query_string"].decode("latin-1") or None,
        "network.protocol.version": scope["http_version"],
        "user_agent.original": headers.get("user-agent"),
        "client.address": client[0] if client else None,
        "server.address": server[0] if server else None,
        "server.port": server[1] if server else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _noting(send: Send, span: trace.Span) -> Send:
    """Return a ``send`` that notes the status on the way."""

    def noting(message: Message) -> Awaitable[None]:
        if message["type"] in _ANSWERS:
            status = message["status"]
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(trace.StatusCode.ERROR)
        return send(message)

    return noting


def _tell(scope: Scope, found: trace.SpanContext) -> None:
    """Let the application and the log know the trace (W3C Trace Context section 3.2)."""
    if found.is_valid:
        flags = int(found.trace_flags)
        text = f"00-{found.trace_id:032x}-{found.span_id:016x}-{flags:02x}"
        scope["state"]["traceparent"] = text
        traceparent.set(text)


def _route(scope: Scope) -> str | None:
    """Return the path of the route, if the framework behind us says which it took."""
    route = scope.get("route")
    path = getattr(route, "path", route)
    return path if isinstance(path, str) else None
