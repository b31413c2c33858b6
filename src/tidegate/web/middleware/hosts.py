"""Is this request meant for us?  What stands in Host may become part of a URL we send.

A client chooses the Host field, so links, redirects and cached pages made from
one that was not looked at lead wherever an attacker likes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...asgi import Application, Receive, Scope, Send
from ...errors import ConfigError
from ..problems import problem_response
from .answer import Response, answer
from .fields import value_of
from .settings import checked_texts

__all__ = ["Hosts", "TrustedHost"]

# RFC 9110 section 7.2, without the rest of RFC 3986's reg-name: what the DNS,
# or an address, cannot be is not a host of ours.
_HOST = re.compile(
    rb"([a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])\.?(?::[0-9]{1,5})?"
)


@dataclass(frozen=True)
class TrustedHost:
    """Answers 400 to requests that name another host than ours.

    ``hosts`` are names (``example.com``), names with all their subdomains but
    not themselves (``*.example.com``), or ``*``: any that is well-formed.
    Ports are not looked at.  Sockets are checked too.  Raises ``ConfigError``.
    """

    hosts: Sequence[str]

    def __post_init__(self) -> None:
        Hosts("TrustedHost: hosts", self.hosts)

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        hosts = Hosts("TrustedHost: hosts", self.hosts)

        async def trusted_host(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] in ("http", "websocket") and hosts.find(scope) is None:
                await answer(scope, receive, send, hosts.refusal)
            else:
                await app(scope, receive, send)

        return trusted_host


class Hosts:
    """The hosts we answer for."""

    refusal: Response = problem_response(400, detail="the Host field does not name this server")

    def __init__(self, where: str, hosts: Sequence[str]) -> None:
        listed = checked_texts(where, hosts)
        if not listed:
            raise ConfigError(f"{where} is empty; write the names of this server, or ['*']")
        self._any = "*" in listed
        names = [_name(where, host) for host in listed if host != "*"]
        self._exact = frozenset(name for name in names if not name.startswith(b"."))
        self._suffixes = tuple(name for name in names if name.startswith(b"."))

    def find(self, scope: Scope) -> str | None:
        """Return the host a request names, if it is one of ours: lower case, no port."""
        given = value_of(scope, b"host")
        if given is None:
            return None
        if given in self._exact:
            return given.decode()
        found = _HOST.fullmatch(given.lower())
        if found is None:
            return None
        name = found[1]
        if self._any or name in self._exact or name.endswith(self._suffixes):
            return name.decode()
        return None


def _name(where: str, host: str) -> bytes:
    name = host.lower().encode("idna") if not host.isascii() else host.lower().encode()
    found = _HOST.fullmatch(name.removeprefix(b"*."))
    if found is None:
        raise ConfigError(f"{where}: {host!r} is not a host; write 'example.com'")
    if found[1] != name.removeprefix(b"*."):
        raise ConfigError(
            f"{where}: {host!r} has a port or a last dot; write {found[1].decode()!r}"
        )
    return name.removeprefix(b"*")
