"""Who may import whom?  The table of the architecture, enforced on the sources.

Each check is a function from source text to complaints, so that the tests at
the end can show that it complains when it should.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"

# A unit is a top-level module or package of tidegate; a longer name is an exception
# for one module.  Imports within a unit are free, save for cycles.
MAY_IMPORT = {
    "errors": "",
    "asgi": "",
    "http": "errors",
    "trace": "",
    "deadline": "",
    "wire": "errors http",
    "bridge": "errors asgi http",
    "exchange": "errors asgi http trace deadline",
    "exchange.wsgi": "errors asgi http trace deadline bridge",
    "net": "errors asgi http wire exchange",
    "server": "errors asgi http trace wire net exchange bridge files",
    "files": "errors asgi http bridge",
    "web": "errors asgi http trace deadline bridge events files",
    "events": "errors asgi bridge",
    "serverless": "errors asgi http exchange",
    "migrate": "errors asgi http bridge web",
    "testing": "errors asgi http wire bridge exchange net server web events serverless migrate",
    "cli": "errors asgi http bridge net server web events serverless migrate testing",
    "uvicorn_compat": "errors asgi server",
    "__main__": "cli",
    # Names for users, imported when they are first used.
    "__init__": "errors asgi http bridge server web events serverless migrate testing",
    "_pure": "",
    "_version": "",
}
EVERYBODY_MAY_IMPORT = {"_pure", "_version"}

# Modules that may import inside a function: what a command does not use, it does not load.
MAY_IMPORT_LATE = {"tidegate", "tidegate.cli"}

REQUIRED = {"click", "msgspec"}
# Import name -> the extra that installs it.  One module imports each of them, so
# one place says what to do when it is missing.
OPTIONAL = {
    "uvloop": None,  # a dependency, but not on Windows
    "aioquic": "http3",
    "pylsqpack": "http3",
    "watchfiles": "reload",
    "multipart": "forms",
    "jinja2": "templates",
    "itsdangerous": "sessions",
    "brotli": "compress",
    "zstandard": "compress",
    "opentelemetry": "otel",
    "redis": "redis",
    "nats": "nats",
    "aio_pika": "rabbitmq",
    "aiokafka": "kafka",
    "aiosqlite": "sql",
    "asyncpg": "sql",
    "sqlalchemy": "sql",
    "distributed": "dask",
    "pytest": None,  # whoever loads our plugin has it
}

# What loads plugins of ours is there when they are imported, in any module.
HOSTS = {"pytest"}


@dataclass(frozen=True)
class Import:
    """One name imported by one module."""

    importer: str
    target: str  # a module of ours, or the first part of a foreign name
    line: int
    in_function: bool
    for_types: bool  # under `if TYPE_CHECKING`

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}"


@dataclass
class Sources:
    """Modules by name, with their texts."""

    texts: dict[str, str]

    def imports(self) -> list[Import]:
        return [found for name in self.texts for found in self._imports_of(name)]

    def _imports_of(self, importer: str) -> Iterator[Import]:
        for node, in_function, for_types in _import_statements(ast.parse(self.texts[importer])):
            for target in self._targets(importer, node):
                yield Import(importer, target, node.lineno, in_function, for_types)

    def _targets(self, importer: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            origins = [(alias.name, "") for alias in node.names]
        else:
            origin = node.module or ""
            if node.level:
                package = importer.split(".") + ["__init__"] * self._is_package(importer)
                origin = ".".join(package[: -node.level] + ([origin] if origin else []))
            origins = [(origin, alias.name) for alias in node.names]
        for origin, name in origins:
            if origin.split(".")[0] != "tidegate":
                yield origin.split(".")[0]
            elif f"{origin}.{name}" in self.texts:
                yield f"{origin}.{name}"
            else:
                yield origin

    def _is_package(self, name: str) -> bool:
        return any(other.startswith(f"{name}.") for other in self.texts)


def _import_statements(
    tree: ast.AST, in_function: bool = False, for_types: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, in_function, for_types
        else:
            yield from _import_statements(
                node,
                in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef),
                for_types or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)),
            )


def unit(module: str) -> str:
    """Return the row of the table that a module belongs to."""
    parts = module.split(".")[1:] or ["__init__"]
    return ".".join(parts) if ".".join(parts) in MAY_IMPORT else parts[0]


def layer_complaints(imports: Iterable[Import]) -> list[str]:
    """Say which imports of our own modules the table does not allow."""
    complaints = []
    for found in imports:
        if found.target.split(".")[0] != "tidegate":
            continue
        importer, target = unit(found.importer), unit(found.target)
        if importer not in MAY_IMPORT:
            complaints.append(f"{found}: {importer} is not in the table")
        elif target == "__init__":
            complaints.append(f"{found}: import the module that defines the name, not tidegate")
        elif (
            importer.split(".")[0] != target.split(".")[0]
            and target.split(".")[0] not in MAY_IMPORT[importer].split()
            and target not in EVERYBODY_MAY_IMPORT
        ):
            complaints.append(f"{found}: {importer} may not import {target} ({found.target})")
    return complaints


def late_import_complaints(imports: Iterable[Import]) -> list[str]:
    """Say which imports are hidden in a function."""
    return [
        f"{found}: import of {found.target} inside a function"
        for found in imports
        if found.in_function and found.importer not in MAY_IMPORT_LATE
    ]


def foreign_complaints(imports: Iterable[Import]) -> list[str]:
    """Say which packages of others are imported undeclared, or in a second module."""
    complaints = []
    importers: dict[str, set[str]] = {}
    for found in imports:
        name = found.target
        if name.split(".")[0] == "tidegate" or name in sys.stdlib_module_names | REQUIRED:
            continue
        if name in OPTIONAL:
            importers.setdefault(name, set()).add(found.importer)
        else:
            complaints.append(f"{found}: {name} is not a declared dependency")
    for name, modules in importers.items():
        if len(modules) > 1 and name not in HOSTS:
            complaints.append(f"{name} is imported in {', '.join(sorted(modules))}: choose one")
    return complaints


def cycle_complaints(imports: Iterable[Import]) -> list[str]:
    """Say which modules need each other while they are imported."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if not (found.in_function or found.for_types):
            graph.setdefault(found.importer, set()).add(found.target)
    complaints = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            complaints.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return complaints


def read_sources() -> Sources:
    texts = {}
    for path in sorted((SRC / "tidegate").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        texts[name] = path.read_text(encoding="utf-8")
    return Sources(texts)


SOURCES = read_sources()
IMPORTS = SOURCES.imports()


def report(complaints: list[str]) -> None:
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def test_every_import_follows_the_table() -> None:
    report(layer_complaints(IMPORTS))


def test_no_import_is_hidden_in_a_function() -> None:
    report(late_import_complaints(IMPORTS))


def test_foreign_packages_are_declared_and_optional_ones_imported_once() -> None:
    report(foreign_complaints(IMPORTS))


def test_no_modules_need_each_other() -> None:
    report(cycle_complaints(IMPORTS))


def test_every_optional_package_has_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {extra for extra in OPTIONAL.values() if extra}
    assert extras | {"all", "demo", "dev"} == set(project["optional-dependencies"])


# Imports each of the modules in a process that has imported nothing of ours.
IMPORT_EACH = """
import asyncio, importlib, msgspec, os, sys, traceback

broken = False
for module in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(module)
        except BaseException:
            print(f"import {module}:", file=sys.stderr)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    broken |= os.waitpid(child, 0)[1] != 0
sys.exit(broken)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_every_module_can_be_imported_first() -> None:
    command = [sys.executable, "-c", IMPORT_EACH, *SOURCES.texts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The checks themselves.

SOUND = {
    "tidegate": "if TYPE_CHECKING:\n from .server.run import run\ndef f():\n from . import server",
    "tidegate.errors": "",
    "tidegate.http": "from .errors import BadRequest\nimport msgspec",
    "tidegate.net": "",
    "tidegate.net.clock": "import time\nfrom .. import http\nfrom .._pure import speed",
    "tidegate.net.http1": "from ..http import Head\nfrom .clock import now\nfrom . import clock",
    "tidegate.server": "",
    "tidegate.server.run": "import uvloop\nfrom tidegate.net.http1 import Http1Connection",
    "tidegate._pure": "",
}


def complaints_about(texts: dict[str, str]) -> list[str]:
    imports = Sources(SOUND | texts).imports()
    return [
        *layer_complaints(imports),
        *late_import_complaints(imports),
        *foreign_complaints(imports),
        *cycle_complaints(imports),
    ]


def test_sound_sources_raise_no_complaint() -> None:
    assert complaints_about({}) == []


@pytest.mark.parametrize(
    ("module", "text", "words"),
    [
        ("tidegate.errors", "from .http import Head", "errors may not import http"),
        ("tidegate.web", "import tidegate.net.http1", "web may not import net"),
        ("tidegate.web", "from . import net", "web may not import net"),
        ("tidegate.web.app", "from .. import net", "web may not import net"),
        ("tidegate.web.app", "from ..net import clock", "web may not import net"),
        ("tidegate.web", "if TYPE_CHECKING:\n from .net import x", "web may not import net"),
        ("tidegate.exchange.http", "from ..bridge import threads", "may not import bridge"),
        ("tidegate.elsewhere", "from . import errors", "elsewhere is not in the table"),
        ("tidegate.net.tls", "from tidegate import run", "import the module that defines"),
        ("tidegate.net.tls", "def f():\n import ssl", "import of ssl inside a function"),
        ("tidegate.net.tls", "class A:\n async def f():\n  import ssl", "inside a function"),
        ("tidegate.net.tls", "import requests", "requests is not a declared dependency"),
        ("tidegate.net.tls", "import uvloop", "uvloop is imported in"),
        ("tidegate.net.clock", "from .http1 import x", "tidegate.net.http1 -> tidegate.net.clock"),
        ("tidegate.net.tls", "from . import tls", "tidegate.net.tls -> tidegate.net.tls"),
    ],
)
def test_unsound_sources_raise_a_complaint(module: str, text: str, words: str) -> None:
    complaints = complaints_about({module: text})
    assert any(words in complaint for complaint in complaints), complaints


def test_one_module_may_have_a_row_of_its_own() -> None:
    bridge = {"tidegate.bridge.threads": "", "tidegate.bridge": "", "tidegate.exchange": ""}
    imports = "from ..bridge.threads import Pool\nfrom .http import HttpExchange"
    exchange = {"tidegate.exchange.wsgi": imports, "tidegate.exchange.http": ""}
    assert complaints_about({**bridge, **exchange}) == []
