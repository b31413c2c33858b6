"""The demo keeps what its OpenAPI document promises, whatever it is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from launcher import Server, environment


@pytest.mark.timeout(180)
def test_no_request_makes_the_demo_break_its_promise(demo: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{demo.base_url}/openapi.json"]
    # A stream of events does not end.
    command += ["--exclude-path", "/happenings", "--max-examples", "15", "--seed", "1"]
    command += ["--request-timeout", "20", "--generation-database", "none", "--no-color"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}", pytrace=False)
    assert "5 selected / 6 total" in done.stdout
