"""``tidegate config``: show the settings, and who said so."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ConfigError
from ..server.explain import explained, explained_as_json, given_as_toml
from .settings import SettingsCommand, collected, settings_params

__all__ = ["command"]


@click.pass_context
def _config(ctx: click.Context, /, explain: bool, as_json: bool, **options: Any) -> None:
    settings = collected(ctx)
    try:
        config = settings.config(target_needed=False)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        text = explained_as_json(config, settings)
    elif explain:
        text = explained(config, settings)
    else:
        text = given_as_toml(config, settings)
    click.echo(text.rstrip("\n"))


command = SettingsCommand(
    "config",
    params=[
        *settings_params(),
        click.Option(["--explain"], is_flag=True, help="Show every option, its value and origin."),
        click.Option(["as_json", "--json"], is_flag=True, help="The same, as JSON."),
    ],
    callback=_config,
    help="Show the settings that 'tidegate run' would use with the same arguments.\n\n"
    "Without --explain: what was given, from the command line, the environment and the "
    "file, as one tidegate.toml.",
)
