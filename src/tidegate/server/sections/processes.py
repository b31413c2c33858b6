"""How many processes serve, who watches them, and when they are replaced."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from ...errors import ConfigError
from ..accounts import gid_of, uid_of
from ..options import option

__all__ = ["ProcessSettings"]


@dataclasses.dataclass(kw_only=True)
class ProcessSettings:
    """Workers and their supervisor."""

    workers: int = option(
        1,
        "Worker processes [also: WEB_CONCURRENCY].",
        group="Processes",
        env="WEB_CONCURRENCY",
        least=1,
    )
    supervise: bool = option(
        False,
        "Supervise a single worker too: SIGHUP reloads it, and its replacement is ready first.",
        group="Processes",
    )
    preload: bool = option(
        False,
        "Import the application once and fork workers from there; SIGHUP keeps the code.",
        group="Processes",
    )
    timeout_worker_healthcheck: float = option(
        30.0,
        "Seconds an event loop may be blocked before its worker is replaced; 0 never.",
        group="Processes",
        least=0,
    )
    max_worker_age: float | None = option(
        None, "Replace a worker after this many seconds, and up to a tenth more.", group="Processes"
    )
    max_worker_memory: int | None = option(
        None, "Replace a worker that holds more bytes of memory.", group="Processes", least=1
    )
    pid: str | None = option(
        None, "Write the process number here.", group="Processes", path=True, also="pidfile"
    )
    user: str | None = option(None, "Workers run as this user.", group="Processes")
    group: str | None = option(None, "Workers run as this group.", group="Processes")
    umask: str | None = option(
        None, "What workers may not give others: three octal digits.", group="Processes"
    )

    def process_complaints(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with users, groups and masks."""
        for option_name, name, number in (
            ("user", self.user, uid_of),
            ("group", self.group, gid_of),
        ):
            try:
                if name is not None:
                    number(name)
            except ConfigError as error:
                yield option_name, f"{option_name}: {error}"
        if self.umask is not None and not re.fullmatch("0?[0-7]{3}", self.umask):
            yield "umask", f"umask must be three octal digits such as '027', not {self.umask!r}"
