"""Forms with files as clients send them (RFC 7578)."""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Iterable
from typing import IO, TypeAlias

__all__ = ["File", "multipart"]

Readable: TypeAlias = bytes | str | IO[bytes]

File: TypeAlias = Readable | tuple[str | None, Readable] | tuple[str | None, Readable, str]
"""Content; or file name and content; or file name, content and content type."""


def multipart(
    fields: Iterable[tuple[str, str]], files: Iterable[tuple[str, File]]
) -> tuple[bytes, str]:
    """Return the content and its type, which names the boundary."""
    boundary = secrets.token_hex(16)
    parts = [_part(f'name="{_quoted(name)}"', "", value.encode()) for name, value in fields]
    parts += [_file(name, file) for name, file in files]
    mark = f"--{boundary}".encode()
    content = b"".join([mark + b"\r\n" + part + b"\r\n" for part in parts]) + mark + b"--\r\n"
    return content, f"multipart/form-data; boundary={boundary}"


def _file(name: str, file: File) -> bytes:
    filename: str | None
    if isinstance(file, tuple):
        filename, readable = file[0], file[1]
        kind = file[2] if len(file) == 3 else ""
    else:
        readable, kind = file, ""
        path = getattr(file, "name", None)
        filename = path.replace("\\", "/").rpartition("/")[2] if isinstance(path, str) else name
    described = f'name="{_quoted(name)}"'
    if filename is not None:
        described += f'; filename="{_quoted(filename)}"'
        kind = kind or mimetypes.guess_type(filename)[0] or "application/octet-stream"
    if isinstance(readable, str):
        return _part(described, kind, readable.encode())
    return _part(described, kind, readable if isinstance(readable, bytes) else readable.read())


def _part(described: str, kind: str, content: bytes) -> bytes:
    head = f"content-disposition: form-data; {described}\r\n"
    if kind:
        head += f"content-type: {kind}\r\n"
    return head.encode() + b"\r\n" + content


def _quoted(text: str) -> str:
    # As browsers do it (HTML standard, section 4.10.21.8).
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
