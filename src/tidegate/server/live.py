"""Pages that reload themselves when the application was restarted.

HTML answers get a script that holds an event stream open.  When the stream
comes from another process than the page, the script loads the page again.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from ..asgi import Application, Message, Receive, Scope, Send

__all__ = ["LiveReload"]

_SCRIPT = "/.tidegate/live.js"
_STREAM = "/.tidegate/live"

_SOURCE = b"""\
(() => {
  const [script, process] = document.currentScript.src.split("?");
  new EventSource(script.replace(/[.]js$/, "")).onmessage = (event) => {
    if (event.data !== process) location.reload();
  };
})();
"""

# They would send a file past us.
_FILES = ("http.response.pathsend", "http.response.zerocopysend")


class LiveReload:
    """An ASGI application around another, whose pages it makes reload themselves."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._process = uuid4().hex

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the script and the stream; pass on everything else."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._application(scope, receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        if path == _SCRIPT:
            await _answer(send, b"text/javascript", _SOURCE)
        elif path == _STREAM:
            event = f"retry: 100\ndata: {self._process}\n\n".encode()
            await _answer(send, b"text/event-stream", event, more=True)
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            extensions = scope.get("extensions") or {}
            kept = {name: value for name, value in extensions.items() if name not in _FILES}
            inner = dict(scope, extensions=kept)
            # A file of its own: a Content-Security-Policy may refuse scripts in the page.
            script = f'\n<script src="{root}{_SCRIPT}?{self._process}"></script>\n'.encode()
            await self._application(inner, receive, _Injecting(send, script).send)


async def _answer(send: Send, kind: bytes, content: bytes, more: bool = False) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": more})


class _Injecting:
    """Sends a response on, with the script at the end of a page."""

    def __init__(self, send: Send, script: bytes) -> None:
        self._send = send
        self._script = script
        self._is_page = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_page = _is_page(message)
            if self._is_page:
                message = dict(message, headers=list(map(self._longer, message["headers"])))
        elif self._is_page and not message.get("more_body", False):
            message = dict(message, body=message.get("body", b"") + self._script)
        await self._send(message)

    def _longer(self, field: Any) -> tuple[bytes, bytes]:
        name, value = field
        if name.lower() == b"content-length" and value.isdigit():
            value = b"%d" % (int(value) + len(self._script))
        return name, value


def _is_page(start: Message) -> bool:
    """Say whether this is a whole page that can be added to."""
    fields = {name.lower(): value for name, value in start.get("headers", ())}
    whole = start["status"] == 200 or start["status"] >= 400
    return (
        whole
        and fields.get(b"content-type", b"").lower().startswith(b"text/html")
        and b"content-encoding" not in fields
    )
