"""Which pool does ``backend = "..."`` of a configuration mean?"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module

from ...errors import ConfigError
from ..assignment import assignment_of
from .executor import ExecutorPool
from .interface import Pool
from .limits import ProcessLimits
from .pool import ProcessPool

__all__ = ["open_pool"]

_DASK = "dask://"


def open_pool(
    backend: str = "process",
    *,
    name: str = "cpu",
    limits: ProcessLimits | None = None,
    setup: Callable[[], object] | None = None,
    context: Iterable[str] = (),
) -> Pool:
    """Return a pool, not yet started, that runs calls where ``backend`` says.

    It is ``process``, ``thread``, ``interpreter`` (Python 3.14 and newer) or
    ``dask://HOST:PORT``.  Raises ``ConfigError`` for anything else, and for a
    ``setup`` where there are no workers of ours that could call it.  What the
    operator says about a pool of this name (``[pools.NAME]``) comes first.
    """
    told = assignment_of(name)
    if told is not None:
        backend = told.backend
        limits = replace(limits or ProcessLimits(), max_queue=told.max_queue)
        limits.workers = told.workers or limits.workers
    if backend == "process":
        return ProcessPool(name, limits, setup=setup, context=context)
    limits = limits or ProcessLimits()
    if backend.startswith(_DASK):
        if setup is not None:
            raise ConfigError(f"backend {backend!r}: the cluster sets its workers up, not `setup`")
        return ExecutorPool(_dask(backend), name, limits, context=context)
    return ExecutorPool(_local(backend, name, limits, setup), name, limits, context=context)


def _local(
    backend: str, name: str, limits: ProcessLimits, setup: Callable[[], object] | None
) -> Callable[[], concurrent.futures.Executor]:
    """Return how to make an executor of the standard library."""
    if backend == "thread":
        kind: type[concurrent.futures.ThreadPoolExecutor] = concurrent.futures.ThreadPoolExecutor
    elif backend == "interpreter":
        # Not in the stubs of older versions, and a kind of pool of threads.
        found = getattr(concurrent.futures, "InterpreterPoolExecutor", None)
        if found is None:
            raise ConfigError("backend 'interpreter' needs Python 3.14: write 'process'")
        kind = found
    else:
        raise ConfigError(
            f"backend {backend!r}: choose process, thread, interpreter or dask://HOST:PORT"
        )
    return lambda: kind(limits.workers, thread_name_prefix=f"pool-{name}", initializer=setup)


def _dask(backend: str) -> Callable[[], concurrent.futures.Executor]:
    host, _, port = backend.removeprefix(_DASK).rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"backend {backend!r}: write dask://HOST:PORT")

    def connect() -> concurrent.futures.Executor:
        executor: concurrent.futures.Executor = import_module(".dask", __package__).DaskExecutor(
            f"tcp://{host}:{port}"
        )
        return executor

    return connect
