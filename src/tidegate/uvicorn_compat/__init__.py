"""For programs that start uvicorn: ``import tidegate.uvicorn_compat as uvicorn``.

``run``, ``Config`` and ``Server`` take uvicorn's keywords and have the
attributes that programs use; the server is Tidegate's.  What a keyword asks
for and Tidegate does not do is logged, or refused where leaving it out would
change what the operator relies on.
"""

from __future__ import annotations

from . import config, logging, server
from .config import Config
from .server import Server, run

__all__ = ["Config", "Server", "config", "logging", "run", "server"]
