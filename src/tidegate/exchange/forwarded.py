"""Who is the client, when a proxy stands in between?

Only peers that the operator listed are believed; everybody else's
``X-Forwarded-For`` and ``X-Forwarded-Proto`` are just headers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from .out import Address

__all__ = ["Proxies"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}


class Proxies:
    """The peers whose word is taken for the client's address and scheme."""

    def __init__(self, trusted: Iterable[str] = ("127.0.0.1", "::1")) -> None:
        """Take addresses, networks (CIDR), other literal names, or ``*`` for everybody."""
        self._everybody = False
        self._networks: list[_Network] = []
        self._names: set[str] = set()
        for text in trusted:
            self._add(text.strip())

    def _add(self, text: str) -> None:
        if text == "*":
            self._everybody = True
            return
        try:
            self._networks.append(ipaddress.ip_network(text))
        except ValueError:
            self._names.add(text)

    def trusts(self, host: str | None) -> bool:
        """Say whether a peer at ``host`` is believed; None is a Unix socket's peer."""
        if self._everybody:
            return True
        if host is None or host in self._names:
            # A Unix socket has no address to list; its file has permissions.
            return host is not None or "unix" in self._names
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def client(self, headers: list[tuple[bytes, bytes]], peer: Address | None) -> Address | None:
        """Return the nearest address in X-Forwarded-For that is not a trusted proxy's."""
        lines = [value for name, value in headers if name == b"x-forwarded-for"]
        hosts = [item.strip().decode("latin-1") for item in b",".join(lines).split(b",")]
        hosts = [host for host in hosts if host]
        if not hosts:
            return peer
        for host in reversed(hosts):
            if not self.trusts(_without_port(host)[0]):
                return _without_port(host)
        return _without_port(hosts[0])

    def scheme(self, headers: list[tuple[bytes, bytes]], current: str) -> str:
        """Return the scheme the nearest proxy saw, ``current`` if it does not say."""
        for name, value in reversed(headers):
            if name == b"x-forwarded-proto":
                return _SCHEMES.get(value.rpartition(b",")[2].strip().lower(), current)
        return current


def _without_port(text: str) -> Address:
    """Split what a proxy wrote: ``1.2.3.4``, ``1.2.3.4:5``, ``::1`` or ``[::1]:5``.

    The port is 0 when it does not say.
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    return host, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
