"""Files that the server serves itself, before the application (``--static``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from ..asgi import Application, Receive, Scope, Send
from ..bridge.threads import ThreadLimits, pools, to_thread
from ..errors import ClientDisconnected, ConfigError
from ..files.answer import Facts, answer
from ..files.folder import Folder, Found
from ..files.kind import kind_of
from ..files.opened import Opened
from ..files.transfer import send_content
from ..http import http_date, phrase

__all__ = ["StaticFiles"]

# Of their own: an application that has used up its threads does not hold up files.
_POOL = "tidegate-static"
_THREADS = 4

_PLAIN = (b"content-type", b"text/plain; charset=utf-8")
_ALLOW = (b"allow", b"GET, HEAD")


class _Ready(NamedTuple):
    """A file to send; without one it is missing, or the slash of a folder is."""

    file: Opened | None
    found: Found | None = None


class StaticFiles:
    """An ASGI application in front of another.

    ``folders`` maps prefixes of paths to folders; the longest prefix wins.  What
    is not there is 404, or the business of ``application`` with ``fallthrough``.
    Raises ``ConfigError`` if there is no such folder.
    """

    def __init__(
        self,
        folders: Mapping[str, str],
        application: Application,
        *,
        fallthrough: bool = False,
        cache_control: str | None = None,
    ) -> None:
        for prefix, path in folders.items():
            if not os.path.isdir(path):
                raise ConfigError(f"static {prefix!r}: there is no folder {path!r}")
        self.application = application
        self._folders = {prefix.rstrip("/"): Folder(path) for prefix, path in folders.items()}
        self._prefixes = sorted(self._folders, key=len, reverse=True)
        self._fallthrough = fallthrough
        self._fields = [(b"accept-ranges", b"bytes"), (b"vary", b"accept-encoding")]
        if cache_control is not None:
            self._fields.append((b"cache-control", cache_control.encode("latin-1")))
        pools.configure(_POOL, ThreadLimits(threads=_THREADS, max_queue=10_000))

    def serves(self, path: str) -> bool:
        """Say whether a path is below one of the prefixes."""
        return self._prefix(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file, or pass the call on."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        prefix = self._prefix(path)
        reads = scope["method"] in ("GET", "HEAD")
        if prefix is None or (self._fallthrough and not reads):
            await self.application(scope, receive, send)
        elif not reads:
            await _say(scope, send, 405, _ALLOW)
        else:
            await self._serve(scope, receive, send, prefix, path)

    def _prefix(self, path: str) -> str | None:
        for prefix in self._prefixes:
            if path == prefix or path.startswith(f"{prefix}/"):
                return prefix
        return None

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, prefix: str, path: str
    ) -> None:
        asked = dict(scope["headers"])
        accepted = b",".join(v for name, v in scope["headers"] if name == b"accept-encoding")
        below = path.removeprefix(prefix)
        folder = self._folders[prefix]
        ready = await to_thread(_open, folder, below, accepted, pool=_POOL)
        if ready.file is not None and ready.found is not None:
            try:
                await self._send(scope, send, ready.file, ready.found, asked)
            except ClientDisconnected:
                pass
            finally:
                ready.file.close()
        elif ready.found is not None:
            # Relative, so that it holds wherever a proxy has mounted us.
            query = scope["query_string"]
            place = f"./{quote(path.rpartition('/')[2])}/".encode()
            await _say(scope, send, 308, (b"location", place + (b"?" + query if query else b"")))
        elif self._fallthrough:
            await self.application(scope, receive, send)
        else:
            await _say(scope, send, 404)

    async def _send(
        self, scope: Scope, send: Send, file: Opened, found: Found, asked: dict[bytes, bytes]
    ) -> None:
        facts = Facts(kind_of(found.name), file.size, file.etag, file.modified)
        chosen = answer(asked, facts)
        if chosen.status in (412, 416):
            await _say(scope, send, chosen.status, *chosen.fields)
            return
        fields = [
            (b"etag", file.etag.encode()),
            (b"last-modified", http_date(file.modified)),
            *self._fields,
            *chosen.fields,
        ]
        if found.coding:
            fields.append((b"content-encoding", found.coding))
        await send({"type": "http.response.start", "status": chosen.status, "headers": fields})
        await send_content(scope, send, file, chosen.content)


def _open(folder: Folder, path: str, accepted: bytes) -> _Ready:
    """Find and open a file; in a thread."""
    found = folder.find(path, accepted)
    if found is None or not found.path:
        return _Ready(None, found)
    try:
        return _Ready(Opened(found.path), found)
    except OSError:
        # Not readable for us, or gone meanwhile.
        return _Ready(None)


async def _say(scope: Scope, send: Send, status: int, *fields: tuple[bytes, bytes]) -> None:
    """Answer with a status and its name."""
    body = f"{phrase(status)}\n".encode()
    headers = [_PLAIN, (b"content-length", b"%d" % len(body)), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
