"""The test suite on each supported Python version.

``nox`` runs it on the versions other than the one nox itself runs on: that one
is the business of ``make unit``.  ``nox --sessions tests`` runs it on all.  A
version is found if its ``pythonX.Y`` runs; the others are named and skipped.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

import nox

VERSIONS = ["3.11", "3.12", "3.13"]


def runs(version: str) -> bool:
    """Say whether ``pythonX.Y`` is there and works; a pyenv shim may be there and not work."""
    try:
        done = subprocess.run([f"python{version}", "-c", "pass"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def activate_pyenv() -> None:
    """Let the shims of pyenv, if it is installed, find every version that pyenv has."""
    if shutil.which("pyenv") and "PYENV_VERSION" not in os.environ:
        listed = subprocess.run(
            ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False
        )
        os.environ["PYENV_VERSION"] = ":".join(reversed(listed.stdout.split()))


activate_pyenv()
FOUND = [version for version in VERSIONS if runs(version)]
for absent in sorted(set(VERSIONS) - set(FOUND)):
    print(f"python{absent} was not found: the tests are not run on it.")

CURRENT = ".".join(platform.python_version_tuple()[:2])
OTHERS = [f"tests-{version}" for version in FOUND if version != CURRENT]

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = OTHERS or ["nothing"]


@nox.session(python=FOUND)
def tests(session: nox.Session) -> None:
    """Install Tidegate as a user would and run the tests."""
    # setuptools would install modules that were deleted since its last build.
    shutil.rmtree("build", ignore_errors=True)
    session.install(".[dev]")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


if not OTHERS:

    @nox.session(python=False)
    def nothing(session: nox.Session) -> None:
        """Say that no other version was found."""
        session.log("No other supported version was found: there is nothing to run.")
