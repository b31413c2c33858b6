"""Configuration as TOML: which file, which line a key stands on, and how to write one.

Python reads TOML and does not write it, and does not say where a key was; both
are easy for the flat tables that settings are.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError

__all__ = ["Document", "find", "literal", "read", "written"]

FILE_NAME = "tidegate.toml"
PROJECT_FILE_NAME = "pyproject.toml"
PROJECT_TABLE = ("tool", "tidegate")

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_NAME = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_NAME})\s*\]")
_KEY = re.compile(rf"\s*({_NAME})\s*=(?!=)\s*(.*)")
_ERROR_LINE = re.compile(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)")

Key = tuple[str, ...]


class Document:
    """The settings that one file holds, and where it says what."""

    def __init__(self, path: Path, text: str, table: Key = ()) -> None:
        self.path = path
        self._table = table
        self._lines: dict[Key, int] = {}
        for key, line in _lines(text):
            self._lines.setdefault(key, line)
        values: Any = _parsed(path, text)
        for name in table:
            values = values.get(name, {}) if isinstance(values, dict) else {}
        self.values: dict[str, Any] = values if isinstance(values, dict) else {}

    def where(self, *key: str) -> str:
        """Return ``tidegate.toml, line 7`` for a key of ours, or for the table around it."""
        full = (*self._table, *key)
        while full and full not in self._lines:
            full = full[:-1]
        return f"{self.path}, line {self._lines[full]}" if full else str(self.path)


def find(folders: Iterable[str]) -> Document | None:
    """Return the first configuration in these folders, or None.

    In each, ``tidegate.toml`` wins over the table ``[tool.tidegate]`` of
    ``pyproject.toml``.
    """
    for folder in folders:
        path = Path(folder, FILE_NAME)
        if path.is_file():
            return read(path)
        path = Path(folder, PROJECT_FILE_NAME)
        if path.is_file():
            document = read(path)
            if document.values:
                return document
    return None


def read(path: Path) -> Document:
    """Read a file.  Raises ``ConfigError`` with the line if it is not TOML."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"config: there is no file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return Document(path, text, PROJECT_TABLE if path.name == PROJECT_FILE_NAME else ())


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _ERROR_LINE.fullmatch(str(error))
        if found is None:
            raise ConfigError(f"{path}: {error}") from None
        line = found[2] or max(1, len(text.splitlines()))
        raise ConfigError(f"{path}, line {line}: not TOML: {found[1]}") from None


def _lines(text: str) -> Iterator[tuple[Key, int]]:
    """Yield every key and table with its line; texts over several lines are skipped."""
    table: Key = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
        elif header := _HEADER.match(line):
            table = _parts(header[1])
            yield table, number
        elif found := _KEY.match(line):
            yield (*table, *_parts(found[1])), number
            closing = next((q for q in ('"""', "'''") if found[2].count(q) == 1), "")


def _parts(name: str) -> Key:
    parts = re.findall(_PART, name)
    return tuple(json.loads(p) if p[0] == '"' else p.strip("'") for p in parts)


def written(values: Mapping[str, Any]) -> str:
    """Return settings as TOML: plain values first, then tables, in the order given."""
    plain = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(name)} = {literal(value)}" for name, value in plain.items()]
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += _table([name], value)
    return "\n".join(lines).strip() + "\n"


def _table(path: list[str], values: Mapping[str, Any]) -> list[str]:
    plain = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    lines = []
    if plain or not values:
        lines = ["", f"[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(name)} = {literal(value)}" for name, value in plain.items()]
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += _table([*path, name], value)
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    # A JSON text is a TOML text, save for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def literal(value: Any) -> str:
    """Return a plain value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return str(value)
