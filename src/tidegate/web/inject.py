"""Which functions give a handler its values, and in which order?

The graph is made once per route, when the application starts.  Each dependency
becomes a ``Node`` with a place in ``request.values``; its arguments are getters
made once.  A cycle, a missing provider or a parameter that nothing fills is an
error at start, not a request that fails.
"""

from __future__ import annotations

import collections.abc
import contextlib
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..errors import ConfigError, UsageError
from .annotations import Argument, place_of, read_signature
from .kinds import UNIONS, alternatives, kind_of
from .params import Close, Depends, Parameter, marker_of, parameter
from .request import Request

__all__ = ["Getter", "Graph", "Node", "Provider", "Providers", "Shape", "provided_type"]

Getter: TypeAlias = Callable[[Request], Any]

_GENERATORS = (
    *(collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable),
    *(collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable),
)


class Shape:
    """How a function is called: awaited or not, yielding or not."""

    __slots__ = ("is_async", "is_generator")

    def __init__(self, function: Callable[..., Any]) -> None:
        inner = getattr(function, "func", function)
        if not inspect.isroutine(inner) and not inspect.isclass(inner):
            inner = type(inner).__call__
        # What a decorator put around a function returns what that returns,
        # unless it says something else.
        while not _is_special(inner) and hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        generates_async = inspect.isasyncgenfunction(inner)
        self.is_async = generates_async or inspect.iscoroutinefunction(inner)
        self.is_generator = generates_async or inspect.isgeneratorfunction(inner)


def _is_special(function: Any) -> bool:
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    )


def _generator(function: Any) -> Any:
    """Return the generator function that ``contextlib.contextmanager`` was put on."""
    code = getattr(function, "__code__", None)
    made_by = code.co_filename if code is not None else ""
    inner = getattr(function, "__wrapped__", None)
    return inner if inner is not None and made_by == contextlib.__file__ else function


def _key(function: Any) -> Any:
    """Return what tells functions apart: an object that is called may have no hash."""
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function


def provided_type(function: Callable[..., Any]) -> Any:
    """Return the type that a provider gives.  Raises ``ConfigError`` if it does not say."""
    signature = read_signature(function)
    found = signature.returns
    if Shape(function).is_generator:
        origin = typing.get_origin(found)
        found = typing.get_args(found)[0] if origin in _GENERATORS else Any
    if not signature.annotated or found is Any or found is None:
        raise ConfigError(
            f"{place_of(function)} must say what it gives: annotate what it returns, "
            "or AsyncIterator[...] if it yields"
        )
    if any(
        map(_is_sent, typing.get_args(found) if typing.get_origin(found) in UNIONS else [found])
    ):
        raise ConfigError(
            f"{place_of(function)} gives a {found!r}, which every parameter of that type would "
            "get; give it a type of its own, Token = NewType('Token', str), or ask for it with "
            "Annotated[..., Depends(function)]"
        )
    return found


def _is_sent(hint: Any) -> bool:
    """Say whether a type is one that parameters of requests have."""
    is_known = getattr(hint, "__module__", "") in ("builtins", "datetime", "decimal", "uuid")
    return is_known and kind_of(hint) in ("scalar", "list")


@dataclass(slots=True)
class Provider:
    """A function that gives values of one type: once per application, or per request."""

    function: Callable[..., Any]
    scope: Literal["app", "request"]
    close: Close = "auto"
    run: Literal["auto", "inline", "thread"] = "auto"


@dataclass
class Providers:
    """What may be injected by type; ``overrides`` replace types and functions in tests."""

    by_type: dict[Any, Provider] = field(default_factory=dict)
    instances: dict[Any, Any] = field(default_factory=dict)  # of scope app, while it runs
    framework: dict[Any, Getter] = field(default_factory=dict)
    overrides: Mapping[Any, Any] = field(default_factory=dict)

    def framework_getter(self, hint: Any) -> Getter | None:
        """Return how a type of the framework is made, also ``Socket[In, Out]``."""
        return self.framework.get(hint) or self.framework.get(typing.get_origin(hint) or hint)


class Node:
    """One call: a dependency, or the handler itself."""

    __slots__ = (
        *("call", "close", "function", "getters", "inputs", "is_async", "is_generator"),
        *("keywords", "needs_content", "parameters", "run", "slot", "thread"),
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], slot: int) -> None:
        self.function = _generator(function)
        shape = Shape(self.function)
        self.slot = slot
        self.is_async = shape.is_async
        self.is_generator = shape.is_generator
        self.close: Close = "auto"
        self.run = "auto"
        self.getters: list[Getter] = []
        self.keywords: list[tuple[str, Getter]] = []
        self.parameters: list[Parameter] = []
        self.inputs: list[Node] = []
        self.needs_content = False
        self.thread = False  # whether it runs in a thread; settled by the plan
        self.call: Getter = self._call
        """Call the function: a value, a coroutine or a generator.  Raises ``Refused``."""

    def settle(self) -> None:
        """All getters are there: see that a call costs no more than they do."""
        function, getters = self.function, self.getters
        if self.keywords:
            return
        if not getters:
            self.call = lambda request: function()
        elif len(getters) == 1:
            (only,) = getters
            self.call = lambda request: function(only(request))
        elif len(getters) == 2:
            first, second = getters
            self.call = lambda request: function(first(request), second(request))
        elif len(getters) == 3:
            one, two, three = getters
            self.call = lambda request: function(one(request), two(request), three(request))
        else:
            self.call = lambda request: function(*[get(request) for get in getters])

    def _call(self, request: Request) -> Any:
        arguments, named = self.arguments(request)
        return self.function(*arguments, **named)

    def arguments(self, request: Request) -> tuple[list[Any], dict[str, Any]]:
        """Return what the function would be called with.  Raises ``Refused``."""
        named = {name: get(request) for name, get in self.keywords}
        return [get(request) for get in self.getters], named


class Graph:
    """The calls that lead to one handler, each after those it needs."""

    def __init__(
        self,
        providers: Providers,
        path_names: frozenset[str] = frozenset(),
        has_content: bool = False,
    ) -> None:
        self.providers = providers
        self.path_names = path_names
        self.has_content = has_content
        self.nodes: list[Node] = []
        self.contents: list[tuple[Parameter, Node]] = []  # body parameters and who takes them
        self.resources: dict[Any, Provider] = {}  # of scope app, that something here needs
        self.framework: list[tuple[Any, Node]] = []  # types of the framework, and who takes them
        self._known: dict[Any, Node] = {}
        self._path: list[Any] = []  # for telling of a cycle

    def add(self, function: Callable[..., Any]) -> Node:
        """Add a call and, before it, all that it needs.  Raises ``ConfigError``."""
        if function in self._path:
            cycle = " -> ".join(place_of(one) for one in [*self._path, function])
            raise ConfigError(f"dependencies go in a circle: {cycle}")
        self._path.append(function)
        node = Node(function, -1)
        for argument in read_signature(function).arguments:
            getter = self._getter(argument, node)
            if argument.keyword_only:
                node.keywords.append((argument.name, getter))
            else:
                node.getters.append(getter)
        node.needs_content |= any(one.needs_content for one in node.inputs)
        node.settle()
        self._path.pop()
        node.slot = len(self.nodes)
        self.nodes.append(node)
        return node

    def depend(self, depends: Depends[Any]) -> Node:
        """Add a dependency, once however often it is named."""
        function = depends.function
        key = _key(function)
        replaced = self.providers.overrides.get(key, function)
        if not callable(replaced):
            return self._constant_node(key, replaced)
        node = self._known.get(key) if depends.use_cache else None
        if node is None:
            node = self.add(replaced)
            if depends.use_cache:
                self._known[key] = node
        for name in ("close", "run"):
            asked, known = getattr(depends, name), getattr(node, name)
            if "auto" not in (asked, known) and asked != known:
                raise ConfigError(
                    f"{place_of(function)} cannot have {name}={asked!r} and {name}={known!r} "
                    "in one request; say use_cache=False to call it twice"
                )
            if asked != "auto":
                setattr(node, name, asked)
        return node

    def _constant_node(self, key: Any, value: Any) -> Node:
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self.add(lambda: value)
            node.run = "inline"
        return node

    def forget(self, count: int) -> None:
        """Go back to when there were so many calls."""
        del self.nodes[count:]
        self._path.clear()
        self._known = {key: node for key, node in self._known.items() if node in self.nodes}
        self.framework = [one for one in self.framework if one[1] in self.nodes]

    def framework_of(self, node: Node) -> list[Any]:
        """Return the types of the framework that a call takes."""
        return [hint for hint, one in self.framework if one is node]

    def find(self, hint: Any, node: Node) -> Getter | None:
        """Return how a type is injected into a call; None if nothing provides it."""
        return self._by_type(Argument("", hint, (), None, False), node)

    def _getter(self, argument: Argument, node: Node) -> Getter:
        depends = _depends_of(argument)
        if depends is not None:
            return self._input(self.depend(depends), node)
        found = None if self._is_sent(argument, node) else self._by_type(argument, node)
        if found is not None:
            return found
        one = parameter(argument, node.function, self.path_names, self.has_content)
        node.parameters.append(one)
        if one.source in ("body", "form"):
            node.needs_content = True
            self.contents.append((one, node))
            if one.source == "body":
                return _content
            return lambda request: one.read(request, _content(request))
        return one.getter()

    def _is_sent(self, argument: Argument, node: Node) -> bool:
        """Say whether a parameter comes from the request, whatever its type."""
        try:
            return argument.name in self.path_names or marker_of(argument) is not None
        except ConfigError as error:
            raise ConfigError(f"{place_of(node.function)}: {error}") from None

    def _input(self, source: Node, node: Node) -> Getter:
        node.inputs.append(source)
        slot = source.slot
        return lambda request: request.values[slot]

    def _by_type(self, argument: Argument, node: Node) -> Getter | None:
        providers = self.providers
        for hint in (argument.type, *alternatives(argument.type)):
            try:
                hash(hint)
            except TypeError:
                continue
            if hint in providers.overrides:
                return self._overridden(hint, node)
            if hint in providers.by_type:
                return self._provided(hint, providers.by_type[hint], node)
            framework = providers.framework_getter(hint)
            if framework is not None:
                self.framework.append((hint, node))
                return framework
        return None

    def _overridden(self, hint: Any, node: Node) -> Getter:
        value = self.providers.overrides[hint]
        if inspect.isroutine(value):
            return self._input(self.depend(Depends(value)), node)
        return lambda request: value

    def _provided(self, hint: Any, provider: Provider, node: Node) -> Getter:
        if provider.scope == "request":
            depends: Depends[Any] = Depends(
                provider.function, close=provider.close, run=provider.run
            )
            return self._input(self.depend(depends), node)
        self.resources[hint] = provider
        instances = self.providers.instances

        def instance(request: Request) -> Any:
            try:
                return instances[hint]
            except KeyError:
                raise UsageError(f"the resource {hint!r} is not open") from None

        return instance


def _content(request: Request) -> Any:
    """The decoded content; the plan puts it in the last place."""
    return request.values[-1]


def _depends_of(argument: Argument) -> Depends[Any] | None:
    """Return the dependency that an argument names, as annotation or as default."""
    for extra in (*argument.extras, argument.default):
        if isinstance(extra, Depends):
            return extra
    return None
