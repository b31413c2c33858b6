"""A file as a response: whole, in parts, or not at all if the client has it already."""

from __future__ import annotations

import mimetypes
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from typing import IO, Any, Literal
from urllib.parse import quote

from ..asgi import Receive, Scope, Send
from ..bridge.threads import to_thread
from ..errors import ClientDisconnected
from ..http import http_date
from .problems import Problem
from .ranges import Unsatisfiable, is_unchanged, matches_if_range, parse_ranges
from .response import Response

__all__ = ["FileResponse"]

# One hop for so much; more would only wait in the socket's buffer.
_PIECE = 256 * 1024


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
        guessed, coding = mimetypes.guess_type(filename or self.path)
        self.kind = media_type or (guessed if coding is None else None) or _UNKNOWN
        if filename is not None:
            self.headers["content-disposition"] = _disposition(disposition, filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            file, found = await to_thread(_open, self.path)
        except (OSError, ValueError):
            # ValueError: no file has a name with a NUL in it.
            status, pairs, body = Problem(404, "there is no such file").response()
            await send({"type": "http.response.start", "status": status, "headers": pairs})
            await send({"type": "http.response.body", "body": _unless_head(scope, body)})
            return
        try:
            await self._answer(_Reply(scope, send, file, found.st_size, self.path), found)
        except ClientDisconnected:
            pass
        finally:
            await to_thread(file.close)

    async def _answer(self, reply: _Reply, found: os.stat_result) -> None:
        fields = dict(reply.scope["headers"])
        etag = self.headers.setdefault("etag", f'"{found.st_mtime_ns:x}-{found.st_size:x}"')
        self.headers.setdefault("last-modified", http_date(found.st_mtime).decode())
        self.headers["accept-ranges"] = "bytes"
        if reply.scope["method"] in ("GET", "HEAD") and self.status == 200:
            if is_unchanged(fields, etag, found.st_mtime):
                await reply.start(304, self.pairs)
                await reply.end()
                return
            asked = fields.get(b"range")
            if asked is not None and matches_if_range(fields, etag, found.st_mtime):
                await self._answer_parts(reply, asked.decode("latin-1"))
                return
        await self._answer_all(reply)

    async def _answer_all(self, reply: _Reply) -> None:
        pairs = [*self.pairs, *_type_and_length(self.kind or _UNKNOWN, reply.size)]
        await reply.start(self.status, pairs)
        await reply.part(0, reply.size, whole=True)

    async def _answer_parts(self, reply: _Reply, asked: str) -> None:
        size = reply.size
        try:
            ranges = parse_ranges(asked, size)
        except Unsatisfiable:
            problem = Problem(416, headers={"content-range": f"bytes */{size}"})
            status, pairs, body = problem.response()
            await reply.start(status, pairs)
            await reply.end(body)
            return
        kind = self.kind or _UNKNOWN
        if not ranges:
            await self._answer_all(reply)
        elif len(ranges) == 1:
            ((start, end),) = ranges
            extent = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size))
            await reply.start(206, [*self.pairs, extent, *_type_and_length(kind, end - start)])
            await reply.part(start, end)
        else:
            await self._answer_many(reply, ranges, kind)

    async def _answer_many(self, reply: _Reply, ranges: list[tuple[int, int]], kind: str) -> None:
        """Send several parts (RFC 9110 section 14.6)."""
        boundary = secrets.token_hex(12)
        heads = [
            f"--{boundary}\r\ncontent-type: {kind}\r\n"
            f"content-range: bytes {start}-{end - 1}/{reply.size}\r\n\r\n".encode()
            for start, end in ranges
        ]
        last = f"--{boundary}--\r\n".encode()
        length = sum(len(head) + 2 for head in heads) + len(last)
        length += sum(end - start for start, end in ranges)
        outer = f"multipart/byteranges; boundary={boundary}"
        await reply.start(206, [*self.pairs, *_type_and_length(outer, length)])
        for head, (start, end) in zip(heads, ranges, strict=True):
            await reply.more(head)
            await reply.part(start, end, last=False)
            await reply.more(b"\r\n")
        await reply.end(last)


class _Reply:
    """Sends parts of an open file."""

    def __init__(self, scope: Scope, send: Send, file: IO[bytes], size: int, path: str) -> None:
        self.scope = scope
        self.send = send
        self.file = file
        self.size = size
        self.path = path

    async def start(self, status: int, pairs: list[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def more(self, data: bytes) -> None:
        if self.scope["method"] != "HEAD":
            await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self.send({"type": "http.response.body", "body": _unless_head(self.scope, data)})

    async def part(self, start: int, end: int, whole: bool = False, last: bool = True) -> None:
        """Send the bytes from start to end; by path where the server can (ASGI pathsend)."""
        if self.scope["method"] == "HEAD":
            await self.end()
            return
        extensions: Mapping[str, Any] = self.scope.get("extensions", {})
        if whole and "http.response.pathsend" in extensions:
            await self.send({"type": "http.response.pathsend", "path": self.path})
            return
        read: Callable[[int, int], bytes] = self._read
        while start < end:
            data = await to_thread(read, start, min(_PIECE, end - start))
            start += len(data)
            if not data:
                raise OSError(f"{self.path} became shorter while it was sent")
            more = start < end or not last
            await self.send({"type": "http.response.body", "body": data, "more_body": more})
        if last and self.size == 0:
            await self.end()

    def _read(self, start: int, size: int) -> bytes:
        self.file.seek(start)
        return self.file.read(size)


_UNKNOWN = "application/octet-stream"

# A named pipe would make open() wait until somebody writes.
_FLAGS = getattr(os, "O_NONBLOCK", 0)


def _open(path: str) -> tuple[IO[bytes], os.stat_result]:
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _FLAGS))  # noqa: SIM115
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        file.close()
        raise OSError("not a regular file")
    return file, found


def _unless_head(scope: Scope, body: bytes) -> bytes:
    return b"" if scope["method"] == "HEAD" else body


def _type_and_length(kind: str, length: int) -> list[tuple[bytes, bytes]]:
    if kind.startswith("text/") and "charset" not in kind:
        kind += "; charset=utf-8"
    return [(b"content-type", kind.encode("latin-1")), (b"content-length", b"%d" % length)]


def _disposition(disposition: str, filename: str) -> str:
    """Return a Content-Disposition value (RFC 6266), also for names that are not ASCII."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in filename)
    value = f'{disposition}; filename="{plain}"'
    return value if plain == filename else f"{value}; filename*=UTF-8''{quote(filename, safe='')}"
