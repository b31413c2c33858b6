"""Every setting of the server: one field, one option, one line of documentation.

The command line, the reference, and what a configuration file may say are
generated from these fields, so a name, a default, bounds and a help text stand
here once.  Names are uvicorn's where it has the option.
"""

from __future__ import annotations

import dataclasses

from ..asgi import Application
from ..exchange.forwarded import Proxies
from ..exchange.service import Policy
from .checks import BadSettings, complaints
from .options import option
from .sections.application import ApplicationSettings
from .sections.development import DevelopmentSettings
from .sections.http import HttpSettings, SocketSettings
from .sections.limits import LimitSettings, TimeoutSettings
from .sections.listening import ListeningSettings
from .sections.logging import LoggingSettings
from .sections.tls import TlsSettings
from .sections.wsgi import GuardSettings, WsgiSettings

__all__ = ["Config", "PoolConfig"]


@dataclasses.dataclass(kw_only=True)
class PoolConfig:
    """One named pool for blocking work: where it runs, how much at once, how much waits."""

    backend: str = option("thread", "Where the work runs.")
    workers: int = option(8, "Threads or processes.", least=1)
    max_queue: int = option(1000, "Calls that may wait.", least=0)


@dataclasses.dataclass(kw_only=True)
class Config(
    # Their options are listed in the opposite order: a dataclass begins with its last base.
    LoggingSettings,
    TimeoutSettings,
    LimitSettings,
    DevelopmentSettings,
    SocketSettings,
    HttpSettings,
    GuardSettings,
    WsgiSettings,
    TlsSettings,
    ListeningSettings,
    ApplicationSettings,
):
    """The settings of one server.  ``app`` is an application or ``"module:attribute"``.

    Raises ``ConfigError`` for a value that cannot be used.
    """

    app: Application | str = dataclasses.field(kw_only=False)

    # Tables of the configuration file only
    pools: dict[str, PoolConfig] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every value: settings also come from programs that mypy never saw."""
        found = list(complaints(self))
        if found:
            raise BadSettings(found)
        self.root_path = self.root_path.rstrip("/")

    def policy(self) -> Policy:
        """Return how exchanges are to treat applications and clients."""
        trusted = self.forwarded_allow_ips.split(",") if self.proxy_headers else []
        return Policy(
            on_disconnect=self.on_disconnect,
            disconnect_grace=self.disconnect_grace,
            root_path=self.root_path,
            root_path_mode=self.root_path_mode,
            max_read_ahead=self.max_read_ahead,
            max_queue=self.ws_max_queue,
            limit_concurrency=self.limit_concurrency,
            proxies=Proxies(trusted),
        )
