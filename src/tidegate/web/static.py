"""A folder of files as an application, and nothing outside of that folder.

The path of a request is one of names, each of them in the folder before it.  A
name that would lead elsewhere (``..``, an absolute one, a symbolic link out of
the folder) is a file that does not exist.
"""

from __future__ import annotations

import mimetypes
import os
from typing import NamedTuple
from urllib.parse import quote

from ..asgi import Receive, Scope, Send
from ..bridge.threads import to_thread
from ..errors import ConfigError, UsageError
from .dispatch import own_path
from .file import FileResponse
from .middleware.fields import value_of, weights
from .problems import Problem
from .response import RedirectResponse, Response
from .socket import refuse

__all__ = ["Static"]

# Content coding and the end of the name of a file in it, the best first.
_CODINGS = ((b"zstd", ".zst"), (b"br", ".br"), (b"gzip", ".gz"))


class _Found(NamedTuple):
    path: str
    status: int = 200
    coding: bytes = b""  # empty if it is the file itself


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
        given: str = scope["path"]
        accepted = value_of(scope, b"accept-encoding") if self.precompressed else None
        folder = given.endswith("/")
        names = own_path(scope).split("/")[1 : -1 if folder or own_path(scope) == "/" else None]
        found = await to_thread(self._find, names, folder, weights(accepted or b""))
        if found is None:
            return _answer(Problem(404, "there is no such file"))
        if not found.path:
            # Relative, so that it holds wherever we are mounted.
            return RedirectResponse(f"./{quote(given.rpartition('/')[2])}/", 308)
        headers = dict(self.headers)
        if self.precompressed:
            headers["vary"] = "accept-encoding"
        plain = found.path
        if found.coding:
            headers["content-encoding"] = found.coding.decode()
            plain = plain.rpartition(".")[0]
        media_type = mimetypes.guess_type(plain)[0] if found.coding else None
        return FileResponse(found.path, found.status, headers, media_type=media_type)

    # -- in a thread ---------------------------------------------------------

    def _find(self, names: list[str], folder: bool, accepted: dict[bytes, float]) -> _Found | None:
        """Return the file at a path; one without a path if a slash is missing."""
        if any(name in ("", ".", "..") or _is_foreign(name) for name in names):
            return self._missing(accepted)
        full = self._inside(os.path.join(self.directory, *names))
        if full is None:
            return self._missing(accepted)
        if os.path.isdir(full):
            index = self._inside(os.path.join(full, "index.html")) if self.html else None
            if index is None or not os.path.isfile(index):
                return self._missing(accepted)
            return self._variant(index, 200, accepted) if folder else _Found("")
        if folder or not os.path.isfile(full):
            return self._missing(accepted)
        return self._variant(full, 200, accepted)

    def _missing(self, accepted: dict[bytes, float]) -> _Found | None:
        page = self._inside(os.path.join(self.directory, "404.html")) if self.html else None
        if page is None or not os.path.isfile(page):
            return None
        return self._variant(page, 404, accepted)

    def _inside(self, path: str) -> str | None:
        """Return where a path leads, None if that is outside of the folder."""
        real = os.path.realpath(path)
        inside = real == self.directory or real.startswith(self.directory.rstrip(os.sep) + os.sep)
        return real if inside else None

    def _variant(self, path: str, status: int, accepted: dict[bytes, float]) -> _Found:
        """Return the file in the coding that the client likes best."""
        anything = accepted.get(b"*", 0.0)
        best, heaviest = _Found(path, status), accepted.get(b"identity", 0.0)
        for coding, suffix in _CODINGS:
            weight = accepted.get(coding, anything)
            if weight > heaviest or (weight == heaviest > 0 and not best.coding):
                there = self._inside(path + suffix)
                if there is not None and os.path.isfile(there):
                    best, heaviest = _Found(there, status, coding), weight
        return best


def _is_foreign(name: str) -> bool:
    """Say whether a name is no name, or means more than a name on some system."""
    return "\0" in name or "\\" in name or os.path.isabs(name) or bool(os.path.splitdrive(name)[0])


def _answer(problem: Problem) -> Response[bytes]:
    status, pairs, body = problem.response()
    response = Response(body, status)
    response.pairs = pairs
    return response
