"""Log lines that a person can read."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .colours import coloured
from .config import Config
from .uvicorn_logs import adapted, is_for_uvicorn

__all__ = ["TRACE", "Formatter", "configure"]

TRACE = 5


class Formatter(logging.Formatter):
    """``2026-11-22 17:36:06 INFO  text``; the level in colour on a terminal."""

    def __init__(self, colours: bool = False) -> None:
        super().__init__("%(asctime)s %(level)s %(message)s", "%Y-%m-%d %H:%M:%S")
        self._colours = colours

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format one line."""
        level = f"{record.levelname:<7}"
        if self._colours:
            level = coloured(level, record.levelname)
        record.level = level
        return super().formatMessage(record)


def configure(config: Config) -> None:
    """Set up the loggers ``tidegate``, ``tidegate.error`` and ``tidegate.access``.

    Other loggers are the application's and are left alone.  Raises
    ``ConfigError`` if ``log_config`` cannot be used.
    """
    logging.addLevelName(TRACE, "TRACE")
    level = TRACE if config.log_level == "trace" else config.log_level.upper()
    logger = logging.getLogger("tidegate")
    logger.setLevel(logging.NOTSET)
    if config.log_config is not None:
        _load(config.log_config)
    else:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        stream = logging.StreamHandler(sys.stderr)
        colours = config.use_colors
        stream.setFormatter(Formatter(sys.stderr.isatty() if colours is None else colours))
        logger.addHandler(stream)
        logger.propagate = False
    if logger.level == logging.NOTSET:
        # The operator's own configuration did not say.
        logger.setLevel(level)


def _load(source: str | dict[str, Any]) -> None:
    try:
        if isinstance(source, dict):
            _load_dict(source)
        elif source.endswith(".json"):
            _load_dict(json.loads(Path(source).read_text("utf-8")))
        elif source.endswith((".yaml", ".yml")):
            raise ConfigError("YAML is not read; write the same as JSON")
        else:
            logging.config.fileConfig(source, disable_existing_loggers=False)
    except Exception as error:
        # Whatever logging makes of it: it evaluates names and calls what it finds.
        raise ConfigError(f"log_config {source!r}: {error}") from None


def _load_dict(config: dict[str, Any]) -> None:
    for_uvicorn = isinstance(config, dict) and is_for_uvicorn(config)
    logging.config.dictConfig(adapted(config) if for_uvicorn else config)
