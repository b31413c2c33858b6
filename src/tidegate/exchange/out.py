"""Where an exchange sends its response: what each protocol must offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..http import Field

__all__ = ["Address", "Out"]

Address = tuple[str, int | None]
"""Host and port, or the path of a Unix socket and None."""


class Out(Protocol):
    """The sending half of one request's stream, and the brake on its receiving half."""

    scheme: str
    client: Address | None
    server: Address | None
    trusted: bool  # whether the peer is a proxy whose word we take
    # True while the peer takes less than we send; may_write() says when it ends.
    congested: bool

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

    def want_body(self) -> None:
        """The application waits for content: tell a client that holds it back."""

    def pause_reading(self) -> None:
        """The application does not keep up: receive no more content."""

    def resume_reading(self) -> None:
        """The application caught up."""

    def abort(self) -> None:
        """Give up in the middle of a response, so that the client cannot take it for whole."""
