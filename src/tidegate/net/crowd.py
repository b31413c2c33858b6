"""Are there too many connections, in all or from one address?

Only what is in the set of a worker counts, so whatever takes a connection over
takes its place too.
"""

from __future__ import annotations

from typing import Any

from ..exchange.forwarded import Proxies

__all__ = ["Crowd"]


class Crowd(set[Any]):
    """The connections of a worker that limits their number; members have a ``client``.

    Peers whose word is taken about others are many clients: they have no limit of their own.
    """

    def __init__(self, total: int | None, per_address: int | None, proxies: Proxies) -> None:
        super().__init__()
        self._total = total
        self._per_address = per_address
        self._proxies = proxies
        self._hosts: dict[Any, str] = {}
        self._counts: dict[str, int] = {}

    def add(self, member: Any) -> None:
        """Count a connection."""
        super().add(member)
        host = member.client[0] if member.client is not None else ""
        if self._per_address is not None and host and member not in self._hosts:
            self._hosts[member] = host
            self._counts[host] = self._counts.get(host, 0) + 1

    def discard(self, member: Any) -> None:
        """Count it no more."""
        super().discard(member)
        host = self._hosts.pop(member, None)
        if host is None:
            return
        self._counts[host] -= 1
        if not self._counts[host]:
            del self._counts[host]

    def problem(self, member: Any) -> str | None:
        """Return why a connection that was just added is one too many, or None."""
        if self._total is not None and len(self) > self._total:
            return "more connections than --limit-connections allows"
        host = self._hosts.get(member)
        if self._per_address is None or host is None or self._proxies.trusts(host):
            return None
        if self._counts[host] > self._per_address:
            return "more connections than --limit-connections-per-address allows"
        return None
