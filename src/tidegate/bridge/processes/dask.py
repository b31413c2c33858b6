"""Calls on a Dask cluster.  The one module that needs the extra ``dask``.

Its import takes about a second, so nothing imports it before a pool asks for it.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

from ...errors import ConfigError

try:
    import distributed
except ImportError as error:
    raise ConfigError(
        f"backend 'dask://...' needs a package ({error}): pip install 'tidegate[dask]'"
    ) from error

__all__ = ["DaskExecutor"]

# To reach the scheduler, which may be starting too.
_CONNECT_TIMEOUT = 10.0


class DaskExecutor(concurrent.futures.Executor):
    """The executor of a Dask client of its own, which ends with it."""

    def __init__(self, address: str) -> None:
        """Connect to a scheduler, ``tcp://HOST:PORT``.  Raises ``ConfigError`` if it is not there.

        It blocks while it connects.
        """
        client: Any = distributed.Client  # it has no annotations
        try:
            self._client = client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False)
        except OSError as error:
            raise ConfigError(f"no Dask scheduler answers at {address}: {error}") from error
        # Not pure: two equal calls are two calls.
        self._executor = self._client.get_executor(pure=False)

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[Any]:
        """Run ``fn(*args, **kwargs)`` on a worker of the cluster."""
        future: concurrent.futures.Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the calls, or cancel them, and disconnect."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        self._client.close()
