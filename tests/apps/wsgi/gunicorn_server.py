"""How does a test run the server that Tidegate's answers are compared with?"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from launcher import Server

__all__ = ["Gunicorn"]


class Gunicorn(Server):
    """One gunicorn with one worker process and threads."""

    serving = re.compile(r"Listening at: (?P<where>http://\S+)")

    def command(self, target: str, options: tuple[str, ...], app_dir: Path) -> list[str]:
        command = [sys.executable, "-m", "gunicorn", target, "--bind", "127.0.0.1:0"]
        # Without the socket nothing is written into the home directory.
        command += ["--no-control-socket", "--worker-class", "gthread"]
        return [*command, "--chdir", str(app_dir), *options]
