"""A folder of files as an application, and nothing outside of that folder."""

from __future__ import annotations

import os
from urllib.parse import quote

from ..asgi import Receive, Scope, Send
from ..bridge.threads import to_thread
from ..errors import ConfigError, UsageError
from ..files.folder import Folder
from ..files.kind import kind_of
from .dispatch import own_path
from .file import FileResponse
from .middleware.fields import value_of
from .problems import Problem
from .response import RedirectResponse, Response
from .socket import refuse

__all__ = ["Static"]


class Static:
    """Serves the files of a folder: ``app.mount("/static", Static("static"))``.

    With ``html`` a folder is its ``index.html``, and ``404.html`` is sent for what
    is not there.  With ``precompressed``, ``a.js.br``, ``a.js.zst`` and ``a.js.gz``
    are sent in place of ``a.js`` to clients that take them.  ``cache_control`` is
    the value of that field.  Raises ``ConfigError`` if there is no such folder.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        html: bool = False,
        precompressed: bool = False,
        cache_control: str | None = None,
    ) -> None:
        self.directory = os.path.realpath(directory)
        if not os.path.isdir(self.directory):
            raise ConfigError(f"Static: there is no folder {os.fspath(directory)!r}")
        self.html = html
        self._folder = Folder(
            self.directory,
            index=html,
            missing="404.html" if html else "",
            precompressed=precompressed,
            hidden=True,
        )
        self.precompressed = precompressed
        self.headers = {} if cache_control is None else {"cache-control": cache_control}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            response = await self._response(scope)
            await response(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await refuse(scope, receive, send, Problem(404))
        else:
            raise UsageError(f"Static serves no {kind}")

    async def _response(self, scope: Scope) -> Response[None] | Response[bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return _answer(Problem(405, headers={"allow": "GET, HEAD"}))
        accepted = value_of(scope, b"accept-encoding")
        path = own_path(scope)
        if path == "/" and not scope["path"].endswith("/"):
            path = ""  # of the mount point itself
        found = await to_thread(self._folder.find, path, accepted)
        if found is None:
            return _answer(Problem(404, "there is no such file"))
        if not found.path:
            # Relative, so that it holds wherever we are mounted.
            return RedirectResponse(f"./{quote(scope['path'].rpartition('/')[2])}/", 308)
        headers = dict(self.headers)
        if self.precompressed:
            headers["vary"] = "accept-encoding"
        if found.coding:
            headers["content-encoding"] = found.coding.decode()
        return FileResponse(found.path, found.status, headers, media_type=kind_of(found.name))


def _answer(problem: Problem) -> Response[bytes]:
    status, pairs, body = problem.response()
    response = Response(body, status)
    response.pairs = pairs
    return response
