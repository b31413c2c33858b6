"""What is logged, and how."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from ..options import option

__all__ = ["LoggingSettings"]


LogLevel = Literal["critical", "error", "warning", "info", "debug", "trace"]

_OTHER_LEVELS = {level.upper(): level for level in get_args(LogLevel)} | {"warn": "warning"}


@dataclasses.dataclass(kw_only=True)
class LoggingSettings:
    """Logging."""

    log_config: str | dict[str, Any] | None = option(
        None, "Logging configuration: a JSON file, or an ini file.", group="Logging", path=True
    )
    log_level: LogLevel = option("info", "How much to log.", group="Logging", instead=_OTHER_LEVELS)
    access_log: bool = option(True, "Log each request.", group="Logging")
    use_colors: bool | None = option(
        None, "Colour log lines [default: on a terminal].", group="Logging"
    )
