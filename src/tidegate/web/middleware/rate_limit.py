"""Who asks too often?  They get 429, and everybody is told how much is left.

Fields: draft-ietf-httpapi-ratelimit-headers (``RateLimit``, ``RateLimit-Policy``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address

from ...asgi import Application, Receive, Scope, Send
from ...errors import ConfigError
from ...http import is_token
from ..problems import problem_response
from .answer import answer
from .fields import at_start
from .rates import MemoryRates, Rate, RateStore
from .settings import checked_number, path_matcher

__all__ = ["RateLimit", "client_address"]


def client_address(scope: Scope) -> str:
    """Return the client's address; of IPv6 the network, for a client has all of one.

    Empty if the server does not know it, so that all such clients share a limit.
    """
    client = scope.get("client")
    host: str = client[0] if client else ""
    return _network(host) if ":" in host else host


@lru_cache(1024)
def _network(host: str) -> str:
    try:
        packed = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if packed.ipv4_mapped is not None:
        return str(packed.ipv4_mapped)
    # RFC 6177: the least a site is given is a /64.
    return packed.packed[:8].hex()


@dataclass(frozen=True)
class RateLimit:
    """Allows each client ``limit`` requests in ``period`` seconds.

    ``burst`` of them may come at once (None for all); after that they come back
    evenly.  ``key`` tells clients apart: what it returns for a scope is limited
    together, and None is not limited.  ``store`` remembers them; without one,
    each process does for itself.  ``name`` tells several limits apart.
    ``exempt`` are paths without a limit.  A socket counts as one request, when
    it is opened.  Raises ``ConfigError``.
    """

    limit: int
    _: KW_ONLY
    period: float = 60.0
    burst: int | None = None
    key: Callable[[Scope], str | None] = client_address
    store: RateStore = field(default_factory=MemoryRates)
    name: str = "default"
    exempt: Sequence[str] = ()

    def __post_init__(self) -> None:
        checked_number("RateLimit: limit", self.limit, 1, whole=True)
        checked_number("RateLimit: period", self.period, 0.001)
        if self.burst is not None:
            checked_number("RateLimit: burst", self.burst, 1, whole=True)
        if not is_token(self.name.encode()):
            raise ConfigError(f"RateLimit: name {self.name!r} is not a word; write 'login'")
        path_matcher("RateLimit: exempt", self.exempt)

    def __call__(self, app: Application) -> Application:
        """Return ``app`` with this around it."""
        rate = Rate(self.limit, self.period, self.burst or self.limit)
        take, key_of, name = self.store.take, self.key, self.name.encode()
        is_exempt = path_matcher("RateLimit: exempt", self.exempt)
        window = math.ceil(self.period)
        policy = (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name, self.limit, window))

        async def rate_limit(scope: Scope, receive: Receive, send: Send) -> None:
            limited = scope["type"] in ("http", "websocket") and not is_exempt(scope)
            key = key_of(scope) if limited else None
            if key is None:
                await app(scope, receive, send)
                return
            found = await take(f"{self.name}:{key}", rate)
            left = b'"%b";r=%d;t=%d' % (name, found.remaining, math.ceil(found.reset))
            added = [policy, (b"ratelimit", left)]
            if found.allowed:
                await app(scope, receive, at_start(send, lambda headers: headers + added))
                return
            wait = max(1, math.ceil(found.retry_after))
            added.append((b"retry-after", b"%d" % wait))
            detail = f"more than {self.limit} requests in {self.period:g} s; wait {wait} s"
            await answer(scope, receive, send, problem_response(429, detail=detail, headers=added))

        return rate_limit
