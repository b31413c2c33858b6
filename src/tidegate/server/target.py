"""From ``module:attribute`` to something that can be called with a scope.

ASGI 3 is left as it is, ASGI 2 and WSGI are wrapped.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..asgi import Application, LegacyApplication, Receive, Scope, Send
from ..bridge.wsgi.asgi import Wsgi, WsgiSettings
from ..errors import ConfigError

__all__ = ["load"]

logger = logging.getLogger("tidegate.error")


def load(
    target: object,
    *,
    factory: bool,
    interface: str,
    app_dir: str = "",
    settings: WsgiSettings | None = None,
) -> Application:
    """Return the application that ``target`` names or is; a ``Wsgi`` if it is a WSGI one.

    Raises ``ConfigError`` that says what was not found, and what was.  An
    exception inside the module being imported is not ours and passes through.
    """
    found = _import(target, app_dir) if isinstance(target, str) else target
    if factory:
        if not callable(found):
            raise ConfigError(f"{_name(target)} is not callable, so it cannot be a factory")
        found = found()
    if not callable(found):
        raise ConfigError(
            f"{_name(target)} is not an ASGI application: "
            f"it is of type {type(found).__name__!r}, which cannot be called"
        )
    if interface == "auto" and not factory and _is_factory(found):
        logger.warning("%s is a factory; say so with --factory. Calling it.", _name(target))
        return load(found, factory=True, interface=interface, settings=settings)
    if interface == "wsgi" or (interface == "auto" and _is_wsgi(found)):
        return found if isinstance(found, Wsgi) else Wsgi(found, settings)
    if interface == "asgi2" or (interface == "auto" and _is_legacy(found)):
        return _single_callable(found)
    return found


def _name(target: object) -> str:
    return repr(target) if isinstance(target, str) else f"an object of type {type(target).__name__}"


def _import(target: str, app_dir: str) -> object:
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes or module_name.startswith("."):
        near = module_name.removesuffix(".py").replace("/", ".").strip(".")
        hint = f"; did you mean '{near}:app'?" if near else ""
        raise ConfigError(f"the target must be 'module:attribute', not {target!r}{hint}")
    folder = str(Path(app_dir or ".").resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only if it is the target itself, or a package on the way to it, that
        # is missing; otherwise the fault is inside the application.
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise
        raise ConfigError(_no_module(module_name, missing, folder)) from None
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}"
        raise ConfigError(f"{where}: {error.msg}") from None
    found: object = module
    seen = module_name
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise ConfigError(_no_attribute(found, seen, attribute))
        found = getattr(found, attribute)
        seen += f".{attribute}" if seen != module_name else f":{attribute}"
    return found


def _no_module(name: str, missing: str, folder: str) -> str:
    path = Path(folder)
    choices = [p.stem for p in path.glob("*.py")] + [p.parent.name for p in path.glob("*/*.py")]
    near = get_close_matches(name.split(".")[0], choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near and near[0] != name.split(".")[0] else ""
    if name.endswith(".py"):
        hint = f"; leave out the '.py': {name.removesuffix('.py')!r}"
    return f"there is no module {missing!r} in {folder} or on the Python path{hint}"


def _no_attribute(found: object, seen: str, attribute: str) -> str:
    public = [name for name in dir(found) if not name.startswith("_")]
    near = get_close_matches(attribute, public, n=1)
    callables = [name for name in public if _looks_like_application(getattr(found, name, None))]
    callables.sort(key=lambda name: name not in ("app", "application", "asgi"))
    hint = ""
    if near:
        hint = f"; did you mean {near[0]!r}?"
    elif callables:
        hint = f"; what can be called there: {', '.join(callables[:5])}"
    return f"{seen!r} has no attribute {attribute!r}{hint}"


def _looks_like_application(value: object) -> bool:
    if inspect.isfunction(value):
        return bool(_parameters(value))
    kind = type(value).__module__
    return callable(value) and not inspect.isclass(value) and kind not in ("builtins", "typing")


def _parameters(called: object) -> list[inspect.Parameter] | None:
    """Return the positional parameters that must be given; None if nobody knows."""
    try:
        parameters = inspect.signature(called).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in parameters if p.kind in positional]


def _is_factory(found: object) -> bool:
    parameters = _parameters(found)
    return parameters is not None and not parameters and not inspect.isclass(found)


def _is_wsgi(found: Any) -> bool:
    """Say whether this takes ``(environ, start_response)``, and cannot take a third."""
    if hasattr(found, "asgi_app") or _is_async(found):
        return False
    parameters = _parameters(found)
    if parameters is None:
        # A signature that says nothing, but perhaps the framework does.
        return callable(getattr(found, "wsgi_app", None))
    required = [p for p in parameters if p.default is p.empty]
    return len(required) == 2 and len(parameters) == 2


def _is_async(found: Any) -> bool:
    """Say whether the call gives a coroutine."""
    called = found if inspect.isroutine(found) else getattr(found, "__call__", found)  # noqa: B004
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(found)


def _is_legacy(found: Any) -> bool:
    """Say whether this is an ASGI 2 application: ``app(scope)`` gives an instance.

    A class is one: its constructor takes the scope.
    """
    if inspect.isclass(found):
        return True
    if _is_async(found):
        return False
    parameters = _parameters(found)
    if parameters is None:
        return False
    return len([p for p in parameters if p.default is p.empty]) == 1


def _single_callable(legacy: LegacyApplication) -> Application:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await legacy(scope)(receive, send)

    return application
