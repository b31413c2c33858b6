"""``check`` finds everything wrong at once; ``config`` says what is set, and who said so."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidegate.cli import main

APPLICATIONS = """
async def app(scope, receive, send):
    await receive()
    print("started")

async def plain(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("only http")

async def endless(scope, receive, send):
    await send({"type": "lifespan.startup.complete"})

def make():
    return app

def wsgi(environ, start_response):
    return []

nothing = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served_many.py").write_text(APPLICATIONS)
    return tmp_path


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def configure(text: str) -> None:
    Path("tidegate.toml").write_text(text, "utf-8")


# tidegate check.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["served_many:app"], "served_many:app: an ASGI application, takes lifespan events"),
        (["served_many:plain"], "an ASGI application, does not take lifespan events"),
        (["served_many:endless"], "an ASGI application, does not take lifespan events"),
        (["served_many:app", "--lifespan", "off"], "lifespan events are off"),
        (["served_many:make", "--factory"], "an ASGI application, takes lifespan events"),
        (["served_many:wsgi", "--interface", "wsgi"], "served_many:wsgi: a WSGI application"),
        (["--mount", "/a=asgi:served_many:app"], "/a = asgi:served_many:app: an ASGI application"),
        (["--mount", "/b=wsgi:served_many:wsgi"], "/b = wsgi:served_many:wsgi: a WSGI application"),
    ],
)
def test_what_can_be_served_is_described(arguments: list[str], words: str) -> None:
    result = run("check", *arguments)
    assert result.exit_code == 0, result.output
    assert words in result.stdout
    assert "the settings can be used (no configuration file)" in result.stdout


def test_nothing_is_started() -> None:
    assert "started" not in run("check", "served_many:app").stdout


def test_the_file_that_was_read_is_named() -> None:
    configure('app = "served_many:app"')
    assert "the settings can be used (tidegate.toml)" in run("check").stdout


def test_everything_wrong_is_listed_with_where() -> None:
    configure(
        'app = "served_many:missing"\nport = 70000\nworker = 2\n[mount]\n"/x" = "asgi:no:x"\n'
    )
    result = run("check", "--root-path", "api", env={"TIDEGATE_BACKLOG": "many"})
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = [line.removeprefix("tidegate: ") for line in result.stderr.splitlines()]
    assert lines[0] == "TIDEGATE_BACKLOG: backlog must be a whole number, not 'many'"
    assert lines[1:4] == [
        "tidegate.toml, line 3: unknown option 'worker'; did you mean 'workers'?",
        "tidegate.toml, line 2: port must be at most 65535, not 70000",
        "--root-path: root_path must start with '/', not 'api'",
    ]
    assert "'served_many' has no attribute 'missing'" in lines[4]
    assert lines[5].startswith("/x = asgi:no:x: there is no module 'no'")
    assert len(lines) == 6


def test_an_application_that_cannot_be_loaded_is_named_with_the_line(folder: Path) -> None:
    (folder / "served_broken.py").write_text("\n1 / 0\n")
    result = run("check", "served_broken:app")
    assert result.exit_code == 2
    assert "served_broken:app cannot be loaded: ZeroDivisionError" in result.stderr
    assert "served_broken.py, line 2" in result.stderr


def test_the_application_sees_its_environment_file(folder: Path) -> None:
    (folder / "env").write_text("SETTING=5\n")
    (folder / "served_env.py").write_text(
        "import os\nfrom served_many import app\nos.environ['SETTING']\n"
    )
    assert run("check", "served_env:app").exit_code == 2
    assert run("check", "served_env:app", "--env-file", "env").exit_code == 0


def test_a_line_of_the_environment_file_that_says_nothing_is_listed(folder: Path) -> None:
    (folder / "env").write_text("nonsense\n")
    result = run("check", "served_many:nothing", "--env-file", "env")
    assert "env_file env, line 1" in result.stderr
    assert "served_many:nothing" in result.stderr


# tidegate config.


def test_the_settings_are_shown_as_one_file() -> None:
    configure('port = 1\nworkers = 2\n[mount]\n"/x" = "a:b"\n')
    result = run("config", "a:b", "--port", "3", env={"TIDEGATE_ACCESS_LOG": "0"})
    assert tomllib.loads(result.stdout) == {
        "app": "a:b",
        "port": 3,
        "workers": 2,
        "access_log": False,
        "mount": {"/x": "a:b"},
    }


def test_every_setting_is_explained() -> None:
    configure("port = 1")
    result = run("config", "--explain", "--workers", "2")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["port", "1", "tidegate.toml,", "line", "1"] in lines
    assert ["workers", "2", "--workers"] in lines
    assert ["backlog", "2048", "default"] in lines


def test_programs_get_json() -> None:
    rows = json.loads(run("config", "--json", "--no-access-log").stdout)
    assert {"option": "access_log", "value": False, "origin": "--no-access-log"} in rows


def test_settings_that_cannot_be_used_are_not_shown() -> None:
    result = run("config", "--port", "70000", "--workers", "0")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 2


# tidegate run.


def test_the_server_needs_no_argument_if_the_file_names_the_target() -> None:
    configure('app = "served_many:missing"')
    result = run("run")
    assert result.exit_code == 2
    assert "'served_many' has no attribute 'missing'" in result.stderr


def test_a_configuration_file_can_be_named(folder: Path) -> None:
    (folder / "my.toml").write_text("port = 'x'")
    result = run("run", "a:b", "--config", "my.toml")
    assert result.exit_code == 2
    assert result.stderr.startswith("tidegate: my.toml, line 1: port must be a whole number")


# What is loaded.


def test_help_and_version_load_no_server() -> None:
    code = (
        "import sys; from tidegate.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print([n for n in sys.modules if n in ('asyncio', 'uvloop', 'tidegate.server')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"
