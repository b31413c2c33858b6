"""How the server leaves: who hears of it, and what time is left to whom."""

from __future__ import annotations

import dataclasses

from ..options import option

__all__ = ["ShutdownSettings"]


@dataclasses.dataclass(kw_only=True)
class ShutdownSettings:
    """Seconds, and the paths that say whether we can be asked."""

    health_path: str | None = option(
        None, "Answer 200 at this path while the server lives.", group="Shutdown"
    )
    ready_path: str | None = option(
        None, "Answer 200 at this path, and 503 once the server is to stop.", group="Shutdown"
    )
    drain_delay: float = option(
        0.0, "Seconds to go on serving, not ready, when told to stop.", group="Shutdown", least=0
    )
    drain_linger: float = option(
        2.0,
        "Seconds that an idle connection may still ask something at shutdown.",
        group="Shutdown",
        least=0,
    )
    timeout_stream_drain: float = option(
        5.0,
        "Seconds that streams, responses of no known length, have at shutdown.",
        group="Shutdown",
        least=0,
    )

    def shutdown_complaints(self) -> list[tuple[str, str]]:
        """Return name and complaint for what is no path."""
        paths = {"health_path": self.health_path, "ready_path": self.ready_path}
        return [
            (name, f"{name} must be a path, such as '/{name[:-5]}', not {path!r}")
            for name, path in paths.items()
            if path is not None and (not path.startswith("/") or "?" in path)
        ]
