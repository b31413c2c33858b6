"""Where does each setting come from?  Defaults, a file, the environment, the command line.

Later ones win: the command line over the environment over the file over the
default.  Every value remembers its origin, so that a complaint can name the
line, the variable or the flag; and all that is wrong is collected, not only
the first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from ..errors import ConfigError
from .checks import BadSettings
from .config import Config, PoolConfig
from .options import Option, did_you_mean, options_of
from .policies import PathPolicy
from .toml import Document, find, read

__all__ = ["DEFAULT", "Given", "Settings", "collect"]

DEFAULT = "default"

_NO_TARGET = (
    "missing argument TARGET: give 'module:attribute' on the command line, or write "
    'app = "module:attribute" in tidegate.toml'
)

Record = TypeVar("Record", PoolConfig, PathPolicy)

# Keys of pools that say the same.
_SYNONYMS = {"threads": "workers"}

_PLACES = ("bind", "uds", "fd", "host", "port")

# Variables of ours that are no settings.
_OTHER_VARIABLES = {
    *("TIDEGATE_APP", "TIDEGATE_CONFIG", "TIDEGATE_PURE", "TIDEGATE_REQUIRE_COMPILED"),
    # What a server says to the one that replaces it.
    *("TIDEGATE_LISTENERS", "TIDEGATE_REPLACES"),
}


class Given(NamedTuple):
    """A value, and who said so: ``tidegate.toml, line 7``, ``TIDEGATE_PORT``, ``--port``."""

    value: Any
    origin: str
    entries: Mapping[str, str] = MappingProxyType({})  # where those of a table stand


class Settings:
    """What was given, by name; what could not be read; and what to tell besides."""

    def __init__(self) -> None:
        self.given: dict[str, Given] = {}
        self.complaints: list[str] = []
        self.unread = False  # there is a file, and it cannot be read
        self.notes: list[str] = []
        self.file: Path | None = None  # the file that was read

    def add(self, given: Mapping[str, Given]) -> None:
        """Add what a source says; it wins over those before."""
        if not given.keys().isdisjoint(_PLACES):
            # One place to listen on, said by the last that says any.
            for name in _PLACES:
                self.given.pop(name, None)
        self.given.update(given)

    def config(self, *, target_needed: bool = True) -> Config:
        """Make the configuration.  Raises ``ConfigError`` with a line for everything wrong."""
        config, complaints = self.usable(target_needed=target_needed)
        if complaints:
            raise ConfigError("\n".join(complaints))
        return config

    def usable(self, *, target_needed: bool = True) -> tuple[Config, list[str]]:
        """Return what can be used, defaults for the rest, and everything that is wrong."""
        complaints = list(self.complaints)
        values = {name: given.value for name, given in self.given.items()}
        # A file that cannot be read may well name the target.
        needed = target_needed and not values.get("mounts") and not self.unread
        if needed and not values.get("app"):
            complaints.append(_NO_TARGET)
        target = values.pop("app", "")
        try:
            return Config(target, **values), complaints
        except BadSettings as error:
            for name, text, key in error.complaints:
                given = self.given.get(name)
                where = f"{given.entries.get(key, given.origin)}: " if given else ""
                complaints.append(where + text)
                if key:
                    values[name] = {k: v for k, v in values[name].items() if k != key}
                else:
                    values.pop(name, None)
            return Config(target, **values), complaints

    def origin(self, name: str) -> str:
        """Return who said what an option is."""
        return self.given[name].origin if name in self.given else DEFAULT


def collect(
    command_line: Mapping[str, Given],
    *,
    file: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Collect settings from everywhere.

    ``command_line`` holds what the command line says; ``file`` is the
    configuration file, where it says so.  Nothing is raised: see
    ``Settings.complaints``.
    """
    settings = Settings()
    from_environment = _environment(environment, settings)
    file = file or environment.get("TIDEGATE_CONFIG", "")
    app_dir = {**from_environment, **command_line}.get("app_dir", Given("", DEFAULT)).value
    try:
        if file.endswith(".py"):
            # What gunicorn's option of this name takes.
            raise ConfigError(f"{file} is not TOML; to make it so: tidegate import-config {file}")
        document = read(Path(file)) if file else find(dict.fromkeys(("", app_dir)))
    except ConfigError as error:
        settings.complaints.append(str(error))
        settings.unread = True
        document = None
    if document is not None:
        settings.file = document.path
        settings.add(_file(document, settings))
    settings.add(from_environment)
    settings.add(command_line)
    return settings


def _environment(environment: Mapping[str, str], settings: Settings) -> dict[str, Given]:
    given: dict[str, Given] = {}
    if environment.get("TIDEGATE_APP"):
        given["app"] = Given(environment["TIDEGATE_APP"], "TIDEGATE_APP")
    known = set(_OTHER_VARIABLES)
    for name, option in options_of(Config).items():
        known.update(option.variables)
        # An empty variable is how people unset one.
        variable = next((each for each in option.variables if environment.get(each)), None)
        if variable is None:
            continue
        text = environment[variable]
        try:
            given[name] = Given(option.parse(text), variable)
        except ValueError as error:
            hint = ""
            if text.startswith("tcp://"):
                # Kubernetes sets NAME_PORT for every service in the namespace.
                hint = "; if Kubernetes set it for a service, set enableServiceLinks: false"
            settings.complaints.append(f"{variable}: {name} {error}{hint}")
    settings.notes += _unread(environment, known)
    return given


def _unread(environment: Mapping[str, str], known: set[str]) -> list[str]:
    """Return a line for every variable that looks as if it were a setting, and is none."""
    notes = []
    for variable in environment:
        package, _, name = variable.partition("_")
        ours = f"TIDEGATE_{name}"
        if package == "UVICORN" and ours in known and ours not in environment:
            notes.append(f"{variable} in the environment is not read; the name here is {ours}")
        elif package == "TIDEGATE" and variable not in known:
            near = did_you_mean(variable, known)
            notes += [f"{variable} in the environment is no option{near}"] if near else []
    if environment.get("GUNICORN_CMD_ARGS"):
        notes.append("GUNICORN_CMD_ARGS in the environment is not read")
    return notes


def _file(document: Document, settings: Settings) -> dict[str, Given]:
    given: dict[str, Given] = {}
    options = options_of(Config)
    names = {key: name for name, option in options.items() for key in option.keys}
    names |= {"app": "app", "pools": "pools", "policy": "policies", "policies": "policies"}
    for key, value in document.values.items():
        where = document.where(key)
        name = names.get(key.replace("-", "_"))
        if name is None:
            hint = did_you_mean(key.replace("-", "_"), names)
            settings.complaints.append(f"{where}: unknown option {key!r}{hint}")
        elif name in given:
            settings.complaints.append(f"{where}: {key!r} is given twice")
        elif name == "pools":
            given[name] = Given(_tables(document, key, value, PoolConfig, settings), where)
        elif name == "policies":
            made = _tables(document, key, value, PathPolicy, settings)
            given[name] = Given(made, where, {e: document.where(key, e) for e in made})
        else:
            try:
                meant = _value(options.get(name), value, document.path.parent)
                entries = value if isinstance(value, dict) else ()
                given[name] = Given(meant, where, {e: document.where(key, e) for e in entries})
            except ValueError as error:
                settings.complaints.append(f"{where}: {name} {error}")
    return given


def _value(option: Option | None, value: Any, folder: Path) -> Any:
    """Return what a value of a file means.  Raises ``ValueError``."""
    if option is None:  # the target
        if not isinstance(value, str):
            raise ValueError(f"must be 'module:attribute', not {value!r}")
        return value
    if option.name == "headers":
        if isinstance(value, dict):
            value = [f"{name}: {content}" for name, content in value.items()]
        if not isinstance(value, list):
            raise ValueError("must be a table, or a list of 'Name: value'")
        return [option.pair(str(item)) for item in value]
    if option.texts and isinstance(value, str):
        value = [value]
    if option.meta.get("path"):
        # As seen from the file, wherever the server is started.
        if value == "-":
            return value  # standard output
        if isinstance(value, str) and value:
            return str(folder / value)
        if isinstance(value, list):
            return [str(folder / item) if isinstance(item, str) else item for item in value]
        if isinstance(value, dict) and option.pairs:
            return {name: _beside(folder, text) for name, text in value.items()}
    return value


def _beside(folder: Path, text: Any) -> Any:
    """Return paths with commas as seen from a folder."""
    if not isinstance(text, str):
        return text
    return ",".join(str(folder / each.strip()) for each in text.split(","))


def _tables(
    document: Document, group: str, tables: Any, kind: type[Record], settings: Settings
) -> dict[str, Record]:
    """Read tables such as ``[pools.NAME]``, each of which describes a record."""
    made: dict[str, Record] = {}
    if not isinstance(tables, dict):
        tables = {"NAME": tables}
    for name, table in tables.items():
        if isinstance(table, dict):
            made[name] = kind(**_options(document, (group, name), table, kind, settings))
        else:
            where = document.where(group, name)
            noun = group.removesuffix("s")
            settings.complaints.append(f"{where}: a {noun} is a table: [{group}.{name}]")
    return made


def _options(
    document: Document,
    place: tuple[str, str],
    table: dict[str, Any],
    kind: type,
    settings: Settings,
) -> dict[str, Any]:
    options = options_of(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        field = _SYNONYMS.get(key, key.replace("-", "_"))
        noun = place[0].removesuffix("s")
        text: str | None = f"is no option of a {noun}{did_you_mean(key, options)}"
        if field in options:
            text = options[field].complaint(value)
        if text is None:
            values[field] = value
        else:
            where = document.where(*place, key)
            settings.complaints.append(f"{where}: {'.'.join(place)}.{key} {text}")
    return values
