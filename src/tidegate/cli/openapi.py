"""``tidegate openapi``: the OpenAPI document of an application, and what has changed in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ..errors import ConfigError
from ..web.changes import breaking_changes
from ..web.openapi import document
from .framework import application, target_params

__all__ = ["command"]


def _openapi(
    target: str, output: Path | None, diff: Path | None, app_dir: str, factory: bool
) -> None:
    try:
        made = document(application(target, app_dir, factory))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    if diff is not None:
        _compare(diff, made)
        return
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None


def _compare(diff: Path, made: dict[str, object]) -> None:
    try:
        old = json.loads(diff.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(f"{diff}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(f"{diff} is not JSON: {error}") from None
    if not (isinstance(old, dict) and isinstance(old.get("paths"), dict)):
        raise click.ClickException(f"{diff} is not an OpenAPI document: it has no paths")
    changes = breaking_changes(old, made)
    for change in changes:
        click.echo(change)
    if changes:
        count = "1 breaking change" if len(changes) == 1 else f"{len(changes)} breaking changes"
        click.echo(f"{count} since {diff}", err=True)
        sys.exit(1)
    click.echo(f"nothing breaks clients of {diff}")


command = click.Command(
    "openapi",
    params=target_params(
        click.Option(
            ["-o", "--output"], type=click.Path(path_type=Path), help="Write it to this file."
        ),
        click.Option(
            ["--diff"],
            type=click.Path(path_type=Path),
            metavar="OLD.JSON",
            help="Compare with an older document; exit with 1 if clients would break.",
        ),
    ),
    callback=_openapi,
    help="Print the OpenAPI document of TARGET.",
)
