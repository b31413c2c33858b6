"""What begins when somebody connects?  A factory of connections for every listener."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..net.certificates import Certificates
from ..net.http1 import Http1Connection
from ..net.proxied import ProxiedConnection
from ..net.tls import Handshake
from ..net.worker import Worker
from .redirect import apart, in_clear

if TYPE_CHECKING:
    from .config import Config

__all__ = ["doors"]

Make = Callable[[], asyncio.Protocol]


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
