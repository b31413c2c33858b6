"""The command line, generated from the fields of ``Config``.

Every option has an environment variable, ``TIDEGATE_`` and its name in
capitals; the command line wins over the environment, which wins over the
default.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from ._pure import speed
from ._version import __version__
from .errors import ConfigError
from .server.config import Config

__all__ = ["main", "options_table", "program"]


class _Headers(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    name = "Name: value"

    def split_envvar_value(self, rv: str) -> list[str]:
        return [line for line in rv.splitlines() if line.strip()]

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, content = str(value).partition(":")
        if not colon:
            self.fail(f"{value!r} is not 'Name: value'", param, ctx)
        return name.strip(), content.strip()


class _Program(click.Group):
    """Says what is wrong with a command line in one line."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            super().main(*args, **kwargs)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else "tidegate"
            text = error.format_message().rstrip(".")
            _fail(f"{text} (see {where} --help)", 2)
        except click.Abort:
            sys.exit(130)


class _GroupedCommand(click.Command):
    """A command whose help shows its options under the groups of ``Config``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        known = {each.name: each.metadata.get("group", "") for each in dataclasses.fields(Config)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                groups.setdefault(known.get(param.name or "", "Other"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _options() -> list[click.Parameter]:
    hints = typing.get_type_hints(Config)
    params: list[click.Parameter] = [
        click.Argument(["app"], metavar="TARGET", envvar="TIDEGATE_APP")
    ]
    for each in dataclasses.fields(Config):
        if each.metadata:
            params.append(_option(each, hints[each.name]))
    return params


def _option(each: dataclasses.Field[Any], hint: Any) -> click.Option:
    meta = each.metadata
    flag = meta["flag"] or each.name.replace("_", "-")
    names = [each.name, f"--{flag}"]
    if meta["also"]:
        names.append(f"--{meta['also']}")
    settings: dict[str, Any] = {
        "help": meta["help"],
        "envvar": [f"TIDEGATE_{each.name.upper()}", *([meta["env"]] if meta["env"] else [])],
    }
    if each.name == "headers":
        return click.Option(names, type=_Headers(), multiple=True, **settings)
    settings["default"] = each.default
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    else:
        settings["show_default"] = each.default != ""
    if hint is bool:
        names[1] = f"--{flag}/--no-{flag}"
        return click.Option(names, **settings)
    if typing.get_origin(hint) is Literal:
        return click.Option(names, type=click.Choice(typing.get_args(hint)), **settings)
    return click.Option(names, type=hint, **settings)


def options_table() -> str:
    """Return the options of ``tidegate run`` as Markdown, for the reference."""
    lines: list[str] = []
    group = ""
    for each in dataclasses.fields(Config):
        if not each.metadata:
            continue
        if each.metadata["group"] != group:
            group = each.metadata["group"]
            lines += [
                "",
                f"## {group}",
                "",
                "| option | default | meaning |",
                "| --- | --- | --- |",
            ]
        option = _option(each, typing.get_type_hints(Config)[each.name])
        names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
        default = each.default
        if default is dataclasses.MISSING or default is None or default == "":
            default = ""
        elif isinstance(default, bool):
            default = "on" if default else "off"
        choices = option.type.choices if isinstance(option.type, click.Choice) else ()
        meaning = each.metadata["help"]
        if choices:
            meaning += f" One of: {', '.join(choices)}."
        lines.append(f"| {names} | {default} | {meaning} |")
    return "\n".join(lines).strip() + "\n"


def _run(**settings: Any) -> None:
    from .server.run import serve
    from .server.server import EXIT_STARTUP_FAILED, StartupFailed

    try:
        config = Config(**settings)
        if config.env_file is not None:
            _read_env_file(config.env_file)
        serve(config)
    except ConfigError as error:
        _fail(str(error), 2)
    except StartupFailed:
        sys.exit(EXIT_STARTUP_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(text: str, status: int) -> NoReturn:
    click.echo(f"tidegate: {text}", err=True)
    sys.exit(status)


def _read_env_file(path: str) -> None:
    """Set what ``NAME=value`` lines say; what is set already stays."""
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


@click.group(
    cls=_Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message=f"tidegate %(version)s ({speed()})")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Tidegate serves ASGI applications."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


main.add_command(
    _GroupedCommand(
        "run",
        params=_options(),
        callback=_run,
        help="Serve the application TARGET, given as 'module:attribute'.\n\n"
        "Every option can also be set in the environment: TIDEGATE_PORT=9000.",
        short_help="Serve an application.",
    )
)


def program() -> None:
    """The command ``tidegate``: ``main``, and then the process really ends."""
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
        raise
    finally:
        from .server.loops import leave_threads_behind

        leave_threads_behind(status if isinstance(status, int) else 1)
