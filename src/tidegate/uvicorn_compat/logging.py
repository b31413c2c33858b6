"""The formatters that logging configurations for uvicorn name."""

from __future__ import annotations

from ..server.uvicorn_logs import AccessFormatter, DefaultFormatter

__all__ = ["AccessFormatter", "DefaultFormatter"]
