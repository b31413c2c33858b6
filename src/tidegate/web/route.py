"""What a decorator wrote down about a handler; nothing is looked at until the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict

from .. import web
from ..errors import ConfigError
from .annotations import place_of
from .params import Depends
from .pools import Pool
from .problems import Problem

__all__ = ["METHODS", "Layer", "Options", "Route", "RouteOptions", "Run", "make_options"]

Run: TypeAlias = Literal["auto", "inline", "thread", "process"] | Pool
"""Where a plain ``def`` handler runs; ``auto`` is a thread."""

Layer: TypeAlias = Callable[..., Any]
"""A middleware: ``(app) -> app``, or ``async (request, call_next) -> response``."""

# RFC 9110 section 9, RFC 5789 and the QUERY draft.  Nothing else is ever a
# handler's name, whatever a client sends.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"))


class RouteOptions(TypedDict, total=False):
    """What ``@app.get(path, ...)`` and its siblings take."""

    status: int
    """Status of an ordinary response; 200, or 204 for None."""
    run: Run
    timeout: float
    """Seconds until the answer is 504."""
    raises: Sequence[type[Problem]]
    """Problems to document."""
    name: str
    """For ``url_for``; the function's name if not given."""
    tags: Sequence[str]
    summary: str
    description: str
    deprecated: bool
    hidden: bool
    """Leave it out of the OpenAPI document."""
    dependencies: Sequence[Depends[Any]]
    """What must have run, though the handler does not want its value."""
    middleware: Sequence[Layer]
    max_body_size: int
    """Bytes of content; more is answered 413."""
    cancel_on_disconnect: bool
    """Cancel the handler when the client leaves; True for GET and HEAD if not given."""
    security: Sequence[str]
    """Names of security schemes of the application, for the document."""


@dataclass
class Options:
    """``RouteOptions``, with what was not given."""

    status: int | None = None
    run: Run = "auto"
    timeout: float | None = None
    raises: Sequence[type[Problem]] = ()
    name: str = ""
    tags: Sequence[str] = ()
    summary: str = ""
    description: str = ""
    deprecated: bool = False
    hidden: bool = False
    dependencies: Sequence[Depends[Any]] = ()
    middleware: Sequence[Layer] = ()
    max_body_size: int | None = None
    cancel_on_disconnect: bool | None = None
    security: Sequence[str] = ()
    extra: dict[str, Any] = field(default_factory=dict)  # of sockets and event streams


def make_options(function: Callable[..., Any], given: RouteOptions, **extra: Any) -> Options:
    """Return the options of a route.  Raises ``ConfigError`` for a value that makes no sense."""
    where = place_of(function)
    for name in given.keys() - RouteOptions.__annotations__.keys():
        hint = web.spelling.suggestion(name, RouteOptions.__annotations__)
        raise ConfigError(f"{where}: a route has no option {name!r}{hint}")
    options = Options(**given, extra=extra)
    if options.status is not None and not 200 <= options.status <= 599:
        raise ConfigError(f"{where}: status must be from 200 to 599, not {options.status}")
    if options.timeout is not None and options.timeout <= 0:
        raise ConfigError(f"{where}: timeout must be more than 0 seconds, not {options.timeout}")
    if not isinstance(options.run, Pool) and options.run not in (
        *("auto", "inline", "thread", "process"),
    ):
        raise ConfigError(
            f"{where}: run must be auto, inline, thread, process or app.pool(...), "
            f"not {options.run!r}"
        )
    for one in options.raises:
        if not (isinstance(one, type) and issubclass(one, Problem)):
            raise ConfigError(f"{where}: raises= lists subclasses of Problem, not {one!r}")
    return options


@dataclass
class Route:
    """One handler at one path template; ``kind`` says what it speaks."""

    path: str
    methods: frozenset[str]
    handler: Callable[..., Any]
    options: Options
    kind: Literal["http", "websocket", "sse"] = "http"
    # From the routers around it, outermost first.
    dependencies: tuple[Depends[Any], ...] = ()
    middleware: tuple[Layer, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name for ``url_for``."""
        return self.options.name or getattr(self.handler, "__name__", type(self.handler).__name__)
