"""Log lines that a person can read, or whatever the operator configured."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import ConfigError
from tidegate.server.config import Config
from tidegate.server.logs import TRACE, configure

logger = logging.getLogger("tidegate.error")


def test_a_line_has_the_time_the_level_and_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b"))
    logger.info("all is %s", "well")
    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    all is well\n", line)


def test_a_line_is_coloured_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b", use_colors=True))
    logger.error("oh")
    logger.log(7, "no level has that number")
    assert "\x1b[31mERROR  \x1b[0m oh" in capsys.readouterr().err


def test_a_line_is_not_coloured_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b"))
    logger.error("oh")
    assert "\x1b" not in capsys.readouterr().err


def test_an_exception_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b"))
    try:
        raise ZeroDivisionError("nought")
    except ZeroDivisionError as error:
        logger.error("oh", exc_info=error)
    assert capsys.readouterr().err.endswith("ZeroDivisionError: nought\n")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("critical", []),
        ("error", ["error"]),
        ("warning", ["error", "warning"]),
        ("info", ["error", "warning", "info"]),
        ("debug", ["error", "warning", "info", "debug"]),
        ("trace", ["error", "warning", "info", "debug", "trace"]),
    ],
)
def test_the_level_says_how_much_is_logged(
    level: Any, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Config("a:b", log_level=level))
    for number, name in [(40, "error"), (30, "warning"), (20, "info"), (10, "debug")]:
        logger.log(number, name)
    logger.log(TRACE, "trace")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == shown


def test_configuring_twice_does_not_log_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b"))
    configure(Config("a:b"))
    logger.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_the_loggers_of_the_application_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers.copy())
    configure(Config("a:b"))
    assert (root.level, root.handlers) == before
    logging.getLogger("mine").info("mine")
    assert "mine" not in capsys.readouterr().err


# The operator's own configuration.


def dictionary(path: Path, **logger_settings: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "own %(message)s"}},
        "handlers": {
            "file": {"class": "logging.FileHandler", "filename": str(path), "formatter": "plain"}
        },
        "loggers": {"tidegate": {"handlers": ["file"], "propagate": False, **logger_settings}},
    }


INI = """
[loggers]
keys=root,tidegate
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
handlers=
[logger_tidegate]
qualname=tidegate
handlers=file
propagate=0
[handler_file]
class=FileHandler
args=({path!r},)
formatter=plain
[formatter_plain]
format=own %(message)s
"""


def test_a_dictionary_configures_logging(tmp_path: Path) -> None:
    configure(Config("a:b", log_config=dictionary(tmp_path / "log")))
    logger.info("text")
    assert (tmp_path / "log").read_text() == "own text\n"


def test_a_json_file_configures_logging(tmp_path: Path) -> None:
    path = tmp_path / "logging.json"
    path.write_text(json.dumps(dictionary(tmp_path / "log")))
    configure(Config("a:b", log_config=str(path)))
    logger.info("text")
    assert (tmp_path / "log").read_text() == "own text\n"


def test_an_ini_file_configures_logging(tmp_path: Path) -> None:
    path = tmp_path / "logging.ini"
    path.write_text(INI.format(path=str(tmp_path / "log")))
    configure(Config("a:b", log_config=str(path)))
    logger.info("text")
    assert (tmp_path / "log").read_text() == "own text\n"


@pytest.mark.parametrize("level", ["ERROR", "DEBUG"])
def test_a_level_in_the_operators_configuration_is_kept(tmp_path: Path, level: str) -> None:
    configure(Config("a:b", log_config=dictionary(tmp_path / "log", level=level)))
    assert logging.getLogger("tidegate").level == getattr(logging, level)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing.json", None),
        ("missing.ini", None),
        ("a.json", "{"),
        ("a.json", "[]"),
        ("a.json", "5"),
        ("a.json", "null"),
        ("a.json", '{"version": 2}'),
        ("a.json", '{"version": 1, "handlers": {"h": {"class": "no.Such"}}}'),
        ("a.ini", ""),
        ("a.ini", "not an ini file"),
        ("a.ini", INI.format(path="log").replace("FileHandler", "no.Such")),
        ("a.ini", INI.format(path="log").replace("args=('log',)", "args=(")),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, name: str, text: str | None
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        configure(Config("a:b", log_config=str(path)))
    assert "log_config" in str(caught.value)
    assert name in str(caught.value)
