"""A new server in the place of this one, on the same sockets (SIGUSR2).

The new one is started with our command line and given our sockets.  It stops
us when all its workers are ready; if it fails before that, we go on.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress

from .listening import Listeners

__all__ = ["Upgrade"]

logger = logging.getLogger("tidegate.error")

_PARENT = "TIDEGATE_REPLACES"


class Upgrade:
    """The change from one server to the next, on either side."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._replaced = int(os.environ.pop(_PARENT, "0"))
        self._started: subprocess.Popen[bytes] | None = None  # None unless we were asked

    @property
    def done(self) -> bool:
        """Whether another server has taken our place: what is on disk is its own."""
        return self._started is not None and self._started.poll() is None

    def begin(self) -> None:
        """Start the new server; if one is starting already, nothing happens."""
        if self.done:
            return
        variables, descriptors = self._listeners.handed_on()
        command = [sys.executable, *sys.orig_argv[1:]]
        logger.info("Starting a new server in our place: %s", " ".join(command))
        self._started = subprocess.Popen(
            command,
            env={**os.environ, **variables, _PARENT: str(os.getpid())},
            pass_fds=descriptors,
        )

    def finish(self) -> None:
        """Stop the server that we replace, now that we are ready."""
        if self._replaced:
            logger.info("Ready; stopping process %d, which we replace", self._replaced)
            with suppress(ProcessLookupError):
                os.kill(self._replaced, signal.SIGTERM)
            self._replaced = 0
