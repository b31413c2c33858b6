"""Which of several applications serves a path?

The one with the longest prefix, and a prefix ends where a segment of the path
ends.  Each application sees its prefix as ``root_path``, and all of them their
startup and shutdown.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..asgi import Application, Receive, Scope, Send
from ..bridge.wsgi.asgi import WsgiSettings
from ..exchange.lifespan import Lifespan, LifespanFailed, LifespanMode
from .checks import mount_target
from .config import Config
from .target import load

__all__ = ["Mounts", "load_all"]


def load_all(config: Config) -> Application:
    """Return the application of a configuration, a ``Mounts`` if there is more than one.

    Raises as ``target.load`` does.
    """
    settings = WsgiSettings(
        threads=config.threads,
        max_queue=config.threads_queue,
        chunked=config.wsgi_chunked,
        multiprocess=config.workers > 1,
    )
    applications: dict[str, Application] = {}
    if config.app or not isinstance(config.app, str):
        applications[""] = load(
            config.app,
            factory=config.factory,
            interface=config.interface,
            app_dir=config.app_dir,
            settings=settings,
        )
    for prefix, text in config.mounts.items():
        kind, target = mount_target(text)
        interface = {"asgi": "asgi3"}.get(kind, kind)
        applications[prefix] = load(
            target, factory=False, interface=interface, app_dir=config.app_dir, settings=settings
        )
    if list(applications) == [""]:
        return applications[""]
    return Mounts(applications, config.lifespan)


class Mounts:
    """An ASGI application made of others, by the prefix of the path."""

    def __init__(
        self, applications: Mapping[str, Application], lifespan: LifespanMode = "auto"
    ) -> None:
        """Take prefixes such as ``/live``; ``/`` or nothing is for the rest."""
        self.applications = {prefix.rstrip("/"): app for prefix, app in applications.items()}
        self._lifespan = lifespan
        self._places = sorted(self.applications, key=len, reverse=True)
        self._lives: dict[str, Lifespan] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on; where nobody is mounted, answer 404."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        prefix = self.prefix_of(path)
        if prefix is None:
            await _not_found(scope["type"], receive, send)
            return
        inner = dict(scope, root_path=root + prefix)
        if prefix in self._lives:
            inner["state"] = self._lives[prefix].state.copy()
        await self.applications[prefix](inner, receive, send)

    def prefix_of(self, path: str) -> str | None:
        """Return under which prefix a path is served; None if nobody serves it."""
        for prefix in self._places:
            if path == prefix or path.startswith(f"{prefix}/"):
                return prefix
        return None

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start all, in the order given; stop those that started, the last one first."""
        started: list[Lifespan] = []
        await receive()
        try:
            for prefix, application in self.applications.items():
                lifespan = Lifespan(application, self._lifespan)
                await lifespan.startup()
                started.append(lifespan)
                self._lives[prefix] = lifespan
        except LifespanFailed as error:
            text = f"{prefix or '/'}: {error}"
            await _stop(started)
            await send({"type": "lifespan.startup.failed", "message": text})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _stop(started)
        await send({"type": "lifespan.shutdown.complete"})


async def _stop(started: list[Lifespan]) -> None:
    for lifespan in reversed(started):
        await lifespan.shutdown()


async def _not_found(kind: str, receive: Receive, send: Send) -> None:
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Not Found"})
