"""Every setting of the server: one field, one option, one line of documentation.

The command line, the reference, and what a configuration file may say are
generated from these fields, so a name, a default, bounds and a help text stand
here once.  Names are uvicorn's where it has the option.
"""

from __future__ import annotations

import dataclasses

from ..asgi import Application
from ..exchange.service import Policy
from ..http import Field
from .checks import BadSettings, complaints
from .options import option
from .policies import PathPolicy
from .sections.application import ApplicationSettings
from .sections.development import DevelopmentSettings
from .sections.http import HttpSettings, SocketSettings
from .sections.limits import LimitSettings, TimeoutSettings
from .sections.listening import ListeningSettings
from .sections.logging import LoggingSettings
from .sections.observing import ObservingSettings
from .sections.processes import ProcessSettings
from .sections.shutdown import ShutdownSettings
from .sections.static import StaticSettings
from .sections.tls import TlsSettings
from .sections.wsgi import GuardSettings, WsgiSettings

__all__ = ["Config", "PoolConfig"]


@dataclasses.dataclass(kw_only=True)
class PoolConfig:
    """One named pool for blocking work: where it runs, how much at once, how much waits."""

    backend: str = option("thread", "Where the work runs.")
    workers: int | None = option(
        None, "Threads [default: 8] or processes [default: one for each core].", least=1
    )
    max_queue: int = option(1000, "Calls that may wait.", least=0)


@dataclasses.dataclass(kw_only=True)
class Config(
    # Their options are listed in the opposite order: a dataclass begins with its last base.
    ObservingSettings,
    LoggingSettings,
    ShutdownSettings,
    TimeoutSettings,
    LimitSettings,
    DevelopmentSettings,
    SocketSettings,
    HttpSettings,
    GuardSettings,
    WsgiSettings,
    StaticSettings,
    TlsSettings,
    ProcessSettings,
    ListeningSettings,
    ApplicationSettings,
):
    """The settings of one server.  ``app`` is an application or ``"module:attribute"``.

    Raises ``ConfigError`` for a value that cannot be used.
    """

    app: Application | str = dataclasses.field(kw_only=False)

    # Tables of the configuration file only
    pools: dict[str, PoolConfig] = dataclasses.field(default_factory=dict)
    policies: dict[str, PathPolicy] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every value: settings also come from programs that mypy never saw."""
        found = list(complaints(self))
        if found:
            raise BadSettings(found)
        self.root_path = self.root_path.rstrip("/")

    def is_supervised(self) -> bool:
        """Say whether the processes that serve have one above them."""
        replaced = (self.limit_max_requests, self.max_worker_age, self.max_worker_memory)
        alone = (self.pid, self.user, self.group, self.umask)
        return (
            self.workers > 1
            or self.supervise
            or self.preload
            or (isinstance(self.app, str) and any(limit is not None for limit in replaced))
            or any(name is not None for name in alone)
        )

    def response_fields(self) -> list[Field]:
        """Return the header fields that every response carries, save Date."""
        return [*super().response_fields(), *self.hsts_fields()]

    def policy(self) -> Policy:
        """Return how exchanges are to treat applications and clients."""
        return Policy(
            on_disconnect=self.on_disconnect,
            disconnect_grace=self.disconnect_grace,
            root_path=self.root_path,
            root_path_mode=self.root_path_mode,
            max_read_ahead=self.max_read_ahead,
            max_queue=self.ws_max_queue,
            limit_concurrency=self.limit_concurrency,
            limit_queue=self.limit_queue,
            queue_timeout=self.queue_timeout,
            timeout_request=self.timeout_request or None,
            timeout_header=self.timeout_header.lower().encode() if self.timeout_header else None,
            proxies=self.proxies(),
        )
