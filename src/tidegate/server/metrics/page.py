"""The figures as an ASGI application, in front of another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...asgi import Application, Receive, Scope, Send
from .counts import Samples
from .exposition import CONTENT_TYPE, exposition

__all__ = ["MetricsPage"]


class MetricsPage:
    """Answers GET of ``path`` with what ``samples`` returns; passes on everything else."""

    def __init__(
        self,
        path: str,
        samples: Callable[[], Awaitable[Samples]],
        application: Application,
    ) -> None:
        self._path = path
        self._samples = samples
        self.application = application

    def serves(self, path: str) -> bool:
        """Say whether a path is that of the figures."""
        return path == self._path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        root_path = scope.get("root_path", "")
        if scope["type"] == "http" and self.serves(scope["path"].removeprefix(root_path)):
            if scope["method"] in ("GET", "HEAD"):
                text = exposition(await self._samples())
                await _answer(send, 200, text.encode(), CONTENT_TYPE)
            else:
                await _answer(send, 405, b"405 Method Not Allowed\n", allow=b"GET, HEAD")
        else:
            await self.application(scope, receive, send)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    kind: bytes = b"text/plain; charset=utf-8",
    allow: bytes = b"",
) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    if allow:
        headers.append((b"allow", allow))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
