"""How does a test get a PostgreSQL of its own?  From the binaries of the system.

It listens on a Unix socket in a private folder and nowhere else.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["PostgreSQL", "opened"]

# Nothing here must outlive a crash, and so nothing waits for the disk.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "synchronous_commit": "off",
}


@dataclass(frozen=True)
class PostgreSQL:
    """A running server."""

    folder: str  # of its socket
    user: str

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Execute one statement; return its rows."""
        with psycopg.connect(
            host=self.folder, user=self.user, dbname="postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def connections(self, database: str) -> int:
        """How many connections the server itself counts."""
        rows = self.run(f"select count(*) from pg_stat_activity where datname = '{database}'")
        count = rows[0][0]
        assert isinstance(count, int)
        return count

    def environment(self, database: str) -> str:
        """What ``wsgi_django.py`` reads."""
        return f"{self.folder} {self.user} {database}"


@contextmanager
def opened() -> Iterator[PostgreSQL]:
    """Run a server while the block lasts; skip the test where that is impossible."""
    programs = _programs()
    owner = _owner()
    # Its path is short, because that of a socket is at most about 100 bytes; and
    # outside of pytest's folders, which only their owner can enter.
    folder = tempfile.mkdtemp(prefix="tidegate-pg-")
    data = f"{folder}/data"

    def run(program: str, *options: str) -> None:
        _run(owner, folder, [programs / program, "-D", data, *options])

    try:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = owner.pw_name
        run("initdb", "-U", user, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = [f"-c {name}='{value}'" for name, value in SETTINGS.items()]
        log = f"{folder}/log"
        # It returns when connections are accepted.
        run("pg_ctl", "start", "-w", "-l", log, "-o", " ".join([f"-k {folder}", *options]))
        try:
            yield PostgreSQL(folder, user)
        finally:
            # Signals the process whose id the data folder holds.
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Return the folder of the newest version; Debian keeps it out of PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3])
    )
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    if elsewhere is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(elsewhere).parent


def _owner() -> pwd.struct_passwd:
    """Return who runs it: not root, initdb refuses that."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


def _run(owner: pwd.struct_passwd, folder: str, command: list[Path | str]) -> None:
    # A file, not a pipe: the server that pg_ctl starts would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        rights: dict[str, Any] = {}
        if os.geteuid() == 0:
            rights = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        done = subprocess.run(
            command,
            **rights,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=50,
        )
        if done.returncode:
            output.seek(0)
            pytest.fail(f"{command} ended with {done.returncode}:\n{output.read().decode()}")
