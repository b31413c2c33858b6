"""The real program, while files of its application change."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

import tidegate
from tidegate.errors import ConfigError

from .process import SECONDS, Process, answer, ask, connect, get, launched

# Version {0} of an application.
APPLICATION = """
import asyncio
import os
import sys

def say(text):
    print(text, "{0}", file=sys.stderr, flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        say("serving")
        await receive()
        say("shutting down")
        await send({{"type": "lifespan.shutdown.complete"}})
    elif scope["type"] == "websocket":
        await receive()
        await send({{"type": "websocket.accept"}})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["path"] == "/stream":
        start = {{"type": "http.response.start", "status": 200, "headers": []}}
        await send(start)
        await send({{"type": "http.response.body", "body": b"begun", "more_body": True}})
        await asyncio.Event().wait()
    elif scope["path"] == "/block":
        say("blocking")
        os.read(os.pipe()[0], 1)
    else:
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        body = {1}.encode()
        await send({{"type": "http.response.body", "body": body}})
"""

RELOAD = ("changing:app", "--reload", "--host", "127.0.0.1")


def write(folder: Path, version: str, body: str = "", before: str = "") -> None:
    """Write the application as an editor does: another file takes the place of the old."""
    text = before + APPLICATION.format(version, body or repr(version))
    (folder / "changing.py.new").write_text(text)
    (folder / "changing.py.new").replace(folder / "changing.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "one")
    return tmp_path


def request(port: int, accept: str) -> bytes:
    client = connect(port)
    client.sendall(
        f"GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nConnection: close\r\n\r\n".encode()
    )
    with client:
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received


def rest(client: socket.socket) -> bytes:
    """Return what comes until the connection is cut."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def begun(client: socket.socket) -> None:
    received = b""
    while b"begun" not in received:
        received += client.recv(65536)


def test_an_edit_is_served_by_a_new_process(folder: Path) -> None:
    with launched(folder, *RELOAD) as process:
        port = process.port()
        assert get(port) == b"one"
        write(folder, "two")
        process.says("changing.py changed; restarting")
        process.says("serving two")
        assert get(port) == b"two"
        assert process.stop() == 0
    assert process.log.count("shutting down one") == 1
    assert process.log.count("shutting down two") == 1
    assert "Traceback" not in process.log


def test_an_edit_of_the_same_size_within_the_same_second_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bytecode of the first would pass for that of the second.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    with launched(folder, *RELOAD) as process:
        port = process.port()
        assert get(port) == b"one"
        first = (folder / "changing.py").stat()
        for number, version in enumerate(("two", "six"), 1):
            write(folder, version)
            os.utime(folder / "changing.py", ns=(first.st_atime_ns, first.st_mtime_ns))
            process.says(f"serving {version}")
            assert get(port) == version.encode()
            assert process.log.count("restarting") >= number
        assert process.stop() == 0


def test_who_connects_during_the_restart_waits_and_is_not_refused(folder: Path) -> None:
    os.mkfifo(folder / "gate")
    with launched(folder, *RELOAD) as process:
        port = process.port()
        assert get(port) == b"one"
        slow = "import sys\nprint('loading', file=sys.stderr, flush=True)\nopen('gate').read()\n"
        write(folder, "two", before=slow)
        process.says("loading")
        client = connect(port)
        ask(client)
        (folder / "gate").write_text("")
        assert answer(client) == b"two"
        assert process.stop() == 0


def test_an_open_stream_does_not_delay_the_restart(folder: Path) -> None:
    with launched(folder, *RELOAD, "--timeout-graceful-shutdown", "600") as process:
        port = process.port()
        client = connect(port)
        ask(client, "/stream")
        begun(client)
        write(folder, "two")
        process.says("serving two")
        with client:
            rest(client)
        assert "shutting down one" in process.log
        assert "killing" not in process.log
        assert get(port) == b"two"
        assert process.stop() == 0


def test_an_open_socket_is_told_that_the_service_restarts(folder: Path) -> None:
    with launched(folder, *RELOAD) as process:
        port = process.port()
        client = connect(port)
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = client.recv(65536)
        assert b" 101 " in head
        write(folder, "two")
        with client:
            frames = head.partition(b"\r\n\r\n")[2] + rest(client)
        # A close frame with the code 1012.
        assert frames[0] == 0x88
        assert frames[2:4] == (1012).to_bytes(2)
        process.says("serving two")
        assert process.stop() == 0


def test_a_process_that_blocks_is_killed_and_replaced(folder: Path) -> None:
    with launched(folder, *RELOAD) as process:
        port = process.port()
        client = connect(port)
        ask(client, "/block")
        process.says("blocking one")
        write(folder, "two")
        process.says(r"Process \d+ did not stop; killing it")
        assert get(port) == b"two"
        client.close()
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("import os\nos._exit(7)\n", "exit status 7"),
        ("del app\n", "NameError"),
    ],
)
def test_what_fails_is_shown_until_it_is_repaired(folder: Path, before: str, words: str) -> None:
    with launched(folder, *RELOAD) as process:
        port = process.port()
        assert get(port) == b"one"
        write(folder, "two", before=before)
        process.says("restarting")
        process.says("ERROR")
        page = request(port, "text/html,*/*;q=0.8")
        assert page.startswith(b"HTTP/1.1 503 ")
        assert b"text/html" in page
        assert words in page.decode().replace("&#x27;", "'")
        problem = json.loads(request(port, "*/*").partition(b"\r\n\r\n")[2])
        assert problem["status"] == 503
        assert words in "\n".join(problem["traceback"])
        assert process.log.count("ERROR") == 1
        write(folder, "six")
        process.says("serving six")
        assert get(port) == b"six"
        assert process.stop() == 0
    assert "serving two" not in process.log


def test_what_fails_at_the_very_start_can_be_repaired(folder: Path) -> None:
    write(folder, "one", before="1 / 0\n")
    with launched(folder, *RELOAD) as process:
        port = process.port()
        assert b"ZeroDivisionError" in request(port, "text/html")
        write(folder, "two")
        process.says("serving two")
        assert get(port) == b"two"
        assert process.stop() == 0


def test_a_lifespan_that_fails_is_shown(folder: Path) -> None:
    fails = (
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    (folder / "changing.py").write_text(fails)
    with launched(folder, *RELOAD) as process:
        port = process.port()
        assert b"no database" in request(port, "text/html")
        process.says("no database")
        assert process.log.count("no database") == 1
        assert process.stop() == 0


def test_a_process_that_dies_later_is_reported(folder: Path) -> None:
    write(folder, "one", body="str(os.getpid())")
    with launched(folder, *RELOAD) as process:
        port = process.port()
        pid = int(get(port))
        os.kill(pid, signal.SIGKILL)
        process.says(f"Process {pid} died [(]signal SIGKILL[)]; waiting for a change")
        assert b"signal SIGKILL" in request(port, "text/html")
        write(folder, "two")
        process.says("serving two")
        assert get(port) == b"two"
        assert process.stop() == 0


def test_several_changes_at_once_are_one_restart(folder: Path) -> None:
    with launched(folder, *RELOAD, "--reload-delay", "1") as process:
        port = process.port()
        assert get(port) == b"one"
        for name in ("a.py", "b.py"):
            (folder / name).write_text("")
        write(folder, "two")
        process.says("serving two")
        assert process.log.count("restarting") == 1
        assert "a.py, b.py, changing.py changed; restarting" in process.log
        assert process.stop() == 0


def test_files_count_by_pattern(folder: Path) -> None:
    write(folder, "one", body="open('word.txt').read()")
    (folder / "word.txt").write_text("first")
    options = ("--reload-include", "*.txt", "--reload-exclude", "left_*")
    with launched(folder, *RELOAD, *options) as process:
        port = process.port()
        assert get(port) == b"first"
        (folder / "left_out.py").write_text("")
        (folder / "other.html").write_text("")
        (folder / "word.txt").write_text("second")
        process.says("serving one", 2)
        assert get(port) == b"second"
        assert process.stop() == 0
    assert "left_out" not in process.log
    assert "other.html" not in process.log


def test_the_environment_file_is_read_again(folder: Path) -> None:
    write(folder, "one", body="os.environ['WORD']")
    (folder / ".env").write_text("WORD=first")
    with launched(folder, *RELOAD, "--env-file", ".env") as process:
        port = process.port()
        assert get(port) == b"first"
        (folder / ".env").write_text("WORD=second")
        process.says("serving one", 2)
        assert get(port) == b"second"
        assert process.stop() == 0


def test_a_process_that_has_served_its_requests_is_replaced(folder: Path) -> None:
    with launched(folder, *RELOAD, "--limit-max-requests", "1") as process:
        port = process.port()
        assert get(port) == b"one"
        process.says("serving one", 2)
        assert get(port) == b"one"
        assert process.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process(folder: Path, signum: int) -> None:
    with launched(folder, *RELOAD) as process:
        port = process.port()
        client = connect(port)
        ask(client, "/stream")
        begun(client)
        process.send_signal(signum)
        assert process.wait() == 0
        client.close()
        assert ended(process)
    assert "shutting down one" in process.log
    with pytest.raises(ConnectionRefusedError):
        connect(port)


def test_nothing_outlives_the_program_even_if_it_is_killed(folder: Path) -> None:
    with launched(folder, *RELOAD) as process:
        assert get(process.port()) == b"one"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert ended(process)
        assert "shutting down one" in process.log


def ended(process: Process) -> bool:
    """Say whether nobody holds the pipe of the log any more: every process has ended."""
    process._reader.join(SECONDS)
    return not process._reader.is_alive()


def test_a_unix_socket_is_removed(folder: Path) -> None:
    with launched(folder, *RELOAD, "--uds", "socket") as process:
        process.says("serving one")
        assert (folder / "socket").exists()
        assert process.stop() == 0
    assert not (folder / "socket").exists()


def test_a_taken_port_is_said_at_once(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = f"import tidegate\ntidegate.run('changing:app', port={port}, reload=True)"
        with launched(folder, program=("-c", script)) as process:
            assert process.wait() == 1
        assert str(port) in process.log
        assert "serving" not in process.log


# From a program.

PROGRAM = """
import changing
import tidegate

if __name__ == "__main__":
    tidegate.run("changing:app", port=0, reload=True)
"""


def test_a_program_can_ask_for_it(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM)
    with launched(folder, program=("program.py",)) as process:
        port = process.port()
        assert get(port) == b"one"
        write(folder, "two")
        process.says("serving two")
        assert get(port) == b"two"
        assert process.stop() == 0


def test_a_program_that_starts_itself_is_told_how_to_write_it(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM.replace('if __name__ == "__main__"', "if True"))
    with launched(folder, program=("program.py",)) as process:
        process.says("write it below: if __name__ == '__main__':")
        assert process.wait() == 1


def test_an_application_that_is_no_text_is_refused() -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    with pytest.raises(ConfigError, match="reload needs the target as 'module:attribute'"):
        tidegate.run(app, reload=True)
