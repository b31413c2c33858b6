"""What do the annotations of a handler mean?  Looked at once, when the application starts.

Late, so that names defined after the handler are known, also under
``from __future__ import annotations``; with the function's own globals, and
with the variables around it if it stands inside another function.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from ..errors import ConfigError

__all__ = ["Argument", "Signature", "mark", "place_of", "read_signature", "unpack"]

# The frames in which nested functions were defined, until they are resolved.
_FRAMES = "__tidegate_frame__"


@dataclass(slots=True)
class Argument:
    """One parameter of a function: ``type`` without ``Annotated``, ``extras`` what stood there."""

    name: str
    type: Any
    extras: tuple[Any, ...]
    default: Any  # inspect.Parameter.empty if it must be given
    keyword_only: bool

    @property
    def required(self) -> bool:
        """Whether the caller must give it."""
        return self.default is inspect.Parameter.empty


@dataclass(slots=True)
class Signature:
    """The parameters of a function and what it returns; Any if it does not say."""

    arguments: list[Argument]
    returns: Any
    annotated: bool  # whether it says what it returns


def mark(function: Callable[..., Any], depth: int = 2) -> None:
    """Remember where a nested function was defined; called by decorators.

    ``depth`` is how many calls are between the definition and here.
    """
    parent, nested, _ = getattr(function, "__qualname__", "").rpartition(".<locals>.")
    if not nested or not isinstance(function, types.FunctionType | type):
        return
    here = sys._getframe(depth)
    frame: types.FrameType | None = here
    while frame is not None and frame.f_code.co_qualname != parent:
        frame = frame.f_back
    if frame is not None or not hasattr(function, _FRAMES):
        setattr(function, _FRAMES, frame or here)


def place_of(function: Any) -> str:
    """Return ``name (file, line)`` of a function or class, for messages."""
    inner = _function_in(function)
    name = getattr(function, "__qualname__", None) or getattr(inner, "__qualname__", None)
    name = name or type(function).__qualname__
    code = getattr(inner, "__code__", None)
    return f"{name}() ({code.co_filename}, line {code.co_firstlineno})" if code else f"{name}()"


def _function_in(function: Any) -> Any:
    """Return the plain function whose parameters these are."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        function = function.__init__
    elif not inspect.isroutine(function) and callable(function):
        function = type(function).__call__
    return inspect.unwrap(getattr(function, "__func__", function))


def read_signature(function: Callable[..., Any]) -> Signature:
    """Return the signature of a function, class, partial or callable object.

    Raises ``ConfigError`` that names the function, the parameter and what to
    write, if an annotation cannot be understood.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place_of(function)} has no signature to read: {error}") from None
    inner = _function_in(function)
    names = _Names(function, inner)
    # What a partial gives by name is settled: a request must not replace it.
    given = function.keywords if isinstance(function, functools.partial) else {}
    arguments = []
    for parameter in signature.parameters.values():
        if parameter.name in given:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if inner is object.__init__:
                continue
            raise ConfigError(
                f"{place_of(function)}: *{parameter.name} cannot be filled from a request; "
                "name each parameter"
            )
        hint = names.resolve(parameter.name, parameter.annotation)
        plain, extras = unpack(hint)
        only = parameter.kind is parameter.KEYWORD_ONLY
        arguments.append(Argument(parameter.name, plain, extras, parameter.default, only))
    returned = signature.return_annotation
    annotated = returned is not inspect.Signature.empty
    if inspect.isclass(function):
        return Signature(arguments, function, True)
    return Signature(arguments, names.resolve("return", returned), annotated)


def unpack(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without ``Annotated`` and what was annotated."""
    if type(hint).__name__ == "TypeAliasType":  # ``type X = ...`` of Python 3.12
        return unpack(hint.__value__)
    if typing.get_origin(hint) is Annotated:
        plain, *extras = typing.get_args(hint)
        return plain, tuple(extras)
    return hint, ()


class _Names:
    """Where the names in a function's annotations are looked up."""

    def __init__(self, function: Any, inner: Any) -> None:
        self.function = function
        module = sys.modules.get(getattr(function, "__module__", ""))
        self.globals: dict[str, Any] = getattr(inner, "__globals__", None) or dict(
            getattr(module, "__dict__", {})
        )
        self.locals: dict[str, Any] = {}
        frame = getattr(function, _FRAMES, None) or getattr(inner, _FRAMES, None)
        if frame is not None:
            self.locals.update(frame.f_locals)
        closure = getattr(inner, "__closure__", None) or ()
        free = getattr(inner, "__code__", _EMPTY).co_freevars
        for name, cell in zip(free, closure, strict=False):
            try:
                self.locals[name] = cell.cell_contents
            except ValueError:
                pass  # not yet assigned
        owner = getattr(inner, "__qualname__", "").rpartition(".")[0]
        if owner in self.globals:
            self.locals.setdefault(owner, self.globals[owner])

    def resolve(self, name: str, annotation: Any) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints = typing.get_type_hints(holder, self.globals, self.locals, include_extras=True)
        except NameError as error:
            raise ConfigError(self._unknown(name, error.name or str(error))) from None
        except (TypeError, SyntaxError, AttributeError) as error:
            where = place_of(self.function)
            raise ConfigError(f"{where}: the annotation of {name!r}: {error}") from None
        # None stands for its type in annotations.
        return None if hints[name] is type(None) else hints[name]

    def _unknown(self, parameter: str, name: str) -> str:
        said = f"{place_of(self.function)}: the annotation of {parameter!r} names {name!r}"
        line = _import_for_checking(self.globals.get("__file__"), name)
        if line is not None:
            return (
                f"{said}, which is imported for type checkers only; "
                f"move the import at line {line} out of 'if TYPE_CHECKING:'"
            )
        return f"{said}, which is not defined when the application starts"


def _empty() -> None:
    """Has a code object without free variables."""


_EMPTY = _empty.__code__


def _import_for_checking(path: str | None, name: str) -> int | None:
    """Return the line where a module imports ``name`` under ``if TYPE_CHECKING``."""
    try:
        with open(path or "", encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            continue
        for inner in ast.walk(node):
            imports = inner.names if isinstance(inner, ast.Import | ast.ImportFrom) else []
            if name in [(alias.asname or alias.name).split(".")[0] for alias in imports]:
                return inner.lineno  # type: ignore[attr-defined, no-any-return]
    return None
