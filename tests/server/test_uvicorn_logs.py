"""A logging configuration written for uvicorn gets the records that it expects."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tidegate.errors import ConfigError
from tidegate.exchange.access import AccessLog
from tidegate.http import Head
from tidegate.server.config import Config
from tidegate.server.logs import configure
from tidegate.server.uvicorn_logs import AccessFormatter, DefaultFormatter, adapted, is_for_uvicorn

THEIRS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(name)s %(message)s"},
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": "%(levelprefix)s %(client_addr)s %(request_line)s %(status_code)s",
            "use_colors": False,
        },
    },
    "handlers": {
        "plain": {"class": "logging.StreamHandler", "formatter": "plain"},
        "access": {"class": "logging.StreamHandler", "formatter": "access"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["plain"], "level": "INFO", "propagate": False},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


@pytest.fixture(autouse=True)
def restored_uvicorn_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
    before = [(one, one.level, one.propagate) for one in loggers]
    yield
    for one, level, propagate in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers.clear()


class Over:
    """A request that is over."""

    head = Head("GET", b"/a?b", b"/a", b"b", "1.1", [])
    names = None
    size = 3
    started_at = 0.0
    first_at = 0.0
    fields = ()


class OverSocket:
    """A socket that is not."""

    scope: ClassVar[dict[str, Any]] = {"client": ("10.0.0.1", 5)}
    names = None
    target = b"/socket"
    started_at = 0.0


def log() -> None:
    log = AccessLog()
    log.write(Over(), ("10.0.0.1", 5), 404)
    log.write_socket(OverSocket(), "accepted", None)
    logging.getLogger("tidegate.error").info("running")


LINES = (
    "INFO:     10.0.0.1:5 GET /a?b HTTP/1.1 404 Not Found\n"
    'uvicorn.error 10.0.0.1:5 - "WebSocket /socket" [accepted]\n'
    "uvicorn.error running\n"
)


def test_a_dictionary_for_uvicorn_is_adapted(capsys: pytest.CaptureFixture[str]) -> None:
    before = copy.deepcopy(THEIRS)
    configure(Config("a:b", log_config=THEIRS))
    log()
    assert capsys.readouterr().err == LINES
    assert before == THEIRS


def test_a_file_for_uvicorn_is_adapted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "logs.json").write_text(json.dumps(THEIRS))
    configure(Config("a:b", log_config=str(tmp_path / "logs.json")))
    log()
    assert capsys.readouterr().err == LINES


def test_the_level_of_the_server_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b", log_config=THEIRS, log_level="warning"))
    log()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("loggers", "answer"),
    [
        ({"uvicorn": {}}, True),
        ({"uvicorn.access": {}, "shop": {}}, True),
        ({"uvicorn": {}, "tidegate.error": {}}, False),
        ({"shop": {}}, False),
        ({}, False),
    ],
)
def test_a_configuration_for_uvicorn_is_known_by_its_loggers(
    loggers: dict[str, Any], answer: bool
) -> None:
    assert is_for_uvicorn({"version": 1, "loggers": loggers}) is answer


def test_formatters_of_others_are_left_alone() -> None:
    theirs = {"version": 1, "formatters": {"a": {"class": "shop.Json"}, "b": {"()": str}}}
    assert adapted(theirs)["formatters"] == theirs["formatters"]


def record(level: int, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("a", level, "a.py", 1, "hello %s %s %s %s %s", arguments, None)


def test_levels_line_up() -> None:
    formatter = DefaultFormatter("%(levelprefix)s|", use_colors=False)
    assert formatter.format(record(logging.INFO, *"abcde")) == "INFO:    |"
    assert formatter.format(record(logging.CRITICAL, *"abcde")) == "CRITICAL:|"


@pytest.mark.parametrize(("status", "text"), [(200, "200 OK"), (799, "799"), ("-", "-")])
def test_a_status_has_its_phrase_if_there_is_one(status: object, text: str) -> None:
    formatter = AccessFormatter("%(status_code)s", use_colors=False)
    assert formatter.format(record(logging.INFO, "c", "GET", "/", "1.1", status)) == text


def test_a_record_of_another_kind_has_no_request() -> None:
    formatter = AccessFormatter("%(message)s", use_colors=False)
    made = logging.LogRecord("a", logging.INFO, "a.py", 1, "hello %s", ("x",), None)
    assert formatter.format(made) == "hello x"


def test_yaml_is_refused_with_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "logs.yaml").write_text("version: 1\n")
    with pytest.raises(ConfigError, match=r"logs\.yaml.*JSON"):
        configure(Config("a:b", log_config=str(tmp_path / "logs.yaml")))
