"""What only a developer wants."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..options import option

__all__ = ["DevelopmentSettings"]


@dataclasses.dataclass(kw_only=True)
class DevelopmentSettings:
    """Restart when files change."""

    reload: bool = option(False, "Restart when files change; one worker.", group="Development")
    reload_dirs: Sequence[str] = option(
        [], "Watch this folder [default: here].", group="Development", flag="reload-dir", path=True
    )
    reload_includes: Sequence[str] = option(
        [],
        "Files that count too: '*.html', or a folder [Python files always do].",
        group="Development",
        flag="reload-include",
    )
    reload_excludes: Sequence[str] = option(
        [], "Files or folders that do not count.", group="Development", flag="reload-exclude"
    )
    reload_delay: float = option(
        0.05, "Seconds without a further change before the restart.", group="Development", least=0
    )
    live_reload: bool = option(
        False, "With --reload: pages in the browser load again too.", group="Development"
    )
