"""``tidegate run`` from the command line to the end of the server, in this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidegate.cli import main

# Stops the server as soon as it has started.
APPLICATION = """
import os
import signal

async def app(scope, receive, send):
    await receive()
    print("setting", os.environ.get("SETTING"))
    await send({"type": "lifespan.startup.complete"})
    os.kill(os.getpid(), signal.SIGTERM)
    await receive()
    print("shut down")
    await send({"type": "lifespan.shutdown.complete"})

def make():
    return app
"""

FAILING = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served_site.py").write_text(APPLICATION)
    (tmp_path / "served_failing.py").write_text(FAILING)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", *arguments, "--port", "0"])


def test_a_server_starts_and_stops_with_success(folder: Path) -> None:
    result = run("served_site:app")
    assert result.exit_code == 0, result.output
    assert result.stdout == "setting None\nshut down\n"
    assert "running on http://127.0.0.1:" in result.stderr
    assert result.stderr.endswith("Stopped\n")


def test_the_target_can_come_from_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_APP", "served_site:app")
    assert run().exit_code == 0


def test_a_factory_is_called(folder: Path) -> None:
    assert run("served_site:make", "--factory").exit_code == 0


def test_the_log_level_is_heard(folder: Path) -> None:
    result = run("served_site:app", "--log-level", "warning")
    assert result.exit_code == 0
    assert result.stderr == ""


def test_a_startup_that_fails_has_a_status_of_its_own(folder: Path) -> None:
    result = run("served_failing:app")
    assert result.exit_code == 3
    assert "The application did not start: no database" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_application_that_cannot_be_loaded_has_the_status_of_a_failed_startup(
    folder: Path,
) -> None:
    (folder / "served_broken.py").write_text("1 / 0\n")
    result = run("served_broken:app")
    assert result.exit_code == 3
    assert "ZeroDivisionError" in result.stderr


def test_ctrl_c_while_the_application_is_imported_ends_at_once(folder: Path) -> None:
    (folder / "served_slow.py").write_text("raise KeyboardInterrupt\n")
    assert run("served_slow:app").exit_code == 130


def test_several_workers_need_a_target_that_exists(folder: Path) -> None:
    result = run("served_missing:app", "--workers", "2")
    assert result.exit_code == 3
    assert "starting another" not in result.stderr


# The environment file.


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("SETTING=plain", "plain"),
        ("export SETTING=exported", "exported"),
        ("  SETTING = spaced  ", "spaced"),
        ("SETTING='in quotes # all'", "in quotes # all"),
        ('SETTING="in quotes"', "in quotes"),
        ('SETTING="in quotes" # not', "in quotes"),
        ("SETTING=word # comment", "word"),
        ("SETTING=a=b", "a=b"),
        ("SETTING=", ""),
        ("SETTING='", "'"),
        ("# comment\n\nSETTING=after", "after"),
        ("SETTING=caf\u00e9", "caf\u00e9"),
    ],
)
def test_the_application_sees_what_the_environment_file_says(
    folder: Path, line: str, value: str
) -> None:
    (folder / "env").write_text(line + "\n", encoding="utf-8")
    result = run("served_site:app", "--env-file", "env")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"setting {value}\n")


def test_the_environment_wins_over_the_environment_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTING", "set before")
    (folder / "env").write_text("SETTING=from the file\n")
    assert run("served_site:app", "--env-file", "env").stdout.startswith("setting set before\n")


@pytest.mark.parametrize("line", ["nonsense", "=value"])
def test_a_line_of_the_environment_file_that_says_nothing_is_refused(
    folder: Path, line: str
) -> None:
    (folder / "env").write_text(f"SETTING=1\n{line}\n")
    result = run("served_site:app", "--env-file", "env")
    assert result.exit_code == 2
    assert result.stderr == f"tidegate: env_file env, line 2: not NAME=value: {line!r}\n"


def test_an_environment_file_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "env").write_bytes(b"SETTING=\xff\n")
    result = run("served_site:app", "--env-file", "env")
    assert result.exit_code == 2
    assert result.stderr.startswith("tidegate: env_file env")


def test_settings_of_our_own_in_the_environment_file_come_too_late(folder: Path) -> None:
    (folder / "env").write_text("TIDEGATE_LOG_LEVEL=critical\n")
    result = run("served_site:app", "--env-file", "env")
    assert "running on" in result.stderr
    assert os.environ["TIDEGATE_LOG_LEVEL"] == "critical"
