"""Which speed is tested, and how: every ``async def`` test runs on every event loop."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tidegate._pure import speed

if sys.platform != "win32":
    import uvloop


def _eager() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    LOOPS["uvloop"] = uvloop.new_event_loop
if sys.version_info >= (3, 12):
    LOOPS["eager"] = _eager


def pytest_report_header() -> str:
    return f"tidegate: {speed()}; event loops: {', '.join(LOOPS)}"


@pytest.fixture(autouse=True)
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """How to make the event loop of this test."""
    return LOOPS[getattr(request, "param", "asyncio")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.parametrize("new_loop", list(LOOPS), indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments: dict[str, Any] = {
        name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames
    }
    with asyncio.Runner(loop_factory=pyfuncitem.funcargs["new_loop"]) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True
