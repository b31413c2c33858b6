"""Every setting of the server: one field, one option, one line of documentation.

The command line (``cli.py``) is generated from these fields, so a name, a
default and a help text stand here once.  Names are uvicorn's where it has the
option.  Each can be set by an environment variable: ``TIDEGATE_`` and its name
in capitals.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..asgi import Application
from ..errors import AppError, ConfigError
from ..exchange.forwarded import Proxies
from ..exchange.lifespan import LifespanMode
from ..exchange.service import OnDisconnect, Policy
from ..http import CODING, CONNECTION, LENGTH, Field, field
from ..net.timeouts import Timeouts
from ..net.worker import WebSocketSettings
from ..wire.http1.limits import Http1Limits

__all__ = ["Config", "option"]

LogLevel = Literal["critical", "error", "warning", "info", "debug", "trace"]


def option(
    default: Any,
    help: str,
    *,
    group: str = "Application",
    flag: str = "",
    also: str = "",
    env: str = "",
) -> Any:
    """Declare a setting.

    ``flag`` overrides the option's name, ``also`` adds a second one, ``env``
    names a second environment variable that is read after our own.
    """
    metadata = {"help": help, "group": group, "flag": flag, "also": also, "env": env}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(kw_only=True)
class Config:
    """The settings of one server.  ``app`` is an application or ``"module:attribute"``.

    Raises ``ConfigError`` for a value that cannot be used.
    """

    app: Application | str = dataclasses.field(kw_only=False)

    # Application
    factory: bool = option(False, "The target is a function that returns the application.")
    app_dir: str = option("", "Look for the module here first [default: the current folder].")
    interface: Literal["auto", "asgi3", "asgi2"] = option(
        "auto", "How to call the application; auto looks at it."
    )
    lifespan: LifespanMode = option(
        "auto", "Startup and shutdown events: auto, on (required) or off."
    )
    env_file: str | None = option(None, "Read environment variables for the application from here.")
    root_path: str = option("", "Mount point of the application, as behind a proxy.")
    root_path_mode: Literal["strip", "keep"] = option(
        "strip", "Whether the proxy strips the root path from what it passes on, or keeps it."
    )
    reset_contextvars: bool = option(
        True, "Accepted for uvicorn's sake: every request has a fresh context."
    )

    # Listening
    host: str = option("127.0.0.1", "Address or name to listen on.", group="Listening")
    port: int = option(8000, "Port to listen on; 0 picks a free one.", group="Listening")
    uds: str | None = option(None, "Listen on this Unix socket instead.", group="Listening")
    fd: int | None = option(
        None, "Listen on this inherited file descriptor instead.", group="Listening"
    )
    backlog: int = option(2048, "Connections the kernel may hold for us.", group="Listening")
    workers: int = option(
        1, "Worker processes [also: WEB_CONCURRENCY].", group="Listening", env="WEB_CONCURRENCY"
    )
    loop: Literal["auto", "asyncio", "uvloop"] = option(
        "auto", "Event loop; auto is uvloop where it exists.", group="Listening"
    )

    # HTTP
    proxy_headers: bool = option(
        True, "Believe X-Forwarded-For and -Proto of trusted peers.", group="HTTP"
    )
    forwarded_allow_ips: str = option(
        "127.0.0.1,::1",
        "Trusted peers: addresses, networks, 'unix', or '*' for all [also: FORWARDED_ALLOW_IPS].",
        group="HTTP",
        env="FORWARDED_ALLOW_IPS",
    )
    server_header: bool = option(True, "Send a Server header.", group="HTTP")
    date_header: bool = option(True, "Send a Date header.", group="HTTP")
    headers: Sequence[tuple[str, str]] = option(
        [], "Send this header ('Name: value') with every response.", group="HTTP", flag="header"
    )
    on_disconnect: OnDisconnect = option(
        "cancel",
        "When the client leaves: raise in send(); cancel idle streams too; or ignore.",
        group="HTTP",
    )
    disconnect_grace: float = option(
        3.0, "Seconds before the stream of a client that left is cancelled.", group="HTTP"
    )

    # WebSocket
    ws: Literal["auto", "none"] = option(
        "auto", "Speak WebSocket, or ignore requests for it.", group="WebSocket"
    )
    ws_max_size: int = option(
        16 * 1024**2, "Bytes of a message; more closes with 1009.", group="WebSocket"
    )
    ws_max_queue: int = option(
        32, "Messages held for an application that does not receive.", group="WebSocket"
    )
    ws_ping_interval: float = option(
        20.0, "Seconds between pings; 0 sends none.", group="WebSocket"
    )
    ws_ping_timeout: float = option(
        20.0, "Seconds to wait for a pong before the socket is closed.", group="WebSocket"
    )
    ws_per_message_deflate: bool = option(
        True, "Compress messages if the client offers it.", group="WebSocket"
    )
    ws_allowed_origins: str | None = option(
        None,
        "Origins that browsers may connect from, with commas [default: any].",
        group="WebSocket",
    )
    timeout_ws_drain: float = option(
        5.0, "Seconds for the last words of sockets at shutdown.", group="WebSocket"
    )

    # Limits
    limit_concurrency: int | None = option(
        None, "Answer 503 to more requests at once than this.", group="Limits"
    )
    limit_max_requests: int | None = option(None, "Stop after this many requests.", group="Limits")
    limit_max_requests_jitter: int = option(
        0, "Add up to this many requests, at random, to --limit-max-requests.", group="Limits"
    )
    max_head_size: int = option(
        65536,
        "Bytes of a request head; more is answered 431.",
        group="Limits",
        also="h11-max-incomplete-event-size",
    )
    max_fields: int = option(
        100, "Header fields of a request; more are answered 431.", group="Limits"
    )
    max_target_size: int = option(
        8192, "Bytes of a request target; more is answered 414.", group="Limits"
    )
    max_body_size: int = option(
        1024**3, "Bytes of a request body; more is answered 413.", group="Limits"
    )
    max_read_ahead: int = option(
        65536, "Bytes of a body held for an application that does not read.", group="Limits"
    )

    # Timeouts
    timeout_keep_alive: float = option(5.0, "Seconds an idle connection is kept.", group="Timeouts")
    timeout_first_byte: float = option(
        5.0, "Seconds from a connection to its first byte.", group="Timeouts"
    )
    timeout_head: float = option(
        10.0, "Seconds from the first to the last byte of a request head.", group="Timeouts"
    )
    timeout_body: float = option(
        30.0, "Seconds without a byte of an announced body.", group="Timeouts"
    )
    timeout_write: float = option(
        30.0, "Seconds without the client taking a byte of a response.", group="Timeouts"
    )
    min_rate: float = option(
        500.0, "Bytes a second that bodies and responses must move; 0 is off.", group="Timeouts"
    )
    timeout_graceful_shutdown: float = option(
        30.0, "Seconds that requests in progress have at shutdown.", group="Timeouts"
    )
    timeout_lifespan_startup: float = option(
        60.0, "Seconds the application has to start.", group="Timeouts"
    )
    timeout_lifespan_shutdown: float = option(
        30.0, "Seconds the application has to shut down.", group="Timeouts"
    )

    # Logging
    log_config: str | dict[str, Any] | None = option(
        None, "Logging configuration: a JSON file, or an ini file.", group="Logging"
    )
    log_level: LogLevel = option("info", "How much to log.", group="Logging")
    access_log: bool = option(True, "Log each request.", group="Logging")
    use_colors: bool | None = option(
        None, "Colour log lines [default: on a terminal].", group="Logging"
    )

    def __post_init__(self) -> None:
        """Check every value: settings also come from programs that mypy never saw."""
        _check_types(self)
        _at_least(self, 0, "port", "fd", "backlog", "limit_max_requests_jitter")
        _at_least(self, 1, "workers", "limit_concurrency", "limit_max_requests")
        _at_least(self, 1, "max_fields", "max_head_size", "max_target_size", "max_read_ahead")
        _at_least(self, 1, "ws_max_size", "ws_max_queue")
        _at_least(self, 0, "max_body_size", "min_rate", "disconnect_grace")
        _at_least(self, 0, "ws_ping_interval", "ws_ping_timeout")
        for each in dataclasses.fields(self):
            if each.name.startswith("timeout_"):
                _at_least(self, 0, each.name)
        if self.port > 65535:
            raise ConfigError(f"port must be from 0 to 65535, not {self.port}")
        if sum(place is not None for place in (self.uds, self.fd)) > 1:
            raise ConfigError("uds and fd cannot both be given: a server listens on one place")
        if self.root_path and not self.root_path.startswith("/"):
            raise ConfigError(f"root_path must start with '/', not {self.root_path!r}")
        self.root_path = self.root_path.rstrip("/")
        if self.env_file is not None and not Path(self.env_file).is_file():
            raise ConfigError(f"env_file: there is no file {self.env_file!r}")
        _check_networks(self.forwarded_allow_ips)
        self.response_fields()

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

    def timeouts(self) -> Timeouts:
        """Return how long peers may take."""
        return Timeouts(
            first_byte=self.timeout_first_byte,
            head=self.timeout_head,
            body_stall=self.timeout_body,
            write_stall=self.timeout_write,
            keep_alive=self.timeout_keep_alive,
            min_rate=self.min_rate,
        )

    def http1(self) -> Http1Limits:
        """Return how much peers may send."""
        return Http1Limits(
            max_head_size=self.max_head_size,
            max_fields=self.max_fields,
            max_target_size=min(self.max_target_size, self.max_head_size),
            max_body_size=self.max_body_size,
        )

    def websocket(self) -> WebSocketSettings:
        """Return how sockets are kept."""
        origins = [item.strip().encode() for item in (self.ws_allowed_origins or "").split(",")]
        return WebSocketSettings(
            enabled=self.ws != "none",
            ping_interval=self.ws_ping_interval or None,
            ping_timeout=self.ws_ping_timeout or None,
            drain_notice=self.timeout_ws_drain,
            deflate=self.ws_per_message_deflate,
            allowed_origins=tuple(origin for origin in origins if origin),
        )

    def response_fields(self) -> list[Field]:
        """Return the header fields that every response carries, save Date."""
        made = [field(b"server", b"tidegate")] if self.server_header else []
        for name, value in self.headers:
            try:
                one = field(name.strip().encode("latin-1"), value.strip().encode("latin-1"))
            except (AppError, UnicodeEncodeError) as error:
                raise ConfigError(f"header {name!r}: {error}") from None
            if one.role & (LENGTH | CODING | CONNECTION):
                raise ConfigError(f"header {name!r} is not the same for every response")
            made.append(one)
        if self.server_header and len([f for f in made if f.name.lower() == b"server"]) > 1:
            del made[0]  # the operator's own replaces ours
        return made


def _check_types(config: Config) -> None:
    hints = typing.get_type_hints(Config)
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if each.name in ("app", "headers", "log_config"):
            continue
        allowed = _alternatives(hints[each.name])
        if value is None and type(None) in allowed:
            continue
        kinds = tuple(kind for kind in allowed if isinstance(kind, type))
        choices = [choice for choice in allowed if isinstance(choice, str)]
        if choices and value not in choices:
            raise ConfigError(f"{each.name} must be one of {', '.join(choices)}, not {value!r}")
        if float in kinds and type(value) is int:
            continue
        if not choices and (type(value) not in kinds or value != value):
            names = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
            raise ConfigError(f"{each.name} must be {names}, not {value!r}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types, or the words of a ``Literal``, that a hint allows."""
    return typing.get_args(hint) or (hint,)


def _at_least(config: Config, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{name} must be at least {least}, not {value}")


def _check_networks(text: str) -> None:
    """Refuse what looks like an address or a network and is none."""
    for item in text.split(","):
        try:
            if "/" in item:
                ipaddress.ip_network(item.strip())
        except ValueError as error:
            raise ConfigError(f"forwarded_allow_ips: {error}") from None
