"""``routes``, ``explain`` and ``openapi`` say what an application will do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidegate.cli import main

APPLICATIONS = """
from msgspec import Struct
from tidegate import App, Depends, Socket
from typing import Annotated

class Item(Struct):
    name: str

class Thing:
    pass

def user() -> str:
    return "ann"

app = App(title="Shop")

@app.get("/items/{id:int}")
async def show(id: int, page: int = 1) -> Item:
    return Item("a")

@app.post("/items", status=201)
def create(item: Item, me: Annotated[str, Depends(user)]) -> Item:
    return item

@app.ws("/chat")
async def chat(socket: Socket[str, str]) -> None: ...

wrong = App()

@wrong.get("/")
async def strange(thing: Thing) -> None: ...

secured = App()

@secured.get("/", security=["key"])
async def locked() -> None: ...

async def raw(scope, receive, send): ...

def make():
    return app
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served_shop.py").write_text(APPLICATIONS)
    (tmp_path / "served_broken.py").write_text("def f(:\n")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_routes_are_listed() -> None:
    result = run("routes", "served_shop:app")
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    assert ["GET", "/items/{id:int}"] in [line[:2] for line in lines]
    found = {line[1]: line[2] for line in lines}
    assert found["/items"].split() == ["in", "a", "thread", "create"]
    assert found["/chat"].endswith("chat")


def test_a_plan_is_explained() -> None:
    result = run("explain", "served_shop:app", "post", "/items")
    assert result.exit_code == 0, result.output
    for words in ("create()", "user()", "item: Item", "201"):
        assert words in result.stdout
    assert "id: int" in run("explain", "served_shop:app", "GET", "/items/5").stdout
    assert "chat()" in run("explain", "served_shop:app", "websocket", "/chat").stdout


def test_the_document_is_printed_or_written(folder: Path) -> None:
    printed = run("openapi", "served_shop:app")
    assert printed.exit_code == 0, printed.output
    document = json.loads(printed.stdout)
    assert document["info"]["title"] == "Shop"
    assert document["paths"].keys() == {"/items/{id}", "/items"}
    written = run("openapi", "served_shop:make", "--factory", "-o", "api.json")
    assert (written.exit_code, written.stdout) == (0, "")
    assert (folder / "api.json").read_text("utf-8") == printed.stdout


def test_changes_that_break_nobody_are_fine() -> None:
    run("openapi", "served_shop:app", "-o", "old.json")
    result = run("openapi", "served_shop:app", "--diff", "old.json")
    assert (result.exit_code, result.stdout) == (0, "nothing breaks clients of old.json\n")


def test_changes_that_break_clients_are_listed(folder: Path) -> None:
    run("openapi", "served_shop:app", "-o", "old.json")
    changed = APPLICATIONS.replace("page: int = 1", "page: int").replace('"/items"', '"/things"')
    (folder / "served_changed.py").write_text(changed)
    result = run("openapi", "served_changed:app", "--diff", "old.json")
    assert result.exit_code == 1
    assert sorted(result.stdout.splitlines()) == [
        "/items: the path is gone",
        "GET /items/{id}: query parameter 'page' has become required",
    ]
    assert result.stderr == "2 breaking changes since old.json\n"


@pytest.mark.parametrize("command", ["routes", "explain", "openapi"])
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere:app", "there is no module 'nowhere'"),
        ("served_shop:nothing", "'served_shop' has no attribute 'nothing'"),
        ("served_shop", "served_shop"),
        ("served_shop:raw", "is not an application of tidegate.App"),
        ("served_shop:wrong", "strange"),
        ("served_broken:app", "served_broken.py, line 1"),
    ],
)
def test_a_target_that_cannot_be_used_is_one_line(command: str, target: str, words: str) -> None:
    more = ["GET", "/"] if command == "explain" else []
    result = run(command, target, *more)
    assert result.exit_code != 0
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [("GET", "/nowhere", "/nowhere"), ("PUT", "/items", "PUT"), ("FETCH", "/items", "FETCH")],
)
def test_what_nobody_serves_is_said(method: str, path: str, words: str) -> None:
    result = run("explain", "served_shop:app", method, path)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--diff", "missing.json"], "missing.json: No such file"),
        (["--diff", "served_shop.py"], "served_shop.py is not JSON"),
        (["--diff", "list.json"], "list.json is not an OpenAPI document"),
        (["-o", "no/folder.json"], "no/folder.json: No such file"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(
    folder: Path, arguments: list[str], words: str
) -> None:
    (folder / "list.json").write_text("[]")
    result = run("openapi", "served_shop:app", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_document_that_cannot_be_made_is_one_line() -> None:
    result = run("openapi", "served_shop:secured")
    assert result.exit_code == 2
    assert "there is no security scheme 'key'" in result.stderr
    assert result.stderr.count("\n") == 1
