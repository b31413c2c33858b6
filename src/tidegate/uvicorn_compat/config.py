"""uvicorn's settings, by uvicorn's names, and what they are here."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..asgi import Application
from ..errors import ConfigError
from ..server.config import Config as TidegateConfig
from ..server.environment import read_env_file
from ..server.foreign import UVICORN
from ..server.listening import listen
from ..server.loops import loop_factory
from ..server.options import options_of
from ..server.target import load
from ..server.uvicorn_logs import adapted

__all__ = ["LOGGING_CONFIG", "Config", "Settings"]

logger = logging.getLogger("tidegate.error")

_FORMATTERS = "tidegate.server.uvicorn_logs"

_NOT_CALLED = ("ssl_context_factory", "callback_notify")

# Keywords that are not passed on as they are.
_APART = {*(row.key for row in UVICORN), *_NOT_CALLED, "timeout_notify", "env_file", "log_config"}

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": f"{_FORMATTERS}.DefaultFormatter",
            "fmt": "%(levelprefix)s %(message)s",
            "use_colors": None,
        },
        "access": {
            "()": f"{_FORMATTERS}.AccessFormatter",
            "fmt": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
            "use_colors": None,
        },
    },
    "handlers": {
        "default": {
            "class": "logging.StreamHandler",
            "formatter": "default",
            "stream": "ext://sys.stderr",
        },
        "access": {
            "class": "logging.StreamHandler",
            "formatter": "access",
            "stream": "ext://sys.stdout",
        },
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}
"""How uvicorn's loggers are set up; programs change it in place."""


class Settings(TypedDict, total=False):
    """The keywords of uvicorn's ``Config`` and ``run``."""

    uds: str | None
    fd: int | None
    loop: Any
    http: Any
    http2: bool
    ws: Any
    ws_max_size: int
    ws_max_queue: int
    ws_ping_interval: float | None
    ws_ping_timeout: float | None
    ws_per_message_deflate: bool
    lifespan: Any
    env_file: str | os.PathLike[str] | None
    log_config: dict[str, Any] | str | None
    log_level: str | int | None
    access_log: bool
    use_colors: bool | None
    interface: Any
    reload: bool
    reload_dirs: list[str] | str | None
    reload_delay: float
    reload_includes: list[str] | str | None
    reload_excludes: list[str] | str | None
    workers: int | None
    proxy_headers: bool
    server_header: bool
    date_header: bool
    forwarded_allow_ips: list[str] | str | None
    root_path: str
    limit_concurrency: int | None
    limit_max_requests: int | None
    limit_max_requests_jitter: int
    backlog: int
    timeout_keep_alive: float
    timeout_notify: float
    timeout_graceful_shutdown: float | None
    timeout_worker_healthcheck: float
    callback_notify: Callable[..., Any] | None
    ssl_keyfile: str | os.PathLike[str] | None
    ssl_certfile: str | os.PathLike[str] | None
    ssl_keyfile_password: str | None
    ssl_version: int | None
    ssl_cert_reqs: int | None
    ssl_ca_certs: str | None
    ssl_ciphers: str | None
    ssl_context_factory: Callable[..., Any] | None
    headers: Sequence[tuple[str, str]] | None
    factory: bool
    app_dir: str | None
    reset_contextvars: bool
    h11_max_incomplete_event_size: int | None


_KEYWORDS = {"host", "port", *Settings.__annotations__}


class Config:
    """uvicorn's ``Config``: its keywords, its attributes, its defaults where we share them.

    Raises ``ConfigError`` for a value that cannot be used, ``TypeError`` for
    an unknown keyword.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        app: Application | str,
        host: str = "127.0.0.1",
        port: int = 8000,
        **settings: Unpack[Settings],
    ) -> None:
        unknown = settings.keys() - _KEYWORDS
        if unknown:
            raise TypeError(f"Config() got an unexpected keyword argument {min(unknown)!r}")
        vars(self).update(dict.fromkeys(_KEYWORDS))
        vars(self).update({n: o.default for n, o in options_of(TidegateConfig).items()})
        # uvicorn's: what Tidegate has instead is finite.
        vars(self).update(timeout_graceful_shutdown=None, log_config=LOGGING_CONFIG)
        vars(self)["_given"] = set()
        self.app = app
        _judge_foreign(settings)
        for name, value in {"host": host, "port": port, **settings}.items():
            setattr(self, name, value)
        if self.env_file is not None:
            read_env_file(os.fspath(self.env_file))
        for name in ("workers", "forwarded_allow_ips"):
            if settings.get(name) is None:
                setattr(self, name, _from_environment(name))
        self.loaded_app: Application | None = None  # None until load()
        self.tidegate()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _KEYWORDS:
            self._given.add(name)

    @property
    def loaded(self) -> bool:
        """Say whether ``load`` was called."""
        return self.loaded_app is not None

    @property
    def is_ssl(self) -> bool:
        """Say whether TLS is spoken."""
        return bool(self.ssl_certfile)

    @property
    def use_subprocess(self) -> bool:
        """Say whether the server runs in processes of its own."""
        return self.should_reload or bool(self.workers > 1)

    @property
    def should_reload(self) -> bool:
        """Say whether the application is restarted when files change."""
        return bool(self.reload)

    def tidegate(self) -> TidegateConfig:
        """Return these settings as Tidegate's."""
        values = {name: getattr(self, name) for name in self._given - _APART}
        values["max_head_size"] = values.pop("h11_max_incomplete_event_size", None)
        for name in ("ws_ping_interval", "ws_ping_timeout"):
            values[name] = getattr(self, name) or 0.0
        for name in ("reload_dirs", "reload_includes", "reload_excludes"):
            if isinstance(values.get(name), str):
                values[name] = [values[name]]
        for name in ("loop", "ws"):
            if not isinstance(values.get(name), str) or ":" in values[name]:
                values.pop(name, None)  # a class, or where one is
        if isinstance(values["forwarded_allow_ips"], list):
            values["forwarded_allow_ips"] = ",".join(values["forwarded_allow_ips"])
        if isinstance(values.get("log_level"), int):
            values["log_level"] = _level_name(values["log_level"])
        for name in ("ssl_keyfile", "ssl_certfile"):
            if isinstance(values.get(name), os.PathLike):
                values[name] = os.fspath(values[name])
        if isinstance(values.get("ssl_cert_reqs"), int):
            values["ssl_cert_reqs"] = str(int(values["ssl_cert_reqs"]))
        # None is uvicorn's way to say: the default.
        values = {name: value for name, value in values.items() if value is not None}
        return TidegateConfig(self.app, **values, log_config=self._log_config())

    def _log_config(self) -> str | dict[str, Any]:
        config: Any = self.log_config
        if isinstance(config, str):
            return config
        config = adapted(config or {"version": 1, "disable_existing_loggers": False})
        if self.use_colors is not None:
            for formatter in config.get("formatters", {}).values():
                if "use_colors" in formatter:
                    formatter["use_colors"] = self.use_colors
        made: dict[str, Any] = config
        return made

    def load(self) -> None:
        """Import the application into ``loaded_app``."""
        config = self.tidegate()
        self.loaded_app = load(
            config.app,
            factory=config.factory,
            interface=config.interface,
            app_dir=config.app_dir,
        )

    def load_app(self) -> Application:
        """Import the application and return it."""
        self.load()
        if self.loaded_app is None:
            raise ConfigError(f"{self.app!r} cannot be loaded")
        return self.loaded_app

    def bind_socket(self) -> socket.socket:
        """Open the place to listen on."""
        return listen(self.tidegate())[0]

    def get_loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        """Return what makes the event loop."""
        return loop_factory(self.tidegate())


def _judge_foreign(settings: Mapping[str, Any]) -> None:
    """Say what is left out; refuse what cannot be."""
    for row in UVICORN:
        if settings.get(row.key):
            if row.refused:
                raise ConfigError(f"{row.key}: {row.note}")
            row.converted(settings[row.key])
            logger.warning("%s: %s", row.key, row.note)
    for name in _NOT_CALLED:
        if settings.get(name) is not None:
            raise ConfigError(f"{name} is not called by Tidegate")


def _from_environment(name: str) -> Any:
    """Return what the variable that others read too says, or the default."""
    option = options_of(TidegateConfig)[name]
    text = os.environ.get(option.variables[-1])
    try:
        return option.parse(text) if text else option.default
    except ValueError as error:
        raise ConfigError(f"{option.variables[-1]}: {name} {error}") from None


def _level_name(level: int) -> str:
    """Return the word of ours for a level of ``logging``."""
    names = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10, "trace": 0}
    return next(name for name, least in names.items() if level >= least)
