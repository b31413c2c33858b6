"""The page a developer sees when a handler fails: never shown outside debug mode."""

from __future__ import annotations

import html
import re
import traceback
from typing import Any

__all__ = ["page"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #1c2733 }
h1 { font-size: 1.3rem } h2 { font-size: 1rem; margin-top: 2rem }
pre { background: #f3f5f7; padding: .8rem; overflow: auto; border-radius: 6px }
.here { background: #ffe9c7; display: block } table { border-collapse: collapse }
td { padding: .15rem .8rem .15rem 0; vertical-align: top; font-family: monospace }
"""


# Names of fields whose values may be of use to somebody else.
_SECRET = re.compile(rb"auth|cookie|key|token|secret|session|password|signature|csrf")


def page(error: BaseException, request: Any) -> str:
    """Return an HTML page with the traceback, the innermost frame first, and the request."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "".join(_frame(frame) for frame in reversed(frames))
    pairs = request.scope.get("headers", ())
    rows = "".join(
        f"<tr><td>{html.escape(name.decode('latin-1'))}</td><td>{_value(name, value)}</td></tr>"
        for name, value in pairs
    )
    title = html.escape(f"{type(error).__name__}: {error}")
    where = html.escape(f"{request.scope.get('method', 'WEBSOCKET')} {request.scope['path']}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{where}</p>{places}"
        f"<h2>Header fields</h2><table>{rows}</table></html>"
    )


def _value(name: bytes, value: bytes) -> str:
    if _SECRET.search(name):
        return "(not shown)"
    return html.escape(value.decode("latin-1"))


def _frame(frame: traceback.FrameSummary) -> str:
    place = html.escape(f"{frame.filename}, line {frame.lineno}, in {frame.name}")
    return f"<h2>{place}</h2><pre>{html.escape(frame.line or '')}</pre>"
