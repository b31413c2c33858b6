"""The sites of these tests: shared by all tests of a run, or one test's own."""

from __future__ import annotations

import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
APPLICATIONS = HERE / "applications"
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from launcher import Launcher  # noqa: E402
from sites import Site, Sites  # noqa: E402


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file as someone would publish it: 20 000 rows, names beyond ASCII."""
    path = tmp_path_factory.mktemp("database") / "library.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table books (id integer primary key, title text, pages int)")
        rows = [(n, f"Buch über Züge Nr. {n}", n % 900) for n in range(1, 20_001)]
        connection.executemany("insert into books values (?, ?, ?)", rows)
        connection.execute('create table "café au lait" (id integer primary key, size text)')
        connection.execute("insert into \"café au lait\" values (1, 'gro\u00df')")
    return path


@pytest.fixture(scope="session")
def shared_sites(database: Path) -> Iterator[Sites]:
    with Launcher(APPLICATIONS).opened() as launch:
        yield Sites(launch, database)


@pytest.fixture
def own_sites(database: Path) -> Iterator[Sites]:
    """For a test that needs options, or a server of its own to stop."""
    with Launcher(APPLICATIONS).opened() as launch:
        yield Sites(launch, database)


@pytest.fixture
def site(request: pytest.FixtureRequest, shared_sites: Sites) -> Iterator[Site]:
    """The application of the framework that the test is parametrised with."""
    server = shared_sites.shared(request.param)
    with httpx.Client(base_url=server.base_url, timeout=20, trust_env=False) as client:
        site = Site(request.param, server, client)
        yield site
        server.check()
        site.settle()
        server.check()


@pytest.fixture
def key() -> str:
    """Names one request in the notebook of an application."""
    return uuid.uuid4().hex
