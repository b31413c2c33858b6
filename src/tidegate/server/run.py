"""``tidegate.run``: a server from an ordinary program, in a loop of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..asgi import Application
from ..errors import ConfigError
from .config import Config
from .environment import read_env_file
from .loops import run_in_loop
from .reload import serve_and_reload
from .server import Server, StartupFailed
from .supervisor import supervise

__all__ = ["run", "serve"]


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


def serve(config: Config, again: Callable[[], Config] | None = None) -> None:
    """Serve as configured, in this process or, with ``workers`` or ``reload``, in others.

    ``again`` reads the configuration anew when a supervisor is asked to reload.
    """
    if config.reload:
        # Reads the environment file anew at each start.
        if serve_and_reload(config):
            raise StartupFailed("the application did not start")
        return
    if config.env_file is not None:
        read_env_file(config.env_file)
    if config.is_supervised():
        if supervise(config, again):
            raise StartupFailed("the application did not start")
    else:
        # The server's futures and events belong to the running loop.
        run_in_loop(config, lambda: Server(config).serve())
