"""Users and groups exist, and a worker becomes one for good."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.server.accounts import gid_of, uid_of
from tidegate.server.config import Config

from .process import get, launched

BECOME = """
import os, sys
from tidegate.server.accounts import become
from tidegate.server.config import Config
become(Config("module:app", user=sys.argv[1], group=sys.argv[2] or None, umask="027"))
print(os.getuid(), os.getgid(), oct(os.umask(0)))
"""

APPLICATION = """
import os

async def app(scope, receive, send):
    mask = os.umask(0)
    os.umask(mask)
    body = f"{os.getuid()} {os.getgid()} {mask:o}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with an application that anybody may read."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)
        (made / "who.py").write_text(APPLICATION)
        yield made


def test_names_and_numbers_are_understood() -> None:
    assert uid_of("root") == uid_of("0") == 0
    assert gid_of("root") == gid_of("0") == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"user": "nobody-at-all"}, "user: there is no user 'nobody-at-all'"),
        ({"group": "nobody-at-all"}, "group: there is no group 'nobody-at-all'"),
        ({"umask": "rw-"}, "umask must be three octal digits such as '027', not 'rw-'"),
        ({"uds_owner": "nobody-at-all"}, "uds_owner: there is no user"),
        ({"uds_mode": "rw"}, "uds_mode must be octal digits"),
        ({"bind": ["a:b"]}, "bind must be 'HOST:PORT'"),
        ({"bind": ["a:99999"]}, "bind must be 'HOST:PORT'"),
    ],
)
def test_what_does_not_exist_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config("module:app", **settings)  # type: ignore[arg-type]


def test_a_process_becomes_what_it_is_or_what_root_may_make_it(tmp_path: Path) -> None:
    user, group = ("nobody", "") if os.getuid() == 0 else (str(os.getuid()), str(os.getgid()))
    done = subprocess.run(
        [sys.executable, "-c", BECOME, user, group], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    uid, _, mask = done.stdout.split()
    assert (int(uid), mask) == (uid_of(user), "0o27")


def test_who_is_not_root_cannot_become_another() -> None:
    program = (
        "import os, pwd\n"
        "from tidegate.server.accounts import become\n"
        "from tidegate.server.config import Config\n"
        "config = Config('module:app', user='root')\n"
        "os.getuid() or os.setuid(65534)\n"
        "become(config)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "cannot become user 'root'" in done.stderr


def test_workers_serve_as_who_they_became_also_after_a_reload(folder: Path) -> None:
    if os.getuid() == 0:
        user, group = "nobody", "daemon"
    else:
        user, group = str(os.getuid()), str(os.getgid())
    accounts = ("--user", user, "--group", group, "--umask", "027", "--uds-owner", user)
    socket = ("--bind", "127.0.0.1:0", "--bind", "unix:here", "--uds-mode", "640")
    with launched(
        folder, "who:app", "--supervise", "--lifespan", "off", *accounts, *socket
    ) as process:
        expected = f"{uid_of(user)} {gid_of(group)} 27".encode()
        port = process.port()
        place = (folder / "here").stat()
        assert (place.st_uid, stat.S_IMODE(place.st_mode)) == (uid_of(user), 0o640)
        assert get(port) == expected
        process.send_signal(signal.SIGHUP)
        process.says("Reloaded")
        assert get(port) == expected
        assert process.stop() == 0
