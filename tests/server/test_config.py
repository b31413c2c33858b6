"""Every setting that cannot be used is refused by name, with the value found."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from tidegate.errors import ConfigError
from tidegate.server.checks import BadSettings, mount_target
from tidegate.server.config import Config, PoolConfig
from tidegate.server.options import option


def names_of_literals() -> list[str]:
    hints = typing.get_type_hints(Config)
    return [name for name, hint in hints.items() if typing.get_origin(hint) is Literal]


def test_the_defaults_can_be_used() -> None:
    config = Config("module:app")
    assert config.app == "module:app"
    assert (config.host, config.port, config.workers) == ("127.0.0.1", 8000, 1)


def test_every_field_but_the_application_is_documented() -> None:
    for each in dataclasses.fields(Config):
        if each.name not in ("app", "pools", "policies"):
            assert each.metadata["help"].endswith((".", "]", "].")), each.name
            assert each.metadata["group"]


def test_a_list_is_not_shared_between_two_configurations() -> None:
    first, second = Config("a:b"), Config("a:b")
    assert first.headers == second.headers == []
    assert first.headers is not second.headers
    assert option([1], "Help.").default_factory() == [1]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("port", -1, "port must be at least 0, not -1"),
        ("port", 65536, "port must be at most 65535, not 65536"),
        ("fd", -1, "fd must be at least 0, not -1"),
        ("backlog", -1, "backlog must be at least 0, not -1"),
        ("workers", 0, "workers must be at least 1, not 0"),
        ("limit_concurrency", 0, "limit_concurrency must be at least 1, not 0"),
        ("limit_max_requests", 0, "limit_max_requests must be at least 1, not 0"),
        ("limit_max_requests_jitter", -1, "limit_max_requests_jitter must be at least 0, not -1"),
        ("max_fields", 0, "max_fields must be at least 1, not 0"),
        ("max_head_size", 0, "max_head_size must be at least 1, not 0"),
        ("max_target_size", 0, "max_target_size must be at least 1, not 0"),
        ("max_read_ahead", 0, "max_read_ahead must be at least 1, not 0"),
        ("max_body_size", -1, "max_body_size must be at least 0, not -1"),
        ("min_rate", -1.0, "min_rate must be at least 0, not -1.0"),
        ("disconnect_grace", -0.1, "disconnect_grace must be at least 0, not -0.1"),
        ("ws_max_size", 0, "ws_max_size must be at least 1, not 0"),
        ("ws_max_queue", 0, "ws_max_queue must be at least 1, not 0"),
        ("ws_ping_interval", -1, "ws_ping_interval must be at least 0, not -1"),
        ("ws_ping_timeout", -1, "ws_ping_timeout must be at least 0, not -1"),
        ("timeout_keep_alive", -1, "timeout_keep_alive must be at least 0, not -1"),
        ("timeout_first_byte", -1, "timeout_first_byte must be at least 0, not -1"),
        ("timeout_head", -1, "timeout_head must be at least 0, not -1"),
        ("timeout_body", -1, "timeout_body must be at least 0, not -1"),
        ("timeout_write", -1, "timeout_write must be at least 0, not -1"),
        ("timeout_graceful_shutdown", -1, "timeout_graceful_shutdown must be at least 0"),
        ("timeout_lifespan_startup", -1, "timeout_lifespan_startup must be at least 0"),
        ("timeout_lifespan_shutdown", -1, "timeout_lifespan_shutdown must be at least 0"),
        ("root_path", "api", "root_path must start with '/', not 'api'"),
        ("env_file", "missing.env", "env_file: there is no file 'missing.env'"),
        ("forwarded_allow_ips", "10.0.0.1/8", "forwarded_allow_ips: 10.0.0.1/8 has host bits set"),
        ("forwarded_allow_ips", "::1, 1.2.3/33", "forwarded_allow_ips: '1.2.3/33'"),
        ("headers", [("a b", "c")], "header 'a b': header name b'a b' is not a token"),
        ("headers", [("a", "b\nc")], "header 'a': the value of header b'a' holds a control"),
        ("headers", [("a", "\u20ac")], "header 'a': "),
        ("headers", [("a", 1)], "headers must be pairs of texts, not ('a', 1)"),
        ("headers", ["a: b"], "headers must be pairs of texts, not 'a: b'"),
        ("headers", "a: b", "headers must be a list, not 'a: b'"),
        ("backlog", 2**31, "backlog must be at most 2147483647, not 2147483648"),
        ("mounts", {"a": "b:c"}, "mount: a prefix must start with '/', not 'a'"),
        ("mounts", {"/a": "cgi:b:c"}, "mount '/a' must be 'asgi:module:attribute' or"),
        ("mounts", {"/": "b:c"}, "mount '/' and the target 'module:app' are for the same paths"),
        ("pools", {"db": PoolConfig(workers=0)}, "pools.db.workers must be at least 1, not 0"),
        ("threads", 0, "threads must be at least 1, not 0"),
        ("threads_queue", -1, "threads_queue must be at least 0, not -1"),
        ("guard_threshold", 0, "guard_threshold must be at least 0.001, not 0"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config("module:app", **{name: value})
    assert words in str(caught.value)


@pytest.mark.parametrize("name", names_of_literals())
def test_a_word_that_is_not_among_the_choices_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config("module:app", **{name: "bogus"})
    assert name in str(caught.value)
    assert "'bogus'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", "8000"), ("workers", "2"), ("timeout_head", "10"), ("root_path", 5), ("port", None)],
)
def test_a_value_of_another_type_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Config("module:app", **{name: value})
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["timeout_head", "min_rate", "timeout_graceful_shutdown"])
def test_a_number_that_is_none_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*nan"):
        Config("module:app", **{name: float("nan")})


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_a_header_that_frames_the_response_is_refused(name: str) -> None:
    # It would go out with every response and say what is not true.
    with pytest.raises(ConfigError, match=name):
        Config("module:app", headers=[(name, "5")])


def test_a_server_listens_on_one_place() -> None:
    with pytest.raises(ConfigError, match="uds and fd cannot both be given"):
        Config("module:app", uds="server.sock", fd=3)


@pytest.mark.parametrize(("given", "kept"), [("/", ""), ("/api/", "/api"), ("/api", "/api")])
def test_a_root_path_has_no_slash_at_its_end(given: str, kept: str) -> None:
    assert Config("module:app", root_path=given).root_path == kept


def test_an_environment_file_that_exists_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("A=b\n")
    assert Config("module:app", env_file=str(path)).env_file == str(path)


# What the other layers are told.


def test_exchanges_are_told_their_policy() -> None:
    policy = Config(
        "module:app",
        on_disconnect="ignore",
        disconnect_grace=1.5,
        root_path="/api",
        root_path_mode="keep",
        max_read_ahead=1000,
        ws_max_queue=7,
        limit_concurrency=3,
        forwarded_allow_ips="10.0.0.0/8, unix",
    ).policy()
    assert policy.on_disconnect == "ignore"
    assert policy.disconnect_grace == 1.5
    assert (policy.root_path, policy.root_path_mode) == ("/api", "keep")
    assert (policy.max_read_ahead, policy.max_queue) == (1000, 7)
    assert policy.limit_concurrency == 3
    assert policy.proxies.trusts("10.1.2.3")
    assert policy.proxies.trusts(None)
    assert not policy.proxies.trusts("127.0.0.1")


def test_nothing_is_believed_without_proxy_headers() -> None:
    settings = Config("module:app", proxy_headers=False, forwarded_allow_ips="*")
    assert settings.policy().proxies.trusts("127.0.0.1")  # to say who a request is from, still
    headers = [(b"x-forwarded-for", b"10.0.0.9"), (b"x-forwarded-proto", b"https")]
    out: Any = SimpleNamespace(trusted=True, client=("1.2.3.4", 5), tls=None)
    told = settings.policy().proxies.told(headers, "http", out)
    assert (told.client, told.scheme) == (("1.2.3.4", 5), "http")
    told = Config("module:app").policy().proxies.told(headers, "http", out)
    assert (told.client, told.scheme) == (("10.0.0.9", 0), "https")


def test_connections_are_told_their_timeouts() -> None:
    timeouts = Config(
        "module:app",
        timeout_first_byte=1,
        timeout_head=2,
        timeout_body=3,
        timeout_write=4,
        timeout_keep_alive=5,
        min_rate=6,
    ).timeouts()
    assert (timeouts.first_byte, timeouts.head, timeouts.body_stall) == (1, 2, 3)
    assert (timeouts.write_stall, timeouts.keep_alive, timeouts.min_rate) == (4, 5, 6)


def test_parsers_are_told_their_limits() -> None:
    limits = Config("module:app", max_head_size=9000, max_fields=7, max_body_size=0).http1()
    assert (limits.max_head_size, limits.max_fields, limits.max_body_size) == (9000, 7, 0)
    assert limits.max_target_size == 8192


def test_a_target_is_never_longer_than_its_head() -> None:
    assert Config("module:app", max_head_size=1000).http1().max_target_size == 1000


def test_sockets_are_told_how_they_are_kept() -> None:
    settings = Config(
        "module:app",
        ws="none",
        ws_ping_interval=0,
        ws_ping_timeout=0,
        ws_per_message_deflate=False,
        ws_allowed_origins="https://a.example, https://b.example,",
        timeout_ws_drain=1,
    ).websocket()
    assert settings.enabled is False
    assert settings.ping_interval is None
    assert settings.ping_timeout is None
    assert settings.deflate is False
    assert settings.allowed_origins == (b"https://a.example", b"https://b.example")
    assert settings.drain_notice == 1


def lines(config: Config) -> list[bytes]:
    return [one.line for one in config.response_fields()]


def test_responses_carry_the_servers_name_unless_told_otherwise() -> None:
    assert lines(Config("module:app")) == [b"server: tidegate\r\n"]
    assert lines(Config("module:app", server_header=False)) == []


def test_responses_carry_the_operators_headers() -> None:
    config = Config("module:app", headers=[("X-A", " 1 "), ("X-B", "caf\u00e9")])
    assert lines(config) == [b"server: tidegate\r\n", b"X-A: 1\r\n", b"X-B: caf\xe9\r\n"]


@pytest.mark.parametrize("server_header", [True, False])
def test_the_operators_own_server_header_replaces_ours(server_header: bool) -> None:
    config = Config("module:app", headers=[("Server", "mine")], server_header=server_header)
    assert lines(config) == [b"Server: mine\r\n"]


def test_a_date_of_the_operator_replaces_ours() -> None:
    assert Config("module:app").sends_date()
    assert not Config("module:app", headers=[("Date ", "x")]).sends_date()
    assert not Config("module:app", date_header=False).sends_date()


# More than one thing is wrong.


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        Config("module:app", port=-1, root_path="api", mounts={"a": "b:c", "d": "e:f"})
    assert [each.name for each in caught.value.complaints] == [
        "port",
        "root_path",
        "mounts",
        "mounts",
    ]
    assert [each.key for each in caught.value.complaints] == ["", "", "a", "d"]
    assert str(caught.value).startswith("port must be at least 0, not -1; root_path must start")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("wsgi:shop.wsgi:application", ("wsgi", "shop.wsgi:application")),
        ("asgi:live:app", ("asgi", "live:app")),
        ("auto:live:app.inner", ("auto", "live:app.inner")),
        ("live:app", ("auto", "live:app")),
        ("wsgi:app", ("auto", "wsgi:app")),
    ],
)
def test_a_mount_names_an_interface_and_a_target(text: str, parts: tuple[str, str]) -> None:
    assert mount_target(text) == parts


@pytest.mark.parametrize("text", ["", "live", "cgi:a:b", "wsgi:", "wsgi:a:", "a:b:c:d"])
def test_a_mount_without_a_target_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be 'asgi:module:attribute'"):
        mount_target(text)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [("ws", "websockets", "auto"), ("loop", "zuvloop", "auto"), ("loop", "none", "asyncio")],
)
def test_a_word_of_another_server_is_read_as_one_of_ours(name: str, given: str, kept: str) -> None:
    assert getattr(Config("module:app", **{name: given}), name) == kept  # type: ignore[arg-type]
