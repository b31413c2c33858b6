"""What a WSGI application is told about a request (PEP 3333, "environ Variables").

Every text is a native string that stands for bytes, one code point each
("latin-1").  What could be taken for something else is left out: names with an
underscore, ``Proxy``, and the fields that are about the connection.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast
from urllib.parse import unquote_to_bytes

from ..._version import __version__
from ...errors import AppError, BadRequest
from ...http import field
from .log import ErrorLog
from .reply import FilePart

__all__ = [
    "Address",
    "Environ",
    "FileWrapper",
    "add_client",
    "add_headers",
    "add_server",
    "add_target",
    "early_links",
    "template",
]

Environ = dict[str, Any]

Address = tuple[str, int | None]
"""Host and port, or the path of a Unix socket and None."""

# RFC 9110 section 7.6.1; Proxy is no field at all, but as HTTP_PROXY programs
# would take it for their own setting.
_LEFT_OUT = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"proxy"),
    )
)  # fmt: skip

_OWN_KEYS = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}

# Clients choose names, so what is remembered must have an end.
_MAX_KEYS = 1024

_keys: dict[bytes, str] = {}

# Larger than the 8 KiB of the PEP's example: each block is a hand-over.
_BLOCK_SIZE = 64 * 1024


# What open() returns for bytes.
_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """``wsgi.file_wrapper``: a file as an iterable of blocks, from where it stands."""

    def __init__(self, filelike: _File, blksize: int = _BLOCK_SIZE) -> None:
        self.filelike = filelike
        self.blksize = max(blksize, _BLOCK_SIZE)
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def part(self, limit: int | None) -> FilePart | None:
        """Return what is left of a file of the system, ``limit`` bytes at most; None for others.

        With a descriptor of its own, so that the file may be closed.
        """
        # Not of subclasses, nor of what wraps a file: what they read may differ.
        if type(self.filelike) not in _FILES:
            return None
        file = cast(io.BufferedReader, self.filelike)
        descriptor = os.dup(file.fileno())
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return None
        offset = file.tell()
        size = max(0, found.st_size - offset)
        return FilePart(descriptor, offset, size if limit is None else min(size, limit))

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.blksize), b"")


def template(*, multithread: bool, multiprocess: bool) -> Environ:
    """Return what is the same for all requests; copy it for each."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": f"tidegate/{__version__}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": ErrorLog(),
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def add_target(environ: Environ, target: bytes, raw_path: bytes, query: bytes, mount: str) -> None:
    """Set SCRIPT_NAME, PATH_INFO, QUERY_STRING and the target as it came.

    ``raw_path`` is still percent-encoded, and should begin with ``mount``.
    """
    environ["RAW_URI"] = environ["REQUEST_URI"] = path = target.decode("latin-1")
    environ["QUERY_STRING"] = query.decode("latin-1") if query else ""
    if raw_path is not target:
        path = raw_path.decode("latin-1")
    if b"%" in raw_path:
        path = unquote_to_bytes(raw_path).decode("latin-1")
    if mount:
        environ["SCRIPT_NAME"] = mount = mount.encode().decode("latin-1")
        if path == mount or path.startswith(mount + "/"):
            path = path[len(mount) :]
    environ["PATH_INFO"] = path


def add_headers(environ: Environ, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Set CONTENT_TYPE, CONTENT_LENGTH and the ``HTTP_`` variables.

    Raises ``BadRequest`` for lengths that contradict each other.
    """
    keys = _keys
    for name, value in headers:
        key = keys.get(name) or _key(name)
        if key is None:
            continue
        if key in environ:
            environ[key] = _joined(key, environ[key], value.decode("latin-1"))
        else:
            environ[key] = value.decode("latin-1")


def add_server(environ: Environ, scheme: str, server: Address | None) -> None:
    """Set the scheme, SERVER_NAME and SERVER_PORT."""
    if scheme != "http":
        environ["wsgi.url_scheme"] = scheme
        environ["HTTPS"] = "on"
    name, port = server or ("localhost", None)
    if port is None:
        # A Unix socket: the PEP wants both set, and not empty.
        name, port = "localhost", 443 if scheme == "https" else 80
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = str(port)


def add_client(environ: Environ, client: Address | None) -> None:
    """Set REMOTE_ADDR and REMOTE_PORT, if they are known."""
    if client is not None and client[1] is not None:
        environ["REMOTE_ADDR"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])


def early_links(headers: Iterable[tuple[str, str]]) -> list[bytes]:
    """Return the links among the headers given to ``wsgi.early_hints``; others are no hints.

    Raises ``AppError`` for what cannot be sent.
    """
    try:
        return [
            field(b"link", value.encode("latin-1")).value
            for name, value in headers
            if name.lower() == "link"
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise AppError(f"early hints are pairs of str, such as Link: {error}") from error


def _key(name: bytes) -> str | None:
    """Return the variable for a header, None if it has none."""
    lower = name.lower()
    if lower in _LEFT_OUT or b"_" in name:
        # X_Real_Ip would be the same variable as X-Real-Ip.
        return None
    key = _OWN_KEYS.get(lower) or "HTTP_" + lower.decode("latin-1").upper().replace("-", "_")
    if len(_keys) >= _MAX_KEYS:
        _keys.clear()
    _keys[name] = key
    return key


def _joined(key: str, first: str, second: str) -> str:
    """Return the value of a header that came more than once (RFC 9110 section 5.3)."""
    if key == "CONTENT_LENGTH":
        if first != second:
            raise BadRequest("more than one Content-Length")
        return first
    if key == "HTTP_COOKIE":
        # RFC 9113 section 8.2.3.
        return f"{first}; {second}"
    return f"{first},{second}"
