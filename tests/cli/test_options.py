"""Every setting is an option and an environment variable; what is wrong is said in one line."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tidegate
from tidegate._pure import speed
from tidegate.cli import command, main
from tidegate.cli.settings import collected, options_table
from tidegate.server.config import Config
from tidegate.server.options import options_of

PYTHON = ".".join(map(str, sys.version_info[:3]))
VERSION = f"tidegate {tidegate.__version__} ({speed()}, Python {PYTHON})\n"

OPTIONS = [each for each in dataclasses.fields(Config) if each.metadata]


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def settings(*arguments: str) -> dict[str, Any]:
    """Return what ``tidegate run`` would make of a command line, without running."""
    with command("run").make_context("run", ["module:app", *arguments]) as context:
        return vars(collected(context).config())


def long_name(name: str) -> str:
    return options_of(Config)[name].flags[0]


def complaint(*arguments: str) -> str:
    """Return the one line that a wrong command line gets."""
    result = run("run", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("tidegate: ")
    return result.stderr.removeprefix("tidegate: ").strip()


# Help and version.


def test_help_lists_every_setting_under_its_group() -> None:
    result = run("run", "--help")
    assert result.exit_code == 0
    for each in OPTIONS:
        assert re.search(rf"^  {long_name(each.name)}\b", result.stdout, re.MULTILINE), each.name
        assert f"\n{each.metadata['group']}:\n" in result.stdout


def test_help_shows_defaults_and_choices() -> None:
    text = " ".join(run("run", "--help").stdout.split())
    assert "[default: 8000]" in text
    assert "[asyncio|auto|uvloop]" in text or "[auto|asyncio|uvloop]" in text
    assert "--proxy-headers / --no-proxy-headers" in text
    assert "'module:attribute'" in text


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_program_explains_itself(flag: str) -> None:
    result = run(flag)
    assert result.exit_code == 0
    assert "Serve an application." in result.stdout


def test_the_program_without_a_command_explains_itself() -> None:
    result = run()
    assert result.exit_code == 0
    assert "Serve an application." in result.stdout


def test_the_version_says_which_speed_it_is() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == VERSION


def test_the_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == VERSION


def test_the_table_for_the_reference_has_a_row_for_every_setting() -> None:
    table = options_table()
    for each in OPTIONS:
        rows = [line for line in table.splitlines() if f"`{long_name(each.name)}`" in line]
        assert len(rows) == 1, each.name
        assert each.metadata["help"] in rows[0]
    assert "| `--port` | 8000 |" in table
    assert "| `--access-log`, `--no-access-log` | on |" in table
    assert "One of: auto, asyncio, uvloop." in table


# Values.


def test_the_defaults_of_the_command_line_are_those_of_the_configuration() -> None:
    assert settings() == vars(Config("module:app"))


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--port", "9000"], "port", 9000),
        (["--fd", "3"], "fd", 3),
        (["--timeout-head", "1.5"], "timeout_head", 1.5),
        (["--loop", "asyncio"], "loop", "asyncio"),
        (["--no-proxy-headers"], "proxy_headers", False),
        (["--use-colors"], "use_colors", True),
        (["--no-use-colors"], "use_colors", False),
        ([], "use_colors", None),
        (["--factory"], "factory", True),
        (["--h11-max-incomplete-event-size", "9999"], "max_head_size", 9999),
        (["--header", "X-A: 1"], "headers", [("X-A", "1")]),
        (["--header", "A:b:c", "--header", "D:  e "], "headers", [("A", "b:c"), ("D", "e")]),
        (
            ["--mount", "/a=wsgi:b:c", "--mount", "/d=e:f"],
            "mounts",
            {"/a": "wsgi:b:c", "/d": "e:f"},
        ),
        (["--ws-per-message-deflate", "false"], "ws_per_message_deflate", False),
    ],
)
def test_an_option_sets_its_field(arguments: list[str], name: str, value: object) -> None:
    assert settings(*arguments)[name] == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("TIDEGATE_PORT", "9000", "port", 9000),
        ("TIDEGATE_ACCESS_LOG", "false", "access_log", False),
        ("TIDEGATE_ACCESS_LOG", "1", "access_log", True),
        ("TIDEGATE_WORKERS", "3", "workers", 3),
        ("WEB_CONCURRENCY", "4", "workers", 4),
        ("TIDEGATE_FORWARDED_ALLOW_IPS", "10.0.0.1", "forwarded_allow_ips", "10.0.0.1"),
        ("FORWARDED_ALLOW_IPS", "*", "forwarded_allow_ips", "*"),
        ("TIDEGATE_HEADERS", "A: b\nC: d", "headers", [("A", "b"), ("C", "d")]),
        ("TIDEGATE_HEADERS", "A: b\n", "headers", [("A", "b")]),
        ("TIDEGATE_PORT", "", "port", 8000),
    ],
)
def test_an_environment_variable_sets_its_field(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert settings()[name] == value


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PORT", "9000")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    given = settings("--port", "9001", "--workers", "2")
    assert (given["port"], given["workers"]) == (9001, 2)


def test_our_own_variable_wins_over_one_that_others_read_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("TIDEGATE_WORKERS", "3")
    assert settings()["workers"] == 3


# What is wrong.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a:b", "--port", "abc"], ["--port", "'abc'"]),
        (["a:b", "--port", "70000"], ["port", "70000"]),
        (["a:b", "--workers", "0"], ["workers", "0"]),
        (["a:b", "--loop", "trio"], ["--loop", "'trio'", "asyncio"]),
        (["a:b", "--timeout-head", "soon"], ["--timeout-head", "'soon'"]),
        (["a:b", "--header", "nonsense"], ["--header", "'nonsense' is not 'Name: value'"]),
        (["a:b", "--header", "a b: c"], ["header", "a b"]),
        (["a:b", "--root-path", "api"], ["root_path", "'api'"]),
        (["a:b", "--uds", "s", "--fd", "3"], ["uds and fd"]),
        (["a:b", "--prot", "1"], ["--prot", "--port"]),
        (["a:b", "extra"], ["extra"]),
        ([], ["TARGET"]),
        (["no_such_module:app", "--port", "0"], ["there is no module 'no_such_module'"]),
        (["module"], ["the target must be 'module:attribute', not 'module'"]),
        (["a:b", "--log-config", "missing.json"], ["log_config", "missing.json"]),
        (["a:b", "--env-file", "missing.env"], ["env_file", "missing.env"]),
    ],
)
def test_a_wrong_command_line_gets_one_line_that_names_what_is_wrong(
    arguments: list[str], words: list[str]
) -> None:
    text = complaint(*arguments)
    for word in words:
        assert word in text


def test_a_command_that_does_not_exist_is_named() -> None:
    result = run("sevre")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "'sevre'" in result.stderr


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PORT", "abc")
    text = complaint("a:b")
    assert text.startswith("TIDEGATE_PORT: port must be a whole number")
    assert "'abc'" in text


def test_a_host_that_cannot_be_resolved_is_named(tmp_path: Path) -> None:
    (tmp_path / "served_host.py").write_text("async def app(scope, receive, send): ...\n")
    text = complaint("served_host:app", "--app-dir", str(tmp_path), "--host", "tidegate.invalid")
    assert "'tidegate.invalid'" in text
