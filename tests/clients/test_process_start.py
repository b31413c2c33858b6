"""What the command does before it serves, and how it says that it cannot."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from launcher import TRACEBACK, Launcher, environment

STARTUP_FAILED = 3
USAGE_ERROR = 2
APPLICATIONS = Path(__file__).parent / "applications"


def tidegate(
    *arguments: str, pass_fds: tuple[int, ...] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which must come by itself."""
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(env),
        pass_fds=pass_fds,
    )


def run(target: str, *options: str, app_dir: Path = APPLICATIONS, **env: str) -> tuple[int, str]:
    """The exit code of ``tidegate run`` and what it said; for servers that do not start."""
    done = tidegate("run", target, "--port", "0", "--app-dir", str(app_dir), *options, **env)
    assert done.stdout == ""
    return done.returncode, done.stderr


def only_line(said: str) -> str:
    """What was said, provided that it is one line."""
    (line,) = said.splitlines()
    return line


def get(url: str) -> str:
    return httpx.get(url, trust_env=False).text


def test_the_version_and_the_speed_are_told() -> None:
    done = tidegate("--version")
    assert (done.returncode, done.stderr) == (0, "")
    speed = r"\((pure|compiled), Python 3\.\d+\.\d+\S*\)"
    assert re.fullmatch(rf"tidegate \d+\.\d+\S* {speed}\n", done.stdout)


def test_help_names_the_options() -> None:
    done = tidegate("run", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--timeout-graceful-shutdown" in done.stdout


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--no-such-option"], "--no-such-option"),
        (["--port", "many"], "many"),
        (["--port", "70000"], "70000"),
        (["--lifespan", "maybe"], "maybe"),
        (["--log-level", "loud"], "loud"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], named: str) -> None:
    code, said = run("plain:app", *options)
    assert code == USAGE_ERROR
    assert named in said
    assert TRACEBACK not in said


def test_a_target_is_required() -> None:
    done = tidegate("run")
    assert done.returncode == USAGE_ERROR
    assert "TARGET" in done.stderr


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("absent:app", "'absent'"),
        ("absent.deeper:app", "'absent'"),
        ("plain:absent", "'absent'"),
        ("plain:app.absent", "'absent'"),
        ("plain:APPLICATION", "'APPLICATION'"),
        ("plain:ROUTES", "dict"),
        ("plain", "'module:attribute'"),
    ],
)
def test_a_target_that_is_not_there_is_named_in_one_line(target: str, named: str) -> None:
    code, said = run(target)
    assert code != 0
    assert named in only_line(said)


def test_a_near_miss_is_suggested() -> None:
    _, said = run("plian:app")
    assert "'plain'" in only_line(said)


def test_a_syntax_error_is_shown_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text("value = 1\nasync def app(scope:\n")
    code, said = run("faulty:app", app_dir=tmp_path)
    assert code != 0
    assert "faulty.py" in said
    assert "line 2" in said


def test_a_failing_import_inside_the_application_shows_where(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import something_not_installed\n")
    code, said = run("needy:app", app_dir=tmp_path)
    assert code != 0
    # Not "there is no module needy": that one was found.
    assert "something_not_installed" in said
    assert "needy.py" in said


def test_a_taken_port_is_named_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = tidegate("run", "plain:app", "--app-dir", str(APPLICATIONS), "--port", port)
    assert done.returncode != 0
    line = only_line(done.stderr)
    assert port in line
    assert "already in use" in line


def test_an_address_of_another_machine_is_named_in_one_line() -> None:
    # RFC 5737: an address of documentation, which nobody has.
    code, said = run("plain:app", "--host", "192.0.2.1")
    assert code != 0
    assert "192.0.2.1" in only_line(said)


def test_a_startup_that_fails_gives_its_reason_and_code_3() -> None:
    code, said = run("plain:app", STARTUP_FAILS="the tide is out")
    assert code == STARTUP_FAILED
    assert "the tide is out" in said
    assert "running on" not in said
    assert TRACEBACK not in said


def test_a_startup_that_raises_under_lifespan_on_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text(
        "async def app(scope, receive, send):\n    raise RuntimeError('no lifespan here')\n"
    )
    code, said = run("raising:app", "--lifespan", "on", app_dir=tmp_path)
    assert code == STARTUP_FAILED
    assert "no lifespan here" in said


def test_lifespan_off_starts_what_would_fail(launch: Launcher) -> None:
    server = launch("plain:app", "--lifespan", "off", env={"STARTUP_FAILS": "never asked"})
    assert get(server.base_url) == "hello\n"


def test_a_factory_is_called(launch: Launcher) -> None:
    assert get(launch("plain:create", "--factory").base_url) == "hello\n"


def test_a_factory_that_is_none_is_named() -> None:
    code, said = run("plain:ROUTES", "--factory")
    assert code != 0
    assert "plain:ROUTES" in only_line(said)


def test_an_inherited_socket_is_served(launch: Launcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        launch("plain:app", "--fd", str(descriptor), pass_fds=(descriptor,))
        assert get(f"http://127.0.0.1:{listener.getsockname()[1]}") == "hello\n"


def test_a_descriptor_that_is_no_socket_is_named(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        done = tidegate(
            *("run", "plain:app", "--app-dir", str(APPLICATIONS), "--fd", str(file.fileno())),
            pass_fds=(file.fileno(),),
        )
    assert done.returncode != 0
    assert "fd" in only_line(done.stderr)


def test_a_stale_unix_socket_is_replaced(launch: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    launch("plain:app", "--uds", str(path))
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://localhost/").text == "hello\n"


def test_each_request_is_logged_unless_told_otherwise(launch: Launcher) -> None:
    loud = launch("plain:app")
    quiet = launch("plain:app", "--no-access-log")
    for server in (loud, quiet):
        get(f"{server.base_url}/scope/seen?x=1")
    loud.wait_for_log(r'"GET /scope/seen\?x=1 HTTP/1\.1" 200')
    assert (quiet.stop(), "seen" in quiet.log) == (0, False)


def test_an_option_can_come_from_the_environment() -> None:
    code, said = run("plain:app", TIDEGATE_LOG_LEVEL="loud")
    assert code == USAGE_ERROR
    assert "loud" in said
