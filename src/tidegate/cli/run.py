"""``tidegate run``: serve an application."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from ..errors import ConfigError
from ..server.config import Config
from ..server.run import serve
from ..server.server import EXIT_STARTUP_FAILED, StartupFailed
from ..server.sources import Settings
from .settings import SettingsCommand, collected, settings_params

__all__ = ["command", "serve_settings"]


@click.pass_context
def _run(ctx: click.Context, /, **options: Any) -> None:
    serve_settings(collected(ctx), lambda: collected(ctx).config())


def serve_settings(settings: Settings, again: Callable[[], Config] | None = None) -> None:
    """Serve; end the program with the status that says how it went, if not well.

    ``again`` reads the settings anew, for a reload.
    """
    try:
        serve(settings.config(), again)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    except StartupFailed:
        sys.exit(EXIT_STARTUP_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


command = SettingsCommand(
    "run",
    params=settings_params(),
    callback=_run,
    help="Serve the application TARGET, given as 'module:attribute'.\n\n"
    "Every option can also be set in the environment, TIDEGATE_PORT=9000, and in "
    "tidegate.toml, port = 9000; 'tidegate config --explain' says what is set where.",
)
