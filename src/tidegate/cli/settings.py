"""Settings on the command line: options made from the fields of ``Config``.

``tidegate run``, ``check`` and ``config`` take the same ones.  Options of
uvicorn and gunicorn that are not ours are accepted too, but not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.core import ParameterSource

from ..errors import ConfigError
from ..server.config import Config
from ..server.foreign import GUNICORN, UVICORN, Foreign
from ..server.options import Option, options_of
from ..server.sources import Given, Settings, collect

__all__ = ["SettingsCommand", "collected", "foreign_options", "options_table", "settings_params"]

_FOREIGN = "tidegate.foreign"  # in click's context: what foreign options said
_NOTES = "tidegate.notes"


class _Pair(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """An entry, such as ``Name: value`` or ``PREFIX=TARGET``."""

    def __init__(self, option: Option) -> None:
        self._option = option
        self.name = option.pairs

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        try:
            return self._option.pair(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Word(click.Choice):  # type: ignore[type-arg]  # generic from click 8.2 on
    """One of our words, or a word of another server that means one of them."""

    def __init__(self, option: Option) -> None:
        super().__init__(option.choices)
        self._instead = option.meta.get("instead", {})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(self._instead.get(value, value), param, ctx)


class SettingsCommand(click.Command):
    """A command whose help shows its options under the groups of ``Config``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"": []}
        options = options_of(Config)
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                option = options.get(param.name or "")
                groups.setdefault(option.group if option else "", []).append(record)
        # The command's own come last.
        groups["Other"] = groups.pop("")
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def settings_params() -> list[click.Parameter]:
    """Return the target, ``--config`` and an option for every setting."""
    options = options_of(Config).values()
    taken = {flag for option in options for flag in (*option.flags, option.negative)}
    return [
        click.Argument(["app"], metavar="[TARGET]", required=False),
        *map(_click_option, options),
        click.Option(
            ["config_file", "-c", "--config"],
            metavar="FILE",
            help="Read settings from this file [default: tidegate.toml, or the table "
            "[tool.tidegate] of pyproject.toml, here or in --app-dir].",
        ),
        *foreign_options([*UVICORN, *GUNICORN], taken | {"-c", "--config", "-h"}),
    ]


def _click_option(option: Option) -> click.Option:
    names = [option.name, *option.flags]
    settings: dict[str, Any] = {"help": option.help}
    if option.pairs:
        return click.Option(names, type=_Pair(option), multiple=True, **settings)
    if option.texts:
        return click.Option(names, multiple=True, **settings)
    settings["default"] = option.default
    settings["show_default"] = not option.optional and option.default != ""
    if option.negative:
        names[1] += f"/{option.negative}"
        return click.Option(names, **settings)
    if option.choices:
        return click.Option(names, type=_Word(option), **settings)
    return click.Option(
        names, type=option.kinds[0] if dict not in option.kinds else str, **settings
    )


def foreign_options(rows: Iterable[Foreign], taken: set[str] | None = None) -> list[click.Option]:
    """Return hidden options for rows of another server, but for flags that are taken."""
    made = []
    taken = set() if taken is None else taken
    for row in rows:
        flags = [flag for flag in row.flags if flag not in taken]
        taken.update(flags)
        if flags:
            name = f"foreign_{len(taken)}"
            made.append(
                click.Option(
                    [name, *flags],
                    is_flag=not row.takes_value,
                    multiple=row.takes_value,
                    callback=_noting(row, flags[-1]),
                    expose_value=False,
                    hidden=True,
                )
            )
    return made


def _noting(row: Foreign, flag: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta.setdefault(_FOREIGN, []).append((row, flag, value))

    return note


def foreign_given(ctx: click.Context) -> list[tuple[Foreign, str, Any]]:
    """Return the rows of ``foreign_options`` that the command line has, with flag and value."""
    given: list[tuple[Foreign, str, Any]] = ctx.meta.get(_FOREIGN, [])
    return given


def own_given(ctx: click.Context) -> dict[str, Given]:
    """Return what options of ours on the command line say."""
    given = {}
    options = options_of(Config)
    for name, value in ctx.params.items():
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if name == "app":
            given[name] = Given(value, "the command line")
        elif name in options:
            option = options[name]
            flag = option.negative if option.negative and value is False else option.flags[0]
            if isinstance(value, tuple):
                value = option.collected(value)
            given[name] = Given(value, flag)
    return given


def collected(ctx: click.Context) -> Settings:
    """Collect the settings of a command from everywhere.

    Raises ``click.UsageError`` for an option of another server that cannot be
    left out.
    """
    given: dict[str, Given] = {}
    notes = []
    for row, flag, value in foreign_given(ctx):
        if row.refused:
            raise click.UsageError(f"{flag} has no equivalent: {row.note}", ctx)
        try:
            given |= {name: Given(v, flag) for name, v in row.converted(value).items()}
        except ConfigError as error:
            raise click.UsageError(f"{flag}: {error}", ctx) from None
        if row.note:
            notes.append(f"{flag}: {row.note}")
    given |= own_given(ctx)
    settings = collect(given, file=ctx.params.get("config_file") or "")
    settings.notes[:0] = notes
    for note in settings.notes:
        click.echo(f"tidegate: {note}", err=True)
    return settings


def options_table() -> str:
    """Return the options of ``tidegate run`` as Markdown, for the reference."""
    lines: list[str] = []
    group = ""
    for option in options_of(Config).values():
        if option.group != group:
            group = option.group
            head = ["| option | default | meaning |", "| --- | --- | --- |"]
            lines += ["", f"## {group}", "", *head]
        flags = [*option.flags, option.negative]
        names = ", ".join(f"`{flag}`" for flag in flags if flag)
        default = option.default
        if default is None or default in ("", [], {}):
            default = ""
        elif isinstance(default, bool):
            default = "on" if default else "off"
        meaning = option.help
        if option.choices:
            meaning += f" One of: {', '.join(option.choices)}."
        lines.append(f"| {names} | {default} | {meaning} |")
    return "\n".join(lines).strip() + "\n"
