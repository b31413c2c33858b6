"""``tidegate dev``: serve an application while it is being written."""

from __future__ import annotations

from typing import Any

import click

from ..server.sources import Given, Settings
from .run import serve_settings
from .settings import SettingsCommand, collected, settings_params

__all__ = ["command"]

_PLACES = ("bind", "uds", "fd")

_OURS = {"reload": True, "workers": 1, "host": "127.0.0.1", "log_level": "debug"}


@click.pass_context
def _dev(ctx: click.Context, /, **options: Any) -> None:
    settings = collected(ctx)
    _prefer(settings)
    serve_settings(settings)


def _prefer(settings: Settings) -> None:
    """Set what development needs, save for what the command line says."""
    said = {name for name, given in settings.given.items() if given.origin.startswith("-")}
    if said.isdisjoint(_PLACES):
        # Where the file says to listen is for production; its port will do.
        for name in _PLACES:
            settings.given.pop(name, None)
    for name, value in _OURS.items():
        if name not in said:
            settings.given[name] = Given(value, "tidegate dev")


command = SettingsCommand(
    "dev",
    params=settings_params(),
    callback=_dev,
    help="Serve the application TARGET, given as 'module:attribute', and restart it when files "
    "change.\n\n"
    "The same as 'tidegate run --reload --workers 1 --host 127.0.0.1 --log-level debug', "
    "whatever tidegate.toml and the environment say; an option given here wins.",
)
