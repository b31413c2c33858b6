"""``[pools.NAME]``: named pools run where the configuration says."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.process import get, launched
from tests.server.running import running

from tidegate.asgi import Receive, Scope, Send
from tidegate.bridge.assignment import Assignment, assigned, assignment_of
from tidegate.bridge.processes import ExecutorPool, ProcessPool, open_pool
from tidegate.bridge.threads import Pools, ThreadLimits, to_thread
from tidegate.errors import ConfigError
from tidegate.server.config import Config, PoolConfig
from tidegate.server.server import Server

APPLICATION = """
import os, threading

from tidegate import App
from tidegate.bridge import to_thread

app = App()
cpu = app.pool("cpu", threads=3)
db = app.pool("db", threads=3)


def place() -> dict[str, object]:
    return {"pid": os.getpid(), "thread": threading.current_thread().name}


@app.get("/cpu", run=cpu)
def on_cpu() -> dict[str, object]:
    return place()


@app.get("/db", run=db)
def on_db() -> dict[str, object]:
    return place()


@app.get("/files")
async def on_files() -> dict[str, object]:
    return await to_thread(place, pool="files")


@app.get("/loop")
async def on_loop() -> dict[str, object]:
    return place()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served.py").write_text(APPLICATION)
    return tmp_path


def test_handlers_run_where_the_file_says(folder: Path) -> None:
    text = '[pools.cpu]\nbackend = "process"\nworkers = 1\n[pools.files]\nthreads = 2\n'
    (folder / "tidegate.toml").write_text(text)
    with launched(folder, "served:app") as process:
        port = process.port()
        loop, cpu, db, files = (
            json.loads(get(port, path)) for path in ("/loop", "/cpu", "/db", "/files")
        )
        assert cpu["pid"] != process.pid
        assert loop["pid"] == db["pid"] == files["pid"]
        assert db["thread"].startswith("tidegate-db-")
        assert files["thread"].startswith("tidegate-files-")
        assert process.stop() == 0


def test_work_for_processes_may_stay_in_threads(folder: Path) -> None:
    source = APPLICATION.replace('"cpu", threads=3', '"cpu", processes=3')
    (folder / "served.py").write_text(source)
    (folder / "tidegate.toml").write_text('[pools.cpu]\nbackend = "thread"\n')
    with launched(folder, "served:app") as process:
        port = process.port()
        cpu, loop = json.loads(get(port, "/cpu")), json.loads(get(port, "/loop"))
        assert cpu["pid"] == loop["pid"]
        assert cpu["thread"].startswith("tidegate-cpu-")
        assert process.stop() == 0


@pytest.fixture
def scheduler(folder: Path) -> Iterator[str]:
    """A Dask scheduler with one worker, which can import the application."""
    pytest.importorskip("distributed")
    with_dask = Path(sys.executable).parent
    if shutil.which("dask", path=str(with_dask)) is None:
        pytest.skip("needs the program dask")
    address = folder / "scheduler.json"
    common = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    commands = (
        ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        ["worker", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"],
    )
    started = []
    try:
        for command in commands:
            program = [sys.executable, "-m", "dask", *command, "--scheduler-file", str(address)]
            started.append(subprocess.Popen(program, **common))  # type: ignore[call-overload]
        for _ in range(600):
            if address.exists() and address.read_text():
                break
            threading.Event().wait(0.1)
        yield json.loads(address.read_text())["address"].removeprefix("tcp://")
    finally:
        for each in reversed(started):
            each.terminate()
            each.wait(20)


@pytest.mark.timeout(120)
def test_handlers_run_on_a_cluster_if_the_file_says_so(folder: Path, scheduler: str) -> None:
    (folder / "tidegate.toml").write_text(f'[pools.cpu]\nbackend = "dask://{scheduler}"\n')
    with launched(folder, "served:app") as process:
        port = process.port()
        cpu, loop = json.loads(get(port, "/cpu")), json.loads(get(port, "/loop"))
        assert cpu["pid"] not in (loop["pid"], process.pid)
        assert process.stop() == 0


# What the file says comes first.


async def test_what_the_operator_says_comes_before_what_the_program_says() -> None:
    mine = Pools()
    with assigned({"db": Assignment("thread", 3, 7), "some": Assignment("thread")}):
        mine.configure("db", ThreadLimits(threads=20))
        assert (mine.get("db").limits.threads, mine.get("db").limits.max_queue) == (3, 7)
        assert mine.get("some").limits.threads == 8
    assert assignment_of("db") is None
    mine.close(0.0)


def test_a_pool_opened_by_name_runs_where_the_operator_says() -> None:
    with assigned({"cpu": Assignment("thread", 3, 7), "gpu": Assignment("process")}):
        pool = open_pool("process", name="cpu")
        assert isinstance(pool, ExecutorPool)
        assert (pool.limits.workers, pool.limits.max_queue) == (3, 7)
        assert isinstance(open_pool("thread", name="gpu"), ProcessPool)
        assert isinstance(open_pool("thread", name="other"), ExecutorPool)


async def test_the_server_says_where_while_it_runs() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        name = await to_thread(lambda: threading.current_thread().name, pool="here")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    async with running(application, pools={"here": PoolConfig(workers=1)}) as server:
        assert (await server.get()).body == b"tidegate-here-1"
    assert assignment_of("here") is None
    # Its threads have ended with it.
    assert all(one.name != "tidegate-here-1" for one in threading.enumerate())


async def test_a_thread_that_goes_on_after_the_end_is_named(
    caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "thread_seconds", 0.1)
    begun, release = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        release.wait(20.0)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.ensure_future(to_thread(block))
        while not begun.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    try:
        async with running(application) as server:
            assert (await server.get()).body == b"ok"
        assert "A call in a thread is still in progress after 0.1 s" in caplog.text
        assert "release.wait(20.0)" in caplog.text
    finally:
        release.set()


@pytest.mark.parametrize(
    ("backend", "words"),
    [("fibers", "choose process, thread"), ("dask://here", "write dask://HOST:PORT"), (3, "text")],
)
def test_a_backend_that_is_none_is_refused(backend: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config("a:b", pools={"cpu": PoolConfig(backend=backend)})
