"""Environment variables for the application, read from a file (``--env-file``)."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError

__all__ = ["read_env_file"]


def read_env_file(path: str) -> None:
    """Set what ``NAME=value`` lines say; what is set already stays.

    Raises ``ConfigError`` with the line that says nothing.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"env_file {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"env_file {path}, line {number}: not NAME=value: {text!r}")
        os.environ.setdefault(name.strip(), _unquoted(value.strip()))


def _unquoted(value: str) -> str:
    """Take off the quotes, or the comment behind a value without any."""
    quote = value[:1]
    if quote and quote in "'\"":
        end = value.find(quote, 1)
        if end > 0 and not value[end + 1 :].partition("#")[0].strip():
            return value[1:end]
    return value.partition(" #")[0].rstrip()
