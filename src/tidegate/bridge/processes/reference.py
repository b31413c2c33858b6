"""Can a worker find this function?  If not, say why, and what to write instead."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from inspect import CO_COROUTINE, unwrap
from types import BuiltinFunctionType, FunctionType
from typing import Any

from ...errors import Untransferable
from .names import resolve

__all__ = ["described", "name_culprit", "reference"]

_ADVICE = "define it with `def` at the top of a module that can be imported"


def described(function: object) -> str:
    """Return what to call a callable in a message."""
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        return f"a {type(function).__qualname__}"
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


def reference(function: Callable[..., Any]) -> str | Callable[..., Any]:
    """Return how to send a callable: by name if it has one, otherwise as it is, to be pickled.

    Raises ``Untransferable`` if a worker could not find it.
    """
    name = described(function)
    if getattr(function, "__module__", None) == "__main__":
        raise Untransferable(
            f"{name} belongs to the program that was started, which workers do not run:"
            " move it to a module of its own and import it from there"
        )
    code = getattr(unwrap(function), "__code__", None)
    if code is not None and code.co_flags & CO_COROUTINE:
        raise Untransferable(
            f"{name} is `async def`, and workers have no event loop: pass a plain function"
        )
    module: object = getattr(function, "__module__", None)
    # A method of a built-in object has no module.
    by_name = isinstance(function, FunctionType | BuiltinFunctionType | type)
    if not by_name or not isinstance(module, str):
        return function
    if "<lambda>" in name:
        raise Untransferable(f"{name} has no name that a worker could look up: {_ADVICE}")
    if "<locals>" in name:
        raise Untransferable(f"{name} exists only inside the function that made it: {_ADVICE}")
    return _checked(function, f"{module}:{function.__qualname__}")


def _checked(function: Callable[..., Any], name: str) -> str:
    try:
        found = resolve(name)
    except (ImportError, AttributeError) as error:
        raise Untransferable(f"{name} cannot be looked up ({error}): {_ADVICE}") from error
    if found is not function:
        raise Untransferable(
            f"{name} is now another object, perhaps because a decorator wraps it:"
            " give the plain function a name of its own"
        )
    return name


def name_culprit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> Untransferable:
    """Return the error that names what of a call could not be pickled."""
    name = described(function)
    pieces = [(f"argument {number} of {name}", value) for number, value in enumerate(args, 1)]
    pieces += [(f"argument {key!r} of {name}", value) for key, value in kwargs.items()]
    for place, value in [*pieces, (name, function)]:
        try:
            pickle.dumps(value, 5, buffer_callback=lambda _: None)
        except Exception as reason:
            kind = type(value).__qualname__
            return Untransferable(f"{place}, a {kind}, cannot be pickled: {reason}")
    return Untransferable(f"the call of {name} cannot be pickled: {error}")
