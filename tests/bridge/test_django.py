from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from tests.bridge.waiting import Gate, until

from tidegate.bridge.django import django_threads
from tidegate.errors import UsageError

APPLICATION = Path(__file__).parent / "applications" / "django_database.py"


def serve(mode: str, database: Path, loop: str) -> dict[str, int]:
    """Return how many connections were opened, in a process of its own: Django is global."""
    command = [sys.executable, str(APPLICATION), mode, str(database), loop]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    result: dict[str, int] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_django_keeps_its_connections(tmp_path: Path, loop: str) -> None:
    result = serve("kept", tmp_path / "database", loop)
    assert result["one by one"] == 0
    # One for each thread, however many requests there are.
    assert result["four"] <= 4
    assert result["twelve"] <= 4
    assert result["threads"] <= 4
    assert result["stuck"] == 0


def test_without_the_wrapper_each_request_opens_a_connection(tmp_path: Path) -> None:
    # If this fails Django has changed, and the wrapper may have become useless.
    assert serve("plain", tmp_path / "database", "asyncio")["one by one"] == 100


# -- without Django --------------------------------------------------------------

HTTP = {"type": "http"}


async def nothing(*_: Any) -> Any:
    return {}


async def test_requests_have_threads_of_their_own_while_there_are_enough() -> None:
    gates: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        first = await sync_to_async(threading.get_ident)()
        gates.append(first)
        await until(lambda: len(gates) == 3)
        assert await sync_to_async(threading.get_ident)() == first

    kept = django_threads(application, threads=3)
    await asyncio.gather(*(kept(dict(HTTP), nothing, nothing) for _ in range(3)))
    assert len(set(gates)) == 3
    assert kept.close(20) == []


async def test_requests_share_threads_when_there_are_too_few_and_none_waits_for_ever() -> None:
    inside: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        # They stream, for as long as the others do.
        inside.append(await sync_to_async(threading.get_ident)())
        await until(lambda: len(inside) == 10)

    kept = django_threads(application, threads=2)
    await asyncio.gather(*(kept(dict(HTTP), nothing, nothing) for _ in range(10)))
    assert len(set(inside)) == 2
    assert kept.close(20) == []


async def test_a_request_that_comes_back_to_the_loop_gets_its_own_thread_there() -> None:
    async def inner() -> int:
        return await sync_to_async(threading.get_ident)()

    def view() -> tuple[int, int]:
        return threading.get_ident(), async_to_sync(inner)()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        one, two = await sync_to_async(view)()
        assert one == two

    kept = django_threads(application, threads=1)
    await asyncio.gather(*(kept(dict(HTTP), nothing, nothing) for _ in range(20)))
    assert kept.close(20) == []


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
async def test_what_the_code_raises_is_the_requests_and_the_thread_lives_on(
    error: type[BaseException],
) -> None:
    def fail() -> None:
        raise error

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(error):
            await sync_to_async(fail)()
        assert await sync_to_async(int)("7") == 7

    kept = django_threads(application, threads=1)
    await kept(dict(HTTP), nothing, nothing)
    await kept(dict(HTTP), nothing, nothing)
    assert kept.close(20) == []


async def test_a_thread_that_is_stuck_is_taken_last() -> None:
    kept = django_threads(nothing, threads=2)
    with Gate() as gate:
        one, two = kept.take(), kept.take()
        two.put(Future(), gate)
        await until(lambda: gate.inside == 1)
        kept.give_back(one)
        kept.give_back(two)
        assert kept.take() is one
    assert kept.close(20) == []


async def test_other_scopes_and_other_frameworks_pass_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    kept = django_threads(application)
    await kept({"type": "lifespan"}, nothing, nothing)
    monkeypatch.delitem(sys.modules, "asgiref.sync", raising=False)
    await kept(dict(HTTP), nothing, nothing)
    assert seen == ["lifespan", "http"]
    assert kept.close(20) == []


async def test_an_asgiref_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class ThreadSensitiveContext:
        pass

    class NewThreadSensitiveContext:
        def __init__(self, *, executor: Executor) -> None:
            raise TypeError("something else")

    old = ModuleType("asgiref.sync")
    monkeypatch.setitem(sys.modules, "asgiref.sync", old)
    monkeypatch.setattr(sys.modules["asgiref"], "__version__", "3.8.1")
    old.ThreadSensitiveContext = ThreadSensitiveContext  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"asgiref 3\.13 or newer, found 3\.8\.1"):
        await django_threads(nothing)(dict(HTTP), nothing, nothing)
    old.ThreadSensitiveContext = NewThreadSensitiveContext  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="something else"):
        await django_threads(nothing)(dict(HTTP), nothing, nothing)


def test_the_module_does_not_load_asgiref() -> None:
    code = "import sys, tidegate.bridge.django; sys.exit('asgiref' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0
