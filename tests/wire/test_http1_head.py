"""From the bytes of a complete head to a ``Head``."""

from __future__ import annotations

import pytest

from tidegate.errors import BadRequest
from tidegate.http import Head
from tidegate.wire.http1.framing import CHUNKED
from tidegate.wire.http1.head import parse_field, parse_head
from tidegate.wire.http1.limits import Http1Limits

LIMITS = Http1Limits()


def parse(*lines: bytes, limits: Http1Limits = LIMITS) -> Head:
    return parse_head(b"\r\n".join(lines), limits)


def refusal(*lines: bytes, limits: Http1Limits = LIMITS) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        parse(*lines, limits=limits)
    return refused.value


def test_a_head_has_every_part_of_the_request() -> None:
    head = parse(b"GET /a%20b?c=d HTTP/1.1", b"Host: example.com", b"X-Y:  z\t")
    assert head.method == "GET"
    assert head.target == b"/a%20b?c=d"
    assert head.path == b"/a%20b"
    assert head.query == b"c=d"
    assert head.version == "1.1"
    assert head.headers == [(b"host", b"example.com"), (b"x-y", b"z")]


def test_a_plain_head_has_the_defaults() -> None:
    head = parse(b"GET / HTTP/1.1", b"Host: a")
    assert head.scheme == ""
    assert head.keep_alive
    assert head.body_length == 0
    assert not head.expects_continue
    assert head.upgrade == b""
    assert not head.forwarded


def test_a_request_line_alone_is_a_head_in_http_1_0() -> None:
    head = parse(b"GET / HTTP/1.0")
    assert head.headers == []
    assert not head.keep_alive


def test_the_length_of_the_content_is_worked_out() -> None:
    length = parse(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 12")
    assert length.body_length == 12
    chunked = parse(b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked")
    assert chunked.body_length == CHUNKED


def test_the_limit_of_content_is_applied() -> None:
    lines = (b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 12")
    assert parse(*lines, limits=Http1Limits(max_body_size=12)).body_length == 12
    assert refusal(*lines, limits=Http1Limits(max_body_size=11)).status == 413


@pytest.mark.parametrize(
    "line",
    [
        *(b"Content-Length: 1", b"Transfer-Encoding: chunked", b"Connection: upgrade"),
        *(b"Expect: 100-continue", b"Upgrade: b", b"X-Forwarded-For: b", b"X-Host: b"),
    ],
)
def test_no_other_field_stands_in_for_the_host(line: bytes) -> None:
    assert refusal(b"GET / HTTP/1.1", line).reason == "no Host in an HTTP/1.1 request"
    head = parse(b"GET / HTTP/1.1", b"Host: a", line)
    assert head.forwarded == line.startswith(b"X-Forwarded")
    assert not head.expects_continue
    assert head.upgrade == b""
    assert head.keep_alive


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-proto"])
def test_a_proxy_field_is_noticed(name: bytes) -> None:
    assert parse(b"GET / HTTP/1.1", b"Host: a", name + b": 192.0.2.1").forwarded
    assert parse(b"GET / HTTP/1.0", name + b": 192.0.2.1").forwarded


def test_a_name_that_only_looks_like_a_proxy_field_is_not_noticed() -> None:
    assert not parse(b"GET / HTTP/1.1", b"Host: a", b"X_Forwarded_For: b").forwarded


@pytest.mark.parametrize(
    ("target", "scheme"),
    [(b"/", ""), (b"http://b/", "http"), (b"HTTPS://b", "https"), (b"*", "")],
)
def test_only_an_absolute_target_has_a_scheme(target: bytes, scheme: str) -> None:
    assert parse(b"OPTIONS %b HTTP/1.1" % target, b"Host: a").scheme == scheme


def test_a_connect_request_has_no_path() -> None:
    head = parse(b"CONNECT b:443 HTTP/1.1", b"Host: b:443")
    assert (head.target, head.path, head.query) == (b"b:443", b"", b"")


def test_an_absolute_target_is_kept_as_received() -> None:
    head = parse(b"GET http://b:80/p?q HTTP/1.1", b"X: 1", b"Host: a")
    assert head.target == b"http://b:80/p?q"
    assert head.headers == [(b"host", b"b:80"), (b"x", b"1")]


def test_upgrades_of_several_lines_are_joined() -> None:
    head = parse(
        b"GET / HTTP/1.1", b"Host: a", b"Upgrade: H2C", b"Connection: upgrade", b"Upgrade: b/1, c"
    )
    assert head.upgrade == b"h2c, b/1, c"


def test_a_name_means_the_same_when_it_is_seen_again() -> None:
    for _ in range(3):
        head = parse(b"POST / HTTP/1.1", b"HoSt: a", b"conTENT-length: 3", b"X-Odd: 1")
        assert head.headers == [(b"host", b"a"), (b"content-length", b"3"), (b"x-odd", b"1")]
        assert head.body_length == 3


def test_a_name_that_was_refused_is_refused_again() -> None:
    for _ in range(3):
        assert refusal(b"GET / HTTP/1.1", b"Host: a", b"X : 1").status == 400


def test_a_host_that_was_refused_is_refused_again() -> None:
    for _ in range(3):
        assert refusal(b"GET / HTTP/1.1", b"Host: a/b").status == 400


def test_names_that_a_peer_makes_up_are_read_however_many_there_are() -> None:
    for number in range(700):
        name = b"x-made-up-%d" % number
        head = parse(b"GET / HTTP/1.1", b"Host: a", name.upper() + b": 1")
        assert head.headers[1] == (name, b"1")
    assert parse(b"POST / HTTP/1.1", b"Host: a", b"content-LENGTH: 3").body_length == 3
    assert refusal(b"GET / HTTP/1.1", b"Host: a", b"x made up: 1").status == 400


def test_a_request_line_means_the_same_when_it_is_seen_again() -> None:
    for _ in range(3):
        head = parse(b"PATCH /seen?again HTTP/1.1", b"Host: a")
        assert (head.method, head.version) == ("PATCH", "1.1")
        assert (head.target, head.path, head.query) == (b"/seen?again", b"/seen", b"again")
        connect = parse(b"CONNECT again:443 HTTP/1.1", b"Host: a")
        assert (connect.target, connect.path) == (b"again:443", b"")
        absolute = parse(b"GET http://again/p HTTP/1.0")
        assert (absolute.path, absolute.headers) == (b"/p", [(b"host", b"again")])


def test_a_request_line_that_was_refused_is_refused_again() -> None:
    for _ in range(3):
        assert refusal(b"GET /# HTTP/1.1", b"Host: a").status == 400
        assert refusal(b"GET /again HTTP/4.0", b"Host: a").status == 505
        assert refusal(b"GET again HTTP/1.1", b"Host: a").status == 400
        assert refusal(b"OPTIONS *? HTTP/1.1", b"Host: a").status == 400


def test_a_request_line_seen_before_is_held_to_the_limits_of_each_connection() -> None:
    lines = (b"GET /seen/before HTTP/1.1", b"Host: a")
    assert parse(*lines).path == b"/seen/before"
    assert refusal(*lines, limits=Http1Limits(max_target_size=5)).status == 414


def test_targets_that_a_peer_makes_up_are_read_however_many_there_are() -> None:
    for number in range(1200):
        target = b"/made/up/%d" % number
        assert parse(b"GET %b HTTP/1.1" % target, b"Host: a").path == target
    assert refusal(b"GET /made up HTTP/1.1", b"Host: a").status == 400


def test_a_long_target_is_read() -> None:
    target = b"/" + b"t" * 5000
    for _ in range(2):
        assert parse(b"GET %b HTTP/1.1" % target, b"Host: a").path == target


def test_a_long_name_is_read() -> None:
    name = b"X" * 5000
    for _ in range(2):
        assert parse(b"GET / HTTP/1.1", b"Host: a", name + b": 1").headers[1][0] == name.lower()


def test_hosts_that_a_peer_makes_up_are_read_however_many_there_are() -> None:
    for number in range(400):
        host = b"h%d.example" % number
        assert parse(b"GET / HTTP/1.1", b"Host: " + host).headers == [(b"host", host)]
    assert refusal(b"GET / HTTP/1.1", b"Host: h/i").status == 400


def test_a_long_host_is_read() -> None:
    host = b"h" * 5000
    for _ in range(2):
        assert parse(b"GET / HTTP/1.1", b"Host: " + host).headers == [(b"host", host)]


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        ([b"GET /\x00 HTTP/1.1"], 400, "control character"),
        ([b"GET /\n HTTP/1.1"], 400, "control character"),
        ([b"GET /"], 400, "METHOD SP TARGET SP VERSION"),
        ([b"GET / HTTP/1.1 "], 400, "METHOD SP TARGET SP VERSION"),
        ([b"get / HTTP/1.1"], 400, "method"),
        ([b"GET / HTTP/1"], 400, "version"),
        ([b"GET / HTTP/4.0"], 505, "version"),
        ([b"GET /# HTTP/1.1"], 400, "percent-encoded"),
        ([b"GET / HTTP/1.1", b"Host: a", b"X"], 400, "colon"),
        ([b"GET / HTTP/1.1", b"Host: a", b"X Y"], 400, "token"),
        ([b"GET / HTTP/1.1", b"Host: a", b"Host: a"], 400, "more than one Host"),
        ([b"GET / HTTP/1.1", b"Host: a/"], 400, "Host"),
        ([b"GET / HTTP/1.1"], 400, "no Host"),
        ([b"CONNECT a HTTP/1.1", b"Host: a"], 400, "CONNECT"),
        ([b"GET a HTTP/1.1", b"Host: a"], 400, "target"),
        ([b"GET http:// HTTP/1.1", b"Host: a"], 400, "no valid host"),
        ([b"GET / HTTP/1.1", b"Host: a", b"Expect: b"], 417, "expectation"),
    ],
)
def test_a_refusal_says_what_is_wrong(lines: list[bytes], status: int, reason: str) -> None:
    refused = refusal(*lines)
    assert refused.status == status
    assert reason in refused.reason


def test_a_refusal_never_repeats_what_the_peer_sent() -> None:
    word = b"EVIL"
    for lines in (
        [word * 2 + b"\x00 / HTTP/1.1"],
        [b"evil / HTTP/1.1".replace(b"evil", b"e" + word)],
        [b"GET / " + word],
        [b"GET / HTTP/1.1", b"Host: " + word + b"/"],
        [b"GET / HTTP/1.1", b"Host: a", word + b" : 1"],
        [b"GET / HTTP/1.1", b"Host: a", b"Expect: " + word],
        [b"GET / HTTP/1.1", b"Host: a", b"Content-Length: " + word],
        [b"GET / HTTP/1.1", b"Host: a", b"Transfer-Encoding: " + word],
        [b"GET " + word + b" HTTP/1.1", b"Host: a"],
    ):
        assert word.decode() not in refusal(*lines).reason


def test_the_limits_of_a_head_are_applied() -> None:
    lines = (b"GET /12345 HTTP/1.1", b"Host: a", b"X: 1")
    exact = Http1Limits(max_fields=2, max_target_size=6)
    assert parse(*lines, limits=exact).path == b"/12345"
    assert refusal(*lines, limits=Http1Limits(max_fields=1)).status == 431
    assert refusal(*lines, limits=Http1Limits(max_target_size=5)).status == 414


def test_a_trailer_line_is_a_name_and_a_value() -> None:
    assert parse_field(b"X-Sum:\t 1 2 ") == (b"x-sum", b"1 2")
    assert parse_field(b"X:") == (b"x", b"")


@pytest.mark.parametrize(
    "line",
    [b"", b":", b": 1", b"X", b"X 1", b" X: 1", b"X : 1", b"X: \x00", b"X: a\rb", b"X\xe9: 1"],
)
def test_a_trailer_line_that_is_no_field_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_field(line)
    assert refused.value.status == 400
