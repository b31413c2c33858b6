"""Type checkers accept right programs, and refuse wrong ones at the lines marked ``# error``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RIGHT = [*sorted((HERE / "right").glob("*.py")), ROOT / "examples" / "shop.py"]
RIGHT += sorted((ROOT / "examples" / "demo").glob("*.py"))
WRONG = sorted((HERE / "wrong").glob("*.py"))

# Where a checker complains: the file's name, the line, and what it says.
Complaints = dict[tuple[str, int], str]


def mypy(files: list[Path]) -> Complaints:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    # The shop's old code is beside it.
    environment = {**os.environ, "MYPYPATH": str(ROOT / "examples")}
    done = subprocess.run(
        [*command, "--explicit-package-bases", "--follow-imports=silent", *map(str, files)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return {(Path(path).name, int(line)): text for path, line, text in found}


def pyright(files: list[Path]) -> Complaints:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(
        [*command, *map(str, files)],
        cwd=ROOT / "examples",  # where a file's imports are looked for first
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except ValueError:
        pytest.fail(f"pyright does not run: {done.stdout}{done.stderr}", pytrace=False)
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in found
        if one["severity"] == "error"
    }


each_checker = pytest.mark.parametrize("check", [mypy, pyright])
# Both read all of Tidegate, on a machine that may be busy.
pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]


@each_checker
def test_right_programs_are_accepted_and_wrong_ones_refused(
    check: Callable[[list[Path]], Complaints],
) -> None:
    found = check([*RIGHT, *WRONG])
    expected = {
        (path.name, number)
        for path in WRONG
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.endswith("# error")
    }
    assert expected
    unexpected = {place: text for place, text in found.items() if place not in expected}
    assert (unexpected, expected - found.keys()) == ({}, set())
