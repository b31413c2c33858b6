"""What is logged, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args

from ...errors import AppError, ConfigError
from ...exchange.access import AccessLog
from ...exchange.formats import compile_line
from ...exchange.naming import Naming
from ...http import field
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
    log_format: Literal["text", "json"] = option(
        "text", "Lines for people, or an object a line.", group="Logging"
    )
    error_logfile: str | None = option(
        None,
        "Append the log to this file; '-' is the error output [default].",
        group="Logging",
        path=True,
    )
    access_log: bool = option(True, "Log each request.", group="Logging")
    access_log_format: str | None = option(
        None,
        "How: tidegate, common, combined, json, or text with atoms such as %(h)s "
        "[default: tidegate, or json with --log-format json].",
        group="Logging",
        also="access-logformat",
    )
    access_logfile: str | None = option(
        None,
        "Append the lines of requests to this file instead; '-' is the standard output.",
        group="Logging",
        path=True,
    )
    request_id_header: str | None = option(
        None,
        "Name each request, in this header of its response; trusted peers may name it in theirs.",
        group="Logging",
    )
    trace_context: bool = option(
        False, "Continue the trace in the header traceparent, or begin one.", group="Logging"
    )
    otel: bool = option(False, "Report each request to OpenTelemetry, as a span.", group="Logging")
    use_colors: bool | None = option(
        None, "Colour log lines [default: on a terminal].", group="Logging"
    )

    def access(self) -> AccessLog | None:
        """Return who logs requests; None if nobody does."""
        if not self.access_log:
            return None
        named = self.access_log_format or ("json" if self.log_format == "json" else "tidegate")
        return AccessLog(None if named == "tidegate" else compile_line(named))

    def naming(self) -> Naming | None:
        """Return who names requests; None if they need no names."""
        if self.request_id_header is None and not (self.trace_context or self.otel):
            return None
        # Spans have traces of their own.
        return Naming(self.request_id_header, self.trace_context and not self.otel)

    def logging_complaints(self) -> Iterator[tuple[str, str]]:
        """Yield option and text for what cannot be used."""
        if self.access_log_format is not None:
            try:
                compile_line(self.access_log_format)
            except ConfigError as error:
                yield "access_log_format", f"access_log_format: {error}"
        if self.request_id_header is not None:
            try:
                role = field(self.request_id_header.encode("latin-1", "replace"), b"1").role
            except AppError as error:
                yield "request_id_header", f"request_id_header: {error}"
            else:
                if role:
                    text = f"request_id_header: {self.request_id_header!r} has a meaning of its own"
                    yield "request_id_header", text
        if self.log_config is not None:
            for name in ("access_logfile", "error_logfile"):
                if getattr(self, name) is not None:
                    yield name, f"{name} and log_config both say where to log: give one"
