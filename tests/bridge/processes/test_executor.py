"""The same calls over executors of others: threads, interpreters, a Dask cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.bridge.processes import jobs
from tests.bridge.processes.post import Post

from tidegate.bridge.processes import (
    ExecutorPool,
    Pool,
    ProcessLimits,
    ProcessPool,
    open_pool,
    trace_id,
)
from tidegate.errors import ConfigError, DeadlineExceeded, PoolClosed, PoolFull, UsageError

ROOT = Path(__file__).parent.parent.parent.parent


async def test_threads_are_a_back_end() -> None:
    async with open_pool("thread", name="io", limits=ProcessLimits(workers=2)) as pool:
        assert await pool.run(jobs.add, 1, second=2) == 3
        assert (await pool.run(threading.current_thread)).name.startswith("pool-io")
        assert pool.metrics().calls == 2
        with pytest.raises(ValueError, match="broken"):
            await pool.run(jobs.fail, "broken")


async def test_processes_are_a_back_end() -> None:
    async with open_pool("process", limits=ProcessLimits(workers=1)) as pool:
        assert isinstance(pool, ProcessPool)
        assert await pool.run(jobs.pid) != os.getpid()


async def test_any_executor_is_a_back_end() -> None:
    async with ExecutorPool(lambda: concurrent.futures.ThreadPoolExecutor(1)) as pool:
        assert await pool.run(jobs.add, 1) == 1


async def test_the_setup_of_a_pool_of_threads_is_called_in_each() -> None:
    limits = ProcessLimits(workers=1)
    async with open_pool("thread", limits=limits, setup=jobs.note_setup) as pool:
        await pool.run(jobs.add, 1)
        assert jobs.set_up.pop() == os.getpid()


@pytest.mark.parametrize("backend", ["process", "thread"])
async def test_chosen_context_variables_travel_on_every_back_end(backend: str) -> None:
    async with open_pool(backend, context=["tests.bridge.processes.jobs:tenant"]) as pool:
        jobs.tenant.set("acme")
        jobs.secret.set("stays")
        trace_id.set("abc")
        assert await pool.run(jobs.variables) == ("acme", "none", "not seen")
        assert await pool.run(jobs.trace) == "abc"


async def test_a_call_leaves_no_variable_behind_in_a_thread() -> None:
    async with open_pool("thread", limits=ProcessLimits(workers=1)) as pool:
        await pool.run(jobs.set_tenant, "left over")
        assert (await pool.run(jobs.variables))[0] == "unset"


async def test_a_deadline_stops_the_waiting_only() -> None:
    async with open_pool("thread", limits=ProcessLimits(workers=1)) as pool:
        go = threading.Event()
        with pytest.raises(DeadlineExceeded, match=r"Event.wait .* 0.05 s; if it runs, it goes on"):
            await pool.with_options(deadline=0.05).run(go.wait)
        assert pool.metrics().busy == 1
        go.set()
        assert await pool.run(jobs.add, 1) == 1
        assert pool.metrics().deadlines == 1


async def test_a_timeout_error_of_the_function_is_no_deadline() -> None:
    async with open_pool("thread") as pool:
        with pytest.raises(TimeoutError, match="of the job") as caught:
            await pool.with_options(deadline=60).run(jobs.time_out)
        assert not isinstance(caught.value, DeadlineExceeded)


async def test_a_cancelled_call_that_waits_is_never_made() -> None:
    async with open_pool("thread", limits=ProcessLimits(workers=1)) as pool:
        go = threading.Event()
        running = asyncio.ensure_future(pool.run(go.wait))
        waiting = asyncio.ensure_future(pool.run(jobs.note_setup))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        await running
        assert await pool.run(jobs.setup_calls) == []
        assert pool.metrics().cancelled == 1


async def test_calls_beyond_the_limit_are_refused() -> None:
    async with open_pool("thread", limits=ProcessLimits(workers=1, max_queue=0)) as pool:
        go = threading.Event()
        running = asyncio.ensure_future(pool.run(go.wait))
        await asyncio.sleep(0)
        with pytest.raises(PoolFull):
            await pool.run(jobs.pid)
        go.set()
        await running


async def test_an_executor_pool_must_be_started_and_takes_nothing_when_closed() -> None:
    pool = open_pool("thread")
    with pytest.raises(UsageError, match="not started"):
        await pool.run(jobs.pid)
    await pool.close()
    await pool.start()
    with pytest.raises(UsageError, match="started before"):
        await pool.start()
    with pytest.raises(UsageError, match="retries=1"):
        await pool.with_options(retries=1).run(jobs.pid)
    await pool.close()
    with pytest.raises(PoolClosed):
        await pool.run(jobs.pid)


async def test_closing_cancels_what_does_not_run_in_time() -> None:
    pool = open_pool("thread", limits=ProcessLimits(workers=1))
    await pool.start()
    go = threading.Event()
    running = asyncio.ensure_future(pool.run(go.wait))
    waiting = asyncio.ensure_future(pool.run(jobs.pid))
    await asyncio.sleep(0)
    await pool.close(0.01)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert await running


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("fork", "backend 'fork': choose process, thread, interpreter or dask://HOST:PORT"),
        ("dask://", "write dask://HOST:PORT"),
        ("dask://host:http", "write dask://HOST:PORT"),
    ],
)
def test_an_unknown_back_end_is_refused(backend: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_pool(backend)


def test_a_cluster_has_no_setup_of_ours() -> None:
    with pytest.raises(ConfigError, match="the cluster sets its workers up"):
        open_pool("dask://localhost:8786", setup=jobs.note_setup)


def interpreters() -> bool:
    return hasattr(concurrent.futures, "InterpreterPoolExecutor")


@pytest.mark.skipif(interpreters(), reason="this Python has interpreters")
def test_interpreters_are_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match=r"needs Python 3.14: write 'process'"):
        open_pool("interpreter")


@pytest.mark.skipif(not interpreters(), reason="this Python has no interpreters")
async def test_interpreters_are_a_back_end() -> None:
    async with open_pool("interpreter", limits=ProcessLimits(workers=1)) as pool:
        assert await pool.run(jobs.add, 1) == 1


class Cluster:
    """A Dask scheduler and its workers, on free ports of this machine."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        quiet = ["--no-dashboard", "--host", "127.0.0.1", "--port", "0"]
        lines = self._start("distributed.cli.dask_scheduler", *quiet)
        words = next(line for line in lines if "Scheduler at:" in line).split()
        self.address = words[-1].removeprefix("tcp://")

    def add_worker(self) -> None:
        options = ["--no-dashboard", "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1"]
        folder = ["--local-directory", str(self._folder)]
        lines = self._start("distributed.cli.dask_worker", self.address, *options, *folder)
        next(line for line in lines if "Registered to:" in line)

    def _start(self, module: str, *arguments: str) -> Iterator[str]:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self._folder,
            # A folder of its own for configuration, too.
            env={**os.environ, "PYTHONPATH": path, "DASK_CONFIG": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        assert process.stderr is not None
        return iter(process.stderr)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    with ExitStack() as stack:
        running = Cluster(tmp_path_factory.mktemp("dask"), stack)
        for _ in range(2):
            running.add_worker()
        yield running


def dask_pool(cluster: Cluster, **limits: float) -> Pool:
    return open_pool(
        f"dask://{cluster.address}",
        name="cluster",
        limits=ProcessLimits(**limits),  # type: ignore[arg-type]
        context=["tests.bridge.processes.jobs:tenant"],
    )


async def test_a_dask_cluster_is_a_back_end(cluster: Cluster) -> None:
    async with dask_pool(cluster) as pool:
        assert await pool.run(jobs.add, 1, second=2) == 3
        with pytest.raises(ValueError, match="broken"):
            await pool.run(jobs.fail, "broken")
        jobs.tenant.set("acme")
        assert (await pool.run(jobs.variables))[0] == "acme"


async def test_a_dask_cluster_runs_calls_on_all_its_workers(cluster: Cluster) -> None:
    async with dask_pool(cluster, workers=2) as pool, Post() as post:
        calls = [asyncio.ensure_future(pool.run(jobs.wait_for_word, post.port)) for _ in range(2)]
        pids = {await post.pid(), await post.pid()}
        assert len(pids) == 2
        assert os.getpid() not in pids
        for pid in pids:
            post.answer(pid, "go")
        assert await asyncio.gather(*calls) == ["go", "go"]


async def test_equal_calls_of_a_dask_cluster_are_made_each(cluster: Cluster) -> None:
    async with dask_pool(cluster) as pool:
        counts = [await pool.run(jobs.count) for _ in range(3)]
        # Two workers: at least one of them has counted on.
        assert max(counts) > 1


async def test_arguments_are_not_taken_for_options_of_dask(cluster: Cluster) -> None:
    async with dask_pool(cluster) as pool:
        assert await pool.run(dict, pure=1, retries=2) == {"pure": 1, "retries": 2}


async def test_a_deadline_of_a_dask_cluster_stops_the_waiting(cluster: Cluster) -> None:
    async with dask_pool(cluster, close_timeout=0) as pool, Post() as post:
        call = asyncio.ensure_future(
            pool.with_options(deadline=0.5).run(jobs.wait_for_word, post.port)
        )
        pid = await post.pid()
        with pytest.raises(DeadlineExceeded):
            await call
        post.answer(pid, "go")


async def test_a_scheduler_that_is_not_there_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("distributed")
    # Not sooner: it holds the constant.
    from tidegate.bridge.processes import dask

    monkeypatch.setattr(dask, "_CONNECT_TIMEOUT", 0.2)
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        await open_pool("dask://127.0.0.1:9").start()


def test_without_dask_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "from tidegate.errors import ConfigError\n"
        "try: import tidegate.bridge.processes.dask\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'tidegate[dask]'" in done.stdout
