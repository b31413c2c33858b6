"""Log lines that a person can read, or whatever the operator configured."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import ConfigError
from tidegate.http import Head
from tidegate.server.config import Config
from tidegate.server.logs import TRACE, configure
from tidegate.trace import request_id, traceparent

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


# Formats and files.


class Over:
    """A request that is over."""

    head = Head("GET", b"/path?q", b"/path", b"q", "1.1", [(b"user-agent", b"curl/8")])
    names = None
    size = 3
    started_at = 0.0
    first_at = 0.0
    fields = ()


def note(config: Config) -> None:
    """Log a request and something else."""
    configure(config)
    log = config.access()
    assert log is not None
    log.write(Over(), ("10.0.0.1", 5), 200)
    logger.warning("else")


def test_requests_can_be_logged_in_the_combined_format(capsys: pytest.CaptureFixture[str]) -> None:
    note(Config("a:b", access_log_format="combined"))
    line, other = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r'10\.0\.0\.1 - - \[.*\] "GET /path\?q HTTP/1\.1" 200 3 "-" "curl/8"', line)
    assert other.endswith("WARNING else")


def test_everything_can_be_logged_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    note(Config("a:b", log_format="json"))
    try:
        raise ZeroDivisionError("nought")
    except ZeroDivisionError:
        logger.exception("bad")
    request, other, bad = map(json.loads, capsys.readouterr().err.splitlines())
    assert (request["status"], request["user_agent"]) == (200, "curl/8")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", other.pop("time"))
    assert other == {"level": "warning", "logger": "tidegate.error", "message": "else"}
    assert bad["exception"].endswith("ZeroDivisionError: nought")


def test_a_line_of_text_is_the_message_of_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    note(Config("a:b", log_format="json", access_log_format="%(m)s %(s)s"))
    request = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (request["logger"], request["message"]) == ("tidegate.access", "GET 200")


def test_requests_can_have_a_file_of_their_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    note(Config("a:b", access_logfile=str(path), access_log_format="%(r)s"))
    assert path.read_text() == "GET /path?q HTTP/1.1\n"
    assert "path" not in capsys.readouterr().err
    # What rotates logs moves it away.
    path.rename(tmp_path / "access.log.1")
    logging.getLogger("tidegate.access").info("new")
    assert path.read_text().endswith("new\n")


def test_requests_can_be_logged_to_the_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    note(Config("a:b", access_logfile="-", access_log_format="%(r)s"))
    out, err = capsys.readouterr()
    assert out == "GET /path?q HTTP/1.1\n"
    assert err.endswith("WARNING else\n")


def test_the_log_can_have_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    note(Config("a:b", error_logfile=str(path)))
    lines = path.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["3B", "else"]
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "log")
    with pytest.raises(ConfigError, match=r"access_logfile: cannot write to .*: No such file"):
        configure(Config("a:b", access_logfile=path))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_log_format": "%(nothing)s"}, "access_log_format: '%(nothing)s' is not an atom"),
        ({"access_log_format": "jsno"}, "did you mean 'json'?"),
        ({"request_id_header": "Content-Length"}, "has a meaning of its own"),
        ({"request_id_header": "Request ID"}, "is not a token"),
        ({"access_logfile": "a", "log_config": {"version": 1}}, "both say where to log"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config("a:b", **settings)
    assert words in str(caught.value)


def test_lines_have_the_id_of_their_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b", request_id_header="X-Request-ID"))
    token = request_id.set("mine")
    logger.info("one")
    request_id.reset(token)
    logger.info("other")
    one, other = capsys.readouterr().err.splitlines()
    assert one.endswith("INFO    [mine] one")
    assert other.endswith("INFO    other")


def test_objects_have_the_names_of_their_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Config("a:b", log_format="json", trace_context=True))
    parent = traceparent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    logger.info("one")
    traceparent.reset(parent)
    entry = json.loads(capsys.readouterr().err)
    assert entry["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "request_id" not in entry
