"""Log lines that a person can read, or a program: text, or an object a line."""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
import sys
import time
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..trace import RequestIDFilter
from .colours import coloured
from .config import Config
from .uvicorn_logs import adapted, is_for_uvicorn

__all__ = ["TRACE", "Formatter", "JsonFormatter", "configure", "set_level"]

TRACE = 5


class Formatter(logging.Formatter):
    """``2026-11-22 17:36:06 INFO  text``; the level in colour on a terminal.

    A line of the access log that has a format of its own stands alone; the id
    of a request, if it has one, stands before the text.
    """

    def __init__(self, colours: bool = False) -> None:
        super().__init__("%(asctime)s %(level)s %(request)s%(message)s", "%Y-%m-%d %H:%M:%S")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        access: str | None = getattr(record, "access", None)
        return super().format(record) if access is None else access

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format one line."""
        level = f"{record.levelname:<7}"
        if self._colours:
            level = coloured(level, record.levelname)
        record.level = level
        named = getattr(record, "request_id", "-")
        record.request = "" if named == "-" else f"[{named}] "
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; exception and ids if there are."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record; a line of the access log is an object already."""
        access: str | None = getattr(record, "access", None)
        if access is not None and access.startswith("{"):
            return access
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if access is None else access,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        for name in ("request_id", "trace_id"):
            if getattr(record, name, "-") != "-":
                entry[name] = getattr(record, name)
        return json.dumps(entry)


def configure(config: Config) -> None:
    """Set up the loggers ``tidegate``, ``tidegate.error`` and ``tidegate.access``.

    Other loggers are the application's and are left alone.  Raises
    ``ConfigError`` if ``log_config`` or a file cannot be used.
    """
    logging.addLevelName(TRACE, "TRACE")
    logger = logging.getLogger("tidegate")
    logger.setLevel(logging.NOTSET)
    if config.log_config is not None:
        _load(config.log_config)
    else:
        _replace(logger, _handler(config, "error_logfile", sys.stderr))
        requests = logging.getLogger("tidegate.access")
        if config.access_logfile is not None:
            _replace(requests, _handler(config, "access_logfile", sys.stdout))
        else:
            _replace(requests, None)
    if logger.level == logging.NOTSET:
        # The operator's own configuration did not say.
        set_level(config.log_level)


def set_level(name: str) -> None:
    """Log as much as ``--log-level`` of this name says.  Raises ``ValueError``."""
    logging.getLogger("tidegate").setLevel(TRACE if name == "trace" else name.upper())


def _replace(logger: logging.Logger, handler: logging.Handler | None) -> None:
    """Let records go to this handler alone; without one, on to the logger above."""
    for old in list(logger.handlers):
        logger.removeHandler(old)
        # Which of them are files that were opened here?
        if isinstance(old, logging.handlers.WatchedFileHandler):
            old.close()
    if handler is not None:
        logger.addHandler(handler)
    logger.propagate = handler is None


def _handler(config: Config, option: str, stream: Any) -> logging.Handler:
    path = getattr(config, option)
    handler: logging.Handler
    if path is None or path == "-":
        handler = logging.StreamHandler(stream)
        is_terminal = stream.isatty()
    else:
        try:
            # Opened anew when a program that rotates logs has moved it away.
            handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{option}: cannot write to {path!r}: {error.strerror}") from None
        is_terminal = False
    colours = is_terminal if config.use_colors is None else config.use_colors
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else Formatter(colours))
    if config.naming() is not None:
        handler.addFilter(RequestIDFilter())
    return handler


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
