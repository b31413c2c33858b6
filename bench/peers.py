"""Which interpreter runs which server, and which servers are there at all?

Peers live in a virtual environment of their own, made here from
``requirements-peers.txt``, so that they never meet Tidegate's dependencies.
Comparing across CPython versions would compare CPythons, so that is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import BenchError
from .servers import Server

__all__ = ["Installation", "installation", "make_peers"]

FOLDER = Path(__file__).parent
APPS = FOLDER / "apps"
REQUIREMENTS = FOLDER / "requirements-peers.txt"
VENV = FOLDER / ".venv-peers"
INSTALL_TIMEOUT = 600.0

# Asked of each interpreter; prints what Installation needs.
QUESTION = """
import importlib.metadata as metadata, json, sys, sysconfig
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps([sys.version.split()[0], sys.implementation.name,
                  sysconfig.get_path("scripts"), versions]))
"""


@dataclass(frozen=True)
class Installation:
    """One interpreter and the servers installed for it."""

    python: str
    scripts: str
    versions: Mapping[str, str]
    """Distribution to version; absent if not installed."""

    def environment(self, server: Server) -> dict[str, str]:
        """Return the environment to start ``server`` in.

        It is built from nothing, so that no ``WEB_CONCURRENCY``,
        ``UVICORN_...`` or the like of the caller's shell takes part.
        """
        search = [str(APPS)]
        if server.ours and "PYTHONPATH" in os.environ:
            # Tidegate may be run from a checkout.
            search.append(os.environ["PYTHONPATH"])
        return {
            # m0serve looks for its libpython through the python3 on PATH.
            "PATH": os.pathsep.join([self.scripts, os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(search),
            "LANG": "C.UTF-8",
            **server.environment,
        }


def installation(python: str, packages: Iterable[str]) -> Installation:
    """Ask an interpreter what it has.  Raises ``BenchError`` if it cannot take part."""
    try:
        # Isolated: what counts is what is installed, not where we stand.
        flags = [] if python == sys.executable else ["-I"]
        done = subprocess.run(
            [python, *flags, "-c", QUESTION, *packages],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"{python} is not a Python interpreter that runs: {error}") from None
    version, implementation, scripts, versions = json.loads(done.stdout)
    ours = sys.version.split()[0]
    if (version, implementation) != (ours, sys.implementation.name):
        raise BenchError(
            f"the peers' Python is {implementation} {version}, this one is"
            f" {sys.implementation.name} {ours}; both must be the same version"
        )
    return Installation(python, scripts, versions)


def make_peers(say: Callable[[str], None]) -> str:
    """Return the interpreter of the peers' environment, making it where needed.

    A peer that cannot be installed is named and left out.  Raises
    ``BenchError`` if no environment can be made.
    """
    python = VENV / "bin" / "python"
    stamp = VENV / "made-from"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    say(f"installing the peers into {VENV.relative_to(FOLDER.parent)} (once)")
    make = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    try:
        subprocess.run(make, capture_output=True, text=True, timeout=120, check=True)
    except subprocess.SubprocessError as error:
        raise BenchError(f"cannot make {VENV}: {error}") from None
    for line in REQUIREMENTS.read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement:
            say(f"  {requirement}: {install(str(python), requirement)}")
    stamp.write_text(wanted)
    return str(python)


def install(python: str, requirement: str) -> str:
    """Install one requirement; return ``"installed"`` or why not."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, requirement],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"left out: pip took more than {INSTALL_TIMEOUT:.0f} s"
    if done.returncode == 0:
        return "installed"
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return f"left out: {errors[-1] if errors else 'pip failed'}"
