"""HTTP/3 beside the rest of a server.  Imported only where it is spoken."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..http import field
from ..net.certificates import Certificates
from ..net.datagrams import DatagramEndpoint, Identities
from ..net.relay import Relay
from ..net.worker import Worker

if TYPE_CHECKING:
    from .config import Config
    from .doors import Udp

__all__ = ["Http3"]

logger = logging.getLogger("tidegate.error")

# How long clients may remember that there is HTTP/3, in seconds.
_REMEMBERED = 86400


class Http3:
    """The UDP sockets of one worker; ``start`` it in a running loop."""

    def __init__(
        self,
        config: Config,
        certificates: Certificates,
        udp: Udp,
    ) -> None:
        """Raise ``ConfigError`` if the certificates are no good for it."""
        self._sockets, self._folder = udp
        self._identities = Identities(certificates)
        port = config.http3_port or udp.sockets[0].getsockname()[1]
        # RFC 7838 section 3; the host is the one that was asked.
        self._said = field(b"alt-svc", b'h3=":%d"; ma=%d' % (port, _REMEMBERED))
        self._relay: Relay | None = None  # None before start, or if there are no others
        self._endpoints: list[DatagramEndpoint] = []  # empty before start

    def start(self, worker: Worker) -> None:
        """Serve, and tell clients of it, from now on."""
        if self._folder is not None:
            self._relay = _relay(self._folder)
        for place, each in enumerate(self._sockets):
            endpoint = DatagramEndpoint(worker, each, self._identities, self._relay, place)
            self._endpoints.append(endpoint)
            endpoint.start()
        if self._relay is not None:
            self._relay.start(worker.service.loop, self._take)
        worker.clock.add_field(self._said)

    def stop_accepting(self) -> None:
        """Begin no new connection."""
        for endpoint in self._endpoints:
            endpoint.accepts = False
        if self._relay is not None:
            self._relay.leave_to_others()

    def close(self) -> None:
        """All is over."""
        for endpoint in self._endpoints:
            endpoint.close()
        if self._relay is not None:
            self._relay.close()
        for each in self._sockets:
            each.close()

    def _take(self, place: int, data: bytes, address: Any) -> None:
        if place < len(self._endpoints):
            self._endpoints[place].passed_on(data, address)


def _relay(folder: Path) -> Relay | None:
    try:
        return Relay(folder)
    except OSError as error:
        logger.warning("HTTP/3 goes on without the way to other workers: %s: %s", folder, error)
        return None
