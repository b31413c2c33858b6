"""The command ``tidegate``: which commands there are; each is a module, loaded when used.

``tidegate --version`` and ``--help`` load no server.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from .._pure import speed
from .._version import __version__

__all__ = ["command", "main", "program"]

_PYTHON = ".".join(map(str, sys.version_info[:3]))

# Name, module and what it does.
_COMMANDS = {
    "run": ("run", "Serve an application."),
    "dev": ("dev", "Serve an application, and restart it when files change."),
    "check": ("check", "Check the settings and import the application."),
    "config": ("config", "Show the settings, and who said so."),
    "routes": ("routes", "List the routes of an application."),
    "explain": ("explain", "Show how a request would be served."),
    "openapi": ("openapi", "Print or compare the OpenAPI document."),
    "top": ("top", "Watch a server that runs."),
    "ctl": ("ctl", "Ask a server that runs, or tell it something."),
    "import-config": ("imports", "Write tidegate.toml from another server's settings."),
}


class _Program(click.Group):
    """Loads a command when it is named; says what is wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command(cmd_name) if cmd_name in _COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            super().main(*args, **kwargs)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else "tidegate"
            text = error.format_message().rstrip(".")
            _fail(f"{text} (see {where} --help)")
        except click.ClickException as error:
            _fail(error.format_message())
        except click.Abort:
            sys.exit(130)


def command(name: str) -> click.Command:
    """Load the command ``tidegate NAME``."""
    module = import_module(f".{_COMMANDS[name][0]}", __name__)
    loaded: click.Command = module.command
    return loaded


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        click.echo(f"tidegate: {line}", err=True)
    sys.exit(2)


@click.group(
    cls=_Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message=f"tidegate %(version)s ({speed()}, Python {_PYTHON})")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Tidegate serves ASGI applications."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def program() -> None:
    """The command ``tidegate``: ``main``, and then the process really ends."""
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
        raise
    finally:
        # Only if a command has run an application can there be threads of one.
        loops = sys.modules.get("tidegate.server.loops")
        if loops is not None:
            loops.leave_threads_behind(status if isinstance(status, int) else 1)
