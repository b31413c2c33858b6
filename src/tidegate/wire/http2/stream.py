"""One stream of an HTTP/2 connection: its state, its windows, what waits to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ...http import Defaults, Field

__all__ = ["ResponseHead", "Stream"]

ResponseHead: TypeAlias = tuple[int, Sequence[Field], int, int | None, Defaults]
"""Status, fields, the union of their roles, length of the content, the server's own fields."""


class Stream:
    """A request and its response, as far as frames and windows go.

    Idle streams are nowhere; a closed one is ``closed`` and forgotten by the
    core.  In between ``remote_ended`` and ``local_ended`` say which half is
    closed (RFC 9113 section 5.1).
    """

    __slots__ = (
        *("_cut", "closed", "congested", "expected", "held", "id", "incremental", "local_ended"),
        *("pending", "pending_end", "pending_head", "pending_size", "pending_trailers"),
        *("receive_window", "received", "remote_ended", "send_window", "sent", "tunnel", "turn"),
        *("unpaid", "urgency", "withheld"),
    )  # fmt: skip

    def __init__(self, number: int, send_window: int, receive_window: int) -> None:
        self.id = number
        self.closed = False
        # Receiving.
        self.remote_ended = False
        self.expected = -1  # content still to come; negative if not announced
        self.received = 0  # content so far
        self.receive_window = receive_window  # what the peer may still send
        self.unpaid = 0  # taken, and not yet given back to the peer's window
        self.held = False  # what arrives is not taken for now
        self.withheld = 0  # what has arrived since
        # Sending.
        self.local_ended = False  # the core was given all there is
        self.tunnel = False  # our end does not end the peer's half
        self.send_window = send_window
        self.congested = False  # the peer takes less than it is sent
        self.sent = 0  # content so far
        self.pending_head: ResponseHead | None = None
        self.pending: list[bytes] = []  # content that waits for the peer
        self._cut = 0  # bytes of the first piece that are sent
        self.pending_size = 0
        self.pending_end = False  # the end of the response waits behind it
        self.pending_trailers: Sequence[Field] | None = None  # None unless they are to be sent
        # RFC 9218 section 4.
        self.urgency = 3
        self.incremental = False
        self.turn = 0  # when it last sent a frame, as a count

    @property
    def waiting(self) -> bool:
        """Whether something of the response waits to be sent."""
        return self.pending_end or self.pending_size > 0 or self.pending_head is not None

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes of what waits, of which there must be as many."""
        self.pending_size -= size
        pieces: list[bytes] = []
        while size:
            piece, start = self.pending[0], self._cut
            if len(piece) - start > size:
                # Not to shorten the piece: for every frame that would be quadratic.
                self._cut = start + size
                pieces.append(piece[start : self._cut])
                break
            pieces.append(piece[start:] if start else piece)
            size -= len(piece) - start
            self._cut = 0
            del self.pending[0]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def forget(self) -> None:
        """Drop what waits."""
        self.pending.clear()
        self.pending_size = 0
        self.pending_end = False
        self.pending_head = self.pending_trailers = None
