"""A file as a response: whole, in parts, or not at all if the client has it already."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote

from ..asgi import Receive, Scope, Send
from ..bridge.threads import to_thread
from ..errors import ClientDisconnected
from ..files.answer import Facts, answer, whole
from ..files.kind import UNKNOWN, kind_of
from ..files.opened import Opened
from ..files.transfer import send_content
from ..http import http_date
from .problems import Problem
from .response import Response

__all__ = ["FileResponse"]


class FileResponse(Response[None]):
    """A file: ``FileResponse("report.pdf", filename="Report 2026.pdf")``.

    Answers Range, If-Range, If-None-Match and If-Modified-Since.  The type is
    guessed from the name.  With ``filename`` a browser saves it under that name,
    or shows it if ``disposition`` is ``inline``.  404 if there is no such file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        media_type: str | None = None,
        filename: str | None = None,
        disposition: Literal["attachment", "inline"] = "attachment",
    ) -> None:
        super().__init__(None, status, headers)
        self.path = os.path.abspath(path)
        self.kind = media_type or kind_of(filename or self.path)
        if filename is not None:
            self.headers["content-disposition"] = _disposition(disposition, filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            file = await to_thread(Opened, self.path)
        except (OSError, ValueError):
            # ValueError: no file has a name with a NUL in it.
            await _send_problem(scope, send, Problem(404, "there is no such file"))
            return
        try:
            await self._answer(scope, send, file)
        except ClientDisconnected:
            pass
        finally:
            await to_thread(file.close)

    async def _answer(self, scope: Scope, send: Send, file: Opened) -> None:
        etag = self.headers.setdefault("etag", file.etag)
        self.headers.setdefault("last-modified", http_date(file.modified).decode())
        self.headers["accept-ranges"] = "bytes"
        facts = Facts(self.kind or UNKNOWN, file.size, etag, file.modified)
        if scope["method"] in ("GET", "HEAD") and self.status == 200:
            chosen = answer(dict(scope["headers"]), facts)
        else:
            chosen = whole(facts)
            chosen.status = self.status
        if chosen.status in (412, 416):
            more = {name.decode(): value.decode() for name, value in chosen.fields}
            await _send_problem(scope, send, Problem(chosen.status, headers=more))
            return
        pairs = [*self.pairs, *chosen.fields]
        await send({"type": "http.response.start", "status": chosen.status, "headers": pairs})
        await send_content(scope, send, file, chosen.content)


async def _send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    status, pairs, body = problem.response()
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    body = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": body})


def _disposition(disposition: str, filename: str) -> str:
    """Return a Content-Disposition value (RFC 6266), also for names that are not ASCII."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in filename)
    value = f'{disposition}; filename="{plain}"'
    return value if plain == filename else f"{value}; filename*=UTF-8''{quote(filename, safe='')}"
