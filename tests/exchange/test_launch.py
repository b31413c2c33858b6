"""How application calls become tasks: eagerly, and the same task throughout."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from tidegate.exchange.launch import starter

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


def outside(function):
    """Run ``function`` as the event loop does: outside of any task."""
    done = asyncio.get_running_loop().create_future()

    def call():
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(call)
    return done


async def test_a_call_that_never_waits_is_over_at_once(request):
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is not None:
        return  # the loop's own factory decides

    async def call():
        seen.append(asyncio.current_task())

    seen = []
    start = starter(loop)
    task = await outside(lambda: start(call(), contextvars.copy_context()))
    assert task.done()
    assert seen == [task]


async def test_a_call_that_waits_goes_on_as_the_same_task():
    async def call():
        seen.append(asyncio.current_task())
        await go_on.wait()
        seen.append(asyncio.current_task())

    seen = []
    go_on = asyncio.Event()
    start = starter(asyncio.get_running_loop())
    task = await outside(lambda: start(call(), contextvars.copy_context()))
    assert not task.done()
    assert task in asyncio.all_tasks()
    go_on.set()
    await task
    assert seen == [task, task]


async def test_a_call_started_inside_a_task_works_too():
    async def call():
        return asyncio.current_task()

    start = starter(asyncio.get_running_loop())
    task = start(call(), contextvars.copy_context())
    assert await task is task
    assert asyncio.current_task() is not task


async def test_a_call_runs_in_the_context_it_is_given():
    async def call():
        seen.append(var.get())
        var.set("changed inside")
        await asyncio.sleep(0)
        seen.append(var.get())

    seen = []
    context = contextvars.copy_context()
    context.run(var.set, "given")
    start = starter(asyncio.get_running_loop())
    await (await outside(lambda: start(call(), context)))
    assert seen == ["given", "changed inside"]
    assert var.get() == "unset"


async def test_the_loop_schedules_as_before_after_a_start():
    async def call():
        pass

    loop = asyncio.get_running_loop()
    start = starter(loop)
    await outside(lambda: start(call(), contextvars.copy_context()))
    ran = asyncio.Event()
    loop.call_soon(ran.set)
    await ran.wait()


@pytest.mark.parametrize("kind", ["debug", "factory"])
async def test_a_loop_in_debug_mode_or_with_a_factory_makes_the_tasks_itself(kind):
    async def call():
        seen.append(var.get())

    seen, made = [], []
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    if kind == "debug":
        loop.set_debug(True)
    else:

        def factory(loop, call, **settings):
            made.append(call)
            return asyncio.Task(call, loop=loop, **settings)

        loop.set_task_factory(factory)
    try:
        start = starter(loop)
        context = contextvars.copy_context()
        context.run(var.set, "given")
        task = await outside(lambda: start(call(), context))
        await task
    finally:
        loop.set_debug(False)
        loop.set_task_factory(before)
    assert seen == ["given"]
    assert len(made) == (kind == "factory")


async def test_an_exception_stays_in_the_task():
    async def call():
        raise ValueError("inside")

    start = starter(asyncio.get_running_loop())
    task = await outside(lambda: start(call(), contextvars.copy_context()))
    with pytest.raises(ValueError, match="inside"):
        await task
