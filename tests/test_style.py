"""The rules of style that a program can check, enforced on the sources.

Each check is a function from source text to complaints, so that the tests at
the end can show that it complains when it should.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "tidegate"

MAX_MODULE_LINES = 600
MAX_UNEXPLAINED_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_CONSTRUCTOR_PARAMETERS = 6
MAX_NESTING = 4
MAX_TYPE_IGNORES = 14

# They say nothing about what a module does.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "impl"}

KINDS = ("security", "removed", "deprecated", "added", "changed", "fixed")

BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.TryStar)

# First folders of paths that exist on one machine only.
LOCAL_FOLDERS = ("work", "root", "tmp", "home", "Users")
LOCAL_PATH = re.compile(rf"(?<![\w.~/-])/(?:{'|'.join(LOCAL_FOLDERS)})/")


def size_complaints(name: str, text: str) -> list[str]:
    """Say what is too long: the module, its functions, its constructors, its nesting."""
    tree = ast.parse(text)
    lines = len(text.splitlines())
    complaints = []
    if lines > MAX_MODULE_LINES:
        complaints.append(f"{name}: {lines} lines, the limit is {MAX_MODULE_LINES}")
    elif lines > MAX_UNEXPLAINED_MODULE_LINES and "lines" not in (ast.get_docstring(tree) or ""):
        complaints.append(f"{name}: {lines} lines, and its docstring does not say why")
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        where = f"{name}, line {node.lineno}: {node.name}"
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            complaints.append(f"{where} has {lines} lines, the limit is {MAX_FUNCTION_LINES}")
        parameters = len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) - 1
        if node.name == "__init__" and parameters > MAX_CONSTRUCTOR_PARAMETERS:
            complaints.append(f"{where} has {parameters} parameters, besides self")
        depth = nesting(node.body)
        if depth > MAX_NESTING:
            complaints.append(f"{where} nests {depth} deep, the limit is {MAX_NESTING}")
    return complaints


def nesting(statements: list[ast.stmt]) -> int:
    """Return the depth of the deepest block; an ``elif`` is as deep as its ``if``."""
    return max(map(_nesting_of, statements), default=0)


def _nesting_of(statement: ast.stmt) -> int:
    if isinstance(statement, ast.If):
        deepest = nesting(statement.body)
        if len(statement.orelse) == 1 and isinstance(statement.orelse[0], ast.If):
            return max(1 + deepest, _nesting_of(statement.orelse[0]))
        return 1 + max(deepest, nesting(statement.orelse))
    if isinstance(statement, ast.Match):
        return 1 + max(nesting(case.body) for case in statement.cases)
    if isinstance(statement, BLOCKS):
        inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
        for handler in getattr(statement, "handlers", []):
            inner += handler.body
        return 1 + nesting(inner)
    return 0  # a function or class within starts anew


def module_complaints(name: str, text: str) -> list[str]:
    """Say what is wrong with a module's name, docstring, ``__all__`` or assertions."""
    tree = ast.parse(text)
    complaints = []
    stem = name.removesuffix(".py").rpartition("/")[2]
    for part in name.removesuffix(".py").split("/"):
        if part.strip("_").rpartition("_")[2] in EMPTY_NAMES:
            complaints.append(f"{name}: {part} is not the name of a thing")
    if not ast.get_docstring(tree):
        complaints.append(f"{name}: no docstring")
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    docstring_only = stem == "__init__" and len(tree.body) == 1
    if "__all__" not in assigned and stem != "__main__" and not docstring_only:
        complaints.append(f"{name}: no __all__")
    complaints += [
        f"{name}, line {node.lineno}: assert; raise an exception of tidegate.errors instead"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    return complaints


def type_ignores(name: str, text: str) -> list[str]:
    """Return where mypy is told to look away."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [
        f"{name}, line {token.start[0]}: {token.string}"
        for token in tokens
        if token.type == tokenize.COMMENT and re.match(r"#\s*type:\s*ignore", token.string)
    ]


def sleep_complaints(name: str, text: str) -> list[str]:
    """Say where a test waits for time to pass; ``asyncio.sleep(0)`` does not."""
    tree = ast.parse(text)
    sleeps = {"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"}
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    complaints = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        zero = bool(node.args) and ast.unparse(node.args[0]) == "0"
        if modules.get(first, first) + dot + rest in sleeps and not zero:
            complaints.append(f"{name}, line {node.lineno}: {ast.unparse(node)}")
    return complaints


def fragment_complaints(name: str, text: str) -> list[str]:
    """Say what is wrong with a changelog fragment."""
    if name == "README.md":
        return []
    complaints = []
    if not re.fullmatch(rf"[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md", name):
        complaints.append(f"{name}: call it <words-with-hyphens>.<kind>.md, kind: {KINDS}")
    if not text.strip():
        complaints.append(f"{name}: empty")
    return complaints


def path_complaints(name: str, text: str) -> list[str]:
    """Say which lines name a path that exists on one machine only."""
    return [
        f"{name}, line {number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if LOCAL_PATH.search(line)
    ]


def files(*places: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of the files in these places; binary and hidden ones are left out."""
    for place in places:
        start = ROOT / place
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            parts = path.relative_to(ROOT).parts
            hidden = any(part.startswith((".", "__pycache__")) for part in parts[1:])
            if path.is_file() and not hidden and ".egg-info" not in str(path):
                try:
                    yield "/".join(parts), path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def modules(*places: str) -> list[tuple[str, str]]:
    return [(name, text) for name, text in files(*places) if name.endswith(".py")]


def report(complaints: list[str]) -> None:
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def complaints_of(
    check: Callable[[str, str], list[str]], sources: list[tuple[str, str]]
) -> list[str]:
    assert sources
    return [complaint for name, text in sources for complaint in check(name, text)]


def test_modules_functions_and_constructors_are_small() -> None:
    report(complaints_of(size_complaints, modules("src/tidegate")))


def test_modules_are_named_and_documented_and_say_what_is_public() -> None:
    report(complaints_of(module_complaints, modules("src/tidegate")))


def test_mypy_is_rarely_told_to_look_away() -> None:
    ignores = complaints_of(type_ignores, modules("src/tidegate"))
    report(ignores if len(ignores) > MAX_TYPE_IGNORES else [])


def test_tests_do_not_wait_for_time_to_pass() -> None:
    report(complaints_of(sleep_complaints, modules("tests")))


def test_changelog_fragments_are_well_formed() -> None:
    fragments = [(name.removeprefix("CHANGES/"), text) for name, text in files("CHANGES")]
    report(complaints_of(fragment_complaints, fragments))


def test_no_file_names_a_path_of_one_machine() -> None:
    patterns = ["*.md", "*.toml", "*.py", "Makefile", "LICENSE", ".gitignore", ".editorconfig"]
    top = [path.name for pattern in patterns for path in ROOT.glob(pattern)]
    folders = ["src", "docs", "examples", "bench", "tests", "tools", "CHANGES", ".ci/run"]
    report(complaints_of(path_complaints, list(files(*top, *folders))))


# The checks themselves.

SOUND = '"""What this is for."""\n\n__all__ = []\n'


def function(lines: int) -> str:
    return "def f():\n" + "    pass\n" * (lines - 1)


def nested(*heads: str) -> str:
    lines = ["    " * depth + head for depth, head in enumerate(["def f():", *heads])]
    return "\n".join([*lines, "    " * len(lines) + "pass"])


TRY_IN_FINALLY = """
 while a:
  try: pass
  except B:
   try: pass
   finally:
    try: pass
    except C: pass
    else:
     if d: pass
"""


def constructor(*parameters: str) -> str:
    return f"class A:\n    def __init__(self, {', '.join(parameters)}): ..."


@pytest.mark.parametrize(
    "text",
    [
        '"""Has many lines for a reason."""\n' * 600,
        '"""Short."""\n' * 400,
        function(60),
        nested("if a:", "for b in c:", "with d:", "while e:"),
        "def f():\n if a: pass\n elif b: pass\n elif c: pass\n elif d: pass\n elif e: pass",
        nested("if a:", "if b:", "if c:", "def g():", "if d:", "if e:", "if f:"),
        constructor("a", "b", "c", "d", "e", "*", "f"),
    ],
)
def test_small_code_raises_no_complaint(text: str) -> None:
    assert size_complaints("a.py", text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"""Has many lines for a reason."""\n' * 601, "601 lines, the limit is 600"),
        ('"""Long."""\n' * 401, "does not say why"),
        (function(61), "f has 61 lines"),
        ("class A:\n  async " + function(61).replace("    ", "     "), "f has 61 lines"),
        (nested("if a:", "for b in c:", "with d:", "while e:", "if f:"), "nests 5 deep"),
        (nested("if a:", "if b:", "if c:", "if d:", "match e:", "case 1:"), "nests 5 deep"),
        (nested("if a:", "if b:", "if c:", "if d:", "async with e:"), "nests 5 deep"),
        ("def f():\n" + TRY_IN_FINALLY, "nests 5 deep"),
        (constructor("a", "b", "c", "d", "e", "f", "g"), "7 parameters"),
        (constructor("a", "b", "c", "d", "e", "*", "f", "g"), "7 parameters"),
    ],
)
def test_large_code_raises_a_complaint(text: str, words: str) -> None:
    complaints = size_complaints("a.py", text)
    assert any(words in complaint for complaint in complaints), complaints


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("net/clock.py", SOUND),
        ("net/__init__.py", SOUND),
        ("net/__init__.py", '"""Only a docstring."""'),
        ("__main__.py", '"""Runs."""\nprint(1)'),
        ("net/database.py", SOUND),
    ],
)
def test_a_sound_module_raises_no_complaint(name: str, text: str) -> None:
    assert module_complaints(name, text) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("net/utils.py", SOUND, "utils is not the name"),
        ("net/common/clock.py", SOUND, "common is not the name"),
        ("net/_impl.py", SOUND, "_impl is not the name"),
        ("net/http_helpers.py", SOUND, "http_helpers is not the name"),
        ("net/clock.py", "__all__ = []", "no docstring"),
        ("net/clock.py", '"""Tells the time."""', "no __all__"),
        ("net/__init__.py", '"""Tells the time."""\nimport time', "no __all__"),
        ("net/clock.py", SOUND + "assert True", "line 4: assert"),
    ],
)
def test_an_unsound_module_raises_a_complaint(name: str, text: str, words: str) -> None:
    complaints = module_complaints(name, text)
    assert any(words in complaint for complaint in complaints), complaints


def test_type_ignores_are_counted_in_comments_only() -> None:
    text = "a = 1  # type: ignore\nb = 2  # type: ignore[misc]\nc = '# type: ignore'\n"
    assert len(type_ignores("a.py", text)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\nasync def f(): await asyncio.sleep(0)",
        "import time\ntime.monotonic()",
        "import clock\nclock.sleep(5)",
    ],
)
def test_a_test_that_does_not_sleep_raises_no_complaint(text: str) -> None:
    assert sleep_complaints("test_a.py", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "import time\ntime.sleep(delay)",
        "import time as t\nt.sleep(0.1)",
        "from time import sleep\nsleep(1)",
        "from asyncio import sleep as nap\nasync def f(): await nap(1)",
        "import asyncio\nasync def f(): await asyncio.sleep(0.01)",
        "import asyncio\nasync def f(): await asyncio.sleep(delay=1)",
        "import anyio\nasync def f(): await anyio.sleep(1)",
    ],
)
def test_a_test_that_sleeps_raises_a_complaint(text: str) -> None:
    assert len(sleep_complaints("test_a.py", text)) == 1


def test_fragments_are_complained_about_when_misnamed_or_empty() -> None:
    assert fragment_complaints("http1-server.added.md", "A server.") == []
    assert len(fragment_complaints("http1-server.new.md", "A server.")) == 1
    assert len(fragment_complaints("HTTP1.added.md", "A server.")) == 1
    assert len(fragment_complaints("http1-server.added.md", "\n")) == 1


@pytest.mark.parametrize("folder", LOCAL_FOLDERS)
def test_paths_of_one_machine_are_complained_about(folder: str) -> None:
    assert len(path_complaints("README.md", f"cd /{folder}/tidegate")) == 1
    assert len(path_complaints("README.md", f"see (/{folder}/a)")) == 1
    assert path_complaints("README.md", f"see docs/{folder}/a, ~/{folder}/a, {folder}/a") == []
