"""A line for each request: formats, and that no request can forge one."""

from __future__ import annotations

import json
import os
import re

import pytest

from tidegate.errors import ConfigError
from tidegate.exchange.ended import Ended
from tidegate.exchange.formats import FORMATS, compile_line, escaped
from tidegate.exchange.naming import Naming
from tidegate.http import field

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def ended(**changes: object) -> Ended:
    made = Ended()
    values = {
        "client": ("10.0.0.1", 5000),
        "code": None,
        "fields": [field(b"Content-Type", b"text/html")],
        "headers": [(b"host", b"a"), (b"referer", b"http://b/"), (b"user-agent", b"curl/8")],
        "method": "GET",
        "names": None,
        "seconds": 1.2345678,
        "size": 12,
        "status": 200,
        "target": "/path?query=1",
        "version": "1.1",
    }
    for name, value in (values | changes).items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("%(h)s", "10.0.0.1"),
        ("%(l)s", "-"),
        ("%(u)s", "-"),
        ("%(r)s", "GET /path?query=1 HTTP/1.1"),
        ("%(m)s %(U)s %(q)s %(H)s", "GET /path query=1 HTTP/1.1"),
        ("%(s)s %(B)s %(b)s", "200 12 12"),
        ("%(f)s %(a)s", "http://b/ curl/8"),
        ("%(T)s %(M)s %(D)s %(L)s", "1 1234 1234567 1.234568"),
        ("%({User-Agent}i)s %({missing}i)s", "curl/8 -"),
        ("%({content-type}o)s %({missing}o)s", "text/html -"),
        ("%({HTTP_USER_AGENT}e)s %({http_missing}e)s", "curl/8 -"),
        ("%({REMOTE_ADDR}e)s %({REMOTE_PORT}e)s", "10.0.0.1 5000"),
        ("%({RAW_URI}e)s %({CONTENT_TYPE}e)s %({CONTENT_LENGTH}e)s", "/path?query=1 - -"),
        ("%(request_id)s %(trace_id)s", "- -"),
        ("100%% %(m)s%%", "100% GET%"),
    ],
)
def test_atoms_are_what_they_are_in_gunicorn(text: str, line: str) -> None:
    assert compile_line(text)(ended()) == line


def test_the_process_is_the_one_that_writes() -> None:
    assert compile_line("%(p)s")(ended()) == f"<{os.getpid()}>"


def test_a_response_without_content_has_a_dash_where_clf_wants_one() -> None:
    assert compile_line("%(B)s %(b)s")(ended(size=0)) == "0 -"


@pytest.mark.parametrize("client", [None, ("/run/app.sock", None)])
def test_a_client_may_have_no_port_and_no_address(client: tuple[str, None] | None) -> None:
    line = compile_line("%(h)s %({REMOTE_PORT}e)s")(ended(client=client))
    assert line == ("- -" if client is None else "/run/app.sock -")


@pytest.mark.parametrize(
    ("credentials", "user"),
    [
        (b"Basic YWxpY2U6cGFzcw==", "alice"),
        (b"basic YQpiOnBhc3M=", "a\\x0ab"),
        (b"Basic !", "-"),
        (b"Basic YWxpY2U6cGFz", "alice"),
        (b"Basic YWxpY2U6cGF", "-"),
        (b"Bearer YWxpY2U6cGFzcw==", "-"),
        (b"Basic", "-"),
    ],
)
def test_the_user_is_who_basic_authentication_says(credentials: bytes, user: str) -> None:
    headers = [(b"authorization", credentials)]
    assert compile_line("%(u)s")(ended(headers=headers)) == user


def test_common_and_combined_are_read_by_everybodys_tools() -> None:
    when = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    common = rf'10\.0\.0\.1 - - {when} "GET /path\?query=1 HTTP/1\.1" 200 12'
    assert re.fullmatch(common, compile_line("common")(ended()))
    combined = compile_line("combined")(ended())
    assert re.fullmatch(common + r' "http://b/" "curl/8"', combined)


def test_every_named_format_can_be_compiled() -> None:
    for name in FORMATS:
        assert "\n" not in compile_line(name)(ended())


@pytest.mark.parametrize("name", ["combined", "json", "%({referer}i)s %({REMOTE_ADDR}e)s %(r)s"])
def test_no_request_can_forge_a_line_or_a_field(name: str) -> None:
    evil = bytes(n for n in range(256) if n not in (10, 13, 0)) + b'" 200 "\\'
    line = compile_line(name)(
        ended(
            headers=[(b"referer", evil), (b"user-agent", evil)],
            target='/"\\x',
            client=('a"\x9b\n€', None),
        )
    )
    assert line.isascii()
    assert line.isprintable()
    if name == "json":
        assert json.loads(line)["referer"] == evil.decode("latin-1")
    elif name == "combined":
        assert line.count('"') == 6


def test_escaping_is_that_of_other_servers() -> None:
    assert escaped(b'a"b\\c\x1b\xff') == "a\\x22b\\x5cc\\x1b\\xff"
    assert escaped(None) == escaped(b"") == "-"


def test_json_holds_everything_worth_asking_for() -> None:
    names = Naming("X-Request-ID", trace=True).name([(b"traceparent", TRACE)], trusted=False)
    names.put({})
    entry = json.loads(compile_line("json")(ended(names=names, code=1001)))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "client": "10.0.0.1",
        "method": "GET",
        "target": "/path?query=1",
        "version": "1.1",
        "status": 200,
        "bytes": 12,
        "seconds": 1.234568,
        "referer": "http://b/",
        "user_agent": "curl/8",
        "close_code": 1001,
        "request_id": "0af7651916cd43dd8448eb211c80319c",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


def test_json_leaves_out_what_there_is_not() -> None:
    entry = json.loads(compile_line("json")(ended(headers=[], client=None)))
    assert entry["client"] is None
    assert not {"referer", "user_agent", "request_id", "trace_id", "close_code"} & set(entry)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("combinde", "did you mean 'combined'?"),
        ("zzz", "one of tidegate, common, combined, json"),
        ("%(x)s", "there are h, l, u"),
        ("%(request)s", "did you mean %(request_id)s?"),
        ("%(h)d", "'%(h)d' is not an atom"),
        ("%h", "'%h' is not an atom"),
        ("%({wsgi.input}e)s", "HTTP_... and REQUEST_METHOD"),
        ("%(h)s\n", "control character"),
    ],
)
def test_a_format_that_cannot_be_written_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_line(text)
    assert words in str(caught.value)
