"""Which policy does the path of a request come under?  The one with the longest prefix.

A prefix ends where a segment of the path ends.  The path is taken as the client
has sent it, decoded, whatever the application makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from ..asgi import Application
from .scope import decode_path
from .service import Policy, Service, spec_version

__all__ = ["Lanes", "beside"]


class Lanes:
    """Services of one worker, by path; each has a policy, a journal or an application of its own.

    They share what is in progress with the one they stand beside.
    """

    def __init__(
        self, rest: Service, prefixes: Mapping[str, Service], paths: Mapping[str, Service]
    ) -> None:
        """``paths`` are whole; they come first."""
        self._rest = rest
        self._paths = paths
        self._prefixes = {prefix.rstrip("/"): service for prefix, service in prefixes.items()}
        self._order = sorted(self._prefixes, key=len, reverse=True)

    @property
    def services(self) -> list[Service]:
        """Those with a policy of their own."""
        return list(self._prefixes.values())

    def choose(self, raw_path: bytes) -> Service:
        """Return the service for a path as it stands in the request."""
        path = decode_path(raw_path)
        found = self._paths.get(path)
        if found is not None:
            return found
        for prefix in self._order:
            if path == prefix or path.startswith(f"{prefix}/"):
                return self._prefixes[prefix]
        return self._rest


def beside(service: Service, policy: Policy, application: Application | None = None) -> Service:
    """Return another service of the same worker; its journal may be replaced.

    Without an ``application`` of its own it has that of ``service``.
    """
    if application is not None:
        made = Service(application, policy, service.loop)
        made.running, made.on_change = service.running, service.on_change
        made.context, made.state = service.context, service.state
        return made
    made = copy(service)
    made.policy = policy
    made.spec_version = spec_version(policy)
    shared = None
    if policy.limit_concurrency is None and service.entrance is not None:
        shared = service.entrance.admission
    made.enforce(service.complain, shared)
    return made
