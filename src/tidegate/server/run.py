"""``tidegate.run``: a server from an ordinary program, in a loop of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from ..asgi import Application
from ..errors import ConfigError
from .config import Config
from .server import Server

if sys.platform != "win32":
    import uvloop

__all__ = ["loop_factory", "run", "serve"]


def run(app: Application | str, **settings: Any) -> None:
    """Serve ``app`` (an application or ``"module:attribute"``) until a signal says stop.

    ``settings`` are the fields of ``Config``, the same names as on the
    command line: ``tidegate.run(app, port=9000, access_log=False)``.  Raises
    ``ConfigError`` for a setting that cannot be used and ``StartupFailed``
    if the application does not start.
    """
    try:
        config = Config(app, **settings)
    except TypeError as error:
        # An unknown name; Python's message says which.
        raise ConfigError(str(error).partition("() ")[2] or str(error)) from None
    serve(config)


def serve(config: Config) -> None:
    """Serve in a new event loop of the kind the configuration asks for."""
    with asyncio.Runner(loop_factory=loop_factory(config)) as runner:
        # Not runner.run(): it would turn Ctrl+C during the import of the
        # application into a cancellation that a blocking import never sees.
        runner.get_loop().run_until_complete(_serve(config))


async def _serve(config: Config) -> None:
    # The server's futures and events belong to the running loop.
    await Server(config).serve()


def loop_factory(config: Config) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return how to make the event loop that the configuration asks for."""
    if sys.platform == "win32":
        if config.loop == "uvloop":
            raise ConfigError("loop 'uvloop' does not exist on Windows")
        return asyncio.new_event_loop
    return asyncio.new_event_loop if config.loop == "asyncio" else uvloop.new_event_loop
