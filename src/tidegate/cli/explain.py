"""``tidegate explain``: how an application of the framework would serve a request."""

from __future__ import annotations

import click

from ..errors import UsageError
from ..web.describe import explain
from .framework import application, target_params

__all__ = ["command"]


def _explain(target: str, method: str, path: str, app_dir: str, factory: bool) -> None:
    try:
        click.echo(explain(application(target, app_dir, factory), method.upper(), path))
    except UsageError as error:
        raise click.ClickException(str(error)) from None


command = click.Command(
    "explain",
    params=target_params(click.Argument(["method"]), click.Argument(["path"])),
    callback=_explain,
    help="Print the compiled plan for METHOD PATH of TARGET: where each argument comes from, "
    "what runs where and in which order, and how the answer is encoded.  "
    "METHOD is websocket for a socket.",
)
