"""Which context variables travel with a call?

A context (PEP 567) cannot be pickled.  A pool is told names of variables; those
that are set where the call is made are set for the call in the worker, which
sees no other.  What the call sets is gone when it ends.
"""

from __future__ import annotations

import contextvars
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import ConfigError, Untransferable
from .names import resolve

__all__ = [
    "Carried",
    "call_apart",
    "call_with",
    "check_values",
    "chosen_variables",
    "current_values",
    "trace_id",
]

trace_id: contextvars.ContextVar[str] = contextvars.ContextVar("tidegate_trace_id")
"""Names the request that a call belongs to.  It travels with every call."""

Carried = dict[str, Any] | None
"""Values by the names of their variables; None if none is set."""

Variables = Mapping[str, contextvars.ContextVar[Any]]

_UNSET: Any = object()


def chosen_variables(names: Iterable[str]) -> dict[str, contextvars.ContextVar[Any]]:
    """Return the variables with these names, ``package.module:variable``, and ``trace_id``.

    Raises ``ConfigError`` for a name that is no context variable.
    """
    found = {f"{__name__}:trace_id": trace_id}
    for name in names:
        try:
            variable = resolve(name)
        except Exception as error:
            raise ConfigError(f"context {name!r}: {type(error).__name__}: {error}") from error
        if not isinstance(variable, contextvars.ContextVar):
            raise ConfigError(f"context {name!r}: a {type(variable).__name__}, not a ContextVar")
        found[name] = variable
    return found


def current_values(variables: Variables) -> Carried:
    """Return the values that are set in the current context."""
    values = None
    for name, variable in variables.items():
        value = variable.get(_UNSET)
        if value is not _UNSET:
            values = values or {}
            values[name] = value
    return values


def call_with(carried: Carried, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Set the carried values in the current context, then call the function."""
    for name, value in (carried or {}).items():
        resolve(name).set(value)
    return function(*args, **kwargs)


def call_apart(carried: Carried, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Do as ``call_with`` does, and leave nothing behind in the current context."""
    return contextvars.copy_context().run(call_with, carried, function, args, kwargs)


def check_values(carried: Carried) -> None:
    """Raise ``Untransferable`` that names the variable whose value cannot be pickled."""
    for name, value in (carried or {}).items():
        try:
            pickle.dumps(value, 5)
        except Exception as error:
            raise Untransferable(
                f"context variable {name} holds a {type(value).__name__}"
                f" that cannot be pickled: {error}"
            ) from error
