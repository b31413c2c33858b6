"""Are the compiled modules what the list says, and is a ``.pxd`` true of its ``.py``?

Cython believes a ``.pxd``: a coroutine that is named there silently stops being
one.  Each check is a function from source texts to complaints, so that the tests
at the end can show that it complains when it should.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest

from tidegate._pure import COMPILED_MODULES, speed

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"

DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "boundscheck": True,
    "nonecheck": True,
    "wraparound": True,
    "binding": True,
}


@dataclass
class Declared:
    """What a ``.pxd`` says of one class, or of the module itself."""

    base: str | None = None
    attributes: set[str] = field(default_factory=set)
    functions: dict[str, str] = field(default_factory=dict)
    """Name -> parameters as they would be compared: ``data, offset=``."""


_CLASS = re.compile(r"cdef class (\w+)(?:\((\w+)\))?:")
_FUNCTION = re.compile(r"\s*(?:cpdef|cdef)\s+(?:[\w ]+\s)?(\w+)\((.*)\)[^()]*$")
_ATTRIBUTE = re.compile(r"    cdef\s+(?:(?:public|readonly)\s+)?[\w.\[\]]+(?: long)?\s+(\w+)$")
_OTHER = re.compile(r"(from [\w.]+ )?cimport .+|@cython\.locals\(.*\)|pass")


def declarations(text: str) -> dict[str, Declared]:
    """Read a ``.pxd``; the module's functions are under the empty name."""
    found = {"": Declared()}
    current = found[""]
    for line in _logical_lines(text):
        if (match := _CLASS.fullmatch(line)) is not None:
            current = found[match[1]] = Declared(match[2])
            continue
        if not line.startswith(" "):
            current = found[""]
        if (match := _FUNCTION.fullmatch(line)) is not None:
            current.functions[match[1]] = _parameters(match[2])
        elif (match := _ATTRIBUTE.fullmatch(line)) is not None:
            current.attributes.add(match[1])
        elif not _OTHER.fullmatch(line.strip()):
            raise ValueError(f"this test does not understand {line!r}")
    return found


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines without comments and docstrings; one that goes on is joined."""
    text = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    waiting = ""
    for line in text.splitlines():
        line = line.partition("#")[0].rstrip()
        waiting = f"{waiting} {line.strip()}" if waiting else line
        if waiting and waiting.count("(") == waiting.count(")"):
            yield re.sub(r"\(\s+", "(", re.sub(r"\s+\)", ")", waiting))
            waiting = ""


def _parameters(text: str) -> str:
    names = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, _ = part.partition("=")
        names.append(name.split()[-1] + equals)
    return ", ".join(names)


def classes_and_functions(text: str) -> tuple[dict[str, ast.ClassDef], dict[str, ast.AST]]:
    """Return the classes of a module by name, and functions as ``name`` or ``Class.name``."""
    classes = {}
    functions: dict[str, ast.AST] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = node
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    functions[f"{node.name}.{inner.name}"] = inner
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions[node.name] = node
    return classes, functions


def pair_complaints(module: str, python: str, pxd: str, others: dict[str, Declared]) -> list[str]:
    """Say where a ``.pxd`` is not true of its ``.py``; ``others`` are all classes of all."""
    complaints = []
    declared = declarations(pxd)
    classes, functions = classes_and_functions(python)
    for name, one in declared.items():
        if name and name not in classes:
            complaints.append(f"{module}: there is no class {name}")
            continue
        for function, parameters in one.functions.items():
            full = f"{name}.{function}" if name else function
            complaints += _function_complaints(module, full, functions.get(full), parameters)
        if name:
            complaints += _class_complaints(module, classes[name], one, others)
    if "import cython" in python:
        complaints.append(f"{module}: the program must not know of Cython")
    if re.search(r"boundscheck|wraparound|nonecheck|cython:", python + pxd):
        complaints.append(f"{module}: checks are set in setup.py alone")
    return complaints


def _class_complaints(
    module: str, node: ast.ClassDef, one: Declared, others: dict[str, Declared]
) -> Iterator[str]:
    bases = [ast.unparse(base) for base in node.bases]
    if bases != ([one.base] if one.base else []):
        yield f"{module}: {node.name} inherits from {bases} in .py, from {one.base} in .pxd"
    known = set(one.attributes)
    base = one.base
    while base is not None:
        known |= others[base].attributes
        base = others[base].base
    for missing in sorted(_assigned(node) - known):
        yield f"{module}: {node.name}.{missing} is set and not declared"


def _assigned(node: ast.ClassDef) -> set[str]:
    """Return the attributes of ``self`` that methods set, but for properties with a setter."""
    return {
        inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute)
        and isinstance(inner.ctx, ast.Store)
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "self"
    }


def _function_complaints(
    module: str, name: str, node: ast.AST | None, parameters: str
) -> Iterator[str]:
    if node is None:
        yield f"{module}: there is no function {name}"
        return
    if isinstance(node, ast.AsyncFunctionDef):
        yield f"{module}: {name} would stop being a coroutine"
        return
    inside = [inner for inner in ast.walk(node) if inner is not node]
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in inside):
        yield f"{module}: {name} would stop being a generator"
    if any(isinstance(inner, ast.Lambda | ast.FunctionDef | ast.GeneratorExp) for inner in inside):
        yield f"{module}: {name} holds a function"
    if isinstance(node, ast.FunctionDef):
        found = _python_parameters(node)
        if found != parameters:
            yield f"{module}: {name} takes ({found}) in .py, ({parameters}) in .pxd"
        if node.decorator_list:
            yield f"{module}: {name} is decorated"


def _python_parameters(node: ast.FunctionDef) -> str:
    names = [one.arg for one in node.args.args]
    first_default = len(names) - len(node.args.defaults)
    return ", ".join(name + "=" * (at >= first_default) for at, name in enumerate(names))


def source(module: str, suffix: str) -> str:
    return SRC.joinpath(*module.split(".")).with_suffix(suffix).read_text()


def test_every_pxd_is_listed_and_every_listed_module_has_one() -> None:
    beside = {".".join(path.relative_to(SRC).with_suffix("").parts) for path in SRC.rglob("*.pxd")}
    assert beside == set(COMPILED_MODULES)


def test_every_pxd_is_true_of_its_module() -> None:
    texts = {module: source(module, ".pxd") for module in COMPILED_MODULES}
    others = {name: one for text in texts.values() for name, one in declarations(text).items()}
    complaints = [
        complaint
        for module, text in texts.items()
        for complaint in pair_complaints(module, source(module, ".py"), text, others)
    ]
    assert complaints == []


def test_every_listed_module_names_its_benchmark() -> None:
    page = (ROOT / "docs/explanation/performance.md").read_text()
    assert [
        name for name in COMPILED_MODULES if f"`{name.removeprefix('tidegate.')}`" not in page
    ] == []


def test_no_check_is_switched_off() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text())
    (found,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DIRECTIVES"
    )
    assert ast.literal_eval(found) == DIRECTIVES


def test_the_speed_that_is_told_is_the_speed_that_runs() -> None:
    compiled = [not str(import_module(name).__file__).endswith(".py") for name in COMPILED_MODULES]
    assert speed() == ("compiled" if all(compiled) else "pure")
    assert len(set(compiled)) <= 1
    if os.environ.get("TIDEGATE_REQUIRE_COMPILED", "0") not in ("", "0"):
        assert speed() == "compiled"


def test_the_interpreted_modules_can_be_forced() -> None:
    program = (
        "import sys, tidegate.net.http1, tidegate._pure as pure\n"
        "loaded = [sys.modules[name] for name in pure.COMPILED_MODULES if name in sys.modules]\n"
        "print(pure.speed(), all(one.__file__.endswith('.py') for one in loaded), len(loaded) > 3)"
    )
    environment = {**os.environ, "TIDEGATE_PURE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50
    )
    assert (done.stdout, done.stderr) == ("pure True True\n", "")


PYTHON = """
class Base:
    def __init__(self):
        self.one = 1

class Thing(Base):
    def take(self, data, size=0):
        self.two = data

    async def wait(self):
        pass

def numbers():
    yield 1

def later():
    return lambda: 1
"""

PXD = """
cdef class Base:
    cdef public int one


cdef class Thing(Base):
    cdef bytes two  # a comment

    cpdef bint take(
        self, bytes data, Py_ssize_t size=*
    ) except -1
"""


def complaints_about(python: str, pxd: str) -> str:
    return "\n".join(pair_complaints("module", python, pxd, declarations(pxd)))


def test_a_pair_that_agrees_raises_no_complaint() -> None:
    assert complaints_about(PYTHON, PXD) == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    cdef bytes two  # a comment\n", "", "Thing.two is set and not declared"),
        ("    cdef public int one\n", "    pass\n", "Base.one is set and not declared"),
        ("(Base)", "", "inherits from"),
        ("size=*", "size", r"takes (self, data, size=) in .py, (self, data, size) in .pxd"),
        ("bytes data, ", "", "takes"),
        ("Thing(Base)", "Other(Base)", "no class Other"),
        ("cpdef bint take(", "cpdef bint give(", "no function Thing.give"),
        ("cdef class Base", "cpdef numbers()\ncdef class Base", "stop being a generator"),
        ("cdef class Base", "cpdef later()\ncdef class Base", "holds a function"),
        ("    cdef bytes two", "    cpdef wait(self)\n    cdef bytes two", "being a coroutine"),
        ("cdef class Base", "# cython: boundscheck=False\ncdef class Base", "checks are set"),
    ],
)
def test_a_pair_that_disagrees_is_reported(old: str, new: str, words: str) -> None:
    assert words in complaints_about(PYTHON, PXD.replace(old, new))


def test_a_line_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not understand"):
        declarations("cdef extern from 'header.h'")
