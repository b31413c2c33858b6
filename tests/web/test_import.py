"""Importing the framework loads what serves requests, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

# What only some applications use, or only when something went wrong.
NEEDLESS = {
    *("tidegate.web.openapi", "tidegate.web.asyncapi", "tidegate.web.failure", "tidegate.cli"),
    *("tidegate.web.middleware", "tidegate.web.changes", "tidegate.web.spelling"),
    *("tidegate.web.cookies", "http.cookies"),
    *("tidegate.web.static", "tidegate.web.file", "tidegate.testing", "tidegate.bridge.wsgi"),
    *("tidegate.server", "tidegate.net", "tidegate.exchange", "tidegate.wire", "uvloop", "click"),
    *("pydantic", "attrs", "annotated_types", "starlette", "html", "difflib", "email", "secrets"),
    *("json", "http.client", "urllib.request", "mimetypes", "pathlib", "tempfile", "sqlite3"),
    *("multiprocessing", "concurrent.futures.process", "concurrent.futures.thread", "pickle"),
    *(
        "anyio",
        "ctypes",
        "argparse",
        "unittest",
        "importlib.metadata",
        "importlib.resources",
        "zipfile",
    ),
}

PROGRAM = """
import asyncio, sys
before = set(sys.modules)
from tidegate import App, Depends, Hub, Problem, Query, Request, Response, Socket, Tasks
print(*(set(sys.modules) - before))
app = App()
@app.get("/{id}")
def handler(id: int) -> str: ...
app.prepare()
print(*(set(sys.modules) - before))
"""


def run(program: str) -> str:
    # Not measured: coverage would load what this is about.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
    )
    return done.stdout


def test_the_framework_does_not_import_what_it_may_never_need() -> None:
    imported, prepared = (set(line.split()) for line in run(PROGRAM).splitlines())
    assert "tidegate.web.app" in imported
    assert sorted(imported & NEEDLESS) == []
    assert sorted(prepared & NEEDLESS) == []


def test_what_is_left_out_is_there_when_it_is_asked_for() -> None:
    program = "from tidegate import web; print(web.openapi.__name__, hasattr(web, 'other'))"
    assert run(program).split() == ["tidegate.web.openapi", "False"]
