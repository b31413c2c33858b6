"""Which callable is this?  Dotted names of functions, methods and calls in progress.

One callable has one name, wherever it was found: in a stack, by a monitor, or
in the text of a line.  Methods are named by the class that defines them, and
modules of the interpreter by the public module that shows them.
"""

from __future__ import annotations

import builtins
import linecache
import re
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FrameType, ModuleType
from typing import Any

__all__ = ["call_in_progress", "name_of", "name_of_frame", "names_below", "refuses_to_wait"]

_PUBLIC = {
    "_thread": "threading",
    "posix": "os",
    "nt": "os",
    "_io": "io",
    "_socket": "socket",
    "_sqlite3": "sqlite3",
    "_queue": "queue",
    "_hashlib": "hashlib",
    "pathlib._local": "pathlib",
}

_CALL = re.compile(r"\s*(?:await\s+)?([^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)\s*\(")

# The first argument, and one that says whether to wait, if they are a single word.
_FIRST = re.compile(r"\s*([\w.]+)\s*(?:,|$)")
_KEYWORD = re.compile(r"\b(?:blocking|block|timeout)\s*=\s*([\w.]+)")


def name_of(function: Any, receiver: Any = None) -> str:
    """Return the dotted name of a callable; nothing if it has none.

    ``receiver`` is what a method is called on, if the callable does not know.
    Runs no code of the callable.
    """
    owner = getattr(function, "__self__", receiver)
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        return ""
    if isinstance(owner, ModuleType) or owner is None or hasattr(function, "__code__"):
        place = getattr(function, "__module__", None)
        qualified = getattr(function, "__qualname__", name)
        return _public(place, qualified) if isinstance(place, str) else ""
    return _name_in_class(owner if isinstance(owner, type) else type(owner), name)


def name_of_frame(frame: FrameType) -> str:
    """Return the dotted name of the function a frame runs."""
    module = frame.f_globals.get("__name__", "")
    return _public(module, frame.f_code.co_qualname) if isinstance(module, str) else ""


def names_below(stack: list[FrameType]) -> Iterator[str]:
    """Yield what the first frame of a stack calls, and what that calls in turn.

    The stack is given outermost frame first; its last frame may be in the
    middle of a call to C code, which is named too.
    """
    for frame in stack[1:]:
        yield name_of_frame(frame)
    yield call_in_progress(stack[-1])


def call_in_progress(frame: FrameType) -> str:
    """Return the dotted name of what a frame is calling; nothing if that cannot be read."""
    path, _ = _call(frame)
    if not path:
        return ""
    owner: Any = None
    found = _variable(path[0], frame)
    for attribute in path[1:]:
        owner, found = found, _held(found).get(attribute)
    if owner is None or isinstance(owner, ModuleType):
        return name_of(found) if found is not None else ""
    return _name_in_class(owner if isinstance(owner, type) else type(owner), path[-1])


def refuses_to_wait(frame: FrameType) -> bool:
    """Say whether the call in progress is written as one that does not wait for a lock."""
    _, arguments = _call(frame)
    words = [found[1] for found in (_FIRST.match(arguments), _KEYWORD.search(arguments)) if found]
    return any(word in ("0", "0.0") or _variable(word, frame) in (False, 0) for word in words)


def _public(module: str, rest: str) -> str:
    return f"{_PUBLIC.get(module, module)}.{rest}"


def _name_in_class(kind: type, attribute: str) -> str:
    for each in kind.__mro__:
        if attribute in vars(each):
            return _public(each.__module__, f"{each.__qualname__}.{attribute}")
    return _public(kind.__module__, f"{kind.__qualname__}.{attribute}")


def _call(frame: FrameType) -> tuple[list[str], str]:
    """Return the path of names and the arguments of the call in progress, both as written.

    Not by ``ast``: before Python 3.12 it is not safe in two threads at once.
    """
    text = _text_in_progress(frame.f_code, frame.f_lasti)
    head = _CALL.match(text)
    if head is None:
        return [], ""
    depth = 0
    for position in range(head.end() - 1, len(text)):
        depth += (text[position] in "([{") - (text[position] in ")]}")
        if depth == 0:
            break
    if position != len(text) - 1:
        return [], ""  # the call is only a part: `first(...).second(...)`
    return [name.strip() for name in head[1].split(".")], text[head.end() : -1]


def _text_in_progress(code: CodeType, offset: int) -> str:
    """Return the source of the expression at an instruction; nothing if it is not known."""
    start, end, first, last = next(
        islice(code.co_positions(), max(0, offset) // 2, None), (None, None, None, None)
    )
    if start is None or end is None or first is None or last is None:
        return ""
    lines = [line.encode() for line in linecache.getlines(code.co_filename)[start - 1 : end]]
    if not lines:
        return ""
    # Columns count bytes.  The end first: it may be on the line of the start.
    lines[-1] = lines[-1][:last]
    lines[0] = lines[0][first:]
    return b"".join(lines).decode(errors="replace")


def _variable(name: str, frame: FrameType) -> Any:
    for names in (frame.f_locals, frame.f_globals, vars(builtins)):
        if name in names:
            return names[name]
    return {"True": True, "False": False}.get(name)


def _held(owner: Any) -> dict[str, Any]:
    """Return the attributes of an object, without running any code of its class."""
    try:
        held = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return {}
    return held if isinstance(held, dict) else {}
