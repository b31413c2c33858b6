"""``tidegate check``: check the settings and import the application, without serving it."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ConfigError
from ..server.check import check
from ..server.environment import read_env_file
from .settings import SettingsCommand, collected, settings_params

__all__ = ["command"]


@click.pass_context
def _check(ctx: click.Context, /, **options: Any) -> None:
    settings = collected(ctx)
    config, complaints = settings.usable()
    try:
        if config.env_file is not None:
            read_env_file(config.env_file)
    except ConfigError as error:
        complaints.append(str(error))
    findings = check(config)
    complaints += findings.complaints
    for fact in findings.facts:
        click.echo(fact)
    if complaints:
        raise click.ClickException("\n".join(complaints))
    click.echo(f"the settings can be used ({settings.file or 'no configuration file'})")


command = SettingsCommand(
    "check",
    params=settings_params(),
    callback=_check,
    help="Check the settings that 'tidegate run' would use with the same arguments, import "
    "TARGET, and say what it is. Everything wrong is listed at once.",
)
