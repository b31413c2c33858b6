"""A page whose script tries what middleware allows and forbids; two servers run this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.web.middleware import (
    CORS,
    CSRF,
    Compress,
    RequestID,
    SecurityHeaders,
    Sessions,
    SignedCookies,
)

PAGE = Path(__file__).with_name("wrapped_site.html").read_text("utf-8")
TEXT = "The quick brown fox jumps over the lazy dog. " * 1000
visits = []


def says(content: Any, status: int = 200, kind: str = "text/plain") -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        text = (content(scope) if callable(content) else content).encode()
        headers = [(b"content-type", f"{kind}; charset=utf-8".encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return application


async def guarded(scope: Any, receive: Any, send: Any) -> None:
    visits.append(scope["type"])
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await says("in")(scope, receive, send)


def count(scope: Any) -> str:
    scope["session"]["count"] = scope["session"].get("count", 0) + 1
    return str(scope["session"]["count"])


def html(scope: Any) -> str:
    return PAGE.replace("NONCE", scope["state"]["csp_nonce"])


OPEN = CORS(
    allow_origin_regex=r"http://127\.0\.0\.1:\d+",
    allow_methods=["GET", "PUT"],
    allow_headers=["X-A"],
    expose_headers=["X-Request-ID"],
    allow_credentials=True,
)
CLOSED = CORS(allow_origins=["https://other.example"])
STAR = CORS(allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
POLICY = SecurityHeaders("default-src 'none'; script-src 'nonce-{nonce}'; connect-src http: ws:")
SESSIONS = Sessions(SignedCookies("s" * 32))

ROUTES = {
    "/page": POLICY(says(html, kind="text/html")),
    "/open": OPEN(RequestID()(says("open"))),
    "/fails": OPEN(says("fails", 500)),
    "/closed": CLOSED(says("closed")),
    "/star": STAR(says("star")),
    "/visits": STAR(says(lambda scope: ",".join(visits))),
    "/guarded": CSRF()(guarded),
    "/count": SESSIONS(says(count)),
    "/text": Compress()(says(TEXT)),
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await ROUTES.get(scope["path"], says("", 404))(scope, receive, send)
