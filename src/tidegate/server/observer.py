"""What does this process know about itself?  Figures, requests in flight, stalls.

Everything is looked up when somebody asks.  All that a request pays, and only
if figures are wanted, is a few numbers at its end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from typing import Any, cast

from ..bridge.guard import Guard
from ..bridge.guard.frames import Origins, line_of, stack_of_task
from ..bridge.threads import pools
from ..errors import ConfigError
from ..exchange.access import format_address
from ..exchange.admission import Admission
from ..exchange.ended import Both, Journal
from ..exchange.http import HttpExchange
from ..exchange.service import Service
from ..exchange.websocket import WebSocketExchange
from ..exchange.wsgi import WsgiService
from ..net.certificates import Certificates
from ..net.worker import Worker
from .config import Config
from .logs import set_level
from .metrics.counts import Counts, Lag, Samples, labelled

if sys.platform != "win32":
    import resource

__all__ = ["Call", "Observer", "resident_memory"]

Call = Callable[[dict[str, Any]], Any]
"""A question or an order, with its arguments; the answer can be written as JSON."""

_MAX_LISTED = 1000

# Names of the classes that are connections; more protocols will come.
_PROTOCOLS = {
    "Http1Connection": "http/1",
    "Http2Connection": "http/2",
    "Http3Connection": "http/3",
    "WebSocketConnection": "websocket",
}


class Observer:
    """Watches one worker: counts, and answers ``calls``.

    ``journal`` is given to the service; ``attach`` comes next, then ``start``.
    """

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self.counts = Counts() if config.observes() else None
        self.guard: Guard | None = None
        self.certificates: Certificates | None = None
        self._config = config
        self._loop = loop
        self._lag = Lag(loop)
        self._worker: Worker | None = None  # None until attached
        self._began = time.time()
        target = config.app if isinstance(config.app, str) else ""
        self._origins = Origins(target.partition(":")[0].partition(".")[0])
        self.calls: dict[str, Call] = {
            "samples": lambda args: self.samples(),
            "status": lambda args: self.status(),
            "stalls": lambda args: self.stalls(),
            "log_level": self._set_log_level,
            "certificates": self._reload_certificates,
            "cancel": self._cancel,
        }

    def journal(self) -> Journal | None:
        """Return who is told of the end of requests: the log, the counts, or both."""
        access = self._config.access()
        if access is None or self.counts is None:
            return access or self.counts
        return Both(access, self.counts)

    def attach(
        self, worker: Worker, guard: Guard | None, certificates: Certificates | None
    ) -> None:
        """Take note of whom to watch."""
        self._worker = worker
        self.guard = guard
        self.certificates = certificates

    def start(self) -> None:
        """Begin to watch the loop, if figures are wanted."""
        if self.counts is not None:
            self._lag.start()

    def stop(self) -> None:
        """Watch no more."""
        self._lag.stop()

    def samples(self) -> Samples:
        """Return all figures; in the loop's thread."""
        found: Samples = {}
        if self.counts is not None:
            found |= self.counts.samples()
            found |= self._lag.histogram.samples("tidegate_loop_lag_seconds")
        pid = os.getpid()
        found["tidegate_workers"] = 1
        found[labelled("tidegate_process_start_time_seconds", pid=pid)] = self._began
        found[labelled("tidegate_process_resident_memory_bytes", pid=pid)] = resident_memory()
        for stall in self.guard.report() if self.guard is not None else ():
            line = f"{stall.file}:{stall.line}"
            found[labelled("tidegate_loop_stalls_total", line=line)] = stall.count
            seconds = labelled("tidegate_loop_stalled_seconds_total", line=line)
            found[seconds] = stall.seconds
        if self.certificates is not None:
            name = "tidegate_certificate_expiry_timestamp_seconds"
            for file, expires in self.certificates.expiries().items():
                found[labelled(name, file=file)] = expires
        return found | self._pools() | self._now()

    def status(self) -> dict[str, Any]:
        """Return what a person asks first; ages in seconds, sizes in bytes."""
        worker = self._worker
        requests = self._requests()
        return {
            "pid": os.getpid(),
            "age": time.time() - self._began,
            "rss": resident_memory(),
            "requests": worker.service.total_requests if worker is not None else 0,
            "draining": worker is not None and worker.draining,
            "connections": self._connections(),
            "in_flight": len(requests),
            "oldest": [self._described(each) for each in requests[:_MAX_LISTED]],
        }

    def stalls(self) -> list[dict[str, Any]]:
        """Return the lines that blocked the loop, the worst first."""
        if self.guard is None:
            return []
        return [dataclasses.asdict(stall) for stall in self.guard.report()]

    # -- private -------------------------------------------------------------

    def _requests(self) -> list[HttpExchange | WebSocketExchange]:
        """Return the requests in flight, the oldest first."""
        if self._worker is None:
            return []
        running = [cast(HttpExchange, each) for each in self._worker.service.running]
        return sorted(running, key=lambda each: each.started_at)

    def _now(self) -> Samples:
        worker = self._worker
        if worker is None:
            return {}
        requests = self._requests()
        sockets = sum(isinstance(each, WebSocketExchange) for each in requests)
        found: Samples = {"tidegate_requests_in_progress": len(requests) - sockets}
        for protocol, count in self._connections().items():
            found[labelled("tidegate_connections", protocol=protocol)] = count
        line = list(_admissions(worker.service))
        if line:
            found["tidegate_requests_queued"] = sum(each.waiting for each in line)
            found["tidegate_queue_waits_total"] = sum(each.waits for each in line)
            found["tidegate_queue_seconds_total"] = sum(each.waited for each in line)
        for kind, count in worker.service.refusals.items():
            found[labelled("tidegate_refusals_total", kind=kind)] = count
        return found

    def _connections(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self._worker.connections if self._worker is not None else ():
            name = type(each).__name__
            protocol = _PROTOCOLS.get(name, name)
            found[protocol] = found.get(protocol, 0) + 1
        return found

    def _pools(self) -> Samples:
        found: Samples = {}
        by_name = pools.metrics(self._loop)
        if self._worker is not None and isinstance(self._worker.service, WsgiService):
            by_name = {**by_name, "wsgi": self._worker.service.wsgi.pool.metrics()}
        for pool, figures in by_name.items():
            found[labelled("tidegate_pool_threads", pool=pool)] = figures.threads
            found[labelled("tidegate_pool_busy", pool=pool)] = figures.busy
            found[labelled("tidegate_pool_queued", pool=pool)] = figures.queued
        return found

    def _described(self, request: HttpExchange | WebSocketExchange) -> dict[str, Any]:
        # A WSGI call has none; compiled, it has None.
        scope: dict[str, Any] = getattr(request, "scope", None) or {}
        head = getattr(request, "head", None)
        method = "WS" if head is None else head.method
        path = scope.get("path") or (head.path.decode("ascii") if head is not None else "")
        client = scope.get("client") or request.out.client
        return {
            "id": _id_of(request),
            "age": time.perf_counter() - request.started_at,
            "method": method,
            "path": path,
            "client": format_address(client),
            "at": self._place(request.task),
        }

    def _place(self, task: asyncio.Task[None] | None) -> str:
        """Return where a call waits: the innermost line of the application's own."""
        if task is None:
            return "in a thread"
        frames = stack_of_task(task)
        return str(line_of(frames[self._origins.nearest(frames)])) if frames else ""

    def _set_log_level(self, args: dict[str, Any]) -> str:
        level = str(args.get("level"))
        try:
            set_level(level)
        except ValueError:
            raise ConfigError(f"log_level {level!r}: there is no such level") from None
        return level

    def _reload_certificates(self, args: dict[str, Any]) -> bool:
        if self.certificates is None:
            raise ConfigError("there are no certificates: see --ssl-certfile")
        return self.certificates.reload()

    def _cancel(self, args: dict[str, Any]) -> bool:
        """Cancel the call of one request; False if it is not here."""
        for each in self._requests():
            if _id_of(each) == args.get("id") and each.task is not None:
                each.task.cancel("cancelled by the operator")
                return True
        return False


def _admissions(service: Service) -> set[Admission]:
    """Return what makes requests wait; paths may share it, or have one each."""
    services = [service, *(service.lanes.services if service.lanes is not None else ())]
    entrances = [each.entrance for each in services if each.entrance is not None]
    return {each.admission for each in entrances if each.admission is not None}


def _id_of(request: HttpExchange | WebSocketExchange) -> str:
    names = request.names
    return names.request_id if names is not None and names.request_id else f"{id(request):x}"


def resident_memory() -> int:
    """Return the bytes of memory that this process holds; elsewhere than on Linux, held at most."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
