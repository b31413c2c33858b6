"""How long a peer may take for everything."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rate", "Timeouts"]


@dataclass(slots=True)
class Timeouts:
    """Seconds, but for the rate; THREATS.md says which attack each answers."""

    tls_handshake: float = 10.0
    """From the connection to the end of the TLS handshake, however it trickles."""

    first_byte: float = 5.0
    """From the connection, or from the end of the TLS handshake, to the first byte."""

    head: float = 10.0
    """From the first byte of a head to its end, however it trickles."""

    body_stall: float = 30.0
    """Without any byte of an announced body."""

    write_stall: float = 30.0
    """Without the peer taking any byte of a response."""

    keep_alive: float = 5.0
    """Between two requests."""

    linger: float = 2.0
    """For the peer to read our last answer before the connection is gone."""

    min_rate: float = 500.0
    """Bytes per second, on average, that a body or a response must move; 0 is off."""

    min_rate_grace: float = 10.0
    """How long the average may be worse."""


class Rate:
    """Does the peer move bytes fast enough?  Counts from its creation or ``restart``."""

    __slots__ = ("_grace", "_last", "_minimum", "_moved", "_since", "_stall")

    def __init__(self, timeouts: Timeouts, stall: float) -> None:
        self._minimum = timeouts.min_rate
        self._grace = timeouts.min_rate_grace
        self._stall = stall
        self.restart(0.0)

    def restart(self, now: float) -> None:
        """Forget what was; the time until now was not the peer's fault."""
        self._since = self._last = now
        self._moved = 0

    def add(self, size: int, now: float) -> None:
        """``size`` bytes moved."""
        if size > 0:
            self._moved += size
            self._last = now

    def too_slow(self, now: float) -> str | None:
        """Return what is wrong, or None."""
        if now - self._last >= self._stall:
            return f"no byte for {self._stall:g} s"
        elapsed = now - self._since
        if elapsed >= self._grace and self._moved < self._minimum * elapsed:
            return f"fewer than {self._minimum:g} bytes a second"
        return None
