"""Where an exchange sends its response: what each protocol must offer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..http import Field

__all__ = ["NOWHERE", "Address", "Out", "WebSocketOut"]

Address = tuple[str, int | None]
"""Host and port, or the path of a Unix socket and None."""


class Out(Protocol):
    """The sending half of one request's stream, and the brake on its receiving half."""

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""

    @property
    def tls(self) -> Mapping[str, Any] | None:
        """What the ASGI TLS extension says; None without TLS."""

    @property
    def client(self) -> Address | None:
        """The peer's address."""

    @property
    def server(self) -> Address | None:
        """Ours."""

    @property
    def trusted(self) -> bool:
        """Whether the peer is a proxy whose word we take."""

    @property
    def basis(self) -> dict[str, Any] | None:
        """What ``scope.basis_of`` said, once a request has come; None where it is not kept."""

    @property
    def congested(self) -> bool:
        """True while the peer takes less than we send; ``may_write`` says when it ends.

        True too while a file is on its way; ``file_sent`` says when that ends.
        """

    @property
    def sends_files(self) -> bool:
        """Whether ``file`` may be called."""

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        """Send the head and the first content.

        ``length`` is the length of all the content, None if unknown, or
        ``http.NO_BODY``; ``ended`` says that the response is complete.
        """

    def send_body(self, data: bytes, ended: bool) -> None:
        """Send more content; ``data`` may be empty when ``ended``."""

    def file(self, descriptor: int, offset: int, size: int, ended: bool) -> None:
        """Send ``size`` bytes, at least one, of an open file as content.

        Takes over the descriptor and closes it.  Calls ``file_sent`` of the
        exchange when they are out; nothing else may be sent before.
        """

    def informational(self, status: int, fields: Sequence[Field]) -> None:
        """Send a response before the final one (RFC 9110 section 15.2)."""

    def trailers(self, fields: Sequence[Field]) -> None:
        """End the response, with fields after its content where the protocol has a place for them.

        Called in place of the ``send_body`` that would have ended it.
        """

    def want_body(self) -> None:
        """The application waits for content: tell a client that holds it back."""

    def pause_reading(self) -> None:
        """The application does not keep up: receive no more content."""

    def resume_reading(self) -> None:
        """The application caught up."""

    def abort(self) -> None:
        """Give up in the middle of a response, so that the client cannot take it for whole."""


class WebSocketOut(Out, Protocol):
    """The sending half of a socket; ``respond`` and ``send_body`` serve to refuse it."""

    def accept(self, subprotocol: str | None, fields: Sequence[Field]) -> None:
        """Complete the handshake."""

    def send_message(self, message: str | bytes) -> None:
        """Send one message; ``str`` as text."""

    def close(self, code: int, reason: str) -> None:
        """Begin, or answer, the closing handshake."""


class _Nowhere:
    """Where an exchange sends that has outlived its connection: it is not congested."""

    scheme = "http"
    tls = None
    client = server = basis = None
    trusted = congested = sends_files = False

    def respond(
        self,
        status: int,
        fields: Sequence[Field],
        roles: int,
        length: int | None,
        body: bytes,
        ended: bool,
    ) -> None:
        """Drop it."""

    def send_body(self, data: bytes, ended: bool) -> None:
        """Drop it."""

    def file(self, descriptor: int, offset: int, size: int, ended: bool) -> None:
        """Drop it."""
        os.close(descriptor)

    def informational(self, status: int, fields: Sequence[Field]) -> None:
        """Drop it."""

    def trailers(self, fields: Sequence[Field]) -> None:
        """Drop them."""

    def want_body(self) -> None:
        """There is none."""

    def pause_reading(self) -> None:
        """Nobody sends."""

    def resume_reading(self) -> None:
        """Nobody sends."""

    def abort(self) -> None:
        """It is over."""

    def accept(self, subprotocol: str | None, fields: Sequence[Field]) -> None:
        """Drop it."""

    def send_message(self, message: str | bytes) -> None:
        """Drop it."""

    def close(self, code: int, reason: str) -> None:
        """It is closed."""


NOWHERE: WebSocketOut = _Nowhere()
