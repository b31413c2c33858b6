"""What the scopes of a connection have in common, and the rarer questions about one.

``HttpExchange`` builds the scope itself; nearly no request needs the rest: encoded
paths, mount points, proxies.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from ..http import Head
from .out import Out
from .service import Policy

__all__ = ["apply_policy", "basis_of", "decode_path"]


def basis_of(out: Out) -> dict[str, Any]:
    """Return the scope of any request that comes to ``out``, as far as it is known before.

    A copy of it costs less than to build one.  What is None differs for each.
    """
    return {
        "type": "http",
        "asgi": None,
        "http_version": "1.1",
        "method": None,
        "scheme": out.scheme,
        "path": None,
        "raw_path": None,
        "query_string": None,
        "root_path": "",
        "headers": None,
        "client": out.client,
        "server": out.server,
        "state": None,
        "extensions": None,
    }


def decode_path(raw_path: bytes) -> str:
    """Percent-decode a path, then decode it as UTF-8 with U+FFFD for what is not."""
    return unquote_to_bytes(raw_path).decode("utf-8", "replace")


def apply_policy(scope: dict[str, Any], policy: Policy, head: Head, out: Out) -> None:
    """Put the mount point, and what trusted proxies say, into the scope.

    ``path`` always includes ``root_path`` (ASGI HTTP spec).  In mode ``strip``
    the proxy took it off and it is put back; in mode ``keep`` it is there.
    What a proxy says of this one request comes before the setting.
    """
    root_path, prefix = policy.root_path, policy.root_path.encode()
    if head.forwarded:
        told = policy.proxies.told(head.headers, scope["scheme"], out)
        scope["scheme"], scope["client"] = told.scheme, told.client
        scope["headers"] = told.headers
        if told.tls is not out.tls:
            scope["extensions"]["tls"] = dict(told.tls or {})
        if told.prefix:
            root_path, prefix = decode_path(told.prefix), told.prefix
    if root_path:
        scope["root_path"] = root_path
        if policy.root_path_mode == "strip":
            scope["path"] = root_path + scope["path"]
            scope["raw_path"] = prefix + scope["raw_path"]
