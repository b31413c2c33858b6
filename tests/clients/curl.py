"""Runs curl: quiet, without its configuration file and proxies, never for ever."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

__all__ = ["Curl", "Ran"]

COMMAND = ("curl", "--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20")


@dataclass
class Ran:
    """What curl wrote, and its exit code."""

    output: str
    messages: str
    code: int

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Curl:
    """Call it with arguments of curl."""

    def __call__(self, *arguments: str, sent: bytes = b"") -> Ran:
        """Run to the end; ``sent`` is standard input.  Fails the test unless curl succeeds."""
        done = self.try_(*arguments, sent=sent)
        assert done.code == 0, done.messages
        return done

    def try_(self, *arguments: str, sent: bytes = b"") -> Ran:
        """The same, whatever curl's exit code."""
        done = subprocess.run(
            [*COMMAND, *arguments], input=sent, capture_output=True, timeout=30, check=False
        )
        return Ran(done.stdout.decode(), done.stderr.decode(), done.returncode)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run beside the test; use it as a context manager."""
        return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE)
