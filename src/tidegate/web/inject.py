"""Which functions give a handler its values, and in which order?

The graph is made once per route, when the application starts.  Each dependency
becomes a ``Node`` with a place in ``request.values``; its arguments are getters
made once.  A cycle, a missing provider or a parameter that nothing fills is an
error at start, not a request that fails.
"""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..errors import ConfigError, UsageError
from .annotations import Argument, place_of, read_signature
from .kinds import alternatives
from .params import Close, Depends, Parameter, parameter
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
        inner = inspect.unwrap(getattr(function, "func", function))
        if not inspect.isroutine(inner) and not inspect.isclass(inner):
            inner = type(inner).__call__
        generates_async = inspect.isasyncgenfunction(inner)
        self.is_async = generates_async or inspect.iscoroutinefunction(inner)
        self.is_generator = generates_async or inspect.isgeneratorfunction(inner)


def provided_type(function: Callable[..., Any]) -> Any:
    """Return the type that a provider gives.  Raises ``ConfigError`` if it does not say."""
    signature = read_signature(function)
    found = signature.returns
    if Shape(function).is_generator:
        origin = typing.get_origin(found)
        found = typing.get_args(found)[0] if origin in _GENERATORS else Any
    if not signature.annotated or found in (Any, None):
        raise ConfigError(
            f"{place_of(function)} must say what it gives: annotate what it returns, "
            "or AsyncIterator[...] if it yields"
        )
    return found


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
        *("close", "function", "getters", "inputs", "is_async", "is_generator", "keywords"),
        *("needs_content", "parameters", "run", "slot", "thread"),
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], slot: int) -> None:
        shape = Shape(function)
        self.function = function
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

    def call(self, request: Request) -> Any:
        """Call the function: a value, a coroutine or a generator.  Raises ``Refused``."""
        if self.keywords:
            named = {name: get(request) for name, get in self.keywords}
            return self.function(*[get(request) for get in self.getters], **named)
        return self.function(*[get(request) for get in self.getters])

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
        self._path.pop()
        node.slot = len(self.nodes)
        self.nodes.append(node)
        return node

    def depend(self, depends: Depends[Any]) -> Node:
        """Add a dependency, once however often it is named."""
        function = depends.function
        replaced = self.providers.overrides.get(function, function)
        if not callable(replaced):
            return self._constant_node(function, replaced)
        node = self._known.get(function) if depends.use_cache else None
        if node is None:
            node = self.add(replaced)
            node.close = depends.close
            node.run = depends.run
            if depends.use_cache:
                self._known[function] = node
        return node

    def _constant_node(self, function: Any, value: Any) -> Node:
        node = self._known.get(function)
        if node is None:
            node = self._known[function] = self.add(lambda: value)
            node.run = "inline"
        return node

    def _getter(self, argument: Argument, node: Node) -> Getter:
        depends = _depends_of(argument)
        if depends is not None:
            return self._input(self.depend(depends), node)
        # What the template names comes from the path, whatever provides its type.
        in_path = argument.name in self.path_names
        found = None if in_path else self._by_type(argument, node)
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
