"""A file is found, read with the lines of its keys, and written so that it reads the same."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import ConfigError
from tidegate.server.toml import find, literal, read, written

TEXT = '''\
# port = 1
app = "shop:app"

"quoted" = 1
log = """
port = 2
[mount]
"""
port=3
names = [
    "a = b",
]
dotted.key = 4

[mount]
"/" = "wsgi:shop:app"
'/live' = "x"

[pools . "big one"]
threads = 4
'''


def file(folder: Path, text: str, name: str = "tidegate.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (["app"], 2),
        (["quoted"], 4),
        (["log"], 5),
        (["port"], 9),
        (["names"], 10),
        (["dotted", "key"], 13),
        (["mount"], 15),
        (["mount", "/"], 16),
        (["mount", "/live"], 17),
        (["pools", "big one"], 19),
        (["pools", "big one", "threads"], 20),
        (["pools", "big one", "missing"], 19),
    ],
)
def test_a_key_is_found_on_its_line(tmp_path: Path, key: list[str], line: int) -> None:
    path = file(tmp_path, TEXT)
    assert read(path).where(*key) == f"{path}, line {line}"


def test_a_key_that_is_not_there_is_somewhere_in_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, TEXT)
    assert read(path).where("missing") == str(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nb = = 2\n", "line 2: not TOML: Invalid value"),
        ("a = 1\na = 2\n", "line 2: not TOML: Cannot overwrite a value"),
        ('a = """\n\n\n', "line 3: not TOML: Unterminated string"),
        ("a = [", "line 1: not TOML"),
    ],
)
def test_what_is_not_toml_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(file(tmp_path, text))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"there is no file 'missing\.toml'"):
        read(Path("missing.toml"))


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"tidegate\.toml: "):
        read(tmp_path / "tidegate.toml")


def test_a_project_file_is_read_if_it_has_our_table(tmp_path: Path) -> None:
    assert find([str(tmp_path)]) is None
    path = file(tmp_path, "[tool.other]\nport = 1\n", "pyproject.toml")
    assert find([str(tmp_path)]) is None
    path.write_text("[tool.tidegate]\nport = 1\n[tool.tidegate.mount]\n'/' = 'a:b'\n")
    found = find([str(tmp_path)])
    assert found is not None
    assert found.values == {"port": 1, "mount": {"/": "a:b"}}
    assert found.where("port") == f"{path}, line 2"
    assert found.where("mount", "/") == f"{path}, line 4"


def test_our_own_file_wins_over_the_project_file_and_the_first_folder_over_the_next(
    tmp_path: Path,
) -> None:
    (tmp_path / "app").mkdir()
    file(tmp_path / "app", "port = 3")
    file(tmp_path, "[tool.tidegate]\nport = 2\n", "pyproject.toml")
    folders = [str(tmp_path), str(tmp_path / "app")]

    def port() -> object:
        found = find(folders)
        return found and found.values["port"]

    assert port() == 2
    file(tmp_path, "port = 1")
    assert port() == 1
    (tmp_path / "tidegate.toml").unlink()
    (tmp_path / "pyproject.toml").unlink()
    assert port() == 3


@pytest.mark.parametrize(
    "values",
    [
        {"app": "shop:app", "port": 80, "rate": 0.5, "log": False},
        {"text": 'quotes " and \\ and caf\u00e9 \n tab\t and \x7f \x01'},
        {"headers": ["A: b", "C: d"], "empty": []},
        {"mount": {"/": "a:b", "/caf\u00e9": "c:d"}, "port": 1},
        {"pools": {"db": {"threads": 2}, "big one": {"backend": "process"}}},
        {"empty": {}},
        {"log_config": {"version": 1, "handlers": {"h": {"class": "x", "args": [{"a": 1}]}}}},
    ],
)
def test_what_is_written_reads_the_same(values: dict[str, Any]) -> None:
    assert tomllib.loads(written(values)) == values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        ("a", '"a"'),
        ({"a": 1}, "{a = 1}"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_a_value_is_written_on_one_line(value: object, text: str) -> None:
    assert literal(value) == text
