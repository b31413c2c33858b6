"""``tidegate openapi``: the OpenAPI document of an application, and what has changed in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ..web.changes import breaking_changes
from ..web.openapi import document
from .framework import application, target_params

__all__ = ["command"]


def _openapi(
    target: str, output: Path | None, diff: Path | None, app_dir: str, factory: bool
) -> None:
    made = document(application(target, app_dir, factory))
    if diff is not None:
        _compare(diff, made)
        return
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _compare(diff: Path, made: dict[str, object]) -> None:
    try:
        old = json.loads(diff.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{diff}: {error}") from None
    changes = breaking_changes(old, made)
    for change in changes:
        click.echo(change)
    if changes:
        click.echo(f"{len(changes)} breaking changes since {diff}", err=True)
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
