"""An ASGI application under any WSGI server.

All requests of a process run on one event loop in a thread of its own, which
starts with the first of them, as does the lifespan.  The thread of the WSGI
server does what only it may do: it reads the content and takes the response.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ...asgi import Application
from ..mailbox import Mailbox, mailbox_of
from ..portal import Portal
from .environ import Environ
from .life import Life
from .visit import Visit

__all__ = ["AsgiAsWsgi", "asgi_as_wsgi"]


def asgi_as_wsgi(application: Application, *, shutdown_timeout: float = 10.0) -> AsgiAsWsgi:
    """Return a WSGI application that serves ``application``.

    ``shutdown_timeout`` is how many seconds its lifespan has to end when the
    process does.
    """
    return AsgiAsWsgi(application, shutdown_timeout)


class AsgiAsWsgi:
    """The WSGI application that ``asgi_as_wsgi`` returns."""

    def __init__(self, application: Application, shutdown_timeout: float) -> None:
        self._application = application
        self._shutdown_timeout = shutdown_timeout
        self._lock = threading.Lock()
        self._process = 0  # whose loop this is: a server may fork after the first request
        self._portal: Portal | None = None  # None until the first request, and after close()
        self._mailbox: Mailbox | None = None
        self._life: Life | None = None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request (PEP 3333); raises what the application raises."""
        portal, mailbox, life = self._started()
        visit = Visit(environ, mailbox, life.state)
        portal.start(visit.run, self._application)
        return visit.respond(start_response)

    def close(self) -> None:
        """Shut the application down and end the loop; the next request starts it anew."""
        with self._lock:
            portal, life = self._portal, self._life
            self._portal = None
            if portal is None or life is None or self._process != os.getpid():
                return
            try:
                portal.call(life.shutdown, self._shutdown_timeout)
            finally:
                portal.__exit__(None, None, None)

    def _started(self) -> tuple[Portal, Mailbox, Life]:
        """Start the loop and the lifespan, once in each process."""
        with self._lock:
            portal, mailbox, life = self._portal, self._mailbox, self._life
            if portal is None or mailbox is None or life is None or self._process != os.getpid():
                portal = Portal(name="tidegate-asgi").__enter__()
                life = Life(self._application)
                try:
                    mailbox = portal.call(_own_mailbox)
                    portal.call(life.startup)
                except BaseException:
                    portal.__exit__(None, None, None)
                    raise
                self._portal, self._mailbox, self._life = portal, mailbox, life
                self._process = os.getpid()
                atexit.register(self.close)
            return portal, mailbox, life


async def _own_mailbox() -> Mailbox:
    return mailbox_of(asyncio.get_running_loop())
