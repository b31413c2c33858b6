"""``tidegate top``: a server that runs, in a terminal, and keys that act on it."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from .line import Line, socket_option, socket_path
from .screen import Seen, frame

if sys.platform != "win32":
    import termios
    import tty

__all__ = ["command"]

_LEVELS = ("info", "debug", "trace", "warning", "error")

_KEYS = "d drain   r recycle a worker   R reload   l log level   c certificates   q quit"

# Another screen, no cursor; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _LINE_END, _SCREEN_END = "\x1b[H", "\x1b[K", "\x1b[J"


def _top(path: str | None, once: bool, as_json: bool, interval: float) -> None:
    line = Line(socket_path(path))
    try:
        if as_json:
            _print_json(line, once, interval)
        elif once:
            size = shutil.get_terminal_size((120, 1000))
            height = size.lines if sys.stdout.isatty() else 1000
            click.echo("\n".join(frame(_look(line), None, size.columns, height)))
        elif not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError("this is no terminal: use --once, or --json")
        else:
            with _terminal():
                _Screen(line, interval).run()
    finally:
        line.close()


def _look(line: Line) -> Seen:
    return Seen(line.ask("status"), line.ask("histogram"), line.ask("stalls"), time.monotonic())


def _print_json(line: Line, once: bool, interval: float) -> None:
    while True:
        seen = _look(line)
        picture = {"status": seen.status, "histogram": seen.histogram, "stalls": seen.stalls}
        click.echo(json.dumps(picture))
        if once:
            return
        time.sleep(interval)


@contextmanager
def _terminal() -> Iterator[None]:
    """Take over the terminal: keys come one by one, and the screen is ours."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    try:
        tty.setcbreak(stdin)
        _write(_ENTER)
        yield
    finally:
        _write(_LEAVE)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class _Screen:
    """Draws again and again, and does what keys say."""

    def __init__(self, line: Line, interval: float) -> None:
        self._line = line
        self._interval = interval
        self._level = 0  # index of the log level set last
        self._said = ""  # what the last key has done
        self._confirm = ""  # the key that waits for a yes
        self._before: Seen | None = None

    def run(self) -> None:
        """Return when the user has seen enough."""
        key = ""
        while key not in ("q", "\x03", "\x04"):
            seen = _look(self._line)
            self._draw(seen)
            self._before = seen
            ready, _, _ = select.select([sys.stdin], [], [], self._interval)
            key = os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") if ready else ""
            if key:
                self._said = self._act(key, seen)

    def _draw(self, seen: Seen) -> None:
        size = shutil.get_terminal_size()
        lines = frame(seen, self._before, size.columns, size.lines - 3)[: size.lines - 3]
        lines += ["", self._said[: size.columns], _KEYS[: size.columns]]
        _write(_HOME + "".join(f"{one}{_LINE_END}\r\n" for one in lines).removesuffix("\r\n"))
        _write(_SCREEN_END)

    def _act(self, key: str, seen: Seen) -> str:
        confirmed, self._confirm = self._confirm, ""
        try:
            if confirmed:
                return self._order(confirmed, seen) if key == "y" else "Not done"
            if key == "l":
                self._level = (self._level + 1) % len(_LEVELS)
                self._line.ask("log_level", level=_LEVELS[self._level])
                return f"The log level is {_LEVELS[self._level]}"
            if key == "c":
                done = all(self._line.ask("certificates"))
                return "Certificates read again" if done else "They are no good: see the log"
            if key in ("d", "r", "R"):
                self._confirm = key
                what = {"d": "Drain and stop the server", "r": "Replace the oldest worker"}
                return f"{what.get(key, 'Replace all workers')}? y, or any other key for no"
        except click.ClickException as error:
            return error.message
        return ""

    def _order(self, key: str, seen: Seen) -> str:
        if key == "d":
            self._line.ask("drain")
            return "The server drains"
        if key == "r":
            pid = seen.status["workers"][0]["pid"] if seen.status["workers"] else 0
            self._line.ask("recycle", pid=pid)
            return f"Worker {pid} will be replaced"
        self._line.ask("reload")
        return "All workers will be replaced"


command = click.Command(
    "top",
    params=[
        socket_option,
        click.Option(["--once"], is_flag=True, help="Print one picture and end."),
        click.Option(["as_json", "--json"], is_flag=True, help="Print objects, one a line."),
        click.Option(
            ["--interval"],
            type=click.FloatRange(0.1, 3600),
            default=1.0,
            show_default=True,
            help="Seconds between two pictures.",
        ),
    ],
    callback=_top,
    help="Watch a server: workers, requests in flight, latency, what blocks the event loop.\n\n"
    "The server must have been started with --control-socket PATH.",
)
