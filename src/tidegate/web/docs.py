"""The documentation pages of an application; all of them come from this package."""

from __future__ import annotations

import functools
import os
from typing import Any

from .. import web
from .codec import to_json
from .response import Response
from .router import Router

__all__ = ["documentation"]

_ASSETS = os.path.join(os.path.dirname(__file__), "assets")

# Nothing from elsewhere is needed, so nothing from elsewhere is allowed.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def documentation(app: Any) -> Router:
    """Return routes for the documents and for the page that shows them."""
    router = Router()
    made: dict[str, bytes] = {}  # documents, when first asked for

    def serve(path: str, name: str, kind: str, make: Any) -> None:
        @router.get(path, name=f"docs:{name}", hidden=True)
        async def page() -> Response[bytes]:
            content = made.get(name)
            if content is None:
                content = made[name] = make()
            headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
            return Response(content, 200, headers, media_type=kind)

    def serve_document(name: str, make: Any) -> None:
        serve(f"/{name}.json", name, "application/json", lambda: to_json(make()))

    serve_document("openapi", lambda: web.openapi.document(app))
    serve_document("asyncapi", lambda: web.asyncapi.document(app))
    for name in ("docs.html", "docs.css", "docs.js"):
        path = "/docs" if name == "docs.html" else f"/docs/{name}"
        kind = f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8"
        serve(path, name, kind, functools.partial(_asset, name))
    return router


def _asset(name: str) -> bytes:
    with open(os.path.join(_ASSETS, name), "rb") as file:
        return file.read()
