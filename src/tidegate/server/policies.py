"""``[policy."/PATH"]``, and the paths that the server answers itself.

What differs from path to path is a service of its own beside that of the rest;
where nothing differs, there is only the one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..asgi import Receive, Scope, Send
from ..exchange.ended import Journal
from ..exchange.http import HttpExchange
from ..exchange.lanes import Lanes, beside
from ..exchange.out import Out
from ..exchange.service import OnDisconnect, Policy, Service
from ..exchange.wsgi import WsgiService
from ..http import Head
from ..net.worker import MakeExchange, Worker
from .options import option, wrong_values

if TYPE_CHECKING:
    from .config import Config

__all__ = ["PathPolicy", "give_lanes", "policy_complaints"]

_HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]


@dataclasses.dataclass(kw_only=True)
class PathPolicy:
    """What is different for the paths below one; None is as everywhere."""

    max_body_size: int | None = option(None, "Bytes of a request body.", least=0)
    timeout_request: float | None = option(None, "Seconds for a whole request.", least=0)
    limit_concurrency: int | None = option(None, "Requests at once, of these alone.", least=1)
    limit_queue: int | None = option(None, "Requests above that which may wait.", least=0)
    queue_timeout: float | None = option(None, "Seconds that one waits.", least=0)
    on_disconnect: OnDisconnect | None = option(None, "When the client leaves.")
    access_log: bool = option(True, "Log these requests.")

    def applied_to(self, policy: Policy) -> Policy:
        """Return the policy for these paths."""
        given = dataclasses.asdict(self)
        del given["access_log"]
        changes = {name: value for name, value in given.items() if value is not None}
        if "timeout_request" in changes:
            changes["timeout_request"] = changes["timeout_request"] or None
        # A limit of its own comes in place of the common one, and is counted apart.
        changes.setdefault("limit_concurrency", None)
        return dataclasses.replace(policy, **changes)


def policy_complaints(policies: Mapping[str, PathPolicy]) -> Iterator[tuple[str, str]]:
    """Yield the path and what is wrong with its policy."""
    for path, policy in policies.items():
        if not path.startswith("/"):
            yield path, f"policy: a path must start with '/', not {path!r}"
        for key, text in wrong_values(policy):
            yield path, f"policy.{path}.{key} {text}"


def give_lanes(config: Config, worker: Worker, unlogged: Journal | None) -> None:
    """Give the service of ``worker`` what its configuration says of single paths.

    ``unlogged`` is the journal of requests that are not to be logged.
    """
    service = worker.service
    if not (config.policies or config.health_path or config.ready_path):
        return
    _raise_limits(config, worker)
    prefixes = {}
    for path, policy in config.policies.items():
        prefixes[path] = lane = beside(service, policy.applied_to(service.policy))
        if not policy.access_log:
            lane.journal = unlogged
    plain = Policy(proxies=service.policy.proxies)
    paths = {}
    if config.health_path is not None:
        paths[config.health_path] = beside(service, plain, _Answer(None))
    if config.ready_path is not None:
        paths[config.ready_path] = beside(service, plain, _Answer(worker))
    service.lanes = Lanes(service, prefixes, paths)
    if isinstance(service, WsgiService):
        worker.exchange = _ByService(worker.exchange)


def _raise_limits(config: Config, worker: Worker) -> None:
    """Let the protocols take the largest body of any path, and all other paths less."""
    sizes = [policy.max_body_size or 0 for policy in config.policies.values()]
    largest = max(sizes, default=0)
    if largest <= config.max_body_size:
        return
    worker.http1.max_body_size = largest
    for limits in (worker.http2, worker.http3):
        if limits is not None:
            limits.max_body_size = largest
    service = worker.service
    service.policy.max_body_size = config.max_body_size
    entrance = service.entrance
    service.enforce(service.complain, None if entrance is None else entrance.admission)


class _Answer:
    """Says whether the server lives, or whether ``worker`` is to be asked."""

    def __init__(self, worker: Worker | None) -> None:
        self._worker = worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        good = self._worker is None or self._worker.ready
        status, text = (200, b"ok\n") if good else (503, b"stopping\n")
        await send({"type": "http.response.start", "status": status, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": text})


class _ByService:
    """Makes exchanges where some paths are served by threads and some are not."""

    def __init__(self, make: MakeExchange) -> None:
        self._make = make

    def __call__(
        self, out: Out, service: Service, head: Head, body: bytes, ended: bool
    ) -> HttpExchange:
        make = self._make if isinstance(service, WsgiService) else HttpExchange
        return make(out, service, head, body, ended)
