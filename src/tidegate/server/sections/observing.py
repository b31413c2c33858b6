"""How the server is watched from outside."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from ..options import option

__all__ = ["ObservingSettings"]

_PLACE = re.compile(r"(?:(?P<host>[^\[\]:]+)|\[(?P<address>[^\[\]]+)\]|):(?P<port>\d{1,5})")


@dataclasses.dataclass(kw_only=True)
class ObservingSettings:
    """Metrics and control."""

    metrics_path: str | None = option(
        None, "Serve metrics for Prometheus at this path, to everybody.", group="Metrics"
    )
    metrics_bind: str | None = option(
        None,
        "Serve metrics at HOST:PORT, path /metrics, apart from the application.",
        group="Metrics",
    )
    control_socket: str | None = option(
        None,
        "Answer tidegate top and tidegate ctl of the same user on this Unix socket.",
        group="Metrics",
        path=True,
    )

    def observes(self) -> bool:
        """Say whether anybody wants figures: otherwise nothing is counted."""
        return any((self.metrics_path, self.metrics_bind, self.control_socket))

    def metrics_place(self) -> tuple[str, int] | None:
        """Return host and port of the listener for metrics; None if there is to be none."""
        if self.metrics_bind is None:
            return None
        found = _PLACE.fullmatch(self.metrics_bind)
        if found is None or int(found["port"]) > 65535:
            return None
        return found["host"] or found["address"] or "127.0.0.1", int(found["port"])

    def observing_complaints(self) -> Iterator[tuple[str, str]]:
        """Yield option and text for what cannot be used."""
        if self.metrics_path is not None and not self.metrics_path.startswith("/"):
            yield "metrics_path", f"metrics_path must start with '/', not {self.metrics_path!r}"
        if self.metrics_bind is not None and self.metrics_place() is None:
            yield "metrics_bind", f"metrics_bind must be HOST:PORT, not {self.metrics_bind!r}"
