"""Rows, servers and generators fit together."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path
from typing import NoReturn

import bench
import pytest
from bench.errors import BenchError
from bench.load import GENERATORS
from bench.measure import MEASURES, Sample
from bench.report import table
from bench.rows import ROWS
from bench.run import Entry
from bench.servers import SERVERS

pytestmark = pytest.mark.once

WORDS = {"python": "a b/python", "port": "8000", "certificate": "a b/c.pem", "key": "a b/k.pem"}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_measured_on_tidegate(name: str) -> None:
    row = ROWS[name]
    assert row.protocol in GENERATORS
    assert row.measure in MEASURES
    assert SERVERS["tidegate"].serves(row.protocol, row.interface)


@pytest.mark.parametrize("name", SERVERS)
def test_every_command_line_can_be_filled_in(name: str) -> None:
    server = SERVERS[name]
    assert set(server.extras) <= set(ROWS)
    for row in ROWS.values():
        if server.serves(row.protocol, row.interface):
            command = server.command(row, WORDS)
            assert any("8000" in word for word in command)
            assert "a b/python" in command


def test_the_words_of_a_row_are_on_the_command_line_of_that_row_only() -> None:
    words = ["--http3", "--ssl-certfile", "a b/c.pem", "--ssl-keyfile", "a b/k.pem"]
    assert SERVERS["tidegate"].command(ROWS["http3"], WORDS)[-5:] == words
    assert "--http3" not in SERVERS["tidegate"].command(ROWS["hello"], WORDS)


def test_servers_without_http3_are_not_measured_on_it() -> None:
    row = ROWS["http3"]
    able = {name for name, one in SERVERS.items() if one.serves(row.protocol, row.interface)}
    assert able == {"tidegate", "tidegate-pure", "hypercorn", "peregrine"}
    assert all(row.name in SERVERS[name].extras for name in able)


def test_who_lacks_the_client_of_http3_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "aioquic" in GENERATORS["http3"].version()

    def missing(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(BenchError, match=r"aioquic.*pip install -r bench/requirements\.txt"):
        GENERATORS["http3"].version()


def test_the_client_of_http3_is_of_a_version_that_tidegate_takes_too() -> None:
    folder = Path(bench.__file__).parent
    project = tomllib.loads((folder.parent / "pyproject.toml").read_text())["project"]
    wanted = (folder / "requirements.txt").read_text().splitlines()
    assert set(project["optional-dependencies"]["http3"]) <= set(wanted)


def test_the_report_says_what_was_cut() -> None:
    row, server = ROWS["broadcast"], SERVERS["tidegate"]
    figures = dict.fromkeys((figure.key for figure in row.figures), 1.0)
    for note, lines in (("", []), ("9 messages", ["* tidegate: cut to 9 messages."])):
        entry = Entry([Sample(figures, note=note)])
        found = table(row, [server], {(row.name, server.name): entry})
        assert [line for line in found if "cut to" in line] == lines
