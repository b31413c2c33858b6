"""Spans as the SDK of OpenTelemetry gets them."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tidegate.asgi import Receive, Scope, Send
from tidegate.server import otel
from tidegate.trace import traceparent

from .running import running

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(otel.trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


class Application:
    """Notes the span it runs in."""

    def __init__(self) -> None:
        self.inside: list[tuple[int, str | None, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        current = trace.get_current_span().get_span_context()
        self.inside.append((current.span_id, traceparent.get(), scope["state"]["traceparent"]))
        if scope["path"] == "/broken":
            raise ZeroDivisionError
        status = int(scope["path"].rpartition("/")[2])
        scope["route"] = "/status/{number}"
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def attributes(span: Any) -> dict[str, Any]:
    return dict(span.attributes)


async def test_a_request_is_a_span(spans: InMemorySpanExporter) -> None:
    application = Application()
    async with running(application, otel=True) as server:
        await server.get("/status/200?a=b", "User-Agent: curl/8\r\n")
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("GET /status/{number}", SpanKind.SERVER)
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/status/{number}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/status/200",
        "url.query": "a=b",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "client.address": "127.0.0.1",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    ((inside, variable, told),) = application.inside
    assert inside == span.context.span_id
    flags = int(span.context.trace_flags)
    assert variable == told == f"00-{span.context.trace_id:032x}-{inside:016x}-{flags:02x}"


async def test_a_span_continues_the_trace_of_the_client(spans: InMemorySpanExporter) -> None:
    async with running(Application(), otel=True) as server:
        await server.get("/status/200", f"traceparent: {PARENT}\r\n")
    (span,) = spans.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == PARENT[3:35]
    assert f"{span.parent.span_id:016x}" == PARENT[36:52]


async def test_an_error_is_one_of_the_span(spans: InMemorySpanExporter) -> None:
    async with running(Application(), otel=True) as server:
        assert (await server.get("/broken")).status == 500
        assert (await server.get("/status/503")).status == 503
        assert (await server.get("/status/404")).status == 404
    broken, refused, missing = spans.get_finished_spans()
    assert (broken.name, attributes(broken)["error.type"]) == ("GET", "ZeroDivisionError")
    assert (refused.status.status_code, attributes(refused)["error.type"]) == (
        StatusCode.ERROR,
        "503",
    )
    assert missing.status.status_code is StatusCode.UNSET


async def test_the_log_has_the_trace_of_the_span(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidegate.access")
    async with running(Application(), otel=True, access_log_format="json") as server:
        await server.get("/status/200")
    (span,) = spans.get_finished_spans()
    (record,) = [each for each in caplog.records if each.name == "tidegate.access"]
    assert vars(record)["trace_id"] == f"{span.context.trace_id:032x}"
    assert f'"trace_id": "{span.context.trace_id:032x}"' in vars(record)["access"]


async def test_without_an_sdk_nothing_is_told() -> None:
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        seen.append(scope["state"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with running(application, otel=True) as server:
        assert (await server.get()).status == 200
    assert seen == [{}]


def test_whoever_does_without_does_not_import_it() -> None:
    text = (
        "import sys; import tidegate.server.server;"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", text], check=True, timeout=50)


def test_a_missing_package_is_named() -> None:
    text = "import sys; sys.modules['opentelemetry'] = None; import tidegate.server.otel"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=50
    )
    assert "pip install 'tidegate[otel]'" in done.stderr
