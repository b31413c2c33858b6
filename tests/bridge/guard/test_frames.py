"""The line to blame is the innermost one of the application."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tidegate.bridge.guard.frames import Line, Origins, line_of, request_of, stack_of


def run_as(path: str, module: str, source: str, **names: object) -> dict[str, Any]:
    """Run source as if it stood in a file of this name."""
    space: dict[str, Any] = {"__name__": module, **names}
    exec(compile(textwrap.dedent(source), path, "exec"), space)
    return space


def here() -> list[FrameType]:
    return stack_of(sys._getframe(1))


@pytest.fixture
def library() -> Callable[..., Any]:
    source = "def call(function, *args):\n    return function(*args)\n"
    call: Callable[..., Any] = run_as("/x/site-packages/lib/core.py", "lib.core", source)["call"]
    return call


def nearest(stack: list[FrameType], package: str = "") -> str:
    return stack[Origins(package).nearest(stack)].f_code.co_filename


def test_the_innermost_frame_of_the_application_is_chosen(library: Callable[..., Any]) -> None:
    def view() -> list[FrameType]:
        stack: list[FrameType] = library(library, stack_in_library)
        return stack

    stack_in_library = run_as(
        "/x/site-packages/lib/end.py", "lib.end", "def end():\n    return here()", here=here
    )["end"]
    stack = view()
    assert stack[-1].f_code.co_name == "end"
    assert stack[Origins().nearest(stack)].f_code.co_name == "view"


def test_a_library_is_chosen_only_without_a_frame_of_the_application(
    library: Callable[..., Any],
) -> None:
    stack = [frame for frame in library(lambda: here()) if "site-packages" in str(frame)]
    assert nearest(stack) == "/x/site-packages/lib/core.py"


def test_an_installed_application_is_known_by_its_package(library: Callable[..., Any]) -> None:
    source = "def view(call, function):\n    return call(function)\n"
    view = run_as("/x/site-packages/shop/views.py", "shop.views", source)["view"]
    stack = [frame for frame in view(library, here) if "site-packages" in str(frame)]
    assert nearest(stack) == "/x/site-packages/lib/core.py"
    assert nearest(stack, "shop") == "/x/site-packages/shop/views.py"


@pytest.mark.parametrize(
    "path", [asyncio.__file__, str(Path(Origins.__init__.__code__.co_filename)), "<frozen os>"]
)
def test_the_standard_library_and_tidegate_are_not_the_application(path: str) -> None:
    frame = run_as(path, "some.module", "frame = here()[-1]", here=here)["frame"]
    assert not Origins().is_application(frame)
    assert Origins().is_application(here()[-1])


def test_the_innermost_frame_serves_if_there_is_none_of_anybody() -> None:
    source = "def one(f):\n    return f()\ndef two(f):\n    return one(f)"
    two = run_as("<frozen os>", "os", source)["two"]
    stack = [frame for frame in two(here) if "frozen" in str(frame)]
    assert Origins().nearest(stack) == len(stack) - 1


async def test_a_stack_begins_with_what_the_loop_called() -> None:
    def callback() -> None:
        found.set_result(here())

    found: asyncio.Future[list[FrameType]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(callback)
    assert [frame.f_code.co_name for frame in await found] == ["callback"]


def test_a_line_knows_its_text() -> None:
    line = line_of(here()[-1])  # this one
    assert line == Line(__file__, line.line, "test_a_line_knows_its_text")
    assert line.code == "line = line_of(here()[-1])  # this one"
    assert str(line) == f"{__file__}:{line.line} in test_a_line_knows_its_text()"
    assert Line("/nowhere.py", 1, "f").code == ""


@pytest.mark.parametrize(
    ("scope", "request_line"),
    [
        ({"type": "http", "method": "POST", "path": "/a b"}, "POST /a b"),
        ({"type": "websocket", "path": "/news"}, "WEBSOCKET /news"),
        ({"type": "lifespan"}, None),
        ("global", None),
    ],
)
def test_the_request_is_read_from_the_scope_of_an_application(
    scope: object, request_line: str | None
) -> None:
    def application(scope: object, receive: None, send: None) -> str | None:
        return view()

    def view() -> str | None:
        scope = {"type": "http", "method": "GET", "path": "/not-an-argument"}
        return request_of(here()) if scope else None

    assert application(scope, None, None) == request_line
