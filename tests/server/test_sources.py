"""The command line wins over the environment, that over the file, that over the default."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.server.config import Config, PoolConfig
from tidegate.server.explain import explained, explained_as_json, given_as_toml
from tidegate.server.sources import Given, Settings, collect

SOURCES = ("file", "environment", "command line")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def from_file(text: str, **environment: str) -> Settings:
    Path("tidegate.toml").write_text(text, "utf-8")
    return collect({}, environment=environment)


def complaints(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_file(text, **{"TIDEGATE_APP": "a:b", **environment}).config()
    return str(caught.value).splitlines()


# Precedence.


@pytest.mark.parametrize(
    "present", [c for n in range(4) for c in itertools.combinations(SOURCES, n)], ids="+".join
)
@pytest.mark.parametrize(
    ("name", "values", "default"),
    [
        ("port", (1, 2, 3), 8000),
        ("host", ("a", "b", "c"), "127.0.0.1"),
        ("timeout_head", (1.5, 2.5, 3.5), 10.0),
        ("limit_concurrency", (1, 2, 3), None),
        ("loop", ("asyncio", "uvloop", "asyncio"), "auto"),
    ],
)
def test_the_last_source_that_speaks_wins(
    present: set[str], name: str, values: tuple[object, ...], default: object
) -> None:
    Path("tidegate.toml").write_text(
        f"{name} = {json.dumps(values[0])}\n" if "file" in present else ""
    )
    variable = f"TIDEGATE_{name.upper()}"
    environment = {variable: str(values[1])} if "environment" in present else {}
    given = {name: Given(values[2], "--flag")} if "command line" in present else {}
    settings = collect(given, environment={"TIDEGATE_APP": "a:b", **environment})
    wins = max([-1, *(SOURCES.index(each) for each in present)])
    origins = ("tidegate.toml, line 1", variable, "--flag", "default")
    assert getattr(settings.config(), name) == (*values, default)[wins]
    assert settings.origin(name) == origins[wins]


def test_the_target_can_come_from_the_file() -> None:
    settings = from_file('app = "shop:app"')
    assert settings.config().app == "shop:app"
    assert settings.origin("app") == "tidegate.toml, line 1"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, ("s", None, 8000)),
        ({"workers": 2}, ("s", None, 8000)),
        ({"port": 1}, (None, None, 1)),
        ({"fd": 3}, (None, 3, 8000)),
        ({"uds": "t"}, ("t", None, 8000)),
    ],
)
def test_the_last_source_that_names_a_place_says_it_all(
    given: dict[str, object], place: tuple[object, ...]
) -> None:
    Path("tidegate.toml").write_text('app = "a:b"\nuds = "s"')
    said = {name: Given(value, "--flag") for name, value in given.items()}
    config = collect(said, environment={}).config()
    assert (config.uds, config.fd, config.port) == place


def test_a_target_is_needed() -> None:
    with pytest.raises(ConfigError, match="missing argument TARGET"):
        collect({}, environment={}).config()
    assert collect({}, environment={}).config(target_needed=False).app == ""


def test_mounts_are_target_enough() -> None:
    config = from_file('[mount]\n"/" = "wsgi:shop:app"').config()
    assert config.mounts == {"/": "wsgi:shop:app"}


def test_our_own_variable_wins_over_one_that_others_read_too() -> None:
    environment = {"WEB_CONCURRENCY": "4", "TIDEGATE_APP": "a:b"}
    assert collect({}, environment=environment).config().workers == 4
    settings = collect({}, environment={**environment, "TIDEGATE_WORKERS": "3"})
    assert settings.config().workers == 3
    assert settings.origin("workers") == "TIDEGATE_WORKERS"


def test_an_empty_variable_is_no_setting() -> None:
    assert from_file("port = 1", TIDEGATE_PORT="", TIDEGATE_APP="a:b").config().port == 1


def test_the_file_can_be_named(folder: Path) -> None:
    (folder / "tidegate.toml").write_text("port = 1")
    (folder / "other.toml").write_text('app = "a:b"\nport = 2')
    (folder / "third.toml").write_text('app = "a:b"\nport = 3')
    assert collect({}, environment={"TIDEGATE_CONFIG": "other.toml"}).config().port == 2
    settings = collect({}, file="third.toml", environment={"TIDEGATE_CONFIG": "other.toml"})
    assert settings.config().port == 3
    assert settings.origin("port") == "third.toml, line 2"


def test_the_file_is_also_looked_for_beside_the_application(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "tidegate.toml").write_text('app = "a:b"')
    settings = collect({"app_dir": Given("src", "--app-dir")}, environment={})
    assert settings.config().app == "a:b"


def test_a_file_that_cannot_be_read_is_one_complaint(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file("= 1").config()
    assert str(caught.value).startswith("tidegate.toml, line 1: not TOML")
    assert "\n" not in str(caught.value)


# What a file may say.


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("timeout-head = 2", "timeout_head", 2),
        ("h11-max-incomplete-event-size = 9999", "max_head_size", 9999),
        ("access_log = false", "access_log", False),
        ('headers = ["A: b", "C: d:e"]', "headers", [("A", "b"), ("C", "d:e")]),
        ('[header]\nA = "b"', "headers", [("A", "b")]),
        ('[mount]\n"/a" = "b:c"', "mounts", {"/a": "b:c"}),
        ("[log_config]\nversion = 1", "log_config", {"version": 1}),
        ('ws = "wsproto"', "ws", "auto"),
        (
            '[pools.db]\nbackend = "process"\nthreads = 5\n[pools.x]\nmax-queue = 0',
            "pools",
            {"db": PoolConfig(backend="process", workers=5), "x": PoolConfig(max_queue=0)},
        ),
    ],
)
def test_the_file_sets_an_option(text: str, name: str, value: object) -> None:
    config = from_file(text, TIDEGATE_APP="a:b").config()
    assert getattr(config, name) == value


def test_paths_are_seen_from_the_file(folder: Path) -> None:
    (folder / "etc").mkdir()
    (folder / "etc" / "env").write_text("A=b")
    (folder / "etc" / "my.toml").write_text('app = "a:b"\nenv_file = "env"\nuds = "/run/s"')
    config = collect({}, file="etc/my.toml", environment={}).config()
    assert (config.env_file, config.uds) == ("etc/env", "/run/s")


# What is wrong.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nworker = 3", "line 2: unknown option 'worker'; did you mean 'workers'?"),
        ("zzz = 3", "line 1: unknown option 'zzz'"),
        ('port = "80"', "line 1: port must be a whole number, not '80'; write 80, without quotes"),
        ("port = 70000", "line 1: port must be at most 65535, not 70000"),
        ("\nbacklog = 99999999999", "line 2: backlog must be at most 2147483647, not 99999999999"),
        ('loop = "trio"', "line 1: loop must be one of auto, asyncio, uvloop, not 'trio'"),
        ("port = 1\nPORT = 2", "line 2: unknown option 'PORT'"),
        ("app-dir = 'x'\napp_dir = 'y'", "line 2: 'app_dir' is given twice"),
        ("app = 5", "line 1: app must be 'module:attribute', not 5"),
        ("headers = ['A']", "line 1: headers 'A' is not 'Name: value'"),
        ("headers = 5", "line 1: headers must be a table, or a list of 'Name: value'"),
        ("headers = ['a b: c']", "line 1: header 'a b': "),
        (
            "[mount]\n'/a' = 'b:c'\n'd' = 'e:f'",
            "line 3: mount: a prefix must start with '/', not 'd'",
        ),
        ("[mount]\n'/a' = 'b'", "line 2: mount '/a' must be 'asgi:module:attribute' or "),
        ("[mount]\n'/a' = 5", "line 2: mount '/a' must be 'asgi:module:attribute' or "),
        ("[mount]\n'/' = 'c:d'", "line 2: mount '/' and the target 'a:b' are for the same paths"),
        ("mount = 5", "line 1: mounts must be a table, not 5"),
        ("[pools.db]\nthreads = 0", "line 2: pools.db.threads must be at least 1, not 0"),
        ("[pools.db]\nthread = 2", "line 2: pools.db.thread is no option of a pool"),
        ("[pools]\ndb = 5", "line 2: a pool is a table: [pools.db]"),
        ("pools = 5", "line 1: a pool is a table: [pools.NAME]"),
        ("env_file = 'missing'", "line 1: env_file: there is no file 'missing'"),
        ("uds = 'x'\nfd = 3", "line 1: uds and fd cannot both be given"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, words: str) -> None:
    (line,) = complaints(text)
    assert line.startswith(f"tidegate.toml, {words}")


def test_everything_wrong_is_said_at_once() -> None:
    found = complaints(
        "worker = 3\nport = 70000\nloop = 'trio'\n[mount]\nx = 'a:b'\ny = 'a:b'",
        TIDEGATE_BACKLOG="many",
        TIDEGATE_WORKERS="0",
    )
    assert len(found) == 7
    assert found[0] == "TIDEGATE_BACKLOG: backlog must be a whole number, not 'many'"
    assert "TIDEGATE_WORKERS: workers must be at least 1, not 0" in found
    assert "tidegate.toml, line 6: mount: a prefix must start with '/', not 'y'" in found


def test_what_is_wrong_does_not_keep_the_rest_from_being_used() -> None:
    config, found = from_file('app = "a:b"\nport = 70000\nworkers = 2').usable()
    assert len(found) == 1
    assert (config.port, config.workers) == (8000, 2)


def test_a_port_that_kubernetes_set_is_explained() -> None:
    (line,) = complaints("", TIDEGATE_PORT="tcp://10.0.0.1:8000")
    assert "enableServiceLinks: false" in line


def test_a_variable_that_nearly_is_one_of_ours_is_noted() -> None:
    settings = from_file("", TIDEGATE_APP="a:b", TIDEGATE_PROT="1", TIDEGATE_PURE="1", PORT="1")
    (note,) = settings.notes
    assert note == ("TIDEGATE_PROT in the environment is no option; did you mean 'TIDEGATE_PORT'?")


def test_variables_of_other_servers_are_noted() -> None:
    environment = {
        "UVICORN_PORT": "1",
        "UVICORN_HOST": "x",
        "UVICORN_FROB": "x",
        "TIDEGATE_HOST": "y",
    }
    settings = from_file("", **environment, GUNICORN_CMD_ARGS="-w 4")
    assert settings.notes == [
        "UVICORN_PORT in the environment is not read; the name here is TIDEGATE_PORT",
        "GUNICORN_CMD_ARGS in the environment is not read",
    ]


# Explained.


def settings_of_all_kinds() -> tuple[Config, Settings]:
    Path("tidegate.toml").write_text(
        'app = "shop:app"\nheaders = ["A: b"]\n[mount]\n"/x" = "c:d"\n[pools.db]\nthreads = 2\n'
    )
    given = {"port": Given(9000, "--port")}
    settings = collect(given, environment={"TIDEGATE_ACCESS_LOG": "no"})
    return settings.config(), settings


def test_every_option_is_explained_with_its_origin() -> None:
    config, settings = settings_of_all_kinds()
    lines = [line.split() for line in explained(config, settings).splitlines()]
    assert lines[0] == ["app", '"shop:app"', "tidegate.toml,", "line", "1"]
    assert ["port", "9000", "--port"] in lines
    assert ["access_log", "false", "TIDEGATE_ACCESS_LOG"] in lines
    assert ["uds", "-", "default"] in lines
    starts = {line.find("default") for line in explained(config, settings).splitlines()} - {-1}
    assert len(starts) == 1  # aligned


def test_programs_get_json() -> None:
    rows = json.loads(explained_as_json(*settings_of_all_kinds()))
    by_name = {row["option"]: row for row in rows}
    assert by_name["port"] == {"option": "port", "value": 9000, "origin": "--port"}
    assert by_name["pools"]["value"]["db"]["workers"] == 2


def test_what_was_given_reads_the_same_from_a_file() -> None:
    config, settings = settings_of_all_kinds()
    Path("tidegate.toml").write_text(given_as_toml(config, settings))
    again = collect({}, environment={})
    assert again.config() == config
    assert len(again.given) == len(settings.given)
