"""A connection that a proxy passes on: first it says whose it is (PROXY protocol).

Only listed peers may speak, and they must: what anybody else says of itself
would be believed, and a proxy that forgets its header would make its clients
look like itself.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol, cast

from ..errors import BadRequest
from ..exchange.certificate import common_name, subject
from ..exchange.forwarded import TERMINATED, client_certificate
from ..exchange.out import Address
from ..wire.proxy import ClientTls, ProxyHeader, read_proxy_header
from .certificates import VERSIONS, suites
from .worker import Worker

__all__ = ["ProxiedConnection", "Successor", "client_tls"]


class Successor(Protocol):
    """What begins after the header, besides a protocol of asyncio."""

    def introduce(self, header: ProxyHeader) -> None:
        """Take note of whom the proxy speaks for; called right after ``connection_made``."""


class ProxiedConnection(asyncio.Protocol):
    """A connection until the header is read; then it hands over to what ``make`` returns."""

    def __init__(self, worker: Worker, make: Callable[[], asyncio.Protocol]) -> None:
        self._worker = worker
        self._make = make
        self._data = b""
        self.transport: asyncio.Transport | None = None  # None until connected
        self.client: Address | None = None  # not known yet
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header, if the peer may send one."""
        worker = self._worker
        self.transport = cast(asyncio.Transport, transport)
        # A proxy sends it at once.
        self.deadline = worker.clock.now + worker.timeouts.first_byte
        worker.connections.add(self)
        worker.clock.watched.add(self)
        if not worker.service.policy.proxies.trusts(self._host()):
            self._refuse("not listed in --forwarded-allow-ips, so no PROXY header is taken")

    def data_received(self, data: bytes) -> None:
        """Read the header as soon as it is complete."""
        self._data += data
        try:
            found = read_proxy_header(self._data)
        except BadRequest as error:
            self._refuse(error.reason)
            return
        if found is not None and self.transport is not None:
            header, size = found
            self._hand_over(self.transport, header, self._data[size:])

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone before anything began."""
        self._let_go()

    def on_deadline(self, now: float) -> None:
        """The proxy takes too long."""
        self._refuse("the PROXY header took too long")

    def drain(self) -> None:
        """Close: nothing has been asked."""
        self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._let_go()
        if self.transport is not None:
            self.transport.abort()

    def _hand_over(self, transport: asyncio.Transport, header: ProxyHeader, rest: bytes) -> None:
        self._let_go()
        made = self._make()
        transport.set_protocol(made)
        made.connection_made(transport)
        cast(Successor, made).introduce(header)
        if rest:
            made.data_received(rest)

    def _let_go(self) -> None:
        worker = self._worker
        worker.connections.discard(self)
        worker.clock.watched.discard(self)
        worker.service.on_change()

    def _host(self) -> str | None:
        name = self.transport.get_extra_info("peername") if self.transport else None
        return str(name[0]) if isinstance(name, tuple) else None

    def _refuse(self, reason: str) -> None:
        self._worker.service.complain(self._host(), reason)
        self.abort()


def client_tls(said: ClientTls) -> dict[str, Any]:
    """Return what a proxy says of its client's TLS as the ASGI TLS extension has it."""
    return {
        **TERMINATED,
        **_shown(said),
        "tls_version": VERSIONS.get(said.version),
        "cipher_suite": _suites().get(said.cipher),
    }


def _shown(said: ClientTls) -> dict[str, Any]:
    if said.error:
        # Neither name nor chain: who does not look for an error must not take it for good.
        return client_certificate((), "", f"X509_V_ERR {said.error}")
    if said.certificate:
        try:
            return client_certificate([said.certificate], subject(said.certificate))
        except ValueError:
            return client_certificate(())
    return client_certificate((), common_name(said.common_name) if said.common_name else "")


@cache
def _suites() -> Mapping[str, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL")
    return suites(context)
