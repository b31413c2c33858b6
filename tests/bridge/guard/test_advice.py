"""The table says of each library what to use instead, and can be searched by name."""

from __future__ import annotations

import importlib
import re
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tidegate.bridge.guard import advice
from tidegate.bridge.guard.advice import BLOCKING_KINDS, TABLE, Advice, async_map, in_general
from tidegate.bridge.guard.names import name_of
from tidegate.errors import ConfigError

ROWS = async_map().rows
DOTTED = re.compile(r"[A-Za-z_]\w*(\.([A-Za-z_]\w*|<locals>))*(\.\*)?")


def test_the_table_is_as_large_as_the_world_of_blocking_libraries() -> None:
    assert len(ROWS) > 150
    assert {row.kind for row in ROWS} > set(BLOCKING_KINDS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.library)
def test_a_row_is_complete(row: Advice) -> None:
    assert row.patterns
    for name in (*row.patterns, *row.asynchronous, *row.blocks):
        assert DOTTED.fullmatch(name), name
    for name in row.blocks:
        assert any(f"{name}.".startswith(f"{known}.") for known in row.patterns), name
    for name in (*row.patterns, *row.asynchronous):
        assert not name.endswith("*")
    assert all(text.strip() == text and text for text in row.instead)
    assert not row.note or (row.note[0].isupper() and row.note[-1] == ".")
    if not row.instead:
        assert row.kind in BLOCKING_KINDS


def test_no_name_is_given_twice() -> None:
    for field in ("patterns", "blocks"):
        names = [name for row in ROWS for name in getattr(row, field)]
        assert len(names) == len(set(names))


STANDARD = [
    name
    for row in ROWS
    for name in row.blocks
    if name.partition(".")[0] in sys.stdlib_module_names and not name.endswith("*")
]


@pytest.mark.parametrize("name", STANDARD)
def test_what_blocks_in_the_standard_library_is_listed_by_the_name_it_is_found_by(
    name: str,
) -> None:
    owner, attribute = owner_of(name)
    kind = owner if isinstance(owner, type) else None
    assert name_of(getattr(owner, attribute), kind) == name


def owner_of(name: str) -> tuple[Any, str]:
    path, _, attribute = name.rpartition(".")
    if path == "threading.lock":
        return type(threading.Lock()), attribute
    module, _, kind = path.rpartition(".")
    try:
        return importlib.import_module(path), attribute
    except ImportError:
        return getattr(importlib.import_module(module), kind), attribute


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("time.sleep", "time.sleep"),
        ("requests.api.get", "requests"),
        ("requests", "requests"),
        ("redis.client.Redis.execute_command", "redis"),
        ("redis.asyncio.client.Redis.execute_command", None),
        ("sqlalchemy.orm.session.Session.get", "sqlalchemy"),
        ("sqlalchemy.ext.asyncio.session.AsyncSession.get", None),
        ("threading.Thread.join", "threading.Thread.join"),
        ("threading.Thread.run", None),
        ("requestslike.get", None),
        ("flask.app.Flask.run", None),
        ("", None),
    ],
)
def test_a_name_finds_its_row(name: str, library: str | None) -> None:
    row = async_map().find(name)
    assert (row.library if row else None) == library


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("time.sleep", "time.sleep"),
        ("time.sleep.x", None),
        ("requests.api.get", "requests"),
        ("requests.sessions.Session.send", "requests"),
        ("requests.sessions.Session.__init__", None),
        ("requests.models.Response.json", None),
        ("threading.Thread.start", None),
    ],
)
def test_only_a_listed_callable_is_blocking(name: str, library: str | None) -> None:
    row = async_map().blocking(name)
    assert (row.library if row else None) == library


def test_the_first_name_that_is_known_wins() -> None:
    names = ["shop.views.index", "requests.api.get", "urllib3.request", "socket.socket.recv"]
    found = async_map().first(names)
    assert found is not None
    assert (found[0], found[1].library) == ("requests.api.get", "requests")
    assert async_map().first(["shop.views.index", ""]) is None


def test_what_asynchronous_code_calls_is_not_looked_into() -> None:
    assert async_map().first(["httpx._client.AsyncClient.get", "json.loads"]) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("time.sleep", "time.sleep -> asyncio.sleep"),
        ("threading.Event.wait", "threading.Event.wait -> asyncio.Event"),
        ("requests.api.get", "requests.api.get -> httpx.AsyncClient or aiohttp.ClientSession or"),
        ("requests.api.get", ", or call it in a thread: await to_thread(...)"),
        ("duckdb.sql", "duckdb.sql: call it in a thread"),
        ("json.loads", "or call it in a process pool"),
        ("re.match", "re.match: call it in a process pool"),
    ],
)
def test_advice_is_one_line_that_says_what_to_write(name: str, words: str) -> None:
    row = async_map().find(name)
    assert row is not None
    assert words in row.text(name)


def test_advice_for_what_no_row_knows_depends_on_what_it_did() -> None:
    assert "process pool" in in_general(computed=True)
    assert "to_thread" in in_general(computed=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[reasons]\n[network]\na = { instead = [] }", r"\[network\] has no reason"),
        ("[reasons]\nnetwork = 'waits'\n[network]\na = { }", "a: no instead"),
        (
            "[reasons]\nnetwork = 'waits'\n[network]\na = { instead = [], blocs = [] }",
            r"a: \['blocs'\]",
        ),
    ],
)
def test_a_table_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        list(advice._rows(tomllib.loads(text)))


def test_the_table_is_package_data() -> None:
    assert TABLE.is_file()
    project = Path(__file__).parents[3] / "pyproject.toml"
    data = tomllib.loads(project.read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    assert str(TABLE.relative_to(TABLE.parents[2])) in data["tidegate"]
