"""Logging configurations written for uvicorn, for a server that is not uvicorn.

They configure the loggers ``uvicorn``, ``uvicorn.error`` and
``uvicorn.access``, name formatters of uvicorn's, and filter records of the
access log by five arguments: client address, method, path with query, HTTP
version and status.  Here such a configuration gets exactly these records, and
uvicorn need not be installed.
"""

from __future__ import annotations

import copy
import logging
import sys
from http import HTTPStatus
from typing import Any

from .colours import coloured

__all__ = ["AccessFormatter", "DefaultFormatter", "Relay", "adapted", "is_for_uvicorn"]

_RELAY = "tidegate.relay"

# What AccessLog passes: five arguments as above, then milliseconds and bytes.
_OUR_ARGUMENTS = 7
_THEIR_ARGUMENTS = 5


def is_for_uvicorn(config: dict[str, Any]) -> bool:
    """Say whether a ``dictConfig`` names loggers of uvicorn and none of ours."""
    packages = {str(name).partition(".")[0] for name in config.get("loggers", ())}
    return "uvicorn" in packages and "tidegate" not in packages


def adapted(config: dict[str, Any]) -> dict[str, Any]:
    """Return a ``dictConfig`` that gives our records to the loggers of uvicorn."""
    config = copy.deepcopy(config)
    for formatter in config.get("formatters", {}).values():
        for key in ("()", "class"):
            made_by = formatter.get(key)
            if isinstance(made_by, str) and made_by.startswith("uvicorn.logging."):
                formatter[key] = f"{__name__}.{made_by.removeprefix('uvicorn.logging.')}"
    config.setdefault("handlers", {})[_RELAY] = {"()": f"{__name__}.Relay"}
    loggers = config.setdefault("loggers", {})
    loggers["tidegate"] = {"handlers": [_RELAY], "propagate": False}
    return config


class Relay(logging.Handler):
    """Passes our records on, under the names and with the arguments of uvicorn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a copy of the record to the logger of uvicorn that is meant."""
        record = copy.copy(record)
        arguments = record.args
        record.name = "uvicorn.error"
        if isinstance(arguments, tuple) and len(arguments) == _OUR_ARGUMENTS:
            record.name = "uvicorn.access"
            record.msg = '%s - "%s %s HTTP/%s" %d'
            record.args = arguments[:_THEIR_ARGUMENTS]
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


class DefaultFormatter(logging.Formatter):
    """Knows ``%(levelprefix)s``: the level, a colon and spaces; coloured on a terminal."""

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Any = "%",
        use_colors: bool | None = None,
    ) -> None:
        super().__init__(fmt, datefmt, style)
        self.use_colors = sys.stderr.isatty() if use_colors is None else use_colors

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format one line."""
        record = copy.copy(record)
        level = record.levelname
        spaces = " " * (8 - len(level))
        if self.use_colors:
            level = coloured(level, level)
        record.levelprefix = f"{level}:{spaces}"
        self.add(record)
        return super().formatMessage(record)

    def add(self, record: logging.LogRecord) -> None:
        """Add further fields for the format."""


class AccessFormatter(DefaultFormatter):
    """Knows the fields of a request too.

    They are ``client_addr``, ``method``, ``full_path``, ``http_version``,
    ``request_line`` and ``status_code``.
    """

    def add(self, record: logging.LogRecord) -> None:
        """Add the fields of a request."""
        if not isinstance(record.args, tuple) or len(record.args) < _THEIR_ARGUMENTS:
            return
        client, method, path, version, status = record.args[:_THEIR_ARGUMENTS]
        vars(record).update(
            client_addr=client,
            method=method,
            full_path=path,
            http_version=version,
            request_line=f"{method} {path} HTTP/{version}",
            status_code=_status(status),
        )


def _status(code: object) -> str:
    try:
        return f"{code} {HTTPStatus(int(str(code))).phrase}"
    except ValueError:
        return str(code)
