"""What the commands about applications of the framework share: how they find one."""

from __future__ import annotations

import click

from ..errors import ConfigError
from ..server.target import load
from ..web.app import App

__all__ = ["application", "target_params"]


def target_params(*more: click.Parameter) -> list[click.Parameter]:
    """Return the parameters that name an application, and ``more`` after the name."""
    return [
        click.Argument(["target"]),
        *more,
        click.Option(["--app-dir"], default="", help="Look for the module here first."),
        click.Option(["--factory"], is_flag=True, help="TARGET is a function that returns it."),
    ]


def application(target: str, app_dir: str, factory: bool) -> App:
    """Import an application of the framework and compile it; what is wrong ends the command."""
    try:
        found = load(target, factory=factory, interface="asgi3", app_dir=app_dir)
        if not isinstance(found, App):
            raise ConfigError(f"{target!r} is not an application of tidegate.App")
        found.prepare()
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    return found
