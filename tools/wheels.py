"""Build a platform wheel, a pure wheel and the sources, and try each in a new environment.

    python tools/wheels.py DIRECTORY

It needs the package ``build``, a C compiler and the package index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

APPLICATION = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"it works"})
"""


def build(directory: Path) -> None:
    """Put the three files into ``directory``, which is emptied first."""
    shutil.rmtree(directory, ignore_errors=True)
    for kind, variable in (
        ("--sdist", "TIDEGATE_PURE"),
        ("--wheel", "TIDEGATE_PURE"),
        ("--wheel", "TIDEGATE_REQUIRE_COMPILED"),
    ):
        # setuptools would pack modules that were deleted since its last build.
        shutil.rmtree(ROOT / "build", ignore_errors=True)
        command = [sys.executable, "-m", "build", kind, "--outdir", str(directory), str(ROOT)]
        subprocess.run(command, env={**os.environ, variable: "1"}, check=True, stdout=sys.stderr)


def try_out(file: Path, speed: str) -> None:
    """Install ``file`` and nothing else of ours; look at its version; send it a request."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home / "venv", with_pip=True)
        (home / "application.py").write_text(APPLICATION)
        programs = home / "venv" / "bin"
        required = {"TIDEGATE_REQUIRE_COMPILED": "1"} if speed == "compiled" else {}
        environment = {**os.environ, **required}
        pip = [programs / "python", "-m", "pip", "install", "-qq", "--no-cache-dir"]
        subprocess.run([*pip, "--disable-pip-version-check", file], env=environment, check=True)
        version = subprocess.run(
            [programs / "tidegate", "--version"], capture_output=True, text=True, check=True
        ).stdout
        if f"({speed}," not in version:
            raise SystemExit(f"{file.name} should be {speed}, it says: {version}")
        print(f"{file.name}: {version.strip()}; {answer(programs / 'tidegate', home)}")


def answer(program: Path, home: Path) -> str:
    """Serve the application and return what it answers."""
    command = [program, "run", "application:app", "--port", "0"]
    with subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stderr or ():
                found = re.search(r"running on (http://\S+)", line)
                if found is not None:
                    with urllib.request.urlopen(found[1], timeout=30) as response:
                        return str(response.read().decode())
        finally:
            server.terminate()
    raise SystemExit("the server did not say where it listens")


def main() -> None:
    """Build and try out."""
    directory = Path(sys.argv[1]).resolve()
    build(directory)
    for file in sorted(directory.iterdir()):
        try_out(file, "pure" if file.name.endswith("py3-none-any.whl") else "compiled")


if __name__ == "__main__":
    main()
