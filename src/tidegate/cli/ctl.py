"""``tidegate ctl``: one call of the control socket."""

from __future__ import annotations

import json

import click

from .line import Line, socket_option, socket_path

__all__ = ["command"]


def _ctl(path: str | None, call: str, arguments: tuple[str, ...]) -> None:
    args: dict[str, object] = {}
    for argument in arguments:
        name, found, value = argument.partition("=")
        if not found:
            raise click.UsageError(f"{argument!r} is not NAME=VALUE")
        args[name] = int(value) if value.isdecimal() else value
    line = Line(socket_path(path))
    try:
        click.echo(json.dumps(line.ask(call, **args), indent=2))
    finally:
        line.close()


command = click.Command(
    "ctl",
    params=[
        click.Argument(["call"]),
        click.Argument(["arguments"], nargs=-1, metavar="[NAME=VALUE]..."),
        socket_option,
    ],
    callback=_ctl,
    help="Make one CALL on the control socket of a server, and print the answer as JSON.\n\n"
    "status, samples, histogram and stalls ask; log_level level=debug, certificates, "
    "cancel id=..., drain, and with several workers also recycle pid=PID and reload, act.",
)
