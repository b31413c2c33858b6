"""``tidegate routes``: which routes an application of the framework has."""

from __future__ import annotations

import click

from ..web.describe import routes
from .framework import application, target_params

__all__ = ["command"]


def _routes(target: str, app_dir: str, factory: bool) -> None:
    click.echo(routes(application(target, app_dir, factory)))


command = click.Command(
    "routes",
    params=target_params(),
    callback=_routes,
    help="List the routes of TARGET: methods, path, where it runs, and the handler.",
)
