"""uvicorn's keywords mean the same here, or are said to have no effect, or are refused."""

from __future__ import annotations

import copy
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

import tidegate.uvicorn_compat as uvicorn
from tidegate.asgi import Receive, Scope, Send
from tidegate.errors import ConfigError
from tidegate.server.config import Config as TidegateConfig
from tidegate.uvicorn_compat.config import LOGGING_CONFIG


async def application(scope: Scope, receive: Receive, send: Send) -> None: ...


def made(**settings: Any) -> TidegateConfig:
    return uvicorn.Config("module:app", **settings).tidegate()


def test_the_defaults_are_those_of_tidegate() -> None:
    config = made()
    defaults = TidegateConfig("module:app")
    changed = {n for n, v in vars(config).items() if v != getattr(defaults, n)}
    assert changed == {"log_config"}


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"port": 9000}, "port", 9000),
        ({"host": "::"}, "host", "::"),
        ({"uds": "s"}, "uds", "s"),
        ({"workers": None}, "workers", 1),
        ({"workers": 3}, "workers", 3),
        ({"loop": "none"}, "loop", "asyncio"),
        ({"loop": "my.module:loop"}, "loop", "auto"),
        ({"ws": "websockets-sansio"}, "ws", "auto"),
        ({"ws": "none"}, "ws", "none"),
        ({"ws": object}, "ws", "auto"),
        ({"ws_ping_interval": None}, "ws_ping_interval", 0.0),
        ({"ws_ping_timeout": 5}, "ws_ping_timeout", 5),
        ({"log_level": "warning"}, "log_level", "warning"),
        ({"log_level": logging.DEBUG}, "log_level", "debug"),
        ({"log_level": 25}, "log_level", "info"),
        ({"log_level": 5}, "log_level", "trace"),
        ({"log_level": None}, "log_level", "info"),
        ({"headers": [("A", "b")]}, "headers", [("A", "b")]),
        ({"headers": None}, "headers", []),
        ({"forwarded_allow_ips": ["10.0.0.1", "::1"]}, "forwarded_allow_ips", "10.0.0.1,::1"),
        ({"forwarded_allow_ips": "*"}, "forwarded_allow_ips", "*"),
        ({"timeout_graceful_shutdown": None}, "timeout_graceful_shutdown", 30.0),
        ({"timeout_graceful_shutdown": 5}, "timeout_graceful_shutdown", 5),
        ({"h11_max_incomplete_event_size": 9000}, "max_head_size", 9000),
        ({"interface": "wsgi"}, "interface", "wsgi"),
        ({"app_dir": None}, "app_dir", ""),
        ({"reload": True}, "reload", True),
        ({"reload_dirs": "src"}, "reload_dirs", ["src"]),
        ({"reload_includes": ["*.html"]}, "reload_includes", ["*.html"]),
        ({"reload_excludes": None}, "reload_excludes", []),
        ({"reload_delay": 1}, "reload_delay", 1),
        ({"http": "h11", "reload": False, "timeout_notify": 30}, "port", 8000),
    ],
)
def test_a_keyword_sets_its_option(settings: dict[str, Any], name: str, value: object) -> None:
    assert getattr(made(**settings), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("WEB_CONCURRENCY", "3", "workers", 3),
        ("FORWARDED_ALLOW_IPS", "*", "forwarded_allow_ips", "*"),
    ],
)
def test_variables_that_others_read_too_are_heard(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(made(), name) == value


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    with pytest.raises(ConfigError, match="WEB_CONCURRENCY: workers must be a whole number"):
        uvicorn.Config("module:app")


def test_attributes_can_be_read_and_changed_before_serving() -> None:
    config = uvicorn.Config(application, port=1)
    assert (config.app, config.port, config.backlog, config.reload) == (application, 1, 2048, False)
    config.port = 2
    config.root_path = "/api"
    made = config.tidegate()
    assert (made.port, made.root_path) == (2, "/api")


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="'prot'"):
        uvicorn.Config("module:app", prot=1)  # type: ignore[call-arg]


def test_a_value_that_cannot_be_used_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="port must be at most 65535"):
        uvicorn.Config("module:app", port=70000)


@pytest.mark.parametrize(
    "settings",
    [
        {"ssl_version": 3},
        {"ssl_context_factory": lambda config, default: None},
        {"callback_notify": lambda: None},
    ],
)
def test_what_cannot_be_left_out_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        uvicorn.Config("module:app", **settings)


def test_what_has_no_effect_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    config = uvicorn.Config("module:app", http="httptools", http2=True)
    config.tidegate()
    assert [message.partition(":")[0] for message in caplog.messages] == ["http"]


def test_the_environment_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("WEB_CONCURRENCY=2\n")
    assert made(env_file=tmp_path / "env").workers == 2


def test_the_application_can_be_loaded() -> None:
    config = uvicorn.Config(application)
    assert not config.loaded
    assert config.load_app() is application
    assert config.loaded
    assert config.loaded_app is application


def test_the_place_can_be_opened() -> None:
    with uvicorn.Config(application, port=0).bind_socket() as listener:
        assert listener.getsockname()[1] > 0


def test_a_loop_can_be_made() -> None:
    loop = uvicorn.Config(application, loop="asyncio").get_loop_factory()()
    loop.close()


def test_what_the_server_is_can_be_asked() -> None:
    config = uvicorn.Config("module:app", workers=2)
    assert (config.use_subprocess, config.is_ssl, config.should_reload) == (True, False, False)
    config = uvicorn.Config(
        "module:app",
        ssl_certfile=Path("c.pem"),
        ssl_keyfile="k.pem",
        ssl_ca_certs="ca.pem",
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    assert config.is_ssl
    made = config.tidegate()
    assert (made.ssl_certfile, made.ssl_keyfile) == ("c.pem", "k.pem")
    assert (made.ssl_ca_certs, made.ssl_cert_reqs) == ("ca.pem", "required")
    config = uvicorn.Config("module:app", reload=True)
    assert (config.use_subprocess, config.should_reload) == (True, True)


# Logging.


def test_the_logging_configuration_is_not_changed() -> None:
    before = copy.deepcopy(LOGGING_CONFIG)
    made(use_colors=True)
    assert before == LOGGING_CONFIG


def test_colours_are_passed_on() -> None:
    config = made(use_colors=True).log_config
    assert isinstance(config, dict)
    assert config["formatters"]["default"]["use_colors"] is True


def test_formatters_of_uvicorn_are_found_without_uvicorn() -> None:
    theirs = {
        "version": 1,
        "formatters": {"access": {"()": "uvicorn.logging.AccessFormatter"}},
        "loggers": {"uvicorn.access": {"level": "INFO"}},
    }
    config = made(log_config=theirs).log_config
    assert isinstance(config, dict)
    assert config["formatters"]["access"]["()"] == "tidegate.server.uvicorn_logs.AccessFormatter"
    assert "tidegate" in config["loggers"]


def test_a_file_is_left_to_the_server(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    assert made(log_config=str(path)).log_config == str(path)
