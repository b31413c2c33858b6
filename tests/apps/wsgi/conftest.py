"""Each application twice: under Tidegate and under gunicorn, once for the whole run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
APPLICATIONS = HERE.parent / "applications"
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import postgresql  # noqa: E402
from gunicorn_server import Gunicorn  # noqa: E402
from launcher import Launcher, Server, environment  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402

THREADS = 4
LARGE = 3_000_000
MODIFIED = 1_700_000_000


@dataclass(frozen=True)
class Pair:
    """One application under both servers."""

    tidegate: Server
    gunicorn: Server


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What applications give out."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "text.txt").write_text("Grüße\n" * 100)
    (folder / "large.bin").write_bytes(bytes(range(250)) * (LARGE // 250))
    for path in folder.iterdir():
        os.utime(path, (MODIFIED, MODIFIED))
    return folder


@pytest.fixture(scope="session")
def server_of_postgresql() -> Iterator[PostgreSQL]:
    with postgresql.opened() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_database(server_of_postgresql: PostgreSQL) -> Callable[[str], str]:
    """Makes a filled database of a new name; returns what the application is told."""
    filled = "filled"
    server_of_postgresql.run(f"create database {filled}")
    prepare(POSTGRESQL=server_of_postgresql.environment(filled))

    def make(name: str) -> str:
        server_of_postgresql.run(f"create database {name} template {filled}")
        return server_of_postgresql.environment(name)

    return make


@pytest.fixture(scope="session")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes a filled database of a new name; returns what the application is told."""
    folder = tmp_path_factory.mktemp("databases")
    prepare(DATABASE=str(folder / "filled"))

    def make(name: str) -> str:
        return str(shutil.copy(folder / "filled", folder / name))

    return make


@pytest.fixture(scope="session")
def launch() -> Iterator[Launcher]:
    with Launcher(APPLICATIONS).opened() as launcher:
        yield launcher


@pytest.fixture(scope="session")
def pairs(
    launch: Launcher,
    files: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Pair]]:
    """Starts the application of a name under both, if it does not run yet."""
    made: dict[str, Pair] = {}

    def settings(name: str, server: str) -> dict[str, str]:
        """The same for both, but what they write to."""
        # Its name is part of answers.
        folder = tmp_path_factory.mktemp(server) / "folder"
        folder.mkdir()
        env = {"FILES": str(files), "FOLDER": str(folder)}
        # Frameworks make headers out of sets.
        env["PYTHONHASHSEED"] = "0"
        if name == "django_postgresql":
            env["POSTGRESQL"] = request.getfixturevalue("postgresql_database")(f"for_{server}")
        elif name == "django":
            env["DATABASE"] = request.getfixturevalue("sqlite_database")(f"for_{server}")
        return env

    def pair(name: str) -> Pair:
        if name == "httpbin" and importlib.util.find_spec("httpbin") is None:
            pytest.skip(
                "httpbin is not installed: below Python 3.12 it cannot be, beside playwright"
            )
        if name not in made:
            target = f"wsgi_{name.partition('_')[0]}:app"
            threads = ("--threads", str(THREADS))
            made[name] = Pair(
                launch(target, *threads, env=settings(name, "tidegate")),
                other(target, *threads, env=settings(name, "gunicorn")),
            )
        return made[name]

    with Launcher(APPLICATIONS, Gunicorn).opened() as other:
        yield pair


def prepare(**env: str) -> None:
    """Fill a database, in a process of its own: Django is global."""
    code = "import wsgi_django; wsgi_django.prepare()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=APPLICATIONS,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
