"""How much of everything one WebSocket peer may send."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WebSocketLimits"]


@dataclass(slots=True)
class WebSocketLimits:
    """Bounds checked before the work they would cause; sizes are bytes."""

    max_message_size: int = 16 * 1024 * 1024
    """One message, decompressed; more closes with 1009."""

    max_empty_fragments: int = 128
    """Fragments of one message that carry nothing; more close with 1008."""

    max_control_frames: int = 256
    """Pings and pongs between two calls of ``tick``; more close with 1008."""

    max_turn_size: int = 1024 * 1024
    """Content read before others have their turn; each frame counts as 16 KiB more."""
