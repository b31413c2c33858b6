"""What begins when somebody connects?  A factory of connections for every listener."""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from ..net.certificates import Certificates
from ..net.http1 import Http1Connection
from ..net.proxied import ProxiedConnection
from ..net.tls import Handshake
from ..net.worker import Worker
from .redirect import apart, in_clear

if TYPE_CHECKING:
    from .config import Config
    from .http3 import Http3

__all__ = ["Udp", "doors", "http3"]

Make = Callable[[], asyncio.Protocol]


class Udp(NamedTuple):
    """The UDP sockets of a process, and where others are found that share their place."""

    sockets: list[socket.socket]
    relays: Path | None = None


def http3(config: Config, certificates: Certificates | None, udp: Udp) -> Http3 | None:
    """Return what serves HTTP/3; None if it is not spoken.  Raises ``ConfigError``."""
    if not udp.sockets or certificates is None:
        return None
    # Not imported by whoever does without.
    module = importlib.import_module(".http3", __package__)
    return cast("Http3", module.Http3(config, certificates, udp))


def doors(
    config: Config,
    worker: Worker,
    certificates: Certificates | None,
    listeners: Sequence[socket.socket],
) -> Iterator[tuple[socket.socket, Make]]:
    """Yield each listener and what makes its connections."""
    own, clear = apart(config, listeners)
    make: Make = partial(Http1Connection, worker)
    if certificates is not None:
        make = partial(Handshake, worker, certificates)
    for one in own:
        yield one, _proxied(config, worker, make)
    for one in clear:
        other = in_clear(config, worker, own[0])
        yield one, _proxied(config, other, partial(Http1Connection, other))


def _proxied(config: Config, worker: Worker, make: Make) -> Make:
    return partial(ProxiedConnection, worker, make) if config.proxy_protocol else make
