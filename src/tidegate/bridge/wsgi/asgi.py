"""A WSGI application as an ASGI one: for mounts, and for any ASGI server.

Tidegate's own server knows ``Wsgi`` and takes a shorter way to the same
threads (``exchange/wsgi.py``); what the application sees is the same.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from ...asgi import Receive, Scope, Send
from ...errors import BadRequest, PoolFull, UsageError
from ..context import expose_loop
from ..mailbox import mailbox_of
from ..threads import ThreadLimits, ThreadPool
from .body import Body, open_input, spool
from .call import Application, Call
from .environ import Environ, template
from .reply import Reply
from .session import Session, read_scope

__all__ = ["Chunked", "Wsgi", "WsgiSettings", "retry_after", "wsgi"]

logger = logging.getLogger("tidegate.error")

Chunked = Literal["auto", "stream", "spool"]

# Their applications read exactly CONTENT_LENGTH bytes, so they need to be told one.
_NEED_LENGTH = frozenset(("bottle", "django.core.handlers.wsgi"))


@dataclass
class WsgiSettings:
    """How a WSGI application is hosted; sizes in requests, times in seconds.

    ``chunked`` says what becomes of content whose length nobody announced:
    ``stream`` hands it over as it comes, ``spool`` waits for all of it and sets
    CONTENT_LENGTH, ``auto`` spools for Bottle and Django only.
    """

    threads: int = 16
    max_queue: int = 1000
    chunked: Chunked = "auto"
    multiprocess: bool = False
    close_timeout: float = 5.0
    """For the calls in progress when the application is shut down."""


def wsgi(application: Application, *, threads: int = 16, chunked: Chunked = "auto") -> Wsgi:
    """Return an ASGI application that calls ``application`` in threads of its own."""
    return Wsgi(application, WsgiSettings(threads=threads, chunked=chunked))


class Wsgi:
    """The ASGI application that ``wsgi`` returns."""

    def __init__(self, application: Application, settings: WsgiSettings | None = None) -> None:
        self.application = application
        self.settings = settings = settings or WsgiSettings()
        if settings.chunked not in ("auto", "stream", "spool"):
            raise UsageError(f"chunked must be auto, stream or spool, not {settings.chunked!r}")
        self.spools = settings.chunked == "spool" or (
            settings.chunked == "auto" and _needs_length(application)
        )
        self.template = template(
            multithread=settings.threads > 1, multiprocess=settings.multiprocess
        )
        self.pool = self._new_pool()
        _load_asgiref()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; sockets are refused, the lifespan is answered."""
        kind = scope["type"]
        if kind == "http":
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise UsageError(f"a WSGI application cannot serve a scope of type {kind!r}")

    def call(
        self,
        reply: Reply,
        environ: Environ,
        content: Body | io.BytesIO,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Call the application; in a thread of the pool, with what ``environ`` still lacks."""
        expose_loop(loop)
        file: Any = content
        try:
            if isinstance(content, Body):
                if self.spools and "CONTENT_LENGTH" not in environ:
                    file, size = spool(content)
                    environ["CONTENT_LENGTH"] = str(size)
                else:
                    file = open_input(content)
            elif self.spools and "CONTENT_LENGTH" not in environ and content.getbuffer().nbytes:
                environ["CONTENT_LENGTH"] = str(content.getbuffer().nbytes)
        except BaseException as error:
            reply.finish(error, None, b"")
            return
        environ["wsgi.input"] = file
        Call(reply, environ["REQUEST_METHOD"] == "HEAD").serve(self.application, environ)
        if file is not content:
            file.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; 503 if too many wait for a thread."""
        loop = asyncio.get_running_loop()
        session = Session(scope, receive, send, mailbox_of(loop))
        try:
            environ = read_scope(self.template.copy(), scope)
        except BadRequest as error:
            await session.answer(error.status, error.reason, [])
            return
        context = contextvars.copy_context()
        content = session.open(environ)

        def job() -> None:
            context.run(self.call, session.reply, environ, content, loop)

        try:
            self.pool.submit(job)
        except PoolFull as full:
            await session.answer(503, "Service Unavailable", [retry_after(full)])
        else:
            await session.run()

    def _new_pool(self) -> ThreadPool:
        settings = self.settings
        limits = ThreadLimits(threads=settings.threads, max_queue=settings.max_queue)
        return ThreadPool("wsgi", limits)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Answer the lifespan; at its end, wait for the threads."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        seconds = self.settings.close_timeout
        # Whoever serves the application again finds threads again.
        pool, self.pool = self.pool, self._new_pool()
        for stack in await asyncio.to_thread(pool.close, seconds):
            logger.error("A WSGI call is still in progress after %g s:\n%s", seconds, stack)
        await send({"type": "lifespan.shutdown.complete"})


def retry_after(full: PoolFull) -> tuple[bytes, bytes]:
    """Return the header that goes with a 503."""
    return b"retry-after", b"%d" % max(1, round(full.retry_after))


def _needs_length(application: object) -> bool:
    """Say whether this is Bottle or Django, or derives from their applications."""
    return any(kind.__module__ in _NEED_LENGTH for kind in type(application).__mro__)


def _load_asgiref() -> None:
    """Load what Flask would load in its first asynchronous view.

    By then it would be too late for ``expose_loop``, and this view would run on
    a loop of its own.
    """
    if "flask" in sys.modules and find_spec("asgiref") is not None:
        import_module("asgiref.sync")
