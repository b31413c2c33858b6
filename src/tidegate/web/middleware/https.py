"""How does a client that came without TLS find the way to HTTPS?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from urllib.parse import quote

from ...asgi import Application, Receive, Scope, Send
from .answer import answer
from .hosts import Hosts
from .settings import checked_number, path_matcher

__all__ = ["HTTPSRedirect"]

_PLAIN = {"http": "http", "websocket": "ws"}
_SECURE = {"http": "https", "ws": "wss"}

# What RFC 3986 section 3.3 allows in a path, and percent signs that are there.
_PATH = "/%:@!$&'()*+,;=-._~"
_QUERY = _PATH + "?"


@dataclass(frozen=True)
class HTTPSRedirect:
    """Redirects what came over plain HTTP to the same URL with ``https``.

    ``hosts`` are the hosts we answer for, as ``TrustedHost`` takes them: nobody
    is sent to another; it gets 400.  ``permanent`` answers 308 instead of 307,
    which browsers remember for long.  ``port`` is where HTTPS is served, and
    ``exempt`` are paths that are served without it.  A socket is denied with
    the same answer, with ``wss``.  Raises ``ConfigError``.
    """

    hosts: Sequence[str]
    _: KW_ONLY
    permanent: bool = False
    port: int = 443
    exempt: Sequence[str] = ()

    def __post_init__(self) -> None:
        self(_nothing)

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        hosts = Hosts("HTTPSRedirect: hosts", self.hosts)
        is_exempt = path_matcher("HTTPSRedirect: exempt", self.exempt)
        checked_number("HTTPSRedirect: port", self.port, 1, whole=True)
        status = 308 if self.permanent else 307
        port = "" if self.port == 443 else f":{self.port}"

        async def https_redirect(scope: Scope, receive: Receive, send: Send) -> None:
            # Without a scheme it is the plain one (ASGI); a lifespan has no default.
            secure = _SECURE.get(scope.get("scheme") or _PLAIN.get(scope["type"], ""))
            if secure is None or is_exempt(scope):
                await app(scope, receive, send)
                return
            host = hosts.find(scope)
            if host is None:
                await answer(scope, receive, send, hosts.refusal)
                return
            location = f"{secure}://{host}{port}{_target(scope)}".encode()
            fields = [(b"location", location), (b"content-length", b"0")]
            await answer(scope, receive, send, (status, fields, b""))

        return https_redirect


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand in for an application while settings are checked."""


def _target(scope: Scope) -> str:
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    target = quote(path, safe=_PATH)
    query = scope.get("query_string", b"")
    return f"{target}?{quote(query, safe=_QUERY)}" if query else target
