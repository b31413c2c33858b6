"""What is said in HTTP and WebSocket beyond the application."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from ...errors import AppError, ConfigError
from ...exchange.forwarded import BELIEVED, FIELDS, Proxies
from ...exchange.service import OnDisconnect
from ...http import CODING, CONNECTION, LENGTH, Field, field
from ...net.worker import WebSocketSettings
from ..options import did_you_mean, option

__all__ = ["HttpSettings", "SocketSettings"]


@dataclasses.dataclass(kw_only=True)
class HttpSettings:
    """HTTP, whatever its version."""

    http2: bool = option(
        True, "Speak HTTP/2 with clients that choose it, over TLS and without.", group="HTTP"
    )
    http3: bool = option(
        False, "Speak HTTP/3 too: UDP on the port of TLS, and Alt-Svc to say so.", group="HTTP"
    )
    http3_port: int | None = option(
        None,
        "Port of HTTP/3 that clients are told of [default: where it is listened on].",
        group="HTTP",
        least=1,
        most=65535,
    )
    proxy_headers: bool = option(
        True, "Believe the headers of trusted peers about their clients.", group="HTTP"
    )
    forwarded_headers: str = option(
        ",".join(BELIEVED),
        "Which: all that your proxy sets itself of " + ", ".join(FIELDS) + ".",
        group="HTTP",
    )
    proxy_protocol: bool = option(
        False, "Take connections from trusted peers only, each with a PROXY header.", group="HTTP"
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

    def proxies(self) -> Proxies:
        """Return whose word is taken about clients, and in which headers."""
        named = self.forwarded_headers.lower().split(",") if self.proxy_headers else []
        believed = [name.strip() for name in named if name.strip()]
        for name in believed:
            if name not in FIELDS:
                near = did_you_mean(name, FIELDS)
                raise ConfigError(
                    f"forwarded_headers: {name!r} is none of {', '.join(FIELDS)}{near}"
                )
        return Proxies(self.forwarded_allow_ips.split(","), believed)

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


@dataclasses.dataclass(kw_only=True)
class SocketSettings:
    """WebSocket."""

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
