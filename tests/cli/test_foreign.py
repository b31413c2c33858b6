"""Command lines of uvicorn and gunicorn are understood; what has no equivalent is said."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from tidegate.cli import command, main
from tidegate.cli.settings import collected
from tidegate.server.config import Config


def config(*arguments: str) -> Config:
    with command("run").make_context("run", ["module:app", *arguments]) as context:
        return collected(context).config()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", "module:app", *arguments])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-b 0.0.0.0:9000", {"host": "0.0.0.0", "port": 9000}),
        ("-b :9000", {"host": "0.0.0.0", "port": 9000}),
        ("-b example", {"host": "example", "port": 8000}),
        ("-b [::1]:9000", {"host": "::1", "port": 9000}),
        ("-b [::1]", {"host": "::1", "port": 8000}),
        ("--bind :9000 --bind [::1]", {"bind": [":9000", "[::1]"]}),
        ("-b unix:/run/site.sock", {"uds": "/run/site.sock"}),
        ("-b fd://3", {"fd": 3}),
        ("-w 4", {"workers": 4}),
        ("-w4 --threads 8", {"workers": 4, "threads": 8}),
        ("--graceful-timeout 20", {"timeout_graceful_shutdown": 20.0}),
        ("--keep-alive 7", {"timeout_keep_alive": 7.0}),
        ("--max-requests 100", {"limit_max_requests": 100}),
        ("--max-requests 0", {"limit_max_requests": None}),
        ("--max-requests-jitter 10", {"limit_max_requests_jitter": 10}),
        ("--limit-request-fields 50", {"max_fields": 50}),
        ("--limit-request-line 4000", {"max_target_size": 4000}),
        ("--chdir src", {"app_dir": "src"}),
        ("--pythonpath src", {"app_dir": "src"}),
        ("--access-logfile -", {"access_logfile": "-"}),
        ("--access-logformat %(h)s", {"access_log_format": "%(h)s"}),
        ("--error-logfile -", {"error_logfile": "-"}),
        ("--log-file a.log", {"error_logfile": "a.log"}),
        ("--log-config-json {file}", {"log_config": __file__}),
        ("-k gthread --preload --reuse-port", {"preload": True, "reuse_port": True}),
        ("-t 30", {"timeout_worker_healthcheck": 30.0}),
        ("-p site.pid -m 027", {"pid": "site.pid", "umask": "027"}),
        ("-u root -g root", {"user": "root", "group": "root"}),
        ("-b a:1 -b :2 -b unix:s -b fd://3", {"bind": ["a:1", "0.0.0.0:2", "unix:s", "fd:3"]}),
        # Our own spelling wins.
        ("-w 4 --workers 2", {"workers": 2}),
        ("--workers 2 -w 4", {"workers": 2}),
        # uvicorn's.
        (
            "--reload --reload-dir src --reload-dir tests --reload-include *.html",
            {"reload": True, "reload_dirs": ["src", "tests"], "reload_includes": ["*.html"]},
        ),
        ("--reload-exclude a --reload-delay 1", {"reload_excludes": ["a"], "reload_delay": 1.0}),
        ("--reload-extra-file a.html", {"reload_includes": ["a.html"]}),
        ("--reload-engine poll --http h11 --http2", {}),
        ("--ws websockets --loop none", {"ws": "auto", "loop": "asyncio"}),
        ("--ws-per-message-deflate false", {"ws_per_message_deflate": False}),
        ("--timeout-worker-healthcheck 5", {"timeout_worker_healthcheck": 5.0}),
        ("--reset-contextvars", {"reset_contextvars": True}),
        ("--h11-max-incomplete-event-size 9000", {"max_head_size": 9000}),
    ],
)
def test_an_option_of_another_server_is_understood(
    arguments: str, expected: dict[str, object]
) -> None:
    made = vars(config(*arguments.format(file=__file__).split()))
    defaults = vars(Config("module:app"))
    assert made == {**defaults, **expected}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-k sync", ["--worker-class: ", "--interface"]),
        ("--reload-engine poll", ["--reload-engine: ", "watchfiles"]),
        ("--chdir src", ["--chdir: ", "current folder"]),
        ("--worker-connections 9", ["--worker-connections: ", "--limit-concurrency"]),
        ("-t 30", ["--timeout: ", "WSGI threads"]),
    ],
)
def test_what_is_left_out_is_said(arguments: str, words: list[str]) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("tidegate: ")
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-t soon", ["--timeout", "'soon'"]),
        ("--ssl-version 3", ["--ssl-version", "TLS 1.2 and 1.3"]),
        ("-u nobody-at-all", ["user", "'nobody-at-all'"]),
        ("--daemon", ["--daemon"]),
        ("-b a:http", ["-b: ", "'http'"]),
        ("--bind a:http", ["--bind: ", "'HOST:PORT'", "'a:http'"]),
        ("-w many", ["-w: ", "'many'"]),
        ("--pythonpath a,b", ["--pythonpath", "PYTHONPATH"]),
    ],
)
def test_what_cannot_be_left_out_is_refused(arguments: str, words: list[str]) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def test_a_gunicorn_configuration_is_not_read_as_ours() -> None:
    result = run("-c", "gunicorn.conf.py")
    assert result.exit_code == 2
    assert "tidegate import-config gunicorn.conf.py" in result.stderr


UVICORN = """
host port uds fd reload reload-dir reload-include reload-exclude reload-delay workers loop http
http2 ws ws-max-size ws-max-queue ws-ping-interval ws-ping-timeout ws-per-message-deflate lifespan
interface env-file log-config log-level access-log no-access-log use-colors no-use-colors
proxy-headers no-proxy-headers server-header no-server-header date-header no-date-header
forwarded-allow-ips root-path limit-concurrency backlog limit-max-requests
limit-max-requests-jitter timeout-keep-alive timeout-graceful-shutdown timeout-worker-healthcheck
ssl-keyfile ssl-certfile ssl-keyfile-password ssl-ca-certs ssl-ciphers ssl-version ssl-cert-reqs
header app-dir factory reset-contextvars h11-max-incomplete-event-size
"""


def test_every_option_of_uvicorn_is_known() -> None:
    run = command("run")
    with run.make_context("run", ["module:app"]) as context:
        params = run.get_params(context)
    known = {flag for param in params for flag in (*param.opts, *param.secondary_opts)}
    assert {f"--{name}" for name in UVICORN.split()} - known == set()


def test_help_does_not_show_them() -> None:
    result = CliRunner().invoke(main, ["run", "--help"])
    assert "--max-requests" not in result.stdout
    assert "--worker-class" not in result.stdout
