"""The line to a server that runs: its control socket."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

import click

from ..server.sources import collect

__all__ = ["Line", "socket_option", "socket_path"]

# The server waits 3 s for workers that are blocked.
_PATIENCE = 10.0

socket_option = click.Option(
    ["path", "--socket"],
    metavar="PATH",
    help="The control socket of the server [default: control_socket, as in the settings].",
)


def socket_path(given: str | None) -> str:
    """Return where the control socket is.  Raises ``click.ClickException``."""
    if given is not None:
        return given
    config, _ = collect({}).usable(target_needed=False)
    path = config.control_socket if config is not None else None
    if path is None:
        raise click.ClickException(
            "which server? Start it with --control-socket PATH, then give the same path to --socket"
        )
    return path


class Line:
    """Asks one server; raises ``click.ClickException`` that says why it cannot."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
        self._file: Any = None  # None until connected
        try:
            self._socket.connect(path)
        except FileNotFoundError:
            raise self._failed("there is no such socket: is the server running?") from None
        except ConnectionRefusedError:
            raise self._failed("nobody listens there any more") from None
        except PermissionError:
            raise self._failed("it belongs to another user") from None
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from None
        self._file = self._socket.makefile("rwb")

    def ask(self, call: str, **args: Any) -> Any:
        """Return the answer to one call."""
        try:
            self._file.write(json.dumps({"call": call, "args": args}).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
        except TimeoutError:
            raise self._failed(f"no answer for {_PATIENCE:g} s") from None
        except OSError:
            line = b""
        if not line:
            raise self._failed("the server has closed it")
        answer = json.loads(line)
        if "error" in answer:
            raise click.ClickException(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _failed(self, why: str) -> click.ClickException:
        self.close()
        return click.ClickException(f"{self.path}: {why}")
