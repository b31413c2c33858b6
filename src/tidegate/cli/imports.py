"""``tidegate import-config``: another server's settings as ``tidegate.toml``.

It reads a command line, a ``gunicorn.conf.py`` or hypercorn's TOML.  A Python
file is read, never run: a value that is not written out becomes a comment.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from ..server.config import Config
from ..server.foreign import GUNICORN, HYPERCORN, Foreign
from ..server.options import options_of
from ..server.toml import written
from .settings import foreign_given, foreign_options, own_given, settings_params

__all__ = ["Imported", "command", "imported_file", "imported_line"]

# Also when started as "python -m ...".
_PROGRAMS = {"uvicorn": (), "gunicorn": GUNICORN, "hypercorn": HYPERCORN}

# What the shell, a service file or a container puts before the program.
_MAY_PRECEDE = ("python", "python3", "-m", "exec", "poetry", "uv", "pipenv", "run")


class Imported:
    """Settings of ours, and a line about each that has no equivalent."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.remarks: list[str] = []

    def take(self, row: Foreign, where: str, value: Any) -> None:
        """Add what an option of another server means."""
        try:
            self.values |= row.converted(value)
            if row.note:
                self.remarks.append(f"{where}: {row.note}")
        except ConfigError as error:
            self.remarks.append(f"{where}: {error}")

    def target(self, text: str) -> None:
        """Add the application: ``module``, ``module:name`` or ``module:make()``.

        hypercorn takes ``asgi:`` or ``wsgi:`` before it.
        """
        if found := re.fullmatch(r"(asgi|wsgi):(.+:.+)", text):
            text = found[2]
            self.values["interface"] = {"asgi": "asgi3"}.get(found[1], found[1])
        module, colon, name = text.partition(":")
        if name.endswith("()"):
            name = name[:-2]
            self.values["factory"] = True
        elif "(" in name:
            self.remarks.append(f"{text}: write a function without arguments, and factory = true")
            name = name.partition("(")[0]
        self.values["app"] = f"{module}:{name if colon else 'application'}"

    def toml(self) -> str:
        """Return the configuration file: what could be read, then remarks."""
        order = ["app", *options_of(Config)]
        values = {name: self.values[name] for name in order if name in self.values}
        if "headers" in values:
            values["headers"] = [": ".join(pair) for pair in values["headers"]]
        text = written(values) if values else ""
        if self.remarks:
            text += "\n# Without an equivalent here:\n"
            text += "".join(f"# {remark}\n" for remark in self.remarks)
        return text.lstrip("\n")


def imported_line(words: Sequence[str]) -> Imported:
    """Read a command line, such as ``["gunicorn", "-w", "4", "shop:app"]``.

    A configuration file that it names is read first.  Raises ``ConfigError``.
    """
    words = list(words)
    while words and (Path(words[0]).name in _MAY_PRECEDE or "=" in words[0]):
        words.pop(0)
    program = Path(words[0]).name if words else ""
    if program not in _PROGRAMS:
        known = ", ".join(_PROGRAMS)
        raise ConfigError(f"the command line must begin with one of {known}, not {program!r}")
    if program == "uvicorn":
        return _imported_uvicorn(words[1:])
    rows = _PROGRAMS[program]
    reader = click.Command(
        program,
        params=[
            click.Option(["config_file", "-c", "--config"]),
            *foreign_options(rows),
            click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED),
        ],
        context_settings={"ignore_unknown_options": True},
    )
    with reader.make_context(program, words[1:], resilient_parsing=False) as ctx:
        file = ctx.params["config_file"]
        path = Path(file.removeprefix("file:").removeprefix("python:")) if file else None
        imported = imported_file(path) if path else Imported()
        for row, flag, value in foreign_given(ctx):
            imported.take(row, flag, value)
        _take_rest(imported, ctx.params["rest"])
    return imported


def _imported_uvicorn(words: list[str]) -> Imported:
    imported = Imported()
    reader = click.Command("uvicorn", params=settings_params())
    with reader.make_context("uvicorn", words) as ctx:
        for row, flag, value in foreign_given(ctx):
            imported.take(row, flag, value)
        for name, given in own_given(ctx).items():
            imported.values[name] = given.value
        if ctx.params["app"]:
            imported.target(ctx.params["app"])
    return imported


def _take_rest(imported: Imported, rest: Sequence[str]) -> None:
    """Take the target, and note the options that nobody knows."""
    # An unknown option may have left its value behind.
    targets = [word for word in rest if re.fullmatch(r"[A-Za-z_][\w.]*(:.+)?", word)]
    target = next((word for word in targets if ":" in word), targets[-1] if targets else None)
    for word in rest:
        if word is target:
            imported.target(word)
        else:
            imported.remarks.append(f"{word}: not known")


def imported_file(path: Path) -> Imported:
    """Read ``gunicorn.conf.py`` or hypercorn's TOML.  Raises ``ConfigError``."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if path.suffix == ".py":
        return _imported_python(path, text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    imported = Imported()
    for key, value in values.items():
        _take_key(imported, HYPERCORN, key, value, key)
    return imported


def _imported_python(path: Path, text: str) -> Imported:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}") from None
    imported = Imported()
    for node in tree.body:
        where = f"line {node.lineno}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            imported.remarks.append(f"{node.name} ({where}): a hook; use lifespan events")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                _take_assignment(imported, ast.unparse(target), node, where)
        elif not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
            source = ast.unparse(node).partition("\n")[0]
            imported.remarks.append(f"{source} ({where}): not read, as it is not an assignment")
    return imported


def _take_assignment(
    imported: Imported, name: str, node: ast.Assign | ast.AnnAssign, where: str
) -> None:
    if node.value is None:
        return
    try:
        value = ast.literal_eval(node.value)
    except ValueError:
        if any(row.key == name for row in GUNICORN):
            source = f"{name} = {ast.unparse(node.value)}"
            imported.remarks.append(f"{source} ({where}): not a literal; write the value")
        return
    if value is not None:
        _take_key(imported, GUNICORN, name, value, f"{name} ({where})")


def _take_key(
    imported: Imported, rows: Sequence[Foreign], key: str, value: Any, where: str
) -> None:
    row = next((row for row in rows if row.key == key), None)
    if row is not None:
        if value is not False or row.takes_value:
            imported.take(row, where, value)
    elif key in ("wsgi_app", "application_path"):
        imported.target(str(value))
    elif key == "logconfig_dict" and isinstance(value, dict):
        imported.values["log_config"] = value
    else:
        imported.remarks.append(f"{where}: not known")


def _import_config(words: tuple[str, ...], output: str | None) -> None:
    try:
        is_file = len(words) == 1 and Path(words[0]).suffix in (".py", ".toml")
        imported = imported_file(Path(words[0])) if is_file else imported_line(words)
        text = imported.toml()
        if output is None:
            click.echo(text.rstrip("\n"))
        elif Path(output).exists():
            raise ConfigError(f"{output} exists; remove it first")
        else:
            Path(output).write_text(text, "utf-8")
    except (ConfigError, OSError) as error:
        raise click.ClickException(str(error)) from None


command = click.Command(
    "import-config",
    params=[
        click.Argument(["words"], metavar="FILE | -- COMMAND...", nargs=-1, required=True),
        click.Option(["-o", "--output"], metavar="FILE", help="Write there, not to the terminal."),
    ],
    callback=_import_config,
    help="Write the tidegate.toml that says what a uvicorn, gunicorn or hypercorn command line "
    "says, or a gunicorn.conf.py, or hypercorn's TOML file. What has no equivalent becomes a "
    "comment. Python files are read, not run.\n\n"
    "tidegate import-config -- gunicorn -w 4 shop.wsgi\n\n"
    "tidegate import-config gunicorn.conf.py -o tidegate.toml",
)
