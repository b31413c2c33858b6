"""The examples of the README and of docs/ are true.

Python blocks of one file run in order, in one fresh interpreter; one marked
``no-run`` is only compiled.  Commands of ours in console blocks must parse, and
options and defaults that the text names must exist.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tidegate.cli import command, main
from tidegate.cli.settings import collected
from tidegate.errors import ConfigError
from tidegate.server.sources import collect

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TUTORIAL = ROOT / "docs" / "tutorial" / "first-server.md"

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


@dataclass
class Block:
    """A fenced block; ``line`` is that of its first line of text."""

    language: str
    runs: bool
    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}"


def blocks(text: str, language: str) -> list[Block]:
    return [
        Block(
            found[1],
            "no-run" not in found[2].split(),
            text.count("\n", 0, found.start(3)) + 1,
            found[3],
        )
        for found in FENCE.finditer(text)
        if found[1] == language
    ]


def commands(text: str) -> Iterator[tuple[int, dict[str, str], list[str]]]:
    """Yield line, environment and words of every command in the console blocks."""
    for block in blocks(text, "console"):
        for offset, line in enumerate(block.text.splitlines()):
            if line.startswith("$ "):
                words = shlex.split(line[2:], comments=True)
                environment = {}
                while re.match(r"\w+=", words[0]):
                    name, _, environment[name] = words.pop(0).partition("=")
                yield block.line + offset, environment, words


def page_name(path: Path) -> str:
    return os.path.relpath(path, ROOT)


every_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


@every_page
def test_python_examples_run(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in blocks(text, "python"):
        compile("\n" * (block.line - 1) + block.text, str(path), "exec")
        if block.runs:
            lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = (
                block.text.splitlines()
            )
    if not any(lines):
        return
    # Under the page's name and with its line numbers, so that a traceback points there.
    script = tmp_path / path.with_suffix(".py").name
    script.write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    # Examples may import what stands in examples/.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "examples")}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    if done.returncode:
        pytest.fail(f"{page_name(path)}:\n{done.stderr}", pytrace=False)


@click.pass_context
def check_settings(context: click.Context, /, **options: object) -> None:
    collected(context).config()


@every_page
def test_commands_parse(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run", "check"):
        monkeypatch.setattr(command(name), "callback", check_settings)
    monkeypatch.setattr("tidegate.cli.run.serve", lambda config, again=None: None)  # for dev
    # Servers that they ask, and files that it reads, are the reader's.
    for name in ("top", "ctl"):
        monkeypatch.setattr(command(name), "callback", lambda **options: None)
    monkeypatch.setattr(command("import-config"), "callback", lambda words, output: None)
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    for line, environment, words in commands(path.read_text(encoding="utf-8")):
        if words[0] == "tidegate":
            result = CliRunner().invoke(main, words[1:], env=environment)
            if result.exit_code:
                pytest.fail(
                    f"{page_name(path)}, line {line}: {result.output}{result.exception}",
                    pytrace=False,
                )


@every_page
def test_configuration_files_can_be_used(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(path.read_text(encoding="utf-8"), "toml"):
        Path("tidegate.toml").write_text(block.text, "utf-8")
        try:
            collect({}, environment={}).config(target_needed=False)
        except ConfigError as error:
            pytest.fail(f"{page_name(path)}, line {block.line}: {error}", pytrace=False)


@every_page
def test_options_named_in_the_text_exist(path: Path) -> None:
    named = set(re.findall(r"`(--[a-z0-9-]+)", path.read_text(encoding="utf-8")))
    assert named - options().keys() == set()


@pytest.mark.parametrize("page", ["THREATS.md", "docs/reference/limits.md"])
def test_defaults_in_the_tables_are_those_of_the_command_line(page: str) -> None:
    rows = re.findall(
        r"^\|[^|\n]*`(--[a-z-]+)` *\|([^|\n]+)\|", (ROOT / page).read_text(encoding="utf-8"), re.M
    )
    assert len(rows) > 10
    known = options()
    wrong = [(name, cell) for name, cell in rows if number(cell) != known[name].default]
    assert wrong == []


def number(cell: str) -> float | None:
    """Return the number in ``64 KiB``, ``5 s`` or ``none``."""
    words = cell.split()
    return None if words[0] == "none" else float(words[0]) * UNITS.get("".join(words[1:2]), 1)


def options() -> dict[str, click.Parameter]:
    commands = [command(name) for name in main.list_commands(click.Context(main))]
    return {
        name: param
        for each in commands
        for param in each.params
        for name in [*param.opts, *param.secondary_opts]
    }


@every_page
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    broken = [link for link in links if ":" not in link and not (path.parent / link).exists()]
    assert broken == []


@every_page
def test_make_targets_named_in_the_text_exist(path: Path) -> None:
    named = set(re.findall(r"`make ([a-z]+)", path.read_text(encoding="utf-8")))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named - targets == set()


def test_the_first_server_answers_as_the_tutorial_says(tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    (tmp_path / "hello.py").write_text(blocks(text, "python")[0].text, encoding="utf-8")
    asked = re.search(r"^\$ curl http://127\.0\.0\.1:8000(\S+)\n(.*?)^```$", text, re.M | re.S)
    assert asked is not None
    command = [sys.executable, "-m", "tidegate", "run", "hello:app", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            running = re.search(r"running on (http://\S+)", server.stderr.readline())
            assert running is not None
            with urllib.request.urlopen(running[1] + asked[1], timeout=20) as answer:
                assert answer.read().decode() == asked[2]
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode == 0


# The checks themselves.

PAGE = inspect.cleandoc(
    """
    ```python
    a = 1
    ```
    text
    ```python no-run
    b = 2
    ```
    ```console
    $ TIDEGATE_PORT=1 tidegate run a:b  # says hello
    Hello
    $ curl
    ```
    """
)


def test_blocks_are_found_with_their_lines() -> None:
    assert blocks(PAGE, "python") == [
        Block("python", True, 2, "a = 1\n"),
        Block("python", False, 6, "b = 2\n"),
    ]


def test_commands_are_found_with_their_environment() -> None:
    assert list(commands(PAGE)) == [
        (9, {"TIDEGATE_PORT": "1"}, ["tidegate", "run", "a:b"]),
        (11, {}, ["curl"]),
    ]


def test_a_wrong_example_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = tmp_path / "wrong.md"
    sample.write_text("```python\n1 / 0\n```\n```console\n$ tidegate run --prot 1\n```\n`--prot`\n")
    with pytest.raises(pytest.fail.Exception, match="line 2"):
        test_python_examples_run(sample, tmp_path)
    with pytest.raises(pytest.fail.Exception, match="--prot"):
        test_commands_parse(sample, monkeypatch)
    with pytest.raises(AssertionError):
        test_options_named_in_the_text_exist(sample)
    sample.write_text("```toml\nprot = 1\n```\n")
    with pytest.raises(pytest.fail.Exception, match="unknown option 'prot'"):
        test_configuration_files_can_be_used(sample, tmp_path, monkeypatch)


def test_the_table_of_options_is_what_the_program_has() -> None:
    spec = importlib.util.spec_from_file_location("page", ROOT / "tools" / "command_line_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.PAGE.read_text("utf-8")
    assert written == module.page(), "run: python tools/command_line_page.py"
