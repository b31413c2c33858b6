"""Settings of another server become a ``tidegate.toml`` that can be used, and remarks."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tidegate.cli import main
from tidegate.cli.imports import imported_line
from tidegate.errors import ConfigError
from tidegate.server.sources import collect

GUNICORN = '''
"""Comments and docstrings are no settings."""
import multiprocessing

bind = "0.0.0.0:9000"
workers: int = 4
worker_class = "uvicorn.workers.UvicornWorker"
threads = multiprocessing.cpu_count()
wsgi_app = "shop.wsgi"
accesslog = "-"
errorlog = "/var/log/site.log"
loglevel = "warning"
keepalive = 7
max_requests = 1000
max_requests_jitter = 50
timeout = 120
preload_app = True
reload = False
certfile = None
raw_env = ["A=b"]
counted = multiprocessing.cpu_count()
unheard_of = 1

def post_fork(server, worker):
    raise SystemExit("this file was run")

if workers > 4:
    workers = 4
'''

HYPERCORN = """
bind = ["127.0.0.1:9000"]
workers = 2
worker_class = "uvloop"
keep_alive_timeout = 7
graceful_timeout = 3
include_server_header = false
h11_max_incomplete_size = 4096
accesslog = "-"
loglevel = "DEBUG"
root_path = "/api"
application_path = "shop:app"
certfile = "cert.pem"
use_reloader = false
unheard_of = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import-config", *arguments])


def values(line: str) -> dict[str, Any]:
    return imported_line(shlex.split(line)).values


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gunicorn shop:app", {"app": "shop:app"}),
        ("gunicorn shop.wsgi", {"app": "shop.wsgi:application"}),
        ("gunicorn 'shop:make()'", {"app": "shop:make", "factory": True}),
        (
            "gunicorn -w 4 -b 0.0.0.0:80 --keep-alive=3 shop:app --log-level debug",
            {
                "app": "shop:app",
                "workers": 4,
                "host": "0.0.0.0",
                "port": 80,
                "timeout_keep_alive": 3.0,
                "log_level": "debug",
            },
        ),
        ("A=b exec python3 -m gunicorn shop:app", {"app": "shop:app"}),
        ("/usr/bin/gunicorn --unheard-of 3 shop:app", {"app": "shop:app"}),
        (
            "uvicorn shop:app --host :: --port 80 --no-access-log --header 'A: b' --factory",
            {
                "app": "shop:app",
                "host": "::",
                "port": 80,
                "access_log": False,
                "headers": [("A", "b")],
                "factory": True,
            },
        ),
        (
            "uvicorn shop:app --reload --reload-dir src",
            {"app": "shop:app", "reload": True, "reload_dirs": ["src"]},
        ),
        ("gunicorn shop:app --reload", {"app": "shop:app", "reload": True}),
        (
            "gunicorn shop:app --certfile c.pem --keyfile k.pem --ca-certs ca.pem --cert-reqs 2",
            {
                "app": "shop:app",
                "ssl_certfile": "c.pem",
                "ssl_keyfile": "k.pem",
                "ssl_ca_certs": "ca.pem",
                "ssl_cert_reqs": "required",
            },
        ),
        (
            "hypercorn shop:app --certfile c.pem --verify-mode CERT_OPTIONAL --ca-certs ca.pem",
            {
                "app": "shop:app",
                "ssl_certfile": "c.pem",
                "ssl_ca_certs": "ca.pem",
                "ssl_cert_reqs": "optional",
            },
        ),
        ("hypercorn shop:app --reload", {"app": "shop:app", "reload": True}),
        ("uvicorn shop:app --ws wsproto", {"app": "shop:app", "ws": "auto"}),
        (
            "hypercorn -b unix:/run/s -w 2 shop:app",
            {"app": "shop:app", "uds": "/run/s", "workers": 2},
        ),
        (
            "hypercorn --websocket-ping-interval 5 asgi:shop:app",
            {"app": "shop:app", "interface": "asgi3", "ws_ping_interval": 5.0},
        ),
    ],
)
def test_a_command_line_is_read(line: str, expected: dict[str, object]) -> None:
    assert values(line) == expected


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("gunicorn -t 30 shop:app", "--timeout: a worker whose loop is blocked so long"),
        ("gunicorn -k gevent shop:app", "--worker-class: "),
        ("gunicorn --unheard-of shop:app", "--unheard-of: not known"),
        ("gunicorn 'shop:make(1)'", "shop:make(1): write a function without arguments"),
        ("uvicorn shop:app --ssl-version 17", "--ssl-version: TLS 1.2 and 1.3 are spoken"),
        (
            "gunicorn shop:app --ssl-version TLSv1",
            "--ssl-version: ssl_version 'TLSv1' is not spoken",
        ),
        ("hypercorn shop:app --verify-flags 1", "--verify-flags: revocation lists"),
        ("hypercorn --quic-bind :443 shop:app", "--quic-bind: a server listens on one place"),
    ],
)
def test_what_has_no_equivalent_is_remarked(line: str, remark: str) -> None:
    (found,) = imported_line(shlex.split(line)).remarks
    assert found.startswith(remark)


@pytest.mark.parametrize("line", ["", "daphne shop:app", "python shop.py"])
def test_another_program_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="must begin with one of uvicorn, gunicorn, hypercorn"):
        imported_line(shlex.split(line))


def test_a_gunicorn_file_is_read_and_not_run(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(GUNICORN)
    result = run("gunicorn.conf.py")
    assert result.exit_code == 0, result.output
    assert tomllib.loads(result.stdout) == {
        "app": "shop.wsgi:application",
        "host": "0.0.0.0",
        "port": 9000,
        "workers": 4,
        "access_log": True,
        "access_logfile": "-",
        "error_logfile": "/var/log/site.log",
        "log_level": "warning",
        "timeout_keep_alive": 7.0,
        "limit_max_requests": 1000,
        "limit_max_requests_jitter": 50,
        "timeout_worker_healthcheck": 120.0,
        "preload": True,
    }
    remarks = [line[2:] for line in result.stdout.splitlines() if line.startswith("# ")]
    assert [remark.partition(" ")[0] for remark in remarks] == [
        "Without",
        "worker_class",
        "threads",
        "timeout",
        "raw_env",
        "unheard_of",
        "post_fork",
        "if",
    ]
    assert "threads = multiprocessing.cpu_count() (line 8): not a literal" in result.stdout


def test_a_hypercorn_file_is_read(folder: Path) -> None:
    (folder / "hypercorn.toml").write_text(HYPERCORN)
    result = run("hypercorn.toml")
    assert tomllib.loads(result.stdout) == {
        "app": "shop:app",
        "host": "127.0.0.1",
        "port": 9000,
        "workers": 2,
        "root_path": "/api",
        "server_header": False,
        "max_head_size": 4096,
        "timeout_keep_alive": 7.0,
        "timeout_graceful_shutdown": 3.0,
        "access_log": True,
        "access_logfile": "-",
        "log_level": "debug",
        "ssl_certfile": "cert.pem",
    }
    assert "# unheard_of: not known" in result.stdout


def test_a_file_that_the_command_line_names_is_read_first(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text("workers = 2\nthreads = 3\n")
    assert values("gunicorn -c gunicorn.conf.py -w 4 a:b") == {
        "app": "a:b",
        "workers": 4,
        "threads": 3,
    }


def test_what_was_written_can_be_used(folder: Path) -> None:
    arguments = ["-o", "tidegate.toml", "--", "uvicorn", "shop:app", "--port", "80", "--header"]
    result = run(*arguments, "A: \"b\" 'c' \\")
    assert (result.exit_code, result.stdout) == (0, "")
    config = collect({}, environment={}).config()
    assert (config.app, config.port) == ("shop:app", 80)
    assert list(config.headers) == [("A", "\"b\" 'c' \\")]


def test_a_file_that_is_there_is_not_overwritten(folder: Path) -> None:
    (folder / "tidegate.toml").write_text("port = 1")
    result = run("-o", "tidegate.toml", "--", "uvicorn", "a:b")
    assert result.exit_code == 2
    assert "tidegate.toml exists" in result.stderr
    assert (folder / "tidegate.toml").read_text() == "port = 1"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gunicorn.conf.py", "a = 1\nb = = 2", "gunicorn.conf.py, line 2"),
        ("hypercorn.toml", "a = = 2", "hypercorn.toml"),
        ("missing.toml", None, "missing.toml"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    folder: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (folder / name).write_text(text)
    result = run(name)
    assert result.exit_code == 2
    assert words in result.stderr
