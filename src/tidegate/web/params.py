"""Where does each parameter of a handler come from?  One rule, applied when the application starts.

In this order: a name in the path template is a path parameter; a type that a
resource provides, or ``Depends``, is injected; a type of the framework is
injected; a structured type is the content; a scalar or a list of scalars is a
query parameter.  A marker always wins.  Anything else is an error that says
what to write: no name and no position has a meaning of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from ..errors import ConfigError
from .annotations import Argument, mark, place_of
from .codec import Codec, Refused, codec_of, constrained
from .content import at_content, at_name
from .explain import Fault
from .kinds import Kind, alternatives, kind_of, list_fields
from .request import Request

__all__ = [
    "Body",
    "Close",
    "Cookie",
    "Depends",
    "Form",
    "Header",
    "LastEventID",
    "Marker",
    "Parameter",
    "Path",
    "Query",
    "marker_of",
    "parameter",
]

T = TypeVar("T")

Close: TypeAlias = Literal["auto", "before", "after"]
"""When a generator is closed: before the response is sent, after its last byte, or as it fits."""


class Marker:
    """Says where a parameter comes from: ``Annotated[int, Query(ge=1)]``.

    ``name`` is the name it has in the request, if it is another; ``ge``, ``gt``,
    ``le``, ``lt``, ``multiple_of`` bound a number, ``min_length``, ``max_length``
    and ``pattern`` a text or a list.  The rest documents it.
    """

    source = ""

    def __init__(
        self,
        name: str | None = None,
        *,
        title: str | None = None,
        description: str | None = None,
        examples: list[Any] | None = None,
        deprecated: bool = False,
        **constraints: Any,
    ) -> None:
        self.name = name
        self.title = title
        self.description = description
        self.examples = examples
        self.deprecated = deprecated
        try:
            self.meta = msgspec.Meta(**constraints) if constraints else None
        except (TypeError, ValueError, re.error) as error:
            raise ConfigError(f"{type(self).__name__}(): {error}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})" if self.name else f"{type(self).__name__}()"


class Path(Marker):
    """A segment of the path."""

    source = "path"


class Query(Marker):
    """A parameter of the query string, or a structure of all of them."""

    source = "query"


class Header(Marker):
    """A header field; without a name, the parameter's with hyphens for underscores."""

    source = "header"


class Cookie(Marker):
    """A cookie."""

    source = "cookie"


class Form(Marker):
    """A field of an urlencoded form, or a structure of all of them."""

    source = "form"


class Body(Marker):
    """The content: as the type says, or as it came if that is ``bytes`` or ``str``."""

    source = "body"


class Depends(Generic[T]):
    """Says that a function gives the value: ``Annotated[User, Depends(current_user)]``.

    The function's parameters are filled as a handler's are.  It may be a
    coroutine function, a plain one (which runs in a thread), or a generator of
    either kind, which is closed ``before`` the response is sent (so that a
    failed commit is an error the client hears of), ``after`` its last byte, or
    ``auto``: before ordinary responses and after streams.  ``use_cache=False``
    calls it anew for each parameter; ``run`` says where a plain function runs.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        close: Close = "auto",
        use_cache: bool = True,
        run: Literal["auto", "inline", "thread"] = "auto",
    ) -> None:
        if not callable(function):
            raise ConfigError(f"Depends() needs a function, not {function!r}")
        mark(function)
        self.function = function
        self.close = close
        self.use_cache = use_cache
        self.run = run

    def __repr__(self) -> str:
        return f"Depends({getattr(self.function, '__name__', self.function)})"


LastEventID: TypeAlias = Annotated[str | None, Header("last-event-id")]
"""The id of the last event that a reconnecting client has seen (HTML, section 9.2)."""


@dataclass(slots=True)
class Parameter:
    """One scalar parameter, as plans and the OpenAPI document need it."""

    argument: Argument
    source: str  # path, query, header, cookie, form, body
    name: str  # in the request
    marker: Marker | None
    hint: Any  # the type with its constraints
    codec: Codec
    many: bool  # a list of values
    whole: bool  # a structure of all values of this source
    lists: frozenset[str]  # the fields of the structure that are lists

    def read(self, request: Request, form: dict[str, list[str]] | None = None) -> Any:
        """Return the value.  Raises ``Refused``."""
        raw = self._raw(request, form)
        if raw is None or (self.whole and not raw and not self.argument.required):
            if self.argument.required:
                raise Refused([((), "This parameter is required")])
            return self.argument.default
        try:
            return self.codec.convert(raw)
        except ValueError as error:
            raise Refused(self.codec.explain_text(raw, error)) from None

    def _raw(self, request: Request, form: dict[str, list[str]] | None) -> Any:
        source = self.source
        if source == "path":
            return request.path_params.get(self.name)
        if source == "header":
            if self.many:
                return request.headers.all(self.name) or None
            value = request.fields.get(self.name.encode("latin-1"))
            return None if value is None else value.decode("latin-1")
        if source == "cookie":
            return request.cookies.get(self.name)
        values = request.query if form is None else form
        if self.whole:
            return _flat(values, self.lists)
        found = values.get(self.name)
        if found is None or self.many:
            return found
        return found[-1]

    def getter(self) -> Callable[[Request], Any]:
        """Return ``read`` for a request, made for this source."""
        name, convert = self.name, self.codec.convert
        required, default = self.argument.required, self.argument.default
        if self.whole or self.many or self.source not in ("path", "query"):
            return self.read

        def from_path(request: Request) -> Any:
            try:
                return convert(request.path_params[name])
            except ValueError:
                return self.read(request)  # which says what is wrong

        def from_query(request: Request) -> Any:
            # The first parameter parses the query, the others find it.
            found = (request.known_query or request.query).get(name)
            if found is None:
                return self.read(request) if required else default
            try:
                return convert(found[-1])
            except ValueError:
                return self.read(request)

        return from_path if self.source == "path" else from_query

    def complaints(self, faults: list[Fault]) -> list[dict[str, str]]:
        """Return the entries of a validation problem."""
        if self.whole:
            return [at_content(fault, self.source) for fault in faults]
        return [at_name(fault, self.source, self.name) for fault in faults]


def _flat(values: dict[str, list[str]], lists: frozenset[str]) -> dict[str, Any]:
    """Return a form or query as an object: lists only where the structure has lists."""
    return {name: found if name in lists else found[-1] for name, found in values.items()}


def parameter(
    argument: Argument, owner: Callable[..., Any], path_names: frozenset[str], has_content: bool
) -> Parameter:
    """Say where a parameter that nothing injects comes from.

    Raises ``ConfigError`` that names the function and says what to write.
    """
    where = f"{place_of(owner)}: parameter {argument.name!r}"
    marker = marker_of(argument)
    hint = argument.type
    kind = "scalar" if hint is Any else kind_of(hint)
    if marker is not None:
        source = marker.source
    elif argument.name in path_names:
        source = "path"
    elif hint is Any:
        raise ConfigError(f"{where} has no annotation; say what type it is")
    elif kind == "structure" and has_content:
        source = "body"
    elif kind in ("scalar", "list"):
        source = "query"
    elif kind == "structure":
        raise ConfigError(
            f"{where} is a structure, but this method has no content; "
            "write Annotated[..., Query()] to read it from the query string"
        )
    else:
        raise ConfigError(
            f"{where} is a {hint!r}, which is neither a resource, a structure nor a scalar; "
            "provide it with @app.resource, or write Annotated[..., Depends(function)]"
        )
    name = (marker and marker.name) or argument.name
    _check(source, kind, name, path_names, where, hint)
    if source == "header":
        name = name.replace("_", "-").lower() if not (marker and marker.name) else name.lower()
    extras = [*argument.extras, *([marker.meta] if marker and marker.meta else [])]
    try:
        full = constrained(str if hint is Any and source != "body" else hint, extras)
        codec = codec_of(full)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    whole = kind == "structure" and source in ("query", "form")
    lists = list_fields(hint) if whole else frozenset()
    return Parameter(argument, source, name, marker, full, codec, kind == "list", whole, lists)


def _check(
    source: str, kind: Kind, name: str, path_names: frozenset[str], where: str, hint: Any
) -> None:
    """Raise ``ConfigError`` for what this source can never give."""
    if source == "path" and name not in path_names:
        raise ConfigError(f"{where} is not in the path template; it has {sorted(path_names)}")
    unreadable = any(kind_of(one) == "unknown" for one in alternatives(hint) if one is not Any)
    if unreadable if source == "body" else kind == "unknown":
        raise ConfigError(f"{where}: a {hint!r} cannot be read from the {source} of a request")
    if kind == "structure" and source in ("path", "header", "cookie"):
        raise ConfigError(f"{where} is a structure, which cannot be read from the {source}")
    if kind == "list" and source in ("path", "cookie"):
        raise ConfigError(f"{where} is a list, but a {source} has one value of a name")


def marker_of(argument: Argument) -> Marker | None:
    """Return the marker of a parameter.  Raises ``ConfigError`` if there are two."""
    default = argument.default
    if isinstance(default, Marker):
        raise ConfigError(
            f"parameter {argument.name!r}: write Annotated[type, {default!r}] instead of "
            f"the default {default!r}"
        )
    found = [
        extra() if isinstance(extra, type) else extra
        for extra in argument.extras
        if isinstance(extra, Marker) or (isinstance(extra, type) and issubclass(extra, Marker))
    ]
    if len(found) > 1:
        raise ConfigError(f"parameter {argument.name!r} has more than one source: {found}")
    return found[0] if found else None
