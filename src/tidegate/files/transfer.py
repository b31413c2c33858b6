"""From an open file to ``send``: by the server where it offers that, else in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..asgi import Scope, Send
from ..bridge.threads import to_thread
from .answer import Content
from .opened import Opened

__all__ = ["send_content"]

# One hop for so much; more would only wait in the socket's buffer.
_PIECE = 256 * 1024


async def send_content(scope: Scope, send: Send, file: Opened, content: Content) -> None:
    """Send the content of a response whose start was sent; to HEAD, none.

    Raises ``OSError`` if the file became shorter meanwhile.
    """
    if scope["method"] == "HEAD":
        content = []
    last = len(content) - 1
    for place, each in enumerate(content):
        more = place < last
        if isinstance(each, bytes):
            await send({"type": "http.response.body", "body": each, "more_body": more})
        elif each[0] < each[1] or not more:
            await _send_part(scope, send, file, each, more)
    if not content:
        await send({"type": "http.response.body", "body": b""})


async def _send_part(
    scope: Scope, send: Send, file: Opened, part: tuple[int, int], more: bool
) -> None:
    start, end = part
    extensions: Mapping[str, Any] = scope.get("extensions") or {}
    if "http.response.zerocopysend" in extensions:
        await send(
            {
                "type": "http.response.zerocopysend",
                "file": file.file,
                "offset": start,
                "count": end - start,
                "more_body": more,
            }
        )
    elif part == (0, file.size) and "http.response.pathsend" in extensions:
        await send({"type": "http.response.pathsend", "path": file.path})
    else:
        await _send_pieces(send, file, part, more)


async def _send_pieces(send: Send, file: Opened, part: tuple[int, int], more: bool) -> None:
    start, end = part
    while True:
        data = await to_thread(file.read, start, min(_PIECE, end - start))
        start += len(data)
        if not data and start < end:
            raise OSError(f"{file.path} became shorter while it was sent")
        going_on = more or start < end
        await send({"type": "http.response.body", "body": data, "more_body": going_on})
        if start >= end:
            return
