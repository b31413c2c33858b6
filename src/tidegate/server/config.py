"""Every setting of the server: one field, one option, one line of documentation.

The command line, the reference, and what a configuration file may say are
generated from these fields, so a name, a default, bounds and a help text stand
here once.  Names are uvicorn's where it has the option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

from ..asgi import Application
from ..errors import AppError, ConfigError
from ..exchange.forwarded import Proxies
from ..exchange.lifespan import LifespanMode
from ..exchange.service import OnDisconnect, Policy
from ..http import CODING, CONNECTION, LENGTH, Field, field
from ..net.timeouts import Timeouts
from ..net.worker import WebSocketSettings
from ..wire.http1.limits import Http1Limits
from .checks import BadSettings, complaints
from .options import option
from .tls import CERT_REQS

__all__ = ["Config", "PoolConfig"]

# listen() takes a C int.
MAX_BACKLOG = 2**31 - 1

LogLevel = Literal["critical", "error", "warning", "info", "debug", "trace"]

_OTHER_LEVELS = {level.upper(): level for level in get_args(LogLevel)} | {"warn": "warning"}


@dataclasses.dataclass(kw_only=True)
class PoolConfig:
    """One named pool for blocking work: where it runs, how much at once, how much waits."""

    backend: str = option("thread", "Where the work runs.")
    workers: int = option(8, "Threads or processes.", least=1)
    max_queue: int = option(1000, "Calls that may wait.", least=0)


@dataclasses.dataclass(kw_only=True)
class Config:
    """The settings of one server.  ``app`` is an application or ``"module:attribute"``.

    Raises ``ConfigError`` for a value that cannot be used.
    """

    app: Application | str = dataclasses.field(kw_only=False)

    # Application
    factory: bool = option(False, "The target is a function that returns the application.")
    app_dir: str = option(
        "", "Look for the module here first [default: the current folder].", path=True
    )
    interface: Literal["auto", "asgi3", "asgi2", "wsgi"] = option(
        "auto", "How to call the application; auto looks at it."
    )
    mounts: dict[str, str] = option(
        {}, "Serve another target below a path: '/old=wsgi:shop.wsgi:application'.", flag="mount"
    )
    lifespan: LifespanMode = option(
        "auto", "Startup and shutdown events: auto, on (required) or off."
    )
    env_file: str | None = option(
        None, "Read environment variables for the application from here.", path=True
    )
    root_path: str = option("", "Mount point of the application, as behind a proxy.")
    root_path_mode: Literal["strip", "keep"] = option(
        "strip", "Whether the proxy strips the root path from what it passes on, or keeps it."
    )
    reset_contextvars: bool = option(
        True, "Accepted for uvicorn's sake: every request has a fresh context."
    )

    # Listening
    host: str = option("127.0.0.1", "Address or name to listen on.", group="Listening")
    port: int = option(
        8000, "Port to listen on; 0 picks a free one.", group="Listening", least=0, most=65535
    )
    uds: str | None = option(
        None, "Listen on this Unix socket instead.", group="Listening", path=True
    )
    fd: int | None = option(
        None, "Listen on this inherited file descriptor instead.", group="Listening", least=0
    )
    backlog: int = option(
        2048,
        "Connections the kernel may hold for us.",
        group="Listening",
        least=0,
        most=MAX_BACKLOG,
    )
    workers: int = option(
        1,
        "Worker processes [also: WEB_CONCURRENCY].",
        group="Listening",
        env="WEB_CONCURRENCY",
        least=1,
    )
    loop: Literal["auto", "asyncio", "uvloop"] = option(
        "auto",
        "Event loop; auto is uvloop where it exists.",
        group="Listening",
        instead={"none": "asyncio", "zuvloop": "auto"},
    )

    # TLS
    ssl_certfile: str | None = option(
        None, "Speak TLS, with the certificate chain in this PEM file.", group="TLS", path=True
    )
    ssl_keyfile: str | None = option(
        None, "Its private key, PEM [default: in the same file].", group="TLS", path=True
    )
    ssl_keyfile_password: str | None = option(
        None, "Password of the keys; the list of processes shows it.", group="TLS", secret=True
    )
    ssl_keyfile_password_file: str | None = option(
        None, "Read the password of the keys from this file.", group="TLS", path=True
    )
    ssl_sni_certs: dict[str, str] = option(
        {},
        "Another pair of files, for clients that ask for this name, or '*.name'.",
        group="TLS",
        flag="ssl-sni-cert",
        path=True,
    )
    ssl_ca_certs: str | None = option(
        None, "Who may sign the certificates of clients: a PEM file.", group="TLS", path=True
    )
    ssl_cert_reqs: Literal["none", "optional", "required"] = option(
        "none", "Whether clients show a certificate.", group="TLS", instead=CERT_REQS
    )
    ssl_ciphers: str | None = option(
        None, "Ciphers of TLS 1.2 [default: only with forward secrecy, and AEAD].", group="TLS"
    )

    # WSGI
    threads: int = option(16, "Threads for a WSGI application.", group="WSGI", least=1)
    threads_queue: int = option(
        1000, "Requests that may wait for a thread; more are answered 503.", group="WSGI", least=0
    )
    wsgi_chunked: Literal["auto", "stream", "spool"] = option(
        "auto",
        "Bodies without a length: stream, spool (the length is known then), or by framework.",
        group="WSGI",
    )

    # Guard
    guard: bool = option(True, "Watch for calls that block the event loop.", group="Guard")
    guard_threshold: float = option(
        0.1,
        "Seconds the event loop may be blocked before it is reported.",
        group="Guard",
        least=0.001,
    )
    guard_sites: bool = option(
        False, "Also watch the calls that are known to block, and name their lines.", group="Guard"
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
        3.0, "Seconds before the stream of a client that left is cancelled.", group="HTTP", least=0
    )

    # WebSocket
    ws: Literal["auto", "none"] = option(
        "auto",
        "Speak WebSocket, or ignore requests for it.",
        group="WebSocket",
        instead=dict.fromkeys(("websockets", "websockets-sansio", "wsproto"), "auto"),
    )
    ws_max_size: int = option(
        16 * 1024**2, "Bytes of a message; more closes with 1009.", group="WebSocket", least=1
    )
    ws_max_queue: int = option(
        32, "Messages held for an application that does not receive.", group="WebSocket", least=1
    )
    ws_ping_interval: float = option(
        20.0, "Seconds between pings; 0 sends none.", group="WebSocket", least=0
    )
    ws_ping_timeout: float = option(
        20.0, "Seconds to wait for a pong before the socket is closed.", group="WebSocket", least=0
    )
    ws_per_message_deflate: bool = option(
        True, "Compress messages if the client offers it.", group="WebSocket", valued=True
    )
    ws_allowed_origins: str | None = option(
        None,
        "Origins that browsers may connect from, with commas [default: any].",
        group="WebSocket",
    )
    timeout_ws_drain: float = option(
        5.0, "Seconds for the last words of sockets at shutdown.", group="WebSocket", least=0
    )

    # Development
    reload: bool = option(False, "Restart when files change; one worker.", group="Development")
    reload_dirs: Sequence[str] = option(
        [], "Watch this folder [default: here].", group="Development", flag="reload-dir", path=True
    )
    reload_includes: Sequence[str] = option(
        [],
        "Files that count too: '*.html', or a folder [Python files always do].",
        group="Development",
        flag="reload-include",
    )
    reload_excludes: Sequence[str] = option(
        [], "Files or folders that do not count.", group="Development", flag="reload-exclude"
    )
    reload_delay: float = option(
        0.05, "Seconds without a further change before the restart.", group="Development", least=0
    )
    live_reload: bool = option(
        False, "With --reload: pages in the browser load again too.", group="Development"
    )

    # Limits
    limit_concurrency: int | None = option(
        None, "Answer 503 to more requests at once than this.", group="Limits", least=1
    )
    limit_max_requests: int | None = option(
        None, "Stop after this many requests.", group="Limits", least=1
    )
    limit_max_requests_jitter: int = option(
        0,
        "Add up to this many requests, at random, to --limit-max-requests.",
        group="Limits",
        least=0,
    )
    max_head_size: int = option(
        65536,
        "Bytes of a request head; more is answered 431.",
        group="Limits",
        also="h11-max-incomplete-event-size",
        least=1,
    )
    max_fields: int = option(
        100, "Header fields of a request; more are answered 431.", group="Limits", least=1
    )
    max_target_size: int = option(
        8192, "Bytes of a request target; more is answered 414.", group="Limits", least=1
    )
    max_body_size: int = option(
        1024**3, "Bytes of a request body; more is answered 413.", group="Limits", least=0
    )
    max_read_ahead: int = option(
        65536,
        "Bytes of a body held for an application that does not read.",
        group="Limits",
        least=1,
    )

    # Timeouts
    timeout_keep_alive: float = option(
        5.0, "Seconds an idle connection is kept.", group="Timeouts", least=0
    )
    timeout_tls_handshake: float = option(
        10.0, "Seconds for the whole TLS handshake.", group="Timeouts", least=0
    )
    timeout_first_byte: float = option(
        5.0, "Seconds from a connection to its first byte.", group="Timeouts", least=0
    )
    timeout_head: float = option(
        10.0,
        "Seconds from the first to the last byte of a request head.",
        group="Timeouts",
        least=0,
    )
    timeout_body: float = option(
        30.0, "Seconds without a byte of an announced body.", group="Timeouts", least=0
    )
    timeout_write: float = option(
        30.0, "Seconds without the client taking a byte of a response.", group="Timeouts", least=0
    )
    min_rate: float = option(
        500.0,
        "Bytes a second that bodies and responses must move; 0 is off.",
        group="Timeouts",
        least=0,
    )
    timeout_graceful_shutdown: float = option(
        30.0, "Seconds that requests in progress have at shutdown.", group="Timeouts", least=0
    )
    timeout_lifespan_startup: float = option(
        60.0, "Seconds the application has to start.", group="Timeouts", least=0
    )
    timeout_lifespan_shutdown: float = option(
        30.0, "Seconds the application has to shut down.", group="Timeouts", least=0
    )

    # Logging
    log_config: str | dict[str, Any] | None = option(
        None, "Logging configuration: a JSON file, or an ini file.", group="Logging", path=True
    )
    log_level: LogLevel = option("info", "How much to log.", group="Logging", instead=_OTHER_LEVELS)
    access_log: bool = option(True, "Log each request.", group="Logging")
    use_colors: bool | None = option(
        None, "Colour log lines [default: on a terminal].", group="Logging"
    )

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

    def timeouts(self) -> Timeouts:
        """Return how long peers may take."""
        return Timeouts(
            tls_handshake=self.timeout_tls_handshake,
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

    def sends_date(self) -> bool:
        """Say whether responses carry our Date: the operator's own replaces it."""
        return self.date_header and all(name.strip().lower() != "date" for name, _ in self.headers)

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
