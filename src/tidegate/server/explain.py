"""What is every setting, and who said so?  For people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .config import Config
from .options import options_of
from .sources import DEFAULT, Settings
from .toml import literal, written

__all__ = ["explained", "explained_as_json", "given_as_toml"]


def explained(config: Config, settings: Settings) -> str:
    """Return a line for every option: its value as TOML writes it, and its origin."""
    rows = [
        (name, "-" if value is None else literal(value), origin)
        for name, value, origin in _rows(config, settings)
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    # One long value must not push all origins off the screen.
    widths[1] = min(widths[1], 40)
    return "\n".join(
        f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}" for name, value, origin in rows
    )


def explained_as_json(config: Config, settings: Settings) -> str:
    """Return a list of objects with ``option``, ``value`` and ``origin``."""
    rows = [
        {"option": name, "value": value, "origin": origin}
        for name, value, origin in _rows(config, settings)
    ]
    return json.dumps(rows, indent=2)


def given_as_toml(config: Config, settings: Settings) -> str:
    """Return the ``tidegate.toml`` that says what was given, from wherever."""
    return written(
        {
            "mount" if name == "mounts" else name: value
            for name, value, origin in _rows(config, settings)
            if origin != DEFAULT and value is not None
        }
    )


def _rows(config: Config, settings: Settings) -> list[tuple[str, Any, str]]:
    names = ["app", *options_of(Config), "pools", "policies"]
    return [(name, _plain(name, getattr(config, name)), settings.origin(name)) for name in names]


def _is_secret(name: str) -> bool:
    option = options_of(Config).get(name)
    return option is not None and bool(option.meta.get("secret"))


def _plain(name: str, value: Any) -> Any:
    """Return a value as the file writes it."""
    if value is not None and _is_secret(name):
        return "(hidden)"
    if name == "headers":
        return [": ".join(pair) for pair in value]
    if name == "pools":
        return {pool: dataclasses.asdict(config) for pool, config in value.items()}
    if name == "policies":
        given = {path: dataclasses.asdict(policy) for path, policy in value.items()}
        return {
            path: {k: v for k, v in each.items() if v is not None} for path, each in given.items()
        }
    return value
