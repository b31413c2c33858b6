"""The test suite on each supported Python version, and what is made of the sources.

``nox`` runs the tests on the versions other than the one nox itself runs on:
that one is the business of ``make unit``, and interpreted.  Here Tidegate is
compiled if a C compiler is found.  Where no other version is found, nox runs
compiled what has compiled modules, on the version of ``make unit``.  ``nox
--sessions tests`` runs all tests on all versions.  A version is found if its
``pythonX.Y`` runs; the others are named and skipped.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nox

VERSIONS = ["3.11", "3.12", "3.13"]

# What drives compiled modules most directly.
COMPILED = ("tests/wire", "tests/exchange", "tests/net", "tests/calls", "tests/test_speeds.py")

# As much of the extra "dev" as these tests need.
TEST_TOOLS = (
    *("hypothesis", "pytest>=8.3", "pytest-randomly", "pytest-timeout", "pytest-xdist"),
    *("aioquic>=1.7,<1.8", "anyio", "cryptography", "h2", "hpack", "pylsqpack>=1.0,<2"),
    *("starlette", "trustme"),
)

# One more than there are cores: tests wait much for other processes.
WORKERS = str(1 + (os.cpu_count() or 1))

SANITIZE = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover"


def output(*command: str) -> str | None:
    """Return what a command prints; None if it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def runs(version: str) -> bool:
    """Say whether ``pythonX.Y`` is there and works; a pyenv shim may be there and not work."""
    return output(f"python{version}", "-c", "pass") is not None


def activate_pyenv() -> None:
    """Let the shims of pyenv, if it is installed, find every version that pyenv has."""
    listed = output("pyenv", "versions", "--bare") if shutil.which("pyenv") else None
    if listed is not None and "PYENV_VERSION" not in os.environ:
        os.environ["PYENV_VERSION"] = ":".join(reversed(listed.split()))


activate_pyenv()
FOUND = [version for version in VERSIONS if runs(version)]
for absent in sorted(set(VERSIONS) - set(FOUND)):
    print(f"python{absent} was not found: the tests are not run on it.")

CURRENT = ".".join(platform.python_version_tuple()[:2])

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [f"tests-{one}" for one in FOUND if one != CURRENT] or ["compiled"]


def speed(session: nox.Session) -> dict[str, str]:
    """Return the environment that compiles Tidegate, if that is possible here."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    program = "import sysconfig; print(sysconfig.get_path('include'))"
    include = output(str(session.virtualenv.bin_paths[0]) + "/python", "-c", program)
    if shutil.which(compiler) and include and Path(include, "Python.h").exists():
        return {"TIDEGATE_REQUIRE_COMPILED": "1"}
    session.warn("No C compiler, or no Python.h: Tidegate is tested interpreted, not compiled.")
    return {"TIDEGATE_PURE": "1"}


def install(session: nox.Session, *arguments: str, env: dict[str, str]) -> None:
    """Install Tidegate as a user would."""
    # setuptools would install modules that were deleted since its last build.
    shutil.rmtree("build", ignore_errors=True)
    # Most of what the tests bring is never imported.
    session.install("--no-compile", *arguments, env=env)


@nox.session(python=FOUND)
def tests(session: nox.Session) -> None:
    """Run all tests; but on another version not those that ``make unit`` runs for all."""
    env = speed(session)
    install(session, ".[dev]", env=env)
    chosen = [] if session.python == CURRENT else ["-m", "not once"]
    session.run("python", "-m", "pytest", "-q", "-n", WORKERS, *chosen, *session.posargs, env=env)


@nox.session(python=CURRENT)
def compiled(session: nox.Session) -> None:
    """Run the tests of the compiled modules on the version of ``make unit``."""
    env = speed(session)
    if "TIDEGATE_PURE" in env:
        return
    arguments = session.posargs or COMPILED
    install(session, *([".[dev]"] if session.posargs else [".", *TEST_TOOLS]), env=env)
    session.run("python", "-m", "pytest", "-q", "-n", WORKERS, *arguments, env=env)


@nox.session(python=CURRENT)
def sanitize(session: nox.Session) -> None:
    """Run the wire tests on modules built with the address and undefined-behaviour sanitizers."""
    env = {**speed(session), "TIDEGATE_CFLAGS": SANITIZE}
    names = ("libasan.so", "libubsan.so")
    libraries = [output("gcc", f"-print-file-name={name}") or "" for name in names]
    if "TIDEGATE_PURE" in env or not all(Path(one).is_absolute() for one in libraries):
        session.error("this needs gcc with its sanitizers, and Python.h")
    install(session, ".", *TEST_TOOLS, env={**env, "CC": "gcc", "LDSHARED": "gcc -shared"})
    env |= {
        "LD_PRELOAD": " ".join(libraries),
        # Python itself does not free everything at its end.
        "ASAN_OPTIONS": "detect_leaks=0",
        # So that each object has memory of its own, which can be watched.
        "PYTHONMALLOC": "malloc",
    }
    session.run("python", "-m", "pytest", "-q", "-n", WORKERS, "tests/wire", env=env)


@nox.session(python=CURRENT)
def wheels(session: nox.Session) -> None:
    """Build what is published into dist/, install each of it afresh and send it a request."""
    session.install("build")
    session.run("python", "tools/wheels.py", "dist")
